/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_CMD_CRIU_LOG_H
#define LG_CMD_CRIU_LOG_H

#include <stddef.h>
#include <stdio.h>

#include "ct/checkpoint.h"

#define LOG_CAUSE_MAX 300u

/** log_cause() - the line of CRIU's log that says why, in plain words where they are known; @ret is "" when there is none */
void log_cause(int images, char *ret, size_t size);

/**
 * log_read() - the same, out of @log
 * @proc:	/proc, in which the processes that it names are looked up
 */
void log_read(FILE *log, int proc, char *ret, size_t size);

#endif
