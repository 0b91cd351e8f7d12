/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "survive.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static char why[256];

int sv_fail(const char *format, ...)
{
	va_list args;

	if (why[0])
		return -1;
	va_start(args, format);
	vsnprintf(why, sizeof(why), format, args);
	va_end(args);
	return -1;
}

int sv_errno(const char *what)
{
	return sv_fail("%s: %s", what, strerror(errno));
}

const char *sv_why(void)
{
	return why;
}

int sv_same(const char *what, int64_t wanted, int64_t got)
{
	if (wanted == got)
		return 0;
	return sv_fail("%s: wanted %" PRId64 ", got %" PRId64, what, wanted, got);
}

double sv_now(int clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

void sv_sleep_ms(int ms)
{
	struct timespec left = {ms / 1000, ms % 1000 * 1000000L};

	while (nanosleep(&left, &left) < 0 && errno == EINTR)
		;
}

bool sv_until(int ms, bool (*is)(void))
{
	double end = sv_now(CLOCK_MONOTONIC) + ms / 1e3;

	while (!is()) {
		if (sv_now(CLOCK_MONOTONIC) > end)
			return false;
		sv_sleep_ms(2);
	}
	return true;
}
