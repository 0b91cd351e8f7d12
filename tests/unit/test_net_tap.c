/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "test_net_lab.h"

#include <net/ethernet.h>

#define HEADER 12	/* of virtio-net, on each packet */
#define OWNER 100000u

/* The link of a microVM: the same port as a container's, and its other end is a descriptor. */

static struct lg_link link_of(const char *name)
{
	struct lg_link link = { 0 };
	struct lg_nl nl;

	lab_ok(lg_nl_open(&nl, err));
	if (lg_link_find(&nl, name, false, &link, NULL) < 0)
		link.index = 0;
	lg_nl_close(&nl);
	return link;
}

static void open_tap(struct lab *lab, int *fd)
{
	lab_prepare(lab);
	lab_ok(lg_net_new(&lab->conf, &lab->net, err));
	lab_ok(lg_net_pin(lab->net, &lab->ifs[0], err));
	lab_ok(lg_net_tap(lab->net, &lab->ifs[0], OWNER, fd, err));
}

/* Waits for a frame of EtherType @type that the guest would get. */
static bool comes(int fd, uint16_t type, uint8_t frame[2048])
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	while (poll(&p, 1, LAB_LONG_MS) == 1) {
		ssize_t n = read(fd, frame, 2048);
		uint16_t got;

		if (n < HEADER + ETH_HLEN)
			continue;
		memcpy(&got, frame + HEADER + 12, sizeof(got));
		if (ntohs(got) == type)
			return true;
	}
	return false;
}

static void send_udp(const struct lab *lab)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(9), .sin_addr = lab->addrs[0][0].v4 };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	ck_assert_int_eq(sendto(fd, "x", 1, 0, (struct sockaddr *)&to, sizeof(to)), 1);
	close(fd);
}

START_TEST(it_is_a_port_like_a_containers)
{
	struct lab lab;
	struct lg_link tap, bridge;
	char path[80], got[32];
	int fd;

	open_tap(&lab, &fd);
	tap = link_of(lab.ifs[0].host_name);
	bridge = link_of(LAB_BRIDGE);
	ck_assert_int_ne(tap.index, 0);
	ck_assert_str_eq(tap.kind, "tun");
	ck_assert_int_eq(tap.master, bridge.index);
	ck_assert_uint_ne(tap.group, 0);
	ck_assert(tap.flags & IFF_UP);
	snprintf(path, sizeof(path), "/sys/class/net/%s/brport/isolated", lab.ifs[0].host_name);
	if (access(path, R_OK) == 0) {
		lab_read(path, got, sizeof(got));
		ck_assert_str_eq(got, "1");
	}
	close(fd);
	lab_close(&lab);
}
END_TEST

/* The bridge and the neighbours know where it is: the host sends to it without asking. */
START_TEST(what_the_host_sends_arrives_with_its_mac)
{
	uint8_t frame[2048];
	struct lab lab;
	int fd;

	open_tap(&lab, &fd);
	send_udp(&lab);
	ck_assert(comes(fd, ETHERTYPE_IP, frame));
	ck_assert_mem_eq(frame + HEADER, lab.ifs[0].mac, 6);
	close(fd);
	lab_close(&lab);
}
END_TEST

/* An ARP request for the gateway, from @mac and @addr. */
static void send_arp(int fd, const uint8_t mac[6], struct in_addr addr)
{
	uint8_t f[HEADER + 42] = { 0 };
	static const uint8_t fixed[8] = { 0, 1, 8, 0, 6, 4, 0, 1 };
	struct lg_addr gw = lab_addr(LAB_GW4);

	memset(f + HEADER, 0xff, 6);
	memcpy(f + HEADER + 6, mac, 6);
	f[HEADER + 12] = 8;
	f[HEADER + 13] = 6;
	memcpy(f + HEADER + 14, fixed, sizeof(fixed));
	memcpy(f + HEADER + 22, mac, 6);
	memcpy(f + HEADER + 28, &addr, 4);
	memcpy(f + HEADER + 38, &gw.v4, 4);
	ck_assert_int_eq(write(fd, f, sizeof(f)), (ssize_t)sizeof(f));
}

START_TEST(only_its_own_mac_and_address_pass)
{
	struct lab lab;
	uint8_t frame[2048];
	unsigned long before;
	int fd;

	open_tap(&lab, &fd);
	before = lab_drops("bridge");
	send_arp(fd, lab.ifs[1].mac, lab.addrs[0][0].v4);
	send_arp(fd, lab.ifs[0].mac, lab.addrs[1][0].v4);
	ck_assert_uint_eq(lab_drops("bridge"), before + 2);
	send_arp(fd, lab.ifs[0].mac, lab.addrs[0][0].v4);
	ck_assert(comes(fd, ETHERTYPE_ARP, frame));
	ck_assert_int_eq(frame[HEADER + 21], 2);	/* the gateway's answer */
	close(fd);
	lab_close(&lab);
}
END_TEST

START_TEST(it_goes_with_its_descriptor)
{
	struct lab lab;
	int fd, again;

	open_tap(&lab, &fd);
	close(fd);
	ck_assert_int_eq(link_of(lab.ifs[0].host_name).index, 0);
	lab_ok(lg_net_tap(lab.net, &lab.ifs[0], OWNER, &again, err));
	lg_net_detach(lab.net, lab.ifs[0].host_name);
	ck_assert_int_eq(link_of(lab.ifs[0].host_name).index, 0);
	close(again);
	lab_close(&lab);
}
END_TEST

/* What had the name before (a container's link, a QEMU that is still dying) goes under another. */
START_TEST(a_dying_link_is_moved_away)
{
	struct lab lab;
	int fd, first;

	lab_prepare(&lab);
	lab_ok(lg_net_new(&lab.conf, &lab.net, err));
	lab_ok(lg_net_attach(lab.net, &lab.ifs[0], lab.ct[0], err));
	lab_ok(lg_net_tap(lab.net, &lab.ifs[0], OWNER, &first, err));
	lab_ok(lg_net_tap(lab.net, &lab.ifs[0], OWNER, &fd, err));
	ck_assert_str_eq(link_of(lab.ifs[0].host_name).kind, "tun");
	close(first);
	ck_assert_int_ne(link_of(lab.ifs[0].host_name).index, 0);
	close(fd);
	lab_close(&lab);
}
END_TEST

START_TEST(a_foreign_link_is_not_touched)
{
	static const uint8_t mac[6] = { 2, 9, 9, 9, 9, 9 };
	struct lg_err why = { 0 };
	struct lg_nl nl;
	struct lab lab;
	int fd = -1;

	lab_prepare(&lab);
	lab_ok(lg_net_new(&lab.conf, &lab.net, err));
	lab_ok(lg_nl_open(&nl, err));
	lab_ok(lg_link_bridge(&nl, lab.ifs[0].host_name, mac, err));
	lg_nl_close(&nl);
	ck_assert_int_eq(lg_net_tap(lab.net, &lab.ifs[0], OWNER, &fd, &why), -EEXIST);
	ck_assert_int_eq(fd, -1);
	ck_assert_str_eq(link_of(lab.ifs[0].host_name).kind, "bridge");
	lab_close(&lab);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("net_tap");
	TCase *tc = tcase_create("tap");
	SRunner *sr = srunner_create(s);
	int failures;

	if (geteuid() != 0 || access("/dev/net/tun", R_OK | W_OK) < 0) {
		fprintf(stderr, "skipped: taps need root and /dev/net/tun\n");
		return 77;
	}
	suite_add_tcase(s, tc);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, it_is_a_port_like_a_containers);
	tcase_add_test(tc, what_the_host_sends_arrives_with_its_mac);
	tcase_add_test(tc, only_its_own_mac_and_address_pass);
	tcase_add_test(tc, it_goes_with_its_descriptor);
	tcase_add_test(tc, a_dying_link_is_moved_away);
	tcase_add_test(tc, a_foreign_link_is_not_touched);
	srunner_run_all(sr, CK_ENV);
	failures = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failures ? 1 : 0;
}
