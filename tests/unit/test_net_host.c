/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "test_net_lab.h"

#include <dirent.h>

#include "lib/exit.h"

/* What is on the host: made, kept, repaired, moved out of the way, taken away; and how fast. */

#define FORWARD4 "/proc/sys/net/ipv4/ip_forward"
#define REDIRECTS "/proc/sys/net/ipv4/conf/all/accept_redirects"
#define FORWARD6 "/proc/sys/net/ipv6/conf/all/forwarding"
#define FORCE6 "/proc/sys/net/ipv6/conf/all/force_forwarding"
#define MANY 1000u

static bool has_link(const char *name)
{
	struct lg_link link;
	struct lg_nl nl;
	int r;

	lab_ok(lg_nl_open(&nl, err));
	r = lg_link_find(&nl, name, false, &link, NULL);
	lg_nl_close(&nl);
	ck_assert(r == 0 || r == -ENODEV);
	return r == 0;
}

static void expect_sysctl(const char *path, const char *want)
{
	char got[32];

	lab_read(path, got, sizeof(got));
	ck_assert_msg(strcmp(got, want) == 0, "%s is %s, not %s", path, got, want);
}

static void state_file(struct lab *lab)
{
	snprintf(lab->conf.state_path, sizeof(lab->conf.state_path), "/tmp/lodge-test-net.%d",
		 getpid());
}

START_TEST(remove_takes_all_away)
{
	lg_autofree char *before = NULL, *after = NULL;
	struct lab lab;

	lab_prepare(&lab);
	state_file(&lab);
	lab_write(REDIRECTS, "0");	/* the kernel changes this one behind our back */
	before = lab_nft("list ruleset");
	lab_ok(lg_net_new(&lab.conf, &lab.net, err));
	lab_ok(lg_net_pin(lab.net, &lab.ifs[0], err));
	lab_ok(lg_net_attach(lab.net, &lab.ifs[0], lab.ct[0], err));
	expect_sysctl(FORWARD4, "1");
	expect_sysctl(access(FORCE6, F_OK) == 0 ? FORCE6 : FORWARD6, "1");
	lab_ok(lg_net_remove(lab.net, err));
	after = lab_nft("list ruleset");
	ck_assert_str_eq(after, before);
	ck_assert(!has_link(LAB_BRIDGE));
	ck_assert(!has_link(lab.ifs[0].host_name));
	expect_sysctl(FORWARD4, "0");
	expect_sysctl(FORWARD6, "0");
	expect_sysctl(REDIRECTS, "0");
	if (access(FORCE6, F_OK) == 0)
		expect_sysctl(FORCE6, "0");
	ck_assert_int_lt(access(lab.conf.state_path, F_OK), 0);
	lab_ok(lg_net_remove(lab.net, err));	/* again: nothing to do */
	lab_close(&lab);
}
END_TEST

START_TEST(forwarding_of_others_stays)
{
	struct lab lab;

	lab_prepare(&lab);
	state_file(&lab);
	lab_write(FORWARD4, "1");
	lab_ok(lg_net_new(&lab.conf, &lab.net, err));
	lab_ok(lg_net_remove(lab.net, err));
	expect_sysctl(FORWARD4, "1");	/* was on before */
	lab_close(&lab);
}
END_TEST

START_TEST(forwarding_stays_while_another_bridge_is_there)
{
	static const uint8_t mac[6] = { 2, 9, 9, 9, 9, 9 };
	struct lab lab;
	struct lg_nl nl;

	lab_prepare(&lab);
	state_file(&lab);
	lab_ok(lg_net_new(&lab.conf, &lab.net, err));
	lab_ok(lg_nl_open(&nl, err));
	lab_ok(lg_link_bridge(&nl, "other0", mac, err));
	lg_nl_close(&nl);
	lab_ok(lg_net_remove(lab.net, err));
	expect_sysctl(FORWARD4, "1");
	ck_assert(has_link("other0"));
	lab_close(&lab);
}
END_TEST

/*
 * A kernel without force_forwarding makes a router of the host: it must go on taking
 * advertisements.
 */
START_TEST(router_advertisements_stay_accepted)
{
	struct lab lab;
	bool forced;

	lab_prepare(&lab);
	forced = access(FORCE6, F_OK) == 0;
	lab_write("/proc/sys/net/ipv6/conf/up0/accept_ra", "1");
	lab_ok(lg_net_new(&lab.conf, &lab.net, err));
	expect_sysctl(FORWARD6, forced ? "0" : "1");
	expect_sysctl("/proc/sys/net/ipv6/conf/up0/accept_ra", forced ? "1" : "2");
	expect_sysctl("/proc/sys/net/ipv6/conf/" LAB_BRIDGE "/accept_ra", "0");
	lab_close(&lab);
}
END_TEST

START_TEST(ipv4_only_leaves_ipv6_alone)
{
	struct lab lab;

	lab_prepare(&lab);
	lab.conf.gw6.family = 0;
	lab.ifs[0].naddrs = 1;
	lab_ok(lg_net_new(&lab.conf, &lab.net, err));
	expect_sysctl(FORWARD6, "0");
	if (access(FORCE6, F_OK) == 0)
		expect_sysctl(FORCE6, "0");
	lab_ok(lg_net_pin(lab.net, &lab.ifs[0], err));
	lab_ok(lg_net_attach(lab.net, &lab.ifs[0], lab.ct[0], err));
	ck_assert(lab_ping(&lab, lab.ct[0], LAB_INET4, LAB_LONG_MS));
	lab_close(&lab);
}
END_TEST

START_TEST(second_new_keeps_running_containers)
{
	lg_autofree char *before = NULL, *after = NULL;
	struct lab lab;

	lab_open(&lab);
	before = lab_nft("list table bridge " LAB_TABLE);
	lg_net_free(lab.net);
	lab_ok(lg_net_new(&lab.conf, &lab.net, err));
	ck_assert(lab_ping(&lab, lab.ct[0], LAB_INET4, LAB_LONG_MS));
	ck_assert(lab_ping(&lab, lab.ct[1], LAB_INET6, LAB_LONG_MS));
	after = lab_nft("list set bridge " LAB_TABLE " addrs6");
	ck_assert_ptr_nonnull(strstr(after, "\"lab102.0\" . fd77::3"));
	/* The pins that were read back can be taken away. */
	lab_ok(lg_net_unpin(lab.net, lab.ifs[1].host_name, err));
	ck_assert(!lab_ping(&lab, lab.ct[1], LAB_GW4, LAB_SHORT_MS));
	ck_assert(lab_ping(&lab, lab.ct[0], LAB_GW4, LAB_LONG_MS));
	lab_close(&lab);
}
END_TEST

START_TEST(new_repairs_what_is_missing)
{
	struct lg_nft *nft = NULL;
	struct lg_link br;
	struct lab lab;
	struct lg_nl nl;

	lab_open(&lab);
	lg_net_free(lab.net);
	lab_ok(lg_nft_new(&nft, err));
	lab_ok(lg_nft_run(nft, "delete table inet " LAB_TABLE "\nflush chain bridge " LAB_TABLE
			       " prerouting", "damage", err));
	lg_nft_free(nft);
	lab_ok(lg_nl_open(&nl, err));
	lab_ok(lg_link_find(&nl, LAB_BRIDGE, false, &br, err));
	lg_addr_put_remove(&nl, br.index, &lab.conf.gw4);
	lg_link_put_up(&nl, br.index, false, "");
	lab_ok(lg_nl_run(&nl, NULL, NULL, err));
	lg_nl_close(&nl);
	lab_write(FORWARD4, "0");
	lab_ok(lg_net_new(&lab.conf, &lab.net, err));
	ck_assert(lab_ping(&lab, lab.ct[0], LAB_INET4, LAB_LONG_MS));
	ck_assert(lab_ping(&lab, lab.ct[0], LAB_INET6, LAB_LONG_MS));
	ck_assert(!lab_ping(&lab, lab.inet, lab_ct4[0], LAB_SHORT_MS));
	lab_close(&lab);
}
END_TEST

/* Somebody deletes the bridge under a running daemon: the next container brings it back. */
START_TEST(attach_brings_a_lost_bridge_back)
{
	struct lg_link br;
	struct lab lab;
	struct lg_nl nl;

	lab_prepare(&lab);
	lab_ok(lg_net_new(&lab.conf, &lab.net, err));
	lab_ok(lg_net_pin(lab.net, &lab.ifs[0], err));
	lab_ok(lg_nl_open(&nl, err));
	lab_ok(lg_link_find(&nl, LAB_BRIDGE, false, &br, err));
	lab_ok(lg_link_delete(&nl, br.index, LAB_BRIDGE, err));
	lg_nl_close(&nl);
	lab_ok(lg_net_attach(lab.net, &lab.ifs[0], lab.ct[0], err));
	ck_assert(lab_ping(&lab, lab.ct[0], LAB_INET4, LAB_LONG_MS));
	lab_close(&lab);
}
END_TEST

START_TEST(foreign_link_of_the_bridge_s_name_is_refused)
{
	static const uint8_t a[6] = { 2, 8, 8, 8, 8, 1 }, b[6] = { 2, 8, 8, 8, 8, 2 };
	struct lg_veth veth = { .host_name = LAB_BRIDGE, .name = "peer", .host_mac = a,
				.mac = b, .netns_fd = -1 };
	struct lg_err e = { 0 };
	struct lab lab;
	struct lg_nl nl;

	lab_prepare(&lab);
	lab_ok(lg_nl_open(&nl, err));
	lg_link_put_veth(&nl, &veth);
	lab_ok(lg_nl_run(&nl, NULL, NULL, err));
	lg_nl_close(&nl);
	ck_assert_int_eq(lg_net_new(&lab.conf, &lab.net, &e), -EEXIST);
	ck_assert_ptr_nonnull(strstr(e.msg, "not a bridge"));
	lab_close(&lab);
}
END_TEST

/* The container was started again while the kernel still takes its old namespace apart. */
START_TEST(dying_link_is_moved_away)
{
	struct lab lab;
	int again;

	lab_open(&lab);
	for (int i = 0; i < 3; i++) {
		again = lab_new_ns();
		lab_ok(lg_net_attach(lab.net, &lab.ifs[0], again, err));
		ck_assert(lab_ping(&lab, again, LAB_GW4, LAB_LONG_MS));
		ck_assert(lab_ping(&lab, lab.host, lab_ct4[0], LAB_LONG_MS));
		ck_assert(lab_udp(&lab, lab.host, again, lab_ct4[0], LAB_LONG_MS, NULL));
		/* The old one is out. */
		ck_assert(!lab_ping(&lab, lab.ct[0], LAB_GW4, LAB_SHORT_MS));
		close(again);
	}
	lab_close(&lab);
}
END_TEST

START_TEST(foreign_link_is_not_touched)
{
	static const uint8_t a[6] = { 2, 8, 8, 8, 8, 1 }, b[6] = { 2, 8, 8, 8, 8, 2 };
	struct lg_veth veth = { .host_name = "lab101.0", .name = "peer", .host_mac = a,
				.mac = b, .netns_fd = -1 };
	struct lg_err e = { 0 };
	struct lab lab;
	struct lg_nl nl;

	lab_prepare(&lab);
	lab_ok(lg_net_new(&lab.conf, &lab.net, err));
	lab_ok(lg_nl_open(&nl, err));
	lg_link_put_veth(&nl, &veth);
	lab_ok(lg_nl_run(&nl, NULL, NULL, err));
	lg_nl_close(&nl);
	ck_assert_int_eq(lg_net_attach(lab.net, &lab.ifs[0], lab.ct[0], &e), -EEXIST);
	ck_assert_ptr_nonnull(strstr(e.msg, "lab101.0"));
	lg_net_detach(lab.net, "lab101.0");
	ck_assert(has_link("lab101.0"));
	lab_close(&lab);
}
END_TEST

START_TEST(detach_deletes_and_missing_is_fine)
{
	struct lab lab;

	lab_open(&lab);
	lg_net_detach(lab.net, lab.ifs[0].host_name);
	ck_assert(!has_link(lab.ifs[0].host_name));
	ck_assert(has_link(lab.ifs[1].host_name));
	lg_net_detach(lab.net, lab.ifs[0].host_name);
	lab_close(&lab);
}
END_TEST

/* A failure inside leaves no link behind. */
START_TEST(failed_attach_leaves_nothing)
{
	struct lg_err e = { 0 };
	struct lab lab;

	lab_prepare(&lab);
	lab_ok(lg_net_new(&lab.conf, &lab.net, err));
	lab.addrs[0][0].prefix = 77;	/* the kernel refuses it */
	ck_assert_int_lt(lg_net_attach(lab.net, &lab.ifs[0], lab.ct[0], &e), 0);
	ck_assert_ptr_nonnull(strstr(e.msg, "add address 10.77.0.2"));
	ck_assert(!has_link(lab.ifs[0].host_name));
	lab_close(&lab);
}
END_TEST

START_TEST(attach_names_what_is_wrong)
{
	struct lg_err e = { 0 };
	struct lab lab;

	lab_prepare(&lab);
	lab_ok(lg_net_new(&lab.conf, &lab.net, err));
	ck_assert_int_lt(lg_net_attach(lab.net, &lab.ifs[0], 9999, &e), 0);
	ck_assert_ptr_nonnull(strstr(e.msg, "attach lab101.0: make link lab101.0"));
	lab_close(&lab);
}
END_TEST

START_TEST(addresses_change_while_it_runs)
{
	struct lg_addr add[2] = { lab_addr("10.77.0.9"), lab_addr("fd77::9") };
	struct lab lab;

	lab_open(&lab);
	lab.ifs[0].addrs = add;
	lab_ok(lg_net_pin(lab.net, &lab.ifs[0], err));
	lab_ok(lg_net_change(lab.net, &lab.ifs[0], lab.ct[0], add, 2, lab.addrs[0], 2, err));
	ck_assert(lab_ping(&lab, lab.host, "10.77.0.9", LAB_LONG_MS));
	ck_assert(lab_ping(&lab, lab.host, "fd77::9", LAB_LONG_MS));
	ck_assert(lab_ping(&lab, lab.ct[0], LAB_INET4, LAB_LONG_MS));
	ck_assert(lab_ping(&lab, lab.ct[0], LAB_INET6, LAB_LONG_MS));
	ck_assert(!lab_ping(&lab, lab.host, lab_ct4[0], LAB_SHORT_MS));
	ck_assert(!lab_ping(&lab, lab.host, lab_ct6[0], LAB_SHORT_MS));
	lab_close(&lab);
}
END_TEST

static const char *const bad_addrs[] = {
	LAB_GW4, LAB_GW6, "127.0.0.1", "0.0.0.0", "224.0.0.1", "255.255.255.255",
	"::1", "fe80::1", "ff02::1", "::",
};

START_TEST(special_addresses_are_refused)
{
	struct lg_err e = { 0 };
	struct lab lab;

	lab_prepare(&lab);
	lab_ok(lg_net_new(&lab.conf, &lab.net, err));
	lab.addrs[0][0] = lab_addr(bad_addrs[_i]);
	ck_assert_int_eq(lg_net_pin(lab.net, &lab.ifs[0], &e), -EINVAL);
	ck_assert_int_eq(e.exit_code, LG_EXIT_BAD_IP);
	lab_close(&lab);
}
END_TEST

/* A name must not become a piece of nft's language. */
START_TEST(odd_names_are_refused)
{
	struct lab lab;

	lab_prepare(&lab);
	lab_ok(lg_net_new(&lab.conf, &lab.net, err));
	snprintf(lab.ifs[0].host_name, sizeof(lab.ifs[0].host_name), "a\" . 1}");
	ck_assert_int_eq(lg_net_pin(lab.net, &lab.ifs[0], NULL), -EINVAL);
	snprintf(lab.conf.table, sizeof(lab.conf.table), "x; flush ruleset");
	lg_net_free(lab.net);
	lab.net = NULL;
	ck_assert_int_eq(lg_net_new(&lab.conf, &lab.net, NULL), -EINVAL);
	lab_close(&lab);
}
END_TEST

struct seen {
	const char *name;
	unsigned int links;
	struct lg_net_stats stats;
};

static void see_link(const char *host_name, const struct lg_net_stats *stats, void *arg)
{
	struct seen *seen = arg;

	seen->links++;
	if (strcmp(host_name, seen->name) == 0)
		seen->stats = *stats;
}

START_TEST(stats_are_the_containers)
{
	struct seen seen = { .links = 0 };
	struct lg_net_stats s = { 0 };
	struct lab lab;

	lab_open(&lab);
	ck_assert_int_eq(lg_net_stats("lab999.0", &s, NULL), -ENODEV);
	for (int i = 0; i < 20; i++)
		lab_udp(&lab, lab.host, lab.ct[0], lab_ct4[0], LAB_LONG_MS, NULL);
	lab_ok(lg_net_stats(lab.ifs[0].host_name, &s, err));
	ck_assert_uint_ge(s.rx_packets, 20);
	ck_assert_uint_gt(s.rx_bytes, s.rx_packets * 20);
	ck_assert_uint_lt(s.tx_packets, s.rx_packets);
	/* All at once: every instance's link, and no other one of the host. */
	seen.name = lab.ifs[0].host_name;
	lab_ok(lg_net_stats_each(lab.net, see_link, &seen, err));
	ck_assert_uint_eq(seen.links, ARRAY_SIZE(lab.ifs));
	ck_assert_uint_ge(seen.stats.rx_packets, s.rx_packets);
	lab_close(&lab);
}
END_TEST

START_TEST(default_pool_avoids_what_is_routed)
{
	struct lg_addr first, second, wide = lab_addr("10.0.0.0/9");
	struct lg_err e = { 0 };
	struct lg_link up;
	struct lab lab;
	struct lg_nl nl;

	lab_prepare(&lab);
	lab_ok(lg_net_default_pool(&first, err));
	ck_assert_uint_eq(first.prefix, 16);
	lab_ok(lg_net_default_pool(&second, err));
	ck_assert(lg_addr_equal(&first, &second));
	lab_ok(lg_nl_open(&nl, err));
	lab_ok(lg_link_find(&nl, "up0", false, &up, err));
	second.v4.s_addr |= htonl(0x0505);	/* one address in the middle of it */
	second.prefix = 32;
	lg_addr_put(&nl, up.index, &second);
	lab_ok(lg_nl_run(&nl, NULL, NULL, err));
	lab_ok(lg_net_default_pool(&second, err));
	ck_assert(!lg_addr_equal(&first, &second));
	lg_route_put(&nl, up.index, &wide);
	wide.v4.s_addr |= htonl(0x800000);
	lg_route_put(&nl, up.index, &wide);
	lab_ok(lg_nl_run(&nl, NULL, NULL, err));
	lg_nl_close(&nl);
	ck_assert_int_lt(lg_net_default_pool(&second, &e), 0);
	ck_assert_ptr_nonnull(strstr(e.msg, "NETWORK"));
	lab_close(&lab);
}
END_TEST

START_TEST(macs_differ_and_are_local)
{
	uint8_t seen[4][6];

	lg_net_mac("", 101, 0, false, seen[0]);
	lg_net_mac("", 101, 0, true, seen[1]);
	lg_net_mac("", 101, 1, false, seen[2]);
	lg_net_mac("", 102, 0, false, seen[3]);
	for (int i = 0; i < 4; i++) {
		ck_assert_int_eq(seen[i][0] & 3, 2);
		for (int j = 0; j < i; j++)
			ck_assert_int_ne(memcmp(seen[i], seen[j], 6), 0);
	}
}
END_TEST

/* ---- how fast; the limits are wide, the figures are printed ---- */

START_TEST(attach_is_quick)
{
	double us[40];
	struct lab lab;

	lab_prepare(&lab);
	lab_ok(lg_net_new(&lab.conf, &lab.net, err));
	lab_ok(lg_net_pin(lab.net, &lab.ifs[0], err));
	for (size_t i = 0; i < ARRAY_SIZE(us); i++) {
		int ns = lab_new_ns();
		double start = lab_now_us();

		lab_ok(lg_net_attach(lab.net, &lab.ifs[0], ns, err));
		us[i] = lab_now_us() - start;
		lg_net_detach(lab.net, lab.ifs[0].host_name);
		close(ns);
	}
	printf("attach: median %.0f us\n", lab_median(us, ARRAY_SIZE(us)));
	ck_assert(lab_median(us, ARRAY_SIZE(us)) < 20000);
	lab_close(&lab);
}
END_TEST

START_TEST(pinning_is_quick_and_sets_are_exact)
{
	static struct lg_net_if ifs[MANY];
	static struct lg_addr addrs[MANY][2];
	lg_autofree char *set = NULL;
	double us[50], start;
	struct lab lab;

	lab_prepare(&lab);
	lab_ok(lg_net_new(&lab.conf, &lab.net, err));
	for (unsigned int i = 0; i < MANY; i++) {
		ifs[i] = lab.ifs[0];
		snprintf(ifs[i].host_name, sizeof(ifs[i].host_name), "lab%u.0", 1000 + i);
		lg_net_mac("lab", 1000 + i, 0, false, ifs[i].mac);
		addrs[i][0] = lab_addr("10.77.0.2");
		addrs[i][0].v4.s_addr = htonl(0x0a4d0002u + i);
		addrs[i][1] = lab_addr("fd77::2");
		addrs[i][1].v6.s6_addr[13] = 1;
		addrs[i][1].v6.s6_addr[14] = (uint8_t)(i >> 8);
		addrs[i][1].v6.s6_addr[15] = (uint8_t)i;
		ifs[i].addrs = addrs[i];
	}
	start = lab_now_us();
	lab_ok(lg_net_pin_many(lab.net, ifs, MANY, err));
	printf("pin %u at once: %.1f ms\n", MANY, (lab_now_us() - start) / 1e3);
	start = lab_now_us();
	lab_ok(lg_net_pin_many(lab.net, ifs, MANY, err));
	printf("again: %.1f ms\n", (lab_now_us() - start) / 1e3);
	for (size_t i = 0; i < ARRAY_SIZE(us); i++) {
		snprintf(lab.ifs[0].host_name, sizeof(lab.ifs[0].host_name), "lab%zu.0",
			 5000 + i);
		lab.addrs[0][0].v4.s_addr = htonl(0x0a4e0000u + (uint32_t)i);
		start = lab_now_us();
		lab_ok(lg_net_pin(lab.net, &lab.ifs[0], err));
		us[i] = lab_now_us() - start;
	}
	printf("pin one beside %u: median %.0f us\n", MANY, lab_median(us, ARRAY_SIZE(us)));
	lg_net_free(lab.net);
	start = lab_now_us();
	lab_ok(lg_net_new(&lab.conf, &lab.net, err));
	printf("new with %u pins there: %.1f ms\n", MANY, (lab_now_us() - start) / 1e3);
	lab_ok(lg_net_pin_many(lab.net, ifs, 1, err));
	set = lab_nft("list set bridge " LAB_TABLE " addrs4");
	ck_assert_ptr_nonnull(strstr(set, "{ \"lab1000.0\" . 10.77.0.2 }"));
	lab_close(&lab);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("net_host");
	TCase *tc = tcase_create("host");
	SRunner *sr = srunner_create(s);
	int failures;

	if (geteuid() != 0) {
		fprintf(stderr, "skipped: network namespaces need root\n");
		return 77;
	}
	suite_add_tcase(s, tc);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, remove_takes_all_away);
	tcase_add_test(tc, forwarding_of_others_stays);
	tcase_add_test(tc, forwarding_stays_while_another_bridge_is_there);
	tcase_add_test(tc, router_advertisements_stay_accepted);
	tcase_add_test(tc, ipv4_only_leaves_ipv6_alone);
	tcase_add_test(tc, second_new_keeps_running_containers);
	tcase_add_test(tc, new_repairs_what_is_missing);
	tcase_add_test(tc, attach_brings_a_lost_bridge_back);
	tcase_add_test(tc, foreign_link_of_the_bridge_s_name_is_refused);
	tcase_add_test(tc, dying_link_is_moved_away);
	tcase_add_test(tc, foreign_link_is_not_touched);
	tcase_add_test(tc, detach_deletes_and_missing_is_fine);
	tcase_add_test(tc, failed_attach_leaves_nothing);
	tcase_add_test(tc, attach_names_what_is_wrong);
	tcase_add_test(tc, addresses_change_while_it_runs);
	tcase_add_loop_test(tc, special_addresses_are_refused, 0, ARRAY_SIZE(bad_addrs));
	tcase_add_test(tc, odd_names_are_refused);
	tcase_add_test(tc, stats_are_the_containers);
	tcase_add_test(tc, default_pool_avoids_what_is_routed);
	tcase_add_test(tc, macs_differ_and_are_local);
	tcase_add_test(tc, attach_is_quick);
	tcase_add_test(tc, pinning_is_quick_and_sets_are_exact);
	srunner_run_all(sr, CK_ENV);
	failures = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failures ? 1 : 0;
}
