/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "net/addr.h"

#include <errno.h>
#include <linux/if_addr.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

const void *lg_addr_bytes(const struct lg_addr *addr, size_t *ret_len)
{
	*ret_len = addr->family == AF_INET ? sizeof(addr->v4) : sizeof(addr->v6);
	return addr->family == AF_INET ? (const void *)&addr->v4 : (const void *)&addr->v6;
}

static void put_bytes(struct nlmsghdr *msg, uint16_t type, const struct lg_addr *addr)
{
	size_t len;
	const void *bytes = lg_addr_bytes(addr, &len);

	mnl_attr_put(msg, type, len, bytes);
}

static struct nlmsghdr *begin(struct lg_nl *nl, uint16_t type, uint16_t flags, const char *what,
			      const struct lg_addr *addr)
{
	char text[LG_ADDR_TEXT] = "";

	if (addr)
		lg_format_addr(addr, false, text);
	return lg_nl_add(nl, type, flags, what, text);
}

static struct nlmsghdr *put_address(struct lg_nl *nl, uint16_t type, uint16_t flags, int index,
				    const struct lg_addr *addr, const char *what)
{
	struct nlmsghdr *msg = begin(nl, type, flags, what, addr);
	struct ifaddrmsg *ifa = mnl_nlmsg_put_extra_header(msg, sizeof(*ifa));

	ifa->ifa_family = (uint8_t)addr->family;
	ifa->ifa_prefixlen = addr->prefix;
	ifa->ifa_scope = RT_SCOPE_UNIVERSE;
	ifa->ifa_index = (uint32_t)index;
	put_bytes(msg, IFA_LOCAL, addr);
	put_bytes(msg, IFA_ADDRESS, addr);
	return msg;
}

void lg_addr_put(struct lg_nl *nl, int index, const struct lg_addr *addr)
{
	struct nlmsghdr *msg = put_address(nl, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, index,
					   addr, "add address");

	/*
	 * Pinned addresses cannot be anybody else's: looking for duplicates would only delay.
	 */
	if (addr->family == AF_INET6)
		mnl_attr_put_u32(msg, IFA_FLAGS, IFA_F_NODAD | IFA_F_PERMANENT);
	lg_nl_tolerate(nl, -EEXIST);
}

void lg_addr_put_remove(struct lg_nl *nl, int index, const struct lg_addr *addr)
{
	put_address(nl, RTM_DELADDR, 0, index, addr, "remove address");
	lg_nl_tolerate(nl, -EADDRNOTAVAIL);
}

/* @about: whichever of @dst and @via is there; it says the family too. */
static struct nlmsghdr *put_route(struct lg_nl *nl, uint16_t type, uint16_t flags, int index,
				  const struct lg_addr *about, const char *what)
{
	struct nlmsghdr *msg = begin(nl, type, flags, what, about);
	struct rtmsg *rtm = mnl_nlmsg_put_extra_header(msg, sizeof(*rtm));

	rtm->rtm_family = (uint8_t)about->family;
	rtm->rtm_table = RT_TABLE_MAIN;
	rtm->rtm_protocol = RTPROT_STATIC;
	rtm->rtm_scope = about->family == AF_INET6 ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK;
	rtm->rtm_type = RTN_UNICAST;
	mnl_attr_put_u32(msg, RTA_OIF, (uint32_t)index);
	return msg;
}

static void set_dst(struct nlmsghdr *msg, const struct lg_addr *dst)
{
	struct rtmsg *rtm = mnl_nlmsg_get_payload(msg);

	rtm->rtm_dst_len = dst->prefix;
	put_bytes(msg, RTA_DST, dst);
}

void lg_route_put(struct lg_nl *nl, int index, const struct lg_addr *dst)
{
	set_dst(put_route(nl, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, index, dst,
			  "add route to"), dst);
	lg_nl_tolerate(nl, -EEXIST);
}

void lg_route_put_remove(struct lg_nl *nl, int index, const struct lg_addr *dst)
{
	set_dst(put_route(nl, RTM_DELROUTE, 0, index, dst, "remove route to"), dst);
	lg_nl_tolerate(nl, -ESRCH);
	lg_nl_tolerate(nl, -ENODEV);
}

void lg_route_put_default(struct lg_nl *nl, int index, const struct lg_addr *via)
{
	struct nlmsghdr *msg = put_route(nl, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, index,
					 via, "add default route through");
	struct rtmsg *rtm = mnl_nlmsg_get_payload(msg);

	rtm->rtm_scope = RT_SCOPE_UNIVERSE;
	put_bytes(msg, RTA_GATEWAY, via);
	lg_nl_tolerate(nl, -EEXIST);
}

static struct nlmsghdr *put_neigh(struct lg_nl *nl, uint16_t type, uint16_t flags, int index,
				  const struct lg_addr *addr, const char *what)
{
	struct nlmsghdr *msg = begin(nl, type, flags, what, addr);
	struct ndmsg *ndm = mnl_nlmsg_put_extra_header(msg, sizeof(*ndm));

	ndm->ndm_family = (uint8_t)addr->family;
	ndm->ndm_ifindex = index;
	ndm->ndm_state = NUD_PERMANENT;
	put_bytes(msg, NDA_DST, addr);
	return msg;
}

void lg_neigh_put(struct lg_nl *nl, int index, const struct lg_addr *addr, const uint8_t mac[6])
{
	struct nlmsghdr *msg = put_neigh(nl, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, index,
					 addr, "add neighbour");

	mnl_attr_put(msg, NDA_LLADDR, 6, mac);
}

void lg_neigh_put_remove(struct lg_nl *nl, int index, const struct lg_addr *addr)
{
	put_neigh(nl, RTM_DELNEIGH, 0, index, addr, "remove neighbour");
	lg_nl_tolerate(nl, -ENOENT);
	lg_nl_tolerate(nl, -ENODEV);
}
