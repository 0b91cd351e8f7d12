/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * How a suspend goes: a worker looks for what CRIU cannot dump, and where there is something nothing else happens. Then
 * the sessions from outside end, the shim lends the root, lodge-criu has CRIU write everything
 * into VAR/checkpoint/ID, and while nothing in the container runs that is declared complete. Only then is it let
 * die. Until that word the container runs on whatever happens: when CRIU fails, when it or lodge-criu is killed, when lodged is.
 *
 * A daemon that was killed in the middle: the container lives, and the images go (recover.c); or it is gone and
 * they are complete, and it is suspended.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "cmd/lodged/checkpoint_check.h"
#include "cmd/lodged/criu.h"
#include "cmd/lodged/dumpfile.h"
#include "cmd/lodged/lodged.h"
#include "cmd/lodged/migrate.h"
#include "cmd/lodged/suspend.h"
#include "cmd/lodged/vm.h"
#include "ct/proto.h"
#include "lib/cleanup.h"
#include "lib/exit.h"
#include "lib/json.h"
#include "lib/log.h"

#define SUSPEND_TIMEOUT_S 600u	/* memory of many GiB to a slow disk */
#define HOST_DOWN_TIMEOUT_S 300u	/* a stop may have to follow before the host gives up on both */

struct suspend {
	struct checking *checking;	/* the look at what is in the way; the callback's own */
	int images;
	struct criu_job *job;
	bool committed;		/* GO was said: it does not run any more */
	bool gone;		/* its last process has ended, and its cgroup is swept */
};

unsigned int suspend_time(const struct daemon *d)
{
	return d->suspend_s >= 0 ? (unsigned int)d->suspend_s : SUSPEND_TIMEOUT_S;
}

unsigned int suspend_time_of(const struct op *op)
{
	return op->host_down ? HOST_DOWN_TIMEOUT_S : suspend_time(op->ct->d);
}

static void forget(struct op *op)
{
	struct suspend *s = op->arg;

	op->arg = NULL;
	if (s)
		lg_close(s->images);
	free(s);
}

void suspend_fail(struct op *op, struct lg_err *err)
{
	checkpoint_keep_log(op->ct);
	checkpoint_remove(op->ct);
	runtime_save(op->ct, NULL, NULL);
	lg_within(err, err->code, "suspend %s", instance_label(op->ct));
	err->exit_code = LG_EXIT_CHKPNT;
	json_decref(op->answer);
	op->answer = NULL;
	if (op->host_down && op->ct->state == STATE_RUNNING) {
		lg_log(LG_LOG_WARN, "%s: it is stopped instead", err->msg);
		op_progress(op, "%s: stopping it instead", err->msg);
		stop_instead(op);
		return;
	}
	if (op->as_stop) {
		struct lg_err why = *err;

		lg_refuse(err, why.code, why.exit_code, "%.420s; `lodge stop --stop-mode stop %u` shuts it down",
			  why.msg, op->ct->ctid);
	}
	op_fail(op, err);
}

static void failed(struct op *op, struct lg_err *err)
{
	forget(op);
	suspend_fail(op, err);
}

/* What CRIU did not end, as it was killed; the sweep waits for it. */
static void end_rest(const struct instance *ct)
{
	char name[16];

	snprintf(name, sizeof(name), "%u", ct->ctid);
	lg_cg_kill(ct->d->cg, name, NULL);
}

/* Everything is written and nothing runs. From the moment that the images count it is suspended. */
static void commit(struct op *op, const struct lg_msg *held)
{
	struct suspend *s = op->arg;
	struct lg_err err = { 0 };

	op_progress(op, "writing what is known about it");
	if (criu_freeze(s->job, held, &err) < 0 ||
	    checkpoint_complete(op->ct, s->images, op->host_down, &err) < 0) {
		criu_say(s->job, LG_K_ABORT, &err);
		return;
	}
	s->committed = true;
	op->ct->suspending = true;
	/* Its processes' ends must not reach a peer: where CRIU or lodge-criu is killed now, connections may end as alive ones do. */
	migrate_quiet(op->ct, true);
	criu_say(s->job, LG_K_GO, NULL);
}

void suspend_answer(struct op *op)
{
	struct instance *ct = op->ct;
	json_t *answer;

	op->ct->op = NULL;	/* it is not busy any more when the answer arrives */
	answer = json_pack("{s:o}", "instance", instance_json(ct, false, false));
	ct->op = op;
	if (op->as_stop) {
		json_decref(answer);
		answer = json_pack("{s:b, s:b, s:b}", "was_running", 1, "killed", 0, "suspended", 1);
	}
	op_end(op, answer);
}

void suspend_done(struct op *op)
{
	op->timer = sd_event_source_disable_unref(op->timer);
	op->ct->state = instance_rest(op->ct);
	if (op->file)
		dumpfile_write(op);
	else
		suspend_answer(op);
}

static void suspended(struct op *op)
{
	forget(op);
	suspend_done(op);
}

/* When it was committed the images are whole, and what CRIU could not end the sweep does. */
static void criu_ended(struct op *op)
{
	struct suspend *s = op->arg;

	s->job = NULL;
	if (s->committed) {
		if (s->gone)
			suspended(op);
		else
			end_rest(op->ct);
		return;
	}
	if (!op->err.code)
		lg_refuse(&op->err, -EIO, 0, "lodge-criu was killed; the container runs on");
	failed(op, &op->err);
}

static void take_message(const struct lg_msg *m, void *arg)
{
	struct op *op = arg;

	if (!m) {
		criu_ended(op);
		return;
	}
	if (m->kind == LG_K_HELD)
		commit(op, m);
	else if (m->kind == LG_K_FAILED)
		lg_msg_get_err(m, &op->err);
}

static int run_criu(struct op *op, int root_fd, struct lg_err *err)
{
	struct instance *ct = op->ct;
	struct suspend *s = op->arg;
	struct lg_msg m;
	char root[300];
	int r;

	snprintf(root, sizeof(root), "%s/root", ct->d->root.run);
	lg_msg_init(&m, LG_K_DUMP);
	lg_msg_put_u64(&m, "ctid", ct->ctid);
	lg_msg_put_u64(&m, "pid", (uint64_t)ct->init_pid);
	lg_msg_put(&m, "sync", "1");
	r = criu_put_common(ct, root, &m, err);
	if (r < 0)
		return r;
	lg_msg_put_fd(&m, s->images);
	lg_msg_put_fd(&m, root_fd);
	return criu_run(ct->d, &m, take_message, op, &s->job, err);
}

void suspend_lent(struct instance *ct, struct lg_msg *m)
{
	struct op *op = ct->op;
	struct lg_err err = { 0 };
	int root;

	if (migrate_lent(ct, m) || !op || op->then != suspend_over || !op->arg)
		return;
	if (lg_msg_get(m, "error")) {
		lg_msg_get_err(m, &err);
		failed(op, &err);
		return;
	}
	root = lg_msg_take_fd(m, 0);
	op_progress(op, "writing its memory");
	if (run_criu(op, root, &err) < 0)
		failed(op, &err);
	lg_close(root);
}

/* Its init had its own reasons, before CRIU had begun. */
void suspend_too_late(struct op *op)
{
	struct lg_err err = { 0 };

	checkpoint_remove(op->ct);
	if (op->as_stop) {
		op_end(op, json_pack("{s:b, s:b, s:b}", "was_running", 1, "killed", 0, "suspended", 0));
		return;
	}
	lg_refuse(&err, -ESRCH, LG_EXIT_CHKPNT, "suspend %s: it has ended by itself meanwhile", instance_label(op->ct));
	op_fail(op, &err);
}

static void ended_by_itself(struct op *op)
{
	forget(op);
	suspend_too_late(op);
}

void suspend_over(struct op *op)
{
	struct suspend *s = op->arg;

	s->gone = true;
	if (!s->job && s->committed)
		suspended(op);
	else if (!s->job)
		ended_by_itself(op);
}

static int timed_out(sd_event_source *src, uint64_t usec, void *arg)
{
	struct op *op = arg;
	struct suspend *s = op->arg;
	struct lg_err err = { 0 };

	(void)src;
	(void)usec;
	op->timer = sd_event_source_disable_unref(op->timer);
	lg_refuse(&err, -ETIMEDOUT, 0, "it took more than %u s", suspend_time_of(op));
	if (s && s->job && !s->committed)
		criu_abandon(s->job, &err);
	else if (s && !s->job && !s->committed)
		failed(op, &err);
	return 0;
}

static int ask_shim(struct op *op, struct lg_err *err)
{
	struct lg_err why = { 0 };
	struct lg_msg m;
	int r;

	lg_refuse(&why, -ECANCELED, 0,
		  "the session ended because %s is being suspended; what it left running goes on at the resume",
		  instance_label(op->ct));
	lg_msg_init(&m, LG_P_LEND);
	lg_msg_put(&m, "end", "1");
	lg_msg_put_err(&m, &why);
	r = lg_msg_send(op->ct->shim->sock, &m);
	return r < 0 ? lg_fail(err, r, "speak to the shim") : 0;
}

/* Nothing is in the way: from here on the container notices. */
static void begin(struct op *op)
{
	struct suspend *s = op->arg;
	struct lg_err err = { 0 };
	int r = checkpoint_begin(op->ct, &s->images, &err);

	if (r == 0)
		r = runtime_save(op->ct, "suspend", &err);
	if (r == 0)
		r = ask_shim(op, &err);
	if (r < 0)
		failed(op, &err);
}

struct checking {
	struct daemon *d;
	uint32_t ctid;
};

/* The operation that waits for this look; NULL: it is over by now. */
static struct op *op_of(const struct checking *c)
{
	const struct instance *ct = instance_by_ctid(c->d, c->ctid);
	struct op *op = ct ? ct->op : NULL;
	struct suspend *s = op && op->then == suspend_over ? op->arg : NULL;

	return s && s->checking == c ? op : NULL;
}

/* A look that failed says nothing about the container: CRIU will. */
static void checked(int r, const struct lg_err *err, const struct checkpoint_report *report, void *arg)
{
	struct checking *c = arg;
	struct op *op = op_of(c);
	struct lg_err why = { 0 };
	json_t *losses;

	free(c);
	if (!op)
		return;
	((struct suspend *)op->arg)->checking = NULL;
	if (r < 0) {
		lg_log(LG_LOG_WARN, "%s: cannot look what is in the way of its suspend: %s", instance_label(op->ct),
		       err->msg);
	} else if (json_array_size(report->blockers) > 0) {
		checkpoint_refuse(op->ct, report, &why);
		failed(op, &why);
		return;
	} else if ((losses = checkpoint_losses(op->ct, report))) {
		lg_log(LG_LOG_WARN, "suspend %s: %s", instance_label(op->ct), json_string_value(losses));
		op->answer = json_pack("{s:[o]}", "warnings", losses);
	}
	begin(op);
}

static int check(struct op *op, struct lg_err *err)
{
	struct suspend *s = op->arg;
	struct checking *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return lg_fail(err, -ENOMEM, "suspend");
	*c = (struct checking){ op->ct->d, op->ct->ctid };
	r = checkpoint_check(op->ct, checked, c, err);
	if (r < 0)
		free(c);
	else
		s->checking = c;
	return r;
}

static int prepare(struct op *op, struct lg_err *err)
{
	struct suspend *s = calloc(1, sizeof(*s));
	const char *program;
	int r;

	if (!s)
		return lg_fail(err, -ENOMEM, "suspend");
	s->images = -1;
	op->arg = s;
	r = criu_program(op->ct->d, &program, err);
	if (r == 0 && nesting_is_on(op->ct->conf))
		r = lg_refuse(err, -EOPNOTSUPP, 0, "it has the feature nesting, and containers inside "
			      "cannot be suspended: switch it off and restart it first");
	if (r == 0)
		r = dumpfile_room(op->ct, op->file, err);
	return r == 0 ? check(op, err) : r;
}

void suspend_begin(struct op *op)
{
	struct lg_err err = { 0 };

	if (op->ct->vm) {
		vm_suspend_begin(op);
		return;
	}
	op->then = suspend_over;
	op_timer(op, suspend_time_of(op), timed_out);
	if (prepare(op, &err) < 0)
		failed(op, &err);
}

/* A dump file of one that is suspended already: its images only move. */
static int check_moving(const struct instance *ct, struct lg_err *err)
{
	lg_autojson json_t *state = checkpoint_state(ct);
	const char *file = lg_json_str(state, "dumpfile");

	return file ? lg_refuse(err, -EBUSY, LG_EXIT_CHKPNT, "%s is suspended already, with its images in '%s'",
				instance_label(ct), file) : 0;
}

static int may_suspend(const struct instance *ct, const char *file, struct lg_err *err)
{
	bool moves = file && ct->state == STATE_SUSPENDED && !ct->op;
	int r = moves ? check_moving(ct, err) : state_allows(ct, VERB_SUSPEND, err);

	if (r == 0 && file && dumpfile_check(ct->d, file, err) < 0) {
		r = lg_within(err, err->code, "suspend %s", instance_label(ct));
		err->exit_code = LG_EXIT_CHKPNT;
	}
	return r;
}

void api_suspend(struct lg_vcall *call, const json_t *params, void *ctx)
{
	struct instance *ct = api_instance(call, params, ctx);
	const char *file = lg_json_str(params, "file");
	struct lg_err err = { 0 };
	struct op *op = NULL;

	if (!ct)
		return;
	if (ct->state != STATE_RUNNING)
		ct->state = instance_rest(ct);
	if (may_suspend(ct, file, &err) == 0 && !(op = op_new(ct, "suspend", call)))
		lg_fail(&err, -ENOMEM, "suspend %s", instance_label(ct));
	if (op && file && !(op->file = strdup(file))) {
		lg_fail(&err, -ENOMEM, "suspend %s", instance_label(ct));
		op_fail(op, &err);
		return;
	}
	if (!op)
		lg_vcall_fail(call, &err);
	else if (ct->state == STATE_SUSPENDED)
		dumpfile_write(op);
	else
		suspend_begin(op);
}
