/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What is not certain about a move: moving.h says what is written down. */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd/lodged/criu.h"
#include "cmd/lodged/migrate.h"
#include "cmd/lodged/moving.h"
#include "lib/cleanup.h"
#include "lib/exit.h"
#include "lib/file.h"
#include "lib/json.h"
#include "lib/log.h"
#include "lib/parse.h"

#define FOLDER "moving"
#define ASK_AGAIN_US 5000000u
#define ASK_AGAIN_MAX_US 60000000u

static void name_of(uint32_t ctid, char buf[40])
{
	snprintf(buf, 40, FOLDER "/%u.json", ctid);
}

/* ---- the note ---- */

int moving_write(const struct instance *ct, const json_t *note, struct lg_err *err)
{
	char name[40];

	name_of(ct->ctid, name);
	if (mkdirat(ct->d->var_fd, FOLDER, 0700) < 0 && errno != EEXIST)
		return lg_fail(err, -errno, "make '%s/" FOLDER "'", ct->d->root.var);
	return lg_json_save(ct->d->var_fd, name, note, true, err);
}

static void settled(struct instance *ct)
{
	json_decref(ct->unsettled);
	ct->unsettled = NULL;
	ct->ask_timer = sd_event_source_disable_unref(ct->ask_timer);
	ct->ask_us = 0;
}

void moving_forget(struct instance *ct)
{
	char name[40];

	settled(ct);
	name_of(ct->ctid, name);
	unlinkat(ct->d->var_fd, name, 0);
}

int moving_check(const struct instance *ct, struct lg_err *err)
{
	if (!ct->unsettled)
		return 0;
	return lg_refuse(err, -EBUSY, LG_EXIT_LOCKED,
			 "%s was moving to %.150s, which has not said yet whether it has it: two of it would run. It "
			 "is asked again and again; if it is not there, use --force", instance_label(ct),
			 lg_json_str(ct->unsettled, "host"));
}

void moving_override(struct instance *ct)
{
	if (!ct->unsettled || ct->op)
		return;
	lg_log(LG_LOG_WARN, "%s: by force it is taken to be here, and not on %s", instance_label(ct),
	       lg_json_str(ct->unsettled, "host"));
	moving_forget(ct);
}

/* ---- a question to the other host ---- */

struct question {
	moving_fn fn;
	worker_line_fn line;
	void *arg;
	int there;
};

/* "R {...}" is the answer. */
static void on_line(const char *line, void *arg)
{
	struct question *q = arg;

	if (strncmp(line, "R ", 2) == 0) {
		lg_autojson json_t *answer = json_loads(line + 2, 0, NULL);

		q->there = lg_json_bool(answer, "here", false);
	} else if (q->line) {
		q->line(line, q->arg);
	}
}

static void on_end(int r, const struct lg_err *err, void *arg)
{
	struct question *q = arg;

	if (q->fn)
		q->fn(r < 0 ? r : q->there, err, q->arg);
	free(q);
}

static int run_worker(struct daemon *d, const json_t *note, const char *op, unsigned int patience_s,
		      struct question *q, struct lg_err *err)
{
	lg_autojson json_t *request = json_copy((json_t *)(uintptr_t)note);	/* borrowed values */
	const char *const argv[] = { "ask-move", "--var", d->root.var, "-", NULL };
	lg_autofree char *text = NULL;
	lg_autoclose int in = -1;

	json_object_set_new(request, "op", json_string(op));
	json_object_set_new(request, "patience_s", json_integer(patience_s));
	text = json_dumps(request, JSON_COMPACT);
	if (!text)
		return lg_fail(err, -ENOMEM, "ask the other host");
	in = memfd_create("lodge-move", MFD_CLOEXEC);
	if (in < 0 || write(in, text, strlen(text)) != (ssize_t)strlen(text) || lseek(in, 0, SEEK_SET) < 0)
		return lg_fail(err, -errno, "ask the other host");
	return worker_run_on(d, argv, in, on_line, on_end, q, err);
}

static int ask(struct daemon *d, const json_t *note, const char *op, unsigned int patience_s,
	       const struct question *what, struct lg_err *err)
{
	struct question *q = malloc(sizeof(*q));
	int r;

	if (!q)
		return lg_fail(err, -ENOMEM, "ask the other host");
	*q = *what;
	r = run_worker(d, note, op, patience_s, q, err);
	if (r < 0)
		free(q);
	return r;
}

int moving_ask(struct daemon *d, const json_t *note, unsigned int patience_s, worker_line_fn line,
	       moving_fn fn, void *arg, struct lg_err *err)
{
	const struct question q = { .fn = fn, .line = line, .arg = arg };

	return ask(d, note, "query", patience_s, &q, err);
}

void moving_tell(struct daemon *d, const json_t *note)
{
	const struct question q = { .fn = NULL };
	struct lg_err err = { 0 };

	if (ask(d, note, "forget", 0, &q, &err) < 0)
		lg_log(LG_LOG_WARN, "%s", err.msg);
}

/* ---- it runs again ---- */

struct homecoming {
	struct lg_vcall *call;
	struct lg_err why;
};

static void came_home(struct op *op, const struct lg_err *err)
{
	struct homecoming *h = op->arg;
	struct lg_err all = h->why;

	if (err)
		lg_refuse(&all, h->why.code, h->why.exit_code, "%.200s; and it does not run here again: %.200s",
			  h->why.msg, err->msg);
	if (h->call) {
		lg_vcall_fail(h->call, &all);
		lg_vcall_unref(h->call);
	}
	op->arg = NULL;
	free(h);
}

void moving_come_back(struct instance *ct, struct lg_vcall *call, const struct lg_err *why)
{
	bool images = checkpoint_is_there(ct);
	struct homecoming *h = calloc(1, sizeof(*h));
	struct op *op = h ? op_new(ct, images ? "resume" : "start", NULL) : NULL;

	if (!op) {
		free(h);
		if (call)
			lg_vcall_fail(call, why);
		return;
	}
	*h = (struct homecoming){ .call = call ? lg_vcall_ref(call) : NULL, .why = *why };
	op->arg = h;
	op->done = came_home;
	op->restore = images;
	start_begin(op);
}

/* ---- unsettled ---- */

struct doubt {
	struct daemon *d;
	uint32_t ctid;
	char token[80];
};

static void ask_later(struct instance *ct);

static void went(struct instance *ct)
{
	lg_autojson json_t *note = json_incref(ct->unsettled);
	struct lg_err err = { 0 };
	struct op *op;

	lg_log(LG_LOG_INFO, "%s is on %s", instance_label(ct), lg_json_str(note, "host"));
	json_object_set_new(note, "moved", json_true());
	if (moving_write(ct, note, &err) < 0) {
		lg_log(LG_LOG_WARN, "%s: %s", instance_label(ct), err.msg);
		ask_later(ct);
		return;
	}
	moving_tell(ct->d, note);
	settled(ct);
	op = op_new(ct, "migrate", NULL);
	if (op)
		migrate_leave(op, note);
}

static void stayed(struct instance *ct)
{
	bool was_running = lg_json_bool(ct->unsettled, "was_running", false);
	struct lg_err why = { 0 };

	lg_log(LG_LOG_INFO, "%s is not on %s: it goes on here", instance_label(ct),
	       lg_json_str(ct->unsettled, "host"));
	moving_forget(ct);
	migrate_be_heard(ct);
	if (was_running && ct->state != STATE_RUNNING)
		moving_come_back(ct, NULL, &why);
}

static void on_answer(int there, const struct lg_err *why, void *arg)
{
	struct doubt *doubt = arg;
	struct instance *ct = instance_by_ctid(doubt->d, doubt->ctid);
	const char *token = ct ? lg_json_str(ct->unsettled, "token") : NULL;
	bool meant = token && strcmp(token, doubt->token) == 0;

	free(doubt);
	if (!meant)
		return;
	if (there < 0)
		lg_log(LG_LOG_WARN, "%s may have moved to %s, which does not say: %s", instance_label(ct),
		       lg_json_str(ct->unsettled, "host"), why->msg);
	if (there < 0 || ct->op || ct->sweep)
		ask_later(ct);
	else if (there)
		went(ct);
	else
		stayed(ct);
}

static int ask_now(sd_event_source *s, uint64_t usec, void *arg)
{
	struct instance *ct = arg;
	struct doubt *doubt = malloc(sizeof(*doubt));
	struct lg_err err = { 0 };

	(void)s;
	(void)usec;
	ct->ask_timer = sd_event_source_disable_unref(ct->ask_timer);
	if (doubt) {
		*doubt = (struct doubt){ .d = ct->d, .ctid = ct->ctid };
		snprintf(doubt->token, sizeof(doubt->token), "%s", lg_json_str(ct->unsettled, "token"));
	}
	if (doubt && moving_ask(ct->d, ct->unsettled, 0, NULL, on_answer, doubt, &err) == 0)
		return 0;
	free(doubt);
	lg_log(LG_LOG_WARN, "%s: %s", instance_label(ct), err.msg);
	ask_later(ct);
	return 0;
}

static void ask_later(struct instance *ct)
{
	if (!ct->unsettled || ct->ask_timer)
		return;
	sd_event_add_time_relative(ct->d->event, &ct->ask_timer, CLOCK_MONOTONIC, ct->ask_us, 0, ask_now, ct);
	ct->ask_us = ct->ask_us ? ct->ask_us * 2 : ASK_AGAIN_US;
	if (ct->ask_us > ASK_AGAIN_MAX_US)
		ct->ask_us = ASK_AGAIN_MAX_US;
}

void moving_unsettled(struct instance *ct, const json_t *note)
{
	settled(ct);
	ct->unsettled = json_deep_copy(note);
	ask_later(ct);
}

/* ---- recovery ---- */

static void recover_noted(struct instance *ct, const json_t *note)
{
	struct lg_err why = { 0 };
	struct op *op;

	if (lg_json_bool(note, "moved", false)) {
		moving_tell(ct->d, note);
		op = op_new(ct, "migrate", NULL);
		if (op)
			migrate_leave(op, note);
	} else if (lg_json_str(note, "token") && lg_json_str(note, "host")) {
		moving_unsettled(ct, note);
	} else {
		/* It was shut down, or was about to be, and that was all. */
		moving_forget(ct);
		if (ct->state != STATE_RUNNING && lg_json_bool(note, "was_running", false))
			moving_come_back(ct, NULL, &why);
	}
}

/* When the loop runs, and what was found dead is swept. */
static int recover_one(sd_event_source *s, uint64_t usec, void *arg)
{
	struct instance *ct = arg;
	lg_autojson json_t *note = NULL;
	struct lg_err err = { 0 };
	char name[40];

	(void)s;
	(void)usec;
	ct->ask_timer = sd_event_source_disable_unref(ct->ask_timer);
	if (ct->sweep || ct->op) {
		sd_event_add_time_relative(ct->d->event, &ct->ask_timer, CLOCK_MONOTONIC, 20000, 0,
					   recover_one, ct);
		return 0;
	}
	if (ct->state != STATE_RUNNING)
		ct->state = instance_rest(ct);
	json_decref(ct->unsettled);
	ct->unsettled = NULL;
	name_of(ct->ctid, name);
	if (lg_json_load(ct->d->var_fd, name, &note, &err) == 0)
		recover_noted(ct, note);
	else
		lg_log(LG_LOG_ERR, "%s: %s", instance_label(ct), err.msg);
	return 0;
}

static void recover_file(struct daemon *d, const char *file)
{
	uint32_t ctid = (uint32_t)strtoul(file, NULL, 10);
	struct instance *ct = instance_by_ctid(d, ctid);
	char name[40];

	if (ct) {
		/* Until it is read nothing starts it. */
		name_of(ctid, name);
		lg_json_load(d->var_fd, name, &ct->unsettled, NULL);
		if (!lg_json_str(ct->unsettled, "host"))
			settled(ct);
		sd_event_add_time_relative(d->event, &ct->ask_timer, CLOCK_MONOTONIC, 0, 0, recover_one, ct);
		return;
	}
	name_of(ctid, name);
	unlinkat(d->var_fd, name, 0);
}

void moving_recover(struct daemon *d)
{
	lg_autodir DIR *dir = NULL;
	struct dirent *e;
	int fd = openat(d->var_fd, FOLDER, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || !(dir = fdopendir(fd))) {
		lg_close(fd);
		return;
	}
	while ((e = readdir(dir)))
		if (e->d_name[0] != '.')
			recover_file(d, e->d_name);
}
