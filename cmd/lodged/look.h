/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LODGED_LOOK_H
#define LODGED_LOOK_H

/* What the instances and the host use at one moment; two such moments give rates. */

#include "cgroup/stats.h"
#include "cmd/lodged/lodged.h"

struct look {
	uint32_t ctid;
	uint64_t at_us;			/* now_us() */
	struct lg_cg_stats use;
	bool has_net;
	struct lg_net_stats net;
	struct lg_fs_usage disk;	/* LG_UNLIMITED where nothing limits, or is known */
};

struct looks {
	struct look *list;		/* by ctid */
	size_t n;
};

/* The whole host; UINT64_MAX and zero pressure where the kernel does not tell. */
struct host_look {
	uint64_t at_us;
	unsigned int cpus;
	uint64_t cpu_us;		/* busy, of all CPUs together */
	uint64_t memory_bytes, available_bytes, swap_bytes, swap_free_bytes;
	struct lg_cg_pressure cpu, memory, io;
};

/**
 * look_all() - look at all running instances, or at those that @ids (an array; may be NULL) names
 * @parts:	of enum lg_cg_part
 *
 * One pass over the cgroups and one question for all links. Return: 0 with @ret to be given to
 * look_free(); -ENOMEM.
 */
int look_all(struct daemon *d, const json_t *ids, unsigned int parts, struct looks *ret,
	     struct lg_err *err);
void look_free(struct looks *looks);

/**
 * look_disk() - what the instance's files take, running or not; all LG_UNLIMITED without a limit,
 * because only where there is one somebody counts
 */
void look_disk(const struct instance *ct, struct lg_fs_usage *ret);

/** look_find() - of the instance @ctid; NULL. */
const struct look *look_find(const struct looks *looks, uint32_t ctid);

/** look_host() - at the host. */
void look_host(struct host_look *ret);

/** host_stat_read() - the busy time of all CPUs in the text of /proc/stat; @hz: ticks a second. */
uint64_t host_stat_read(const char *text, long hz);

/** host_meminfo_read() - fill the memory of @ret from the text of /proc/meminfo. */
void host_meminfo_read(const char *text, struct host_look *ret);

#endif
