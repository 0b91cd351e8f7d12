/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_CMD_LODGE_PUMP_H
#define LG_CMD_LODGE_PUMP_H

/*
 * How it works: a pump moves bytes one way, from one descriptor to another, inside a poll loop
 * that has several of them. It never blocks where that can be avoided without making the caller's
 * own descriptors non-blocking (they are shared with other programs): it waits for POLLOUT and
 * then writes no more than a pipe takes at once. Between pipes and files the kernel moves the
 * bytes (splice), otherwise they go through a buffer.
 *
 * A pump ends when its source ends, or when nobody reads its target any more. Descriptors of ours
 * (own_from, own_to) are closed then, so that the other side hears of it.
 */

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>

#define PUMP_BUFFER 65536u

struct pump {
	int from, to;		/* -1: none */
	bool own_from, own_to;
	bool done;
	bool use_splice;
	bool wait_out;		/* splice found the target full */
	size_t piece;		/* most to write at once */
	char *buf;		/* allocated when first used */
	size_t at, len;		/* what is in it and not yet written */
	/* may change the bytes just read, in place; answers how many are left, or -1 to end */
	long (*filter)(char *buf, size_t len, void *arg);
	void *arg;
};

/** pump_init() - from @from to @to; -1 as @from: nothing but what pump_preset() gives. */
void pump_init(struct pump *p, int from, bool own_from, int to, bool own_to);

/** pump_preset() - bytes that go first; copied. 0, -ENOMEM. */
int pump_preset(struct pump *p, const void *data, size_t len);

/** pump_want() - what to poll for: @fds[0] is the source, @fds[1] the target. */
void pump_want(const struct pump *p, struct pollfd fds[2]);

/** pump_run() - move what can be moved after poll() filled @fds. */
void pump_run(struct pump *p, const struct pollfd fds[2]);

/** pump_idle() - nothing is in the buffer, and nothing could be read now. */
bool pump_idle(const struct pump *p);

/** pump_end() - stop, and close what is ours. */
void pump_end(struct pump *p);

#endif
