/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * How a stop goes: the template's stop signal to init as soon as init has a handler for it, and after the
 * timeout everything in the cgroup is killed. The end is always the same, whoever caused it: the shim
 * reports init's status and ends, and instance_gone() removes what is left. A guest that asked for a
 * reboot is started again.
 *
 * A process that waits in the kernel for a disk or a server does not hear SIGKILL (state D), and init does not
 * end before it. Then the verb fails and names it, the instance stays what it is and says so, and
 * whenever the process does end, all goes on by itself from there.
 */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "cmd/lodged/account.h"
#include "cmd/lodged/kernel_log.h"
#include "cmd/lodged/lodged.h"
#include "cmd/lodged/suspend.h"
#include "cmd/lodged/vm.h"
#include "ct/guest.h"
#include "ct/proto.h"
#include "lib/cleanup.h"
#include "lib/exit.h"
#include "lib/file.h"
#include "lib/json.h"
#include "lib/log.h"
#include "lib/proc.h"
#include "lib/settings.h"

#define SWEEP_US 2000u
#define SWEEPS_GRACE 250u	/* half a second for CRIU to end by itself */
#define SWEEPS_MAX 2500u	/* 5 s and more: the kernel takes its time with a large cgroup */
#define SWEEP_SLOW_US 1000000u	/* from then on */
#define KILL_TIMEOUT_S 10u
#define ASK_US 200000u
#define ASK_ANYWAY 5u		/* each so many looks a signal is sent to an init without handler */

static void cg_name(const struct instance *ct, char buf[16])
{
	snprintf(buf, 16, "%u", ct->ctid);
}

/* ---- what cannot end ---- */

static int is_stuck(pid_t pid, void *arg)
{
	return lg_proc_stuck(pid, arg) == 1;
}

/* Sets or clears ct->hangs. */
static void note_hanging(struct instance *ct)
{
	struct lg_stuck stuck;
	char name[16];

	cg_name(ct, name);
	ct->hangs[0] = '\0';
	if (lg_cg_procs(ct->d->cg, name, is_stuck, &stuck) == 1 ||
	    (ct->init_pid > 0 && lg_proc_stuck(ct->init_pid, &stuck) == 1))
		snprintf(ct->hangs, sizeof(ct->hangs), "process %d (%s) waits in the kernel: %s",
			 (int)stuck.tid, stuck.name, stuck.where);
}

int stop_hangs(const struct instance *ct, struct lg_err *err)
{
	if (!ct->hangs[0])
		return lg_refuse(err, -ETIMEDOUT, LG_EXIT_CANNOT_STOP,
				 "%s was killed and is still there after %u s; it goes on ending",
				 instance_label(ct), KILL_TIMEOUT_S);
	return lg_refuse(err, -ETIMEDOUT, LG_EXIT_HANGS,
			 "%s was killed and cannot end: %s. It ends by itself when what that waits "
			 "for answers (a disk, a file server, a frozen file system); kill reaches it "
			 "no sooner", instance_label(ct), ct->hangs);
}

/* ---- after the end ---- */

static void describe_exit(struct instance *ct, bool known, int status)
{
	if (!known)
		snprintf(ct->last_exit, sizeof(ct->last_exit), "lost its supervisor");
	else if (WIFSIGNALED(status) && WTERMSIG(status) == SIGHUP)
		snprintf(ct->last_exit, sizeof(ct->last_exit), "rebooted");
	else if (WIFSIGNALED(status) && WTERMSIG(status) == SIGINT)
		snprintf(ct->last_exit, sizeof(ct->last_exit), "powered off");
	else if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV && ct->vm)
		snprintf(ct->last_exit, sizeof(ct->last_exit), "its kernel panicked");
	else if (WIFSIGNALED(status))
		snprintf(ct->last_exit, sizeof(ct->last_exit), "%s killed by signal %d", ct->vm ? "QEMU" : "init",
			 WTERMSIG(status));
	else
		snprintf(ct->last_exit, sizeof(ct->last_exit), "%s ended with status %d", ct->vm ? "QEMU" : "init",
			 WEXITSTATUS(status));
}

static void start_again(struct instance *ct, struct lg_vcall *call, bool wait)
{
	struct op *op = op_new(ct, "start", call);

	if (!op)
		return;
	op->wait = wait;
	start_begin(op);
}

/* Everything of it is off the host. */
static void swept(struct instance *ct)
{
	struct op *op = ct->op;
	bool reboot = ct->restart_wanted;
	struct lg_err err = { 0 };
	char name[40];

	snprintf(name, sizeof(name), "shim/%u.sock", ct->ctid);
	unlinkat(ct->d->run_fd, name, 0);
	snprintf(name, sizeof(name), "%u.exit", ct->ctid);
	unlinkat(ct->d->run_ct_fd, name, 0);
	runtime_forget(ct);
	ct->hangs[0] = '\0';
	if (ct->unsaved && instance_reload(ct, &err) < 0)
		lg_log(LG_LOG_WARN, "%s: %s", instance_label(ct), err.msg);
	ct->restart_wanted = false;
	ct->state = instance_rest(ct);
	if (op)
		op->rebooted = reboot;
	if (op && op->then)
		op->then(op);
	else if (!op && reboot)
		start_again(ct, NULL, false);
}

static int sweep_again(sd_event_source *s, uint64_t usec, void *arg)
{
	struct instance *ct = arg;

	(void)s;
	(void)usec;
	ct->sweep = sd_event_source_disable_unref(ct->sweep);
	sweep_cgroup(ct);
	return 0;
}

/* It takes too long: who waits for the end hears why, and the sweep goes on now and then. */
static void sweep_is_late(struct instance *ct, const struct lg_err *why)
{
	struct op *op = ct->op;
	struct lg_err err = { 0 };

	note_hanging(ct);
	lg_log(LG_LOG_ERR, "%s: its cgroup stays for now: %s%s%s", instance_label(ct), why->msg,
	       ct->hangs[0] ? ": " : "", ct->hangs);
	if (!op)
		return;
	if (op->err.code && op->then) {
		op->then(op);	/* a start that failed for a reason of its own */
		return;
	}
	stop_hangs(ct, &err);
	op_fail(op, &err);
}

void sweep_cgroup(struct instance *ct)
{
	struct lg_err err = { 0 };
	char name[16];
	int r;

	cg_name(ct, name);
	/* CRIU would make them anew. Where it did its work it is about to end by itself. */
	r = lg_cg_helpers_run(ct->d->cg, name) && ct->sweeps < SWEEPS_GRACE ? -EBUSY :
									       lg_cg_end_helpers(ct->d->cg, name, &err);
	if (r == 0)
		r = lg_cg_remove(ct->d->cg, name, &err);
	if (r == -EBUSY) {
		lg_cg_kill(ct->d->cg, name, NULL);
		if (ct->sweeps++ == SWEEPS_MAX)
			sweep_is_late(ct, &err);
		if (sd_event_add_time_relative(ct->d->event, &ct->sweep, CLOCK_MONOTONIC,
					       ct->sweeps < SWEEPS_MAX ? SWEEP_US : SWEEP_SLOW_US, 0,
					       sweep_again, ct) >= 0)
			return;
	}
	if (r < 0)
		lg_log(LG_LOG_ERR, "%s: its cgroup stays: %s", instance_label(ct), err.msg);
	ct->sweeps = 0;
	swept(ct);
}

void instance_gone(struct instance *ct)
{
	struct shim *shim = ct->shim;
	bool was_running = ct->state == STATE_RUNNING;
	bool known = shim && shim->exited;
	int status = known ? shim->status : 0;

	/* While its cgroups still have its name, and its number is not another's. */
	if (was_running) {
		kernel_log_catch_up(ct->d);
		account_close(ct);
	}
	vm_asks_drop(ct);
	if (known) {
		shim_retire(shim);
	} else if (shim) {
		if (shim->cg_spare[0])
			lg_cg_spare_remove(ct->d->cg, shim->cg_spare, NULL);
		shim_free(shim);
	}
	ct->init_pid = 0;
	ct->init_start = 0;
	ct->started_at = 0;
	ct->state = STATE_STOPPED;
	if (was_running && ct->suspending) {
		snprintf(ct->last_exit, sizeof(ct->last_exit), "suspended");
		emit_event(ct->d, "suspended", ct, NULL);
	} else if (was_running && ct->moving) {
		snprintf(ct->last_exit, sizeof(ct->last_exit), "moved to another host");
		emit_event(ct->d, "moved", ct, NULL);
	} else if (was_running) {
		describe_exit(ct, known, status);
		if (known && WIFSIGNALED(status) && WTERMSIG(status) == SIGHUP)
			ct->restart_wanted = true;
		emit_event(ct->d, "stopped", ct, "%s", ct->last_exit);
	}
	ct->suspending = false;
	ct->moving = false;
	if (ct->vm_usage)
		ct->vm_usage->at_us = 0;
	/* Whatever is left in there (its shim was killed) goes too. */
	sweep_cgroup(ct);
}

/* ---- the verb ---- */

static void kill_all(struct op *op)
{
	char name[16];

	cg_name(op->ct, name);
	if (!op->killed && !op->fast)
		op_progress(op, "it did not stop in time: killing it");
	op->killed = true;
	if (lg_cg_kill(op->ct->d->cg, name, NULL) < 0 &&
	    lg_proc_is(op->ct->init_pid, op->ct->init_start))
		kill(op->ct->init_pid, SIGKILL);
}

static int kill_timed_out(sd_event_source *s, uint64_t usec, void *arg)
{
	struct op *op = arg;
	struct lg_err err = { 0 };

	(void)s;
	(void)usec;
	note_hanging(op->ct);
	stop_hangs(op->ct, &err);
	op_fail(op, &err);
	return 0;
}

static int stop_timed_out(sd_event_source *s, uint64_t usec, void *arg)
{
	struct op *op = arg;

	(void)s;
	(void)usec;
	kill_all(op);
	op_timer(op, KILL_TIMEOUT_S, kill_timed_out);
	return 0;
}

/* Does PID 1 handle signal @sig yet? (SigCgt of /proc/PID/status; a signal sent before is lost.) */
static bool has_handler(pid_t pid, int sig)
{
	lg_autofree char *text = NULL;
	unsigned long long mask;
	const char *line;
	char path[40];

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	if (lg_file_read(AT_FDCWD, path, 65536, &text, NULL, NULL) < 0)
		return true;
	line = strstr(text, "\nSigCgt:");
	if (!line || sscanf(line, "\nSigCgt: %llx", &mask) != 1)
		return true;
	if (mask >> (sig - 1) & 1)
		return true;
	/* systemd takes its signals by signalfd: they are blocked instead. */
	line = strstr(text, "\nSigBlk:");
	return line && sscanf(line, "\nSigBlk: %llx", &mask) == 1 && (mask >> (sig - 1) & 1);
}

static int ask_again(sd_event_source *s, uint64_t usec, void *arg);

/* The agent inside sees whether init hears it yet, and asks again. */
static void ask_vm_to_stop(const struct op *op)
{
	struct lg_msg m;

	lg_msg_init(&m, LG_P_SIGNAL);
	lg_msg_put_u64(&m, "sig", (uint64_t)op->template.stop_signal);
	if (op->ct->shim)
		lg_msg_send(op->ct->shim->sock, &m);
}

/*
 * A signal that PID 1 has no handler for is lost, so it is sent when there is one. An init that waits for its
 * signals in sigtimedwait() without blocking them never shows a handler: it is sent one now and then all
 * the same, which does no harm to the others.
 */
static void ask_to_stop(struct op *op)
{
	struct instance *ct = op->ct;
	int sig = op->template.stop_signal;
	bool heard;

	if (ct->vm) {
		ask_vm_to_stop(op);
		return;
	}
	if (!lg_proc_is(ct->init_pid, ct->init_start))
		return;
	heard = has_handler(ct->init_pid, sig);
	if (heard || op->asked++ % ASK_ANYWAY == 0)
		kill(ct->init_pid, sig);
	if (!heard)
		sd_event_add_time_relative(ct->d->event, &op->wait_io, CLOCK_MONOTONIC, ASK_US, 0,
					   ask_again, op);
}

static int ask_again(sd_event_source *s, uint64_t usec, void *arg)
{
	struct op *op = arg;

	(void)s;
	(void)usec;
	op->wait_io = sd_event_source_disable_unref(op->wait_io);
	ask_to_stop(op);
	return 0;
}

void stop_begin(struct op *op, uint64_t timeout_s)
{
	const char *template = lg_conf_get(op->ct->conf, "OSTEMPLATE");

	op->ct->restart_wanted = false;
	op->template.stop_signal = SIGTERM;
	if (!op->fast && template && lg_template_load(op->ct->d->root.var, template, &op->template, NULL) == 0)
		op->template.stop_signal = lg_guest_stop_signal(&op->template, op->ct->vm);
	if (op->fast || timeout_s == 0) {
		kill_all(op);
		op_timer(op, KILL_TIMEOUT_S, kill_timed_out);
		return;
	}
	op_timer(op, timeout_s, stop_timed_out);
	ask_to_stop(op);
}

static uint64_t stop_timeout(const struct instance *ct, const json_t *params)
{
	int64_t asked = lg_json_int(params, "timeout", 0);
	const char *global = daemon_conf(ct->d, "STOP_TIMEOUT", NULL);
	uint64_t seconds = STOP_TIMEOUT_DEFAULT, own = 0;

	if (asked > 0)
		return (uint64_t)asked;
	if (global)
		lg_parse_seconds(global, &seconds, NULL);
	if (lg_setting_value(ct->conf, "stop-timeout", 0, &own, NULL) == 0 && own)
		seconds = own;
	return seconds ? seconds : STOP_TIMEOUT_DEFAULT;
}

static void stopped(struct op *op)
{
	op_end(op, json_pack("{s:b, s:b}", "was_running", 1, "killed", op->killed));
}

void stop_instead(struct op *op)
{
	op->verb = "stop";
	op->err = (struct lg_err){ 0 };
	op->then = stopped;
	stop_begin(op, stop_timeout(op->ct, NULL));
}

/* What a stop means: as the call says, else the instance's own setting, else lodge.conf. */
static bool means_suspend(const struct instance *ct, const json_t *params)
{
	const char *mode = lg_json_str(params, "mode");

	if (!mode)
		mode = lg_conf_get(ct->conf, "VE_STOP_MODE");
	if (!mode || !*mode)
		mode = daemon_conf(ct->d, "VE_STOP_MODE", "stop");
	return strcmp(mode, "suspend") == 0;
}

/* The operation of a verb that stops; answers the call itself and returns NULL when there is none. */
static struct op *stop_op(struct lg_vcall *call, const json_t *params, void *ctx, const char *verb)
{
	struct instance *ct = api_instance(call, params, ctx);
	struct lg_err err = { 0 };
	struct op *op = NULL;

	if (!ct)
		return NULL;
	if (ct->state != STATE_RUNNING && ct->hangs[0])
		stop_hangs(ct, &err);
	else if (state_allows(ct, VERB_STOP, &err) == 0 && !(op = op_new(ct, verb, call)))
		lg_fail(&err, -ENOMEM, "%s %s", verb, instance_label(ct));
	if (!op) {
		lg_vcall_fail(call, &err);
		return NULL;
	}
	op->fast = json_is_true(json_object_get(params, "fast"));
	return op;
}

void api_stop(struct lg_vcall *call, const json_t *params, void *ctx)
{
	struct op *op = stop_op(call, params, ctx, "stop");

	if (!op)
		return;
	if (op->ct->state != STATE_RUNNING) {
		op_end(op, json_pack("{s:b, s:b}", "was_running", 0, "suspended",
				     instance_rest(op->ct) == STATE_SUSPENDED));
		return;
	}
	op->host_down = lg_json_bool(params, "host_down", false);
	if (!op->fast && means_suspend(op->ct, params)) {
		op->verb = "suspend";
		op->as_stop = true;
		suspend_begin(op);
		return;
	}
	op->then = stopped;
	stop_begin(op, stop_timeout(op->ct, params));
}

/* The second half of a restart: the same call, another operation. */
static void restart_stopped(struct op *op)
{
	struct instance *ct = op->ct;
	struct lg_vcall *call = op->call ? lg_vcall_ref(op->call) : NULL;
	bool wait = op->wait;

	op->verb = "restart";
	if (op->call)
		lg_vcall_unref(op->call);
	op->call = NULL;
	op_end(op, NULL);
	start_again(ct, call, wait);
	if (call)
		lg_vcall_unref(call);
}

/* As start: nobody loses what is in its memory without saying so. */
static bool refuse_suspended(struct op *op)
{
	struct instance *ct = op->ct;
	struct lg_err err = { 0 };

	if (ct->state == STATE_RUNNING || instance_rest(ct) != STATE_SUSPENDED)
		return false;
	ct->state = STATE_SUSPENDED;
	ct->op = NULL;
	state_allows(ct, VERB_START, &err);
	ct->op = op;
	op_fail(op, &err);
	return true;
}

void api_restart(struct lg_vcall *call, const json_t *params, void *ctx)
{
	struct op *op = stop_op(call, params, ctx, "restart");

	if (!op)
		return;
	op->wait = json_is_true(json_object_get(params, "wait"));
	if (refuse_suspended(op))
		return;
	if (op->ct->state != STATE_RUNNING) {
		op->verb = "start";
		start_begin(op);
		return;
	}
	op->then = restart_stopped;
	stop_begin(op, stop_timeout(op->ct, params));
}
