/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * The machine's state to a descriptor, and on again. The sessions end, the agent falls silent so that its stream is between two
 * frames, the processors stop, QEMU writes. From there on the machine is held: whoever asked says "continue", or ends it. Whatever
 * fails on the way, and the end of the connection that asked, lets it run on; that is tried until it works.
 *
 * For a move the processors run while QEMU writes the memory, and again what was written to meanwhile. They stop when what is left
 * takes less time than they may stand still for, or when it does not become less; QEMU waits there ("pre-switchover"), until it is
 * told to write that, too. Once it is committed to the other host, the end of the connection ends the machine.
 */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "cmd/lodge-vm/vm.h"
#include "ct/trace.h"
#include "lib/cleanup.h"
#include "lib/json.h"
#include "lib/proc.h"
#include "vm/start.h"

#define QUIET_MS 10000	/* a guest that is too busy for its agent is suspended without */
#define COMMAND_MS 30000
#define POLL_MS 20		/* beside what QEMU tells by itself */
#define ROUNDS_MAX 10		/* of memory that becomes no less */
#define STILL_MS 100		/* what may be left of it is written in so much time */
#define AGAIN_MS 1000
#define QUIET_TAG "quiet"

/* Whom to tell what became of it. */
struct asker {
	int to;		/* a copy of the connection; -1: nobody */
	char tag[24];
};

static void on_asker_gone(struct lg_source *s, uint32_t events);

static enum { IDLE, QUIETING, COPYING, STILL, WRITING, HELD, GOING } phase;
static bool moves;		/* it goes to another host, and runs while it is copied */
static bool at_last;		/* it was told to stop, however much is left */
static bool committed;		/* that it is the other host that decides */
static bool written_known;	/* what was written to its disk meanwhile */
static uint64_t still_ms, still_us;
static struct lg_source asked = { .fd = -1, .on_event = on_asker_gone };	/* who asked for the suspend */
static char asked_tag[24];
static struct asker continuing = { .to = -1 };
static int state_fd = -1;
static struct lg_err why;	/* it runs on; code 0: as it was asked to */
static struct lg_msg answer;

static void go_on(void);

/* ---- answers ---- */

static void say(int to, const char *tag, const struct lg_err *err)
{
	if (to < 0)
		return;
	lg_msg_init(&answer, LG_P_TOLD);
	lg_msg_put(&answer, "tag", tag);
	if (err && err->code)
		lg_msg_put_err(&answer, err);
	if (phase == HELD) {
		lg_msg_put(&answer, "qemu", qemu_version());
		lg_msg_put_u64(&answer, "added", cpus_added());
	}
	if ((phase == HELD || phase == STILL) && media_in_drive())
		lg_msg_put(&answer, "drive", media_in_drive());
	if (phase == STILL) {
		lg_msg_put_u64(&answer, "us", still_us);
		lg_msg_put_u64(&answer, "written", written_known);
	}
	lg_msg_send(to, &answer);
}

static void refuse(int to, const char *tag, int code, const char *text)
{
	struct lg_err err = { 0 };

	lg_refuse(&err, code, 0, "%s", text);
	say(to, tag, &err);
}

static void keep_tag(char buf[24], const struct lg_msg *m)
{
	const char *tag = lg_msg_get(m, "tag");

	snprintf(buf, 24, "%s", tag ? tag : "");
}

/* ---- it runs on ---- */

static void failed(int code, const char *what, const char *text)
{
	if (phase == IDLE || phase == GOING)
		return;
	/* Of those whose end the agent has not said it will say nothing more. */
	if (phase == QUIETING)
		sessions_lost();
	why = (struct lg_err){ 0 };
	lg_refuse(&why, code, 0, "%s%s%s", what, text && *text ? ": " : "", text && *text ? text : "");
	go_on();
}

static void is_going(void)
{
	lg_trace("runs on");
	phase = IDLE;
	state_fd = lg_close(state_fd);
	ask_resumed();
	if (why.code)
		say(asked.fd, asked_tag, &why);
	lg_source_close(&asked);
	say(continuing.to, continuing.tag, NULL);
	continuing.to = lg_close(continuing.to);
}

static void command_again(void);

static void on_cont(void *arg, const json_t *ret, const struct lg_err *err)
{
	(void)arg;
	(void)err;
	if (ret)
		is_going();
	else
		timer_set(TIMER_SUSPEND, AGAIN_MS, command_again);
}

static void poll_cancelled(void);

/* What QEMU still does about the state it has to stop first. */
static void on_cancelled(void *arg, const json_t *ret, const struct lg_err *err)
{
	static const char *const over[] = { "none", "completed", "failed", "cancelled" };
	const char *status = ret ? lg_json_str(ret, "status") : NULL;
	bool is_over = ret && !status;

	(void)arg;
	(void)err;
	for (size_t i = 0; status && i < ARRAY_SIZE(over); i++)
		is_over |= strcmp(status, over[i]) == 0;
	if (!is_over || qemu_command("cont", NULL, -1, COMMAND_MS, on_cont, NULL) < 0)
		timer_set(TIMER_SUSPEND, ret ? POLL_MS : AGAIN_MS, poll_cancelled);
}

static void poll_cancelled(void)
{
	if (qemu_command("query-migrate", NULL, -1, COMMAND_MS, on_cancelled, NULL) < 0)
		timer_set(TIMER_SUSPEND, AGAIN_MS, poll_cancelled);
}

static void command_again(void)
{
	qemu_command("migrate_cancel", NULL, -1, COMMAND_MS, NULL, NULL);
	poll_cancelled();
}

static void go_on(void)
{
	phase = GOING;
	committed = false;
	written_drop();
	vm.quiet = false;
	command_again();
}

/* ---- writing ---- */

static bool is_over(const json_t *ret, const struct lg_err *err, const char *what)
{
	if (phase != WRITING && phase != COPYING)
		return true;
	if (!ret)
		failed(err->code, what, err->msg);
	return !ret;
}

static void command(const char *name, json_t *args, int fd, lg_qmp_done done)
{
	int r = qemu_command(name, args, fd, COMMAND_MS, done, NULL);

	if (r < 0)
		failed(r, "QEMU takes no command now", NULL);
}

static void poll_written(void);

static uint64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

static void is_held(void)
{
	lg_trace("state written");
	phase = HELD;
	say(asked.fd, asked_tag, NULL);
}

static void is_still(bool known)
{
	written_known = known;
	if (phase == STILL)
		say(asked.fd, asked_tag, NULL);
}

static void stands_still(void)
{
	lg_trace("all but the last is written");
	phase = STILL;
	if (!still_us)
		still_us = now_us();
	written_settle(is_still);
}

/* A guest that writes faster than it is copied stands still for as long as it takes. */
static void look_at_rounds(const json_t *ret)
{
	int64_t rounds = lg_json_int(json_object_get(ret, "ram"), "dirty-sync-count", 0);

	if (phase != COPYING || at_last || rounds <= ROUNDS_MAX)
		return;
	at_last = true;
	lg_trace("it writes too fast");
	qemu_command("migrate-set-parameters", json_pack("{s:i}", "downtime-limit", 2000000), -1, COMMAND_MS, NULL, NULL);
}

static void on_written(void *arg, const json_t *ret, const struct lg_err *err)
{
	const char *status = ret ? lg_json_str(ret, "status") : NULL;

	(void)arg;
	if (is_over(ret, err, "ask QEMU how far it is"))
		return;
	if (status && strcmp(status, "completed") == 0) {
		is_held();
	} else if (status && strcmp(status, "pre-switchover") == 0 && phase == COPYING) {
		stands_still();
	} else if (status && (strcmp(status, "failed") == 0 || strcmp(status, "cancelled") == 0)) {
		failed(-EIO, "QEMU could not write the machine's state", lg_json_str(ret, "error-desc"));
	} else {
		look_at_rounds(ret);
		timer_set(TIMER_SUSPEND, POLL_MS, poll_written);
	}
}

static void poll_written(void)
{
	if (phase == WRITING || phase == COPYING)
		command("query-migrate", NULL, -1, on_written);
}

void suspend_event(const char *name)
{
	if (strcmp(name, "STOP") == 0 && phase == COPYING)
		still_us = now_us();
	if (strcmp(name, "MIGRATION") == 0 && (phase == WRITING || phase == COPYING))
		timer_set(TIMER_SUSPEND, 0, poll_written);
}

static void on_migrate(void *arg, const json_t *ret, const struct lg_err *err)
{
	(void)arg;
	if (!is_over(ret, err, "write the machine's state"))
		poll_written();
}

static void on_state_fd(void *arg, const json_t *ret, const struct lg_err *err)
{
	(void)arg;
	state_fd = lg_close(state_fd);
	if (!is_over(ret, err, "give QEMU the file"))
		command("migrate", json_pack("{s:s}", "uri", "fd:state"), -1, on_migrate);
}

static void on_limits(void *arg, const json_t *ret, const struct lg_err *err)
{
	(void)arg;
	if (!is_over(ret, err, "have QEMU write at full speed"))
		command("getfd", json_pack("{s:s}", "fdname", "state"), state_fd, on_state_fd);
}

static void on_capabilities(void *arg, const json_t *ret, const struct lg_err *err)
{
	(void)arg;
	if (!is_over(ret, err, "tell QEMU how to write"))
		command("migrate-set-parameters", json_pack("{s:I, s:I}", "max-bandwidth", (json_int_t)1 << 40, "downtime-limit",
							    (json_int_t)still_ms), -1, on_limits);
}

static json_t *capability(const char *name, bool on)
{
	return json_pack("{s:s, s:b}", "capability", name, "state", on);
}

static void set_up(void)
{
	command("migrate-set-capabilities",
		json_pack("{s:[o, o, o]}", "capabilities", capability("events", true),
			  capability("pause-before-switchover", moves), capability("auto-converge", moves)), -1, on_capabilities);
}

static void on_stopped(void *arg, const json_t *ret, const struct lg_err *err)
{
	(void)arg;
	if (is_over(ret, err, "stop the processors"))
		return;
	lg_trace("processors stopped");
	set_up();
}

static void is_quiet(void)
{
	if (phase != QUIETING)
		return;
	timer_set(TIMER_SUSPEND, -1, is_quiet);
	sessions_lost();
	phase = moves ? COPYING : WRITING;
	if (moves)
		set_up();
	else
		command("stop", NULL, -1, on_stopped);
}

/* ---- the agent ---- */

static void quiet(void)
{
	static struct lg_msg m;
	int r = -ENOTCONN;

	lg_msg_init(&m, 0);
	lg_msg_put(&m, "tag", QUIET_TAG);
	lg_msg_put(&m, "what", "quiet");
	phase = QUIETING;
	if (agent_here())
		r = agent_send_msg(0, LG_A_DO, &m);
	vm.quiet = true;
	timer_set(TIMER_SUSPEND, QUIET_MS, is_quiet);
	if (r < 0)
		is_quiet();
}

bool suspend_is_idle(void)
{
	return phase == IDLE;
}

bool suspend_quiet(const char *tag)
{
	if (!tag || strcmp(tag, QUIET_TAG) != 0)
		return false;
	is_quiet();
	return true;
}

void suspend_alone(void)
{
	is_quiet();
}

/* ---- what is asked ---- */

static void on_asker_gone(struct lg_source *s, uint32_t events)
{
	(void)events;
	lg_source_close(s);
	if (committed)
		lg_pidfd_signal(vm.pidfd, SIGKILL);	/* it may run there */
	else
		failed(-EPIPE, "lodged went away", NULL);
}

static int take_over(struct lg_msg *m, int from)
{
	int fd = lg_msg_take_fd(m, 0);

	if (fd < 0)
		return -EINVAL;
	/* A copy, whose only event is the connection's end. */
	asked.fd = fcntl(from, F_DUPFD_CLOEXEC, 0);
	if (asked.fd < 0 || lg_source_add(&asked, EPOLLRDHUP) < 0) {
		asked.fd = lg_close(asked.fd);
		lg_close(fd);
		return -EIO;
	}
	state_fd = fd;
	return 0;
}

static void begin(struct lg_msg *m, int from, bool is_move)
{
	struct lg_err told = { 0 };
	char tag[24];

	keep_tag(tag, m);
	if (vm.phase != PHASE_RUNNING || phase != IDLE) {
		refuse(from, tag, -EBUSY, phase == IDLE ? "the machine does not run" : "its memory is being written already");
		return;
	}
	if (is_move && lg_msg_get(m, "added") && (!cpus_settled() || lg_msg_get_u64(m, "added", 0) != cpus_added())) {
		refuse(from, tag, -EAGAIN, "a processor came to it meanwhile: move it again");
		return;
	}
	if (media_busy()) {
		refuse(from, tag, -EBUSY, "what is in its drive is being changed: try again in a moment");
		return;
	}
	if (take_over(m, from) < 0) {
		refuse(from, tag, -EINVAL, "ASK came without a descriptor");
		return;
	}
	memcpy(asked_tag, tag, sizeof(tag));
	why = (struct lg_err){ 0 };
	moves = is_move;
	at_last = committed = false;
	still_us = 0;
	still_ms = lg_msg_get_u64(m, "still_ms", STILL_MS);
	if (lg_msg_get(m, "error"))
		lg_msg_get_err(m, &told);
	else
		lg_refuse(&told, -ECANCELED, 0, "the machine is being suspended");
	sessions_kill(&told);
	quiet();
}

void suspend_take(struct lg_msg *m, int from)
{
	begin(m, from, false);
}

void suspend_move(struct lg_msg *m, int from)
{
	begin(m, from, true);
}

void suspend_switch(struct lg_msg *m, int from)
{
	char tag[24];

	keep_tag(tag, m);
	if (phase != STILL) {
		refuse(from, tag, -ECANCELED, "it runs on already");
		return;
	}
	memcpy(asked_tag, tag, sizeof(tag));
	phase = WRITING;
	command("migrate-continue", json_pack("{s:s}", "state", "pre-switchover"), -1, on_migrate);
}

void suspend_commit(struct lg_msg *m, int from)
{
	char tag[24];

	keep_tag(tag, m);
	if (phase != HELD || asked.fd < 0) {
		refuse(from, tag, -ECANCELED, "it runs on already");
		return;
	}
	committed = true;
	say(from, tag, NULL);
}

bool suspend_is_committed(void)
{
	return committed;
}

void suspend_continue(struct lg_msg *m, int from)
{
	char tag[24];

	keep_tag(tag, m);
	if (vm.phase != PHASE_RUNNING) {
		refuse(from, tag, -EBUSY, "the machine does not run");
		return;
	}
	lg_close(continuing.to);
	continuing.to = fcntl(from, F_DUPFD_CLOEXEC, 0);
	memcpy(continuing.tag, tag, sizeof(tag));
	if (phase == IDLE || phase == HELD || phase == STILL)
		go_on();
	else
		failed(-ECANCELED, "it was called off", NULL);
}
