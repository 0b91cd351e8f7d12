/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LODGED_ACCOUNT_H
#define LODGED_ACCOUNT_H

/*
 * What an instance was denied, and the most it ever had: counters that outlive it and the daemon.
 *
 * How it works: the kernel's counters begin anew with each cgroup, so VAR/account/ID.json has two numbers for
 * each: what earlier runs left (`before`), and what this run's cgroup said when it was looked at last
 * (`run`), with that cgroup's identity (`run_id`). A look at the same cgroup replaces the second
 * number; a look at another one first adds the second to the first. So nothing is counted twice
 * and nothing is lost, wherever a daemon was killed: either the cgroup is still there, or
 * its end was written down before it was removed.
 *
 * It is looked at when somebody asks, when the kernel's log tells of a kill, and when it stops. An instance
 * that nobody asks about costs nothing.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "cgroup/stats.h"
#include "lib/err.h"

enum counter_id {
	COUNT_KMEMSIZE,
	COUNT_LOCKEDPAGES,
	COUNT_PRIVVMPAGES,
	COUNT_SHMPAGES,
	COUNT_NUMPROC,
	COUNT_PHYSPAGES,
	COUNT_VMGUARPAGES,
	COUNT_OOMGUARPAGES,
	COUNT_NUMTCPSOCK,
	COUNT_NUMOTHERSOCK,
	COUNT_SWAPPAGES,
	COUNT_DISKSPACE,
	COUNT_DISKINODES,
	COUNT_CPULIMIT,
	COUNT_IOLIMIT,
	COUNT_IOPSLIMIT,
	COUNT_SOCKBUF,
	COUNT_COUNT_,
};

extern const char *const counter_names[COUNT_COUNT_];

/* One counter at one moment; UINT64_MAX: this host does not tell. */
struct reading {
	uint64_t held, peak, fails;
};

struct count {
	uint64_t fails_before, fails_run;
	uint64_t max_before, max_run;
	bool has_fails;			/* this counter was ever told */
	int64_t last_hit;		/* seconds since the epoch; 0: never */
};

struct account {
	struct count counts[COUNT_COUNT_];
	char run_id[64];		/* "" = none yet */
	int64_t since;			/* when it began to be kept */
	int64_t looked_at;
	struct {
		int64_t at;
		pid_t pid;
		char name[64];
	} oom;				/* the last process that was killed; at 0: none */
	/* in memory only */
	bool dirty;
	int64_t written_at;
	struct {
		uint64_t at_us, cpu_us, io_bytes, ios;		/* at the look before */
		uint64_t cpu_percent, io_bps, iops;		/* between it and the last one */
	} rate;
};

/** account_run() - the cgroup looked at is @run_id: if it is another one, the last one's end counts. */
void account_run(struct account *a, const char *run_id);

/** account_note() - what the kernel says of one counter, at @now (seconds since the epoch) */
void account_note(struct account *a, enum counter_id id, const struct reading *r, int64_t now);

/** account_killed() - the kernel's log: @name (process @pid) was killed for want of memory. */
void account_killed(struct account *a, pid_t pid, const char *name, int64_t at);

/** account_fails(), account_max() - over all runs. UINT64_MAX: nobody counts that. */
uint64_t account_fails(const struct account *a, enum counter_id id);
uint64_t account_max(const struct account *a, enum counter_id id);

/** account_to_json(), account_from_json() - the file; what is not understood is left out. */
json_t *account_to_json(const struct account *a);
void account_from_json(const json_t *obj, struct account *ret);

/* ---- account.c: of an instance ---- */

struct instance;

/** account_of() - the instance's account, read from its file if need be; NULL without memory. */
struct account *account_of(struct instance *ct);

/**
 * account_look() - look at the running instance and keep what is new
 * @use:	what it was seen to use; may be NULL
 * @now:	all counters, COUNT_COUNT_ of them; may be NULL
 *
 * Writes the file when limits were met since it was written, though not more often than every few seconds.
 */
struct account *account_look(struct instance *ct, struct lg_cg_stats *use, struct reading *now);

/** account_close() - it has ended, its cgroup is still there: look for the last time, and write. */
void account_close(struct instance *ct);

/** account_save() - write the file. */
void account_save(struct instance *ct);

/** account_drop() - out of memory it goes; the file stays. */
void account_drop(struct instance *ct);

/** account_remove() - of a destroyed instance: the file goes, too. */
void account_remove(struct instance *ct);

/** accounts_save() - the daemon ends: write those of all that run. */
struct daemon;
void accounts_save(struct daemon *d);

#endif
