/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_CGROUP_LIMITS_H
#define LG_CGROUP_LIMITS_H

/* One row per limit: where the kernel keeps it, on either kind of hierarchy. */

#include <stdint.h>

#include "cgroup/cgroup.h"

enum lg_limit_id {
	LG_LIMIT_MEMORY,	/* bytes */
	LG_LIMIT_SWAP,		/* bytes of swap; on v1 it is memory+swap that is limited */
	LG_LIMIT_CPU,		/* percent of one CPU */
	LG_LIMIT_CPU_WEIGHT,	/* 1 to 10000, 100 is normal */
	LG_LIMIT_TASKS,
	LG_LIMIT_COUNT_,
};

struct lg_limit_set {
	uint64_t value[LG_LIMIT_COUNT_];	/* LG_UNLIMITED, or in the row's unit */
	uint32_t mask;				/* 1 << id: which are meant */
};

/**
 * lg_limits_apply() - write the limits of @set that its mask names
 *
 * Works on a running instance. Orders v1's memory and memory+swap so that the kernel takes
 * both; one that is not in the mask stays as it is. A limit whose controller this host lacks:
 * -EOPNOTSUPP with its name, unless it is unlimited. -EBUSY: memory below what is used (v1; on
 * cgroup2 the kernel takes it, reclaims, and kills inside if that is not enough).
 * Return: 0; the first negative errno (those before it are written).
 */
int lg_limits_apply(struct lg_cg_host *host, const char *name, const struct lg_limit_set *set,
		    struct lg_err *err);

/** lg_limit_read() - what the kernel holds now. */
int lg_limit_read(struct lg_cg_host *host, const char *name, enum lg_limit_id id, uint64_t *ret,
		  struct lg_err *err);

#endif
