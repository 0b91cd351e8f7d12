/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * A container leaves for another host. A lodge-worker does the talking (cmd/lodge-worker/migrate.h); what only the daemon may
 * do it asks for (ct/migrate.h):
 *
 *	AHEAD	its memory is copied while it runs (migrate_ahead.c, migrate_vm.c)
 *	FREEZE	the sessions from outside end, lodge-criu dumps it and holds it: whatever happens now, it runs on when that
 *		process is told so, or ends
 *	STOP	without `live`: it is noted that it ran (moving.h), and it is shut down
 *	COMMIT	the note gets the token: from here on its images count, and it is not let go again before the other host has
 *		said that it does not have it. If this daemon ends here the container is suspended, and known to have
 *		perhaps moved
 *	MOVED	that is noted, lodge-criu is told to let it die, and it is destroyed here
 *
 * A worker that ends before COMMIT leaves a container that runs on. When one ends between COMMIT and MOVED, for whatever reason,
 * another one asks the other host. If that does not have it, the container is let go here or, if it has ended meanwhile, made
 * out of its images, or started where it had been shut down.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "cmd/lodged/criu.h"
#include "cmd/lodged/lodged.h"
#include "cmd/lodged/migrate.h"
#include "cmd/lodged/migrate_job.h"
#include "cmd/lodged/moving.h"
#include "cmd/lodged/vm.h"
#include "ct/migrate.h"
#include "ct/proto.h"
#include "lib/cleanup.h"
#include "lib/exit.h"
#include "lib/json.h"
#include "lib/log.h"
#include "storage/image.h"
#include "storage/layer.h"

#define PATIENCE_S 60u		/* how long a host that went silent at the end is asked */

/* ---- answers to the worker ---- */

void migrate_answer(struct migrate *m, uint32_t kind, int fd)
{
	struct lg_msg msg;

	lg_msg_init(&msg, kind);
	lg_msg_put_u64(&msg, "us", m->frozen_at_us);
	if (fd >= 0)
		lg_msg_put_fd(&msg, fd);
	if (m->sock >= 0 && lg_msg_send(m->sock, &msg) < 0)
		lg_log(LG_LOG_WARN, "%s: its worker does not listen", instance_label(m->op->ct));
}

void migrate_answer_failure(struct migrate *m, const struct lg_err *err)
{
	struct lg_msg msg;

	lg_msg_init(&msg, LG_M_FAILED);
	lg_msg_put_err(&msg, err);
	if (m->sock >= 0)
		lg_msg_send(m->sock, &msg);
}

void migrate_stopped(struct op *op)
{
	migrate_answer(op->arg, LG_M_STOP, -1);
}

/* ---- what the worker asks for ---- */

/*
 * The layer as it is on the disk: through the running instance's own mount its files belong to the ids that
 * it has on this host, and it gets others on the next.
 */
static int open_layer(const struct instance *ct, struct lg_err *err)
{
	const char *var = ct->d->root.var;
	char image[LG_LAYER_PATH];
	lg_autoclose int mounted = -1;
	int fd;

	/* A VM's is a disk, which nobody here looks into. */
	if (ct->vm && lg_layer_disk(var, ct->ctid, image)) {
		fd = open(image, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
		return fd < 0 ? lg_fail(err, -errno, "open '%s'", image) : fd;
	}
	if (ct->state == STATE_RUNNING && lg_layer_image(var, ct->ctid, image))
		mounted = disk_open_mounted(ct);
	return mounted < 0 ? lg_layer_open(var, ct->ctid, err) : lg_image_again(mounted, image, err);
}

static void give_layer(struct migrate *m)
{
	struct lg_err err = { 0 };
	lg_autoclose int fd = open_layer(m->op->ct, &err);

	if (fd < 0)
		migrate_answer_failure(m, &err);
	else if (m->op->ct->vm && m->live)
		migrate_vm_layer(m, lg_take_fd(&fd));
	else
		migrate_answer(m, LG_M_LAYER, fd);
}

static void stop(struct migrate *m)
{
	struct instance *ct = m->op->ct;
	struct lg_err err = { 0 };

	if (ct->state != STATE_RUNNING) {
		migrate_answer(m, LG_M_STOP, -1);
		return;
	}
	if (moving_write(ct, m->note, &err) < 0) {
		migrate_answer_failure(m, &err);
		return;
	}
	m->stopping = true;
	stop_begin(m->op, STOP_TIMEOUT_DEFAULT);
}

/* Whose processes would run on beside those there must not be given away. */
static int check_rest(const struct migrate *m, struct lg_err *err)
{
	const struct instance *ct = m->op->ct;

	if (m->live && !(m->frozen && (m->job || m->held) && ct->state == STATE_RUNNING))
		return lg_refuse(err, -ECANCELED, 0, "what held it has ended, so it has run meanwhile");
	if (!m->live && ct->state == STATE_RUNNING)
		return lg_refuse(err, -ECANCELED, 0, "it runs");
	return 0;
}

static int note_commit(struct migrate *m, const char *token, struct lg_err *err)
{
	int r = check_rest(m, err);

	if (r == 0 && m->live)
		r = checkpoint_complete(m->op->ct, m->images, false, err);
	if (r < 0)
		return r;
	json_object_set_new(m->note, "token", json_string(token ? token : ""));
	return moving_write(m->op->ct, m->note, err);
}

static void commit(struct migrate *m, const struct lg_msg *msg)
{
	struct instance *ct = m->op->ct;
	bool vm = ct->vm && m->live;
	struct lg_err err = { 0 };

	/* So that what is for it goes to the other host as soon as that announces it. */
	migrate_quiet(ct, true);
	if (note_commit(m, lg_msg_get(msg, "token"), &err) < 0 || (vm && migrate_vm_commit(m, &err) < 0)) {
		/* Where lodge-criu was killed it has been heard already, before this. */
		migrate_be_heard(ct);
		migrate_answer_failure(m, &err);
		return;
	}
	if (vm)
		return;
	m->committed = true;
	if (m->job)
		criu_say(m->job, LG_K_COMMIT, NULL);
	migrate_answer(m, LG_M_COMMIT, -1);
}

static void back(struct migrate *m)
{
	m->back = true;
	migrate_quiet(m->op->ct, false);
	if (m->job)
		criu_say(m->job, LG_K_ABORT, NULL);
	migrate_vm_go_on(m);
}

static void let_end(struct migrate *m)
{
	if (m->job)
		criu_say(m->job, LG_K_GO, NULL);
	if (m->held)
		migrate_vm_end(m);
}

static void moved(struct migrate *m)
{
	struct lg_err err = { 0 };

	m->moved = true;
	m->op->ct->moving = true;
	json_object_set_new(m->note, "moved", json_true());
	if (moving_write(m->op->ct, m->note, &err) < 0)
		lg_log(LG_LOG_WARN, "%s: %s", instance_label(m->op->ct), err.msg);
	m->noted = !err.code;	/* else the next daemon may have to ask */
	let_end(m);
}

static void answer_moved(struct migrate *m)
{
	struct lg_msg msg;

	moved(m);
	lg_msg_init(&msg, LG_M_MOVED);
	lg_msg_put(&msg, "noted", m->noted ? "1" : "0");
	if (m->sock >= 0 && lg_msg_send(m->sock, &msg) < 0)
		lg_log(LG_LOG_WARN, "%s: its worker does not listen", instance_label(m->op->ct));
}

static void take(struct migrate *m, const struct lg_msg *msg)
{
	switch (msg->kind) {
	case LG_M_LAYER:
		give_layer(m);
		break;
	case LG_M_AHEAD:
		if (m->op->ct->vm)
			migrate_vm_copy(m);
		else
			ahead_begin(m);
		break;
	case LG_M_FREEZE:
		if (m->op->ct->vm)
			migrate_vm_freeze(m);
		else
			migrate_freeze(m);
		break;
	case LG_M_STOP:
		stop(m);
		break;
	case LG_M_COMMIT:
		commit(m, msg);
		break;
	case LG_M_MOVED:
		answer_moved(m);
		break;
	default:
		break;
	}
}

static int on_worker(sd_event_source *s, int fd, uint32_t revents, void *arg)
{
	struct migrate *m = arg;
	struct lg_msg msg;
	int r = lg_msg_recv(fd, &msg);

	(void)revents;
	if (r == -EAGAIN || r == -EINTR || r == -EBADMSG)
		return 0;
	if (r == 1) {
		take(m, &msg);
		lg_msg_drop_fds(&msg);
	} else {
		sd_event_source_set_enabled(s, SD_EVENT_OFF);
	}
	return 0;
}

/* "R {...}": what the answer of the verb is made of; other lines are its progress. */
static void on_line(const char *line, void *arg)
{
	struct migrate *m = arg;

	if (strncmp(line, "R ", 2) == 0) {
		json_decref(m->report);
		m->report = json_loads(line + 2, 0, NULL);
	} else if (m->op) {
		op_progress(m->op, "%s", line);
	}
}

/* Committed, and no word: it stays as its images, or as it was shut down, and the other host is asked now and then. */
static void leave_open(struct migrate *m, const struct lg_err *why)
{
	struct lg_err first = m->err;

	m->unknown = true;
	lg_refuse(&m->err, -EHOSTUNREACH, 0,
		  "it was about to go on there when the move failed (%.150s), and %.100s does not say whether it has it "
		  "(%.100s): it stays here and does not run until that answers. If it is not there, use --force",
		  first.msg, m->host, why->msg);
	m->op->ct->moving = true;
	let_end(m);	/* its images stay */
}

static void on_answer(int there, const struct lg_err *why, void *arg)
{
	struct migrate *m = arg;

	m->worker_ended = true;
	if (!m->op) {
		migrate_release(m);
		return;
	}
	if (there < 0) {
		leave_open(m, why);
	} else if (there == 0) {
		back(m);
	} else {
		m->err = (struct lg_err){ 0 };
		moved(m);
	}
	migrate_finish_if_over(m);
}

/* What it left frozen runs on. */
static void hold_no_more(struct migrate *m)
{
	if (m->job && m->frozen)
		criu_say(m->job, LG_K_ABORT, &m->err);
	else if (m->job)
		criu_abandon(m->job, &m->err);
	migrate_vm_go_on(m);
}

/* It was killed, failed, or has done it all. */
static void on_worker_end(int r, const struct lg_err *err, void *arg)
{
	struct migrate *m = arg;
	struct lg_err why = { 0 };

	if (r < 0)
		m->err = *err;
	m->io = sd_event_source_disable_unref(m->io);
	m->sock = lg_close(m->sock);
	if (m->op && m->committed && !m->moved) {
		if (moving_ask(m->op->ct->d, m->note, PATIENCE_S, on_line, on_answer, m, &why) < 0)
			on_answer(why.code, &why, m);
		return;
	}
	m->worker_ended = true;
	if (!m->op) {
		migrate_release(m);
		return;
	}
	/* It has moved, whatever else was not to the worker's liking. */
	if (m->moved)
		m->err = (struct lg_err){ 0 };
	else
		hold_no_more(m);
	migrate_finish_if_over(m);
}

/* ---- the verb ---- */

/* Its conf file as it goes with it: with the MAC that its neighbours know, which is made of this host's root and number. */
static char *conf_text(const struct instance *ct)
{
	struct lg_conf *conf = lg_conf_copy(ct->conf);
	char *text = NULL, mac[18];

	instance_mac_text(ct, mac);
	if (conf && lg_conf_set(conf, "MAC", mac, NULL) == 0)
		text = lg_conf_format(conf);
	lg_conf_free(conf);
	return text;
}

static int spawn(struct migrate *m, const json_t *params, struct lg_err *err)
{
	struct instance *ct = m->op->ct;
	lg_autofree char *request = NULL, *conf = conf_text(ct);
	lg_autojson json_t *all = json_deep_copy((json_t *)(uintptr_t)params);
	char socket[108];
	const char *const argv[] = { "migrate", "--var", ct->d->root.var, "--socket", socket, "-", NULL };
	lg_autoclose int theirs = -1, in = -1;
	int pair[2], r;

	lg_root_socket(&ct->d->root, socket, sizeof(socket));
	json_object_set_new(all, "ctid", json_integer(ct->ctid));
	json_object_set_new(all, "conf", json_string(conf ? conf : ""));
	json_object_set_new(all, "running", json_boolean(m->was_running));
	json_object_set_new(all, "suspended", json_boolean(ct->state == STATE_SUSPENDED));
	if (ct->vm && ct->state != STATE_STOPPED)
		json_object_set_new(all, "vm", vm_move_json(ct));
	m->cpus_added = ct->vm_run.cpus_added;
	json_object_set_new(all, "label", json_string(instance_label(ct)));
	if (getenv("LG_MOVE_STOP"))	/* a test's; the worker has no environment of ours */
		json_object_set_new(all, "hold", json_string(getenv("LG_MOVE_STOP")));
	request = json_dumps(all, JSON_COMPACT);
	if (!request)
		return lg_fail(err, -ENOMEM, "tell the worker");
	in = memfd_create("lodge-migrate", MFD_CLOEXEC);
	if (in < 0 || write(in, request, strlen(request)) != (ssize_t)strlen(request) ||
	    lseek(in, 0, SEEK_SET) < 0)
		return lg_fail(err, -errno, "tell the worker");
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return lg_fail(err, -errno, "socketpair");
	m->sock = pair[0];
	theirs = pair[1];
	fcntl(m->sock, F_SETFL, O_NONBLOCK);
	r = sd_event_add_io(ct->d->event, &m->io, m->sock, EPOLLIN, on_worker, m);
	if (r < 0)
		return lg_fail(err, r, "watch the worker");
	return worker_run_with(ct->d, argv, in, theirs, on_line, on_worker_end, m, err);
}

static json_t *make_note(const struct migrate *m, const json_t *params)
{
	static const char *const names[] = { "host", "ssh", "remote", "keep_source" };
	json_t *note = json_pack("{s:b}", "was_running", m->was_running);

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (json_object_get(params, names[i]))
			json_object_set(note, names[i], json_object_get(params, names[i]));
	return note;
}

/* What is not in VAR/checkpoint is not sent. */
static int check_images(const struct instance *ct, struct lg_err *err)
{
	lg_autojson json_t *state = ct->state == STATE_SUSPENDED ? checkpoint_state(ct) : NULL;
	const char *file = lg_json_str(state, "dumpfile");

	return file ? lg_refuse(err, -EINVAL, LG_EXIT_CHKPNT, "its memory is in the dump file '%.200s': resume %s and suspend it "
				"without one, or move it as it runs", file, instance_label(ct)) : 0;
}

static int check(const struct instance *ct, const json_t *params, struct lg_err *err)
{
	const char *host = lg_json_str(params, "host");

	if (!host || !*host || *host == '-' || strlen(host) > 200)
		return lg_refuse(err, -EINVAL, LG_EXIT_BAD_VALUE, "'%.80s' names no host",
				 host ? host : "");
	if (check_images(ct, err) < 0)
		return err->code;
	if (ct->hangs[0])
		return stop_hangs(ct, err);
	if (moving_check(ct, err) < 0 || vm_medium_check(ct, err) < 0)
		return err->code;
	return ct->op ? lg_refuse(err, -EBUSY, LG_EXIT_LOCKED,
				  "%s is held by another operation (%s): try again when it is over",
				  instance_label(ct), ct->op->verb) : 0;
}

void api_migrate(struct lg_vcall *call, const json_t *params, void *ctx)
{
	struct instance *ct = api_instance(call, params, ctx);
	struct migrate *m = NULL;
	struct lg_err err = { 0 };

	if (!ct)
		return;
	if (ct->state != STATE_RUNNING)
		ct->state = instance_rest(ct);
	if (check(ct, params, &err) < 0 || !(m = calloc(1, sizeof(*m)))) {
		lg_vcall_fail(call, &err);
		return;
	}
	m->sock = m->images = m->ahead.folder = m->disk = m->written = -1;
	m->op = op_new(ct, "migrate", call);
	if (!m->op) {
		free(m);
		return;
	}
	m->op->arg = m;
	m->op->then = migrate_gone;
	m->op->done = migrate_dropped;
	m->was_running = ct->state == STATE_RUNNING;
	m->live = m->was_running && lg_json_bool(params, "live", false);
	m->keep_source = lg_json_bool(params, "keep_source", false);
	m->max_downtime_ms = (unsigned int)lg_json_int(params, "max_downtime_ms", 0);
	m->note = make_note(m, params);
	snprintf(m->host, sizeof(m->host), "%s", lg_json_str(params, "host"));
	if (spawn(m, params, &err) < 0) {
		m->err = err;
		m->worker_ended = true;
		migrate_finish(m);
	}
}
