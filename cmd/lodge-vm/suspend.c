/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * The machine's state to a descriptor, and on again. The sessions end, the agent falls silent so that its stream is between two
 * frames, the processors stop, QEMU writes. From there on the machine is held: whoever asked says "continue", or ends it. Whatever
 * fails on the way, and the end of the connection that asked, lets it run on; that is tried until it works.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "cmd/lodge-vm/vm.h"
#include "ct/trace.h"
#include "lib/cleanup.h"
#include "lib/json.h"
#include "vm/start.h"

#define QUIET_MS 10000	/* a guest that is too busy for its agent is suspended without */
#define COMMAND_MS 30000
#define POLL_MS 20
#define AGAIN_MS 1000
#define QUIET_TAG "quiet"

/* Whom to tell what became of it. */
struct asker {
	int to;		/* a copy of the connection; -1: nobody */
	char tag[24];
};

static void on_asker_gone(struct lg_source *s, uint32_t events);

static enum { IDLE, QUIETING, WRITING, HELD, GOING } phase;
static struct lg_source asked = { .fd = -1, .on_event = on_asker_gone };	/* who asked for the suspend */
static char asked_tag[24];
static struct asker continuing = { .to = -1 };
static int state_fd = -1;
static struct lg_err why;	/* it runs on; code 0: as it was asked to */
static struct lg_msg answer;

static void go_on(void);

/* ---- answers ---- */

static void say(int to, const char *tag, const struct lg_err *err, bool with_version)
{
	if (to < 0)
		return;
	lg_msg_init(&answer, LG_P_TOLD);
	lg_msg_put(&answer, "tag", tag);
	if (err && err->code)
		lg_msg_put_err(&answer, err);
	if (with_version)
		lg_msg_put(&answer, "qemu", qemu_version());
	lg_msg_send(to, &answer);
}

static void refuse(int to, const char *tag, int code, const char *text)
{
	struct lg_err err = { 0 };

	lg_refuse(&err, code, 0, "%s", text);
	say(to, tag, &err, false);
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
		say(asked.fd, asked_tag, &why, false);
	lg_source_close(&asked);
	say(continuing.to, continuing.tag, NULL, false);
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
	vm.quiet = false;
	command_again();
}

/* ---- writing ---- */

static bool is_over(const json_t *ret, const struct lg_err *err, const char *what)
{
	if (phase != WRITING)
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

static void on_written(void *arg, const json_t *ret, const struct lg_err *err)
{
	const char *status = ret ? lg_json_str(ret, "status") : NULL;

	(void)arg;
	if (is_over(ret, err, "ask QEMU how far it is"))
		return;
	if (status && strcmp(status, "completed") == 0) {
		lg_trace("state written");
		phase = HELD;
		say(asked.fd, asked_tag, NULL, true);
	} else if (status && (strcmp(status, "failed") == 0 || strcmp(status, "cancelled") == 0)) {
		failed(-EIO, "QEMU could not write the machine's state", lg_json_str(ret, "error-desc"));
	} else {
		timer_set(TIMER_SUSPEND, POLL_MS, poll_written);
	}
}

static void poll_written(void)
{
	if (phase == WRITING)
		command("query-migrate", NULL, -1, on_written);
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

static void on_stopped(void *arg, const json_t *ret, const struct lg_err *err)
{
	(void)arg;
	if (is_over(ret, err, "stop the processors"))
		return;
	lg_trace("processors stopped");
	/* They stand still while it is written: as fast as the disk takes it. */
	command("migrate-set-parameters", json_pack("{s:I}", "max-bandwidth", (json_int_t)1 << 40), -1, on_limits);
}

static void stop(void)
{
	if (phase != QUIETING)
		return;
	timer_set(TIMER_SUSPEND, -1, stop);
	sessions_lost();
	phase = WRITING;
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
	timer_set(TIMER_SUSPEND, QUIET_MS, stop);
	if (r < 0)
		stop();
}

bool suspend_quiet(const char *tag)
{
	if (!tag || strcmp(tag, QUIET_TAG) != 0)
		return false;
	stop();
	return true;
}

void suspend_alone(void)
{
	stop();
}

/* ---- what is asked ---- */

static void on_asker_gone(struct lg_source *s, uint32_t events)
{
	(void)events;
	lg_source_close(s);
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

void suspend_take(struct lg_msg *m, int from)
{
	struct lg_err told = { 0 };
	char tag[24];

	keep_tag(tag, m);
	if (vm.phase != PHASE_RUNNING || phase != IDLE) {
		refuse(from, tag, -EBUSY, phase == IDLE ? "the machine does not run" : "it is being suspended already");
		return;
	}
	if (take_over(m, from) < 0) {
		refuse(from, tag, -EINVAL, "ASK suspend came without a descriptor");
		return;
	}
	memcpy(asked_tag, tag, sizeof(tag));
	why = (struct lg_err){ 0 };
	if (lg_msg_get(m, "error"))
		lg_msg_get_err(m, &told);
	else
		lg_refuse(&told, -ECANCELED, 0, "the machine is being suspended");
	sessions_kill(&told);
	quiet();
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
	if (phase == IDLE || phase == HELD)
		go_on();
	else
		failed(-ECANCELED, "it was called off", NULL);
}
