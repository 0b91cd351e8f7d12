/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * execvp() of `ip` and iptables (part of lodge-criu-calls.so, calls.c). CRIU starts eight programs at a dump and five at a restore
 * to save and restore addresses, routes and rules, while the container stands still; most of their time is that of being started. What
 * they do is a message to the kernel and its answers, and is done here in their place, by the child that was to become them, in the
 * form in which they write and read it: a number that says what it is, then the kernel's messages as they were sent.
 *
 * Only the usual is done here. Whatever is unusual, or fails, is left to the program itself: to save, before anything was
 * written; to restore, from the beginning, as it takes no offence at what is there already.
 */

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cmd/lodge-criu/calls.h"
#include "cmd/lodge-criu/tables.h"

#define MAGIC_ADDRESSES 0x47361222u
#define MAGIC_ROUTES 0x45311224u
#define MAGIC_RULES 0x71706986u
#define SAVED_MAX (1u << 20)	/* more is unusual */
#define ANSWER_MAX 32768u
#define PATIENCE_S 5
#define WORDS 4

/* A list of the kernel's, and what a program writes of it. */
struct list {
	uint32_t magic;
	uint16_t ask, answer;	/* kinds of messages */
	uint8_t family;
	int (*wanted)(struct nlmsghdr *nl);
};

static struct {
	unsigned char data[SAVED_MAX];
	size_t len;
} saved;

static int ask_kernel(void)
{
	struct timeval patience = { .tv_sec = PATIENCE_S };
	struct sockaddr_nl kernel_end = { .nl_family = AF_NETLINK };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0 ||
	    connect(fd, (struct sockaddr *)&kernel_end, sizeof(kernel_end)) < 0)
		return -1;
	return fd;
}

static struct rtattr *attribute(struct nlmsghdr *nl, size_t head, unsigned short type)
{
	struct rtattr *at = (struct rtattr *)((char *)NLMSG_DATA(nl) + NLMSG_ALIGN(head));
	int left = (int)nl->nlmsg_len - (int)NLMSG_SPACE(head);

	for (; RTA_OK(at, left); at = RTA_NEXT(at, left))
		if (at->rta_type == type)
			return at;
	return NULL;
}

/* ---- to save ---- */

/* `ip route save` means the main table, and not what the kernel made of a route for one destination. */
static int is_main_route(struct nlmsghdr *nl)
{
	const struct rtmsg *route = NLMSG_DATA(nl);
	struct rtattr *table = attribute(nl, sizeof(*route), RTA_TABLE);

	if (route->rtm_flags & RTM_F_CLONED)
		return 0;
	return (table ? *(uint32_t *)RTA_DATA(table) : route->rtm_table) == RT_TABLE_MAIN;
}

static int put(const void *data, size_t len)
{
	if (len > sizeof(saved.data) - saved.len)
		return -1;
	memcpy(saved.data + saved.len, data, len);
	saved.len += len;
	return 0;
}

/* Return: 1: that was all; 0: more is to come; -1: it failed. */
static int take_answer(const struct list *list, struct nlmsghdr *nl, int left)
{
	for (; nl_ok(nl, left); nl = NLMSG_NEXT(nl, left)) {
		/* It has changed while it was read; nothing of the container runs, so that this is unusual. */
		if (nl->nlmsg_type == NLMSG_ERROR || (nl->nlmsg_flags & NLM_F_DUMP_INTR))
			return -1;
		if (nl->nlmsg_type == NLMSG_DONE)
			return 1;
		if (nl->nlmsg_type != list->answer)
			return -1;
		if ((!list->wanted || list->wanted(nl)) && put(nl, NLMSG_ALIGN(nl->nlmsg_len)) < 0)
			return -1;
	}
	return left ? -1 : 0;
}

static int read_list(const struct list *list, int fd)
{
	static char answer[ANSWER_MAX] __attribute__((aligned(NLMSG_ALIGNTO)));
	struct {
		struct nlmsghdr nl;
		struct rtmsg route;	/* addresses and rules have shorter ones, which begin with the family as well */
	} ask = {
		.nl = { .nlmsg_len = sizeof(ask), .nlmsg_type = list->ask, .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
		.route = { .rtm_family = list->family },
	};
	int r = 0;

	if (send(fd, &ask, sizeof(ask), 0) != sizeof(ask))
		return -1;
	while (r == 0) {
		ssize_t n = recv(fd, answer, sizeof(answer), MSG_TRUNC);

		r = n <= 0 || n > (ssize_t)sizeof(answer) ? -1 : take_answer(list, (struct nlmsghdr *)answer, (int)n);
	}
	return r;
}

static int write_saved(void)
{
	for (size_t at = 0; at < saved.len;) {
		ssize_t n = write(STDOUT_FILENO, saved.data + at, saved.len - at);

		if (n <= 0)
			return 1;
		at += (size_t)n;
	}
	return 0;
}

/* Return: what the program would have ended with; -1: it is to be started. */
static int save(const struct list *list)
{
	int fd = ask_kernel();

	saved.len = 0;
	if (fd < 0 || put(&list->magic, sizeof(list->magic)) < 0 || read_list(list, fd) != 1)
		return -1;
	return write_saved();
}

/* ---- to restore ---- */

/* Without what leads elsewhere first: that needs a way to its gateway. */
static int pass_of(struct nlmsghdr *nl)
{
	if (nl->nlmsg_type != RTM_NEWROUTE)
		return 0;
	if (attribute(nl, sizeof(struct rtmsg), RTA_GATEWAY) || attribute(nl, sizeof(struct rtmsg), RTA_VIA) ||
	    attribute(nl, sizeof(struct rtmsg), RTA_MULTIPATH))
		return 2;
	return attribute(nl, sizeof(struct rtmsg), RTA_PREFSRC) != NULL;
}

static int make(int fd, struct nlmsghdr *nl)
{
	struct {
		struct nlmsghdr nl;
		struct nlmsgerr err;
		char rest[512];
	} answer;

	nl->nlmsg_flags = NLM_F_REQUEST | NLM_F_CREATE | NLM_F_ACK;
	nl->nlmsg_pid = 0;
	if (send(fd, nl, nl->nlmsg_len, 0) != (ssize_t)nl->nlmsg_len ||
	    recv(fd, &answer, sizeof(answer), 0) < (ssize_t)NLMSG_LENGTH(sizeof(answer.err)) ||
	    answer.nl.nlmsg_type != NLMSG_ERROR)
		return -1;
	return answer.err.error == 0 || answer.err.error == -EEXIST ? 0 : -1;
}

static int make_all(const struct list *list, int fd)
{
	for (int pass = 0; pass <= 2; pass++) {
		struct nlmsghdr *nl = (struct nlmsghdr *)(saved.data + sizeof(list->magic));
		int left = (int)(saved.len - sizeof(list->magic));

		for (; nl_ok(nl, left); nl = NLMSG_NEXT(nl, left)) {
			if (nl->nlmsg_type != list->answer)
				return -1;
			if (pass_of(nl) == pass && make(fd, nl) < 0)
				return -1;
		}
		if (left)
			return -1;
	}
	return 0;
}

static int restore(const struct list *list)
{
	off_t at = lseek(STDIN_FILENO, 0, SEEK_CUR);
	ssize_t n;
	int fd;

	/* Read without moving on in it, for the program. */
	if (at < 0)
		return -1;
	for (saved.len = 0; (n = pread(STDIN_FILENO, saved.data + saved.len, sizeof(saved.data) - saved.len, at)) > 0; at += n)
		saved.len += (size_t)n;
	if (n < 0 || saved.len == sizeof(saved.data) || saved.len < sizeof(list->magic) ||
	    memcmp(saved.data, &list->magic, sizeof(list->magic)) != 0)
		return -1;
	fd = ask_kernel();
	return fd < 0 ? -1 : make_all(list, fd);
}

/* ---- iptables ---- */

static int say_version(const char *name)
{
	printf(IPTABLES_VERSION, name);
	return fflush(stdout) != 0;
}

static int save_nothing(const char *names)
{
	return tables_are_there(names) ? -1 : 0;
}

/* ---- which program ---- */

static const struct list addresses = { MAGIC_ADDRESSES, RTM_GETADDR, RTM_NEWADDR, AF_UNSPEC, NULL };
static const struct list routes = { MAGIC_ROUTES, RTM_GETROUTE, RTM_NEWROUTE, AF_INET, is_main_route };
static const struct list routes6 = { MAGIC_ROUTES, RTM_GETROUTE, RTM_NEWROUTE, AF_INET6, is_main_route };
static const struct list rules = { MAGIC_RULES, RTM_GETRULE, RTM_NEWRULE, AF_INET, NULL };

/* clang-format off */
static const struct {
	const char *words[WORDS];
	int (*lists)(const struct list *list);
	const struct list *list;
	int (*names)(const char *name);
	const char *name;
} programs[] = {
	{ { "ip", "addr", "save" },		save,		&addresses,	NULL,		NULL },
	{ { "ip", "route", "save" },		save,		&routes,	NULL,		NULL },
	{ { "ip", "-6", "route", "save" },	save,		&routes6,	NULL,		NULL },
	{ { "ip", "rule", "save" },		save,		&rules,		NULL,		NULL },
	{ { "ip", "addr", "restore" },		restore,	&addresses,	NULL,		NULL },
	{ { "ip", "route", "restore" },		restore,	&routes,	NULL,		NULL },
	{ { "iptables-save", "-V" },		NULL,		NULL,		say_version,	"iptables-save" },
	{ { "ip6tables-save", "-V" },		NULL,		NULL,		say_version,	"ip6tables-save" },
	{ { "iptables-restore", "-V" },		NULL,		NULL,		say_version,	"iptables-restore" },
	{ { "ip6tables-restore", "-V" },	NULL,		NULL,		say_version,	"ip6tables-restore" },
	{ { "sh", "-c", "iptables-save" },	NULL,		NULL,		save_nothing,	IPTABLES_NAMES },
	{ { "sh", "-c", "ip6tables-save" },	NULL,		NULL,		save_nothing,	IP6TABLES_NAMES },
};
/* clang-format on */

static int fits(const char *const words[WORDS], char *const argv[])
{
	int i = 0;

	while (i < WORDS && words[i] && argv[i] && strcmp(words[i], argv[i]) == 0)
		i++;
	return !argv[i] && (i == WORDS || !words[i]);
}

/* NOLINTBEGIN(readability-inconsistent-declaration-parameter-name): the names in the C library's headers are reserved */

EXPORTED int execvp(const char *file, char *const argv[])
{
	int status = -1;

	for (size_t i = 0; status < 0 && i < sizeof(programs) / sizeof(programs[0]); i++)
		if (fits(programs[i].words, argv))
			status = programs[i].list ? programs[i].lists(programs[i].list) : programs[i].names(programs[i].name);
	if (status >= 0)
		_exit(status);
	return execvpe(file, argv, environ);
}

/* NOLINTEND(readability-inconsistent-declaration-parameter-name) */
