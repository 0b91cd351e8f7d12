/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * The state of a VM, from the pipe that QEMU writes it into to the other host, where another QEMU reads it as it comes. It is kept here
 * as well, and there: what counts in the end are two files (lodged), as after a suspend.
 *
 * How it works: while the machine runs (the stage "copy ahead") the pipe is emptied until lodged says FROZEN; when its files are there,
 * too, lodged is asked for the rest, and the pipe emptied to its end.
 */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include "cmd/lodge-worker/move.h"
#include "ct/migrate.h"
#include "lib/cleanup.h"
#include "lib/json.h"
#include "lib/varlink.h"

#define CHUNK (256u << 10)
#define TELL_US 3000000u

static char chunk[CHUNK];

static int keep(int fd, const char *data, size_t len, struct lg_err *err)
{
	while (len > 0) {
		ssize_t n = write(fd, data, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return lg_fail(err, -errno, "keep the machine's state");
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

/* Return: 1: there may be more; 0: the end. */
static int pass_on(struct move *m, struct lg_err *err)
{
	ssize_t n = read(m->stream, chunk, sizeof(chunk));
	int r;

	if (n < 0)
		return errno == EINTR || errno == EAGAIN ? 1 : lg_fail(err, -errno, "read the machine's state");
	if (n == 0)
		return 0;
	r = keep(m->kept, chunk, (size_t)n, err);
	if (r == 0)
		r = wire_send(&m->ssh.wire, json_pack("{s:s, s:I}", "op", "state", "size", (json_int_t)n), err);
	if (r == 0)
		r = wire_send_data(&m->ssh.wire, chunk, (size_t)n, err);
	m->stage_bytes += r == 0 ? (uint64_t)n : 0;
	return r < 0 ? r : 1;
}

/* Before the machine stands still the stream has no end. */
static int ended_early(struct move *m, struct lg_err *err)
{
	int r = move_hear(m, NULL, err);

	return r < 0 ? r : lg_refuse(err, -EIO, 0, "QEMU ended in the middle of the machine's state");
}

static void tell(const struct move *m, uint64_t *next_us)
{
	if (move_now_us() < *next_us)
		return;
	printf("P copying its memory: %.1f MiB\n", (double)m->stage_bytes / (1 << 20));
	*next_us = move_now_us() + TELL_US;
}

static int until_still(struct move *m, struct lg_err *err)
{
	struct pollfd p[2] = { { .fd = LG_MIGRATE_FD, .events = POLLIN }, { .fd = m->stream, .events = POLLIN } };
	uint64_t next_us = move_now_us() + TELL_US;
	int r = 1;

	while (r == 1) {
		if (poll(p, 2, -1) < 0 && errno != EINTR)
			return lg_fail(err, -errno, "wait for the machine's state");
		if (p[0].revents)
			return move_hear(m, NULL, err);
		r = pass_on(m, err);
		tell(m, &next_us);
	}
	return r < 0 ? r : ended_early(m, err);
}

static int begin_there(struct move *m, struct lg_err *err)
{
	printf("P copying its memory\n");
	return wire_ask(&m->ssh.wire, json_pack("{s:s}", "op", "incoming"), NULL, err);
}

int move_stream(struct move *m, struct lg_err *err)
{
	uint64_t start = move_now_us();
	int r = begin_there(m, err);

	m->stage_bytes = 0;
	wait_at("stream");
	if (r == 0)
		r = move_ask(m, LG_M_AHEAD, &m->stream, err);
	if (r < 0)
		return r;
	m->kept = lg_msg_take_fd(&m->msg, 1);
	lg_msg_drop_fds(&m->msg);
	r = until_still(m, err);
	if (r < 0)
		return r;
	m->frozen_us = lg_msg_get_u64(&m->msg, "us", move_now_us());
	m->frozen_us = m->frozen_us ? m->frozen_us : move_now_us();
	if (!lg_msg_get_u64(&m->msg, "written", 0))
		m->written = lg_close(m->written);	/* all of the disk is looked at */
	move_note(m, "copy ahead", start);
	return 0;
}

int move_stream_rest(struct move *m, struct lg_err *err)
{
	int r = move_say(m, LG_M_FREEZE, err);

	while (r == 0 && (r = pass_on(m, err)) == 1)
		r = move_check_time(m, err);
	if (r == 0)
		r = move_hear(m, &m->images, err);
	m->kept = lg_close(m->kept);
	m->stream = lg_close(m->stream);
	return r < 0 ? r : wire_ask(&m->ssh.wire, json_pack("{s:s}", "op", "stated"), NULL, err);
}
