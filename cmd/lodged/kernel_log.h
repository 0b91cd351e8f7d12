/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LODGED_KERNEL_LOG_H
#define LODGED_KERNEL_LOG_H

/* What the kernel's log (/dev/kmsg) says of containers: who was killed for want of memory, and by which limit. */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct kernel_kill {
	uint64_t at_us;		/* on the kernel's clock, since boot */
	bool by_limit;		/* a memory limit; false: the host had no memory left */
	pid_t pid;		/* the host's number of it */
	uid_t uid;		/* the host's, too: it lies in the container's range */
	char name[64];		/* as the process called itself: any text */
};

/**
 * kernel_log_kill() - is this record of /dev/kmsg the kernel's own about a killed process?
 *
 * The line before it, which names cgroups, comes in pieces and is left out when many are killed; this
 * one does neither. The process's name is the guest's to choose, so that the rest is read from
 * the line's end, and whose it was is told by its uid.
 */
bool kernel_log_kill(const char *record, struct kernel_kill *ret);

/**
 * kernel_log_fork() - is it the one that says that a cgroup's limit of tasks was met?
 * @path:	the cgroup's, as the kernel writes it
 *
 * The kernel says so once for each cgroup.
 */
bool kernel_log_fork(const char *record, char path[256]);

struct daemon;

/** kernel_log_watch() - read it from now on, and what it says of the time before; works without, too. */
void kernel_log_watch(struct daemon *d);

/** kernel_log_catch_up() - read what it has said until now, which is of instances as they are now */
void kernel_log_catch_up(struct daemon *d);

void kernel_log_end(struct daemon *d);

#endif
