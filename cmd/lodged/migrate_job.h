/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LODGED_MIGRATE_JOB_H
#define LODGED_MIGRATE_JOB_H

/*
 * What the files of a move from here share: migrate.c begins it and speaks to its worker, migrate_dump.c dumps it,
 * migrate_end.c ends it.
 */

#include "cmd/lodged/criu.h"
#include "cmd/lodged/lodged.h"

struct migrate {
	struct op *op;			/* NULL: it has ended, and what else there is only has to */
	char host[256];
	json_t *note;			/* as in moving.h */
	bool keep_source, was_running, live;
	int sock;			/* to the worker; -1: it has ended */
	sd_event_source *io;
	int images;			/* -1: it was not frozen for this */
	struct criu_job *job;		/* holds the container; NULL: nothing does */
	bool lending, stopping;		/* FREEZE and STOP are under way */
	bool dumping, frozen, committed, moved, back, unknown;
	bool noted;			/* that it has moved is written down */
	bool worker_ended, gone;	/* gone: the container has ended and is swept */
	uint64_t frozen_at_us;
	struct lg_err err;		/* why the worker failed */
	json_t *report;			/* its answer */
};

/** migrate_answer_failure() - to what the worker waits for, if there is one */
void migrate_answer_failure(struct migrate *m, const struct lg_err *err);

/** migrate_answer() - @kind; @fd: to go with it, -1: none */
void migrate_answer(struct migrate *m, uint32_t kind, int fd);

/** migrate_freeze() - the worker wants it frozen: dump it */
void migrate_freeze(struct migrate *m);

/** migrate_dropped() - op->done of a move */
void migrate_dropped(struct op *op, const struct lg_err *err);

/** migrate_release() - free it when nothing refers to it any more */
void migrate_release(struct migrate *m);

/** migrate_finish() - answer the verb */
void migrate_finish(struct migrate *m);

/** migrate_finish_if_over() - the same once the worker, lodge-criu and what is to end have ended */
void migrate_finish_if_over(struct migrate *m);

#endif
