/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * The memory of a container that is about to move is copied while it runs, in rounds: each has what was written since the one
 * before, and the dump what was written since the last. Their images are in folders within that of the dump's, so that
 * whatever takes that one away takes all of it away.
 *
 * A round that fails, or a container that does what the kernel keeps no account of (ct/tracking.h), costs no more than
 * time: what was copied is of no use then, and the dump has all of its memory.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "cmd/lodged/migrate_job.h"
#include "ct/migrate.h"
#include "lib/cleanup.h"
#include "lib/log.h"

void ahead_drop(struct migrate *m)
{
	m->ahead.rounds = 0;
	m->ahead.copies = false;
	m->ahead.folder = lg_close(m->ahead.folder);
	lg_moves_free(m->ahead.moves);
	m->ahead.moves = NULL;
}

bool ahead_is_stale(struct migrate *m)
{
	if (m->ahead.rounds == 0 || !lg_moves_seen(m->ahead.moves))
		return false;
	lg_log(LG_LOG_INFO, "%s: its processes move memory about, which the kernel does not mark: what was copied ahead is of no use",
	       instance_label(m->op->ct));
	ahead_drop(m);
	return true;
}

const char *ahead_parent(struct migrate *m, char name[LG_AHEAD_NAME])
{
	if (ahead_is_stale(m) || m->ahead.rounds == 0)
		return NULL;
	snprintf(name, LG_AHEAD_NAME, LG_AHEAD_FOLDER, m->ahead.rounds);
	return name;
}

static void failed(struct migrate *m, const struct lg_err *err)
{
	lg_log(LG_LOG_WARN, "%s: its memory is not copied ahead: %s", instance_label(m->op->ct), err->msg);
	if (m->ahead.folder >= 0)
		checkpoint_keep_log_of(m->op->ct, m->ahead.folder);
	ahead_drop(m);
	migrate_answer_failure(m, err);
}

static void round_ended(struct migrate *m)
{
	struct lg_err killed = { 0 };

	m->job = NULL;
	if (!m->op) {
		migrate_release(m);
		return;
	}
	if (m->ahead.ok) {
		m->ahead.copies = false;
		m->ahead.rounds++;
		migrate_answer(m, LG_M_AHEAD, m->ahead.folder);
		m->ahead.folder = lg_close(m->ahead.folder);
	} else {
		lg_refuse(&killed, -EIO, 0, "lodge-criu was killed");
		failed(m, m->ahead.err.code ? &m->ahead.err : &killed);
	}
	migrate_finish_if_over(m);
}

static void on_round(const struct lg_msg *msg, void *arg)
{
	struct migrate *m = arg;

	if (!msg)
		round_ended(m);
	else if (msg->kind == LG_K_DONE)
		m->ahead.ok = true;
	else if (msg->kind == LG_K_FAILED)
		lg_msg_get_err(msg, &m->ahead.err);
}

static int run_round(struct migrate *m, int root, struct lg_err *err)
{
	char parent[LG_AHEAD_NAME + 3];
	struct lg_msg msg;
	int r = migrate_request(m, LG_K_AHEAD, m->ahead.folder, root, &msg, err);

	if (r < 0)
		return r;
	if (m->ahead.rounds) {
		snprintf(parent, sizeof(parent), "../" LG_AHEAD_FOLDER, m->ahead.rounds);
		lg_msg_put(&msg, "parent", parent);
	}
	return criu_run(m->op->ct->d, &msg, on_round, m, &m->job, err);
}

void ahead_lent(struct migrate *m, int root)
{
	struct lg_err err = { 0 };

	if (run_round(m, root, &err) < 0)
		failed(m, &err);
}

static int watch(struct migrate *m, struct lg_err *err)
{
	const struct instance *ct = m->op->ct;
	lg_autoclose int cgroup = -1;
	char name[16];

	snprintf(name, sizeof(name), "%u", ct->ctid);
	cgroup = lg_cg_open(ct->d->cg, name, false, err);
	return cgroup < 0 ? cgroup : lg_moves_watch(cgroup, &m->ahead.moves, err);
}

static int make_round(struct migrate *m, struct lg_err *err)
{
	int r = 0;

	if (m->ahead.rounds && ahead_is_stale(m))
		return lg_refuse(err, -ESTALE, 0, "its processes move memory about, which the kernel does not mark");
	if (m->ahead.rounds == LG_AHEAD_ROUNDS_MAX)
		return lg_refuse(err, -E2BIG, 0, "too many rounds");
	if (m->ahead.rounds == 0) {
		m->images = lg_close(m->images);
		r = lg_tracking_check(err);
		if (r == 0)
			r = checkpoint_begin(m->op->ct, &m->images, err);
		if (r == 0)
			r = watch(m, err);
	}
	return r < 0 ? r : checkpoint_ahead(m->images, m->ahead.rounds + 1, &m->ahead.folder, err);
}

void ahead_begin(struct migrate *m)
{
	struct lg_err err = { 0 };

	m->ahead.ok = false;
	m->ahead.err = err;
	if (m->op->ct->state != STATE_RUNNING || !m->op->ct->shim)
		lg_refuse(&err, -ESRCH, 0, "it does not run any more");
	if (err.code || make_round(m, &err) < 0) {
		failed(m, &err);
		return;
	}
	m->ahead.copies = true;
	migrate_lend(m, NULL);
	if (!m->lending)
		ahead_drop(m);
}
