/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "net/net.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/cleanup.h"
#include "lib/exit.h"
#include "net/addr.h"
#include "net/private.h"
#include "net/rules.h"

/*
 * What the host knows of an address while it is pinned: where it is (a neighbour entry that no
 * ARP or neighbour advertisement changes, and that does not count against the kernel's limit of
 * learnt ones), and, for one outside the pool, that it is on the bridge at all.
 */

static bool in_pool(const struct lg_net *net, const struct lg_addr *addr)
{
	return lg_addr_inside(addr, &net->conf.gw4) || lg_addr_inside(addr, &net->conf.gw6);
}

static struct lg_addr host_route(const struct lg_addr *addr)
{
	struct lg_addr one = *addr;

	one.prefix = addr->family == AF_INET ? 32 : 128;
	return one;
}

void lg_net_put_neighbours(struct lg_net *net, const struct lg_pin *pin)
{
	for (unsigned int i = 0; i < pin->naddrs; i++) {
		struct lg_addr one = host_route(&pin->addrs[i]);

		if (one.family == AF_INET6 && !net->ipv6)
			continue;
		lg_neigh_put(&net->nl, net->bridge, &one, pin->mac);
		if (!in_pool(net, &one))
			lg_route_put(&net->nl, net->bridge, &one);
	}
}

/* Takes back what @old put and @new (may be NULL) does not put. */
static void put_forget(struct lg_net *net, const struct lg_pin *old, const struct lg_pin *new)
{
	for (unsigned int i = 0; i < old->naddrs; i++) {
		struct lg_addr one = host_route(&old->addrs[i]);

		if (new && lg_pin_has(new, &one))
			continue;
		lg_neigh_put_remove(&net->nl, net->bridge, &one);
		if (!in_pool(net, &one))
			lg_route_put_remove(&net->nl, net->bridge, &one);
	}
}

/* ---- checks ---- */

static bool is_ordinary(const struct lg_addr *a)
{
	uint32_t v4 = ntohl(a->v4.s_addr);

	if (a->family == AF_INET)
		return v4 >> 24 != 0 && v4 >> 24 != 127 && v4 < 0xe0000000u;
	return a->family == AF_INET6 && !IN6_IS_ADDR_UNSPECIFIED(&a->v6) &&
	       !IN6_IS_ADDR_LOOPBACK(&a->v6) && !IN6_IS_ADDR_MULTICAST(&a->v6) &&
	       !IN6_IS_ADDR_LINKLOCAL(&a->v6) && !IN6_IS_ADDR_V4MAPPED(&a->v6);
}

static int check_addr(const struct lg_net *net, const struct lg_addr *addr, struct lg_err *err)
{
	char text[LG_ADDR_TEXT];

	if (is_ordinary(addr) && !lg_addr_equal(addr, &net->conf.gw4) &&
	    !lg_addr_equal(addr, &net->conf.gw6))
		return 0;
	lg_format_addr(addr, false, text);
	return lg_refuse(err, -EINVAL, LG_EXIT_BAD_IP, "%s cannot be an instance's address: %s",
			 text, is_ordinary(addr) ? "it is the gateway's"
						 : "it is a special one");
}

static int check_ifc(const struct lg_net *net, const struct lg_net_if *ifc, struct lg_err *err)
{
	size_t len = strnlen(ifc->host_name, sizeof(ifc->host_name));
	int r = 0;

	if (len == 0 || len == sizeof(ifc->host_name))
		return lg_refuse(err, -EINVAL, 0, "a link's name has 1 to 15 characters");
	for (size_t i = 0; i < len; i++)
		if (!isascii((unsigned char)ifc->host_name[i]) ||
		    (!isalnum((unsigned char)ifc->host_name[i]) &&
		     !strchr("._-", ifc->host_name[i])))
			return lg_refuse(err, -EINVAL, 0, "'%s' cannot be a link's name",
					 ifc->host_name);
	if (ifc->naddrs > LG_PIN_ADDRS_MAX)
		return lg_refuse(err, -E2BIG, LG_EXIT_CANNOT_ADD_IP,
				 "%s: an interface has at most %u addresses", ifc->host_name,
				 LG_PIN_ADDRS_MAX);
	for (unsigned int i = 0; r == 0 && i < ifc->naddrs; i++)
		r = check_addr(net, &ifc->addrs[i], err);
	return r;
}

static int make_pin(const struct lg_net *net, const struct lg_net_if *ifc, struct lg_pin **ret,
		    struct lg_err *err)
{
	int r = check_ifc(net, ifc, err);

	if (r < 0)
		return r;
	*ret = lg_pin_new(ifc->host_name, ifc->mac, ifc->addrs, ifc->naddrs);
	return *ret ? 0 : lg_fail(err, -ENOMEM, "pin %s", ifc->host_name);
}

/* ---- one ---- */

/*
 * @old's elements out, @new's in (either may be NULL), in one transaction. What is to be
 * deleted is added before, so that one that somebody flushed does not make it fail.
 */
static int swap_elements(struct lg_net *net, const struct lg_pin *old, const struct lg_pin *new,
			 struct lg_err *err)
{
	const char *table = net->conf.table;
	lg_autofree char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		return lg_fail(err, -ENOMEM, "pin %s", old ? old->name : new->name);
	if (old) {
		lg_rules_write_pins(f, table, "add", &old, 1);
		lg_rules_write_pins(f, table, "delete", &old, 1);
	}
	if (new)
		lg_rules_write_pins(f, table, "add", &new, 1);
	if (fclose(f) != 0)
		return lg_fail(err, -ENOMEM, "pin the addresses");
	return lg_nft_run(net->nft, text, "pin the addresses", err);
}

/* Somebody may have taken our bridge away or flushed it: then make it anew. */
static int tell_host(struct lg_net *net, const struct lg_pin *old, const struct lg_pin *new,
		     struct lg_err *err)
{
	int r;

	if (old)
		put_forget(net, old, new);
	if (new)
		lg_net_put_neighbours(net, new);
	r = lg_nl_run(&net->nl, NULL, NULL, err);
	if (r == 0 || !new)
		return r;
	r = lg_net_repair(net, err);
	if (r < 0)
		return r;
	lg_net_put_neighbours(net, new);
	return lg_nl_run(&net->nl, NULL, NULL, err);
}

int lg_net_pin(struct lg_net *net, const struct lg_net_if *ifc, struct lg_err *err)
{
	lg_autofree struct lg_pin *new = NULL;
	const struct lg_pin *old;
	int r = make_pin(net, ifc, &new, err);

	if (r < 0)
		return r;
	old = lg_pins_find(&net->pins, new->name);
	if (old && lg_pin_equal(old, new))
		return 0;
	r = swap_elements(net, old, new, err);
	if (r == 0)
		r = tell_host(net, old, new, err);
	if (r == 0 && lg_pins_put(&net->pins, new) < 0)
		r = lg_fail(err, -ENOMEM, "keep the pin");
	if (r < 0)
		return lg_within(err, r, "pin %s", ifc->host_name);
	new = NULL;
	return 0;
}

int lg_net_unpin(struct lg_net *net, const char *host_name, struct lg_err *err)
{
	const struct lg_pin *old = lg_pins_find(&net->pins, host_name);
	int r;

	if (!old)
		return 0;
	r = swap_elements(net, old, NULL, err);
	if (r == 0)
		r = tell_host(net, old, NULL, err);
	if (r < 0)
		return lg_within(err, r, "unpin %s", host_name);
	lg_pins_drop(&net->pins, host_name);
	return 0;
}

/* ---- many ---- */

static int collect(struct lg_net *net, const struct lg_net_if *ifs, unsigned int n,
		   struct lg_pins *ret, struct lg_err *err)
{
	for (unsigned int i = 0; i < n; i++) {
		struct lg_pin *pin = NULL;
		int r = make_pin(net, &ifs[i], &pin, err);

		if (r < 0)
			return r;
		if (lg_pins_put(ret, pin) < 0) {
			free(pin);
			return lg_fail(err, -ENOMEM, "pin %s", ifs[i].host_name);
		}
	}
	return 0;
}

static int replace_elements(struct lg_net *net, const struct lg_pins *pins, struct lg_err *err)
{
	lg_autofree const struct lg_pin **list = lg_pins_list(pins);
	lg_autofree char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	if (!f || !list) {
		if (f)
			fclose(f);
		return lg_fail(err, -ENOMEM, "pin the addresses");
	}
	for (unsigned int i = 0; lg_rules_sets[i]; i++)
		fprintf(f, "flush set bridge %s %s\n", net->conf.table, lg_rules_sets[i]);
	lg_rules_write_pins(f, net->conf.table, "add", list, pins->n);
	if (fclose(f) != 0)
		return lg_fail(err, -ENOMEM, "pin the addresses");
	return lg_nft_run(net->nft, text, "pin the addresses", err);
}

static int forget_all(struct lg_net *net, struct lg_err *err)
{
	lg_autofree const struct lg_pin **list = lg_pins_list(&net->pins);

	if (!list)
		return lg_fail(err, -ENOMEM, "pin the addresses");
	for (unsigned int i = 0; i < net->pins.n; i++)
		put_forget(net, list[i], NULL);
	return lg_nl_run(&net->nl, NULL, NULL, err);
}

int lg_net_pin_many(struct lg_net *net, const struct lg_net_if *ifs, unsigned int n,
		    struct lg_err *err)
{
	struct lg_pins new = { 0 };
	int r = collect(net, ifs, n, &new, err);

	if (r == 0)
		r = replace_elements(net, &new, err);
	if (r == 0)
		r = forget_all(net, err);
	if (r < 0) {
		lg_pins_clear(&new);
		return lg_within(err, r, "pin %u instances", n);
	}
	lg_pins_clear(&net->pins);
	net->pins = new;
	return lg_net_repair(net, err);
}
