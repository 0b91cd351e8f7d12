/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LODGE_WORKER_MOVE_H
#define LODGE_WORKER_MOVE_H

/* What the files of the side that a container leaves share; migrate.h has the story. */

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "cmd/lodge-worker/migrate.h"
#include "ct/ahead.h"
#include "lib/conf.h"
#include "lib/msg.h"
#include "storage/blocks.h"
#include "storage/transfer.h"

struct move {
	const struct job *job;
	json_t *request;		/* of lodged: parameters of the verb, and what it adds */
	struct lg_conf *conf;
	const char *host, *remote;
	const json_t *words;
	bool live, running, suspended;
	uint32_t there;			/* its number there */
	char token[33];
	struct ssh ssh;
	struct lg_transfer_index *index;
	bool vm;			/* its layer is a disk */
	struct lg_blocks *blocks;	/* what the other side has of that */
	int layer, images;		/* -1: not yet */
	int written;			/* of a VM that runs: where its disk was written to; -1: not known */
	int stream, kept;		/* of a VM: where its state comes from, and where it is kept; -1 */
	unsigned int early;		/* images of memory that were sent while CRIU wrote the others: pages-1.img to this one */
	struct lg_ahead ahead;		/* what decides how often memory is copied ahead */
	bool went, forgotten;		/* runs there; and that host need not remember how it came */
	uint64_t frozen_us, running_us;	/* monotonic clock */
	uint64_t stage_bytes;		/* what the stage that runs has sent */
	json_t *stages, *notes, *blockers;
	struct lg_msg msg;
};

/* ---- migrate.c ---- */

/** move_now_us() - of the monotonic clock */
uint64_t move_now_us(void);

/** move_ask() - ask lodged here for @kind (ct/migrate.h); @ret_fd, the caller's, where the answer has one */
int move_ask(struct move *m, uint32_t kind, int *ret_fd, struct lg_err *err);

/** move_say() - only that; the answer is heard by move_hear() */
int move_say(const struct move *m, uint32_t kind, struct lg_err *err);

/** move_hear() - what lodged says next: into m->msg; @ret_fd (may be NULL) as of move_ask(). Other descriptors stay in m->msg. */
int move_hear(struct move *m, int *ret_fd, struct lg_err *err);

/** move_note() - the report has a part more, that began at @start and sent m->stage_bytes */
void move_note(struct move *m, const char *name, uint64_t start);

/** move_check_time() - may it stand still for longer? Until its images count it can be let go. -ETIME. */
int move_check_time(const struct move *m, struct lg_err *err);

/* ---- preflight.c ---- */

/**
 * preflight() - what is in the way of a move, and what is worth knowing, a sentence each, onto m->blockers and m->notes
 *
 * What decides about m->ahead is known then, too.
 */
int preflight(struct move *m, struct lg_err *err);

/* ---- images.c, ahead.c ---- */

/** move_images() - the stage "memory": of a dump, or of what is suspended */
int move_images(struct move *m, struct lg_err *err);

/**
 * move_early() - send those images of memory that are complete while CRIU writes the next one, until lodged says something
 *
 * What was sent of an earlier try of the dump goes first.
 */
int move_early(struct move *m, struct lg_err *err);

/** move_folder() - send the images in @folder, which is of round @round; 0: the dump's */
int move_folder(struct move *m, int folder, unsigned int round, struct lg_err *err);

/** move_goes_without() - what was copied ahead, if anything, is of no use: all of its memory follows. The report says so. */
void move_goes_without(struct move *m, const char *why);

/* ---- stream.c: of a VM that runs ---- */

/** move_stream() - copy its memory while it runs, until it stands still: m->frozen_us */
int move_stream(struct move *m, struct lg_err *err);

/** move_stream_rest() - and what is left of it */
int move_stream_rest(struct move *m, struct lg_err *err);

/* ---- ahead.c ---- */

/** move_ahead() - the stage "copy ahead": rounds of its memory, while it runs */
int move_ahead(struct move *m, struct lg_err *err);

#endif
