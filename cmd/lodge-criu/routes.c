/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Routes over a link without a carrier: a bridge inside that nothing is plugged into, or the container's own link while the host
 * holds it silent. The kernel tells their state (RTNH_F_LINKDOWN, RTNH_F_DEAD) in the flags and refuses a new route with them, so
 * they are taken out of the images: it finds out anew.
 *
 * And the rules that choose between tables of routes: to restore those of a new network namespace, which is what nearly all have,
 * CRIU takes the kernel's away and puts the same ones back. The kernel waits for all its readers with each. So an image that only
 * says that goes, as does one of iptables without a rule: for those CRIU starts six programs.
 *
 * The images are CRIU's route-N.img, route6-N.img and rule-N.img, which are what `ip route save` and `ip rule save` wrote: a magic
 * number, then the kernel's messages.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cmd/lodge-criu/criu.h"
#include "lib/cleanup.h"
#include "lib/file.h"

#define IMAGE_MAX (64u << 20)
#define MAGIC_ROUTES 0x45311224u
#define MAGIC_RULES 0x71706986u
#define STATE (RTNH_F_DEAD | RTNH_F_LINKDOWN)

static bool clear_hops(struct rtattr *paths)
{
	struct rtnexthop *hop = RTA_DATA(paths);
	size_t left = RTA_PAYLOAD(paths);
	bool changed = false;

	while (left >= sizeof(*hop) && hop->rtnh_len >= sizeof(*hop) && (size_t)RTNH_ALIGN(hop->rtnh_len) <= left) {
		changed = changed || (hop->rtnh_flags & STATE);
		hop->rtnh_flags &= (unsigned char)~STATE;
		left -= (size_t)RTNH_ALIGN(hop->rtnh_len);
		hop = RTNH_NEXT(hop);
	}
	return changed;
}

static bool clear_route(struct nlmsghdr *msg)
{
	struct rtmsg *route = NLMSG_DATA(msg);
	bool changed = route->rtm_flags & STATE;
	int left = (int)RTM_PAYLOAD(msg);

	route->rtm_flags &= ~(unsigned int)STATE;
	for (struct rtattr *at = RTM_RTA(route); RTA_OK(at, left); at = RTA_NEXT(at, left))
		if (at->rta_type == RTA_MULTIPATH)
			changed = clear_hops(at) || changed;
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

static uint32_t number(const struct rtattr *at)
{
	uint32_t v = 0;

	memcpy(&v, RTA_DATA(at), RTA_PAYLOAD(at) < sizeof(v) ? RTA_PAYLOAD(at) : sizeof(v));
	return v;
}

static bool is_usual(const struct nlmsghdr *msg, size_t i)
{
	const struct fib_rule_hdr *rule = NLMSG_DATA(msg);
	int left = (int)NLMSG_PAYLOAD(msg, sizeof(*rule));
	uint32_t priority = 0, table = rule->table;

	if (msg->nlmsg_type != RTM_NEWRULE || msg->nlmsg_len < NLMSG_LENGTH(sizeof(*rule)) || rule->family != AF_INET ||
	    rule->dst_len || rule->src_len || rule->tos || rule->action != FR_ACT_TO_TBL ||
	    rule->flags & ~(uint32_t)FIB_RULE_PERMANENT)
		return false;
	for (const struct rtattr *at = (const void *)(rule + 1); RTA_OK(at, left); at = RTA_NEXT(at, left)) {
		if (at->rta_type == FRA_PRIORITY)
			priority = number(at);
		else if (at->rta_type == FRA_TABLE)
			table = number(at);
		else if ((at->rta_type == FRA_SUPPRESS_PREFIXLEN && number(at) != UINT32_MAX) ||
			 (at->rta_type != FRA_SUPPRESS_PREFIXLEN && at->rta_type != FRA_PROTOCOL))
			return false;
	}
	return priority == usual[i].priority && table == usual[i].table;
}

static bool all_usual(const struct nlmsghdr *msg, int left)
{
	size_t i = 0;

	for (; NLMSG_OK(msg, left); msg = NLMSG_NEXT(msg, left))
		if (i >= ARRAY_SIZE(usual) || !is_usual(msg, i++))
			return false;
	return i == ARRAY_SIZE(usual);
}

/* ---- the images ---- */

static int rewrite_routes(const char *name, char *text, size_t len, struct lg_err *err)
{
	struct nlmsghdr *msg = (void *)(text + sizeof(uint32_t));
	int left = (int)(len - sizeof(uint32_t));
	bool changed = false;

	for (; NLMSG_OK(msg, left); msg = NLMSG_NEXT(msg, left))
		if (msg->nlmsg_type == RTM_NEWROUTE && msg->nlmsg_len >= NLMSG_LENGTH(sizeof(struct rtmsg)))
			changed = clear_route(msg) || changed;
	return changed ? lg_file_replace_fast(job.images, name, text, len, 0644, err) : 0;
}

static int drop(const char *name, struct lg_err *err)
{
	return unlinkat(job.images, name, 0) < 0 ? lg_fail(err, -errno, "remove '%s' of the images", name) : 0;
}

static int rewrite_rules(const char *name, char *text, size_t len, struct lg_err *err)
{
	return all_usual((const void *)(text + sizeof(uint32_t)), (int)(len - sizeof(uint32_t))) ? drop(name, err) : 0;
}

/* clang-format off */
static const struct {
	const char *prefix;
	uint32_t magic;
	int (*run)(const char *name, char *text, size_t len, struct lg_err *err);	/* NULL: only an empty one */
} kinds[] = {
	{ "route-",	MAGIC_ROUTES,	rewrite_routes },
	{ "route6-",	MAGIC_ROUTES,	rewrite_routes },
	{ "rule-",	MAGIC_RULES,	rewrite_rules },
	{ "iptables-",	0,		NULL },
	{ "ip6tables-",	0,		NULL },
};
/* clang-format on */

static int rewrite(size_t kind, const char *name, struct lg_err *err)
{
	lg_autofree char *text = NULL;
	uint32_t magic = 0;
	size_t len = 0;
	int r = lg_file_read(job.images, name, IMAGE_MAX, &text, &len, err);

	if (r < 0)
		return r;
	if (!len)
		return drop(name, err);
	if (!kinds[kind].run)
		return 0;
	if (len >= sizeof(magic))
		memcpy(&magic, text, sizeof(magic));
	if (magic != kinds[kind].magic)
		return lg_refuse(err, -EBADMSG, 0, "'%s' of the images is not as `ip` writes it", name);
	return kinds[kind].run(name, text, len, err);
}

int routes_rewrite(struct lg_err *err)
{
	int fd = openat(job.images, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	lg_autodir DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	if (!dir)
		return lg_fail(err, -errno, "look at the images");
	while (r == 0 && (e = readdir(dir)))
		for (size_t i = 0; r == 0 && i < ARRAY_SIZE(kinds); i++)
			if (strncmp(e->d_name, kinds[i].prefix, strlen(kinds[i].prefix)) == 0 && !strstr(e->d_name, ".tmp"))
				r = rewrite(i, e->d_name, err);
	return r;
}
