/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_CGROUP_CGROUP_H
#define LG_CGROUP_CGROUP_H

/*
 * The cgroups of one lodged: TOP/CTID on each hierarchy, TOP being lg_root_cgroup() (below the
 * service's own delegated cgroup where systemd gave one).
 *
 * Unified host: one directory TOP/CTID with the limits, owned by the host; it is the root of
 * the container's cgroup namespace, and the files that cgroup delegation names (the directory,
 * cgroup.procs, cgroup.threads, cgroup.subtree_control) belong to the container's root. A leaf
 * TOP/CTID/lodge.exec is where processes entered from outside are born: once the guest's
 * systemd has enabled controllers, the directory itself takes no processes.
 *
 * Hybrid host: the same directory on cgroup2 (for kill, freeze, events and the guest's own
 * tree) and TOP/CTID on each v1 hierarchy that a limit needs. Moving a process into a v1 cgroup
 * waits for an RCU grace period (7 to 30 ms; one for all the moves that follow at once), so a
 * spare shim moves itself into a spare set of v1 directories ahead of time, and a start only
 * renames them. Everything a container runs is forked from its shim and is born there.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/err.h"

/*
 * What the unit lodge-containers.service (the cgroup subtree that systemd delegates to lodge)
 * leaves of its /proc/self/cgroup; see cgroup/place.c.
 */
#define LG_CG_TREE_FILE "/run/lodge/tree.cgroup"

struct lg_cg_host;	/* what was found out about this host; one per daemon */

/**
 * lg_cg_host_new() - find the hierarchies and make TOP on each; enable the controllers below it
 * @top:	lg_root_cgroup()
 *
 * Works with fewer controllers than it knows: lg_cg_has() tells. Return: 0, negative errno.
 */
int lg_cg_host_new(const char *top, struct lg_cg_host **ret, struct lg_err *err);

/** lg_cg_host_free() - forget it; the directories stay. NULL is fine. */
void lg_cg_host_free(struct lg_cg_host *host);

/** lg_cg_host_remove() - remove TOP everywhere. -EBUSY while it has instances or spares. */
int lg_cg_host_remove(struct lg_cg_host *host, struct lg_err *err);

/** lg_cg_is_hybrid() - is any controller that lodge uses on a v1 hierarchy? */
bool lg_cg_is_hybrid(const struct lg_cg_host *host);

/** lg_cg_has() - do instances have @name: memory, pids, cpu, cpuset, io, hugetlb? */
bool lg_cg_has(const struct lg_cg_host *host, const char *name);

/** lg_cg_is_delegated() - is TOP in a subtree that systemd keeps for lodge? */
bool lg_cg_is_delegated(const struct lg_cg_host *host);

/** lg_cg_where() - the path of TOP on cgroup2, for people. Borrowed. */
const char *lg_cg_where(const struct lg_cg_host *host);

/** lg_cg_open_own_procs() - cgroup.procs of the cgroup2 directory that this process is in. A descriptor, negative errno. */
int lg_cg_open_own_procs(struct lg_err *err);

/**
 * lg_cg_open_shims() - the cgroup2 directory to start shims in (struct lg_spawn.cgroup_fd)
 *
 * A shim must not stay in the cgroup of the daemon's service, which systemd empties when the
 * service stops. Return: a descriptor, negative errno.
 */
int lg_cg_open_shims(struct lg_cg_host *host, struct lg_err *err);

/**
 * lg_cg_open_helpers() - the cgroup2 directory for what works on the instance @name from outside; made if missing
 *
 * Nothing there counts as the instance's. Return: a descriptor, negative errno.
 */
int lg_cg_open_helpers(struct lg_cg_host *host, const char *name, struct lg_err *err);

/** lg_cg_helpers_run() - is any process in there? Missing: no. */
bool lg_cg_helpers_run(struct lg_cg_host *host, const char *name);

/** lg_cg_end_helpers() - kill what is in there and remove it. -EBUSY: not all of it has ended yet. Missing is fine. */
int lg_cg_end_helpers(struct lg_cg_host *host, const char *name, struct lg_err *err);

/**
 * lg_cg_spare_make() - make the spare set @name on the v1 hierarchies; unified hosts: nothing
 * @name:	like "spare-3"
 */
int lg_cg_spare_make(struct lg_cg_host *host, const char *name, struct lg_err *err);

/**
 * lg_cg_spare_procs() - absolute paths of the cgroup.procs files a spare shim writes "0" into
 * @fn:		called once per path; none on a unified host
 */
int lg_cg_spare_procs(struct lg_cg_host *host, const char *name,
		      int (*fn)(const char *path, void *arg), void *arg);

/** lg_cg_spare_remove() - remove it; its processes must be gone. Missing is fine. */
int lg_cg_spare_remove(struct lg_cg_host *host, const char *name, struct lg_err *err);

/**
 * lg_cg_spare_each() - names, as given to lg_cg_spare_make(), of the spare sets that are there
 *
 * After a crash they are to be removed. An answer other than 0 ends it and is returned.
 */
int lg_cg_spare_each(struct lg_cg_host *host, int (*fn)(const char *name, void *arg),
		     void *arg);

/**
 * lg_cg_make() - make an instance's cgroup: rename the spare set, make the cgroup2 directory
 * and its leaf, delegate them
 * @name:	the CTID in decimal
 * @spare:	set to rename; NULL: make the v1 directories anew (a unified host ignores it)
 * @owner:	uid and gid outside of the container's root
 *
 * A failure leaves everything as it was, the spare set too. -EEXIST: lg_cg_remove() it first.
 */
int lg_cg_make(struct lg_cg_host *host, const char *name, const char *spare, uid_t owner,
	       struct lg_err *err);

/**
 * lg_cg_remove() - remove an instance's cgroup with everything the guest made below it
 *
 * No process may be left, nor the shim: -EBUSY otherwise, at once; try again when it is gone.
 * Missing is fine.
 */
int lg_cg_remove(struct lg_cg_host *host, const char *name, struct lg_err *err);

/**
 * lg_cg_retire() - give an ended instance's v1 cgroups back as the spare set @spare
 *
 * Its shim is still in them while it unmounts the instance's root, which may take long; meanwhile
 * the instance may be started anew. The cgroup2 part is not touched. Nothing on a unified host.
 */
int lg_cg_retire(struct lg_cg_host *host, const char *name, const char *spare,
		 struct lg_err *err);

/** lg_cg_each() - names (CTIDs) of the instances that have a cgroup. */
int lg_cg_each(struct lg_cg_host *host, int (*fn)(const char *name, void *arg), void *arg);

/**
 * lg_cg_open() - the cgroup2 directory, for CLONE_INTO_CGROUP
 * @leaf:	false: TOP/CTID (for init); true: TOP/CTID/lodge.exec
 *
 * Return: a descriptor, negative errno.
 */
int lg_cg_open(struct lg_cg_host *host, const char *name, bool leaf, struct lg_err *err);

/**
 * lg_cg_kill() - SIGKILL everything in it, the shim excepted (cgroup.kill; it does not wait)
 *
 * Frozen processes die too. Return: 0; -ENOENT when there is no such cgroup.
 */
int lg_cg_kill(struct lg_cg_host *host, const char *name, struct lg_err *err);

/** lg_cg_freeze() - stop or continue everything in it; does not wait: lg_cg_frozen() tells. */
int lg_cg_freeze(struct lg_cg_host *host, const char *name, bool frozen, struct lg_err *err);

/** lg_cg_frozen() - has everything in it stopped? */
bool lg_cg_frozen(struct lg_cg_host *host, const char *name);

/** lg_cg_populated() - is any process in it (the shim excepted)? Missing: no. */
bool lg_cg_populated(struct lg_cg_host *host, const char *name);

/**
 * lg_cg_procs() - call @fn with every process of the cgroup2 subtree (host pids)
 *
 * An answer other than 0 ends it and is returned. No such cgroup: 0.
 */
int lg_cg_procs(struct lg_cg_host *host, const char *name, int (*fn)(pid_t pid, void *arg),
		void *arg);

/** lg_cg_procs_at() - the same by what lg_cg_open() gave, for who knows no host. */
int lg_cg_procs_at(int cgroup_fd, int (*fn)(pid_t pid, void *arg), void *arg);

#endif
