/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "net/net.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <string.h>

#include "lib/exit.h"
#include "net/netlink.h"

/*
 * Not 10.0, 10.1 or the favourites of other software (10.42 and 10.43, 10.88 and 10.89, 10.96,
 * 10.244): two sites that connect one day should rarely meet in the same network.
 */
#define FIRST_CHOICE 157u

struct taken {
	bool net[256];	/* 10.N.0.0/16 */
};

static int read_dst(const struct nlattr *attr, void *arg)
{
	if (mnl_attr_get_type(attr) == RTA_DST && mnl_attr_get_payload_len(attr) == 4)
		memcpy(arg, mnl_attr_get_payload(attr), 4);
	return MNL_CB_OK;
}

static void note_route(const struct nlmsghdr *msg, void *arg)
{
	const struct rtmsg *rtm = mnl_nlmsg_get_payload(msg);
	struct taken *taken = arg;
	struct lg_addr route = { .family = AF_INET };

	if (msg->nlmsg_type != RTM_NEWROUTE || mnl_nlmsg_get_payload_len(msg) < sizeof(*rtm) ||
	    rtm->rtm_family != AF_INET || rtm->rtm_dst_len == 0 || rtm->rtm_dst_len > 32)
		return;
	route.prefix = rtm->rtm_dst_len;
	mnl_attr_parse(msg, sizeof(*rtm), read_dst, &route.v4);
	for (unsigned int i = 0; i < 256; i++) {
		struct lg_addr net = { .family = AF_INET, .prefix = 16 };

		net.v4.s_addr = htonl(10u << 24 | i << 16);
		if (lg_addr_inside(&net, &route) || lg_addr_inside(&route, &net))
			taken->net[i] = true;
	}
}

int lg_net_default_pool(struct lg_addr *ret, struct lg_err *err)
{
	/* Every address of the host is a route of its local table: routes say it all. */
	struct rtmsg any = { .rtm_family = AF_INET };
	struct taken taken = { 0 };
	struct lg_nl nl;
	int r = lg_nl_open(&nl, err);

	if (r < 0)
		return r;
	r = lg_nl_dump(&nl, RTM_GETROUTE, &any, sizeof(any), note_route, &taken, err);
	lg_nl_close(&nl);
	if (r < 0)
		return r;
	for (unsigned int i = 0; i < 256; i++) {
		unsigned int n = (FIRST_CHOICE + i) % 256;

		if (taken.net[n])
			continue;
		*ret = (struct lg_addr){ .family = AF_INET, .prefix = 16, .has_prefix = true };
		ret->v4.s_addr = htonl(10u << 24 | n << 16);
		return 0;
	}
	return lg_refuse(err, -EADDRNOTAVAIL, LG_EXIT_NO_ADDRESS_FREE,
			 "every network of 10.0.0.0/8 is in this host's routes: set NETWORK in "
			 "lodge.conf to one that is free");
}
