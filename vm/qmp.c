/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vm/qmp.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/json.h"

#define GREETING_MS 30000

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void lg_qmp_init(struct lg_qmp *q, int fd)
{
	*q = (struct lg_qmp){ .fd = fd, .next_id = 1 };
}

/* ---- commands ---- */

static int send_line(int sock, const char *text, size_t len, int send_fd)
{
	struct iovec iov = { .iov_base = (void *)(uintptr_t)text, .iov_len = len };
	struct msghdr h = { .msg_iov = &iov, .msg_iovlen = 1 };
	union {
		char buf[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} space = { 0 };
	ssize_t n;

	if (send_fd >= 0) {
		h.msg_control = space.buf;
		h.msg_controllen = sizeof(space.buf);
		space.align.cmsg_level = SOL_SOCKET;
		space.align.cmsg_type = SCM_RIGHTS;
		space.align.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&space.align), &send_fd, sizeof(send_fd));
	}
	n = sendmsg(sock, &h, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n < 0)
		return -errno;
	/* The socket's buffer holds many of these: one that took half of a line belongs to a QEMU that does not read. */
	return (size_t)n == len ? 0 : -EPROTO;
}

static int send_command(struct lg_qmp *q, uint64_t id, const char *name, json_t *args, int send_fd)
{
	lg_autojson json_t *command = json_pack("{s:s, s:I, s:o*}", "execute", name, "id",
						(json_int_t)id, "arguments", args);
	lg_autofree char *text = command ? json_dumps(command, JSON_COMPACT) : NULL;
	size_t len;

	if (!text)
		return -ENOMEM;
	len = strlen(text);
	text[len++] = '\n';	/* where its NUL was: the length is told */
	return send_line(q->fd, text, len, send_fd);
}

int lg_qmp_command(struct lg_qmp *q, const char *name, json_t *args, int send_fd, int timeout_ms, lg_qmp_done done,
		   void *arg)
{
	unsigned int i = 0;
	int r;

	while (i < LG_QMP_WAITING && q->waiting[i].id)
		i++;
	if (q->fd < 0 || i == LG_QMP_WAITING) {
		json_decref(args);
		return q->fd < 0 ? -ENOTCONN : -EBUSY;
	}
	r = send_command(q, q->next_id, name, args, send_fd);
	if (r < 0)
		return r;
	q->waiting[i] = (struct lg_qmp_wait){ .id = q->next_id++, .until_ms = now_ms() + timeout_ms,
					      .done = done, .arg = arg };
	return 0;
}

static void finish(struct lg_qmp_wait *w, const json_t *ret, const struct lg_err *err)
{
	struct lg_qmp_wait copy = *w;

	w->id = 0;	/* first: the callback may send the next one */
	if (copy.done)
		copy.done(copy.arg, ret, err);
}

int lg_qmp_expire(struct lg_qmp *q)
{
	int64_t now = now_ms(), next = -1;

	for (unsigned int i = 0; i < LG_QMP_WAITING; i++) {
		struct lg_qmp_wait *w = &q->waiting[i];
		struct lg_err err = { 0 };

		if (!w->id)
			continue;
		if (w->until_ms <= now) {
			lg_refuse(&err, -ETIMEDOUT, 0, "QEMU did not answer in time");
			finish(w, NULL, &err);
		} else if (next < 0 || w->until_ms - now < next) {
			next = w->until_ms - now;
		}
	}
	return (int)next;
}

void lg_qmp_end(struct lg_qmp *q)
{
	struct lg_err err = { 0 };

	q->fd = -1;
	free(q->line);
	q->line = NULL;
	q->len = 0;
	lg_refuse(&err, -EPIPE, 0, "QEMU ended");
	for (unsigned int i = 0; i < LG_QMP_WAITING; i++)
		if (q->waiting[i].id)
			finish(&q->waiting[i], NULL, &err);
}

/* ---- what it says ---- */

static void on_capabilities(void *arg, const json_t *ret, const struct lg_err *err)
{
	struct lg_qmp *q = arg;

	(void)err;
	q->greeted = ret != NULL;
	if (q->greeted && q->on_ready)
		q->on_ready(q->arg);
}

static void take_answer(struct lg_qmp *q, const json_t *answer)
{
	uint64_t id = (uint64_t)lg_json_int(answer, "id", 0);
	const json_t *ret = json_object_get(answer, "return");
	const json_t *error = json_object_get(answer, "error");
	struct lg_err err = { 0 };

	if (!ret)
		lg_refuse(&err, -EIO, 0, "QEMU: %.400s",
			  lg_json_str(error, "desc") ? lg_json_str(error, "desc") : "it failed");
	for (unsigned int i = 0; id && i < LG_QMP_WAITING; i++) {
		if (q->waiting[i].id != id)
			continue;
		finish(&q->waiting[i], ret, &err);
		return;
	}
}

/* "7.2.22", of its greeting */
static void keep_version(struct lg_qmp *q, const json_t *greeting)
{
	const json_t *v = json_object_get(json_object_get(greeting, "version"), "qemu");

	snprintf(q->version, sizeof(q->version), "%d.%d.%d", (int)lg_json_int(v, "major", 0) % 1000,
		 (int)lg_json_int(v, "minor", 0) % 1000, (int)lg_json_int(v, "micro", 0) % 1000);
}

static int take_line(struct lg_qmp *q, const char *text, size_t len)
{
	lg_autojson json_t *value = json_loadb(text, len, 0, NULL);
	const char *event = lg_json_str(value, "event");

	if (!json_is_object(value))
		return -EPROTO;
	if (json_object_get(value, "QMP")) {
		keep_version(q, json_object_get(value, "QMP"));
		return lg_qmp_command(q, "qmp_capabilities", NULL, -1, GREETING_MS, on_capabilities, q);
	}
	if (event && q->on_event)
		q->on_event(q->arg, event, json_object_get(value, "data"));
	else if (!event)
		take_answer(q, value);
	return 0;
}

/* Each whole line; what is left of the next one moves to the front. */
static int take_lines(struct lg_qmp *q)
{
	size_t from = 0;
	char *end;
	int r = 0;

	while (r == 0 && q->line && (end = memchr(q->line + from, '\n', q->len - from))) {
		size_t len = (size_t)(end - (q->line + from));

		if (len > 0 && q->line[from + len - 1] == '\r')
			r = len == 1 ? 0 : take_line(q, q->line + from, len - 1);
		else if (len > 0)
			r = take_line(q, q->line + from, len);
		from += len + 1;
	}
	if (q->line) {
		memmove(q->line, q->line + from, q->len - from);
		q->len -= from;
	}
	return r;
}

static ssize_t read_some(struct lg_qmp *q)
{
	size_t max = q->line_max ? q->line_max : LG_QMP_LINE;

	if (!q->line)
		q->line = malloc(max);
	if (!q->line)
		return -ENOMEM;
	if (q->len == max)
		return -EPROTO;	/* a line without end */
	for (;;) {
		ssize_t n = recv(q->fd, q->line + q->len, max - q->len, MSG_DONTWAIT);

		if (n >= 0)
			return n;
		if (errno != EINTR)
			return -errno;
	}
}

int lg_qmp_input(struct lg_qmp *q)
{
	ssize_t n = 0;
	int r = 0;

	while (r == 0 && q->fd >= 0 && (n = read_some(q)) > 0) {
		q->len += (size_t)n;
		r = take_lines(q);
	}
	if (r == 0 && q->fd >= 0 && n == -EAGAIN) {
		if (q->len == 0) {
			free(q->line);
			q->line = NULL;
		}
		return 0;
	}
	if (q->fd < 0)
		return -EPIPE;
	lg_qmp_end(q);
	return r < 0 || n == -EPROTO ? -EPROTO : -EPIPE;
}
