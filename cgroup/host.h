/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_CGROUP_HOST_H
#define LG_CGROUP_HOST_H

/* What the files of this folder share; outside of it only its unit tests include this. */

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "cgroup/cgroup.h"

enum lg_cg_ctl {
	LG_CG_MEMORY,
	LG_CG_PIDS,
	LG_CG_CPU,
	LG_CG_CPUSET,
	LG_CG_IO,
	LG_CG_CPUACCT,
	LG_CG_HUGETLB,
	LG_CG_CTL_COUNT_,
};

struct lg_cg_ctl_row {
	const char *name;	/* on cgroup2, and in the mouths of people */
	const char *v1_name;
};

extern const struct lg_cg_ctl_row lg_cg_ctls[LG_CG_CTL_COUNT_];

#define LG_CG_SHIMS ".shims"		/* TOP/.shims: where shims are born */
#define LG_CG_LEAF "lodge.exec"		/* TOP/CTID/lodge.exec */
#define LG_CG_DEPTH_MAX 64		/* how deep and how many cgroups a guest may make */
#define LG_CG_CHILDREN_MAX 4096
#define LG_CG_TEXT 4096			/* the files read here are far smaller */
#define LG_CG_PATH 96			/* "CTID/lodge.exec/cgroup.subtree_control" */

/* ---- discover.c: what is mounted ---- */

struct lg_cg_mount {
	int fd;			/* O_PATH, of the mount's root; -1 */
	char path[PATH_MAX];
};

struct lg_cg_mounts {
	struct lg_cg_mount v2;
	struct lg_cg_mount v1[LG_CG_CTL_COUNT_];
};

/** lg_cg_discover() - find the mounts of cgroup2 and of the v1 controllers that lodge uses. */
int lg_cg_discover(struct lg_cg_mounts *ret, struct lg_err *err);

/** lg_cg_mounts_finish() - close what lg_cg_discover() opened. */
void lg_cg_mounts_finish(struct lg_cg_mounts *mounts);

/**
 * lg_cg_mountinfo_find() - the mount point of the first cgroup2 in the text of a mountinfo file
 *
 * One that shows the hierarchy from its root goes before one that shows a part of it. Return:
 * 0; -ENOENT.
 */
int lg_cg_mountinfo_find(const char *text, char ret[PATH_MAX]);

/* ---- place.c: where TOP is ---- */

struct lg_cg_tree {
	int top;		/* O_PATH, TOP on one hierarchy; held for the daemon's life */
	dev_t dev;
	char path[PATH_MAX];	/* for processes that have only names: a spare shim, people */
};

struct lg_cg_host {
	char name[32];		/* TOP's own name */
	bool delegated;		/* TOP is in the subtree that systemd keeps for lodge */
	struct lg_cg_tree v2;
	struct lg_cg_tree v1[LG_CG_CTL_COUNT_];
	unsigned int nv1;
	struct {
		int top;	/* borrowed from the trees above; -1: not to be had */
		bool v1;
	} ctl[LG_CG_CTL_COUNT_];
};

/**
 * lg_cg_path_of() - the path that a text in /proc/PID/cgroup's form has for a hierarchy
 * @ctl:	NULL: cgroup2; else a v1 controller's name
 * @ret:	relative to the hierarchy's root, no slash in front; "" is the root
 *
 * Return: 0; -ENOENT; -EINVAL for a path that leaves the root.
 */
int lg_cg_path_of(const char *text, const char *ctl, char ret[PATH_MAX]);

/**
 * lg_cg_enable_late() - have a cgroup2 controller that is not switched on for everybody
 *
 * hugetlb: systemd does not know it and so delegates none, but leaves alone what it does not know. It is
 * switched on from the hierarchy's root down to TOP when the first instance needs it.
 * Return: is it there?
 */
bool lg_cg_enable_late(struct lg_cg_host *host, enum lg_cg_ctl ctl);

/* ---- file.c: the small files of cgroupfs ---- */

/** lg_cg_check_name() - digits only (@spare: letters, digits, '-'), 1 to 30 of them. */
int lg_cg_check_name(const char *name, bool spare, struct lg_err *err);

/** lg_cg_read() - a file's text into @buf, NUL behind it. Return: length, negative errno. */
ssize_t lg_cg_read(int dirfd, const char *name, const char *file, char *buf, size_t size);

/** lg_cg_write() - write @text at once into @file of directory @name ("" is @dirfd itself). */
int lg_cg_write(int dirfd, const char *name, const char *file, const char *text);

/** lg_cg_number() - the number that @text begins with; "max" and "-1" are UINT64_MAX. */
int lg_cg_number(const char *text, uint64_t *ret);

/** lg_cg_read_number() - lg_cg_read() and lg_cg_number(). */
int lg_cg_read_number(int dirfd, const char *name, const char *file, uint64_t *ret);

/** lg_cg_keyed() - the number behind "KEY " in a text of such lines. Return: 0, -ENOENT. */
int lg_cg_keyed(const char *text, const char *key, uint64_t *ret);

/** lg_cg_has_word() - is @word one of the words of @text? */
bool lg_cg_has_word(const char *text, const char *word);

/* ---- walk.c ---- */

/**
 * lg_cg_walk() - call @fn for every directory of the tree @name beneath @dirfd, children first
 * @fn:		gets the parent's descriptor and the name in it; may remove that directory. An
 *		answer other than 0 ends the walk and is returned.
 *
 * Return: 0, also when there is no @name; -ELOOP below LG_CG_DEPTH_MAX + 2 levels.
 */
int lg_cg_walk(int dirfd, const char *name, int (*fn)(int parent, const char *name, void *arg),
	       void *arg);

/** lg_cg_children() - call @fn for every directory in @dirfd; likewise. */
int lg_cg_children(int dirfd, int (*fn)(int parent, const char *name, void *arg), void *arg);

/** lg_cg_rmtree() - remove @name with all below it. Return: 0; -EBUSY: a process is in it. */
int lg_cg_rmtree(int dirfd, const char *name);

/* v1 shows "no limit" as the last page below 2^63, whatever the page's size: not below this. */
#define LG_CG_V1_UNLIMITED ((uint64_t)INT64_MAX - (1u << 20))

/* ---- limits.c: what the kinds of limits share ---- */

struct lg_limit_set;

/** lg_limit_note() - tell @set's listener a line. */
void lg_limit_note(const struct lg_limit_set *set, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/**
 * lg_limit_explain() - why @file of @name could not be written; @r: what the kernel said
 * Return: @r; -EOPNOTSUPP where the kernel has no such file.
 */
int lg_limit_explain(const struct lg_cg_host *host, const char *name, const char *what,
		     enum lg_cg_ctl ctl, const char *file, int r, struct lg_err *err);

/** lg_limit_no_controller() - -EOPNOTSUPP with the controller's name. */
int lg_limit_no_controller(const char *name, const char *what, enum lg_cg_ctl ctl,
			   struct lg_err *err);

/* ---- guarantee.c ---- */

/** lg_guarantee_check() - -ERANGE when all guarantees together leave the host too little. */
int lg_guarantee_check(struct lg_cg_host *host, const char *name, uint64_t bytes,
		       struct lg_err *err);

/* ---- limits_io.c: limits by device; @id is an int as enum lg_limit_id is not known here ---- */

/** lg_io_limit_apply() - write one of the io limits on all of @set's devices and read it back. */
int lg_io_limit_apply(struct lg_cg_host *host, const char *name, int id,
		      const struct lg_limit_set *set, struct lg_err *err);

/** lg_io_limit_read() - the lowest that any device has. */
int lg_io_limit_read(int top, const char *name, int id, bool v1, uint64_t *ret);

/** lg_io_note() - tell what io limits of @set do not cover here. */
void lg_io_note(const struct lg_cg_host *host, const struct lg_limit_set *set);

/** lg_io_effect() - as lg_limit_effect(). */
void lg_io_effect(const struct lg_cg_host *host, const char *name,
		  const struct lg_limit_set *set, int id, char *ret);

/* ---- memsw.c: memory and swap on v1 ---- */

struct lg_memsw {
	uint64_t memory;	/* memory.limit_in_bytes; LG_UNLIMITED */
	uint64_t total;		/* memory.memsw.limit_in_bytes: both together */
};

/**
 * lg_memsw_plan() - what the two files are to hold
 * @total_first:	write memory.memsw.limit_in_bytes before the other one
 *
 * A limit that @set does not name stays, swap as the difference of the two. Return: 0;
 * -EOPNOTSUPP when swap is to be limited and memory is not.
 */
int lg_memsw_plan(const struct lg_memsw *now, const struct lg_limit_set *set,
		  struct lg_memsw *ret, bool *total_first);

/** lg_memsw_apply() - set memory and swap of @name on a v1 hierarchy. */
int lg_memsw_apply(int top, const char *name, const struct lg_limit_set *set,
		   struct lg_err *err);

/** lg_memsw_read() - what is set; @ret_has_total may be NULL. */
int lg_memsw_read(int top, const char *name, struct lg_memsw *ret, bool *ret_has_total);

#endif
