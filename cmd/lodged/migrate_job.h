/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LODGED_MIGRATE_JOB_H
#define LODGED_MIGRATE_JOB_H

/*
 * What the files of a move from here share: migrate.c begins it and speaks to its worker, migrate_ahead.c copies its memory while it
 * runs, migrate_dump.c dumps it, migrate_end.c ends it; migrate_vm.c has what is different about a VM.
 */

#include "cmd/lodged/criu.h"
#include "cmd/lodged/lodged.h"
#include "ct/ahead.h"
#include "ct/tracking.h"

struct migrate {
	struct op *op;			/* NULL: it has ended, and what else there is only has to */
	char host[256];
	json_t *note;			/* as in moving.h */
	bool keep_source, was_running, live;
	int sock;			/* to the worker; -1: it has ended */
	sd_event_source *io;
	int images;			/* -1: it was not frozen for this */
	struct criu_job *job;		/* holds the container; NULL: nothing does */
	bool held;			/* of a VM: its shim holds it, or copies it to do so */
	bool watched;			/* of a VM: its shim was asked to remember what is written to its disk */
	int disk, written;		/* of a VM: its disk, and the file that tells where that was written to since; -1 */
	unsigned int cpus_added;	/* of a VM: as the other host was told */
	unsigned int asks;		/* of that shim, which are not answered yet */
	unsigned int max_downtime_ms;	/* 0: nobody said */
	bool lending, stopping;		/* FREEZE and STOP are under way */
	bool dumping, frozen, committed, moved, back, unknown;
	bool noted;			/* that it has moved is written down */
	bool worker_ended, gone;	/* gone: the container has ended and is swept */
	uint64_t frozen_at_us;
	struct {
		unsigned int rounds;	/* of its memory that were copied, each on top of the one before */
		bool copies;		/* another one is under way */
		bool ok;		/* it went well */
		bool again;		/* what was copied is of no use: it is let go, and dumped anew */
		int folder;		/* of that round; -1: none */
		struct lg_moves *moves;	/* NULL: nothing was copied */
		struct lg_err err;
	} ahead;
	struct lg_err err;		/* why the worker failed */
	json_t *report;			/* its answer */
};

/** migrate_answer_failure() - to what the worker waits for, if there is one */
void migrate_answer_failure(struct migrate *m, const struct lg_err *err);

/** migrate_answer() - @kind; @fd: to go with it, -1: none */
void migrate_answer(struct migrate *m, uint32_t kind, int fd);

/** migrate_lend() - ask the shim for the root, @why: and to end the sessions from outside. LENT is the answer. */
void migrate_lend(struct migrate *m, const struct lg_err *why);

/** migrate_request() - begin a request to lodge-criu, with what is the same for all; the folder of the images is @images */
int migrate_request(struct migrate *m, uint32_t kind, int images, int root, struct lg_msg *ret, struct lg_err *err);

/** migrate_freeze() - the worker wants it frozen: dump it */
void migrate_freeze(struct migrate *m);

/* ---- migrate_vm.c ---- */

/** migrate_vm_layer() - answer with its disk, @fd (taken over), and from now on remember what is written to it */
void migrate_vm_layer(struct migrate *m, int fd);

/** migrate_vm_copy() - the worker wants its memory: answered with a pipe and the file that keeps it, and by FROZEN when it stands still */
void migrate_vm_copy(struct migrate *m);

/** migrate_vm_freeze() - the worker wants the last of it */
void migrate_vm_freeze(struct migrate *m);

/** migrate_vm_commit() - from here on it does not run on with the end of this daemon; then m->committed, and the worker is answered */
int migrate_vm_commit(struct migrate *m, struct lg_err *err);

/** migrate_vm_go_on() - let it run on, if it is held, and forget what was written to its disk */
void migrate_vm_go_on(struct migrate *m);

/** migrate_vm_end() - it runs there, or may: here it ends */
void migrate_vm_end(struct migrate *m);

/* ---- migrate_ahead.c ---- */

/** ahead_begin() - the worker wants (another) round of its memory */
void ahead_begin(struct migrate *m);

/** ahead_lent() - the root for it is there */
void ahead_lent(struct migrate *m, int root);

/** ahead_parent() - the name of what a dump goes on from; NULL: nothing that is of use */
const char *ahead_parent(struct migrate *m, char name[LG_AHEAD_NAME]);

/** ahead_is_stale() - it is held, and what is in its images refers to copies that are not as its memory was */
bool ahead_is_stale(struct migrate *m);

/** ahead_drop() - without; the folders stay, as part of the images */
void ahead_drop(struct migrate *m);

/** migrate_dropped() - op->done of a move */
void migrate_dropped(struct op *op, const struct lg_err *err);

/** migrate_release() - free it when nothing refers to it any more */
void migrate_release(struct migrate *m);

/** migrate_finish() - answer the verb */
void migrate_finish(struct migrate *m);

/** migrate_finish_if_over() - the same once the worker, lodge-criu and what is to end have ended */
void migrate_finish_if_over(struct migrate *m);

#endif
