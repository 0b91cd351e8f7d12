/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_VM_QMP_H
#define LG_VM_QMP_H

/*
 * A client of QEMU's machine protocol over a socket that it was given.
 *
 * How it works: QEMU says a greeting, is told qmp_capabilities, and from then on a command is a line of JSON with a number,
 * answered with the same number; events come at any time. Nothing here waits: the caller's loop says when there is
 * something to read (lg_qmp_input()) and how late it is (lg_qmp_expire()). QEMU is not believed: a line has a maximum, so has the
 * number of commands that wait for an answer, and what is no JSON ends the connection.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/err.h"

#define LG_QMP_LINE 65536u	/* of one answer or event */
#define LG_QMP_WAITING 16u	/* commands at a time */

/* @ret: what "return" held, borrowed; NULL: it failed, @err says why. */
typedef void (*lg_qmp_done)(void *arg, const json_t *ret, const struct lg_err *err);

struct lg_qmp {
	int fd;			/* borrowed, non-blocking; -1: ended */
	bool greeted;		/* the capabilities were taken */
	char version[24];	/* of QEMU, "7.2.22"; known when greeted */
	void (*on_ready)(void *arg);	/* the first commands may go; may be NULL */
	void (*on_event)(void *arg, const char *name, const json_t *data);
	void *arg;		/* for both */

	uint64_t next_id;
	struct lg_qmp_wait {
		uint64_t id;	/* 0: free */
		int64_t until_ms;
		lg_qmp_done done;
		void *arg;
	} waiting[LG_QMP_WAITING];
	size_t line_max;	/* 0: LG_QMP_LINE. The guest's agent says longer ones */
	char *line;		/* line_max bytes, while something of a line is there */
	size_t len;
};

/** lg_qmp_init() - over @fd. Callbacks are set by the caller afterwards. */
void lg_qmp_init(struct lg_qmp *q, int fd);

/**
 * lg_qmp_command() - send one
 * @args:	its arguments, stolen; NULL: none
 * @send_fd:	a descriptor that goes with it (for "getfd"); -1: none. It stays the caller's
 * @timeout_ms:	after which @done is called with -ETIMEDOUT
 * @done:	may be NULL
 *
 * Return: 0, and @done is called once; negative errno, and it is not: -EBUSY too many wait, -ENOTCONN, -EAGAIN QEMU does not read.
 */
int lg_qmp_command(struct lg_qmp *q, const char *name, json_t *args, int send_fd, int timeout_ms, lg_qmp_done done,
		   void *arg);

/**
 * lg_qmp_input() - read and handle what is there
 * Return: 0; -EPIPE at the end; -EPROTO for what is no QMP. After both the connection is ended and all that waited is failed.
 */
int lg_qmp_input(struct lg_qmp *q);

/** lg_qmp_expire() - fail what waits for too long. Return: milliseconds until the next one is due; -1: none. */
int lg_qmp_expire(struct lg_qmp *q);

/** lg_qmp_end() - fail all that waits, free; the descriptor stays the caller's. */
void lg_qmp_end(struct lg_qmp *q);

#endif
