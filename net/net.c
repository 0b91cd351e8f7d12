/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "net/net.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/exit.h"
#include "net/addr.h"
#include "net/forward.h"
#include "net/private.h"
#include "net/rules.h"

static uint32_t hash_text(const char *text)
{
	uint32_t h = 2166136261u;

	for (; *text; text++)
		h = (h ^ (unsigned char)*text) * 16777619u;
	return h;
}

void lg_net_mac(const char *tag, uint32_t ctid, unsigned int index, bool host, uint8_t mac[6])
{
	/* xxxx h010: bit 1 says locally administered, bit 0 (multicast) must stay clear. */
	mac[0] = (uint8_t)((index & 0xf) << 4 | (host ? 0x08 : 0) | 0x02);
	mac[1] = (uint8_t)hash_text(tag);
	mac[2] = (uint8_t)(ctid >> 24);
	mac[3] = (uint8_t)(ctid >> 16);
	mac[4] = (uint8_t)(ctid >> 8);
	mac[5] = (uint8_t)ctid;
}

/* What goes into nft's language and into /proc paths: nothing there may mean anything else. */
static int check_word(const char *word, const char *what, struct lg_err *err)
{
	bool ok = isascii((unsigned char)word[0]) && isalpha((unsigned char)word[0]);

	for (const char *p = word; ok && *p; p++)
		ok = isascii((unsigned char)*p) &&
		     (isalnum((unsigned char)*p) || strchr("._-", *p));
	return ok ? 0 : lg_refuse(err, -EINVAL, LG_EXIT_BAD_VALUE,
				  "'%.32s' cannot be %s", word, what);
}

static int check_conf(const struct lg_net_conf *conf, bool ipv6, struct lg_err *err)
{
	int r = check_word(conf->bridge, "a bridge's name", err);

	if (r == 0)
		r = check_word(conf->table, "an nftables table's name", err);
	if (r == 0 && !conf->gw4.family && !conf->gw6.family)
		r = lg_refuse(err, -EINVAL, LG_EXIT_BAD_CONF,
			      "the network has neither IPv4 nor IPv6: set NETWORK in "
			      "lodge.conf");
	if (r == 0 && conf->gw6.family && !ipv6)
		r = lg_refuse(err, -EAFNOSUPPORT, LG_EXIT_BAD_CONF,
			      "this host's kernel has no IPv6: set NETWORK6=\"none\" in "
			      "lodge.conf");
	return r;
}

/* ---- bridge ---- */

/* The highest bits say "bridge", which no instance's MAC does (index is 0 to 9). */
static void bridge_mac(const char *name, uint8_t mac[6])
{
	uint32_t h = hash_text(name);

	mac[0] = 0xf2;
	mac[1] = 0x6c;
	memcpy(mac + 2, &h, sizeof(h));
}

static int ensure_bridge(struct lg_net *net, struct lg_link *ret, struct lg_err *err)
{
	const char *name = net->conf.bridge;
	uint8_t mac[6];
	int r = lg_link_find(&net->nl, name, false, ret, err);

	if (r == 0 && strcmp(ret->kind, "bridge") != 0)
		return lg_refuse(err, -EEXIST, 0,
				 "link %s is there and is not a bridge: rename or remove it",
				 name);
	if (r < 0 && r != -ENODEV)
		return r;
	bridge_mac(name, mac);
	r = lg_link_bridge(&net->nl, name, mac, err);
	return r < 0 ? r : lg_link_find(&net->nl, name, false, ret, err);
}

static void put_gateway(struct lg_net *net, const struct lg_addr *gw)
{
	if (gw->family)
		lg_addr_put(&net->nl, net->bridge, gw);
}

static int put_all_neighbours(struct lg_net *net, struct lg_err *err)
{
	lg_autofree const struct lg_pin **list = lg_pins_list(&net->pins);

	if (!list)
		return lg_fail(err, -ENOMEM, "list the pins");
	for (unsigned int i = 0; i < net->pins.n; i++)
		lg_net_put_neighbours(net, list[i]);
	return lg_nl_run(&net->nl, NULL, NULL, err);
}

int lg_net_repair(struct lg_net *net, struct lg_err *err)
{
	struct lg_link bridge = { 0 };
	int r = ensure_bridge(net, &bridge, err);

	if (r < 0)
		return r;
	net->bridge = bridge.index;
	r = lg_forward_bridge(&net->conf, err);
	if (r < 0)
		return r;
	lg_link_put_up(&net->nl, net->bridge, true, net->conf.bridge);
	put_gateway(net, &net->conf.gw4);
	put_gateway(net, &net->conf.gw6);
	r = lg_nl_run(&net->nl, NULL, NULL, err);
	return r < 0 ? r : put_all_neighbours(net, err);
}

bool lg_net_is_ours(const struct lg_net *net, const struct lg_link *link)
{
	return (strcmp(link->kind, "veth") == 0 || strcmp(link->kind, "tun") == 0) && link->group == net->group &&
	       (link->master == net->bridge || link->master == 0);
}

/* ---- tables ---- */

/*
 * Takes over the pins of a table that is there. A set that another version made differently is
 * skipped.
 */
static int read_pins(struct lg_net *net, struct lg_err *err)
{
	lg_autofree char *tables = NULL;
	char line[64];
	int r = lg_nft_ask(net->nft, "list tables bridge", &tables, err);

	if (r < 0)
		return r;
	snprintf(line, sizeof(line), "table bridge %s\n", net->conf.table);
	if (!strstr(tables, line))
		return 0;
	for (unsigned int i = 0; lg_rules_sets[i]; i++) {
		lg_autofree char *text = NULL;
		char ask[96];

		snprintf(ask, sizeof(ask), "list set bridge %s %s", net->conf.table,
			 lg_rules_sets[i]);
		if (lg_nft_ask(net->nft, ask, &text, NULL) == 0 &&
		    lg_pins_read_set(&net->pins, text) < 0)
			return lg_fail(err, -ENOMEM, "read the pins");
	}
	return 0;
}

static int make_tables(struct lg_net *net, struct lg_err *err)
{
	lg_autofree const struct lg_pin **list = lg_pins_list(&net->pins);
	lg_autofree char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	if (!f || !list) {
		if (f)
			fclose(f);
		return lg_fail(err, -ENOMEM, "write the firewall rules");
	}
	lg_rules_write(f, &net->conf, net->group);
	lg_rules_write_pins(f, net->conf.table, "add", list, net->pins.n);
	if (fclose(f) != 0)
		return lg_fail(err, -ENOMEM, "write the firewall rules");
	return lg_nft_run(net->nft, text, "make the firewall tables", err);
}

/* ---- new, free, remove ---- */

static int set_up(struct lg_net *net, struct lg_err *err)
{
	int r = check_conf(&net->conf, net->ipv6, err);

	if (r < 0)
		return r;
	net->home_fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	if (net->home_fd < 0)
		return lg_fail(err, -errno, "open the host's network namespace");
	r = lg_nl_open(&net->nl, err);
	if (r == 0)
		r = lg_nft_new(&net->nft, err);
	if (r == 0)
		r = read_pins(net, err);
	/* Rules first: there is no moment with a bridge that nothing guards. */
	if (r == 0)
		r = make_tables(net, err);
	if (r == 0)
		r = lg_net_repair(net, err);
	if (r == 0)
		r = lg_forward_on(&net->conf, err);
	return r;
}

int lg_net_new(const struct lg_net_conf *conf, struct lg_net **ret, struct lg_err *err)
{
	struct lg_net *net = calloc(1, sizeof(*net));
	int r;

	if (!net)
		return lg_fail(err, -ENOMEM, "set up network %s", conf->bridge);
	net->conf = *conf;
	net->home_fd = -1;
	net->group = (hash_text(conf->table) & 0x3fffffffu) | 0x40000000u;
	net->ipv6 = access("/proc/sys/net/ipv6", F_OK) == 0;
	r = set_up(net, err);
	if (r < 0) {
		lg_net_free(net);
		return lg_within(err, r, "set up network %s", conf->bridge);
	}
	*ret = net;
	return 0;
}

void lg_net_free(struct lg_net *net)
{
	if (!net)
		return;
	lg_pins_clear(&net->pins);
	lg_nft_free(net->nft);
	lg_nl_close(&net->nl);
	lg_close(net->home_fd);
	free(net);
}

struct bridges {
	int ours, others;
};

static void count_bridge(const struct nlmsghdr *msg, void *arg)
{
	struct bridges *seen = arg;
	struct lg_link link = { 0 };

	lg_link_read(msg, &link);
	if (strcmp(link.kind, "bridge") == 0 && link.index != seen->ours)
		seen->others++;
}

static int remove_tables(struct lg_net *net, struct lg_err *err)
{
	lg_autofree char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		return lg_fail(err, -ENOMEM, "remove the firewall tables");
	lg_rules_write_removal(f, &net->conf);
	if (fclose(f) != 0)
		return lg_fail(err, -ENOMEM, "remove the firewall tables");
	return lg_nft_run(net->nft, text, "remove the firewall tables", err);
}

static int remove_bridge(struct lg_net *net, struct lg_err *err)
{
	struct lg_link bridge;
	int r = lg_link_find(&net->nl, net->conf.bridge, false, &bridge, err);

	if (r == 0 && strcmp(bridge.kind, "bridge") == 0)
		r = lg_link_delete(&net->nl, bridge.index, net->conf.bridge, err);
	return r == -ENODEV ? 0 : r;
}

static int put_back_forwarding(struct lg_net *net, struct lg_err *err)
{
	struct ifinfomsg any = { .ifi_family = AF_UNSPEC };
	struct bridges seen = { .ours = net->bridge };
	int r = lg_nl_dump(&net->nl, RTM_GETLINK, &any, sizeof(any), count_bridge, &seen, err);

	return r < 0 ? r : lg_forward_off(&net->conf, seen.others > 0, err);
}

static int remove_links(struct lg_net *net, struct lg_err *err)
{
	return lg_link_delete_group(&net->nl, net->group, err);
}

int lg_net_remove(struct lg_net *net, struct lg_err *err)
{
	static int (*const parts[])(struct lg_net *net, struct lg_err *err) = {
		remove_links, remove_bridge, remove_tables, put_back_forwarding,
	};
	int first = 0;

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		int r = parts[i](net, first ? NULL : err);

		if (r < 0 && !first)
			first = r;
	}
	lg_pins_clear(&net->pins);
	return first ? lg_within(err, first, "remove network %s", net->conf.bridge) : 0;
}
