/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/lodged/checkpoint_check.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/lodged/vm.h"
#include "ct/blockers.h"
#include "lib/cleanup.h"
#include "lib/exit.h"
#include "lib/json.h"

#define BLOCKERS_MAX 2000u	/* of one answer */
#define WHO_MAX 160
#define LOSSES_TOLD 3u		/* in one line */
#define LOSSES_MAX 440u		/* bytes of them */

struct check {
	struct checkpoint_report report;
	checkpoint_checked_fn done;
	void *arg;
};

/* ---- what the worker says ---- */

static void put_text(json_t *obj, const char *key, const char *text)
{
	if (text && *text)
		json_object_set_new(obj, key, lg_varlink_text(text));
}

static void put_pid(json_t *obj, const char *key, int pid)
{
	if (pid > 0)
		json_object_set_new(obj, key, json_integer(pid));
}

/* "KIND PID INSIDE COUNT\tPROCESS\tUNIT\tWHAT" */
static void take_blocker(struct check *c, char *text)
{
	char *head = strsep(&text, "\t"), *process = strsep(&text, "\t");
	char *unit = strsep(&text, "\t"), kind[40];
	const struct lg_blocker_row *row;
	unsigned int count;
	int pid, inside;
	json_t *list, *obj;

	if (sscanf(head, "%39s %d %d %u", kind, &pid, &inside, &count) != 4 ||
	    lg_blocker_by_name(kind) == LG_BLOCKER_COUNT_)
		return;
	row = &lg_blocker_rows[lg_blocker_by_name(kind)];
	list = row->weight == LG_BLOCKER_STOPS ? c->report.blockers : c->report.notes;
	if (json_array_size(list) >= BLOCKERS_MAX)
		return;
	obj = json_pack("{s:s, s:i, s:s, s:s}", "kind", kind, "count", (int)count, "reason",
			row->reason, "remedy", row->remedy);
	put_pid(obj, "pid", pid);
	put_pid(obj, "inside_pid", inside);
	put_text(obj, "process", process);
	put_text(obj, "unit", unit);
	put_text(obj, "what", text);
	if (row->weight == LG_BLOCKER_LOST)
		json_object_set_new(obj, "lost", json_true());
	json_array_append_new(list, obj);
}

static void take_line(const char *line, void *arg)
{
	struct check *c = arg;
	lg_autofree char *text = strdup(line);

	if (text && strncmp(text, "blocker ", 8) == 0)
		take_blocker(c, text + 8);
	else if (text)
		sscanf(text, "processes %u", &c->report.processes);
}

static void check_free(struct check *c)
{
	json_decref(c->report.blockers);
	json_decref(c->report.notes);
	free(c);
}

static void check_over(int r, const struct lg_err *err, void *arg)
{
	struct check *c = arg;

	c->done(r, err, &c->report, c->arg);
	check_free(c);
}

/* ---- for whoever asks ---- */

int checkpoint_check(struct instance *ct, checkpoint_checked_fn done, void *arg, struct lg_err *err)
{
	char name[16], init[16];
	const char *const argv[] = { "checkpoint-check", "--var", ct->d->root.var, init, NULL };
	lg_autoclose int cgroup = -1;
	struct check *c;
	int r;

	snprintf(name, sizeof(name), "%u", ct->ctid);
	snprintf(init, sizeof(init), "%d", (int)ct->init_pid);
	cgroup = lg_cg_open(ct->d->cg, name, false, err);
	if (cgroup < 0)
		return cgroup;
	c = calloc(1, sizeof(*c));
	if (!c)
		return lg_fail(err, -ENOMEM, "look for what cannot be checkpointed");
	c->report.blockers = json_array();
	c->report.notes = json_array();
	c->done = done;
	c->arg = arg;
	r = worker_run_on(ct->d, argv, cgroup, take_line, check_over, c, err);
	if (r < 0)
		check_free(c);
	return r;
}

/* "process 87 (nginx of nginx.service): "; of the container as a whole nothing. */
static const char *who_of(const json_t *b, char buf[WHO_MAX])
{
	const char *process = lg_json_str(b, "process"), *unit = lg_json_str(b, "unit");

	*buf = '\0';
	if (process)
		snprintf(buf, WHO_MAX, "process %d (%s%s%s): ", (int)lg_json_int(b, "inside_pid", 0), process,
			 unit ? " of " : "", unit ? unit : "");
	return buf;
}

int checkpoint_refuse(const struct instance *ct, const struct checkpoint_report *report,
		      struct lg_err *err)
{
	size_t more = json_array_size(report->blockers) - 1;
	const json_t *b = json_array_get(report->blockers, 0);
	char who[WHO_MAX], others[40] = "";

	if (more > 0)
		snprintf(others, sizeof(others), " (%zu more)", more);
	return lg_refuse(err, -EBUSY, LG_EXIT_CHKPNT, "%s%s: %s; `lodge checkpoint --check %u` shows all%s",
			 who_of(b, who), lg_json_str(b, "reason"), lg_json_str(b, "remedy"), ct->ctid, others);
}

static void add_loss(char text[LOSSES_MAX], const json_t *note)
{
	size_t len = strlen(text);
	char who[WHO_MAX];

	snprintf(text + len, LOSSES_MAX - len, "%s%s%s", len ? "; " : "", who_of(note, who), lg_json_str(note, "reason"));
}

/* A process that has many of a kind is one thing. */
json_t *checkpoint_losses(const struct instance *ct, const struct checkpoint_report *report)
{
	char text[LOSSES_MAX] = "", more[40] = "";
	size_t n = 0, i;
	json_t *note;

	json_array_foreach(report->notes, i, note)
		if (lg_json_bool(note, "lost", false) && n++ < LOSSES_TOLD)
			add_loss(text, note);
	if (n > LOSSES_TOLD)
		snprintf(more, sizeof(more), "; and %zu more", n - LOSSES_TOLD);
	return n == 0 ? NULL : json_sprintf("%zu thing%s will not come back: %s%s (`lodge checkpoint --check %u` "
					    "names them while it runs)", n, n == 1 ? "" : "s", text, more, ct->ctid);
}

/* ---- the API ---- */

struct asked {
	struct daemon *d;
	struct lg_vcall *call;
	uint32_t ctid;
};

static void answer(int r, const struct lg_err *err, const struct checkpoint_report *report,
		   void *arg)
{
	struct asked *a = arg;
	const struct instance *ct = instance_by_ctid(a->d, a->ctid);
	json_t *obj;

	if (r < 0) {
		lg_vcall_fail(a->call, err);
	} else {
		obj = json_pack("{s:I, s:b, s:i, s:O, s:O}", "ctid", (json_int_t)a->ctid,
				"possible", json_array_size(report->blockers) == 0, "processes",
				(int)report->processes, "blockers", report->blockers, "notes",
				report->notes);
		if (ct && ct->name[0])
			json_object_set_new(obj, "name", lg_varlink_text(ct->name));
		lg_vcall_reply(a->call, obj);
	}
	lg_vcall_unref(a->call);
	free(a);
}

/* Nobody looks into a machine, and nothing in it can be in the way. */
static void answer_vm(struct lg_vcall *call, const struct instance *ct)
{
	json_t *note = json_pack("{s:s, s:i, s:s, s:s}", "kind", "vm", "count", 1, "reason",
				 "it is a VM, which is written as a whole: memory, processors and devices", "remedy",
				 "what ran inside goes on; connections last as long as the other side waits");
	json_t *obj = json_pack("{s:I, s:b, s:i, s:[], s:[o]}", "ctid", (json_int_t)ct->ctid, "possible", 1, "processes", 1, "blockers",
				"notes", note);

	if (ct->name[0])
		json_object_set_new(obj, "name", lg_varlink_text(ct->name));
	lg_vcall_reply(call, obj);
}

void api_checkpoint_check(struct lg_vcall *call, const json_t *params, void *ctx)
{
	struct daemon *d = ctx;
	struct instance *ct = api_instance(call, params, d);
	struct lg_err err = { 0 };
	struct asked *a;
	int r;

	if (!ct)
		return;
	r = ct->state == STATE_RUNNING && ct->init_pid > 0 ? 0 :
		lg_refuse(&err, -ESRCH, LG_EXIT_NOT_RUNNING, "%s is not running", instance_label(ct));
	if (r == 0 && ct->vm) {
		answer_vm(call, ct);
		return;
	}
	a = r < 0 ? NULL : calloc(1, sizeof(*a));
	if (a) {
		a->d = d;
		a->ctid = ct->ctid;
		a->call = lg_vcall_ref(call);
		r = checkpoint_check(ct, answer, a, &err);
	} else if (r == 0) {
		r = lg_fail(&err, -ENOMEM, "checkpoint --check");
	}
	if (r < 0) {
		lg_vcall_fail(call, &err);
		if (a)
			lg_vcall_unref(a->call);
		free(a);
	}
}
