/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The links of the container's network. */

#include <errno.h>
#include <fcntl.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "ct/blockers_find.h"
#include "lib/cleanup.h"
#include "lib/ns.h"

#define ANSWER_BYTES 32768u

/* What CRIU makes again, and what the kernel makes by itself in each network. */
static const char *const known_kinds[] = { "veth", "tun", "bridge", "macvlan", "sit" };
static const char *const own_links[] = { "gre0", "gretap0" };

/* The calling thread visits the network and comes back. */
static int open_route(const struct task *init)
{
	lg_autoclose int own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	lg_autoclose int net = lg_ns_open(init->pid, "net", NULL), sock = -1;
	int r;

	if (own < 0 || net < 0)
		return own < 0 ? -errno : net;
	if (setns(net, CLONE_NEWNET) < 0)
		return -errno;
	sock = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	r = sock < 0 ? -errno : 0;
	if (setns(own, CLONE_NEWNET) < 0)
		return -errno;
	return r < 0 ? r : lg_take_fd(&sock);
}

static int ask(int sock)
{
	struct {
		struct nlmsghdr head;
		struct ifinfomsg link;
	} question = {
		.head = { .nlmsg_len = sizeof(question), .nlmsg_type = RTM_GETLINK,
			  .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
	};

	return send(sock, &question, sizeof(question), 0) < 0 ? -errno : 0;
}

/* Text of attribute @type among those from @a on; NULL. */
static const char *text_of(struct rtattr *a, size_t len, unsigned short type)
{
	for (; RTA_OK(a, len); a = RTA_NEXT(a, len))
		if ((a->rta_type & NLA_TYPE_MASK) == type && RTA_PAYLOAD(a) > 0 &&
		    memchr(RTA_DATA(a), '\0', RTA_PAYLOAD(a)))
			return RTA_DATA(a);
	return NULL;
}

static const char *kind_of(struct rtattr *a, size_t len)
{
	for (; RTA_OK(a, len); a = RTA_NEXT(a, len))
		if ((a->rta_type & NLA_TYPE_MASK) == IFLA_LINKINFO)
			return text_of(RTA_DATA(a), RTA_PAYLOAD(a), IFLA_INFO_KIND);
	return NULL;
}

static bool is_among(const char *const *list, size_t n, const char *text)
{
	for (size_t i = 0; text && i < n; i++)
		if (strcmp(list[i], text) == 0)
			return true;
	return false;
}

static void judge(struct find *f, struct nlmsghdr *h)
{
	struct ifinfomsg *link = NLMSG_DATA(h);
	struct rtattr *attrs = IFLA_RTA(link);
	size_t len = h->nlmsg_len - NLMSG_LENGTH(sizeof(*link));
	const char *name = text_of(attrs, len, IFLA_IFNAME), *kind = kind_of(attrs, len);

	if (link->ifi_type == ARPHRD_LOOPBACK ||
	    is_among(known_kinds, ARRAY_SIZE(known_kinds), kind) ||
	    is_among(own_links, ARRAY_SIZE(own_links), name))
		return;
	find_note(f, LG_BLOCKER_LINK, "%s (%s)", name ? name : "?", kind ? kind : "a device of the host");
}

/* Return: 1 there is more to come, 0 that was all; negative errno. */
static int take_answer(struct find *f, char *buf, size_t len)
{
	for (struct nlmsghdr *h = (void *)buf; NLMSG_OK(h, len); h = NLMSG_NEXT(h, len)) {
		if (h->nlmsg_type == NLMSG_DONE)
			return 0;
		if (h->nlmsg_type == NLMSG_ERROR)
			return -EIO;
		if (h->nlmsg_type == RTM_NEWLINK && h->nlmsg_len >= NLMSG_LENGTH(sizeof(struct ifinfomsg)))
			judge(f, h);
	}
	return 1;
}

int find_in_network(struct find *f)
{
	lg_autoclose int sock = open_route(f->init);
	static char buf[ANSWER_BYTES] __attribute__((aligned(NLMSG_ALIGNTO)));
	int r = sock < 0 ? sock : ask(sock);

	for (r = r < 0 ? r : 1; r > 0;) {
		ssize_t n = recv(sock, buf, sizeof(buf), 0);

		r = n < 0 ? -errno : take_answer(f, buf, (size_t)n);
	}
	return r < 0 ? lg_fail(f->err, r, "look at its network links") : find_tell(f, NULL);
}
