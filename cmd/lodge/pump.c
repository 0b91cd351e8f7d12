/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/lodge/pump.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/cleanup.h"

#define SPLICE_AT_ONCE (1u << 20)

static bool is_fifo(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode);
}

/* Terminals and the like go through the buffer; splice into them may block half-way. */
static bool can_splice(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && !S_ISCHR(st.st_mode);
}

void pump_init(struct pump *p, int from, bool own_from, int to, bool own_to)
{
	bool blocking = !(fcntl(to, F_GETFL) & O_NONBLOCK);

	*p = (struct pump){ .from = from, .to = to, .own_from = own_from, .own_to = own_to };
	p->use_splice = from >= 0 && (is_fifo(from) || is_fifo(to)) && can_splice(from) &&
			can_splice(to);
	/* POLLOUT on a pipe promises room for one atomic write and no more. */
	p->piece = blocking && is_fifo(to) ? PIPE_BUF : PUMP_BUFFER;
}

static bool need_buffer(struct pump *p)
{
	if (!p->buf)
		p->buf = malloc(PUMP_BUFFER);
	return p->buf;
}

int pump_preset(struct pump *p, const void *data, size_t len)
{
	if (len > PUMP_BUFFER || !need_buffer(p))
		return -ENOMEM;
	memcpy(p->buf, data, len);
	p->len = len;
	return 0;
}

void pump_end(struct pump *p)
{
	if (p->own_from)
		p->from = lg_close(p->from);
	if (p->own_to)
		p->to = lg_close(p->to);
	free(p->buf);
	p->buf = NULL;
	p->at = p->len = 0;
	p->done = true;
}

void pump_want(const struct pump *p, struct pollfd fds[2])
{
	bool out = p->wait_out || p->at < p->len;

	fds[0] = (struct pollfd){ .fd = p->done || out ? -1 : p->from, .events = POLLIN };
	/* Without events poll still tells when the reader is gone. */
	fds[1] = (struct pollfd){ .fd = p->done ? -1 : p->to, .events = out ? POLLOUT : 0 };
}

bool pump_idle(const struct pump *p)
{
	struct pollfd fd = { .fd = p->from, .events = POLLIN };

	if (p->done)
		return true;
	if (p->at < p->len)
		return false;
	return p->from < 0 || poll(&fd, 1, 0) == 0;
}

/* Answers false when the buffer has to do the work instead. */
static bool run_splice(struct pump *p)
{
	ssize_t n = splice(p->from, NULL, p->to, NULL, SPLICE_AT_ONCE,
			   SPLICE_F_MOVE | SPLICE_F_NONBLOCK);

	if (n > 0 || (n < 0 && errno == EINTR))
		return true;
	if (n == 0) {
		pump_end(p);
		return true;
	}
	if (errno == EAGAIN) {
		p->wait_out = true;
		return true;
	}
	if (errno == EINVAL || errno == ENOSYS) {
		p->use_splice = false;
		return false;
	}
	pump_end(p);
	return true;
}

static void read_some(struct pump *p)
{
	/* A filter may give back one byte more than it was given. */
	ssize_t n = read(p->from, p->buf, PUMP_BUFFER - (p->filter ? 1 : 0));

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	/* A terminal's master gives EIO when the last slave is closed. */
	if (n <= 0) {
		pump_end(p);
		return;
	}
	p->at = 0;
	p->len = (size_t)n;
	if (p->filter) {
		long left = p->filter(p->buf, p->len, p->arg);

		p->len = left > 0 ? (size_t)left : 0;
		if (left < 0)
			pump_end(p);
	}
}

static void write_some(struct pump *p)
{
	size_t len = p->len - p->at;
	ssize_t n = write(p->to, p->buf + p->at, len < p->piece ? len : p->piece);

	if (n < 0 && errno != EAGAIN && errno != EINTR)
		pump_end(p);
	else if (n > 0)
		p->at += (size_t)n;
	if (!p->done && p->from < 0 && p->at == p->len)
		pump_end(p);
}

void pump_run(struct pump *p, const struct pollfd fds[2])
{
	if (p->done)
		return;
	/* A pipe without reader says ERR; a terminal or socket whose other side is closed, HUP. */
	if (fds[1].fd >= 0 && fds[1].revents & (POLLERR | POLLHUP | POLLNVAL)) {
		pump_end(p);
		return;
	}
	if (fds[1].fd >= 0 && fds[1].revents & POLLOUT) {
		p->wait_out = false;
		if (p->at < p->len) {
			write_some(p);
			return;
		}
	}
	if (fds[0].fd < 0 || !fds[0].revents)
		return;
	if (p->use_splice && run_splice(p))
		return;
	if (!need_buffer(p)) {
		pump_end(p);
		return;
	}
	read_some(p);
}
