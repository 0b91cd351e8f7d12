/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Exec sessions. A session belongs to its client: lodged passed the descriptors on and is not needed any more. Its process is in
 * the guest, and so its streams are carried (carry.c). It is over when the agent has said its end and what it wrote is delivered.
 */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "cmd/lodge-vm/session.h"
#include "ct/proto.h"
#include "ct/stream.h"
#include "ct/trace.h"
#include "lib/cleanup.h"
#include "lib/exit.h"

static void on_control(struct lg_source *s, uint32_t events);

/* ---- answers ---- */

static void say(struct session *s, uint32_t kind, const struct lg_err *err, int status)
{
	if (s->over)
		return;
	lg_msg_init(&msg_out, kind);
	if (kind == LG_P_FAILED)
		lg_msg_put_err(&msg_out, err);
	if (kind == LG_P_ENDED)
		lg_msg_put_u64(&msg_out, "status", (uint64_t)(unsigned int)status);
	if (kind == LG_P_BEGUN) {
		lg_msg_put_u64(&msg_out, "pid", s->pid);
		if (s->theirs >= 0)
			lg_msg_put_fd(&msg_out, s->theirs);
	}
	if (s->control.fd >= 0)
		lg_msg_send(s->control.fd, &msg_out);
	s->over = kind != LG_P_BEGUN;
}

static void session_free(struct session *s)
{
	struct session **p = &vm.sessions;

	while (*p && *p != s)
		p = &(*p)->next;
	if (*p) {
		*p = s->next;
		vm.nsessions--;
	}
	carry_close(s);
	lg_source_close(&s->control);
	lg_close(s->theirs);
	free(s);
	lend_if_wanted();
}

void session_check(struct session *s)
{
	if (!s->ended || carry_busy(s))
		return;
	if (s->begun)
		say(s, LG_P_ENDED, NULL, s->status);
	lg_trace("ENDED");
	session_free(s);
}

/* ---- the client ---- */

static void send_number(const struct session *s, enum lg_agent_kind kind, const char *key, uint64_t value)
{
	lg_msg_init(&msg_out, 0);
	lg_msg_put_u64(&msg_out, key, value);
	agent_send_msg(s->channel, kind, &msg_out);
}

static void resize(const struct session *s, const struct lg_msg *m)
{
	uint64_t rows = lg_msg_get_u64(m, "rows", 0), cols = lg_msg_get_u64(m, "cols", 0);

	if (rows == 0 || rows >= 10000 || cols == 0 || cols >= 10000)
		return;
	lg_msg_init(&msg_out, 0);
	lg_msg_put_u64(&msg_out, "rows", rows);
	lg_msg_put_u64(&msg_out, "cols", cols);
	agent_send_msg(s->channel, LG_A_RESIZE, &msg_out);
}

static void on_control(struct lg_source *source, uint32_t events)
{
	struct session *s = (struct session *)((char *)source - offsetof(struct session, control));
	int r = lg_msg_recv(source->fd, &msg_in);
	uint64_t sig;

	(void)events;
	if (r == -EAGAIN || r == -EBADMSG)
		return;
	if (r != 1) {
		/* Nobody reads any more, either; the session is over when the agent says so. */
		lg_source_close(source);
		agent_send(s->channel, LG_A_HANGUP, NULL, 0);
		carry_close(s);
		session_check(s);
		return;
	}
	sig = lg_msg_get_u64(&msg_in, "sig", 0);
	if (msg_in.kind == LG_P_SIGNAL && sig > 0 && sig <= 64)
		send_number(s, LG_A_SIGNAL, "sig", sig);
	else if (msg_in.kind == LG_P_RESIZE && s->tty)
		resize(s, &msg_in);
	lg_msg_drop_fds(&msg_in);
}

/* ---- making one ---- */

/* Numbers are never given out twice; of a machine that was there before us ours are higher than those of then. */
static uint32_t next_channel(void)
{
	static uint32_t last;
	struct timespec now;

	if (last == 0 && vm.spec.incoming) {
		clock_gettime(CLOCK_REALTIME, &now);
		last = (uint32_t)now.tv_sec;
	}
	return ++last;
}

static int take_streams(struct session *s, struct lg_msg *m, struct lg_err *err)
{
	int pair[2], r = 0;

	if (s->tty) {
		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
			return lg_fail(err, -errno, "make a terminal");
		s->theirs = pair[1];
		return carry_open_tty(s, pair[0], err);
	}
	for (unsigned int i = 0; i < 3 && r == 0; i++) {
		int fd = lg_msg_take_fd(m, i + 1);

		r = lg_stream_check(fd, err);
		if (r == 0)
			r = carry_open(s, i, fd, err);
		else
			lg_close(fd);
	}
	return r;
}

static int begin(struct session *s, struct lg_msg *m, struct lg_err *err)
{
	int r;

	if (vm.phase != PHASE_RUNNING)
		return lg_refuse(err, -ESRCH, 0, "the container is not running");
	if (vm.quiet)
		return lg_refuse(err, -EBUSY, LG_EXIT_LOCKED, "its memory is being written, as it is suspended or moves: try again when "
				 "that is over");
	if (!agent_here())
		return lg_refuse(err, -ENOTCONN, 0, "there is no agent of lodge in this machine, which executes commands");
	if (vm.nsessions >= LG_AGENT_SESSIONS)
		return lg_refuse(err, -EAGAIN, 0, "%u sessions are open already", LG_AGENT_SESSIONS);
	r = take_streams(s, m, err);
	if (r < 0)
		return r;
	if (s->control.fd >= 0 && lg_source_add(&s->control, EPOLLIN) < 0)
		return lg_fail(err, -ENOMEM, "watch the session");
	s->channel = next_channel();
	r = agent_send_msg(s->channel, LG_A_EXEC, m);
	return r < 0 ? lg_fail(err, r, "tell the guest") : 0;
}

void session_begin(struct lg_msg *m)
{
	struct session *s = calloc(1, sizeof(*s));
	struct lg_err err = { 0 };

	lg_trace("EXEC");
	if (!s)
		return;		/* the control socket closes, which says enough */
	s->control = (struct lg_source){ .fd = lg_msg_take_fd(m, 0), .on_event = on_control };
	s->theirs = -1;
	s->tty = lg_msg_get_u64(m, "tty", 0) != 0;
	carry_init(s);
	if (s->control.fd >= 0)
		fcntl(s->control.fd, F_SETFL, O_NONBLOCK);
	if (begin(s, m, &err) < 0) {
		say(s, LG_P_FAILED, &err, 0);
		session_free(s);
		return;
	}
	s->next = vm.sessions;
	vm.sessions = s;
	vm.nsessions++;
}

/* ---- what the agent says ---- */

static struct session *find(uint32_t channel)
{
	for (struct session *s = vm.sessions; s; s = s->next)
		if (s->channel == channel)
			return s;
	return NULL;
}

static bool read_fields(struct lg_msg *m, const char *data, size_t len)
{
	lg_msg_init(m, 0);
	if (len > sizeof(m->text) || (len > 0 && data[len - 1] != '\0'))
		return false;
	memcpy(m->text, data, len);
	m->len = len;
	return true;
}

static void take_word(struct session *s, uint16_t kind, const struct lg_msg *m)
{
	struct lg_err err = { 0 };

	if (kind == LG_A_BEGUN && !s->begun) {
		s->pid = lg_msg_get_u64(m, "pid", 0);
		s->begun = true;
		say(s, LG_P_BEGUN, NULL, 0);
		s->theirs = lg_close(s->theirs);
		carry_begin(s);
		lg_trace("BEGUN");
	} else if (kind == LG_A_CREDIT) {
		if (lg_msg_get_u64(m, "stream", 1) == 0)
			carry_credit(s, lg_msg_get_u64(m, "bytes", 0));
	} else if (kind == LG_A_ENDED || kind == LG_A_FAILED) {
		if (kind == LG_A_FAILED) {
			lg_msg_get_err(m, &err);
			say(s, LG_P_FAILED, &err, 0);
		}
		s->status = (int)lg_msg_get_u64(m, "status", 0);
		s->ended = true;
		carry_end_input(s);
		session_check(s);
	}
}

void session_frame(uint32_t channel, uint16_t kind, const char *data, size_t len)
{
	static struct lg_msg fields;
	struct session *s = find(channel);

	if (!s)
		return;		/* of one that has ended meanwhile */
	if (kind == LG_A_OUT || kind == LG_A_ERR)
		carry_output(s, kind == LG_A_OUT ? 1 : 2, data, len);
	else if (read_fields(&fields, data, len))
		take_word(s, kind, &fields);
}

void sessions_pump(void)
{
	for (struct session *s = vm.sessions; s; s = s->next)
		carry_credit(s, 0);
}

/* ---- the end of all ---- */

void sessions_kill(const struct lg_err *why)
{
	qga_kill(why);
	for (struct session *s = vm.sessions; s; s = s->next) {
		say(s, LG_P_FAILED, why, 0);
		send_number(s, LG_A_SIGNAL, "sig", SIGKILL);
		carry_close(s);
	}
}

static void end_all(const struct lg_err *why)
{
	for (struct session *s = vm.sessions; s; s = s->next)
		say(s, s->begun ? LG_P_ENDED : LG_P_FAILED, why, s->ended ? s->status : SIGKILL);
}

void sessions_end(void)
{
	struct lg_err err = { 0 };

	lg_refuse(&err, -ESRCH, 0, "the container ended");
	end_all(&err);
}

void sessions_lost(void)
{
	struct lg_err err = { 0 };

	lg_refuse(&err, -EPIPE, 0, "the machine's agent ended");
	end_all(&err);
	while (vm.sessions)
		session_free(vm.sessions);
}
