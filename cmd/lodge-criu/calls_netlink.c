/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * sendmsg() to netfilter, and close() (part of lodge-criu-calls.so, calls.c).
 *
 * A dump asks for all tracked connections of the container's network namespace, and for all that are expected. The table is one for
 * the whole host, sized by the host's memory, and the kernel walks through all of it, for ten milliseconds each time, though a
 * container without rules of its own has not one connection in there. The kernel counts them by namespace: where there are none, it
 * is asked for those that are not yet confirmed, a list that is empty then as well.
 *
 * A restore takes away the table of nftables that held packets back, just before the processes run, and closes the socket by which it
 * said so; the kernel lets that wait until nobody can be reading the old rules any more, for four to fifteen milliseconds. So this one
 * is left open, and lodge-criu keeps it beyond CRIU's end (sockets.c).
 */

#include <fcntl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netlink.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cmd/lodge-criu/calls.h"

#define CONNECTIONS (NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_GET)
#define EXPECTED (NFNL_SUBSYS_CTNETLINK_EXP << 8 | IPCTNL_MSG_EXP_GET)
#define TABLE_GOES (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_DELTABLE)
#define UNCONFIRMED (NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_GET_UNCONFIRMED)

static struct nlmsghdr *dump_of_connections(const struct msghdr *msg)
{
	struct nlmsghdr *nl;

	if (!msg || msg->msg_iovlen != 1 || msg->msg_iov[0].iov_len < NLMSG_LENGTH(sizeof(struct nfgenmsg)))
		return NULL;
	nl = msg->msg_iov[0].iov_base;
	if ((nl->nlmsg_flags & NLM_F_DUMP) != NLM_F_DUMP ||
	    (nl->nlmsg_type != CONNECTIONS && nl->nlmsg_type != EXPECTED))
		return NULL;
	return nl;
}

/* Is there one in the batch of messages? */
static int deletes_table(const struct msghdr *msg)
{
	struct nlmsghdr *nl;
	int left;

	if (!msg || !msg->msg_iovlen)
		return 0;
	nl = msg->msg_iov[0].iov_base;
	left = (int)msg->msg_iov[0].iov_len;
	for (; nl_ok(nl, left); nl = NLMSG_NEXT(nl, left))
		if (nl->nlmsg_type == TABLE_GOES)
			return 1;
	return 0;
}

static int is_netfilter(int fd)
{
	int protocol = -1;
	socklen_t len = sizeof(protocol);
	const long a[6] = { fd, SOL_SOCKET, SO_PROTOCOL, (long)&protocol, (long)&len };

	return kernel(SYS_getsockopt, a) == 0 && protocol == NETLINK_NETFILTER;
}

/* Of the network namespace that CRIU is in. Not to be read means that it does not say. */
static int tracks_nothing(void)
{
	int fd = open("/proc/sys/net/netfilter/nf_conntrack_count", O_RDONLY | O_CLOEXEC);
	char text[4];
	ssize_t n;

	if (fd < 0)
		return 0;
	n = read(fd, text, sizeof(text));
	close(fd);
	return n == 2 && text[0] == '0' && text[1] == '\n';
}

/* NOLINTBEGIN(readability-inconsistent-declaration-parameter-name): the names in the C library's headers are reserved */

static int left_open = -1;

EXPORTED int close(int fd)
{
	const long a[6] = { fd };

	if (fd >= 0 && fd == left_open) {
		left_open = -1;
		return 0;
	}
	return (int)result(kernel(SYS_close, a));
}

EXPORTED ssize_t sendmsg(int fd, const struct msghdr *msg, int flags)
{
	const long a[6] = { fd, (long)msg, flags };
	struct nlmsghdr *nl = dump_of_connections(msg);
	long r;

	if (calls_make_pair(fd, msg, flags, &r))
		return result(r);
	if (!number_of("LODGE_DUMPS") && deletes_table(msg) && is_netfilter(fd))
		left_open = fd;
	if (nl && is_netfilter(fd) && tracks_nothing())
		nl->nlmsg_type = UNCONFIRMED;
	return result(kernel(SYS_sendmsg, a));
}

/* NOLINTEND(readability-inconsistent-declaration-parameter-name) */
