/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * What is different about a VM that moves with what is in its memory (migrate.c). QEMU does the copying, in rounds of its own, into a
 * pipe that the worker reads: it keeps all of that in VAR/checkpoint/ID and sends it on. AHEAD begins it; FROZEN is said when the
 * machine stands still, with little left; FREEZE has that written, too. The machine is held by its shim, which lets it run on when
 * this daemon ends, and ends it once the move is committed (vm/start.h).
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd/lodged/migrate.h"
#include "cmd/lodged/migrate_job.h"
#include "cmd/lodged/vm.h"
#include "ct/migrate.h"
#include "lib/cleanup.h"
#include "lib/exit.h"
#include "lib/json.h"
#include "lib/log.h"

#define COPY_S (24u * 3600)	/* while it runs */
#define WRITE_S 600u		/* while it stands still */
#define ANSWER_S 60u
#define PIPE_BYTES (1 << 20)
#define STILL_MS 100u		/* that the last of its memory may take, if nothing else is asked for */

/* What was asked of its shim is answered: @m is freed when nothing refers to it any more. */
static bool is_over(struct migrate *m)
{
	m->asks--;
	if (m->op)
		return false;
	migrate_release(m);
	return true;
}

static int ask(struct migrate *m, struct lg_msg *msg, unsigned int seconds, vm_answered_fn fn, struct lg_err *err)
{
	int r = vm_ask(m->op->ct, msg, seconds, fn, m, err);

	m->asks += r == 0;
	return r;
}

static int ask_for(struct migrate *m, const char *what, unsigned int seconds, vm_answered_fn fn, struct lg_err *err)
{
	struct lg_msg msg;

	vm_ask_begin(&msg, what);
	return ask(m, &msg, seconds, fn, err);
}

/* ---- its disk ---- */

static void answer_layer(struct migrate *m)
{
	struct lg_msg msg;

	lg_msg_init(&msg, LG_M_LAYER);
	lg_msg_put_fd(&msg, m->disk);
	if (m->written >= 0)
		lg_msg_put_fd(&msg, m->written);
	if (m->sock >= 0)
		lg_msg_send(m->sock, &msg);
	m->disk = lg_close(m->disk);
	m->written = lg_close(m->written);
}

/* Without it the whole disk is looked at while the machine stands still. */
static void on_written(const struct lg_msg *msg, const struct lg_err *err, void *arg)
{
	struct migrate *m = arg;

	if (is_over(m))
		return;
	if (!msg) {
		lg_log(LG_LOG_INFO, "%s: what is written to its disk is not known: %s", instance_label(m->op->ct), err->msg);
		m->written = lg_close(m->written);
	}
	answer_layer(m);
	migrate_finish_if_over(m);
}

/* A file without a name: it goes with those who hold it. */
static int make_written(const struct migrate *m, struct lg_err *err)
{
	lg_autoclose int fd = openat(m->op->ct->d->var_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	struct stat st;

	if (fd < 0 || fstat(m->disk, &st) < 0 || ftruncate(fd, st.st_size) < 0)
		return lg_fail(err, -errno, "make a file for what is written");
	return lg_take_fd(&fd);
}

void migrate_vm_layer(struct migrate *m, int fd)
{
	struct instance *ct = m->op->ct;
	struct lg_err err = { 0 };
	struct lg_msg msg;

	m->disk = fd;
	m->written = ct->state == STATE_RUNNING && ct->shim ? make_written(m, &err) : -1;
	if (m->written >= 0) {
		vm_ask_begin(&msg, "written");
		lg_msg_put(&msg, "role", lg_kind_is_foreign(ct->conf) ? "disk" : "layer");
		lg_msg_put_fd(&msg, m->written);
		m->watched = ask(m, &msg, ANSWER_S, on_written, &err) == 0;
		if (m->watched)
			return;
		m->written = lg_close(m->written);
	}
	answer_layer(m);
}

/* ---- it is copied while it runs ---- */

static void answer_still(struct migrate *m, uint64_t written)
{
	struct lg_msg msg;

	lg_msg_init(&msg, LG_M_FROZEN);
	lg_msg_put_u64(&msg, "us", m->frozen_at_us);
	lg_msg_put_u64(&msg, "written", written);
	if (m->sock >= 0)
		lg_msg_send(m->sock, &msg);
}

/* A daemon that went away may have left a change of it undone, which was done since. The other host has opened what it was told. */
static int check_drive(struct migrate *m, const struct lg_msg *msg, struct lg_err *err)
{
	const char *drive = lg_msg_get(msg, "drive");
	struct instance *ct = m->op->ct;

	if (!drive || !ct->vm_run.cdrom[0] || strcmp(drive, ct->vm_run.cdrom) == 0)
		return 0;
	vm_run_told(ct, msg);
	return lg_refuse(err, -EAGAIN, 0, "what is in its drive has changed meanwhile: move it again");
}

static void on_still(const struct lg_msg *msg, const struct lg_err *err, void *arg)
{
	struct migrate *m = arg;
	struct lg_err why = { 0 };

	if (is_over(m))
		return;
	if (msg && check_drive(m, msg, &why) < 0) {
		migrate_answer_failure(m, &why);
	} else if (msg) {
		m->frozen_at_us = lg_msg_get_u64(msg, "us", 0);
		answer_still(m, lg_msg_get_u64(msg, "written", 0));
	} else if (!m->worker_ended) {
		migrate_answer_failure(m, err);	/* and it is told to go on, whatever it does */
	}
	migrate_finish_if_over(m);
}

/* The last part of what it may stand still for. */
static unsigned int still_ms(const struct migrate *m)
{
	return m->max_downtime_ms && m->max_downtime_ms / 3 < STILL_MS ? m->max_downtime_ms / 3 : STILL_MS;
}

static int begin(struct migrate *m, int pipes[2], int *ret_file, struct lg_err *err)
{
	struct lg_err why = { 0 };
	struct lg_msg msg;
	int r = checkpoint_begin(m->op->ct, &m->images, err);

	if (r < 0)
		return r;
	*ret_file = openat(m->images, VM_STATE_FILE, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (*ret_file < 0 || pipe2(pipes, O_CLOEXEC) < 0)
		return lg_fail(err, -errno, "make '" VM_STATE_FILE "'");
	fcntl(pipes[0], F_SETPIPE_SZ, PIPE_BYTES);
	lg_refuse(&why, -ECANCELED, 0, "the session ended because %s is moving to %.200s; what it left running goes on there",
		  instance_label(m->op->ct), m->host);
	vm_ask_begin(&msg, "move");
	lg_msg_put_err(&msg, &why);
	lg_msg_put_u64(&msg, "still_ms", still_ms(m));
	lg_msg_put_u64(&msg, "added", m->cpus_added);
	lg_msg_put_fd(&msg, pipes[1]);
	return ask(m, &msg, COPY_S, on_still, err);
}

void migrate_vm_copy(struct migrate *m)
{
	lg_autoclose int file = -1;
	int pipes[2] = { -1, -1 };
	struct lg_err err = { 0 };
	struct lg_msg msg;

	if (m->op->ct->state != STATE_RUNNING || !m->op->ct->shim)
		lg_refuse(&err, -ESRCH, LG_EXIT_NOT_RUNNING, "it does not run any more");
	else if (m->held || m->images >= 0)
		lg_refuse(&err, -EBUSY, 0, "it is being copied already");
	if (!err.code && begin(m, pipes, &file, &err) == 0) {
		m->held = true;
		lg_msg_init(&msg, LG_M_AHEAD);
		lg_msg_put_fd(&msg, pipes[0]);
		lg_msg_put_fd(&msg, file);
		if (m->sock >= 0)
			lg_msg_send(m->sock, &msg);
	} else {
		migrate_answer_failure(m, &err);
	}
	lg_close(pipes[0]);
	lg_close(pipes[1]);
}

/* ---- the last of it ---- */

static void on_switched(const struct lg_msg *msg, const struct lg_err *err, void *arg)
{
	struct migrate *m = arg;

	if (is_over(m))
		return;
	if (msg) {
		vm_run_told(m->op->ct, msg);
		m->frozen = true;
		migrate_answer(m, LG_M_FREEZE, m->images);
	} else if (!m->worker_ended) {
		migrate_answer_failure(m, err);
	}
	migrate_finish_if_over(m);
}

void migrate_vm_freeze(struct migrate *m)
{
	struct lg_err err = { 0 };

	if (!m->held)
		lg_refuse(&err, -ECANCELED, 0, "nothing holds it");
	if (err.code || ask_for(m, "switch", WRITE_S, on_switched, &err) < 0)
		migrate_answer_failure(m, &err);
}

/* ---- the end ---- */

static void on_committed(const struct lg_msg *msg, const struct lg_err *err, void *arg)
{
	struct migrate *m = arg;

	if (is_over(m))
		return;
	if (msg && !m->worker_ended) {
		m->committed = true;
		migrate_answer(m, LG_M_COMMIT, -1);
	} else if (!m->worker_ended) {
		migrate_be_heard(m->op->ct);
		migrate_answer_failure(m, err);
	}
	migrate_finish_if_over(m);
}

int migrate_vm_commit(struct migrate *m, struct lg_err *err)
{
	return ask_for(m, "commit", ANSWER_S, on_committed, err);
}

static void on_going(const struct lg_msg *msg, const struct lg_err *err, void *arg)
{
	struct migrate *m = arg;

	if (!msg && err->code != -ESRCH && m->op)
		lg_log(LG_LOG_ERR, "%s: it does not say that it runs on: %s", instance_label(m->op->ct), err->msg);
	if (!is_over(m)) {
		migrate_be_heard(m->op->ct);
		migrate_finish_if_over(m);
	}
}

void migrate_vm_go_on(struct migrate *m)
{
	struct lg_err err = { 0 };

	if (!m->held && !m->watched)
		return;
	m->held = m->frozen = m->watched = false;
	if (m->op->ct->state == STATE_RUNNING && ask_for(m, "continue", ANSWER_S, on_going, &err) < 0)
		lg_log(LG_LOG_ERR, "%s: cannot tell it to run on: %s", instance_label(m->op->ct), err.msg);
}

void migrate_vm_end(struct migrate *m)
{
	struct instance *ct = m->op->ct;
	char name[16];

	m->held = false;
	if (ct->state != STATE_RUNNING)
		return;
	snprintf(name, sizeof(name), "%u", ct->ctid);
	lg_cg_kill(ct->d->cg, name, NULL);
}
