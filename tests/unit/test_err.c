/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lib/err.h"

#include <check.h>
#include <errno.h>
#include <string.h>

#include "lib/exit.h"

START_TEST(fail_appends_what_the_errno_means)
{
	struct lg_err err = { .exit_code = LG_EXIT_MOUNT };

	ck_assert_int_eq(lg_fail(&err, -ENOENT, "open '%s'", "memory.max"), -ENOENT);
	ck_assert_str_eq(err.msg, "open 'memory.max': No such file or directory");
	ck_assert_int_eq(err.code, -ENOENT);
	ck_assert_int_eq(err.exit_code, 0);
}
END_TEST

START_TEST(refuse_says_what_it_is_given_and_no_more)
{
	struct lg_err err = { 0 };

	ck_assert_int_eq(lg_refuse(&err, -EBUSY, LG_EXIT_LOCKED, "%d is busy", 101), -EBUSY);
	ck_assert_str_eq(err.msg, "101 is busy");
	ck_assert_int_eq(err.code, -EBUSY);
	ck_assert_int_eq(err.exit_code, LG_EXIT_LOCKED);
}
END_TEST

START_TEST(context_goes_in_front_and_keeps_the_exit_code)
{
	struct lg_err err = { 0 };

	lg_refuse(&err, -EBUSY, LG_EXIT_LOCKED, "is busy");
	ck_assert_int_eq(lg_within(&err, -EAGAIN, "%s", "make cgroup"), -EAGAIN);
	lg_within(&err, -EAGAIN, "start %s", "web1");
	ck_assert_str_eq(err.msg, "start web1: make cgroup: is busy");
	ck_assert_int_eq(err.code, -EAGAIN);
	ck_assert_int_eq(err.exit_code, LG_EXIT_LOCKED);
}
END_TEST

START_TEST(context_around_nothing_says_the_errno)
{
	struct lg_err err = { 0 };

	lg_within(&err, -ENOSPC, "make image");
	ck_assert_str_eq(err.msg, "make image: No space left on device");
	ck_assert_int_eq(err.code, -ENOSPC);
}
END_TEST

START_TEST(nobody_need_listen)
{
	ck_assert_int_eq(lg_fail(NULL, -EIO, "x"), -EIO);
	ck_assert_int_eq(lg_refuse(NULL, -EPERM, 3, "x"), -EPERM);
	ck_assert_int_eq(lg_within(NULL, -EINVAL, "x"), -EINVAL);
}
END_TEST

START_TEST(a_line_that_is_too_long_is_cut_and_ended)
{
	char text[2000];
	struct lg_err err = { 0 };

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	lg_fail(&err, -EIO, "%s", text);
	ck_assert_uint_eq(strlen(err.msg), sizeof(err.msg) - 1);
	lg_within(&err, -EIO, "around");
	ck_assert_uint_eq(strlen(err.msg), sizeof(err.msg) - 1);
	ck_assert_int_eq(strncmp(err.msg, "around: xxx", 11), 0);
	lg_within(&err, -EIO, "%s", text);
	ck_assert_uint_eq(strlen(err.msg), sizeof(err.msg) - 1);
	lg_refuse(&err, -EIO, 0, "%s", text);
	ck_assert_uint_eq(strlen(err.msg), sizeof(err.msg) - 1);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("err");
	TCase *t = tcase_create("all");

	tcase_add_test(t, fail_appends_what_the_errno_means);
	tcase_add_test(t, refuse_says_what_it_is_given_and_no_more);
	tcase_add_test(t, context_goes_in_front_and_keeps_the_exit_code);
	tcase_add_test(t, context_around_nothing_says_the_errno);
	tcase_add_test(t, nobody_need_listen);
	tcase_add_test(t, a_line_that_is_too_long_is_cut_and_ended);
	suite_add_tcase(s, t);
	return s;
}

int main(void)
{
	SRunner *sr = srunner_create(suite());
	int failures;

	srunner_run_all(sr, CK_ENV);
	failures = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failures ? 1 : 0;
}
