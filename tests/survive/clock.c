/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "survive.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <time.h>
#include <unistd.h>

/*
 * The wall clock tells how long it really took. MONOTONIC and BOOTTIME may leave the outage
 * out, or count it, but neither go back nor run ahead: on another host, without a time
 * namespace, they would be that host's.
 */

#define SLACK_S 1.0

static double was[3];
static double *spoilt_clock;

static const struct {
	const char *name;
	int clock;
} clocks[] = {
	{"CLOCK_REALTIME", CLOCK_REALTIME},
	{"CLOCK_MONOTONIC", CLOCK_MONOTONIC},
	{"CLOCK_BOOTTIME", CLOCK_BOOTTIME},
};

static int setup(void)
{
	for (int i = 0; i < 3; i++)
		was[i] = sv_now(clocks[i].clock);
	return 0;
}

static int goes_on(int i)
{
	double real = sv_now(CLOCK_REALTIME) - was[0],
	       passed = sv_now(clocks[i].clock) - was[i];

	if (passed < 0)
		return sv_fail("%s went back by %.3f s", clocks[i].name, -passed);
	if (passed > real + SLACK_S)
		return sv_fail("%s went ahead by %.3f s in %.3f s", clocks[i].name, passed,
			       real);
	return 0;
}

static int monotonic_verify(void)
{
	return goes_on(1);
}

static int boottime_verify(void)
{
	return goes_on(2);
}

static void monotonic_spoil(void)
{
	was[1] += 1000;
}

static void boottime_spoil(void)
{
	was[2] -= 1000;
}

/* The vdso answers as the kernel does: its pages are another host's after a migration. */
static int vdso_verify(void)
{
	for (int i = 0; i < 3; i++) {
		struct timespec ts;
		double before, kernel, after;

		before = sv_now(clocks[i].clock);
		if (syscall(SYS_clock_gettime, clocks[i].clock, &ts) < 0)
			return sv_errno("clock_gettime");
		after = sv_now(clocks[i].clock);
		kernel = (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
		if (spoilt_clock)
			kernel += *spoilt_clock;
		if (kernel < before - 1e-3 || kernel > after + 1e-3)
			return sv_fail("%s: the vdso says %.6f to %.6f, the kernel %.6f",
				       clocks[i].name, before, after, kernel);
	}
	if (llabs((long long)time(NULL) - (long long)sv_now(CLOCK_REALTIME)) > 1)
		return sv_fail("time() is not the wall clock");
	return 0;
}

static void vdso_spoil(void)
{
	static double hour = 3600;

	spoilt_clock = &hour;
}

/* The wall clock does not go back, and has not run ahead of what its monotonic clock allows
 * without an outage. */
#define OUTAGE_MAX_S 3600.0

static int realtime_verify(void)
{
	double passed = sv_now(CLOCK_REALTIME) - was[0];

	if (passed < 0)
		return sv_fail("the wall clock went back by %.3f s", -passed);
	return passed > OUTAGE_MAX_S
		       ? sv_fail("the wall clock says that %.0f s have passed", passed)
		       : 0;
}

static void realtime_spoil(void)
{
	was[0] += 10;
}

/* Its file's time goes on with it. */
static int64_t uptime_of_proc(void)
{
	int64_t s = -1;

	return sv_number("/proc/uptime", "", &s) < 0 ? -1 : s;
}

static int64_t proc_was;

static int uptime_setup(void)
{
	proc_was = uptime_of_proc();
	return proc_was < 0 ? -1 : setup();
}

static int uptime_verify(void)
{
	int64_t passed = uptime_of_proc() - proc_was;
	double real = sv_now(CLOCK_REALTIME) - was[0];

	if (passed < 0)
		return sv_fail("the uptime went back by %d s", (int)-passed);
	return (double)passed > real + 2
		       ? sv_fail("the uptime went ahead by %d s in %.1f s", (int)passed, real)
		       : 0;
}

static void uptime_spoil(void)
{
	proc_was += 1000;
}

/* clang-format off */
const struct sv_item sv_clock_items[] = {
	{ "clock-realtime", "CLOCK_REALTIME", setup, realtime_verify, realtime_spoil, NULL, SV_KEPT },
	{ "clock-monotonic", "CLOCK_MONOTONIC goes on", setup, monotonic_verify, monotonic_spoil, NULL, SV_KEPT },
	{ "clock-boottime", "CLOCK_BOOTTIME goes on", setup, boottime_verify, boottime_spoil, NULL, SV_KEPT },
	{ "clock-vdso", "the vdso and the kernel agree", setup, vdso_verify, vdso_spoil, NULL, SV_KEPT },
	{ "clock-uptime", "/proc/uptime goes on", uptime_setup, uptime_verify, uptime_spoil, NULL, SV_KEPT },
	{ .name = NULL },
};
