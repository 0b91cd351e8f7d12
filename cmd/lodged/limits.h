/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LODGED_LIMITS_H
#define LODGED_LIMITS_H

/* All that limits an instance: what its conf file says, made true on its cgroup. */

#include "cgroup/limits.h"
#include "cmd/lodged/lodged.h"

struct limits {
	struct lg_limit_set set;
	struct lg_io_devs devs;		/* see limits_find_disks() */
	struct lg_cpuset cpuset;
	const char *hugepages;
	int oom_adj;
};

/* Read them. What @ret points to is @conf's. */
int limits_of(const struct lg_conf *conf, struct limits *ret, struct lg_err *err);

/* The same for what @ct would be with @conf, running or not: a running VM's memory has the wall that it was started with. */
int limits_of_running(const struct instance *ct, const struct lg_conf *conf, struct limits *ret, struct lg_err *err);

/*
 * Find the disks of the instance's files, if any of @limits is about disks. Refuses what could not be
 * enforced there.
 */
int limits_find_disks(const struct instance *ct, struct limits *limits, struct lg_err *err);

/*
 * Write what differs from @old (NULL: a new cgroup, without any limit) to the cgroup of @ct; notes of
 * what holds less than it seems go to @want->set.note.
 */
int limits_apply(struct instance *ct, const struct limits *old, struct limits *want,
		 struct lg_err *err);

/* For one that does not run: what limits_apply() would refuse and note at its start. */
int limits_foresee(struct instance *ct, const struct limits *old, struct limits *want,
		   struct lg_err *err);

/* limits_apply() for the OOM killer's preference; on a new instance before its shim is told to fork. */
int limits_apply_oom(struct instance *ct, const struct limits *old, const struct limits *want,
		     struct lg_err *err);

/* What the limits of a running instance come to on this host, by setting name; NULL: nothing to say. */
json_t *limits_effects(struct instance *ct);

#endif
