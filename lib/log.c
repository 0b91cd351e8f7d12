/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lib/log.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct {
	const char *who;
	enum lg_log_level upto;
	bool journal;
} log_state = { "lodge", LG_LOG_INFO, false };

void lg_log_open(const char *who, enum lg_log_level upto)
{
	log_state.who = who;
	log_state.upto = upto;
	log_state.journal = getenv("JOURNAL_STREAM") != NULL;
}

void lg_log(enum lg_log_level level, const char *fmt, ...)
{
	char line[1024];
	va_list ap;

	if (level > log_state.upto)
		return;
	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (log_state.journal)
		dprintf(STDERR_FILENO, "<%d>%s\n", (int)level, line);
	else
		dprintf(STDERR_FILENO, "%s: %s\n", log_state.who, line);
}
