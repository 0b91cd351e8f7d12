/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * A session's streams, carried between the client's descriptors and the agent.
 *
 * How it works: each direction waits for its own descriptor alone, and only while there is something to do; events come once
 * (EPOLLONESHOT), as a hang-up would come for ever. What the client has not read yet is at most what the agent has credit for.
 * epoll knows no files and no null device: those are always ready.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd/lodge-vm/session.h"
#include "lib/cleanup.h"

#define GIVE_BACK (LG_AGENT_WINDOW / 4)	/* credit is given in pieces of this size */

static const enum lg_agent_kind kinds[3] = { LG_A_IN, LG_A_OUT, LG_A_ERR };

static void on_input(struct lg_source *source, uint32_t events);
static void on_output(struct lg_source *source, uint32_t events);

void carry_init(struct session *s)
{
	for (unsigned int i = 0; i < 3; i++)
		s->streams[i] = (struct stream){
			.source = { .fd = -1, .on_event = i == 0 ? on_input : on_output },
			.session = s,
			.credit = i == 0 ? LG_AGENT_WINDOW : 0,
		};
}

/* A pipe's flags are shared with whoever gave it to us: opened anew it has flags of its own. */
int carry_own_flags(int fd, unsigned int nr)
{
	char path[40];
	int own;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	own = open(path, (nr == 0 ? O_RDONLY : O_WRONLY) | O_NONBLOCK | O_CLOEXEC);
	if (own < 0) {
		fcntl(fd, F_SETFL, O_NONBLOCK);
		return fd;
	}
	close(fd);
	return own;
}

static void arm(const struct stream *st, uint32_t event)
{
	struct lg_source *source = (struct lg_source *)(uintptr_t)&st->source;

	if (st->source.fd >= 0 && !st->ready)
		lg_source_change(source, event ? event | EPOLLONESHOT : EPOLLONESHOT);
}

static int watch(struct stream *st, struct lg_err *err)
{
	/* Armed when there is something to do: until then not even a hang-up. */
	int r = lg_source_add(&st->source, EPOLLONESHOT);

	if (r == -EPERM)
		st->ready = true;
	return r < 0 && r != -EPERM ? lg_fail(err, r, "watch the session") : 0;
}

int carry_open(struct session *s, unsigned int nr, int fd, struct lg_err *err)
{
	struct stream *st = &s->streams[nr];
	struct stat status = { 0 };

	if (fstat(fd, &status) == 0 && S_ISFIFO(status.st_mode))
		fd = carry_own_flags(fd, nr);
	st->source.fd = fd;
	st->sock = S_ISSOCK(status.st_mode);
	return watch(st, err);
}

int carry_open_tty(struct session *s, int fd, struct lg_err *err)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0), r;

	r = carry_open(s, 1, fd, err);
	if (r < 0 || copy < 0) {
		lg_close(copy);
		return r < 0 ? r : lg_fail(err, -EMFILE, "make a terminal");
	}
	s->streams[2].eof = true;
	return carry_open(s, 0, copy, err);
}

/* ---- from the client ---- */

static void end_input(struct stream *st)
{
	lg_source_close(&st->source);
	if (!st->eof)
		agent_send(st->session->channel, LG_A_IN, NULL, 0);
	st->eof = true;
}

/* Return: bytes; 0: the end; -EAGAIN. */
static ssize_t read_some(const struct stream *st, char *buf, size_t len)
{
	ssize_t n;

	do
		n = st->sock ? recv(st->source.fd, buf, len, MSG_DONTWAIT) : read(st->source.fd, buf, len);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN ? -EAGAIN : 0;
	return n;
}

static size_t may_send(const struct stream *st)
{
	size_t room = agent_room();
	size_t most = st->credit < LG_AGENT_PAYLOAD ? (size_t)st->credit : LG_AGENT_PAYLOAD;

	return room < most ? 0 : most;
}

/* As much as there is credit for: with a file, too, others have their turn then. */
static void pump_input(struct stream *st)
{
	static char buf[LG_AGENT_PAYLOAD];

	while (st->source.fd >= 0) {
		size_t most = may_send(st);
		ssize_t n;

		if (most == 0)
			return;		/* carry_credit() comes back to it */
		n = read_some(st, buf, most);
		if (n == -EAGAIN)
			break;
		if (n == 0) {
			end_input(st);
			return;
		}
		if (agent_send(st->session->channel, LG_A_IN, buf, (size_t)n) < 0)
			return;
		st->credit -= (uint64_t)n;
	}
	arm(st, EPOLLIN);
}

static void on_input(struct lg_source *source, uint32_t events)
{
	struct stream *st = (struct stream *)source;

	(void)events;
	if (st->session->begun)
		pump_input(st);
}

void carry_begin(struct session *s)
{
	pump_input(&s->streams[0]);
}

void carry_credit(struct session *s, uint64_t bytes)
{
	struct stream *st = &s->streams[0];

	if (bytes > LG_AGENT_WINDOW - st->credit)
		bytes = LG_AGENT_WINDOW - st->credit;	/* more than it ever had */
	st->credit += bytes;
	if (s->begun && !s->ended)
		pump_input(st);
}

void carry_end_input(struct session *s)
{
	s->streams[0].eof = true;	/* nobody is to be told */
	lg_source_close(&s->streams[0].source);
}

/* ---- to the client ---- */

static void give_back(struct stream *st, size_t bytes)
{
	const struct session *s = st->session;
	static struct lg_msg m;

	st->credit += bytes;
	if (st->credit < GIVE_BACK || s->ended)
		return;
	lg_msg_init(&m, 0);
	lg_msg_put_u64(&m, "stream", (uint64_t)(st - s->streams));
	lg_msg_put_u64(&m, "bytes", st->credit);
	if (agent_send_msg(s->channel, LG_A_CREDIT, &m) == 0)
		st->credit = 0;
}

static void drop_output(struct stream *st)
{
	give_back(st, st->end - st->at);
	free(st->buf);
	st->buf = NULL;
	st->at = st->end = 0;
}

/* The client reads no more, but the session goes on: the process inside is to hear of it. */
static void end_output(struct stream *st)
{
	const struct session *s = st->session;

	drop_output(st);
	lg_source_close(&st->source);
	if (!st->eof && !s->ended && !s->tty)
		agent_send(s->channel, kinds[st - s->streams], NULL, 0);
}

static void flush_output(struct stream *st)
{
	while (st->source.fd >= 0 && st->at < st->end) {
		size_t len = st->end - st->at;
		ssize_t n = st->sock ? send(st->source.fd, st->buf + st->at, len, MSG_DONTWAIT | MSG_NOSIGNAL) :
				       write(st->source.fd, st->buf + st->at, len);

		if (n < 0 && errno == EAGAIN) {
			arm(st, EPOLLOUT);
			return;
		}
		if (n < 0 && errno != EINTR) {
			end_output(st);
			return;
		}
		st->at += n > 0 ? (size_t)n : 0;
		give_back(st, n > 0 ? (size_t)n : 0);
	}
	drop_output(st);
	if (st->eof)
		lg_source_close(&st->source);
}

static void on_output(struct lg_source *source, uint32_t events)
{
	struct stream *st = (struct stream *)source;

	(void)events;
	flush_output(st);
	session_check(st->session);
}

/* Within its credit this always has room; what is beyond is dropped, as the agent broke its word. */
static void keep_output(struct stream *st, const char *data, size_t len)
{
	if (!st->buf)
		st->buf = malloc(LG_AGENT_WINDOW);
	if (!st->buf)
		return;
	if (st->at > 0 && st->end + len > LG_AGENT_WINDOW) {
		memmove(st->buf, st->buf + st->at, st->end - st->at);
		st->end -= st->at;
		st->at = 0;
	}
	if (len > LG_AGENT_WINDOW - st->end)
		len = LG_AGENT_WINDOW - st->end;
	memcpy(st->buf + st->end, data, len);
	st->end += len;
}

void carry_output(struct session *s, unsigned int nr, const char *data, size_t len)
{
	struct stream *st = &s->streams[nr];
	bool waits = st->at < st->end;

	if (st->source.fd < 0) {
		give_back(st, len);
		return;
	}
	if (len == 0)
		st->eof = true;
	else
		keep_output(st, data, len);
	if (!waits)
		flush_output(st);
}

bool carry_busy(const struct session *s)
{
	for (unsigned int i = 1; i < 3; i++)
		if (s->streams[i].source.fd >= 0 && s->streams[i].at < s->streams[i].end)
			return true;
	return false;
}

void carry_close(struct session *s)
{
	for (unsigned int i = 0; i < 3; i++) {
		s->streams[i].eof = true;
		lg_source_close(&s->streams[i].source);
		if (i > 0)
			drop_output(&s->streams[i]);
	}
}
