/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_CT_BLOCKERS_H
#define LG_CT_BLOCKERS_H

/*
 * What in a running container CRIU cannot dump, or loses without a word: found from outside, before anything is touched.
 *
 * How it works: for each process its status, namespaces, descriptors and mappings are read in /proc, and its
 * sockets asked through copies of their descriptors; for each mount namespace the mounts, and the links
 * of the container's network. Nothing is opened by a path that the guest has a say in, and no file of
 * the guest's is opened at all. What CRIU 4.1 cannot dump is known from trying it on each kind
 * (tests/host/undumpable.c makes them).
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/err.h"

/* Deleted files that are still open become a part of the images up to this size (CRIU's ghost limit). */
#define LG_GHOST_LIMIT (64u << 20)

enum lg_blocker_kind {
	LG_BLOCKER_USER_NS,
	LG_BLOCKER_UTS_NS,
	LG_BLOCKER_IPC_NS,
	LG_BLOCKER_NET_NS,
	LG_BLOCKER_PID_NS,
	LG_BLOCKER_CGROUP_NS,
	LG_BLOCKER_TIME_NS,
	LG_BLOCKER_NS_FD,
	LG_BLOCKER_TRACED,
	LG_BLOCKER_HANGS,
	LG_BLOCKER_DEAD_LEADER,
	LG_BLOCKER_IO_URING,
	LG_BLOCKER_USERFAULTFD,
	LG_BLOCKER_BPF,
	LG_BLOCKER_PERF,
	LG_BLOCKER_LISTENER,
	LG_BLOCKER_ANON_FILE,
	LG_BLOCKER_SECRET_MEMORY,
	LG_BLOCKER_THREAD_PIDFD,
	LG_BLOCKER_FOREIGN_PIDFD,
	LG_BLOCKER_DEVICE,
	LG_BLOCKER_DEVICE_MAPPING,
	LG_BLOCKER_DELETED_FILE,
	LG_BLOCKER_PACKET_PIPE,
	LG_BLOCKER_PATH_SOCKET,
	LG_BLOCKER_SOCKET,
	LG_BLOCKER_FOREIGN_SOCKET,
	LG_BLOCKER_CORKED,
	LG_BLOCKER_NETLINK_GROUPS,
	LG_BLOCKER_FILE_SYSTEM,
	LG_BLOCKER_NS_MOUNT,
	LG_BLOCKER_BIND,
	LG_BLOCKER_LINK,
	LG_BLOCKER_SESSION,
	LG_BLOCKER_RAMFS,
	LG_BLOCKER_ACCEPT_QUEUE,
	LG_BLOCKER_SEMAPHORE,
	LG_BLOCKER_PERSONALITY,
	LG_BLOCKER_COUNT_,
};

enum lg_blocker_weight {
	LG_BLOCKER_STOPS,	/* it cannot be dumped */
	LG_BLOCKER_TOLD,	/* keeps nothing from being dumped, but is to be known */
	LG_BLOCKER_LOST,	/* is dumped, and does not come back as it was; CRIU says nothing */
};

struct lg_blocker_row {
	const char *name;	/* "user-namespace" */
	enum lg_blocker_weight weight;
	const char *reason;	/* "it is in a user namespace of its own" */
	const char *remedy;
};

extern const struct lg_blocker_row lg_blocker_rows[LG_BLOCKER_COUNT_];

/** lg_blocker_by_name() - the kind of that name; LG_BLOCKER_COUNT_: none. */
enum lg_blocker_kind lg_blocker_by_name(const char *name);

/* One kind, of one process. Texts are printable ASCII, whatever the guest chose. */
struct lg_blocker {
	enum lg_blocker_kind kind;
	pid_t pid, inside;	/* on the host and in the container; 0: of no process */
	char process[20];
	char unit[96];		/* "nginx.service"; "": in none */
	char what[160];		/* the first of them: "descriptor 5: anon_inode:[io_uring]"; "" */
	unsigned int count;	/* so many of them it has */
};

struct lg_blockers {
	const pid_t *pids;	/* all processes of the container; borrowed */
	size_t npids;
	pid_t init;
	/*
	 * What the cgroup of each of them has in its path, "TOP/CTID": whoever has not took the pid of one that
	 * ended. Behind it stands where the guest's systemd put it. NULL: not looked at.
	 */
	const char *cgroup;
	uint64_t ghost_limit;	/* bytes */
};

/**
 * lg_blockers_find() - call @fn with everything that is found, process by process
 *
 * Takes as long as the container is large (some milliseconds for ten processes), and up to 200 ms more where one
 * seems to hang: for a process of its own. Processes that come or end meanwhile may be missed.
 * Return: 0; an answer of @fn other than 0, which ends it; negative errno: something could not be looked
 * at, so that nothing is known.
 */
int lg_blockers_find(const struct lg_blockers *of, int (*fn)(const struct lg_blocker *b, void *arg),
		     void *arg, struct lg_err *err);

/** lg_blocker_unit() - the unit in a cgroup's @path; "" when none is in it. */
void lg_blocker_unit(const char *path, char *buf, size_t size);

#endif
