/* SPDX-License-Identifier: GPL-2.0-or-later */

/* From START to STARTED, and the end. */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cmd/lodge-vm/vm.h"
#include "ct/console.h"
#include "ct/proto.h"
#include "ct/trace.h"
#include "lib/cleanup.h"
#include "lib/file.h"
#include "lib/json.h"
#include "lib/proc.h"
#include "vm/sandbox.h"
#include "vm/start.h"

#define CONT_MS 30000
#define INCOMING_POLL_MS 20

/* ---- the end of one that did not begin ---- */

void start_fail(const struct lg_err *err)
{
	if (vm.pid > 0) {
		lg_pidfd_signal(vm.pidfd, SIGKILL);
		waitpid(vm.pid, NULL, 0);
	}
	if (vm.spec.socket)
		unlink(vm.spec.socket);
	if (vm.spec.vnc)
		unlink(vm.spec.vnc);
	lg_msg_init(&msg_out, LG_P_FAILED);
	lg_msg_put_err(&msg_out, err);
	lg_link_send();
	_exit(1);
}

static void watchdog(void)
{
	struct lg_err err = { 0 };
	char how[300];

	qemu_drain();
	progress_describe(how, sizeof(how));
	lg_refuse(&err, -ETIMEDOUT, 0, "the guest did not begin within %" PRIu64 " s: %s (see %.120s)",
		  vm.spec.watchdog_s, how, vm.spec.console_log);
	start_fail(&err);
}

/* ---- START ---- */

static int say_made(struct lg_err *err)
{
	int r;

	lg_msg_init(&msg_out, LG_P_MADE);
	lg_msg_put_u64(&msg_out, "pid", (uint64_t)vm.pid);
	lg_msg_put_fd(&msg_out, vm.netns_fd);
	lg_msg_put_fd(&msg_out, vm.pidfd);
	r = lg_link_send();
	return r < 0 ? lg_fail(err, r, "tell lodged") : 0;
}

/* The message is kept: SETUP is made of it, and our texts are in it. */
static void keep(struct lg_msg *m)
{
	memcpy(&start_msg, m, sizeof(start_msg));
	for (unsigned int i = 0; i < m->nfds; i++)
		m->fds[i] = -1;
}

static int start_all(struct lg_msg *m, struct lg_err *err)
{
	int r;

	keep(m);
	r = lg_vm_spec_parse(&start_msg, &vm.spec, err);
	if (r < 0)
		return r;
	lg_console_log(vm.spec.console_log);
	progress_init();
	r = qemu_start(err);
	if (r == 0)
		r = say_made(err);
	if (r == 0 && vm.spec.vnc)
		r = screen_open(vm.spec.vnc, err);
	return r < 0 ? r : lg_link_listen(vm.spec.socket, err);
}

void start_take(struct lg_msg *m)
{
	struct lg_err err = { 0 };

	if (vm.phase != PHASE_SPARE)
		return;
	lg_trace("START");
	vm.phase = PHASE_MADE;
	if (start_all(m, &err) < 0)
		start_fail(&err);
	set_title(vm.spec.ctid);
	lg_trace("QEMU prepared");
}

/* ---- GO ---- */

void start_stage(const char *text)
{
	snprintf(vm.stage, sizeof(vm.stage), "%s", text);
	if (vm.phase != PHASE_MADE)
		return;
	lg_msg_init(&msg_out, LG_P_STAGE);
	lg_msg_put(&msg_out, "text", vm.stage);
	lg_link_send();
	lg_trace(vm.stage);
}

static void on_cont(void *arg, const json_t *ret, const struct lg_err *err)
{
	struct lg_err why = { 0 };

	(void)arg;
	if (vm.phase != PHASE_MADE || err->code == -EPIPE)
		return;	/* QEMU's end says more */
	if (!ret) {
		lg_refuse(&why, err->code, 0, "let the machine run: %s", err->msg);
		start_fail(&why);
	}
	lg_trace("processors run");
	if (vm.spec.incoming) {
		/* Neighbours learn where it is now. */
		qemu_command("announce-self", json_pack("{s:i, s:i, s:i, s:i}", "initial", 50, "max", 550, "rounds", 5, "step", 100),
			     -1, CONT_MS, NULL, NULL);
		ask_resumed();
	}
	if (!vm.spec.guest || vm.spec.incoming)
		start_done();
}

static void run(void)
{
	struct lg_err err = { 0 };
	int r;

	vm.cont = true;
	if (vm.spec.watchdog_s && vm.spec.guest && !vm.spec.incoming)
		timer_set(TIMER_WATCHDOG, (int64_t)vm.spec.watchdog_s * 1000, watchdog);
	r = qemu_command("cont", NULL, -1, CONT_MS, on_cont, NULL);
	if (r < 0) {
		lg_fail(&err, r, "let the machine run");
		start_fail(&err);
	}
}

static void let_go(void)
{
	if (vm.ready && vm.go && !vm.cont && (!vm.spec.incoming || vm.loaded))
		run();
}

/* ---- its state is read ---- */

static void await_state(void);

static void is_loaded(void)
{
	vm.loaded = true;
	lg_trace("state loaded");
	lg_msg_init(&msg_out, LG_P_HELD);
	lg_link_send();
	let_go();
}

/* Until then it cannot run. */
static void on_status(void *arg, const json_t *ret, const struct lg_err *err)
{
	const char *status = lg_json_str(ret, "status");

	(void)arg;
	(void)err;
	if (vm.phase != PHASE_MADE || vm.loaded)
		return;
	if (status && strcmp(status, "inmigrate") != 0)
		is_loaded();
	else
		timer_set(TIMER_INCOMING, INCOMING_POLL_MS, await_state);
}

static void await_state(void)
{
	if (qemu_command("query-status", NULL, -1, CONT_MS, on_status, NULL) < 0)
		timer_set(TIMER_INCOMING, INCOMING_POLL_MS, await_state);
}

void start_event(void)
{
	if (vm.phase == PHASE_MADE && vm.ready && !vm.loaded)
		timer_set(TIMER_INCOMING, 0, await_state);
}

static void is_ready(void)
{
	vm.ready = true;
	if (vm.spec.incoming)
		await_state();
	let_go();
}

void start_ready(void)
{
	struct lg_err err = { 0 };

	if (vm.phase != PHASE_MADE || vm.ready)
		return;
	lg_trace("QEMU ready");
	if (lg_sandbox_strip(vm.pid, vm.pidfd, &err) < 0)
		start_fail(&err);
	lg_trace("root emptied");
	if (vm.spec.incoming)
		incoming_begin(is_ready);
	else
		is_ready();
}

void start_go(void)
{
	if (vm.phase != PHASE_MADE || vm.go)
		return;
	vm.go = true;
	lg_trace("GO");
	let_go();
}

void start_done(void)
{
	struct timespec now;

	if (vm.phase != PHASE_MADE)
		return;
	clock_gettime(CLOCK_MONOTONIC, &now);
	timer_set(TIMER_WATCHDOG, -1, watchdog);
	vm.phase = PHASE_RUNNING;
	lg_msg_init(&msg_out, LG_P_STARTED);
	lg_msg_put(&msg_out, "qemu", qemu_version());
	lg_msg_put(&msg_out, "genid", vm.genid);
	lg_msg_put_u64(&msg_out, "added", cpus_added());
	lg_msg_put_u64(&msg_out, "first_us", (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u);
	lg_link_send();
	lg_trace("STARTED");
}

/* ---- the end ---- */

static void leave_status(int status)
{
	char text[16];
	int n = snprintf(text, sizeof(text), "%d\n", status);

	lg_file_replace_fast(AT_FDCWD, vm.spec.exit_file, text, (size_t)n, 0600, NULL);
}

/* As a container's init would have ended. */
static int as_init(int status)
{
	if (WIFSIGNALED(status))
		return WTERMSIG(status) == SIGSEGV ? SIGABRT : WTERMSIG(status);	/* QEMU's own is not the guest's */
	if (vm.ended_by == SIGHUP && vm.panicked)
		return SIGSEGV;	/* what the kernel does after it */
	return vm.ended_by ? vm.ended_by : status ? status : SIGABRT;
}

static void __attribute__((noreturn)) fail_early(int status)
{
	struct lg_err err = { 0 };
	char how[300];

	progress_describe(how, sizeof(how));
	if (!vm.cont || WIFSIGNALED(status) || !vm.ended_by)
		lg_refuse(&err, -ECHILD, 0, "QEMU ended before the guest began (%s %d)%s%s",
			  WIFSIGNALED(status) ? "signal" : "status",
			  WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status), *qemu_words() ? ": " : "",
			  qemu_words());
	else
		lg_refuse(&err, -ECHILD, 0, "the guest %s before its init was executed: %s (see %.120s)",
			  as_init(status) == SIGSEGV ? "panicked" : as_init(status) == SIGINT ? "powered off" : "reset",
			  how, vm.spec.console_log);
	start_fail(&err);
}

void qemu_reaped(int status)
{
	vm.pid = 0;
	qemu_drain();
	lg_console_end();
	if (vm.phase == PHASE_MADE)
		fail_early(status);
	vm.phase = PHASE_ENDED;
	ask_lost();
	sessions_end();
	unlink(vm.spec.socket);
	if (vm.spec.vnc)
		unlink(vm.spec.vnc);
	leave_status(as_init(status));
	lg_msg_init(&msg_out, LG_P_EXITED);
	lg_msg_put_u64(&msg_out, "status", (uint64_t)(unsigned int)as_init(status));
	lg_link_send();
	_exit(0);
}
