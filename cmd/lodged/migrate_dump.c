/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * The dump of a container that moves: the shim lends its root, lodge-criu writes its memory and holds it (migrate.c). What lodge-criu
 * says then is heard here until it ends.
 */

#include <errno.h>
#include <stdio.h>
#include <time.h>

#include "cmd/lodged/migrate.h"
#include "cmd/lodged/migrate_job.h"
#include "ct/migrate.h"
#include "ct/proto.h"
#include "lib/cleanup.h"
#include "lib/exit.h"

/* ---- what is asked of the shim and of lodge-criu ---- */

void migrate_lend(struct migrate *m, const struct lg_err *why)
{
	struct lg_err err = { 0 };
	struct lg_msg msg;

	lg_msg_init(&msg, LG_P_LEND);
	if (why) {
		lg_msg_put(&msg, "end", "1");
		lg_msg_put_err(&msg, why);
	}
	m->lending = lg_msg_send(m->op->ct->shim->sock, &msg) == 0;
	if (!m->lending) {
		lg_refuse(&err, -EPIPE, 0, "its shim does not listen");
		migrate_answer_failure(m, &err);
	}
}

int migrate_request(struct migrate *m, uint32_t kind, int images, int root, struct lg_msg *ret, struct lg_err *err)
{
	struct instance *ct = m->op->ct;
	char path[300];

	snprintf(path, sizeof(path), "%s/root", ct->d->root.run);
	lg_msg_init(ret, kind);
	lg_msg_put_u64(ret, "ctid", ct->ctid);
	lg_msg_put_u64(ret, "pid", (uint64_t)ct->init_pid);
	lg_msg_put_fd(ret, images);
	lg_msg_put_fd(ret, root);
	return criu_put_common(ct, path, ret, err);
}

/* ---- it is held, or goes on ---- */

static void held(struct migrate *m, const struct lg_msg *msg)
{
	struct lg_err err = { 0 };

	if (ahead_is_stale(m)) {
		m->ahead.again = true;
		criu_say(m->job, LG_K_ABORT, NULL);
		return;
	}
	if (criu_freeze(m->job, msg, &err) < 0) {
		migrate_answer_failure(m, &err);
		criu_say(m->job, LG_K_ABORT, &err);
		return;
	}
	m->frozen = true;
	migrate_answer(m, LG_M_FREEZE, m->images);
}

/* While its memory is written the worker sends what has changed of its files, and the images as they come. */
static void frozen(struct migrate *m, const struct lg_msg *msg)
{
	m->frozen_at_us = lg_msg_get_u64(msg, "us", m->frozen_at_us);
	migrate_answer(m, LG_M_FROZEN, m->images);
}

/* Nothing holds it any more, and it must not run: what the kernel let go with its keeper ends. */
static void end_here(const struct migrate *m)
{
	struct instance *ct = m->op->ct;
	char name[16];

	if (ct->state != STATE_RUNNING)
		return;
	ct->moving = true;
	snprintf(name, sizeof(name), "%u", ct->ctid);
	lg_cg_kill(ct->d->cg, name, NULL);
}

static void criu_ended(struct migrate *m)
{
	struct lg_err err = { 0 };

	m->job = NULL;
	if (!m->op) {
		migrate_release(m);
		return;
	}
	if (m->ahead.again && !m->worker_ended) {
		m->ahead.again = false;
		migrate_freeze(m);
		return;
	}
	if (m->dumping && !m->frozen) {
		lg_refuse(&err, -EIO, 0, "lodge-criu was killed; the container runs on");
		migrate_answer_failure(m, &err);
	}
	m->dumping = false;
	if (m->committed && !m->back) {
		end_here(m);
	} else {
		checkpoint_keep_log(m->op->ct);
		migrate_be_heard(m->op->ct);
	}
	migrate_finish_if_over(m);
}

static void on_criu(const struct lg_msg *msg, void *arg)
{
	struct migrate *m = arg;
	struct lg_err err = { 0 };

	if (!msg) {
		criu_ended(m);
	} else if (msg->kind == LG_K_FROZEN && m->op) {
		frozen(m, msg);
	} else if (msg->kind == LG_K_HELD && m->op) {
		held(m, msg);
	} else if (msg->kind == LG_K_FAILED) {
		lg_msg_get_err(msg, &err);
		if (!m->frozen && m->op && !m->ahead.again)
			migrate_answer_failure(m, &err);
		m->dumping = false;
	}
}

/* ---- it begins ---- */

static uint64_t monotonic_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

static int run_criu(struct migrate *m, int root, struct lg_err *err)
{
	char parent[LG_AHEAD_NAME];
	struct lg_msg msg;
	int r = migrate_request(m, LG_K_DUMP, m->images, root, &msg, err);

	if (r < 0)
		return r;
	if (ahead_parent(m, parent))
		lg_msg_put(&msg, "parent", parent);
	m->dumping = true;
	return criu_run(m->op->ct->d, &msg, on_criu, m, &m->job, err);
}

static struct migrate *of(const struct instance *ct)
{
	return ct->op && ct->op->then == migrate_gone ? ct->op->arg : NULL;
}

bool migrate_lent(struct instance *ct, struct lg_msg *msg)
{
	struct migrate *m = of(ct);
	struct lg_err err = { 0 };
	int root;

	if (!m)
		return false;
	m->lending = false;
	if (lg_msg_get(msg, "error")) {
		lg_msg_get_err(msg, &err);
		if (m->ahead.copies)
			ahead_drop(m);
		migrate_answer_failure(m, &err);
		return true;
	}
	root = lg_msg_take_fd(msg, 0);
	if (m->ahead.copies) {
		ahead_lent(m, root);
		lg_close(root);
		return true;
	}
	m->frozen_at_us = monotonic_us();
	if (run_criu(m, root, &err) < 0)
		migrate_answer_failure(m, &err);
	lg_close(root);
	return true;
}

/* An empty folder, unless its memory was copied ahead into one that is of use. */
static int make_images(struct migrate *m, struct lg_err *err)
{
	char parent[LG_AHEAD_NAME];

	if (ahead_parent(m, parent))
		return 0;
	m->images = lg_close(m->images);
	return checkpoint_begin(m->op->ct, &m->images, err);
}

void migrate_freeze(struct migrate *m)
{
	struct instance *ct = m->op->ct;
	struct lg_err why = { 0 }, err = { 0 };

	if (ct->state != STATE_RUNNING || !ct->shim) {
		lg_refuse(&err, -ESRCH, LG_EXIT_NOT_RUNNING, "it does not run any more");
		migrate_answer_failure(m, &err);
		return;
	}
	if (make_images(m, &err) < 0) {
		migrate_answer_failure(m, &err);
		return;
	}
	lg_refuse(&why, -ECANCELED, 0,
		  "the session ended because %s is moving to %.200s; what it left running goes on there",
		  instance_label(ct), m->host);
	migrate_lend(m, &why);
}
