/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_CGROUP_LIMITS_H
#define LG_CGROUP_LIMITS_H

/*
 * One row per limit: where the kernel keeps it, on either kind of hierarchy.
 *
 * There are two sorts. What an instance must not pass is enforced or refused. What it is promised
 * (guarantees, weights, a soft bound) is asked of the kernel, and where this host cannot give it,
 * a note says so: it stays in the conf file for a host that can.
 */

#include <stdbool.h>
#include <stdint.h>

#include "cgroup/cgroup.h"
#include "cgroup/io.h"

enum lg_limit_id {
	LG_LIMIT_MEMORY,	/* bytes */
	LG_LIMIT_SWAP,		/* bytes of swap; on v1 it is memory+swap that is limited */
	LG_LIMIT_MEMORY_HIGH,	/* bytes; promise on v1: a soft limit */
	LG_LIMIT_GUARANTEE,	/* bytes, 0 is none; promise */
	LG_LIMIT_CPU,		/* percent of one CPU */
	LG_LIMIT_CPU_WEIGHT,	/* 1 to 10000, 100 is normal */
	LG_LIMIT_TASKS,
	LG_LIMIT_IO_WEIGHT,	/* 1 to 1000, 100 is normal; promise */
	LG_LIMIT_IO_READ,	/* bytes a second, on each of lg_limit_set.devs */
	LG_LIMIT_IO_WRITE,
	LG_LIMIT_IOPS_READ,	/* a second */
	LG_LIMIT_IOPS_WRITE,
	LG_LIMIT_COUNT_,
};

struct lg_limit_set {
	uint64_t value[LG_LIMIT_COUNT_];	/* LG_UNLIMITED, or in the row's unit */
	uint32_t mask;				/* 1 << id: which are meant */
	const struct lg_io_devs *devs;		/* where its files are; NULL: no io limit is meant */
	/* Gets a line for each that is not, or not quite, what it is called; may be NULL. */
	void (*note)(const char *line, void *arg);
	void *note_arg;
};

/** lg_limit_none() - the value that means no limit: what a new cgroup has. */
uint64_t lg_limit_none(enum lg_limit_id id);

/** lg_limit_is_io() - does it need lg_limit_set.devs? */
bool lg_limit_is_io(enum lg_limit_id id);

/**
 * lg_limits_apply() - write the limits of @set that its mask names
 *
 * Works on a running instance. Orders v1's memory and memory+swap so that the kernel takes
 * both; one that is not in the mask stays as it is. A limit whose controller this host lacks:
 * -EOPNOTSUPP with its name, unless it is unlimited. -EBUSY: memory below what is used (v1; on
 * cgroup2 the kernel takes it, reclaims, and kills inside if that is not enough). What was
 * written for a disk is read back; -EOPNOTSUPP where it is not there.
 * Return: 0; the first negative errno (those before it are written).
 */
int lg_limits_apply(struct lg_cg_host *host, const char *name, const struct lg_limit_set *set,
		    struct lg_err *err);

/**
 * lg_limits_foresee() - what lg_limits_apply() would refuse and note on this host, without a cgroup
 *
 * Not what a kernel lacks one file for, or is already used up. Return: 0; -EOPNOTSUPP.
 */
int lg_limits_foresee(struct lg_cg_host *host, const char *name, const struct lg_limit_set *set,
		      struct lg_err *err);

/** lg_limit_read() - what the kernel holds now; of the io limits the lowest of all devices. */
int lg_limit_read(struct lg_cg_host *host, const char *name, enum lg_limit_id id, uint64_t *ret,
		  struct lg_err *err);

#define LG_EFFECT_MAX 300u

/**
 * lg_limit_effect() - what a limit of a running instance comes to here, in words
 * @set:	as it was applied
 * @ret:	"" where there is nothing to add, else like "enforced on 8:0 (sda)"
 */
void lg_limit_effect(struct lg_cg_host *host, const char *name, const struct lg_limit_set *set,
		     enum lg_limit_id id, char ret[LG_EFFECT_MAX]);

/* ---- guarantee.c ---- */

/**
 * lg_guarantees_pass_on() - let the cgroups above the instances have what these are guaranteed
 *
 * cgroup2 protects no more than every cgroup on the way up is itself protected for. Nothing on v1.
 */
void lg_guarantees_pass_on(struct lg_cg_host *host);

/* ---- cpuset.c ---- */

struct lg_cpuset {
	const char *cpus;	/* "0-2,7"; NULL, "", "all": any; "auto": those of the nodes */
	const char *nodes;	/* NUMA nodes; NULL, "", "all" */
	unsigned int seen;	/* only so many of these CPUs; 0: all */
};

/** lg_cpuset_is_any() - is nothing limited? */
bool lg_cpuset_is_any(const struct lg_cpuset *want);

/**
 * lg_cpuset_apply() - say where the instance runs and takes its memory from
 *
 * Of more CPUs than may be seen, those are taken that the fewest other instances were given; an
 * instance that has as many as it may keeps them. Return: 0; -EOPNOTSUPP without controller;
 * -ERANGE for a CPU or node that this host does not have.
 */
int lg_cpuset_apply(struct lg_cg_host *host, const char *name, const struct lg_cpuset *want,
		    struct lg_err *err);

/** lg_cpuset_check() - would lg_cpuset_apply() refuse it? The instance needs no cgroup. */
int lg_cpuset_check(struct lg_cg_host *host, const char *name, const struct lg_cpuset *want,
		    struct lg_err *err);

/** lg_cpuset_text() - the CPUs it has now. Return: 0, negative errno. */
int lg_cpuset_text(struct lg_cg_host *host, const char *name, char *buf, size_t size);

/* ---- hugetlb.c ---- */

/**
 * lg_hugetlb_apply() - limit huge pages by a list as of lg_hugepages_next(); NULL, "": no limit
 *
 * Both what is used and what is reserved by mmap(), so that what is too much fails there and not by
 * SIGBUS later. Return: 0; -EOPNOTSUPP without controller or without such a page size.
 */
int lg_hugetlb_apply(struct lg_cg_host *host, const char *name, const char *list,
		     struct lg_err *err);

/** lg_hugetlb_check() - would lg_hugetlb_apply() refuse it? The instance needs no cgroup. */
int lg_hugetlb_check(struct lg_cg_host *host, const char *name, const char *list,
		     struct lg_err *err);

/* ---- oom.c ---- */

/**
 * lg_oom_adj() - oom_score_adj of an instance's processes
 * @priority:	-999 to 1000
 * @guarantee:	bytes that do not count against each of them
 * @total:	bytes of memory and swap of the host
 */
int lg_oom_adj(int priority, uint64_t guarantee, uint64_t total);

/**
 * lg_oom_apply() - give every process of the instance, and its shim, another oom_score_adj
 * @shim:	what it will fork inherits it
 * @old:	what they have; a process that made itself easier to kill than @adj says stays so
 *
 * Return: 0; -EACCES: to lower it takes CAP_SYS_RESOURCE.
 */
int lg_oom_apply(struct lg_cg_host *host, const char *name, pid_t shim, int old, int adj,
		 struct lg_err *err);

#endif
