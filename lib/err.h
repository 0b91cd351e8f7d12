/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_LIB_ERR_H
#define LG_LIB_ERR_H

/*
 * How errors travel: a function that can fail returns a negative errno and, where a struct
 * lg_err was given, leaves one line that says what failed. Callers put context in front of
 * it only where that tells the user something new. The same line is what the daemon sends
 * and the command prints.
 *
 * `exit_code` is the vzctl exit status that fits the failure (see lib/exit.h), 0 when the
 * place that failed knows of none.
 */

#include <stdbool.h>

struct lg_err {
	int code;	/* negative errno; 0 = nothing recorded */
	int exit_code;	/* LG_EXIT_..., 0 = none fits better than the general one */
	char msg[500];
};

/**
 * lg_fail() - record a failure: "TEXT: strerror(code)"
 * @err:	may be NULL
 * @code:	negative errno
 *
 * Return: @code, so that `return lg_fail(...)` reads as it should.
 */
int lg_fail(struct lg_err *err, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/**
 * lg_refuse() - record a failure whose text says it all; strerror() is not appended
 * @exit_code:	LG_EXIT_..., or 0
 *
 * Return: @code.
 */
int lg_refuse(struct lg_err *err, int code, int exit_code, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/**
 * lg_within() - put context in front of what is recorded: "TEXT: OLD"
 *
 * Return: @code.
 */
int lg_within(struct lg_err *err, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#endif
