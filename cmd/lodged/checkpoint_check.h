/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LODGED_CHECKPOINT_CHECK_H
#define LODGED_CHECKPOINT_CHECK_H

/* What of a running instance cannot be checkpointed: a worker looks (ct/blockers.h), lodged goes on meanwhile. */

#include "cmd/lodged/lodged.h"

/* The lists are as CheckpointCheck answers them and belong to the caller of the function. */
struct checkpoint_report {
	unsigned int processes;
	json_t *blockers, *notes;
};

typedef void (*checkpoint_checked_fn)(int r, const struct lg_err *err,
				      const struct checkpoint_report *report, void *arg);

/**
 * checkpoint_check() - look, then call @done from the event loop
 * @done:	r is 0 with a report, or negative with @err; the instance may be gone by then
 *
 * For whoever is about to checkpoint: what is in report->blockers is to be refused before anything is
 * touched. Return: 0; negative errno, and @done is not called.
 */
int checkpoint_check(struct instance *ct, checkpoint_checked_fn done, void *arg, struct lg_err *err);

/**
 * checkpoint_refuse() - one line of a report with blockers: the first of them, what to do, and how many more there are
 * Return: -EBUSY with LG_EXIT_CHKPNT.
 */
int checkpoint_refuse(const struct instance *ct, const struct checkpoint_report *report,
		      struct lg_err *err);

/** checkpoint_losses() - one line, a JSON text, about what a checkpoint does not bring back; NULL: there is nothing. */
json_t *checkpoint_losses(const struct instance *ct, const struct checkpoint_report *report);

#endif
