/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "test_net_lab.h"

#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if_arp.h>
#include <sys/ioctl.h>

/*
 * What root inside a container may put on the wire. Each row is one frame, built by hand and
 * sent through a packet socket; it either comes up on the host's bridge or is dropped and
 * counted. No frame may ever come out at the neighbour.
 */

enum who { OWN, OTHER, GATEWAY, NOBODY };	/* whose MAC or address a field carries */

enum kind { UDP4, UDP6, ARP, NEIGH6, ICMP6, RAW };

struct row {
	const char *name;
	enum kind kind;
	enum who mac, addr;	/* source MAC, source address (ARP: sender's) */
	enum who inner;		/* ARP: sender MAC; NEIGH6: target address */
	int a, b;		/* UDP: ports; ICMP6, NEIGH6: type; RAW: EtherType */
	bool passes;
};

static const struct row rows[] = {
	{ "own IPv4", UDP4, OWN, OWN, OWN, 1000, 2000, true },
	{ "own IPv4 from a foreign MAC", UDP4, OTHER, OWN, OWN, 1000, 2000, false },
	{ "own IPv4 from the gateway's MAC", UDP4, GATEWAY, OWN, OWN, 1000, 2000, false },
	{ "own IPv4 from no MAC", UDP4, NOBODY, OWN, OWN, 1000, 2000, false },
	{ "neighbour's IPv4", UDP4, OWN, OTHER, OWN, 1000, 2000, false },
	{ "gateway's IPv4", UDP4, OWN, GATEWAY, OWN, 1000, 2000, false },
	{ "IPv4 0.0.0.0", UDP4, OWN, NOBODY, OWN, 1000, 2000, false },
	{ "DHCP answer", UDP4, OWN, OWN, OWN, 67, 68, false },
	{ "own ARP", ARP, OWN, OWN, OWN, 0, 0, true },
	{ "ARP for the neighbour", ARP, OWN, OTHER, OWN, 0, 0, false },
	{ "ARP for the gateway", ARP, OWN, GATEWAY, OWN, 0, 0, false },
	{ "ARP with a foreign MAC inside", ARP, OWN, OWN, OTHER, 0, 0, false },
	{ "ARP with the gateway's MAC inside", ARP, OWN, OWN, GATEWAY, 0, 0, false },
	{ "own IPv6", UDP6, OWN, OWN, OWN, 1000, 2000, true },
	{ "neighbour's IPv6", UDP6, OWN, OTHER, OWN, 1000, 2000, false },
	{ "gateway's IPv6", UDP6, OWN, GATEWAY, OWN, 1000, 2000, false },
	{ "own IPv6 from a foreign MAC", UDP6, OTHER, OWN, OWN, 1000, 2000, false },
	{ "UDP from ::", UDP6, OWN, NOBODY, OWN, 1000, 2000, false },
	{ "DHCPv6 answer", UDP6, OWN, OWN, OWN, 547, 546, false },
	{ "router advertisement", ICMP6, OWN, OWN, OWN, 134, 0, false },
	{ "ICMPv6 redirect", ICMP6, OWN, OWN, OWN, 137, 0, false },
	{ "solicitation for itself", NEIGH6, OWN, OWN, OWN, 135, 0, true },
	{ "duplicate detection", NEIGH6, OWN, NOBODY, OWN, 135, 0, true },
	{ "advertisement of itself", NEIGH6, OWN, OWN, OWN, 136, 0, true },
	{ "advertisement of the neighbour", NEIGH6, OWN, OWN, OTHER, 136, 0, false },
	{ "advertisement of the gateway", NEIGH6, OWN, OWN, GATEWAY, 136, 0, false },
	{ "advertisement from ::", NEIGH6, OWN, NOBODY, OWN, 136, 0, false },
	{ "VLAN tag", RAW, OWN, OWN, OWN, 0x8100, 0, false },
	{ "provider VLAN tag", RAW, OWN, OWN, OWN, 0x88a8, 0, false },
	{ "802.3 length", RAW, OWN, OWN, OWN, 0x0040, 0, false },
	{ "RARP", RAW, OWN, OWN, OWN, 0x8035, 0, false },
	{ "PPPoE", RAW, OWN, OWN, OWN, 0x8864, 0, false },
	{ "EAPOL", RAW, OWN, OWN, OWN, 0x888e, 0, false },
	{ "MPLS", RAW, OWN, OWN, OWN, 0x8847, 0, false },
};

struct frame {
	uint8_t bytes[128];
	size_t len;
};

static uint8_t bridge_mac[6];

static void put(struct frame *f, const void *data, size_t len)
{
	ck_assert_uint_le(f->len + len, sizeof(f->bytes));
	memcpy(f->bytes + f->len, data, len);
	f->len += len;
}

static void put16(struct frame *f, unsigned int v)
{
	uint16_t n = htons((uint16_t)v);

	put(f, &n, 2);
}

static const uint8_t *mac_of(const struct lab *lab, enum who who)
{
	static const uint8_t nobody[6] = { 0x02, 0xde, 0xad, 0, 0, 1 };

	switch (who) {
	case OWN:
		return lab->ifs[0].mac;
	case OTHER:
		return lab->ifs[1].mac;
	case GATEWAY:
		return bridge_mac;
	case NOBODY:
	default:
		return nobody;
	}
}

static struct lg_addr addr_of(enum who who, int family)
{
	static const char *const v4[] = { "10.77.0.2", "10.77.0.3", LAB_GW4, "0.0.0.0" };
	static const char *const v6[] = { "fd77::2", "fd77::3", LAB_GW6, "::" };

	return lab_addr(family == AF_INET ? v4[who] : v6[who]);
}

static void put_addr(struct frame *f, enum who who, int family)
{
	struct lg_addr a = addr_of(who, family);
	size_t len;
	const void *bytes = lg_addr_bytes(&a, &len);

	put(f, bytes, len);
}

static void put_ip4(struct frame *f, const struct row *row, uint8_t proto, size_t payload)
{
	uint8_t head[8] = { 64, proto, 0, 0 };
	size_t at = f->len;
	uint16_t sum;

	put16(f, 0x4500);
	put16(f, (unsigned int)(20 + payload));
	put16(f, 0x1234);
	put16(f, 0);
	put(f, head, 4);
	put_addr(f, row->addr, AF_INET);
	put_addr(f, GATEWAY, AF_INET);
	sum = lab_checksum(f->bytes + at, 20, 0);
	memcpy(f->bytes + at + 10, &sum, 2);
}

static void put_ip6(struct frame *f, const struct row *row, uint8_t next, size_t payload)
{
	uint8_t head[] = { 0x60, 0, 0, 0, 0, (uint8_t)payload, next, 255 };

	put(f, head, sizeof(head));
	put_addr(f, row->addr, AF_INET6);
	put_addr(f, GATEWAY, AF_INET6);
}

static void put_udp(struct frame *f, const struct row *row)
{
	put16(f, (unsigned int)row->a);
	put16(f, (unsigned int)row->b);
	put16(f, 12);
	put16(f, 0);
	put(f, "spoo", 4);
}

static void put_arp(struct frame *f, const struct lab *lab, const struct row *row)
{
	static const uint8_t zero[6];

	put16(f, ARPHRD_ETHER);
	put16(f, ETHERTYPE_IP);
	put16(f, 0x0604);
	put16(f, ARPOP_REPLY);
	put(f, mac_of(lab, row->inner), 6);
	put_addr(f, row->addr, AF_INET);
	put(f, zero, 6);
	put_addr(f, GATEWAY, AF_INET);
}

static void put_icmp6(struct frame *f, const struct row *row)
{
	uint8_t head[8] = { (uint8_t)row->a };

	put(f, head, sizeof(head));
	put_addr(f, row->inner, AF_INET6);
}

static void build(struct frame *f, const struct lab *lab, const struct row *row)
{
	static const unsigned int types[] = {
		[UDP4] = ETHERTYPE_IP,	 [UDP6] = ETHERTYPE_IPV6,  [ARP] = ETHERTYPE_ARP,
		[NEIGH6] = ETHERTYPE_IPV6, [ICMP6] = ETHERTYPE_IPV6,
	};

	memset(f, 0, sizeof(*f));
	put(f, bridge_mac, 6);
	put(f, mac_of(lab, row->mac), 6);
	put16(f, row->kind == RAW ? (unsigned int)row->a : types[row->kind]);
	if (row->kind == UDP4)
		put_ip4(f, row, IPPROTO_UDP, 12);
	if (row->kind == UDP6)
		put_ip6(f, row, IPPROTO_UDP, 12);
	if (row->kind == NEIGH6 || row->kind == ICMP6)
		put_ip6(f, row, IPPROTO_ICMPV6, 24);
	if (row->kind == UDP4 || row->kind == UDP6)
		put_udp(f, row);
	else if (row->kind == NEIGH6 || row->kind == ICMP6)
		put_icmp6(f, row);
	else if (row->kind == ARP)
		put_arp(f, lab, row);
	else {
		/* Behind the tag a frame that would be fine without it. */
		struct row inner = rows[0];

		put16(f, 5);
		put16(f, ETHERTYPE_IP);
		put_ip4(f, &inner, IPPROTO_UDP, 12);
		put_udp(f, &inner);
	}
}

static int packet_socket(const struct lab *lab, int ns, const char *link)
{
	int fd = lab_socket(lab, ns, AF_PACKET, SOCK_RAW, htons(ETH_P_ALL));
	struct sockaddr_ll sll = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL) };
	struct ifreq ifr = { 0 };

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", link);
	ck_assert_int_eq(ioctl(fd, SIOCGIFINDEX, &ifr), 0);
	sll.sll_ifindex = ifr.ifr_ifindex;
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&sll, sizeof(sll)), 0);
	return fd;
}

static bool sees(int fd, const struct frame *f, int ms)
{
	double end = lab_now_us() + ms * 1e3;
	uint8_t buf[2048];

	do {
		while (lab_wait(fd, POLLIN, 5)) {
			ssize_t n = recv(fd, buf, sizeof(buf), 0);

			if (n >= (ssize_t)f->len && memcmp(buf, f->bytes, f->len) == 0)
				return true;
		}
	} while (lab_now_us() < end);
	return false;
}

static void read_bridge_mac(const struct lab *lab)
{
	int fd = lab_socket(lab, lab->host, AF_INET, SOCK_DGRAM, 0);
	struct ifreq ifr = { 0 };

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), LAB_BRIDGE);
	ck_assert_int_eq(ioctl(fd, SIOCGIFHWADDR, &ifr), 0);
	memcpy(bridge_mac, ifr.ifr_hwaddr.sa_data, 6);
	close(fd);
}

static void try_rows(struct lab *lab, const char *call_iptables)
{
	int tx = packet_socket(lab, lab->ct[0], "eth0");
	int up = packet_socket(lab, lab->host, LAB_BRIDGE);
	int side = packet_socket(lab, lab->ct[1], "eth0");

	lab_call_iptables(call_iptables);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct row *row = &rows[i];
		unsigned long before = lab_drops("bridge");
		struct frame f;

		build(&f, lab, row);
		ck_assert_int_eq(send(tx, f.bytes, f.len, 0), (ssize_t)f.len);
		if (row->passes) {
			ck_assert_msg(sees(up, &f, LAB_LONG_MS), "'%s' did not pass",
				      row->name);
			continue;
		}
		ck_assert_msg(!sees(up, &f, 20), "'%s' passed", row->name);
		ck_assert_msg(!sees(side, &f, 5), "'%s' reached the neighbour", row->name);
		ck_assert_msg(lab_drops("bridge") == before + 1, "'%s' was not counted",
			      row->name);
	}
	close(tx);
	close(up);
	close(side);
}

START_TEST(only_own_frames_pass)
{
	struct lab lab;

	lab_open(&lab);
	read_bridge_mac(&lab);
	/* Let the kernel's own first frames go by, so that the counters are ours. */
	ck_assert(lab_ping(&lab, lab.ct[0], LAB_GW6, LAB_LONG_MS));
	try_rows(&lab, "0");
	try_rows(&lab, "1");
	/* After all that the gateway and the neighbour are who they were. */
	ck_assert(lab_ping(&lab, lab.host, lab_ct4[1], LAB_LONG_MS));
	ck_assert(lab_ping(&lab, lab.host, lab_ct6[1], LAB_LONG_MS));
	ck_assert(lab_ping(&lab, lab.ct[1], LAB_INET4, LAB_LONG_MS));
	lab_close(&lab);
}
END_TEST

/*
 * Frames for 01:80:c2:00:00:0x go past the bridge's prerouting hook: the bridge must not learn
 * from them, or the neighbour's traffic would come here.
 */
START_TEST(link_local_frames_teach_nothing)
{
	static const uint8_t group[6] = { 0x01, 0x80, 0xc2, 0, 0, 0x0e };
	struct frame f = { 0 };
	struct lab lab;
	int tx, spy;

	lab_open(&lab);
	ck_assert(lab_ping(&lab, lab.host, lab_ct4[1], LAB_LONG_MS));
	tx = packet_socket(&lab, lab.ct[0], "eth0");
	spy = packet_socket(&lab, lab.ct[0], "eth0");
	put(&f, group, 6);
	put(&f, lab.ifs[1].mac, 6);
	put16(&f, 0x88cc);
	put(&f, "lldp", 4);
	for (int i = 0; i < 10; i++)
		ck_assert_int_eq(send(tx, f.bytes, f.len, 0), (ssize_t)f.len);
	memset(&f, 0, sizeof(f));
	put(&f, lab.ifs[1].mac, 6);	/* is a frame for the neighbour seen here? */
	ck_assert(lab_ping(&lab, lab.host, lab_ct4[1], LAB_LONG_MS));
	ck_assert(!sees(spy, &f, LAB_SHORT_MS));
	close(tx);
	close(spy);
	lab_close(&lab);
}
END_TEST

/* What the host sends to a MAC that no port has is not shown to the tenants. */
START_TEST(unknown_unicast_is_not_flooded)
{
	static const uint8_t unknown[6] = { 0x02, 0xde, 0xad, 0, 0, 2 };
	struct frame f = { 0 };
	struct lab lab;
	int tx, spy;

	lab_open(&lab);
	read_bridge_mac(&lab);
	tx = packet_socket(&lab, lab.host, LAB_BRIDGE);
	spy = packet_socket(&lab, lab.ct[0], "eth0");
	put(&f, unknown, 6);
	put(&f, bridge_mac, 6);
	put16(&f, ETHERTYPE_IP);
	put(&f, "not yours", 9);
	ck_assert_int_eq(send(tx, f.bytes, f.len, 0), (ssize_t)f.len);
	ck_assert(!sees(spy, &f, LAB_SHORT_MS));
	memcpy(f.bytes, lab.ifs[0].mac, 6);
	ck_assert_int_eq(send(tx, f.bytes, f.len, 0), (ssize_t)f.len);
	ck_assert(sees(spy, &f, LAB_LONG_MS));
	close(tx);
	close(spy);
	lab_close(&lab);
}
END_TEST

START_TEST(without_pins_nothing_passes)
{
	struct lab lab;

	lab_open(&lab);
	ck_assert(lab_ping(&lab, lab.ct[0], LAB_GW4, LAB_LONG_MS));
	lab_ok(lg_net_unpin(lab.net, lab.ifs[0].host_name, err));
	ck_assert(!lab_ping(&lab, lab.ct[0], LAB_GW4, LAB_SHORT_MS));
	ck_assert(lab_ping(&lab, lab.ct[1], LAB_GW4, LAB_LONG_MS));
	lab_ok(lg_net_pin(lab.net, &lab.ifs[0], err));
	ck_assert(lab_ping(&lab, lab.ct[0], LAB_GW4, LAB_LONG_MS));
	ck_assert(lab_ping(&lab, lab.ct[0], LAB_GW6, LAB_LONG_MS));
	lab_close(&lab);
}
END_TEST

/* A link that nobody pinned, for example one whose name was wrong, can send nothing. */
START_TEST(first_packet_is_checked)
{
	struct lab lab;
	unsigned long before;

	lab_prepare(&lab);
	lab_ok(lg_net_new(&lab.conf, &lab.net, err));
	before = lab_drops("bridge");
	lab_ok(lg_net_attach(lab.net, &lab.ifs[0], lab.ct[0], err));	/* not pinned */
	ck_assert(!lab_ping(&lab, lab.ct[0], LAB_GW4, LAB_SHORT_MS));
	ck_assert_uint_gt(lab_drops("bridge"), before);
	lab_close(&lab);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("net_spoof");
	TCase *tc = tcase_create("spoof");
	SRunner *sr = srunner_create(s);
	int failures;

	if (geteuid() != 0) {
		fprintf(stderr, "skipped: network namespaces need root\n");
		return 77;
	}
	suite_add_tcase(s, tc);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, only_own_frames_pass);
	tcase_add_test(tc, link_local_frames_teach_nothing);
	tcase_add_test(tc, unknown_unicast_is_not_flooded);
	tcase_add_test(tc, without_pins_nothing_passes);
	tcase_add_test(tc, first_packet_is_checked);
	srunner_run_all(sr, CK_ENV);
	failures = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failures ? 1 : 0;
}
