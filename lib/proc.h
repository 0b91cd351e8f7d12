/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_LIB_PROC_H
#define LG_LIB_PROC_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/err.h"

/** lg_pidfd_open() - a descriptor of process @pid, close-on-exec; negative errno. */
int lg_pidfd_open(pid_t pid);

/** lg_pidfd_signal() - send @sig. Return: 0, negative errno (-ESRCH when it is gone). */
int lg_pidfd_signal(int pidfd, int sig);

/**
 * lg_proc_starttime() - field 22 of /proc/PID/stat, in clock ticks since boot
 *
 * Together with the pid it names a process for good: a record of both is checked before anything is
 * done to a pid read from a file. Return: 0, -ESRCH.
 */
int lg_proc_starttime(pid_t pid, uint64_t *ret);

/** lg_proc_is() - is @pid still the process that started at @starttime? */
bool lg_proc_is(pid_t pid, uint64_t starttime);

struct lg_spawn {
	const char *path;		/* absolute */
	char *const *argv;
	char *const *envp;		/* NULL: PATH, LANG=C and nothing else */
	const int *fds;			/* become 0, 1, 2, 3, ... in the child; -1 = /dev/null */
	unsigned int nfds;
	int end_signal;			/* sent to the child when the caller ends; 0: none */
	int cgroup_fd;			/* be born in this cgroup2 directory; <= 0: in the caller's */
};

/* A thread that waits in the kernel and hears no signal, not even SIGKILL. */
struct lg_stuck {
	pid_t pid, tid;
	char name[20];		/* what it calls itself, made printable */
	char where[160];	/* what it waits in, innermost first: "percpu_rwsem_wait < ext4_file_write_iter" */
};

/**
 * lg_proc_stuck() - does a thread of @pid hang in the kernel (state D)?
 *
 * Return: 1 with the first such thread in @ret, 0 none, -ESRCH no such process.
 */
int lg_proc_stuck(pid_t pid, struct lg_stuck *ret);

/**
 * lg_spawn() - start a program without copying the caller's memory (CLONE_VFORK)
 * @ret_pidfd:	may be NULL; else the caller's
 *
 * All signals are unblocked and default in the child, and no other descriptor reaches it.
 * Return: the pid; negative errno, also when exec failed.
 */
pid_t lg_spawn(const struct lg_spawn *spawn, int *ret_pidfd, struct lg_err *err);

#endif
