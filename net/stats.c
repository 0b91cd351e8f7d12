/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <linux/rtnetlink.h>

#include "net/net.h"
#include "net/private.h"

/* What the host's end receives is what the container sent. */
static void turn_round(const struct lg_link *link, struct lg_net_stats *ret)
{
	*ret = (struct lg_net_stats){
		.rx_bytes = link->tx_bytes,	.tx_bytes = link->rx_bytes,
		.rx_packets = link->tx_packets, .tx_packets = link->rx_packets,
		.rx_dropped = link->tx_dropped, .tx_dropped = link->rx_dropped,
	};
}

int lg_net_stats(const char *host_name, struct lg_net_stats *ret, struct lg_err *err)
{
	struct lg_link link = { 0 };
	struct lg_nl nl;
	int r = lg_nl_open(&nl, err);

	if (r < 0)
		return r;
	r = lg_link_find(&nl, host_name, true, &link, err);
	lg_nl_close(&nl);
	if (r == 0)
		turn_round(&link, ret);
	return r;
}

struct each {
	const struct lg_net *net;
	void (*fn)(const char *host_name, const struct lg_net_stats *stats, void *arg);
	void *arg;
};

static void each_link(const struct nlmsghdr *msg, void *arg)
{
	const struct each *each = arg;
	struct lg_link link = { 0 };
	struct lg_net_stats stats;

	lg_link_read(msg, &link);
	if (!lg_net_is_ours(each->net, &link))
		return;
	turn_round(&link, &stats);
	each->fn(link.name, &stats, each->arg);
}

int lg_net_stats_each(struct lg_net *net,
		      void (*fn)(const char *host_name, const struct lg_net_stats *stats,
				 void *arg),
		      void *arg, struct lg_err *err)
{
	/* The kernel leaves out what is no port of this bridge; an old one tells all. */
	struct {
		struct ifinfomsg any;
		struct nlattr head;
		uint32_t bridge;
	} ask = {
		.any = { .ifi_family = AF_UNSPEC },
		.head = { .nla_len = sizeof(struct nlattr) + sizeof(uint32_t),
			  .nla_type = IFLA_MASTER },
		.bridge = (uint32_t)net->bridge,
	};
	struct each each = { .net = net, .fn = fn, .arg = arg };

	return lg_nl_dump(&net->nl, RTM_GETLINK, &ask, sizeof(ask), each_link, &each, err);
}
