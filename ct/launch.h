/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_CT_LAUNCH_H
#define LG_CT_LAUNCH_H

/*
 * Making init: the half that runs in the shim. ct/inside.h has the half that runs in the new process.
 *
 *	shim				init-to-be
 *	clone3 with user, pid, net, uts, ipc namespaces, born in its cgroup
 *	tells lodged MADE		limits, capabilities, host name, session
 *	writes the id maps
 *	mounts the overlay
 *	ROOT (fd) --------------------> becomes root, unshares mount and cgroup namespaces, builds
 *					the root file system, /dev, /proc, /sys, the guest's files
 *	    <-------------------------- TTY (fds: the mount of its devpts, master of its console, two
					folders of its /proc and /sys)
 *	    <-------------------------- READY
 *	GO ---------------------------> (only when lodged said so)
 *	    <-------------------------- EXEC, then the socket closes by itself at exec
 *	    <-------------------------- FAILED at any time
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "ct/procfs.h"
#include "lib/err.h"
#include "lib/msg.h"

enum lg_handshake {
	LG_H_ROOT = 1,	/* fds: the container's root folder; with plain fields a mount for each; with
			 * device fields a mount with the nodes */
	LG_H_GO,
	LG_H_TTY,	/* fds: devpts mount, console's master, its /proc and its CPU folder in /sys (these
			 * two may be missing) */
	LG_H_READY,
	LG_H_PID,	/* of a session's process, as the shim sees it: pid */
	LG_H_EXEC,	/* the next thing is exec */
	LG_H_FAILED,	/* error object */
};

#define LG_PLAIN_MAX 6u	/* as many as a message carries beside root and nodes */

/* Resource limits other than the usual ones. */
struct lg_rlimits {
	struct {
		bool given;
		rlim_t soft, hard;
	} of[RLIM_NLIMITS];
};

/* What START says. Texts are borrowed from the message, descriptors are owned. */
struct lg_start {
	const struct lg_msg *msg;
	uint32_t ctid, id_base, id_count;
	const char *lower, *upper, *work, *target, *scratch;
	const char *image;	/* NULL: the layer is a folder */
	const char *socket, *exit_file, *console_log, *hostname, *init;
	uint64_t keep_caps, run_size, tmp_size;
	uint64_t ptys;		/* 0: the default of ct/mounts.c */
	bool shifted;		/* its layers are owned by its ids (storage/shift.h) */
	bool nesting;		/* containers are to run inside */
	int cgroup_fd, leaf_fd;
	int seccomp_fd;		/* -1: no filter */
	bool restore;		/* out of images */
	int images_fd, host_ns_fd;	/* restore: their folder; the host's mount namespace. Else -1 */
	int helpers_fd;		/* restore: a cgroup for lodge-criu and what it starts. Else -1 */
	struct lg_procfs *procfs;	/* lxcfs's files; borrowed. Of its clocks the kernel tells */
	struct lg_rlimits rlimits;
};

/** lg_start_parse() - check START and take its descriptors. -EINVAL names the field. */
int lg_start_parse(struct lg_msg *m, struct lg_start *ret, struct lg_err *err);

struct lg_launch {
	pid_t pid;
	int pidfd;
	int netns_fd;
	int sock;	/* our end of the handshake, non-blocking */
	bool own_clocks;	/* its clocks began with it (ct/clocks.h) */
};

/**
 * lg_launch_clone() - make the process and its namespaces
 *
 * It runs lg_inside() and waits there for its root. Descriptors in @ret are the caller's. On
 * failure nothing is left.
 */
int lg_launch_clone(const struct lg_start *start, struct lg_launch *ret, struct lg_err *err);

/**
 * lg_launch_mount() - mount the root at start->target, its ids mapped as @userns maps them
 *
 * On failure the target is not mounted.
 */
int lg_launch_mount(const struct lg_start *start, int userns, struct lg_err *err);

/**
 * lg_launch_root() - write its id maps, mount its root at start->target and hand it over
 * @scratch:	a message to use; not the one that @start borrows from
 *
 * On failure the target is not mounted; the process is the caller's to kill.
 */
int lg_launch_root(const struct lg_start *start, const struct lg_launch *launch,
		   struct lg_msg *scratch, struct lg_err *err);

#endif
