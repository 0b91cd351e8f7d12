/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * The last close of a socket that took nftables rules away waits until the kernel has got rid of them. The library has CRIU leave it
 * open (calls_netlink.c); here it is taken over, so that CRIU's end does not wait either. Ours does, when all has been said.
 *
 * All of it is for speed: what fails here makes CRIU end later.
 */

#include <linux/netlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cmd/lodge-criu/criu.h"
#include "lib/cleanup.h"
#include "lib/proc.h"

static bool is_netfilter(int fd)
{
	int protocol = -1, domain = -1;
	socklen_t len = sizeof(protocol);

	return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 && domain == AF_NETLINK &&
	       getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &len) == 0 && protocol == NETLINK_NETFILTER;
}

static int keep(pid_t pid, int fds, const char *name, void *arg)
{
	char target[16] = "";
	int fd;

	(void)pid;
	if (readlinkat(fds, name, target, sizeof(target) - 1) < 0 || strncmp(target, "socket:", 7) != 0)
		return 0;
	fd = (int)syscall(SYS_pidfd_getfd, *(int *)arg, (int)strtol(name, NULL, 10), 0);
	if (fd >= 0 && !is_netfilter(fd))
		close(fd);
	return 0;
}

void sockets_keep(void)
{
	pid_t criu = cancel_found();
	lg_autoclose int pidfd = lg_pidfd_open(criu);

	if (pidfd >= 0)
		tree_each_descriptor(criu, keep, &pidfd);
}
