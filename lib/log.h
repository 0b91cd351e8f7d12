/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_LIB_LOG_H
#define LG_LIB_LOG_H

/*
 * Lines on stderr, "<N>" in front when the journal reads them (JOURNAL_STREAM is set), the time when they go
 * to a file of ours.
 */

#include <stddef.h>

#include "lib/err.h"

enum lg_log_level { LG_LOG_ERR = 3, LG_LOG_WARN = 4, LG_LOG_INFO = 6, LG_LOG_DEBUG = 7 };

/** lg_log_open() - whose lines these are, and the least important level to write. */
void lg_log_open(const char *who, enum lg_log_level upto);

/**
 * lg_log_to_file() - from here on stderr is the file @path, with what children say on it too
 * @path:	absolute; borrowed for good. Its folder is there. Made with mode 0600, appended to
 * @max:	bytes; one that has more becomes @path.1, and a new one is begun
 *
 * Return: 0; negative errno, then stderr is as it was.
 */
int lg_log_to_file(const char *path, size_t max, struct lg_err *err);

/** lg_log() - one line, where @level is important enough; no line end needed. */
void lg_log(enum lg_log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
