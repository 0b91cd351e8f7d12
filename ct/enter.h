/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_CT_ENTER_H
#define LG_CT_ENTER_H

/*
 * How it works: a process of an exec session gets into a running container by two clones.
 *
 * The first is the shim's child, born in the container's cgroup (leaf), still in the host's pid
 * namespace. It joins all of the container's namespaces at once by the pidfd of init and becomes
 * the container's root. Nothing in the container can see it.
 *
 * The second is born in the container's pid namespace when everything else of it is the container's
 * already; CLONE_PARENT makes the shim its parent. From its first instruction on the container's
 * root can see it and kill it, but neither trace it nor look at its memory, descriptors, working directory
 * or program: it is not dumpable, and its memory belongs to the host's user namespace (the kernel
 * asks for CAP_SYS_PTRACE there) until exec replaces both.
 *
 * What is left of the shim in it until exec: its memory (no secrets), and descriptors: the
 * streams of the session, the handshake, the filter. None of them is a folder, and their
 * files are closed to the container's ids. Its program is for host's root alone (mode 0700), so that
 * neither a script whose interpreter is /proc/self/exe nor a link to it gets it to read or to execute;
 * and it ends at once where its descriptor 3 is no connection.
 */

#include <stdint.h>
#include <sys/types.h>

#include "lib/err.h"
#include "lib/msg.h"

struct lg_rlimits;

struct lg_enter {
	int pidfd;		/* of init; this and all below are borrowed */
	int cgroup_fd;		/* init's own cgroup2 directory */
	int *leaf_fd;		/* where sessions are born; opened anew when the guest removed it */
	int seccomp_fd;		/* -1: none */
	uint64_t keep_caps;
	const struct lg_rlimits *rlimits;
	const char *apparmor;	/* profile; NULL: none */
	int streams[3];		/* terminal: the same three times */
	int tty;		/* 0/1 */
	int own_clocks;		/* 0/1: it is in a time namespace of its own */
	int sock;		/* the child's end of the handshake */
	const struct lg_msg *msg;	/* EXEC */
};

/**
 * lg_enter_clone() - make the first process
 *
 * Return: its pid, to be reaped; the handshake says LG_H_PID (the session's process), then LG_H_EXEC or
 * LG_H_FAILED, and ends. Negative errno.
 */
pid_t lg_enter_clone(const struct lg_enter *enter, struct lg_err *err);

#endif
