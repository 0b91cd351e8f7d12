/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_LIB_STEPS_H
#define LG_LIB_STEPS_H

/*
 * How it works: a change to the host is a table of steps, each with what undoes it. A run goes
 * down the table; when a step fails, what was done is undone, last first. A step may answer
 * LG_STEP_WAIT: it has begun something whose end an event will tell, and the run stops there
 * until lg_run_continue() is called again, which enters the same step once more.
 *
 * A step that waits counts as begun, so its undo runs too: an undo must accept a half-done
 * step. Undoing never stops at a failure and never reports one over the first.
 */

#include <stdbool.h>
#include <stddef.h>

#include "lib/err.h"

#define LG_STEP_WAIT 1

struct lg_step {
	const char *name;	/* "make cgroup"; goes in front of the step's own error */
	int (*up)(void *ctx, struct lg_err *err);	/* 0, LG_STEP_WAIT, negative errno */
	void (*down)(void *ctx);			/* NULL: nothing to undo */
};

struct lg_run {
	const struct lg_step *steps;
	size_t n;
	size_t at;		/* step to enter next */
	bool begun;		/* steps[at] answered LG_STEP_WAIT */
	void *ctx;
	int fail_at;		/* test hook: fail before this step; -1 = never */
	int crash_at;		/* test hook: be killed before this step; -1 = never */
	void (*on_done)(const char *name);	/* NULL, or called after each step, to measure */
};

/** lg_run_init() - prepare a run over @n steps; @steps and @ctx are borrowed. */
void lg_run_init(struct lg_run *run, const struct lg_step *steps, size_t n, void *ctx);

/**
 * lg_run_continue() - go on until done, waiting or failed
 *
 * Return: 0 when every step is done; LG_STEP_WAIT; negative errno after everything done so
 * far was undone, with "STEP: why" in @err.
 */
int lg_run_continue(struct lg_run *run, struct lg_err *err);

/** lg_run_undo() - undo what @run did so far, last first; the run is at its start again. */
void lg_run_undo(struct lg_run *run);

/** lg_run_step_name() - the step the run is in, for messages; "done" after the last. */
const char *lg_run_step_name(const struct lg_run *run);

#endif
