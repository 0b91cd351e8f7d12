/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "test_net_lab.h"

/*
 * Who can talk to whom. Everything twice: with bridged frames shown to the IP hooks and
 * without.
 */

static const char *const call_iptables[] = { "0", "1" };

static void open_lab(struct lab *lab, int i)
{
	lab_open(lab);
	lab_call_iptables(call_iptables[i]);
}

START_TEST(host_reaches_container)
{
	struct lab lab;

	open_lab(&lab, _i);
	for (int i = 0; i < 2; i++) {
		ck_assert(lab_ping(&lab, lab.host, lab_ct4[i], LAB_LONG_MS));
		ck_assert(lab_ping(&lab, lab.host, lab_ct6[i], LAB_LONG_MS));
		ck_assert(lab_udp(&lab, lab.host, lab.ct[i], lab_ct4[i], LAB_LONG_MS, NULL));
		ck_assert(lab_udp(&lab, lab.host, lab.ct[i], lab_ct6[i], LAB_LONG_MS, NULL));
		ck_assert_int_eq(lab_tcp(&lab, lab.host, lab.ct[i], lab_ct4[i], LAB_LONG_MS),
				 0);
		ck_assert_int_eq(lab_tcp(&lab, lab.host, lab.ct[i], lab_ct6[i], LAB_LONG_MS),
				 0);
	}
	lab_close(&lab);
}
END_TEST

START_TEST(container_pings_gateway_and_nothing_else_of_the_host)
{
	struct lab lab;

	open_lab(&lab, _i);
	ck_assert(lab_ping(&lab, lab.ct[0], LAB_GW4, LAB_LONG_MS));
	ck_assert(lab_ping(&lab, lab.ct[0], LAB_GW6, LAB_LONG_MS));
	ck_assert(!lab_udp(&lab, lab.ct[0], lab.host, LAB_GW4, LAB_SHORT_MS, NULL));
	ck_assert(!lab_udp(&lab, lab.ct[0], lab.host, LAB_GW6, LAB_SHORT_MS, NULL));
	ck_assert_int_ne(lab_tcp(&lab, lab.ct[0], lab.host, LAB_GW4, LAB_SHORT_MS), 0);
	ck_assert_int_ne(lab_tcp(&lab, lab.ct[0], lab.host, LAB_GW6, LAB_SHORT_MS), 0);
	ck_assert_int_ne(lab_tcp(&lab, lab.ct[0], lab.host, LAB_HOST4, LAB_SHORT_MS), 0);
	ck_assert_int_ne(lab_tcp(&lab, lab.ct[0], lab.host, LAB_HOST6, LAB_SHORT_MS), 0);
	ck_assert_uint_gt(lab_drops("inet"), 0);
	lab_close(&lab);
}
END_TEST

START_TEST(host_access_opens_the_host)
{
	struct lab lab;

	lab_prepare(&lab);
	lab_call_iptables(call_iptables[_i]);
	lab.conf.host_access = true;
	lab_ok(lg_net_new(&lab.conf, &lab.net, err));
	lab_ok(lg_net_pin(lab.net, &lab.ifs[0], err));
	lab_ok(lg_net_attach(lab.net, &lab.ifs[0], lab.ct[0], err));
	ck_assert_int_eq(lab_tcp(&lab, lab.ct[0], lab.host, LAB_GW4, LAB_LONG_MS), 0);
	ck_assert_int_eq(lab_tcp(&lab, lab.ct[0], lab.host, LAB_GW6, LAB_LONG_MS), 0);
	lab_close(&lab);
}
END_TEST

START_TEST(containers_do_not_reach_each_other)
{
	struct lab lab;

	open_lab(&lab, _i);
	for (int i = 0; i < 2; i++) {
		int from = lab.ct[i], to = lab.ct[1 - i];

		ck_assert(!lab_ping(&lab, from, lab_ct4[1 - i], LAB_SHORT_MS));
		ck_assert(!lab_ping(&lab, from, lab_ct6[1 - i], LAB_SHORT_MS));
		ck_assert(!lab_udp(&lab, from, to, lab_ct4[1 - i], LAB_SHORT_MS, NULL));
		ck_assert(!lab_udp(&lab, from, to, lab_ct6[1 - i], LAB_SHORT_MS, NULL));
	}
	lab_close(&lab);
}
END_TEST

/* The host says no at once, so that nobody waits for an answer that cannot come. */
START_TEST(refusal_between_containers_is_immediate)
{
	struct lab lab;
	double before;

	open_lab(&lab, _i);
	ck_assert(lab_ping(&lab, lab.ct[0], LAB_GW6, LAB_LONG_MS));
	before = lab_now_us();
	ck_assert_int_eq(lab_tcp(&lab, lab.ct[0], lab.ct[1], lab_ct4[1], LAB_LONG_MS),
			 ECONNREFUSED);
	ck_assert_int_eq(lab_tcp(&lab, lab.ct[0], lab.ct[1], lab_ct6[1], LAB_LONG_MS),
			 ECONNREFUSED);
	ck_assert(lab_now_us() - before < 5e5);
	lab_close(&lab);
}
END_TEST

/* A guest that gives itself the pool's prefix asks its neighbours directly: still nothing. */
START_TEST(containers_do_not_reach_each_other_on_link)
{
	struct lg_addr wide = lab_addr("10.77.0.2/16"), wide6 = lab_addr("fd77::2/64");
	struct lg_link eth0;
	struct lab lab;
	struct lg_nl nl;

	open_lab(&lab, _i);
	lab_ok(lg_nl_open_in(&nl, lab.ct[0], lab.host, err));
	lab_ok(lg_link_find(&nl, "eth0", false, &eth0, err));
	lg_addr_put_remove(&nl, eth0.index, &lab.addrs[0][1]);
	lg_addr_put(&nl, eth0.index, &wide);
	lg_addr_put(&nl, eth0.index, &wide6);
	lab_ok(lg_nl_run(&nl, NULL, NULL, err));
	lg_nl_close(&nl);
	ck_assert(!lab_ping(&lab, lab.ct[0], lab_ct4[1], LAB_SHORT_MS));
	ck_assert(!lab_ping(&lab, lab.ct[0], lab_ct6[1], LAB_SHORT_MS));
	ck_assert(!lab_udp(&lab, lab.ct[0], lab.ct[1], lab_ct4[1], LAB_SHORT_MS, NULL));
	ck_assert(!lab_udp(&lab, lab.ct[0], lab.ct[1], lab_ct6[1], LAB_SHORT_MS, NULL));
	ck_assert(lab_ping(&lab, lab.host, lab_ct4[0], LAB_LONG_MS));
	lab_close(&lab);
}
END_TEST

START_TEST(container_reaches_internet_as_the_host)
{
	char from[LG_ADDR_TEXT] = "";
	struct lab lab;

	open_lab(&lab, _i);
	ck_assert(lab_udp(&lab, lab.ct[0], lab.inet, LAB_INET4, LAB_LONG_MS, from));
	ck_assert_str_eq(from, LAB_HOST4);
	ck_assert(lab_udp(&lab, lab.ct[0], lab.inet, LAB_INET6, LAB_LONG_MS, from));
	ck_assert_str_eq(from, LAB_HOST6);
	ck_assert(lab_ping(&lab, lab.ct[0], LAB_INET4, LAB_LONG_MS));
	ck_assert(lab_ping(&lab, lab.ct[0], LAB_INET6, LAB_LONG_MS));
	ck_assert_int_eq(lab_tcp(&lab, lab.ct[1], lab.inet, LAB_INET4, LAB_LONG_MS), 0);
	ck_assert_int_eq(lab_tcp(&lab, lab.ct[1], lab.inet, LAB_INET6, LAB_LONG_MS), 0);
	lab_close(&lab);
}
END_TEST

START_TEST(without_nat_the_own_address_is_kept)
{
	char from[LG_ADDR_TEXT] = "";
	struct lab lab;

	lab_prepare(&lab);
	lab_call_iptables(call_iptables[_i]);
	lab.conf.nat4 = lab.conf.nat6 = false;
	lab_ok(lg_net_new(&lab.conf, &lab.net, err));
	lab_ok(lg_net_pin(lab.net, &lab.ifs[0], err));
	lab_ok(lg_net_attach(lab.net, &lab.ifs[0], lab.ct[0], err));
	ck_assert(lab_udp(&lab, lab.ct[0], lab.inet, LAB_INET4, LAB_LONG_MS, from));
	ck_assert_str_eq(from, lab_ct4[0]);
	ck_assert(lab_udp(&lab, lab.ct[0], lab.inet, LAB_INET6, LAB_LONG_MS, from));
	ck_assert_str_eq(from, lab_ct6[0]);
	lab_close(&lab);
}
END_TEST

START_TEST(internet_does_not_reach_container)
{
	struct lab lab;

	open_lab(&lab, _i);
	ck_assert(!lab_ping(&lab, lab.inet, lab_ct4[0], LAB_SHORT_MS));
	ck_assert(!lab_ping(&lab, lab.inet, lab_ct6[0], LAB_SHORT_MS));
	ck_assert(!lab_udp(&lab, lab.inet, lab.ct[0], lab_ct4[0], LAB_SHORT_MS, NULL));
	ck_assert(!lab_udp(&lab, lab.inet, lab.ct[0], lab_ct6[0], LAB_SHORT_MS, NULL));
	ck_assert_int_ne(lab_tcp(&lab, lab.inet, lab.ct[0], lab_ct4[0], LAB_SHORT_MS), 0);
	ck_assert_uint_ge(lab_drops("inet"), 5);
	/* The host itself is as reachable as before. */
	ck_assert_int_eq(lab_tcp(&lab, lab.inet, lab.host, LAB_HOST4, LAB_LONG_MS), 0);
	lab_close(&lab);
}
END_TEST

/*
 * "Nothing in but what is forwarded": a port that the administrator's own rules forward gets
 * in.
 */
START_TEST(forwarded_port_reaches_container)
{
	static const char rules[] =
		"table ip forward_me {\nchain pre {\ntype nat hook prerouting priority -100;\n"
		"iifname \"up0\" tcp dport 4001 dnat to 10.77.0.2\n}\n}\n";
	struct lg_nft *nft = NULL;
	struct lab lab;
	int rx, tx;
	union lab_sa sa;
	struct lg_addr host = lab_addr(LAB_HOST4);
	socklen_t len = lab_sockaddr(&host, 4001, &sa);

	open_lab(&lab, _i);
	lab_ok(lg_nft_new(&nft, err));
	lab_ok(lg_nft_run(nft, rules, "forward", err));
	rx = lab_listen(&lab, lab.ct[0], AF_INET, SOCK_STREAM, 4001);
	tx = lab_socket(&lab, lab.inet, AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	ck_assert(connect(tx, &sa.sa, len) == 0 || errno == EINPROGRESS);
	ck_assert(lab_wait(rx, POLLIN, LAB_LONG_MS));
	close(rx);
	close(tx);
	lg_nft_free(nft);
	lab_close(&lab);
}
END_TEST

START_TEST(address_outside_the_pool_works)
{
	static const char public[] = "203.0.113.9";
	char from[LG_ADDR_TEXT] = "";
	struct lab lab;

	lab_prepare(&lab);
	lab_call_iptables(call_iptables[_i]);
	lab.addrs[0][0] = lab_addr(public);
	lab_ok(lg_net_new(&lab.conf, &lab.net, err));
	lab_ok(lg_net_pin(lab.net, &lab.ifs[0], err));
	lab_ok(lg_net_attach(lab.net, &lab.ifs[0], lab.ct[0], err));
	ck_assert(lab_ping(&lab, lab.host, public, LAB_LONG_MS));
	ck_assert(lab_udp(&lab, lab.ct[0], lab.inet, LAB_INET4, LAB_LONG_MS, from));
	ck_assert_str_eq(from, public);		/* only the pool is behind NAT */
	lab_ok(lg_net_unpin(lab.net, lab.ifs[0].host_name, err));
	ck_assert(!lab_ping(&lab, lab.host, public, LAB_SHORT_MS));
	lab_close(&lab);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("net");
	TCase *tc = tcase_create("traffic");
	SRunner *sr = srunner_create(s);
	int n = ARRAY_SIZE(call_iptables), failures;

	if (geteuid() != 0) {
		fprintf(stderr, "skipped: network namespaces need root\n");
		return 77;
	}
	suite_add_tcase(s, tc);
	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, host_reaches_container, 0, n);
	tcase_add_loop_test(tc, container_pings_gateway_and_nothing_else_of_the_host, 0, n);
	tcase_add_loop_test(tc, host_access_opens_the_host, 0, n);
	tcase_add_loop_test(tc, containers_do_not_reach_each_other, 0, n);
	tcase_add_loop_test(tc, refusal_between_containers_is_immediate, 0, n);
	tcase_add_loop_test(tc, containers_do_not_reach_each_other_on_link, 0, n);
	tcase_add_loop_test(tc, container_reaches_internet_as_the_host, 0, n);
	tcase_add_loop_test(tc, without_nat_the_own_address_is_kept, 0, n);
	tcase_add_loop_test(tc, internet_does_not_reach_container, 0, n);
	tcase_add_loop_test(tc, forwarded_port_reaches_container, 0, n);
	tcase_add_loop_test(tc, address_outside_the_pool_works, 0, n);
	srunner_run_all(sr, CK_ENV);
	failures = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failures ? 1 : 0;
}
