/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_CMD_CRIU_CALLS_H
#define LG_CMD_CRIU_CALLS_H

/* What the files of lodge-criu-calls.so share: calls made by hand, as errno and the library's own functions are CRIU's. */

#include <errno.h>
#include <linux/netlink.h>
#include <stdlib.h>

#define EXPORTED __attribute__((visibility("default")))
#define ERRNO_MAX 4095

static inline long kernel(long number, const long a[6])
{
	register long r10 __asm__("r10") = a[3];
	register long r8 __asm__("r8") = a[4];
	register long r9 __asm__("r9") = a[5];
	long r;

	__asm__ volatile("syscall"
			 : "=a"(r)
			 : "a"(number), "D"(a[0]), "S"(a[1]), "d"(a[2]), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return r;
}

static inline long call(long number, long a0, long a1, long a2, long a3)
{
	const long a[6] = { a0, a1, a2, a3 };

	return kernel(number, a);
}

static inline long result(long r)
{
	if (r < 0 && r >= -ERRNO_MAX) {
		errno = (int)-r;
		return -1;
	}
	return r;
}

static inline long number_of(const char *name)
{
	const char *text = getenv(name);

	return text ? strtol(text, NULL, 10) : 0;
}

/** calls_give_up() - does nobody want this dump any more? (calls_end.c) */
int calls_give_up(void);

/**
 * calls_make_pair() - is @msg the move of the container's link into it, and has the pair been made instead? Then @ret is what sendmsg()
 * returns. (calls_link.c)
 */
struct msghdr;
int calls_make_pair(int fd, const struct msghdr *msg, int flags, long *ret);

/** calls_open_cgroups() - is the call part of mounting cgroups, and has it been made otherwise? Then @ret is its result. (calls_cgroups.c) */
int calls_open_cgroups(long number, const long a[6], long *ret);

/** nl_ok() - is there a whole message in the @left bytes at @nl? As NLMSG_OK(), whose comparison clang takes for a mistake. */
static inline int nl_ok(const struct nlmsghdr *nl, int left)
{
	return left >= (int)sizeof(*nl) && nl->nlmsg_len >= sizeof(*nl) && nl->nlmsg_len <= (unsigned int)left;
}

#endif
