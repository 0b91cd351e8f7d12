/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lib/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/cleanup.h"

static struct {
	const char *who;
	enum lg_log_level upto;
	bool journal;
	const char *path;	/* NULL: not a file of ours */
	size_t max;
} log_state = { .who = "lodge", .upto = LG_LOG_INFO };

void lg_log_open(const char *who, enum lg_log_level upto)
{
	log_state.who = who;
	log_state.upto = upto;
	log_state.journal = getenv("JOURNAL_STREAM") != NULL;
}

static int open_file(const char *path)
{
	lg_autoclose int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC,
				   0600);

	/* dup2() leaves close-on-exec behind: children have it as their stderr. */
	return fd < 0 || dup2(fd, STDERR_FILENO) < 0 ? -errno : 0;
}

/* Who still has the old one open (a shim) goes on writing there. */
static void turn_over(void)
{
	char old[512];
	struct stat st;

	if (fstat(STDERR_FILENO, &st) < 0 || (size_t)st.st_size < log_state.max)
		return;
	snprintf(old, sizeof(old), "%s.1", log_state.path);
	if (rename(log_state.path, old) == 0)
		(void)open_file(log_state.path);
}

int lg_log_to_file(const char *path, size_t max, struct lg_err *err)
{
	int r = open_file(path);

	if (r < 0)
		return lg_fail(err, r, "open '%s'", path);
	log_state.path = path;
	log_state.max = max;
	log_state.journal = false;
	turn_over();
	return 0;
}

static void write_with_time(const char *line)
{
	time_t now = time(NULL);
	char when[32] = "";
	struct tm tm;

	if (localtime_r(&now, &tm))
		strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S%z ", &tm);
	dprintf(STDERR_FILENO, "%s%s: %s\n", when, log_state.who, line);
	turn_over();
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
	if (log_state.path)
		write_with_time(line);
	else if (log_state.journal)
		dprintf(STDERR_FILENO, "<%d>%s\n", (int)level, line);
	else
		dprintf(STDERR_FILENO, "%s: %s\n", log_state.who, line);
}
