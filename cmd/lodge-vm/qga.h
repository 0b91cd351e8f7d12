/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_CMD_VM_QGA_H
#define LG_CMD_VM_QGA_H

/* Parts of what executes commands by the guest agent of QEMU (qga.c). */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "ct/loop.h"
#include "lib/err.h"

/* ---- qga_input.c: what goes into a command, all of it before it begins ---- */

struct qga_input {
	struct lg_source source;	/* fd -1: nothing is read */
	bool sock;
	char *data;
	size_t len, max;
	void (*done)(struct qga_input *in, const struct lg_err *err);	/* code 0: all of it is there */
};

/**
 * qga_input_begin() - read @fd to its end
 * @fd:		taken over, also on failure; a pipe, socket, file or device that is no terminal
 * @max:	bytes; more is an error, -EFBIG
 * @done:	called once, also before this returns; not after a failure of it, and not after qga_input_end()
 *
 * Return: 0; -EINVAL and others with a line.
 */
int qga_input_begin(struct qga_input *in, int fd, size_t max, void (*done)(struct qga_input *in, const struct lg_err *err),
		    struct lg_err *err);

/** qga_input_reads() - is its end yet to come? */
bool qga_input_reads(const struct qga_input *in);

/** qga_input_text() - in base64; NULL: there is nothing, or no memory. */
json_t *qga_input_text(const struct qga_input *in);

/** qga_input_end() - forget it. */
void qga_input_end(struct qga_input *in);

/* ---- qga_signal.c ---- */

/**
 * qga_signal_args() - guest-exec's arguments for what sends signal @sig to the process @pid of the guest and all below it
 * Return: NULL: it is none that is passed on.
 */
json_t *qga_signal_args(int sig, int64_t pid);

/** qga_signal_ends() - is a command over for its client, when @sig cannot be passed on? */
bool qga_signal_ends(int sig);

#endif
