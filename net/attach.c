/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "net/net.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "net/addr.h"
#include "net/private.h"

#define LO_INDEX 1	/* in every namespace, by the kernel's own rule */
#define ATTACH_TRIES 4

int lg_net_move_away(struct lg_net *net, const char *host_name, struct lg_err *err)
{
	struct lg_link old = { 0 };
	char name[IFNAMSIZ];
	int r = lg_link_find(&net->nl, host_name, false, &old, err);

	if (r == -ENODEV)
		return 0;
	if (r < 0)
		return r;
	if (!lg_net_is_ours(net, &old))
		return lg_refuse(err, -EEXIST, 0,
				 "link %s is there and was not made by lodge: rename or "
				 "remove it", host_name);
	snprintf(name, sizeof(name), "lgd%d", old.index);
	r = lg_link_rename(&net->nl, &old, name, err);
	return r == -ENODEV ? 0 : r;
}

static int make_veth(struct lg_net *net, const struct lg_net_if *ifc, int netns_fd,
		     struct lg_link *ret, struct lg_err *err)
{
	struct lg_veth veth = {
		.host_name = ifc->host_name, .name = ifc->name,
		.host_mac = ifc->host_mac, .mac = ifc->mac, .mtu = ifc->mtu,
		.bridge = net->bridge, .group = net->group, .netns_fd = netns_fd,
	};
	bool repaired = false;
	int r = -EEXIST;

	for (int i = 0; i < ATTACH_TRIES; i++) {
		lg_link_put_veth(&net->nl, &veth);
		lg_link_put_get(&net->nl, ifc->host_name, false);
		r = lg_nl_run(&net->nl, lg_link_read, ret, err);
		if (r == -EEXIST) {
			r = lg_net_move_away(net, ifc->host_name, err);
			if (r < 0)
				return r;
		} else if (r < 0 && !repaired) {
			/* The bridge may have been taken away or made anew by somebody else. */
			repaired = true;
			r = lg_net_repair(net, err);
			if (r < 0)
				return r;
			veth.bridge = net->bridge;
		} else {
			return r;
		}
	}
	return lg_refuse(err, -EEXIST, 0, "link %s: its name does not become free",
			 ifc->host_name);
}

static bool has_family(const struct lg_net_if *ifc, int family)
{
	for (unsigned int i = 0; i < ifc->naddrs; i++)
		if (ifc->addrs[i].family == family)
			return true;
	return false;
}

/* To the gateway directly, to everything else through it. Routes that are there stay. */
static void put_routes(const struct lg_net *net, struct lg_nl *inside, int index,
		       const struct lg_net_if *ifc)
{
	const struct lg_addr *gateways[] = { &net->conf.gw4, &net->conf.gw6 };

	for (size_t i = 0; i < ARRAY_SIZE(gateways); i++) {
		struct lg_addr gw = *gateways[i];

		if (!gw.family || !has_family(ifc, gw.family))
			continue;
		gw.prefix = gw.family == AF_INET ? 32 : 128;
		lg_route_put(inside, index, &gw);
		lg_route_put_default(inside, index, &gw);
	}
}

static int set_up_inside(const struct lg_net *net, const struct lg_net_if *ifc, int netns_fd,
			 struct lg_err *err)
{
	struct lg_link link = { 0 };
	struct lg_nl inside;
	int r = lg_nl_open_in(&inside, netns_fd, net->home_fd, err);

	if (r < 0)
		return r;
	lg_link_put_up(&inside, LO_INDEX, true, "lo");
	lg_link_put_get(&inside, ifc->name, false);
	r = lg_nl_run(&inside, lg_link_read, &link, err);
	if (r == 0) {
		lg_link_put_up(&inside, link.index, true, ifc->name);
		for (unsigned int i = 0; i < ifc->naddrs; i++)
			lg_addr_put(&inside, link.index, &ifc->addrs[i]);
		put_routes(net, &inside, link.index, ifc);
		r = lg_nl_run(&inside, NULL, NULL, err);
	}
	lg_nl_close(&inside);
	return r;
}

/*
 * A link that gets its carrier starts to send when the kernel's link watch has run, some time
 * later: what leaves before is lost. Linux 6.8 and newer do that work on the spot for a link
 * that is asked for; the bridge needs it as well, its carrier comes with its first port.
 */
static int await_carrier(struct lg_net *net, const struct lg_net_if *ifc, struct lg_err *err)
{
	int r;

	lg_link_put_get(&net->nl, ifc->host_name, false);
	r = lg_nl_run(&net->nl, NULL, NULL, err);
	if (r < 0 || lg_link_runs(&net->nl, net->conf.bridge))
		return r;
	lg_link_put_get(&net->nl, net->conf.bridge, false);
	return lg_nl_run(&net->nl, NULL, NULL, err);
}

void lg_net_put_port(struct lg_net *net, int index, const struct lg_net_if *ifc)
{
	lg_link_put_mac(&net->nl, index, ifc->mac, ifc->host_name);
	lg_link_put_port(&net->nl, index, net->ipv6, ifc->host_name);
}

int lg_net_attach(struct lg_net *net, const struct lg_net_if *ifc, int netns_fd,
		  struct lg_err *err)
{
	struct lg_link link = { 0 };
	int r = make_veth(net, ifc, netns_fd, &link, err);

	if (r < 0)
		return lg_within(err, r, "attach %s", ifc->host_name);
	lg_net_put_port(net, link.index, ifc);
	r = lg_nl_run(&net->nl, NULL, NULL, err);
	if (r == 0)
		r = set_up_inside(net, ifc, netns_fd, err);
	if (r == 0)
		r = await_carrier(net, ifc, err);
	if (r < 0) {
		(void)lg_link_delete(&net->nl, link.index, ifc->host_name, NULL);
		return lg_within(err, r, "attach %s", ifc->host_name);
	}
	return 0;
}

/* It may have been taken away or made anew by somebody else. */
static int check_bridge(struct lg_net *net, struct lg_err *err)
{
	struct lg_link bridge = { 0 };

	if (lg_link_find(&net->nl, net->conf.bridge, false, &bridge, NULL) == 0 && bridge.index == net->bridge)
		return 0;
	return lg_net_repair(net, err);
}

static void write_hex(const uint8_t *data, size_t len, char *ret)
{
	for (size_t i = 0; i < len; i++)
		snprintf(ret + 2 * i, 3, "%02x", data[i]);
}

int lg_net_prepare(struct lg_net *net, const struct lg_net_if *ifc, char ret[LG_NET_PREPARED], struct lg_err *err)
{
	uint8_t batch[LG_NET_PREPARED / 2 - 1] __attribute__((aligned(NLMSG_ALIGNTO)));
	struct lg_veth veth = { .host_name = ifc->host_name, .host_mac = ifc->host_mac, .mtu = ifc->mtu,
				.group = net->group, .netns_fd = -1 };
	size_t len = 0;
	int r = check_bridge(net, err);

	if (r == 0)
		r = lg_net_move_away(net, ifc->host_name, err);
	if (r == 0) {
		veth.bridge = net->bridge;
		lg_link_put_veth(&net->nl, &veth);
		lg_link_put_port(&net->nl, 0, net->ipv6, ifc->host_name);
		r = lg_nl_take(&net->nl, batch, sizeof(batch), &len, err);
	}
	if (r < 0)
		return lg_within(err, r, "attach %s", ifc->host_name);
	write_hex(batch, len, ret);
	return 0;
}

int lg_net_open(struct lg_net *net, const struct lg_net_if *ifc, struct lg_err *err)
{
	struct lg_link link = { 0 };
	int r = lg_link_find(&net->nl, ifc->host_name, false, &link, err);

	if (r == 0) {
		lg_link_put_mac(&net->nl, link.index, ifc->mac, ifc->host_name);
		r = lg_nl_run(&net->nl, NULL, NULL, err);
	}
	return r < 0 ? lg_within(err, r, "attach %s", ifc->host_name) : 0;
}

int lg_net_lo_up(int netns_fd, struct lg_err *err)
{
	lg_autoclose int home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	struct lg_nl inside;
	int r;

	if (home < 0)
		return lg_fail(err, -errno, "open the host's network namespace");
	r = lg_nl_open_in(&inside, netns_fd, home, err);
	if (r < 0)
		return r;
	lg_link_put_up(&inside, LO_INDEX, true, "lo");
	r = lg_nl_run(&inside, NULL, NULL, err);
	lg_nl_close(&inside);
	return r;
}

void lg_net_detach(struct lg_net *net, const char *host_name)
{
	struct lg_link link;

	if (lg_link_find(&net->nl, host_name, false, &link, NULL) == 0 &&
	    lg_net_is_ours(net, &link))
		(void)lg_link_delete(&net->nl, link.index, host_name, NULL);
}

void lg_net_quiet(struct lg_net *net, const struct lg_net_if *ifc, bool quiet)
{
	struct lg_link link;

	if (lg_link_find(&net->nl, ifc->host_name, false, &link, NULL) < 0 || !lg_net_is_ours(net, &link))
		return;
	if (quiet)
		lg_link_put_up(&net->nl, link.index, false, ifc->host_name);
	else
		lg_net_put_port(net, link.index, ifc);
	(void)lg_nl_run(&net->nl, NULL, NULL, NULL);
}

static bool listed(const struct lg_addr *addr, const struct lg_addr *list, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		if (lg_addr_equal(addr, &list[i]))
			return true;
	return false;
}

int lg_net_change(struct lg_net *net, const struct lg_net_if *ifc, int netns_fd,
		  const struct lg_addr *add, unsigned int nadd, const struct lg_addr *del,
		  unsigned int ndel, struct lg_err *err)
{
	struct lg_link link = { 0 };
	struct lg_nl inside;
	int r = lg_nl_open_in(&inside, netns_fd, net->home_fd, err);

	if (r < 0)
		return lg_within(err, r, "change %s", ifc->host_name);
	r = lg_link_find(&inside, ifc->name, false, &link, err);
	if (r == 0) {
		/* Without its last address a link loses its routes: new ones first, unless
		 * only the prefix changes. */
		for (unsigned int i = 0; i < ndel; i++)
			if (listed(&del[i], add, nadd))
				lg_addr_put_remove(&inside, link.index, &del[i]);
		for (unsigned int i = 0; i < nadd; i++)
			lg_addr_put(&inside, link.index, &add[i]);
		for (unsigned int i = 0; i < ndel; i++)
			if (!listed(&del[i], add, nadd))
				lg_addr_put_remove(&inside, link.index, &del[i]);
		put_routes(net, &inside, link.index, ifc);
		r = lg_nl_run(&inside, NULL, NULL, err);
	}
	lg_nl_close(&inside);
	return r < 0 ? lg_within(err, r, "change %s inside", ifc->host_name) : 0;
}
