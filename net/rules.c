/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "net/rules.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "lib/cleanup.h"

/*
 * How it works
 *
 * Table "bridge NAME" says what may come in from an instance's port. Which ports are an
 * instance's is told by the link group: it is set when the link is made, survives renaming and
 * is one comparison (the bridge's name would need "meta ibrname", which not every kernel has).
 * Everything is a list of what may pass, with a drop behind it: a frame too odd for a rule to
 * read is dropped too. The hook is prerouting at -300 (the bridge family's "dstnat"): before
 * the bridge learns, looks up or delivers anything, and before br_netfilter (0) shows the
 * packet to the inet hooks.
 *
 *   macs      port . MAC           Ethernet source, ARP sender MAC
 *   addrs4    port . IPv4          IP source, ARP sender address
 *   addrs6    port . IPv6          IP source; with the link-local address made of the MAC
 *   targets6  port . IPv6          the address a neighbour advertisement speaks for. As a raw
 *                                  number: nft of Debian 12 has no name for that field
 *
 * Table "inet NAME" says who may talk through and to the host. Its hooks have the usual
 * priorities (raw -300, filter 0, srcnat 100) and accept whatever is not of our bridge, so that
 * other rule sets on the host are asked as before. Frames that br_netfilter shows to the
 * forward hook while they are bridged carry our bridge on both sides; ports are isolated, so
 * there are none, and the rule against hairpins fits them as well.
 */

const char *const lg_rules_sets[] = { "macs", "addrs4", "addrs6", "targets6", NULL };

static void write_bridge_table(FILE *f, const char *t, uint32_t group)
{
	fprintf(f,
		"table bridge %s {\n"
		"set macs { type ifname . ether_addr; }\n"
		"set addrs4 { type ifname . ipv4_addr; }\n"
		"set addrs6 { type ifname . ipv6_addr; }\n"
		"set targets6 { typeof meta iifname . @th,64,128; }\n"
		"chain from_arp {\n"
		"  iifname . arp saddr ether @macs iifname . arp saddr ip @addrs4 accept\n"
		"  counter drop\n"
		"}\n"
		"chain from_ip {\n"
		"  udp sport 67 udp dport 68 counter drop\n"
		"  iifname . ip saddr @addrs4 accept\n"
		"  counter drop\n"
		"}\n"
		"chain from_ip6 {\n"
		"  icmpv6 type { nd-router-advert, nd-redirect } counter drop\n"
		"  ip6 saddr :: icmpv6 type mld2-listener-report drop\n"
		"  udp sport 547 udp dport 546 counter drop\n"
		"  icmpv6 type nd-neighbor-advert iifname . @th,64,128 != @targets6 "
		"counter drop\n"
		"  iifname . ip6 saddr @addrs6 accept\n"
		"  ip6 saddr :: icmpv6 type nd-neighbor-solicit accept\n"
		"  counter drop\n"
		"}\n",
		t);
	fprintf(f,
		"chain from_instance {\n"
		"  iifname . ether saddr != @macs counter drop\n"
		"  ether type vmap { ip : goto from_ip, arp : goto from_arp, "
		"ip6 : goto from_ip6 }\n"
		"  counter drop\n"
		"}\n"
		"chain prerouting {\n"
		"  type filter hook prerouting priority -300; policy accept;\n"
		"  iifgroup %" PRIu32 " goto from_instance\n"
		"}\n"
		"}\n",
		group);
}

/*
 * A packet for another tenant is refused before routing, because there the kernel would first
 * advise a redirect and then be silent for a second (its limit of messages to one host).
 */
static void write_refusal(FILE *f, const struct lg_addr *gw, const char *family)
{
	char net[LG_ADDR_TEXT], own[LG_ADDR_TEXT];

	lg_format_addr(gw, true, net);
	lg_format_addr(gw, false, own);
	fprintf(f, "  %s daddr %s %s daddr != %s goto refuse\n", family, net, family, own);
}

static void write_nat(FILE *f, const struct lg_net_conf *conf, const struct lg_addr *gw,
		      const char *family)
{
	char net[LG_ADDR_TEXT];

	/* nft masks the address itself: a gateway with its prefix names the pool. */
	lg_format_addr(gw, true, net);
	fprintf(f, "  %s saddr %s oifname != \"%s\" masquerade\n", family, net, conf->bridge);
}

static void write_to_host(FILE *f, bool host_access)
{
	fprintf(f,
		"chain to_host {\n"
		"  ct state established,related accept\n"
		"  jump flows\n"
		"  icmp type echo-request accept\n"
		"  icmpv6 type { echo-request, nd-neighbor-solicit, nd-neighbor-advert } "
		"accept\n"
		"  %s\n"
		"}\n",
		host_access ? "accept" : "counter drop");
}

static void write_early(FILE *f, const struct lg_net_conf *conf)
{
	/* A reset, because a connecting socket misses an ICMP error that is back too soon. */
	fprintf(f,
		"chain refuse {\n"
		"  meta l4proto tcp counter reject with tcp reset\n"
		"  counter reject with icmpx type admin-prohibited\n"
		"}\n"
		"chain early {\n");
	if (conf->gw4.family)
		write_refusal(f, &conf->gw4, "ip");
	if (conf->gw6.family)
		write_refusal(f, &conf->gw6, "ip6");
	fprintf(f,
		"}\n"
		"chain prerouting {\n"
		"  type filter hook prerouting priority -300; policy accept;\n"
		"  iifname \"%s\" goto early\n"
		"}\n",
		conf->bridge);
}

/*
 * The host tracks every connection that it forwards or answers, in one table: who fills it cuts all others
 * off. So each address of an instance has so many, open or remembered, and no more begin.
 */
static void write_flows(FILE *f, unsigned int max)
{
	static const struct {
		const char *set, *type, *family;
	} rows[] = {
		{ "flows4", "ipv4_addr", "ip" },
		{ "flows6", "ipv6_addr", "ip6" },
	};

	for (size_t i = 0; max && i < ARRAY_SIZE(rows); i++)
		fprintf(f, "set %s { type %s; size 65535; flags dynamic; }\n", rows[i].set,
			rows[i].type);
	fprintf(f, "chain flows {\n");
	for (size_t i = 0; max && i < ARRAY_SIZE(rows); i++)
		fprintf(f, "  add @%s { %s saddr ct count over %u } counter drop\n", rows[i].set,
			rows[i].family, max);
	fprintf(f, "}\n");
}

static void write_inet_table(FILE *f, const struct lg_net_conf *conf)
{
	const char *br = conf->bridge;

	fprintf(f, "table inet %s {\n", conf->table);
	write_flows(f, conf->flows_max);
	write_early(f, conf);
	fprintf(f,
		"chain from_bridge {\n"
		"  oifname \"%s\" goto refuse\n"
		"  ct state new jump flows\n"
		"  accept\n"
		"}\n"
		"chain to_bridge {\n"
		"  ct state established,related accept\n"
		"  ct status dnat accept\n"
		"  counter drop\n"
		"}\n",
		br);
	write_to_host(f, conf->host_access);
	fprintf(f,
		"chain forward {\n"
		"  type filter hook forward priority 0; policy accept;\n"
		"  iifname \"%s\" goto from_bridge\n"
		"  oifname \"%s\" goto to_bridge\n"
		"}\n"
		"chain input {\n"
		"  type filter hook input priority 0; policy accept;\n"
		"  iifname \"%s\" goto to_host\n"
		"}\n"
		"chain postrouting {\n"
		"  type nat hook postrouting priority 100; policy accept;\n",
		br, br, br);
	if (conf->nat4 && conf->gw4.family)
		write_nat(f, conf, &conf->gw4, "ip");
	if (conf->nat6 && conf->gw6.family)
		write_nat(f, conf, &conf->gw6, "ip6");
	fprintf(f, "}\n}\n");
}

void lg_rules_write_removal(FILE *f, const struct lg_net_conf *conf)
{
	/* To add what is there already is fine, so that deleting it cannot fail. */
	fprintf(f, "add table inet %s\ndelete table inet %s\n", conf->table, conf->table);
	fprintf(f, "add table bridge %s\ndelete table bridge %s\n", conf->table, conf->table);
}

void lg_rules_write(FILE *f, const struct lg_net_conf *conf, uint32_t group)
{
	lg_rules_write_removal(f, conf);
	write_bridge_table(f, conf->table, group);
	write_inet_table(f, conf);
}

/* The command's text is begun by its first element: a set without one must not be named. */
struct elements {
	FILE *f;
	const char *table, *verb, *set;
	bool begun;
};

static void write_element(struct elements *e, const struct lg_pin *pin, const char *value)
{
	if (!e->begun)
		fprintf(e->f, "%s element bridge %s %s { ", e->verb, e->table, e->set);
	fprintf(e->f, "%s\"%s\" . %s", e->begun ? ", " : "", pin->name, value);
	e->begun = true;
}

static void write_mac(struct elements *e, const struct lg_pin *pin)
{
	const uint8_t *m = pin->mac;
	char text[18];

	snprintf(text, sizeof(text), "%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3],
		 m[4], m[5]);
	write_element(e, pin, text);
}

static void write_v4(struct elements *e, const struct lg_pin *pin)
{
	char text[LG_ADDR_TEXT];

	for (unsigned int i = 0; i < pin->naddrs; i++)
		if (pin->addrs[i].family == AF_INET) {
			lg_format_addr(&pin->addrs[i], false, text);
			write_element(e, pin, text);
		}
}

static void link_local(const uint8_t mac[6], struct lg_addr *ret)
{
	uint8_t *a = ret->v6.s6_addr;

	memset(ret, 0, sizeof(*ret));
	ret->family = AF_INET6;
	ret->prefix = 128;
	a[0] = 0xfe;
	a[1] = 0x80;
	memcpy(a + 8, mac, 3);
	a[8] ^= 2;
	a[11] = 0xff;
	a[12] = 0xfe;
	memcpy(a + 13, mac + 3, 3);
}

static void write_one_v6(struct elements *e, const struct lg_pin *pin,
			 const struct lg_addr *addr, bool raw)
{
	char text[LG_ADDR_TEXT];

	lg_format_addr(addr, false, text);
	if (raw) {
		snprintf(text, sizeof(text), "0x");
		for (unsigned int i = 0; i < 16; i++)
			snprintf(text + 2 + 2 * i, sizeof(text) - 2 - 2 * i, "%02x",
				 addr->v6.s6_addr[i]);
	}
	write_element(e, pin, text);
}

static void write_v6(struct elements *e, const struct lg_pin *pin, bool raw)
{
	struct lg_addr own;

	link_local(pin->mac, &own);
	write_one_v6(e, pin, &own, raw);
	for (unsigned int i = 0; i < pin->naddrs; i++)
		if (pin->addrs[i].family == AF_INET6)
			write_one_v6(e, pin, &pin->addrs[i], raw);
}

static void write_addrs6(struct elements *e, const struct lg_pin *pin)
{
	write_v6(e, pin, false);
}

static void write_targets6(struct elements *e, const struct lg_pin *pin)
{
	write_v6(e, pin, true);
}

void lg_rules_write_pins(FILE *f, const char *table, const char *verb,
			 const struct lg_pin *const *pins, unsigned int n)
{
	static void (*const writers[])(struct elements *e, const struct lg_pin *pin) = {
		write_mac, write_v4, write_addrs6, write_targets6,	/* as lg_rules_sets */
	};

	for (unsigned int set = 0; lg_rules_sets[set]; set++) {
		struct elements e = { f, table, verb, lg_rules_sets[set], false };

		for (unsigned int i = 0; i < n; i++)
			writers[set](&e, pins[i]);
		if (e.begun)
			fprintf(f, " }\n");
	}
}
