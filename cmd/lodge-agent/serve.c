/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The port's other end is served: sessions, wishes, and the signal that ends the machine. */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cmd/lodge-agent/session.h"
#include "lib/cleanup.h"
#include "lib/file.h"

#define ASK_MS 50	/* between two looks whether init hears the signal */
#define ASK_ANYWAY 20u	/* looks until it is sent all the same */
#define LOST_MS 200	/* between two looks whether somebody is at the port again */

enum { POLL_PORT, POLL_SIGNALS, POLL_START, POLL_SESSIONS };

struct serving {
	struct machine *m;
	struct sessions sessions;
	int signals, starting;
	bool quiet;		/* a suspend is near: nothing is said */
	bool reaped;
	int init_signal;	/* 0: none */
	unsigned int asked;
	struct lg_msg in, out;
};

/* Large, and there is one. */
static struct serving serving;
static struct pollfd polls[POLL_SESSIONS + LG_AGENT_SESSIONS * SESSION_POLLS];

static void tell(struct serving *s, uint16_t kind)
{
	s->out.kind = kind;
	frames_say(&s->m->frames, 0, &s->out);
}

/* ---- the start of init ---- */

/* The boot waits for our end when it has failed, and turns the machine off. */
static void __attribute__((noreturn)) start_failed(struct serving *s, const struct lg_err *err)
{
	struct pollfd p = { .fd = s->m->port, .events = POLLOUT };

	lg_msg_init(&s->out, LG_A_FAILED);
	lg_msg_put_err(&s->out, err);
	tell(s, LG_A_FAILED);
	while (frames_write(&s->m->frames) == 0 && s->m->frames.out_len && poll(&p, 1, 1000) > 0)
		continue;
	_exit(1);
}

static void start_ended(struct serving *s)
{
	struct lg_err err = { 0 };
	ssize_t n = read(s->starting, &err, sizeof(err));

	s->starting = lg_close(s->starting);
	if (n == sizeof(err))
		start_failed(s, &err);
	lg_msg_init(&s->out, LG_A_INIT);
	tell(s, LG_A_INIT);
}

/* ---- the signal to init ---- */

/* As lodged's for containers: a signal without a handler is lost, and systemd has them blocked instead. */
static bool init_hears(const struct machine *m, int sig)
{
	static const char *const masks[] = { "\nSigCgt:", "\nSigBlk:" };
	lg_autofree char *text = NULL;
	char path[32];

	snprintf(path, sizeof(path), "%d/status", (int)m->init);
	if (lg_file_read(m->proc, path, 65536, &text, NULL, NULL) < 0)
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(masks); i++) {
		const char *line = strstr(text, masks[i]);

		if (line && strtoull(line + strlen(masks[i]), NULL, 16) >> (sig - 1) & 1)
			return true;
	}
	return false;
}

static void ask_init(struct serving *s)
{
	bool hears;

	if (!s->init_signal || s->starting >= 0 || s->m->init <= 0)
		return;
	hears = init_hears(s->m, s->init_signal);
	if (hears || s->asked++ % ASK_ANYWAY == ASK_ANYWAY - 1)
		kill(s->m->init, s->init_signal);
	if (hears)
		s->init_signal = 0;
}

/* ---- frames of channel 0 ---- */

static void do_wish(struct serving *s)
{
	const char *tag = lg_msg_get(&s->in, "tag"), *what = lg_msg_get(&s->in, "what");
	struct lg_err err = { 0 };
	int r = 0;

	lg_msg_init(&s->out, LG_A_DONE);
	lg_msg_put(&s->out, "tag", tag ? tag : "");
	if (what && strcmp(what, "quiet") == 0) {
		sessions_end(&s->sessions, SIGKILL);
		s->quiet = true;
	} else {
		r = machine_do(s->m, &s->in, &s->out, &err);
		if (what && strcmp(what, "resumed") == 0)
			s->quiet = false;
	}
	if (r < 0) {
		lg_msg_init(&s->out, LG_A_DONE);
		lg_msg_put(&s->out, "tag", tag ? tag : "");
		lg_msg_put_err(&s->out, &err);
	}
	tell(s, LG_A_DONE);
}

static int machine_frame(struct serving *s, const struct frame *frame)
{
	uint64_t sig;

	if (frame_message(frame, &s->in) < 0)
		return -EPROTO;
	switch (s->in.kind) {
	case LG_A_INIT_SIGNAL:
		sig = lg_msg_get_u64(&s->in, "sig", 0);
		if (sig == 0 || sig > 64)
			return -EPROTO;
		s->init_signal = (int)sig;
		s->asked = 0;
		ask_init(s);
		return 0;
	case LG_A_DO:
		do_wish(s);
		return 0;
	default:
		return -EPROTO;
	}
}

static int take_frames(struct serving *s)
{
	struct frame frame;
	int r = 0;

	while (r == 0 && !frames_busy(&s->m->frames)) {
		r = frames_next(&s->m->frames, &frame);
		if (r <= 0)
			return r;
		r = frame.channel ? sessions_frame(&s->sessions, &frame) : machine_frame(s, &frame);
	}
	return r;
}

/* ---- the port ---- */

static void greet(struct serving *s)
{
	lg_msg_init(&s->out, LG_A_HELLO);
	lg_msg_put_u64(&s->out, "version", LG_AGENT_VERSION);
	tell(s, LG_A_HELLO);
}

/* Nobody is there. What was begun with whoever was there is over; another one is greeted. */
static int port_lost(struct serving *s)
{
	struct pollfd p = { .fd = s->m->port, .events = POLLIN };

	sessions_end(&s->sessions, SIGHUP);
	frames_init(&s->m->frames, s->m->port);
	s->quiet = false;
	if (s->m->once)
		return -EPIPE;
	if (poll(&p, 1, 0) < 0 || !(p.revents & POLLHUP)) {
		greet(s);
		return 0;
	}
	usleep(LOST_MS * 1000);
	return 0;
}

static int port_ready(struct serving *s)
{
	int r = polls[POLL_PORT].revents & (POLLIN | POLLHUP) ? frames_read(&s->m->frames) : 0;

	if (r == 1)
		r = 0;
	if (r == 0)
		r = take_frames(s);
	if (r == 0)
		r = frames_write(&s->m->frames);
	return r == -EPIPE || r == -ENODEV || r == -ECONNRESET ? port_lost(s) : r;
}

/* ---- the loop ---- */

static void reap(struct serving *s)
{
	struct signalfd_siginfo info;
	int status;
	pid_t pid;

	while (read(s->signals, &info, sizeof(info)) == (ssize_t)sizeof(info))
		continue;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		sessions_reaped(&s->sessions, pid, status);
		s->reaped = true;
	}
}

static int wait_for_something(struct serving *s)
{
	const struct frames *f = &s->m->frames;
	unsigned int n = sessions_want(&s->sessions, polls + POLL_SESSIONS);
	int most = s->init_signal && s->starting < 0 ? ASK_MS : -1;
	short port = 0;

	if (!frames_busy(f) && f->in_len < sizeof(f->in))
		port |= POLLIN;
	if (f->out_len)
		port |= POLLOUT;
	polls[POLL_PORT] = (struct pollfd){ .fd = f->fd, .events = port };
	polls[POLL_SIGNALS] = (struct pollfd){ .fd = s->signals, .events = POLLIN };
	polls[POLL_START] = (struct pollfd){ .fd = s->starting, .events = POLLIN };
	if (poll(polls, POLL_SESSIONS + n, s->reaped ? 0 : most) < 0)
		return errno == EINTR ? 0 : -errno;
	s->reaped = false;
	return 1;
}

static int turn(struct serving *s)
{
	int r = wait_for_something(s);

	if (r <= 0)
		return r;
	sessions_run(&s->sessions, polls + POLL_SESSIONS);
	if (polls[POLL_START].revents)
		start_ended(s);
	if (polls[POLL_SIGNALS].revents)
		reap(s);
	ask_init(s);
	return port_ready(s);
}

int serve(struct machine *m, int starting)
{
	struct serving *s = &serving;
	sigset_t child;
	int r;

	*s = (struct serving){ .m = m, .starting = starting };
	s->sessions = (struct sessions){ .frames = &m->frames, .machine = m };
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	s->signals = signalfd(-1, &child, SFD_NONBLOCK | SFD_CLOEXEC);
	if (s->signals < 0)
		return -errno;
	r = take_frames(s);
	while (r == 0)
		r = turn(s);
	sessions_end(&s->sessions, SIGHUP);
	lg_close(s->signals);
	return r == -EPIPE ? 0 : r;
}
