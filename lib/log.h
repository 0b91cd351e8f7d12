/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_LIB_LOG_H
#define LG_LIB_LOG_H

/* Lines on stderr, "<N>" in front when the journal reads them (JOURNAL_STREAM is set). */

enum lg_log_level { LG_LOG_ERR = 3, LG_LOG_WARN = 4, LG_LOG_INFO = 6, LG_LOG_DEBUG = 7 };

/** lg_log_open() - whose lines these are, and the least important level to write. */
void lg_log_open(const char *who, enum lg_log_level upto);

/** lg_log() - one line, where @level is important enough; no line end needed. */
void lg_log(enum lg_log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
