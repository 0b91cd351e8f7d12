/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * A container moves in from another host (cmd/lodge-worker/migrate.h has the whole story). lodge-worker receives its files; here
 * is what only the daemon may do.
 *
 *	ImportBegin	an empty layer, ids, addresses, pins; held by an operation. The call stays open: when its
 *			peer hangs up before ImportGo, all of it is undone
 *	ImportRestore	its processes are made out of the images, and nothing of it runs (op->hold)
 *	ImportGo	the conf file is written: from here on the container is this host's, whatever happens. It runs
 *	ImportQuery	the other host has lost the connection: is it here? If not, it never will be by this token
 *
 * VAR/moved/TOKEN is written with the conf file, so that the question can be answered also by the next daemon.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd/lodged/create.h"
#include "cmd/lodged/criu.h"
#include "cmd/lodged/import.h"
#include "lib/cleanup.h"
#include "lib/exit.h"
#include "lib/file.h"
#include "lib/json.h"
#include "lib/log.h"

#define HOLD_S 600u	/* how long the other host may take to say go */
#define TOKEN_MAX 64u

struct import {
	struct import *next;
	struct daemon *d;
	char token[TOKEN_MAX + 1];
	struct creation *creation;	/* NULL: complete */
	struct instance *ct;
	bool live, start;		/* out of images; anew */
	bool complete;
	struct lg_vcall *begin;		/* open as long as it is wanted */
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
	lg_vcall_unref(im->begin);
	lg_vcall_unref(im->waiting);
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

/* Its op is freed behind this. */
static void over(struct op *op, const struct lg_err *err)
{
	struct import *im = find_by_op(op);

	op->done = NULL;
	if (!im)
		return;
	if (err && !im->complete) {
		struct creation *c = im->creation;

		checkpoint_keep_log(im->ct);
		checkpoint_remove(im->ct);
		answer_failure(im, err);
		op->ct = NULL;	/* the instance goes with what made it */
		im->ct->op = NULL;
		import_free(im);
		creation_undo(c);
		return;
	}
	if (err)
		answer_failure(im, err);
	else
		answer(im, json_pack("{s:o}", "instance", instance_json(im->ct, false, false)));
	import_free(im);
}

/* Nobody wants it any more. */
static void call_off(struct import *im, const char *why)
{
	struct op *op = im->ct->op;
	struct lg_err err = { 0 };

	if (im->complete)
		return;
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

/* ---- ImportOffer, ImportBegin ---- */

static int read_conf(const json_t *params, struct lg_conf **ret, struct lg_err *err)
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
		r = read_conf(params, &conf, err);
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
	if (im->live && checkpoint_begin(im->ct, &images, err) < 0) {
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

/* Two with one MAC would take each other's traffic. */
static void check_mac(struct daemon *d, const struct lg_conf *conf, json_t *blockers)
{
	const char *mac = lg_conf_get(conf, "MAC");
	char other[18], text[200];

	for (size_t i = 0; mac && i < d->ncts; i++) {
		instance_mac_text(d->cts[i], other);
		if (strcasecmp(other, mac) != 0)
			continue;
		snprintf(text, sizeof(text), "its MAC %.17s is that of %s there: give one of them another (MAC in its "
			 "conf file)", mac, instance_label(d->cts[i]));
		json_array_append_new(blockers, json_string(text));
	}
}

static bool has_template(struct daemon *d, const char *name, const char *digest, json_t *blockers)
{
	struct lg_template t;
	char text[300];

	if (!name || lg_template_load(d->root.var, name, &t, NULL) < 0)
		return false;
	if (digest && strcmp(t.digest, digest) == 0)
		return true;
	snprintf(text, sizeof(text),
		 "there is another template %s on that host: remove or rename one of them", name);
	json_array_append_new(blockers, json_string(text));
	return true;
}

void api_import_offer(struct lg_vcall *call, const json_t *params, void *ctx)
{
	struct daemon *d = ctx;
	lg_autojson json_t *blockers = json_array(), *notes = json_array();
	uint32_t ctid = (uint32_t)lg_json_int(params, "ctid", 0);
	struct lg_conf *conf = NULL;
	struct lg_err err = { 0 };
	const char *name, *program;
	bool known;
	char text[200];

	if (read_conf(params, &conf, &err) < 0) {
		lg_vcall_fail(call, &err);
		return;
	}
	name = lg_conf_get(conf, "NAME");
	if (instance_by_ctid(d, ctid)) {
		snprintf(text, sizeof(text), "%u exists there already: name another number with --new-id",
			 ctid);
		json_array_append_new(blockers, json_string(text));
	}
	if (name && *name && instance_by_id(d, name)) {
		snprintf(text, sizeof(text), "the name %s is taken there", name);
		json_array_append_new(blockers, json_string(text));
	}
	if (lg_json_bool(params, "live", false) && criu_program(d, &program, &err) < 0)
		json_array_append_new(blockers, lg_varlink_text(err.msg));
	check_mac(d, conf, blockers);
	known = has_template(d, lg_conf_get(conf, "OSTEMPLATE"), lg_json_str(params, "digest"), blockers);
	lg_conf_free(conf);
	lg_vcall_reply(call, json_pack("{s:O, s:O, s:b}", "blockers", blockers, "notes", notes,
				       "need_template", !known));
}

/* ---- ImportRestore ---- */

void import_held(struct instance *ct)
{
	struct import *im = find_by_op(ct->op);

	if (!im)
		return;
	start_allow_time(ct->op, HOLD_S);
	answer(im, json_object());
}

/* The import that is named, with this call to be answered; NULL: it was answered. */
static struct import *take_call(struct lg_vcall *call, const json_t *params)
{
	struct import *im = find(lg_json_str(params, "token"));
	struct lg_err err = { 0 };

	if (!im || im->waiting || im->complete) {
		lg_refuse(&err, -ENOENT, 0, "nothing is moving in by that token");
		lg_vcall_fail(call, &err);
		return NULL;
	}
	im->waiting = lg_vcall_ref(call);
	return im;
}

void api_import_restore(struct lg_vcall *call, const json_t *params, void *ctx)
{
	struct import *im = take_call(call, params);
	struct op *op;

	(void)ctx;
	if (!im)
		return;
	op = im->ct->op;
	op->restore = true;
	op->incoming = true;
	op->hold = true;
	start_begin(op);
}

/* ---- ImportGo, ImportQuery ---- */

static int note_moved(struct import *im, struct lg_err *err)
{
	char name[TOKEN_MAX + 16], text[16];
	int n = snprintf(text, sizeof(text), "%u\n", im->ct->ctid);

	if (mkdirat(im->d->var_fd, "moved", 0700) < 0 && errno != EEXIST)
		return lg_fail(err, -errno, "make '%s/moved'", im->d->root.var);
	snprintf(name, sizeof(name), "moved/%s", im->token);
	return lg_file_replace(im->d->var_fd, name, text, (size_t)n, 0600, err);
}

static int complete(struct import *im, struct lg_err *err)
{
	lg_autoclose int images = -1;
	int r = 0;

	if (im->live)
		r = checkpoint_open(im->ct, &images, NULL, err);
	if (r == 0 && im->live)
		r = checkpoint_complete(im->ct, images, false, err);
	if (r == 0)
		r = note_moved(im, err);
	if (r == 0)
		r = creation_complete(im->creation, err);
	if (r < 0)
		return r;
	creation_free(im->creation);
	im->creation = NULL;
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
	snprintf(name, sizeof(name), "moved/%s", token);
	here = faccessat(d->var_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
	if (im && !im->complete)
		call_off(im, "the other host has it");
	lg_vcall_reply(call, json_pack("{s:b}", "here", here));
}
