/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * A container moves in from another host (cmd/lodge-worker/migrate.h has the whole story). lodge-worker receives its files; here
 * is what only the daemon may do.
 *
 *	ImportBegin	an empty layer, ids, addresses, pins; held by an operation. The call stays open: when its
 *			peer hangs up before ImportGo, all of it is undone
 *	ImportIncoming	of a VM: its machine is made, and reads its state from a descriptor while that comes
 *	ImportRestore	its processes are made out of the images, and nothing of it runs (op->hold)
 *	ImportGo	the conf file is written: from here on the container is this host's, whatever happens. It runs
 *	ImportQuery	the other host has lost the connection: is it here? If not, it never will be by this token
 *	ImportForget	it has taken it away there, and will not ask
 *
 * VAR/moved/TOKEN is written before the conf file, so that the question can be answered also by the next daemon: its number, and
 * what is yet to be done: "start" it, "keep" it as it is, or nothing ("done"). Without the conf file it means nothing. A container
 * that cannot be started after ImportGo is taken back as a whole before that is answered: it runs on where it was.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd/lodged/account.h"
#include "cmd/lodged/create.h"
#include "cmd/lodged/criu.h"
#include "cmd/lodged/import.h"
#include "cmd/lodged/vm.h"
#include "lib/cleanup.h"
#include "lib/exit.h"
#include "lib/file.h"
#include "lib/json.h"
#include "lib/kind.h"
#include "lib/log.h"

#define HOLD_S 600u	/* how long the other host may take to say go */
#define TOKEN_MAX 64u
#define GO_ON_US 200000u	/* after this daemon's start: what was found dead is swept */

struct import {
	struct import *next;
	struct daemon *d;
	char token[TOKEN_MAX + 1];
	struct creation *creation;
	struct instance *ct;
	bool live, start;		/* out of images; anew */
	bool streams, held;		/* of a VM: its state comes by a descriptor; all of it is read */
	bool described;			/* its images are, for the case that it ends behind ImportGo */
	bool complete;
	bool called_off;		/* it is being undone, and nothing of it counts */
	struct lg_vcall *begin;		/* open as long as it is wanted */
	struct lg_vcall *query;		/* asked before it was certain */
	struct lg_vcall *waiting;	/* ImportRestore or ImportGo, to be answered */
};

static struct import *imports;

static struct import *find(const char *token)
{
	for (struct import *im = imports; im; im = im->next)
		if (token && strcmp(im->token, token) == 0)
			return im;
	return NULL;
}

static struct import *find_by_op(const struct op *op)
{
	for (struct import *im = imports; im; im = im->next)
		if (im->ct == op->ct)
			return im;
	return NULL;
}

static void import_free(struct import *im)
{
	struct import **p = &imports;

	while (*p != im)
		p = &(*p)->next;
	*p = im->next;
	if (im->begin)
		lg_vcall_on_gone(im->begin, NULL, NULL);
	lg_vcall_unref(im->begin);
	lg_vcall_unref(im->waiting);
	lg_vcall_unref(im->query);
	free(im);
}

static void answer(struct import *im, json_t *params)
{
	if (im->waiting)
		lg_vcall_reply(im->waiting, params);
	else
		json_decref(params);
	lg_vcall_unref(im->waiting);
	im->waiting = NULL;
}

static void answer_failure(struct import *im, const struct lg_err *err)
{
	if (im->waiting)
		lg_vcall_fail(im->waiting, err);
	lg_vcall_unref(im->waiting);
	im->waiting = NULL;
}

/* ---- the end of one, good or bad ---- */

static void token_path(const char *token, char buf[TOKEN_MAX + 16])
{
	snprintf(buf, TOKEN_MAX + 16, "moved/%.64s", token);
}

static int write_token(struct daemon *d, const char *token, uint32_t ctid, const char *word, struct lg_err *err)
{
	char name[TOKEN_MAX + 16], text[32];
	int n = snprintf(text, sizeof(text), "%u %s\n", ctid, word);

	if (mkdirat(d->var_fd, "moved", 0700) < 0 && errno != EEXIST)
		return lg_fail(err, -errno, "make '%s/moved'", d->root.var);
	token_path(token, name);
	return lg_file_replace(d->var_fd, name, text, (size_t)n, 0600, err);
}

static void remove_token(struct daemon *d, const char *token)
{
	char name[TOKEN_MAX + 16];
	lg_autoclose int dir = lg_open_dir(d->var_fd, "moved", NULL);

	token_path(token, name);
	unlinkat(d->var_fd, name, 0);
	if (dir >= 0)
		fsync(dir);
}

static void answer_query(struct import *im, bool here)
{
	if (im->query)
		lg_vcall_reply(im->query, json_pack("{s:b}", "here", here));
	lg_vcall_unref(im->query);
	im->query = NULL;
}

/* Before anybody is told: first that it is not here, and then all that there is. */
static void undo(struct op *op, struct import *im, const struct lg_err *err)
{
	struct creation *c = im->creation;

	remove_token(im->d, im->token);
	if (im->complete)
		instance_link_name(im->ct, im->ct->name, NULL);
	checkpoint_keep_log(im->ct);
	checkpoint_remove(im->ct);
	account_remove(im->ct);
	destroy_console_logs(im->d, im->ct->ctid);
	op->ct = NULL;	/* the instance goes with what made it */
	im->ct->op = NULL;
	creation_undo(c);
	answer_query(im, false);
	answer_failure(im, err);
	/* Of a machine that does not take its state nobody is waiting to hear yet. */
	if (im->begin && im->streams)
		lg_vcall_fail(im->begin, err);
	import_free(im);
}

/* Its op is freed behind this. */
static void over(struct op *op, const struct lg_err *err)
{
	struct import *im = find_by_op(op);
	uint64_t since_us = now_us();
	struct lg_err ignored = { 0 };

	op->done = NULL;
	if (!im)
		return;
	if (err) {
		undo(op, im, err);
		return;
	}
	if (write_token(im->d, im->token, im->ct->ctid, "done", &ignored) < 0)
		lg_log(LG_LOG_WARN, "%s: %s", instance_label(im->ct), ignored.msg);
	creation_free(im->creation);
	answer_query(im, true);
	answer(im, json_pack("{s:o, s:I}", "instance", instance_json(im->ct, false, false), "ago_us",
			     (json_int_t)(now_us() - since_us)));
	import_free(im);
}

/* Nobody wants it any more. */
static void call_off(struct import *im, const char *why)
{
	struct op *op = im->ct->op;
	struct lg_err err = { 0 };

	if (im->complete || im->called_off || start_has_failed(op))
		return;
	im->called_off = true;
	lg_refuse(&err, -ECANCELED, LG_EXIT_CANCELLED, "the move of %s to this host was called off: %s",
		  instance_label(im->ct), why);
	if (op->restore) {
		/* As a start that fails: what was made is undone, and over() is called at the end of it. */
		op->err = err;
		op->hold = false;
		start_event(op);
	} else {
		op_fail(op, &err);
	}
}

static void peer_gone(struct lg_vcall *call, void *arg)
{
	(void)call;
	call_off(arg, "the connection to the other host ended");
}

/* ---- ImportBegin ---- */

int import_read_conf(const json_t *params, struct lg_conf **ret, struct lg_err *err)
{
	const char *text = lg_json_str(params, "conf");
	int r = lg_conf_parse(text, strlen(text), ret, err);

	if (r < 0)
		return r;
	/* The ids are of that host. Here it gets its own. */
	lg_conf_set(*ret, "LOCAL_UID", NULL, NULL);
	lg_conf_set(*ret, "LOCAL_GID", NULL, NULL);
	return 0;
}

static bool token_is_sound(const char *token)
{
	size_t n = token ? strlen(token) : 0;

	return n >= 16 && n <= TOKEN_MAX && strspn(token, "0123456789abcdef") == n;
}

static struct import *begin(struct daemon *d, struct lg_vcall *call, const json_t *params,
			    struct lg_err *err)
{
	struct import *im = calloc(1, sizeof(*im));
	const char *token = lg_json_str(params, "token");
	struct lg_conf *conf = NULL;
	int r, images = -1;

	if (!im) {
		lg_fail(err, -ENOMEM, "take in a container");
		return NULL;
	}
	r = token_is_sound(token) && !find(token) ? 0 : lg_refuse(err, -EINVAL, 0, "a bad token");
	if (r == 0)
		r = import_read_conf(params, &conf, err);
	if (r == 0)
		r = creation_import(d, (uint32_t)lg_json_int(params, "ctid", 0), conf, call, params,
				    &im->creation, err);
	if (r != 0) {
		free(im);
		return NULL;
	}
	im->d = d;
	im->ct = creation_instance(im->creation);
	im->live = lg_json_bool(params, "live", false);
	im->start = lg_json_bool(params, "start", false);
	snprintf(im->token, sizeof(im->token), "%s", token);
	if (im->ct->vm && im->live) {
		vm_run_take(im->ct, json_object_get(params, "vm"));
		r = vm_files_locate(im->ct, err);
	}
	if (r < 0 || (im->live && checkpoint_begin(im->ct, &images, err) < 0)) {
		creation_undo(im->creation);
		free(im);
		return NULL;
	}
	lg_close(images);
	im->next = imports;
	imports = im;
	return im;
}

void api_import_begin(struct lg_vcall *call, const json_t *params, void *ctx)
{
	struct lg_err err = { 0 };
	struct import *im = begin(ctx, call, params, &err);
	struct op *op;

	if (!im) {
		if (err.code)
			lg_vcall_fail(call, &err);
		return;		/* or the call comes again */
	}
	op = op_new(im->ct, "import", NULL);
	if (!op)
		return;
	op->done = over;
	im->begin = lg_vcall_ref(call);
	lg_vcall_on_gone(call, peer_gone, im);
	lg_vcall_notify(call, json_pack("{s:i}", "ctid", (int)im->ct->ctid));
}

/* ---- ImportRestore ---- */

void import_held(struct instance *ct)
{
	struct import *im = find_by_op(ct->op);

	if (!im)
		return;
	start_allow_time(ct->op, HOLD_S);
	im->held = true;
	answer(im, json_object());
}

void api_import_incoming(struct lg_vcall *call, const json_t *params, void *ctx)
{
	struct import *im = find(lg_json_str(params, "token"));
	int fd = lg_vcall_take_fd(call, 0);
	struct lg_err err = { 0 };
	struct op *op;

	(void)ctx;
	if (!im || im->waiting || im->complete || im->called_off || im->streams || !im->live || !im->ct->vm || fd < 0) {
		lg_close(fd);
		lg_refuse(&err, -ENOENT, 0, "no VM is moving in by that token");
		lg_vcall_fail(call, &err);
		return;
	}
	im->streams = true;
	op = im->ct->op;
	op->restore = op->incoming = op->hold = true;
	op->state_fd = fd;
	/* First: where it cannot start all of it is undone. */
	lg_vcall_reply(call, json_object());
	start_begin(op);
}

/* The import that is named, with this call to be answered; NULL: it was answered. */
static struct import *take_call(struct lg_vcall *call, const json_t *params)
{
	struct import *im = find(lg_json_str(params, "token"));
	struct lg_err err = { 0 };

	if (!im || im->waiting || im->complete || im->called_off) {
		lg_refuse(&err, -ENOENT, 0, "nothing is moving in by that token");
		lg_vcall_fail(call, &err);
		return NULL;
	}
	im->waiting = lg_vcall_ref(call);
	return im;
}

static int describe(struct import *im, struct lg_err *err)
{
	lg_autoclose int images = -1;
	int r = checkpoint_open(im->ct, &images, NULL, err);

	if (r == 0)
		r = checkpoint_complete(im->ct, images, false, err);
	im->described = r == 0;
	return r;
}

/* What the disk takes for it passes while others make the processes. Without its conf file it counts for nothing yet. */
static void describe_meanwhile(const char *token)
{
	struct import *im = find(token);
	struct lg_err err = { 0 };

	if (im && !im->called_off && describe(im, &err) < 0)
		lg_log(LG_LOG_WARN, "%s: %s", instance_label(im->ct), err.msg);	/* once more at ImportGo */
}

void api_import_restore(struct lg_vcall *call, const json_t *params, void *ctx)
{
	struct import *im = take_call(call, params);
	struct op *op;

	(void)ctx;
	if (!im)
		return;
	if (im->streams) {
		if (im->held)
			answer(im, json_object());
		return;
	}
	op = im->ct->op;
	op->restore = true;
	op->incoming = true;
	op->hold = true;
	start_begin(op);
	describe_meanwhile(lg_json_str(params, "token"));
}

/* ---- ImportGo, ImportQuery ---- */

static int complete(struct import *im, struct lg_err *err)
{
	int r = im->live && !im->described ? describe(im, err) : 0;

	if (r == 0)
		r = write_token(im->d, im->token, im->ct->ctid,
				im->ct->op->restore || im->start ? "start" : "keep", err);
	if (r == 0)
		r = creation_complete(im->creation, err);
	if (r < 0)
		return r;
	im->complete = true;
	instance_link_name(im->ct, NULL, im->ct->name);
	emit_event(im->d, "moved-in", im->ct, NULL);
	return 0;
}

void api_import_go(struct lg_vcall *call, const json_t *params, void *ctx)
{
	struct import *im = take_call(call, params);
	struct lg_err err = { 0 };
	struct op *op;

	(void)ctx;
	if (!im)
		return;
	op = im->ct->op;
	if (op->restore && start_has_failed(op))
		return;		/* the call is answered when all of it is undone */
	if (im->streams && !im->held) {
		lg_refuse(&err, -EBUSY, 0, "its state has not been read yet");
		answer_failure(im, &err);
		return;
	}
	if (complete(im, &err) < 0) {
		answer_failure(im, &err);
		call_off(im, err.msg);
		return;
	}
	if (op->restore) {
		op->hold = false;
		start_event(op);
	} else if (im->start) {
		start_begin(op);
	} else {
		im->ct->state = instance_rest(im->ct);
		op_end(op, NULL);
	}
}

void api_import_query(struct lg_vcall *call, const json_t *params, void *ctx)
{
	struct daemon *d = ctx;
	const char *token = lg_json_str(params, "token");
	struct import *im = find(token);
	struct lg_err err = { 0 };
	char name[TOKEN_MAX + 16];
	bool here;

	if (!token_is_sound(token)) {
		lg_refuse(&err, -EINVAL, 0, "a bad token");
		lg_vcall_fail(call, &err);
		return;
	}
	if (im && im->complete) {
		/* Its start may yet fail, and then it is taken back. */
		lg_vcall_unref(im->query);
		im->query = lg_vcall_ref(call);
		return;
	}
	token_path(token, name);
	here = !im && faccessat(d->var_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
	if (im)
		call_off(im, "the other host has it");
	lg_vcall_reply(call, json_pack("{s:b}", "here", here));
}

void api_import_forget(struct lg_vcall *call, const json_t *params, void *ctx)
{
	const char *token = lg_json_str(params, "token");
	struct lg_err err = { 0 };

	if (!token_is_sound(token) || find(token)) {
		lg_refuse(&err, -EINVAL, 0, "a bad token");
		lg_vcall_fail(call, &err);
		return;
	}
	remove_token(ctx, token);
	lg_vcall_reply(call, json_object());
}

/* ---- what an earlier daemon left ---- */

struct arrival {
	char token[TOKEN_MAX + 1];
};

static void arrived(struct op *op, const struct lg_err *err)
{
	struct arrival *a = op->arg;
	struct lg_err ignored = { 0 };

	if (err)
		lg_log(LG_LOG_ERR, "%s moved in, and does not run: %s", instance_label(op->ct), err->msg);
	else
		write_token(op->ct->d, a->token, op->ct->ctid, "done", &ignored);
	op->arg = NULL;
	free(a);
}

static void start_arrival(struct instance *ct, const char *token)
{
	struct arrival *a = calloc(1, sizeof(*a));
	bool images = checkpoint_is_there(ct);
	struct op *op = a ? op_new(ct, images ? "resume" : "start", NULL) : NULL;

	if (!op) {
		free(a);
		return;
	}
	snprintf(a->token, sizeof(a->token), "%.64s", token);
	op->arg = a;
	op->done = arrived;
	op->restore = images;
	start_begin(op);
}

/* With the conf file it is this host's since then; without it never was. */
static void recover_token(struct daemon *d, const char *token, bool start)
{
	lg_autofree char *text = NULL;
	char name[TOKEN_MAX + 16], word[8] = "";
	unsigned int ctid = 0;
	struct instance *ct;

	token_path(token, name);
	if (lg_file_read(d->var_fd, name, 64, &text, NULL, NULL) < 0 ||
	    sscanf(text, "%u %7s", &ctid, word) != 2 || strcmp(word, "done") == 0)
		return;
	ct = instance_by_ctid(d, ctid);
	if (!ct)
		remove_token(d, token);
	else if (start && strcmp(word, "start") == 0 && ct->state != STATE_RUNNING)
		start_arrival(ct, token);
	else if (start)
		write_token(d, token, ctid, "done", NULL);
}

static void each_token(struct daemon *d, bool start)
{
	lg_autodir DIR *dir = NULL;
	struct dirent *e;
	int fd = openat(d->var_fd, "moved", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || !(dir = fdopendir(fd))) {
		lg_close(fd);
		return;
	}
	while ((e = readdir(dir)))
		if (token_is_sound(e->d_name))
			recover_token(d, e->d_name, start);
}

void import_recover(struct daemon *d)
{
	each_token(d, false);
}

static int start_arrivals(sd_event_source *s, uint64_t usec, void *arg)
{
	sd_event_source_disable_unref(s);
	(void)usec;
	each_token(arg, true);
	return 0;
}

void import_go_on(struct daemon *d)
{
	sd_event_source *s = NULL;

	sd_event_add_time_relative(d->event, &s, CLOCK_MONOTONIC, GO_ON_US, 0, start_arrivals, d);
}
