/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "net/link.h"

#include <errno.h>
#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

static int read_linkinfo(const struct nlattr *attr, void *arg)
{
	struct lg_link *ret = arg;

	if (mnl_attr_get_type(attr) == IFLA_INFO_KIND &&
	    mnl_attr_validate(attr, MNL_TYPE_NUL_STRING) >= 0)
		snprintf(ret->kind, sizeof(ret->kind), "%s", mnl_attr_get_str(attr));
	return MNL_CB_OK;
}

static void read_stats(const struct nlattr *attr, struct lg_link *ret)
{
	struct rtnl_link_stats64 s;

	/* Newer kernels append fields: only the first ones are looked at. */
	if (mnl_attr_get_payload_len(attr) < offsetof(struct rtnl_link_stats64, multicast))
		return;
	memcpy(&s, mnl_attr_get_payload(attr), offsetof(struct rtnl_link_stats64, multicast));
	ret->rx_packets = s.rx_packets;
	ret->tx_packets = s.tx_packets;
	ret->rx_bytes = s.rx_bytes;
	ret->tx_bytes = s.tx_bytes;
	ret->rx_dropped = s.rx_dropped;
	ret->tx_dropped = s.tx_dropped;
}

static int read_attr(const struct nlattr *attr, void *arg)
{
	struct lg_link *ret = arg;
	uint16_t type = mnl_attr_get_type(attr);

	if (type == IFLA_IFNAME && mnl_attr_validate(attr, MNL_TYPE_NUL_STRING) >= 0)
		snprintf(ret->name, sizeof(ret->name), "%s", mnl_attr_get_str(attr));
	else if (type == IFLA_MASTER && mnl_attr_validate(attr, MNL_TYPE_U32) >= 0)
		ret->master = (int)mnl_attr_get_u32(attr);
	else if (type == IFLA_GROUP && mnl_attr_validate(attr, MNL_TYPE_U32) >= 0)
		ret->group = mnl_attr_get_u32(attr);
	else if (type == IFLA_LINKINFO)
		mnl_attr_parse_nested(attr, read_linkinfo, ret);
	else if (type == IFLA_STATS64)
		read_stats(attr, ret);
	return MNL_CB_OK;
}

void lg_link_read(const struct nlmsghdr *msg, void *arg)
{
	struct lg_link *ret = arg;
	const struct ifinfomsg *ifi = mnl_nlmsg_get_payload(msg);

	if (msg->nlmsg_type != RTM_NEWLINK || mnl_nlmsg_get_payload_len(msg) < sizeof(*ifi))
		return;
	memset(ret, 0, sizeof(*ret));
	ret->index = ifi->ifi_index;
	ret->flags = ifi->ifi_flags;
	mnl_attr_parse(msg, sizeof(*ifi), read_attr, ret);
}

static struct nlmsghdr *put_link(struct lg_nl *nl, uint16_t type, uint16_t flags, int index,
				 const char *what, const char *object)
{
	struct nlmsghdr *msg = lg_nl_add(nl, type, flags, what, object);
	struct ifinfomsg *ifi = mnl_nlmsg_put_extra_header(msg, sizeof(*ifi));

	ifi->ifi_family = AF_UNSPEC;
	ifi->ifi_index = index;
	return msg;
}

/* The same, and by name where there is no index. */
static struct nlmsghdr *put_port(struct lg_nl *nl, int index, const char *what, const char *object)
{
	struct nlmsghdr *msg = put_link(nl, RTM_NEWLINK, 0, index, what, object);

	if (!index)
		mnl_attr_put_strz(msg, IFLA_IFNAME, object);
	return msg;
}

static void set_flags(struct nlmsghdr *msg, unsigned int flags, unsigned int change)
{
	struct ifinfomsg *ifi = mnl_nlmsg_get_payload(msg);

	ifi->ifi_flags = flags;
	ifi->ifi_change = change;
}

void lg_link_put_get(struct lg_nl *nl, const char *name, bool with_stats)
{
	struct nlmsghdr *msg = put_link(nl, RTM_GETLINK, 0, 0, "look up link", name);

	mnl_attr_put_strz(msg, IFLA_IFNAME, name);
	if (!with_stats)
		mnl_attr_put_u32(msg, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
}

int lg_link_find(struct lg_nl *nl, const char *name, bool with_stats, struct lg_link *ret,
		 struct lg_err *err)
{
	struct lg_link found = { 0 };
	int r;

	lg_link_put_get(nl, name, with_stats);
	r = lg_nl_run(nl, lg_link_read, &found, err);
	if (r < 0)
		return r;
	*ret = found;
	return 0;
}

bool lg_link_runs(const struct lg_nl *nl, const char *name)
{
	struct ifreq ifr = { 0 };

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	return ioctl(mnl_socket_get_fd(nl->sock), SIOCGIFFLAGS, &ifr) == 0 &&
	       (ifr.ifr_flags & IFF_RUNNING);
}

void lg_link_put_up(struct lg_nl *nl, int index, bool up, const char *object)
{
	struct nlmsghdr *msg = put_link(nl, RTM_NEWLINK, 0, index,
					up ? "set up link" : "set down link", object);

	set_flags(msg, up ? IFF_UP : 0, IFF_UP);
}

int lg_link_rename(struct lg_nl *nl, const struct lg_link *link, const char *name,
		   struct lg_err *err)
{
	int r;

	/*
	 * Linux 6.2 and newer rename a link that is up; setting one down waits for a grace
	 * period.
	 */
	for (int down = 0; down < 2; down++) {
		if (down)
			lg_link_put_up(nl, link->index, false, link->name);
		mnl_attr_put_strz(put_link(nl, RTM_NEWLINK, 0, link->index, "rename link",
					   link->name), IFLA_IFNAME, name);
		r = lg_nl_run(nl, NULL, NULL, err);
		if (r != -EBUSY)
			break;
	}
	return r;
}

int lg_link_delete(struct lg_nl *nl, int index, const char *name, struct lg_err *err)
{
	put_link(nl, RTM_DELLINK, 0, index, "delete link", name);
	lg_nl_tolerate(nl, -ENODEV);
	return lg_nl_run(nl, NULL, NULL, err);
}

int lg_link_delete_group(struct lg_nl *nl, uint32_t group, struct lg_err *err)
{
	mnl_attr_put_u32(put_link(nl, RTM_DELLINK, 0, 0, "delete the instances' links", ""),
			 IFLA_GROUP, group);
	lg_nl_tolerate(nl, -ENODEV);
	return lg_nl_run(nl, NULL, NULL, err);
}

static void put_mac(struct nlmsghdr *msg, const uint8_t mac[6])
{
	mnl_attr_put(msg, IFLA_ADDRESS, 6, mac);
}

int lg_link_bridge(struct lg_nl *nl, const char *name, const uint8_t mac[6],
		   struct lg_err *err)
{
	static const struct br_boolopt_multi opts = {
		.optval = 1u << BR_BOOLOPT_NO_LL_LEARN,
		.optmask = 1u << BR_BOOLOPT_NO_LL_LEARN,
	};
	struct nlmsghdr *msg = put_link(nl, RTM_NEWLINK, NLM_F_CREATE, 0, "make bridge", name);
	struct nlattr *info, *data;

	mnl_attr_put_strz(msg, IFLA_IFNAME, name);
	put_mac(msg, mac);
	info = mnl_attr_nest_start(msg, IFLA_LINKINFO);
	mnl_attr_put_strz(msg, IFLA_INFO_KIND, "bridge");
	data = mnl_attr_nest_start(msg, IFLA_INFO_DATA);
	mnl_attr_put_u32(msg, IFLA_BR_STP_STATE, 0);
	mnl_attr_put_u8(msg, IFLA_BR_MCAST_SNOOPING, 0);
	mnl_attr_put(msg, IFLA_BR_MULTI_BOOLOPT, sizeof(opts), &opts);
	mnl_attr_nest_end(msg, data);
	mnl_attr_nest_end(msg, info);
	return lg_nl_run(nl, NULL, NULL, err);
}

/*
 * Queues only spread XDP and NAPI, which a plain veth does not use; by default each CPU gets
 * one.
 */
static void put_one_queue(struct nlmsghdr *msg)
{
	mnl_attr_put_u32(msg, IFLA_NUM_TX_QUEUES, 1);
	mnl_attr_put_u32(msg, IFLA_NUM_RX_QUEUES, 1);
}

static void put_end(struct nlmsghdr *msg, const char *name, const uint8_t *mac,
		    unsigned int mtu)
{
	mnl_attr_put_strz(msg, IFLA_IFNAME, name);
	put_mac(msg, mac);
	put_one_queue(msg);
	if (mtu)
		mnl_attr_put_u32(msg, IFLA_MTU, mtu);
}

void lg_link_put_veth(struct lg_nl *nl, const struct lg_veth *veth)
{
	struct nlmsghdr *msg = put_link(nl, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, 0,
					"make link", veth->host_name);
	struct nlattr *info, *data, *peer;

	put_end(msg, veth->host_name, veth->host_mac, veth->mtu);
	mnl_attr_put_u32(msg, IFLA_GROUP, veth->group);
	if (veth->bridge)
		mnl_attr_put_u32(msg, IFLA_MASTER, (uint32_t)veth->bridge);
	info = mnl_attr_nest_start(msg, IFLA_LINKINFO);
	mnl_attr_put_strz(msg, IFLA_INFO_KIND, "veth");
	data = mnl_attr_nest_start(msg, IFLA_INFO_DATA);
	peer = mnl_attr_nest_start(msg, VETH_INFO_PEER);
	mnl_nlmsg_put_extra_header(msg, sizeof(struct ifinfomsg));
	if (veth->name)
		put_end(msg, veth->name, veth->mac, veth->mtu);
	else
		put_one_queue(msg);
	if (veth->netns_fd >= 0)
		mnl_attr_put_u32(msg, IFLA_NET_NS_FD, (uint32_t)veth->netns_fd);
	mnl_attr_nest_end(msg, peer);
	mnl_attr_nest_end(msg, data);
	mnl_attr_nest_end(msg, info);
}

void lg_link_put_adopt(struct lg_nl *nl, int index, const struct lg_veth *as, const char *object)
{
	struct nlmsghdr *msg = put_link(nl, RTM_NEWLINK, 0, index, "put on the bridge link", object);

	put_mac(msg, as->host_mac);
	if (as->mtu)
		mnl_attr_put_u32(msg, IFLA_MTU, as->mtu);
	mnl_attr_put_u32(msg, IFLA_GROUP, as->group);
	mnl_attr_put_u32(msg, IFLA_MASTER, (uint32_t)as->bridge);
}

/* A bridge port needs no address of its own; a link-local one only costs timers and reports. */
static void put_no_linklocal(struct lg_nl *nl, int index, const char *object)
{
	struct nlmsghdr *msg = put_port(nl, index, "prepare link", object);
	struct nlattr *spec = mnl_attr_nest_start(msg, IFLA_AF_SPEC);
	struct nlattr *inet6 = mnl_attr_nest_start(msg, AF_INET6);

	mnl_attr_put_u8(msg, IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
	mnl_attr_nest_end(msg, inet6);
	mnl_attr_nest_end(msg, spec);
}

void lg_link_put_mac(struct lg_nl *nl, int index, const uint8_t mac[6], const char *object)
{
	struct nlmsghdr *msg = lg_nl_add(nl, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE,
					 "add the MAC to the bridge for", object);
	struct ndmsg *ndm = mnl_nlmsg_put_extra_header(msg, sizeof(*ndm));

	ndm->ndm_family = AF_BRIDGE;
	ndm->ndm_ifindex = index;
	ndm->ndm_state = NUD_NOARP;
	ndm->ndm_flags = NTF_MASTER;
	mnl_attr_put(msg, NDA_LLADDR, 6, mac);
}

void lg_link_put_port(struct lg_nl *nl, int index, bool ipv6, const char *object)
{
	struct nlattr *info, *data;
	struct nlmsghdr *msg;

	if (ipv6)
		put_no_linklocal(nl, index, object);
	/*
	 * One request: the kernel sets the port's flags first and the link up only if that
	 * worked.
	 */
	msg = put_port(nl, index, "isolate and set up link", object);
	set_flags(msg, IFF_UP, IFF_UP);
	info = mnl_attr_nest_start(msg, IFLA_LINKINFO);
	mnl_attr_put_strz(msg, IFLA_INFO_SLAVE_KIND, "bridge");
	data = mnl_attr_nest_start(msg, IFLA_INFO_SLAVE_DATA);
	mnl_attr_put_u8(msg, IFLA_BRPORT_ISOLATED, 1);
	mnl_attr_put_u8(msg, IFLA_BRPORT_LEARNING, 0);
	mnl_attr_put_u8(msg, IFLA_BRPORT_UNICAST_FLOOD, 0);
	mnl_attr_nest_end(msg, data);
	mnl_attr_nest_end(msg, info);
}
