/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ct/trace.h"

#include <fcntl.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static int trace_fd = -1;

void lg_trace_open(void)
{
	trace_fd = fcntl(2, F_DUPFD_CLOEXEC, 3);
}

int *lg_trace_fd(void)
{
	return &trace_fd;
}

void lg_trace(const char *what)
{
	struct timespec now;
	char line[120];
	int n;

	if (trace_fd < 0)
		return;
	clock_gettime(CLOCK_MONOTONIC, &now);
	n = snprintf(line, sizeof(line), "%lld.%06ld %d %s\n", (long long)now.tv_sec,
		     now.tv_nsec / 1000, (int)getpid(), what);
	if (n > 0 && (size_t)n < sizeof(line) && write(trace_fd, line, (size_t)n) < 0)
		trace_fd = -1;
}
