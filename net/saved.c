/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "net/saved.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/cleanup.h"

#define MAGIC_ROUTES 0x45311224u
#define MAGIC_RULES 0x71706986u
#define STATE (RTNH_F_DEAD | RTNH_F_LINKDOWN)

/* The messages behind the number, and how much of @len they are; NULL: it is another number. */
static void *messages(const void *data, size_t len, uint32_t magic, int *ret_len)
{
	uint32_t found;

	if (len < sizeof(found))
		return NULL;
	memcpy(&found, data, sizeof(found));
	*ret_len = (int)(len - sizeof(found));
	return found == magic ? (char *)(uintptr_t)data + sizeof(found) : NULL;
}

/* ---- routes ---- */

static int clear_hops(const struct nlattr *at, void *arg)
{
	struct rtnexthop *hop = mnl_attr_get_payload(at);
	size_t left = mnl_attr_get_payload_len(at);
	bool *changed = arg;

	while (mnl_attr_get_type(at) == RTA_MULTIPATH && left >= sizeof(*hop) && hop->rtnh_len >= sizeof(*hop) && (size_t)RTNH_ALIGN(hop->rtnh_len) <= left) {
		*changed = *changed || (hop->rtnh_flags & STATE);
		hop->rtnh_flags &= (unsigned char)~STATE;
		left -= (size_t)RTNH_ALIGN(hop->rtnh_len);
		hop = RTNH_NEXT(hop);
	}
	return MNL_CB_OK;
}

static bool clear_route(struct nlmsghdr *msg)
{
	struct rtmsg *route = mnl_nlmsg_get_payload(msg);
	bool changed = route->rtm_flags & STATE;

	route->rtm_flags &= ~(unsigned int)STATE;
	mnl_attr_parse(msg, sizeof(*route), clear_hops, &changed);
	return changed;
}

int lg_saved_routes_forget_state(void *data, size_t len)
{
	int left = 0, changed = 0;
	struct nlmsghdr *msg = messages(data, len, MAGIC_ROUTES, &left);

	if (!msg)
		return -EBADMSG;
	for (; mnl_nlmsg_ok(msg, left); msg = mnl_nlmsg_next(msg, &left))
		if (msg->nlmsg_type == RTM_NEWROUTE && mnl_nlmsg_get_payload_len(msg) >= sizeof(struct rtmsg) &&
		    clear_route(msg))
			changed = 1;
	return changed;
}

/* ---- rules ---- */

/* Of a new network namespace (the kernel's fib_default_rules_init()). */
static const struct {
	uint32_t priority, table;
} usual[] = {
	{ 0, RT_TABLE_LOCAL },
	{ 32766, RT_TABLE_MAIN },
	{ 32767, RT_TABLE_DEFAULT },
};

static uint32_t number(const struct nlattr *at)
{
	return mnl_attr_get_payload_len(at) == sizeof(uint32_t) ? mnl_attr_get_u32(at) : 0;
}

struct rule {
	uint32_t priority, table;
};

/* Ends at what the usual ones do not have. */
static int read_rule(const struct nlattr *at, void *arg)
{
	struct rule *rule = arg;

	switch (mnl_attr_get_type(at)) {
	case FRA_PRIORITY:
		rule->priority = number(at);
		return MNL_CB_OK;
	case FRA_TABLE:
		rule->table = number(at);
		return MNL_CB_OK;
	case FRA_SUPPRESS_PREFIXLEN:
		return number(at) == UINT32_MAX ? MNL_CB_OK : MNL_CB_STOP;
	case FRA_PROTOCOL:
		return MNL_CB_OK;
	default:
		return MNL_CB_STOP;
	}
}

static bool is_usual(const struct nlmsghdr *msg, size_t i)
{
	const struct fib_rule_hdr *head = mnl_nlmsg_get_payload(msg);
	struct rule rule = { .priority = 0 };

	if (msg->nlmsg_type != RTM_NEWRULE || mnl_nlmsg_get_payload_len(msg) < sizeof(*head) || head->family != AF_INET ||
	    head->dst_len || head->src_len || head->tos || head->action != FR_ACT_TO_TBL ||
	    head->flags & ~(uint32_t)FIB_RULE_PERMANENT)
		return false;
	rule.table = head->table;
	return mnl_attr_parse(msg, sizeof(*head), read_rule, &rule) == MNL_CB_OK &&
	       rule.priority == usual[i].priority && rule.table == usual[i].table;
}

int lg_saved_rules_are_usual(const void *data, size_t len)
{
	int left = 0;
	const struct nlmsghdr *msg = messages(data, len, MAGIC_RULES, &left);
	size_t i = 0;

	if (!msg)
		return -EBADMSG;
	for (; mnl_nlmsg_ok(msg, left); msg = mnl_nlmsg_next(msg, &left))
		if (i >= ARRAY_SIZE(usual) || !is_usual(msg, i++))
			return 0;
	return i == ARRAY_SIZE(usual);
}
