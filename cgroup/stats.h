/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_CGROUP_STATS_H
#define LG_CGROUP_STATS_H

/* What an instance uses, waits for and was denied: one row per number, on either kind of hierarchy. */

#include <stdint.h>

#include "cgroup/cgroup.h"

/* Share of the time in which some (or all) of its tasks waited for a resource; PSI. */
struct lg_cg_pressure {
	uint64_t some_us, full_us;		/* in all */
	uint64_t some_avg10, full_avg10;	/* of the last ten seconds, in 1/100 percent */
};

/* Each is UINT64_MAX where the host does not tell, or the part was not asked for. */
struct lg_cg_stats {
	/* LG_CG_BASIC */
	uint64_t cpu_us, cpu_user_us, cpu_system_us;
	uint64_t memory_bytes, swap_bytes;
	uint64_t tasks;
	uint64_t oom_kills;
	/* LG_CG_CPU_WAIT: periods of the CPU limit, and those in which it was used up */
	uint64_t periods, throttled, throttled_us;
	/* LG_CG_DISK: what went to and came from disks */
	uint64_t read_bytes, write_bytes, reads, writes;
	/* LG_CG_PSI */
	struct lg_cg_pressure cpu, memory, io;
	/* LG_CG_PEAKS */
	uint64_t memory_peak_bytes, swap_peak_bytes, tasks_peak;
	/* LG_CG_DENIED: times a limit was met */
	uint64_t memory_high_hits, memory_max_hits, swap_hits, tasks_hits;
	/* LG_CG_KINDS: what its memory is */
	uint64_t anon_bytes, file_bytes, shmem_bytes, kernel_bytes, kernel_peak_bytes, kernel_hits;
	uint64_t locked_bytes, socket_bytes, refaults, major_faults;
};

enum lg_cg_part {
	LG_CG_BASIC = 1,
	LG_CG_CPU_WAIT = 2,
	LG_CG_DISK = 4,
	LG_CG_PSI = 8,
	LG_CG_PEAKS = 16,
	LG_CG_DENIED = 32,
	LG_CG_KINDS = 64,	/* costs most: the kernel first adds up what its CPUs counted */
	LG_CG_LIGHT = LG_CG_BASIC | LG_CG_CPU_WAIT | LG_CG_DISK | LG_CG_PSI,
	LG_CG_ALL = 127,
};

/**
 * lg_cg_stats() - read what @parts (of enum lg_cg_part) names
 *
 * A dozen small files below open directories, each opened once. Return: 0; -ENOENT when it has
 * no cgroup.
 */
int lg_cg_stats(struct lg_cg_host *host, const char *name, unsigned int parts,
		struct lg_cg_stats *ret, struct lg_err *err);

/**
 * lg_cg_identity() - a number that this instance's cgroup has and no other one of this boot
 *
 * Counters of the kernel begin anew with a cgroup: who keeps sums of them asks for this.
 */
int lg_cg_identity(struct lg_cg_host *host, const char *name, uint64_t *ret);

/**
 * lg_cg_of_path() - whose cgroup a path in the kernel's own words is
 * @path:	"/lodge/101/app" as in the kernel's log
 * @name:	the instance's
 *
 * What stands behind the instance's own directory may be the guest's words and is not looked at.
 * Return: 0; -ENOENT when it is no instance of this host object.
 */
int lg_cg_of_path(const struct lg_cg_host *host, const char *path, char name[32]);

/** lg_cg_pressure_read() - the text of a pressure file, of a cgroup or of /proc/pressure. */
int lg_cg_pressure_read(const char *text, struct lg_cg_pressure *ret);

#endif
