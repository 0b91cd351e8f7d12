/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Sockets: asked through a copy of the process's descriptor, which does nothing to them. */

#include <errno.h>
#include <linux/netlink.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>

#include "ct/blockers_find.h"
#include "lib/cleanup.h"

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif
#define ACCEPT_MS 20u		/* who has not accepted a connection by then has it waiting */
#define ACCEPT_STEP_MS 2u
#define GROUP_WORDS 64u		/* of 32 netlink groups each */

struct kind {
	int family, type, protocol;
};

static const struct {
	int number;
	const char *name;
} protocols[] = {
	{ IPPROTO_ICMP, "ICMP (ping)" },
	{ IPPROTO_ICMPV6, "ICMPv6 (ping)" },
	{ IPPROTO_SCTP, "SCTP" },
	{ IPPROTO_MPTCP, "MPTCP" },
};

static int option(int fd, int level, int name)
{
	int value = -1;
	socklen_t len = sizeof(value);

	return getsockopt(fd, level, name, &value, &len) < 0 ? -1 : value;
}

/* Of a socket that listens: how many connections it has not accepted. 0 of all others. */
static unsigned int waiting(int sock)
{
	struct tcp_info info = { 0 };
	socklen_t len = sizeof(info);

	if (getsockopt(sock, IPPROTO_TCP, TCP_INFO, &info, &len) < 0 || info.tcpi_state != TCP_LISTEN)
		return 0;
	return info.tcpi_unacked;
}

/*
 * A busy server has one at any moment, and accepts it in the next: that is not told. Those that are half-made are none of them:
 * their clients ask again.
 */
static void look_at_queue(struct find *f, int fd, int sock)
{
	const struct timespec step = { .tv_nsec = ACCEPT_STEP_MS * 1000000L };
	unsigned int n = waiting(sock);

	for (unsigned int ms = 0; n > 0 && ms < ACCEPT_MS; ms += ACCEPT_STEP_MS) {
		nanosleep(&step, NULL);
		n = waiting(sock);
	}
	if (n > 0)
		find_note(f, LG_BLOCKER_ACCEPT_QUEUE, "descriptor %d: %u", fd, n);
}

static bool is_known_protocol(const struct kind *k)
{
	return k->type == SOCK_RAW || k->protocol == IPPROTO_IP || k->protocol == IPPROTO_TCP ||
	       k->protocol == IPPROTO_UDP || k->protocol == IPPROTO_UDPLITE;
}

static void note_protocol(struct find *f, int fd, int protocol)
{
	for (size_t i = 0; i < ARRAY_SIZE(protocols); i++)
		if (protocols[i].number == protocol) {
			find_note(f, LG_BLOCKER_SOCKET, "descriptor %d: %s", fd, protocols[i].name);
			return;
		}
	find_note(f, LG_BLOCKER_SOCKET, "descriptor %d: protocol %d", fd, protocol);
}

static void look_at_inet(struct find *f, int fd, int sock, const struct kind *k)
{
	if (!is_known_protocol(k))
		note_protocol(f, fd, k->protocol);
	else if (k->type == SOCK_DGRAM && option(sock, IPPROTO_UDP, UDP_CORK) > 0)
		find_note(f, LG_BLOCKER_CORKED, "descriptor %d", fd);
	else if (k->protocol == IPPROTO_TCP)
		look_at_queue(f, fd, sock);
}

/*
 * CRIU has room for 32 groups. The kernel's words come in pairs, of which the last may be empty; there are as
 * many as the protocol had groups when the socket joined its first one, whichever that is.
 */
static void look_at_netlink(struct find *f, int fd, int sock)
{
	uint32_t groups[GROUP_WORDS] = { 0 };
	socklen_t len = sizeof(groups);
	size_t n;

	if (getsockopt(sock, SOL_NETLINK, NETLINK_LIST_MEMBERSHIPS, groups, &len) < 0)
		return;
	n = (len + 7) / 8 * 2;
	if (n > 0 && n <= GROUP_WORDS && groups[n - 1] == 0)
		n--;
	if (n > 1)
		find_note(f, LG_BLOCKER_NETLINK_GROUPS, "descriptor %d: protocol %d", fd,
			  option(sock, SOL_SOCKET, SO_PROTOCOL));
}

/* One that was handed in from outside, or made in a network that is left. */
static bool is_foreign(const struct find *f, int sock)
{
	lg_autoclose int ns = ioctl(sock, SIOCGSKNS);
	struct stat st;

	if (ns < 0 || fstat(ns, &st) < 0 || st.st_ino == f->init->ns[NS_NET])
		return false;
	for (size_t i = 0; i < f->ntasks; i++)
		if (!f->tasks[i].ends && f->tasks[i].ns[NS_NET] == st.st_ino)
			return false;
	return true;
}

static void look_at(struct find *f, int fd, int sock)
{
	struct kind k = {
		.family = option(sock, SOL_SOCKET, SO_DOMAIN),
		.type = option(sock, SOL_SOCKET, SO_TYPE),
		.protocol = option(sock, SOL_SOCKET, SO_PROTOCOL),
	};

	if (is_foreign(f, sock))
		find_note(f, LG_BLOCKER_FOREIGN_SOCKET, "descriptor %d: family %d", fd, k.family);
	switch (k.family) {
	case AF_INET:
	case AF_INET6:
		look_at_inet(f, fd, sock, &k);
		break;
	case AF_NETLINK:
		look_at_netlink(f, fd, sock);
		break;
	case AF_UNIX:
	case AF_PACKET:
		break;
	default:
		find_note(f, LG_BLOCKER_SOCKET, "descriptor %d: family %d", fd, k.family);
		break;
	}
}

int find_socket(struct find *f, const struct task *task, int fd)
{
	lg_autoclose int sock = (int)syscall(SYS_pidfd_getfd, f->pidfd, fd, 0);

	if (sock < 0)
		return errno == EBADF || errno == ESRCH ? 0 :
			lg_fail(f->err, -errno, "look at socket %d of process %d", fd,
				(int)task->pid);
	look_at(f, fd, sock);
	return 0;
}
