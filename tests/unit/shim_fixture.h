/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_TEST_SHIM_FIXTURE_H
#define LG_TEST_SHIM_FIXTURE_H

/* What the programs that test the shim with check have in common: one drive and one session each. */

#include <check.h>
#include <signal.h>
#include <string.h>

#include "ct/proto.h"

/* Not a folder's library: part of each program. */
#include "tests/unit/shim_drive.c"

#define IDLE_INIT "trap 'exit 7' TERM; echo up; while :; do sleep 1000 & wait; done"

static struct drive d;
static struct drive_exec e;

static void set_up(void)
{
	drive_new(&d, NULL);
	memset(&e, 0, sizeof(e));
}

static void take_down(void)
{
	ck_assert_msg(drive_free(&d), "something is left behind");
}

static inline void run_idle(void)
{
	drive_run(&d, IDLE_INIT);
	ck_assert(drive_wait_file(&d, "console.log", "up"));
}

static inline void stop(void)
{
	drive_signal(&d, SIGKILL);
	ck_assert(drive_expect(&d, LG_P_EXITED));
	ck_assert_int_eq(drive_reaped(&d), 0);
}

static inline const char *shell(const char *script)
{
	return drive_sh(&d, script);
}

/* Each of @cases with the drive as its fixture. Return: the program's exit status. */
static int run_cases(const char *name, TCase *const *cases, size_t n)
{
	Suite *s = suite_create(name);
	SRunner *sr;
	int failures;

	if (geteuid() != 0) {
		fprintf(stderr, "%s: the shim is tested by root only\n", name);
		return 77;
	}
	drive_runner = getpid();
	for (size_t i = 0; i < n; i++) {
		tcase_add_checked_fixture(cases[i], set_up, take_down);
		tcase_set_timeout(cases[i], 60);
		suite_add_tcase(s, cases[i]);
	}
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failures = srunner_ntests_failed(sr);
	srunner_free(sr);
	if (failures)
		drive_sweep();
	return failures ? 1 : 0;
}

#endif
