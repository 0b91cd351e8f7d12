/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * if_nametoindex(), and what sendmsg() does with the move of the container's link (part of lodge-criu-calls.so, calls.c).
 *
 * CRIU moves a link that is there into the network namespace that it makes, for which the kernel waits until nobody can be reading of
 * it any more, for 12 to 25 ms. A pair that is made with one end in there takes one. So CRIU is told of a link that there is not,
 * and its request is replaced by those of lodged (lg_net_prepare()), with what it says of the container's end: name, index,
 * MAC, MTU, flags and namespace.
 */

#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cmd/lodge-criu/calls.h"
#include "cmd/lodge-criu/pair.h"

#define NO_INDEX 0x7ffffffe	/* of the link that there is not */
#define ROOM 4096u
#define NESTS 4			/* the message, what kind of link it is, what is special to that, the other end */

/* NOLINTBEGIN(readability-inconsistent-declaration-parameter-name): the names in the C library's headers are reserved */

static union {
	unsigned char data[ROOM];
	struct nlmsghdr nl;
} stored, made;

static struct {
	int ns, index;
} inside;	/* where the container's end is born, and as what */

/* ---- what lodged wrote ---- */

static int digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Return: bytes; 0: there is nothing, or it makes no sense. */
static size_t read_stored(void)
{
	const char *text = getenv("LODGE_PAIR");
	size_t n = 0;

	for (; text && text[0] && n < sizeof(stored.data); text += 2, n++) {
		int high = digit(text[0]), low = high < 0 ? -1 : digit(text[1]);

		if (low < 0)
			return 0;
		stored.data[n] = (unsigned char)(high << 4 | low);
	}
	return nl_ok(&stored.nl, (int)n) ? n : 0;
}

/* ---- what CRIU asks for ---- */

static struct nlmsghdr *move_in(const struct msghdr *msg)
{
	struct nlmsghdr *nl;
	struct ifinfomsg *ifi;

	if (!msg || msg->msg_iovlen != 1 || msg->msg_iov[0].iov_len < NLMSG_LENGTH(sizeof(struct ifinfomsg)))
		return NULL;
	nl = msg->msg_iov[0].iov_base;
	ifi = NLMSG_DATA(nl);
	return nl_ok(nl, (int)msg->msg_iov[0].iov_len) && nl->nlmsg_type == RTM_NEWLINK && ifi->ifi_index == NO_INDEX ? nl :
															NULL;
}

static struct rtattr *next_of(struct rtattr *a)
{
	return (struct rtattr *)(void *)((char *)a + RTA_ALIGN(a->rta_len));
}

/* The last attribute of those in the @len bytes at @at: the nest that is still to be written to. */
static struct rtattr *last_of(void *at, size_t len)
{
	struct rtattr *a = at;

	while (a->rta_len >= sizeof(*a) && (char *)next_of(a) + sizeof(*a) <= (char *)at + len)
		a = next_of(a);
	return a;
}

/* ---- the two together ---- */

static int number_in(struct rtattr *a)
{
	int n = -1;

	if (RTA_PAYLOAD(a) >= sizeof(n))
		memcpy(&n, RTA_DATA(a), sizeof(n));
	return n;
}

/* What CRIU says of the link goes behind what @made has of the container's end. Return: bytes. */
static size_t append_end(struct nlmsghdr *asked, struct ifinfomsg *end, size_t at)
{
	struct rtattr *a = IFLA_RTA(NLMSG_DATA(asked));
	const char *stop = (const char *)asked + asked->nlmsg_len;

	for (; (const char *)a + sizeof(*a) <= stop && a->rta_len >= sizeof(*a); a = next_of(a)) {
		if (a->rta_type == IFLA_NEW_IFINDEX) {
			end->ifi_index = inside.index = number_in(a);
			continue;
		}
		if (a->rta_type == IFLA_NET_NS_FD)
			inside.ns = number_in(a);
		if (at + RTA_ALIGN(a->rta_len) > sizeof(made.data))
			return 0;
		memcpy(made.data + at, a, a->rta_len);
		at += RTA_ALIGN(a->rta_len);
	}
	return at;
}

/* The first message: the pair. Return: its bytes, 0: it is none of ours. */
static size_t make_first(struct nlmsghdr *asked)
{
	size_t len = NLMSG_ALIGN(stored.nl.nlmsg_len), grown;
	struct rtattr *nest[NESTS - 1];
	void *in = IFLA_RTA(NLMSG_DATA(&made.nl));

	memcpy(made.data, stored.data, len);
	memset(made.data + len, 0, sizeof(made.data) - len);
	for (int i = 0; i < NESTS - 1; i++) {
		nest[i] = last_of(in, (size_t)(made.data + len - (unsigned char *)in));
		if ((unsigned char *)nest[i] + sizeof(*nest[i]) > made.data + len)
			return 0;
		in = RTA_DATA(nest[i]);
	}
	grown = append_end(asked, in, len);
	if (!grown)
		return 0;
	made.nl.nlmsg_len += (unsigned int)(grown - len);
	for (int i = 0; i < NESTS - 1; i++)
		nest[i]->rta_len = (unsigned short)(nest[i]->rta_len + (grown - len));
	return grown;
}

/* All of them count as the one that CRIU asked for: a failure is answered in any case, the end of the last one because it says so. */
static void be_one(struct nlmsghdr *asked, size_t len)
{
	struct nlmsghdr *nl = &made.nl;
	int left = (int)len;

	for (; nl_ok(nl, left); nl = NLMSG_NEXT(nl, left)) {
		nl->nlmsg_seq = asked->nlmsg_seq;
		nl->nlmsg_flags &= (unsigned short)~NLM_F_ACK;
		if ((int)NLMSG_ALIGN(nl->nlmsg_len) >= left)
			nl->nlmsg_flags |= NLM_F_ACK;
	}
}

/* ---- up, which an end cannot be before it has another ---- */

static int socket_inside(void)
{
	long home = call(SYS_openat, AT_FDCWD, (long)"/proc/self/ns/net", O_RDONLY | O_CLOEXEC, 0);
	long sock = -EBADF;

	if (home >= 0 && call(SYS_setns, inside.ns, CLONE_NEWNET, 0, 0) == 0) {
		sock = call(SYS_socket, AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE, 0);
		if (call(SYS_setns, home, CLONE_NEWNET, 0, 0) < 0)
			call(SYS_exit_group, 1, 0, 0, 0);	/* whatever it did next it would do to the container's network */
	}
	if (home >= 0)
		call(SYS_close, home, 0, 0, 0);
	return (int)sock;
}

static long set_up(struct nlmsghdr *asked)
{
	const struct ifinfomsg *ifi = NLMSG_DATA(asked);
	struct {
		struct nlmsghdr nl;
		struct ifinfomsg ifi;
	} request = { { sizeof(request), RTM_NEWLINK, NLM_F_REQUEST | NLM_F_ACK, 1, 0 },
		      { .ifi_index = inside.index, .ifi_flags = ifi->ifi_flags, .ifi_change = ifi->ifi_change } };
	struct {
		struct nlmsghdr nl;
		struct nlmsgerr e;
		char more[256];
	} answer = { .e = { .error = -EBADMSG } };
	int sock = socket_inside();
	ssize_t r;

	if (sock < 0)
		return sock;
	r = send(sock, &request, sizeof(request), 0);
	if (r == (ssize_t)sizeof(request))
		r = recv(sock, &answer, sizeof(answer), 0);
	call(SYS_close, sock, 0, 0, 0);
	return r < 0 ? -errno : answer.e.error;
}

int calls_make_pair(int fd, const struct msghdr *msg, int flags, long *ret)
{
	struct nlmsghdr *asked = move_in(msg);
	size_t all = asked ? read_stored() : 0, first = all ? make_first(asked) : 0, rest;
	struct iovec iov = { .iov_base = made.data };
	struct msghdr ours;

	if (!first)
		return 0;
	rest = all - NLMSG_ALIGN(stored.nl.nlmsg_len);
	if (first + rest > sizeof(made.data))
		return 0;
	memcpy(made.data + first, stored.data + all - rest, rest);
	be_one(asked, first + rest);
	iov.iov_len = first + rest;
	ours = *msg;
	ours.msg_iov = &iov;
	*ret = call(SYS_sendmsg, fd, (long)&ours, flags, 0);
	if (*ret < 0)
		return 1;
	*ret = set_up(asked);
	/* Was it not made, the reason is in the answer that CRIU is about to read. */
	if (*ret == 0 || *ret == -ENODEV)
		*ret = (long)msg->msg_iov[0].iov_len;
	return 1;
}

EXPORTED unsigned int if_nametoindex(const char *name)
{
	struct ifreq ifr;
	int fd, found;

	if (strcmp(name, PAIR_LINK) == 0)
		return NO_INDEX;
	if (strlen(name) >= sizeof(ifr.ifr_name)) {
		errno = ENODEV;
		return 0;
	}
	memset(&ifr, 0, sizeof(ifr));
	memcpy(ifr.ifr_name, name, strlen(name));
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	found = fd >= 0 && ioctl(fd, SIOCGIFINDEX, &ifr) == 0;
	if (fd >= 0)
		call(SYS_close, fd, 0, 0, 0);
	return found ? (unsigned int)ifr.ifr_ifindex : 0;
}

/* NOLINTEND(readability-inconsistent-declaration-parameter-name) */
