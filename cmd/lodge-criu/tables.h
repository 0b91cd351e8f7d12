/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_CMD_CRIU_TABLES_H
#define LG_CMD_CRIU_TABLES_H

/* Legacy iptables: what iptables.c and calls_programs.c both know of them. */

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <unistd.h>

/* Of the network namespace that we are in. */
#define IPTABLES_NAMES "/proc/self/net/ip_tables_names"
#define IP6TABLES_NAMES "/proc/self/net/ip6_tables_names"

#define IPTABLES_VERSION "%s v1.8 (legacy)\n"	/* CRIU looks for the word in brackets */

/* No such file: the kernel has no legacy tables at all. */
static inline bool tables_are_there(const char *names)
{
	int fd = open(names, O_RDONLY | O_CLOEXEC);
	char c;
	ssize_t n;

	if (fd < 0)
		return errno != ENOENT;
	n = read(fd, &c, 1);
	close(fd);
	return n != 0;
}

#endif
