/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * How a start goes: a table of steps with undo. Two of them wait for the shim (it has cloned init; init
 * has been executed) and go on when its message arrives (start_event). A failure anywhere undoes
 * what was done: the shim is killed, its init dies with it, and the cgroup is swept away as soon
 * as the kernel has let go of it.
 */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "cmd/lodged/criu.h"
#include "cmd/lodged/features.h"
#include "cmd/lodged/limits.h"
#include "cmd/lodged/lodged.h"
#include "cmd/lodged/lxcfs.h"
#include "cmd/lodged/moving.h"
#include "cmd/lodged/start.h"
#include "cmd/lodged/suspend.h"
#include "ct/proto.h"
#include "ct/trace.h"
#include "lib/cleanup.h"
#include "lib/exit.h"
#include "lib/kind.h"
#include "lib/log.h"
#include "lib/proc.h"
#include "lib/settings.h"
#include "storage/layer.h"

#define START_TIMEOUT_S 60u

int start_check_conf(void *ctx, struct lg_err *err)
{
	struct op *op = ctx;
	struct instance *ct = op->ct;
	const char *template;
	uint64_t disabled = 0;
	uint32_t features;

	if (!op->incoming && instance_reload_if_changed(ct, err) < 0)
		return err->code;
	template = lg_conf_get(ct->conf, "OSTEMPLATE");
	if (!op->force && lg_setting_value(ct->conf, "disabled", 0, &disabled, err) == 0 && disabled)
		return lg_refuse(err, -EPERM, LG_EXIT_DISABLED,
				 "it is disabled: use --force or set --disabled no");
	if (!lg_kind_is_foreign(ct->conf) && (!template || !*template))
		return lg_refuse(err, -EINVAL, LG_EXIT_NO_TEMPLATE_NAMED,
				 "its conf file names no OSTEMPLATE");
	/* What was edited while it ran has been read, and counts from here on. */
	instance_refresh(ct);
	if ((!ct->vm && features_of(ct->conf, &features, err) < 0) || ids_check_conf(ct, err) < 0)
		return err->code;
	if (!lg_layer_exists(ct->d->root.var, ct->ctid))
		return lg_refuse(err, -ENOENT, LG_EXIT_NO_PRIVATE,
				 "its files (%s/ct/%u) are not there", ct->d->root.var, ct->ctid);
	if (disk_hold(ct, err) < 0)
		return err->code;
	return lg_kind_is_foreign(ct->conf) ? 0 : lg_template_load(ct->d->root.var, template, &op->template, err);
}

int start_umount_first(void *ctx, struct lg_err *err)
{
	struct op *op = ctx;

	return mount_is_there(op->ct) ? umount_root(op->ct, err) : 0;
}

int start_write_intent(void *ctx, struct lg_err *err)
{
	struct op *op = ctx;

	return runtime_save(op->ct, "start", err);
}

void start_forget_intent(void *ctx)
{
	struct op *op = ctx;

	/* What is left to be swept is found by the file; the sweep removes it. */
	if (!op->ct->shim)
		runtime_forget(op->ct);
}

int start_take_ids(void *ctx, struct lg_err *err)
{
	struct op *op = ctx;
	struct instance *ct = op->ct;
	struct lg_id_range had = ids_of(ct);
	int r = ids_take(ct, err);

	return r == 0 && (had.base != ct->id_base || had.count != ct->id_count) ?
		       instance_save(ct, err) : r;
}

/* The shim of the last run may still be writing back what the container wrote. */
int start_wait_for_layer(void *ctx, struct lg_err *err)
{
	struct op *op = ctx;

	if (op->err.code) {
		*err = op->err;
		return err->code;
	}
	op->waits_for_layer = op->ct->old_shim != NULL;
	return op->waits_for_layer ? LG_STEP_WAIT : 0;
}

static int shift_layer(void *ctx, struct lg_err *err)
{
	return nesting_shift_layer(ctx, err);
}

static int make_folders(void *ctx, struct lg_err *err)
{
	return nesting_make_folders(ctx, err);
}

int start_take_shim(void *ctx, struct lg_err *err)
{
	struct op *op = ctx;
	int r;

	if (op->err.code) {
		*err = op->err;
		return err->code;
	}
	if (!op->shim) {
		r = shim_take(op->ct->d, &op->shim, err);
		if (r < 0)
			return r;
		op->shim->ct = op->ct;
		op->ct->shim = op->shim;
	}
	return op->shim->ready ? 0 : LG_STEP_WAIT;
}

void start_give_up_shim(void *ctx)
{
	struct op *op = ctx;

	if (!op->shim)
		return;
	/* From here on its end belongs to the instance, which then sweeps up (instance_gone). */
	shim_kill(op->shim);
	op->shim = NULL;
}

int start_make_cgroup(void *ctx, struct lg_err *err)
{
	struct op *op = ctx;
	struct shim *shim = op->shim;
	char name[16];
	int r;

	snprintf(name, sizeof(name), "%u", op->ct->ctid);
	r = lg_cg_make(op->ct->d->cg, name, shim->cg_spare[0] ? shim->cg_spare : NULL,
		       op->ct->vm ? 0 : op->ct->id_base, err);
	if (r == 0)
		shim->cg_spare[0] = '\0';
	return r;
}

static void warn_limit(const char *line, void *arg)
{
	const struct op *op = arg;

	lg_log(LG_LOG_WARN, "%s: %s", instance_label(op->ct), line);
}

/* A new cgroup has no limits: only those that say something are written. */
int start_set_limits(struct op *op, struct limits *limits, struct lg_err *err)
{
	int r = limits_find_disks(op->ct, limits, err);

	limits->set.note = warn_limit;
	limits->set.note_arg = op;
	if (r == 0)
		r = limits_apply(op->ct, NULL, limits, err);
	return r < 0 ? lg_within(err, r, "set its limits") : 0;
}

/* What the OOM killer is asked to spare is no reason not to start. */
int start_read_limits(struct op *op, struct limits *limits, struct lg_err *err)
{
	struct lg_err why = { 0 };
	int r = limits_of(op->ct->conf, limits, err);

	/* The machine is the one of then. */
	if (r == 0 && op->restore && op->ct->vm)
		limits->set.value[LG_LIMIT_MEMORY] = lg_vm_cgroup_memory(op->ct->vm_run.memory);
	if (r == 0 && limits_apply_oom(op->ct, NULL, limits, &why) < 0)
		warn_limit(why.msg, op);
	return r;
}

static int send_start(struct op *op, struct lg_err *err)
{
	struct daemon *d = op->ct->d;
	lg_autoclose int top = -1, leaf = -1, images = -1, host_ns = -1, helpers = -1;
	struct lg_msg m;
	char name[16];
	int filter, r = spec_make(op, &m, err);

	if (r < 0)
		return r;
	snprintf(name, sizeof(name), "%u", op->ct->ctid);
	top = lg_cg_open(d->cg, name, false, err);
	if (top < 0)
		return top;
	leaf = lg_cg_open(d->cg, name, true, err);
	if (leaf < 0)
		return leaf;
	lg_msg_put_fd(&m, top);
	lg_msg_put_fd(&m, leaf);
	filter = features_filter(op->ct, err);
	if (filter < 0)
		return filter;
	lg_msg_put_fd(&m, filter);
	if (op->restore) {
		r = resume_put(op, &m, &images, &host_ns, err);
		if (r < 0)
			return r;
		lg_msg_put_fd(&m, images);
		lg_msg_put_fd(&m, host_ns);
		helpers = lg_cg_open_helpers(d->cg, name, err);
		if (helpers < 0)
			return helpers;
		lg_msg_put_fd(&m, helpers);
	}
	lxcfs_give(op->shim);
	r = lg_msg_send(op->shim->sock, &m);
	return r < 0 ? lg_fail(err, r, "speak to the shim") : 0;
}

static int clone_init(void *ctx, struct lg_err *err)
{
	struct op *op = ctx;
	struct limits limits;
	int r;

	if (op->err.code) {
		*err = op->err;
		return err->code;
	}
	if (op->made)
		return 0;
	r = start_read_limits(op, &limits, err);
	if (r == 0)
		r = send_start(op, err);
	/* While the shim works; init is let go later. */
	if (r == 0)
		r = start_set_limits(op, &limits, err);
	return r < 0 ? r : LG_STEP_WAIT;
}

static void kill_init(void *ctx)
{
	struct op *op = ctx;
	char name[16];

	if (op->restore)
		start_detach_network(op);
	snprintf(name, sizeof(name), "%u", op->ct->ctid);
	lg_cg_kill(op->ct->d->cg, name, NULL);
}

static int attach_network(void *ctx, struct lg_err *err)
{
	struct op *op = ctx;
	struct lg_addr addrs[IPS_MAX];
	struct lg_net_if ifc;
	int r = 0;

	instance_net_if(op->ct, &ifc, addrs);
	if (!op->restore)
		r = ifc.naddrs ? lg_net_attach(op->ct->d->net, &ifc, op->netns_fd, err) :
				 lg_net_lo_up(op->netns_fd, err);
	else if (ifc.naddrs && (r = lg_net_open(op->ct->d->net, &ifc, err)) == 0)
		lg_net_announce(op->ct->d->net, &ifc, op->netns_fd, NULL);
	op->netns_fd = lg_close(op->netns_fd);
	return r;
}

void start_detach_network(void *ctx)
{
	struct op *op = ctx;
	char name[16];

	lg_root_link(&op->ct->d->root, op->ct->ctid, 0, name);
	lg_net_detach(op->ct->d->net, name);
}

int start_release(void *ctx, struct lg_err *err)
{
	struct op *op = ctx;
	struct lg_msg m;
	int r;

	if (op->err.code) {
		*err = op->err;
		return err->code;
	}
	if (op->running)
		return 0;
	if (op->hold)
		return LG_STEP_WAIT;
	lg_msg_init(&m, LG_P_GO);
	r = lg_msg_send(op->shim->sock, &m);
	return r < 0 ? lg_fail(err, r, "speak to the shim") : LG_STEP_WAIT;
}

int start_write_result(void *ctx, struct lg_err *err)
{
	struct op *op = ctx;

	op->ct->started_at = time(NULL);
	return runtime_save(op->ct, NULL, err);
}

static const struct lg_step steps[] = {
	{ "check its configuration", start_check_conf, NULL },
	{ "umount its root", start_umount_first, NULL },
	{ "write the intent", start_write_intent, start_forget_intent },
	{ "take a range of ids", start_take_ids, NULL },
	{ "wait for its layer", start_wait_for_layer, NULL },
	{ "copy its template", shift_layer, NULL },
	{ "make its plain folders", make_folders, NULL },
	{ "take a shim", start_take_shim, start_give_up_shim },
	{ "make its cgroup", start_make_cgroup, NULL /* swept when the shim has ended */ },
	{ "make init and set its limits", clone_init, kill_init },
	{ "attach its network", attach_network, start_detach_network },
	{ "start init", start_release, NULL },
	{ "write the result", start_write_result, NULL },
};

static void started(struct op *op);

static void failed_and_swept(struct op *op)
{
	struct lg_err err = op->err;

	op_fail(op, &err);
}

static void start_failed(struct op *op, struct lg_err *err)
{
	struct instance *ct = op->ct;

	ct->state = instance_rest(ct);
	ct->started_at = 0;
	lg_within(err, err->code, "%s %s%s", op->restore ? "resume" : "start", instance_label(ct),
		  ct->state == STATE_SUSPENDED ? " (which stays suspended)" : "");
	if (op->restore)
		err->exit_code = LG_EXIT_RESTORE;
	emit_event(ct->d, op->restore ? "resume-failed" : "start-failed", ct, "%s", err->msg);
	if (!ct->shim) {
		op_fail(op, err);
		return;
	}
	/* Answered when the host is as before: the shim's end leads to the sweep, and that here. */
	op->timer = sd_event_source_disable_unref(op->timer);
	op->err = *err;
	op->then = failed_and_swept;
}

bool start_has_failed(const struct op *op)
{
	return op->then == failed_and_swept;
}

void start_event(struct op *op)
{
	struct lg_err err = { 0 };
	int r;

	/* Its steps are undone, and would begin anew: what still comes is of no use to it. */
	if (start_has_failed(op))
		return;
	r = lg_run_continue(&op->run, &err);
	if (r < 0)
		start_failed(op, &err);
	else if (r == 0)
		started(op);
}

static void layer_is_late(struct op *op)
{
	struct lg_stuck stuck;
	bool hangs = lg_proc_stuck(op->ct->old_shim->pid, &stuck) == 1;

	lg_refuse(&op->err, -ETIMEDOUT, hangs ? LG_EXIT_HANGS : 0,
		  "what its last run wrote is still being written back after %u s, by process %d%s%s",
		  START_TIMEOUT_S, (int)op->ct->old_shim->pid, hangs ? ", which waits in the kernel: " :
		  "", hangs ? stuck.where : "");
}

static unsigned int time_of(const struct op *op)
{
	return op->restore ? suspend_time(op->ct->d) : START_TIMEOUT_S;
}

static int start_timed_out(sd_event_source *s, uint64_t usec, void *arg)
{
	struct op *op = arg;

	(void)s;
	(void)usec;
	op->timer = sd_event_source_disable_unref(op->timer);
	if (!op->err.code && op->ct->old_shim)
		layer_is_late(op);
	else if (!op->err.code)
		lg_refuse(&op->err, -ETIMEDOUT, 0, "no answer from the shim within %u s", op->allowed_s);
	start_event(op);
	return 0;
}

static void started(struct op *op)
{
	struct instance *ct = op->ct;
	struct lg_err err = { 0 };

	op->timer = sd_event_source_disable_unref(op->timer);
	ct->state = STATE_RUNNING;
	op->shim = NULL;	/* its end is the instance's end now */
	console_hand_over(ct);
	emit_event(ct->d, op->restore ? "resumed" : "started", ct, NULL);
	checkpoint_remove(ct);
	if (!op->wait || op->template.init_kind != LG_INIT_SYSTEMD) {
		op_end(op, start_answer(op));
		return;
	}
	op_progress(op, "waiting for its systemd");
	if (start_wait(op, &err) < 0)
		op_fail(op, &err);
}

void start_allow_time(struct op *op, uint64_t seconds)
{
	op->allowed_s = (unsigned int)seconds;
	op_timer(op, seconds, start_timed_out);
}

void start_begin(struct op *op)
{
	struct daemon *d = op->ct->d;
	struct lg_err err = { 0 };

	/* A cgroup that is still being swept belongs to a run before that was not told to end. */
	if (op->ct->sweep || op->ct->shim) {
		lg_refuse(&err, -EBUSY, LG_EXIT_LOCKED,
			  "start %s: what ran before is still being cleaned up: try again",
			  instance_label(op->ct));
		op_fail(op, &err);
		return;
	}
	if (op->ct->vm && start_vm_init(op, &err) < 0) {
		op_fail(op, &err);
		return;
	}
	if (!op->ct->vm)
		lg_run_init(&op->run, steps, ARRAY_SIZE(steps), op);
	op->run.on_done = lg_trace;
	op->run.fail_at = d->fail_step;
	op->run.crash_at = d->crash_step;
	start_allow_time(op, time_of(op));
	start_event(op);
}

void api_start(struct lg_vcall *call, const json_t *params, void *ctx)
{
	struct daemon *d = ctx;
	struct instance *ct = api_instance(call, params, d);
	const json_t *timeout = json_object_get(params, "timeout");
	bool force = json_is_true(json_object_get(params, "force"));
	bool anew = force || json_is_true(json_object_get(params, "anew"));
	struct lg_err err = { 0 };
	struct op *op;

	if (!ct)
		return;
	if (ct->state != STATE_RUNNING)
		ct->state = instance_rest(ct);
	if (force)
		moving_override(ct);
	if (!(anew && ct->state == STATE_SUSPENDED && !ct->op) &&
	    state_allows(ct, VERB_START, &err) < 0) {
		lg_vcall_fail(call, &err);
		return;
	}
	op = op_new(ct, "start", call);
	if (!op) {
		lg_fail(&err, -ENOMEM, "start %s", instance_label(ct));
		lg_vcall_fail(call, &err);
		return;
	}
	op->wait = json_is_true(json_object_get(params, "wait"));
	op->force = force;
	op->wait_s = json_is_integer(timeout) ? (uint64_t)json_integer_value(timeout) : 0;
	start_begin(op);
}
