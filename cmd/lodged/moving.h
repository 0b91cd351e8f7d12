/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LODGED_MOVING_H
#define LODGED_MOVING_H

/*
 * What is known of a container whose move was begun, beyond the life of this daemon: VAR/moving/ID.json, the note.
 *
 *	host, ssh, remote	how its other host is asked
 *	keep_source		it stays here, too, when it has moved
 *	restart			it ran, and was shut down for the move: it is started again if it does not move
 *	token			it is the other host's to say whether it has it, by this token
 *	moved			it has
 *
 * A note with a token and no word of the other host leaves the container unsettled: it does not run here, is not started without
 * --force, and the other host is asked again and again until it answers.
 */

#include "cmd/lodged/lodged.h"

/** moving_write() - replace the note, durably */
int moving_write(const struct instance *ct, const json_t *note, struct lg_err *err);

/** moving_forget() - nothing is uncertain about it any more */
void moving_forget(struct instance *ct);

/** here: 1 it is there, 0 it is not and never will be by that token, negative: nobody says. Called once. */
typedef void (*moving_fn)(int there, const struct lg_err *why, void *arg);

/** moving_ask() - ask the other host, for @patience_s at the least; @line hears the progress, and may be NULL */
int moving_ask(struct daemon *d, const json_t *note, unsigned int patience_s, worker_line_fn line,
	       moving_fn fn, void *arg, struct lg_err *err);

/** moving_tell() - the other host need not keep what it knows of the move */
void moving_tell(struct daemon *d, const json_t *note);

/** moving_unsettled() - from now on it may be there; @note is kept, and the other host asked now and then */
void moving_unsettled(struct instance *ct, const json_t *note);

/** moving_check() - may it be made to run, or be taken away? Not while it is unsettled. */
int moving_check(const struct instance *ct, struct lg_err *err);

/** moving_override() - somebody knows better (--force): it is here */
void moving_override(struct instance *ct);

/** moving_come_back() - it did not move, and does not run any more: it does again, and @call (may be NULL) hears @why */
void moving_come_back(struct instance *ct, struct lg_vcall *call, const struct lg_err *why);

/** moving_recover() - what an earlier daemon has written down */
void moving_recover(struct daemon *d);

#endif
