/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/lodge-agent/session.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "ct/launch.h"
#include "lib/cleanup.h"

#define CREDIT_STEP (LG_AGENT_WINDOW / 4)

static const uint16_t stream_kinds[STREAMS] = { LG_A_IN, LG_A_OUT, LG_A_ERR };

/* ---- answers ---- */

static void say(struct sessions *all, struct session *s, uint16_t kind, const struct lg_err *err)
{
	struct lg_msg *m = &all->msg;

	if (s->over)
		return;
	lg_msg_init(m, kind);
	if (kind == LG_A_FAILED)
		lg_msg_put_err(m, err);
	if (kind == LG_A_ENDED)
		lg_msg_put_u64(m, "status", (uint64_t)(unsigned int)s->status);
	if (kind == LG_A_BEGUN)
		lg_msg_put_u64(m, "pid", (uint64_t)s->pid);
	frames_say(all->frames, s->channel, m);
	s->over = kind != LG_A_BEGUN;
}

static void close_stream(struct session *s, int i)
{
	s->fds[i] = lg_close(s->fds[i]);
}

static void session_free(struct sessions *all, struct session *s)
{
	struct session **p = &all->first;

	while (*p && *p != s)
		p = &(*p)->next;
	if (*p) {
		*p = s->next;
		all->n--;
	}
	for (int i = 0; i < STREAMS; i++)
		close_stream(s, i);
	lg_close(s->handshake);
	free(s->input);
	free(s);
}

/* ENDED stands behind the last output. Return: whether the session is gone. */
static bool free_if_done(struct sessions *all, struct session *s)
{
	if (s->handshake >= 0 || s->pid)
		return false;
	if (s->begun && !s->over && (s->fds[STREAM_OUT] >= 0 || s->fds[STREAM_ERR] >= 0))
		return false;
	if (s->begun)
		say(all, s, LG_A_ENDED, NULL);
	session_free(all, s);
	return true;
}

/* ---- the handshake ---- */

static void handshake_ended(struct sessions *all, struct session *s)
{
	struct lg_err err = { 0 };

	s->handshake = lg_close(s->handshake);
	if (s->execing && !s->over) {
		s->begun = true;
		say(all, s, LG_A_BEGUN, NULL);
	} else if (!s->over) {
		lg_refuse(&err, -ECHILD, 0, "the process was killed before it began");
		say(all, s, LG_A_FAILED, &err);
	}
}

static void drain_handshake(struct sessions *all, struct session *s)
{
	struct lg_msg *m = &all->msg;
	struct lg_err err = { 0 };

	while (s->handshake >= 0) {
		int r = lg_msg_recv(s->handshake, m);

		if (r == -EAGAIN)
			return;
		if (r != 1) {
			handshake_ended(all, s);
		} else if (m->kind == LG_H_EXEC) {
			s->execing = true;
		} else if (m->kind == LG_H_FAILED) {
			lg_msg_get_err(m, &err);
			say(all, s, LG_A_FAILED, &err);
		}
	}
}

/* ---- streams ---- */

static void give_credit(struct sessions *all, struct session *s, uint32_t bytes)
{
	struct lg_msg *m = &all->msg;

	s->credit[STREAM_IN] += bytes;
	if (s->credit[STREAM_IN] == 0 || (s->credit[STREAM_IN] < CREDIT_STEP && s->input_len))
		return;
	lg_msg_init(m, LG_A_CREDIT);
	lg_msg_put_u64(m, "stream", STREAM_IN);
	lg_msg_put_u64(m, "bytes", s->credit[STREAM_IN]);
	frames_say(all->frames, s->channel, m);
	s->credit[STREAM_IN] = 0;
}

/* Nobody reads it any more: what comes is thrown away, and its sender goes on. */
static void drop_input(struct sessions *all, struct session *s)
{
	uint32_t lost = (uint32_t)s->input_len;

	close_stream(s, STREAM_IN);
	s->input_at = s->input_len = 0;
	give_credit(all, s, lost);
}

static void write_input(struct sessions *all, struct session *s)
{
	ssize_t n;

	if (s->fds[STREAM_IN] < 0)
		return;
	if (s->input_len) {
		n = write(s->fds[STREAM_IN], s->input + s->input_at, s->input_len);
		if (n < 0 && errno != EAGAIN && errno != EINTR) {
			drop_input(all, s);
			return;
		}
		if (n > 0) {
			s->input_at += (size_t)n;
			s->input_len -= (size_t)n;
			give_credit(all, s, (uint32_t)n);
		}
	}
	/* A terminal has no end: its master is kept for what is read from it. */
	if (s->input_len == 0 && s->in_ended && !s->tty)
		close_stream(s, STREAM_IN);
}

static int take_input(struct sessions *all, struct session *s, const struct frame *frame)
{
	if (frame->size == 0) {
		s->in_ended = true;
	} else if (s->fds[STREAM_IN] < 0 || s->in_ended) {
		give_credit(all, s, (uint32_t)frame->size);
	} else {
		if (!s->input)
			s->input = malloc(LG_AGENT_WINDOW);
		if (!s->input || s->input_len + frame->size > LG_AGENT_WINDOW)
			return s->input ? -EPROTO : -ENOMEM;
		if (s->input_at) {
			memmove(s->input, s->input + s->input_at, s->input_len);
			s->input_at = 0;
		}
		memcpy(s->input + s->input_len, frame->bytes, frame->size);
		s->input_len += frame->size;
	}
	write_input(all, s);
	return 0;
}

static size_t most_of(const struct sessions *all, const struct session *s, int i)
{
	size_t most = frames_room(all->frames);

	if (!s->begun || s->over || s->fds[i] < 0)
		return 0;
	if (most > s->credit[i])
		most = s->credit[i];
	if (s->pid == 0 && most > s->left[i])
		most = s->left[i];
	return most;
}

static void end_output(struct sessions *all, struct session *s, int i)
{
	close_stream(s, i);
	frames_place(all->frames);
	frames_put(all->frames, stream_kinds[i], s->channel, 0);
}

/* EIO: a terminal that nobody has open any more. */
static void read_output(struct sessions *all, struct session *s, int i)
{
	size_t most = most_of(all, s, i);
	ssize_t n;

	if (most == 0)
		return;
	n = read(s->fds[i], frames_place(all->frames), most);
	if (n < 0 && errno == EINTR)
		return;
	if (n > 0) {
		frames_put(all->frames, stream_kinds[i], s->channel, (size_t)n);
		s->credit[i] -= (uint32_t)n;
		if (s->pid == 0)
			s->left[i] -= (size_t)n;
	}
	/* When the process has ended, what a daemon of its own may still write is not the session's. */
	if ((n > 0 && s->pid == 0 && s->left[i] == 0) || n == 0 || (n < 0 && (errno != EAGAIN || s->pid == 0)))
		end_output(all, s, i);
}

/* ---- frames ---- */

/* Before its setsid() there is no group of that number, only the process. */
static void signal_session(const struct session *s, int sig)
{
	if (s->pid > 0 && kill(-s->pid, sig) < 0 && errno == ESRCH)
		kill(s->pid, sig);
}

static void hang_up(struct session *s)
{
	signal_session(s, SIGHUP);
	for (int i = 0; i < STREAMS; i++)
		close_stream(s, i);
	s->input_len = 0;
}

static void resize(const struct session *s, const struct lg_msg *m)
{
	struct winsize ws = { .ws_row = (unsigned short)lg_msg_get_u64(m, "rows", 24),
			      .ws_col = (unsigned short)lg_msg_get_u64(m, "cols", 80) };

	if (s->tty && s->fds[STREAM_OUT] >= 0)
		ioctl(s->fds[STREAM_OUT], TIOCSWINSZ, &ws);
}

static int take_credit(struct session *s, const struct lg_msg *m)
{
	uint64_t stream = lg_msg_get_u64(m, "stream", STREAMS);
	uint64_t bytes = lg_msg_get_u64(m, "bytes", 0);

	if (stream != STREAM_OUT && stream != STREAM_ERR)
		return -EPROTO;
	if (bytes > LG_AGENT_WINDOW || s->credit[stream] + bytes > LG_AGENT_WINDOW)
		return -EPROTO;
	s->credit[stream] += (uint32_t)bytes;
	return 0;
}

static int begin(struct sessions *all, uint32_t channel, const struct lg_msg *exec)
{
	struct session *s = calloc(1, sizeof(*s));
	struct lg_err err = { 0 };
	int r;

	if (!s)
		return -ENOMEM;
	s->channel = channel;
	s->handshake = s->fds[STREAM_IN] = s->fds[STREAM_OUT] = s->fds[STREAM_ERR] = -1;
	s->credit[STREAM_OUT] = s->credit[STREAM_ERR] = LG_AGENT_WINDOW;
	s->tty = lg_msg_get_u64(exec, "tty", 0) != 0;
	r = all->n < LG_AGENT_SESSIONS ? session_start(s, all->machine, exec, &err) :
		lg_refuse(&err, -EAGAIN, 0, "%u sessions are open already", LG_AGENT_SESSIONS);
	if (r < 0) {
		say(all, s, LG_A_FAILED, &err);
		session_free(all, s);
		return 0;
	}
	s->next = all->first;
	all->first = s;
	all->n++;
	return 0;
}

static struct session *find(struct sessions *all, uint32_t channel)
{
	for (struct session *s = all->first; s; s = s->next)
		if (s->channel == channel)
			return s;
	return NULL;
}

static int take_message(struct session *s, const struct lg_msg *m)
{
	uint64_t sig;

	switch (m->kind) {
	case LG_A_SIGNAL:
		sig = lg_msg_get_u64(m, "sig", 0);
		if (sig > 0 && sig <= 64)
			signal_session(s, (int)sig);
		return 0;
	case LG_A_RESIZE:
		resize(s, m);
		return 0;
	case LG_A_HANGUP:
		hang_up(s);
		return 0;
	case LG_A_CREDIT:
		return take_credit(s, m);
	case LG_A_OUT:
	case LG_A_ERR:
		/* Nobody reads it any more: who writes to it is to hear of that. */
		close_stream(s, m->kind == LG_A_OUT ? STREAM_OUT : STREAM_ERR);
		return 0;
	default:
		return -EPROTO;
	}
}

int sessions_frame(struct sessions *all, const struct frame *frame)
{
	static struct lg_msg m;
	struct session *s = find(all, frame->channel);

	if (frame->kind == LG_A_IN)
		return s ? take_input(all, s, frame) : 0;
	if (frame_message(frame, &m) < 0)
		return -EPROTO;
	if (frame->kind == LG_A_EXEC)
		return s ? -EPROTO : begin(all, frame->channel, &m);
	/* To one that has ended meanwhile. */
	return s ? take_message(s, &m) : 0;
}

/* ---- the loop's part ---- */

unsigned int sessions_want(const struct sessions *all, struct pollfd *fds)
{
	unsigned int n = 0;

	for (const struct session *s = all->first; s; s = s->next, n += SESSION_POLLS) {
		bool in = s->input_len || (s->in_ended && !s->tty);

		fds[n] = (struct pollfd){ .fd = s->handshake, .events = POLLIN };
		fds[n + 1] = (struct pollfd){ .fd = in ? s->fds[STREAM_IN] : -1, .events = POLLOUT };
		fds[n + 2] = (struct pollfd){ .fd = -1, .events = POLLIN };
		fds[n + 3] = fds[n + 2];
		if (most_of(all, s, STREAM_OUT))
			fds[n + 2].fd = s->fds[STREAM_OUT];
		if (most_of(all, s, STREAM_ERR))
			fds[n + 3].fd = s->fds[STREAM_ERR];
	}
	return n;
}

void sessions_run(struct sessions *all, const struct pollfd *fds)
{
	struct session *next;

	for (struct session *s = all->first; s; s = next, fds += SESSION_POLLS) {
		next = s->next;
		if (fds[0].revents)
			drain_handshake(all, s);
		if (fds[1].revents)
			write_input(all, s);
		for (int i = STREAM_OUT; i < STREAMS; i++)
			if (fds[1 + i].revents || s->pid == 0)
				read_output(all, s, i);
		free_if_done(all, s);
	}
}

void sessions_reaped(struct sessions *all, pid_t pid, int status)
{
	struct session *s = all->first;

	while (s && s->pid != pid)
		s = s->next;
	if (!s)
		return;
	/* It was faster than the news of its beginning. */
	drain_handshake(all, s);
	if (s->handshake >= 0)
		handshake_ended(all, s);
	s->pid = 0;
	s->status = status;
	for (int i = STREAM_OUT; i < STREAMS; i++) {
		int waiting = 0;

		if (s->fds[i] >= 0 && ioctl(s->fds[i], FIONREAD, &waiting) < 0)
			waiting = 0;
		s->left[i] = waiting > (int)LG_AGENT_WINDOW ? (size_t)waiting : LG_AGENT_WINDOW;
	}
	drop_input(all, s);
	free_if_done(all, s);
}

void sessions_end(struct sessions *all, int sig)
{
	struct session *next;

	for (struct session *s = all->first; s; s = next) {
		next = s->next;
		signal_session(s, sig);
		session_free(all, s);
	}
}
