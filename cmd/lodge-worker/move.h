/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LODGE_WORKER_MOVE_H
#define LODGE_WORKER_MOVE_H

/* What the files of the side that a container leaves share; migrate.h has the story. */

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "cmd/lodge-worker/migrate.h"
#include "lib/conf.h"
#include "lib/msg.h"
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
	int layer, images;		/* -1: not yet */
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

/** move_check_time() - may it stand still for longer? Until its images count it can be let go. -ETIME. */
int move_check_time(const struct move *m, struct lg_err *err);

/* ---- preflight.c ---- */

/** preflight() - what is in the way of a move, and what is worth knowing, a sentence each, onto m->blockers and m->notes */
int preflight(struct move *m, struct lg_err *err);

/* ---- images.c ---- */

/** move_images() - the stage "memory": of a dump, or of what is suspended */
int move_images(struct move *m, struct lg_err *err);

#endif
