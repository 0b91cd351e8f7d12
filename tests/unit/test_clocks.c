/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ct/clocks.h"

#include <check.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/proc.h"

static ino_t children_have(void)
{
	struct stat st;

	ck_assert_int_eq(stat("/proc/self/ns/time_for_children", &st), 0);
	return st.st_ino;
}

static ino_t we_have(void)
{
	struct stat st;

	ck_assert_int_eq(stat("/proc/self/ns/time", &st), 0);
	return st.st_ino;
}

static double seconds(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static int ended(pid_t pid)
{
	int status;

	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* 0: both clocks and the uptime have just begun. */
static int begun_now(void)
{
	struct sysinfo info;

	if (seconds(CLOCK_MONOTONIC) < 0 || seconds(CLOCK_MONOTONIC) > 5)
		return 1;
	if (seconds(CLOCK_BOOTTIME) < 0 || seconds(CLOCK_BOOTTIME) > 5)
		return 2;
	return sysinfo(&info) == 0 && info.uptime <= 6 ? 0 : 3;
}

START_TEST(clocks_of_a_child_begin_at_0)
{
	ino_t own = we_have();
	double before = seconds(CLOCK_BOOTTIME);
	int home = lg_clocks_begin();
	pid_t pid;

	ck_assert_int_ge(home, 0);
	pid = fork();
	if (pid == 0)
		_exit(begun_now());
	lg_clocks_end(home);
	ck_assert_int_eq(ended(pid), 0);
	ck_assert_uint_eq(we_have(), own);
	ck_assert_uint_eq(children_have(), own);
	ck_assert(seconds(CLOCK_BOOTTIME) >= before);
}
END_TEST

START_TEST(the_next_one_begins_anew)
{
	for (int i = 0; i < 2; i++) {
		int home = lg_clocks_begin();
		pid_t pid = fork();

		if (pid == 0) {
			usleep(300000);
			_exit(seconds(CLOCK_MONOTONIC) < 0.3 || seconds(CLOCK_MONOTONIC) > 5);
		}
		lg_clocks_end(home);
		ck_assert_int_eq(ended(pid), 0);
	}
}
END_TEST

START_TEST(others_clocks_are_known)
{
	int home = lg_clocks_begin();
	pid_t pid = fork();

	if (pid == 0)
		for (;;)
			pause();
	lg_clocks_end(home);
	ck_assert(lg_clocks_differ(pid));
	ck_assert(!lg_clocks_differ(getpid()));
	ck_assert(!lg_clocks_differ(0x7fffffff));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}
END_TEST

/* What root inside of a container has: a user namespace of its own, and no right to set clocks. */
static int without_the_right(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct caps[2];

	if (syscall(SYS_capget, &head, caps) < 0)
		return 1;
	caps[0].effective &= ~(1u << CAP_SYS_TIME);
	if (syscall(SYS_capset, &head, caps) < 0)
		return 2;
	if (lg_clocks_begin() >= 0)
		return 3;
	return children_have() == we_have() ? 0 : 4;
}

static const int inside[] = { CLONE_NEWUSER, CLONE_NEWUSER | CLONE_NEWTIME };

START_TEST(inside_of_a_container_they_stay_shared)
{
	pid_t pid = fork();

	if (pid == 0) {
		if (unshare(inside[_i]) < 0)
			_exit(5);
		pid = fork();
		_exit(pid == 0 ? without_the_right() : ended(pid));
	}
	ck_assert_int_eq(ended(pid), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("clocks");
	TCase *tc = tcase_create("clocks");
	SRunner *runner;
	int failed;

	if (geteuid() != 0 || access("/proc/self/ns/time", F_OK) < 0)
		return 77;
	tcase_add_test(tc, clocks_of_a_child_begin_at_0);
	tcase_add_test(tc, the_next_one_begins_anew);
	tcase_add_test(tc, others_clocks_are_known);
	tcase_add_loop_test(tc, inside_of_a_container_they_stay_shared, 0, ARRAY_SIZE(inside));
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
