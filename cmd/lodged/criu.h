/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LODGED_CRIU_H
#define LODGED_CRIU_H

/* lodge-criu as lodged sees it: started with a request, heard by messages (ct/checkpoint.h), gone at its end. */

#include "cmd/lodged/lodged.h"
#include "ct/checkpoint.h"

struct criu_job;

/*
 * @m: what it says; descriptors are dropped behind the call. NULL: it ended; DONE or FAILED came before, or it was killed. The
 * job is freed then.
 */
typedef void (*criu_fn)(const struct lg_msg *m, void *arg);

/** criu_program() - the program that lodge.conf names. -EOPNOTSUPP: there is none, and why. */
int criu_program(const struct daemon *d, const char **ret, struct lg_err *err);

/** criu_put_common() - fields of a request that are the same for all */
int criu_put_common(const struct instance *ct, const char *root, struct lg_msg *m, struct lg_err *err);

/**
 * criu_run() - start it with @request, whose descriptors are lent
 *
 * When it is killed in a dump the container is healed before NULL comes (heal.c): it runs on as if nothing had been.
 */
int criu_run(struct daemon *d, const struct lg_msg *request, criu_fn fn, void *arg,
	     struct criu_job **ret, struct lg_err *err);

/**
 * criu_freeze() - it said HELD: from here on none of the container runs, not even when CRIU, which holds it until now, is killed
 * @held:	with CRIU's pidfd. Was it killed before, the images are of another moment than the files: -EIO.
 *
 * ABORT lets it run again, and so does the end of a job that heard neither GO nor COMMIT.
 */
int criu_freeze(struct criu_job *job, const struct lg_msg *held, struct lg_err *err);

/** criu_say() - GO or ABORT; @why goes with ABORT and may be NULL. What it says last still comes. */
void criu_say(struct criu_job *job, uint32_t kind, const struct lg_err *why);

/**
 * criu_abandon() - it takes too long: a dump is called off, and the container runs on
 *
 * @why comes at once, and NULL when it is over: CRIU is asked to give up, killed when it does not, and the container healed.
 */
void criu_abandon(struct criu_job *job, const struct lg_err *why);

/** criu_settle() - a daemon before was killed: return when nothing works on the instance any more */
void criu_settle(const struct instance *ct);

/** criu_heal() - its dump was cut short with lodge-criu: put right what that left. It waits for it. */
int criu_heal(const struct instance *ct, struct lg_err *err);

/* ---- checkpoint.c: VAR/checkpoint/ID ---- */

/** checkpoint_is_there() - has the instance been suspended to disk, completely? */
bool checkpoint_is_there(const struct instance *ct);

/** checkpoint_begin() - an empty folder for new images; open. What was there before is gone. */
int checkpoint_begin(const struct instance *ct, int *ret, struct lg_err *err);

/**
 * checkpoint_ahead() - the folder for round @round of what is copied ahead, in @images; open
 *
 * It goes with the other images.
 */
int checkpoint_ahead(int images, unsigned int round, int *ret, struct lg_err *err);

/** checkpoint_open() - the images, with their "state" (lib/json.h), which may be NULL */
int checkpoint_open(const struct instance *ct, int *ret, json_t **ret_state, struct lg_err *err);

/** checkpoint_complete() - from here on it counts, whatever happens to the host; @host_down: which goes down */
int checkpoint_complete(const struct instance *ct, int images, bool host_down, struct lg_err *err);

/** checkpoint_fits_layer() - are the instance's files the ones it had then? -ESTALE. */
int checkpoint_fits_layer(const struct instance *ct, const json_t *state, struct lg_err *err);

/** checkpoint_addresses() - its addresses, as in "addresses" of a state; the caller's */
json_t *checkpoint_addresses(const struct instance *ct);

/** checkpoint_state() - of a suspended instance; the caller's; NULL when there is none */
json_t *checkpoint_state(const struct instance *ct);

/** checkpoint_of_host_down() - was it suspended because the host went down? */
bool checkpoint_of_host_down(const struct instance *ct);

/** checkpoint_bytes() - what its images take on the disk, in this folder or in their dump file */
uint64_t checkpoint_bytes(const struct instance *ct, const json_t *state);

/** checkpoint_sweep() - remove those of instances that are no more: a new one of that number has none */
void checkpoint_sweep(struct daemon *d);

/** checkpoint_moved() - its images are in the dump file @file: they go here, and the state names it */
int checkpoint_moved(const struct instance *ct, const char *file, struct lg_err *err);

/** checkpoint_unpack_path() - an empty folder for images that come out of a dump file */
int checkpoint_unpack_path(const struct instance *ct, char path[300], struct lg_err *err);

/** checkpoint_unpacked() - they are there: its checkpoint from now on, when they fit; else they go */
int checkpoint_unpacked(const struct instance *ct, struct lg_err *err);

/** checkpoint_drop_unpacked() - they are not wanted */
void checkpoint_drop_unpacked(const struct instance *ct);

/** checkpoint_remove() - it was resumed, or is not wanted any more. Missing is fine. */
void checkpoint_remove(const struct instance *ct);

/** checkpoint_keep_log() - it failed: what CRIU had to say stays in VAR/log/criu-ID.log */
void checkpoint_keep_log(const struct instance *ct);

/** checkpoint_keep_log_of() - that of a round of what is copied ahead, in its folder */
void checkpoint_keep_log_of(const struct instance *ct, int folder);

#endif
