/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * A container leaves for another host. A lodge-worker does the talking (cmd/lodge-worker/migrate.h); what only the daemon may
 * do it asks for (ct/migrate.h):
 *
 *	FREEZE	the sessions from outside end, lodge-criu dumps it and holds it: whatever happens now, it runs on when that
 *		process is told so, or ends
 *	COMMIT	state.json with the other host's name and the token: from here on its images count, and it is not let go
 *		again before the other host has said that it does not have it. If this daemon ends here the container is
 *		suspended, and known to have perhaps moved
 *	MOVED	lodge-criu is told to let it die, and it is destroyed here
 *	BACK	it is told to let it run
 *
 * A worker that ends before COMMIT leaves a container that runs on.
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
#include "ct/migrate.h"
#include "ct/proto.h"
#include "lib/cleanup.h"
#include "lib/exit.h"
#include "lib/json.h"
#include "lib/log.h"
#include "storage/layer.h"

#define WORDS_MAX 16u

struct migrate {
	struct op *op;
	char host[256], token[80];
	bool keep_source, was_running;
	int sock;			/* to the worker; -1: it has ended */
	sd_event_source *io;
	int images;
	struct criu_job *job;		/* holds the container; NULL: nothing does */
	bool dumping, frozen, committed, moved, back;
	bool worker_ended, gone;	/* gone: the container has ended and is swept */
	uint64_t frozen_at_us, downtime_us;
	struct lg_err err;		/* why the worker failed */
	json_t *report;			/* its answer */
};

static struct migrate *of(const struct instance *ct)
{
	return ct->op && ct->op->then == migrate_gone ? ct->op->arg : NULL;
}

/* ---- the end ---- */

static void finish(struct migrate *m)
{
	struct op *op = m->op;
	struct instance *ct = op->ct;
	json_t *report = m->report;
	struct lg_err err = m->err;
	bool moved = m->moved, keep = m->keep_source;

	sd_event_source_disable_unref(m->io);
	lg_close(m->sock);
	lg_close(m->images);
	op->arg = NULL;
	free(m);
	if (ct->state != STATE_RUNNING)
		ct->state = instance_rest(ct);
	if (err.code) {
		lg_within(&err, err.code, "migrate %s", instance_label(ct));
		json_decref(report);
		op_fail(op, &err);
		return;
	}
	if (moved && !keep) {
		migrate_destroy(op, report);
		return;
	}
	op_end(op, report);
}

/* The worker has ended, and what it asked for is done. */
static void finish_if_over(struct migrate *m)
{
	if (!m->worker_ended || m->job)
		return;
	if (m->moved && m->was_running && !m->gone && m->op->ct->state == STATE_RUNNING)
		return;		/* its last process is yet to end */
	if (m->back || !m->committed)
		checkpoint_remove(m->op->ct);
	if (m->moved)
		checkpoint_remove(m->op->ct);
	runtime_save(m->op->ct, NULL, NULL);
	finish(m);
}

void migrate_gone(struct op *op)
{
	struct migrate *m = op->arg;

	m->gone = true;
	if (m->sock >= 0 && !m->moved && !m->committed)
		migrate_stopped(op);
	finish_if_over(m);
}

/* ---- answers to the worker ---- */

static void answer(struct migrate *m, uint32_t kind, int fd)
{
	struct lg_msg msg;

	lg_msg_init(&msg, kind);
	lg_msg_put_u64(&msg, "us", m->frozen_at_us);
	if (fd >= 0)
		lg_msg_put_fd(&msg, fd);
	if (m->sock >= 0 && lg_msg_send(m->sock, &msg) < 0)
		lg_log(LG_LOG_WARN, "%s: its worker does not listen", instance_label(m->op->ct));
}

static void answer_failure(struct migrate *m, const struct lg_err *err)
{
	struct lg_msg msg;

	lg_msg_init(&msg, LG_M_FAILED);
	lg_msg_put_err(&msg, err);
	if (m->sock >= 0)
		lg_msg_send(m->sock, &msg);
}

void migrate_stopped(struct op *op)
{
	answer(op->arg, LG_M_STOP, -1);
}

/* ---- what the worker asks for ---- */

static void quiet(const struct instance *ct, bool on)
{
	char name[16];

	lg_root_link(&ct->d->root, ct->ctid, 0, name);
	lg_net_quiet(ct->d->net, name, on);
}

static uint64_t monotonic_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

static void give_layer(struct migrate *m)
{
	struct instance *ct = m->op->ct;
	struct lg_err err = { 0 };
	lg_autoclose int fd = ct->state == STATE_RUNNING ? disk_open_mounted(ct) : -1;

	if (fd < 0)
		fd = lg_layer_open(ct->d->root.var, ct->ctid, &err);
	if (fd < 0)
		answer_failure(m, &err);
	else
		answer(m, LG_M_LAYER, fd);
}

static void held(struct migrate *m)
{
	m->frozen = true;
	answer(m, LG_M_FREEZE, m->images);
}

static void on_criu(const struct lg_msg *msg, void *arg)
{
	struct op *op = arg;
	struct migrate *m = op->arg;
	struct lg_err err = { 0 };

	if (msg && msg->kind == LG_K_HELD) {
		held(m);
		return;
	}
	if (msg && msg->kind == LG_K_FAILED) {
		lg_msg_get_err(msg, &err);
		if (!m->frozen)
			answer_failure(m, &err);
		m->dumping = false;
		return;
	}
	if (msg)
		return;
	m->job = NULL;
	if (m->dumping && !m->frozen) {
		lg_refuse(&err, -EIO, 0, "lodge-criu was killed; the container runs on");
		answer_failure(m, &err);
	}
	m->dumping = false;
	if (!m->committed) {
		checkpoint_keep_log(op->ct);
		quiet(op->ct, false);
	}
	finish_if_over(m);
}

static int run_criu(struct migrate *m, int root_fd, struct lg_err *err)
{
	struct instance *ct = m->op->ct;
	struct lg_msg msg;
	char root[300];
	int r;

	snprintf(root, sizeof(root), "%s/root", ct->d->root.run);
	lg_msg_init(&msg, LG_K_DUMP);
	lg_msg_put_u64(&msg, "ctid", ct->ctid);
	lg_msg_put_u64(&msg, "pid", (uint64_t)ct->init_pid);
	r = criu_put_common(ct, root, &msg, err);
	if (r < 0)
		return r;
	lg_msg_put_fd(&msg, m->images);
	lg_msg_put_fd(&msg, root_fd);
	m->dumping = true;
	return criu_run(ct->d, &msg, on_criu, m->op, &m->job, err);
}

bool migrate_lent(struct instance *ct, struct lg_msg *msg)
{
	struct migrate *m = of(ct);
	struct lg_err err = { 0 };
	int root;

	if (!m)
		return false;
	if (lg_msg_get(msg, "error")) {
		lg_msg_get_err(msg, &err);
		answer_failure(m, &err);
		return true;
	}
	root = lg_msg_take_fd(msg, 0);
	m->frozen_at_us = monotonic_us();
	if (run_criu(m, root, &err) < 0)
		answer_failure(m, &err);
	lg_close(root);
	return true;
}

static void freeze(struct migrate *m)
{
	struct instance *ct = m->op->ct;
	struct lg_err why = { 0 }, err = { 0 };
	struct lg_msg msg;

	if (ct->state != STATE_RUNNING || !ct->shim) {
		lg_refuse(&err, -ESRCH, LG_EXIT_NOT_RUNNING, "it does not run any more");
		answer_failure(m, &err);
		return;
	}
	if (checkpoint_begin(ct, &m->images, &err) < 0) {
		answer_failure(m, &err);
		return;
	}
	lg_refuse(&why, -ECANCELED, 0,
		  "the session ended because %s is moving to %.200s; what it left running goes on there",
		  instance_label(ct), m->host);
	lg_msg_init(&msg, LG_P_LEND);
	lg_msg_put(&msg, "end", "1");
	lg_msg_put_err(&msg, &why);
	if (lg_msg_send(ct->shim->sock, &msg) < 0) {
		lg_refuse(&err, -EPIPE, 0, "its shim does not listen");
		answer_failure(m, &err);
	}
}

static int note_commit(struct migrate *m, const char *token, struct lg_err *err)
{
	snprintf(m->token, sizeof(m->token), "%s", token ? token : "");
	return m->frozen ? checkpoint_complete_moved(m->op->ct, m->images, m->host, m->token, err) : 0;
}

static void commit(struct migrate *m, const struct lg_msg *msg)
{
	struct instance *ct = m->op->ct;
	struct lg_err err = { 0 };

	/* So that what is for it goes to the other host as soon as that announces it. */
	quiet(ct, true);
	if (note_commit(m, lg_msg_get(msg, "token"), &err) < 0) {
		answer_failure(m, &err);
		return;
	}
	m->committed = true;
	if (m->job)
		criu_say(m->job, LG_K_COMMIT, NULL);
	answer(m, LG_M_COMMIT, -1);
}

static void back(struct migrate *m)
{
	struct instance *ct = m->op->ct;

	m->back = true;
	m->committed = false;
	quiet(ct, false);
	if (m->job)
		criu_say(m->job, LG_K_ABORT, NULL);
	answer(m, LG_M_BACK, -1);
}

static void moved(struct migrate *m)
{
	m->moved = true;
	m->op->ct->moving = true;
	if (m->job)
		criu_say(m->job, LG_K_GO, NULL);
	answer(m, LG_M_MOVED, -1);
}

static void take(struct migrate *m, const struct lg_msg *msg)
{
	switch (msg->kind) {
	case LG_M_LAYER:
		give_layer(m);
		break;
	case LG_M_FREEZE:
		freeze(m);
		break;
	case LG_M_STOP:
		if (m->op->ct->state == STATE_RUNNING)
			stop_begin(m->op, STOP_TIMEOUT_DEFAULT);
		else
			migrate_stopped(m->op);
		break;
	case LG_M_COMMIT:
		commit(m, msg);
		break;
	case LG_M_BACK:
		back(m);
		break;
	case LG_M_MOVED:
		moved(m);
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
	} else {
		op_progress(m->op, "%s", line);
	}
}

/* It was killed, failed, or has done it all. What it left frozen runs on, unless the other host may have it. */
static void on_worker_end(int r, const struct lg_err *err, void *arg)
{
	struct migrate *m = arg;

	m->worker_ended = true;
	if (r < 0)
		m->err = *err;
	if (m->committed && !m->moved && !m->back) {
		m->op->ct->moving = true;
		if (m->job)
			criu_say(m->job, LG_K_GO, NULL);	/* its images stay */
	} else if (m->job && !m->moved && !m->back) {
		if (m->frozen)
			criu_say(m->job, LG_K_ABORT, err);
		else
			criu_abandon(m->job, err);
	}
	finish_if_over(m);
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
	const char *const argv[] = { "migrate", "--var", ct->d->root.var, "-", NULL };
	lg_autoclose int theirs = -1, in = -1;
	int pair[2], r;

	json_object_set_new(all, "ctid", json_integer(ct->ctid));
	json_object_set_new(all, "conf", json_string(conf ? conf : ""));
	json_object_set_new(all, "running", json_boolean(m->was_running));
	json_object_set_new(all, "suspended", json_boolean(ct->state == STATE_SUSPENDED));
	json_object_set_new(all, "label", json_string(instance_label(ct)));
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

static int check(const struct instance *ct, const json_t *params, struct lg_err *err)
{
	const char *host = lg_json_str(params, "host");

	if (!host || !*host || *host == '-' || strlen(host) > 200)
		return lg_refuse(err, -EINVAL, LG_EXIT_BAD_VALUE, "'%.80s' names no host",
				 host ? host : "");
	if (ct->hangs[0])
		return stop_hangs(ct, err);
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
	m->sock = m->images = -1;
	m->op = op_new(ct, "migrate", call);
	if (!m->op) {
		free(m);
		return;
	}
	m->op->arg = m;
	m->op->then = migrate_gone;
	m->was_running = ct->state == STATE_RUNNING;
	m->keep_source = lg_json_bool(params, "keep_source", false);
	snprintf(m->host, sizeof(m->host), "%s", lg_json_str(params, "host"));
	if (spawn(m, params, &err) < 0) {
		m->err = err;
		finish(m);
	}
}
