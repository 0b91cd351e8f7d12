/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_CMD_SHIM_NAMESPACES_H
#define LG_CMD_SHIM_NAMESPACES_H

#include <stddef.h>
#include <sys/types.h>

/**
 * namespaces_gather() - the mount namespaces of the processes below a cgroup2 directory
 * @but:	not this one (its inode number)
 * @fds:	one descriptor for each, the caller's
 *
 * Needs the host's /proc. Return: how many; at most @max, others are left out.
 */
size_t namespaces_gather(int cgroup_fd, ino_t but, int *fds, size_t max);

#endif
