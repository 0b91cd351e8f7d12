/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_LIB_HOSTLIMITS_H
#define LG_LIB_HOSTLIMITS_H

/*
 * Limits of the whole host that many containers exhaust together, or that are too low for one server.
 *
 * How it works: one row for each sysctl says what a number of containers need of it. Values are only raised,
 * never lowered, and what an administrator or the distribution set higher stays. What was changed is
 * kept in a state file, a line "NAME OLD NEW" each, written before the change; putting back
 * touches a value only while it is still the one that was written.
 *
 * All take @proc, a descriptor of /proc (of a folder that looks like it, in tests), and names below it.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/err.h"

enum lg_hostlimit_used {
	LG_USED_UNKNOWN,
	LG_USED_NUMBER,		/* the first number of the file */
	LG_USED_TASKS,		/* /proc/loadavg: what is behind the slash */
	LG_USED_ENTRIES,	/* /proc/net/stat/...: the first hexadecimal number of the second line */
};

struct lg_hostlimit {
	const char *name;	/* "fs.file-max" */
	uint64_t base;		/* wanted: base + each * containers, but no more than top */
	uint64_t each;
	uint64_t top;		/* 0: none */
	enum lg_hostlimit_used how;
	const char *used;	/* file below /proc that tells how much is used now; NULL */
	bool zero_is_off;	/* 0 was set to forbid it: then it is not raised */
	const char *what;	/* what fails when it is used up */
};

extern const struct lg_hostlimit lg_hostlimits[];
extern const size_t lg_nhostlimits;

#define LG_HOSTLIMITS_CONTAINERS 200u	/* where lodge.conf has no MAX_CONTAINERS */

/** lg_hostlimit_wanted() - the value that @containers need. */
uint64_t lg_hostlimit_wanted(const struct lg_hostlimit *lim, uint64_t containers);

/**
 * lg_hostlimit_read() - what is set now
 * @ret_used:	UINT64_MAX where it cannot be told; may be NULL
 *
 * Return: 0; -ENOENT where this kernel does not have it (now); negative errno.
 */
int lg_hostlimit_read(int proc, const struct lg_hostlimit *lim, uint64_t *ret,
		      uint64_t *ret_used);

/**
 * lg_hostlimits_raise() - raise what is lower than @containers need
 * @dir, @state:	folder and name of the state file; its older lines are kept
 *
 * Goes on where a value cannot be written. Return: how many were raised; the first negative
 * errno, @err naming the value.
 */
int lg_hostlimits_raise(int proc, uint64_t containers, int dir, const char *state,
			struct lg_err *err);

/** lg_hostlimits_put_back() - undo what the state file tells, and remove it. */
int lg_hostlimits_put_back(int proc, int dir, const char *state, struct lg_err *err);

#endif
