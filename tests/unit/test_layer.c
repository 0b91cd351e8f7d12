/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "storage/layer.h"

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/exit.h"
#include "lib/file.h"
#include "lib/parse.h"
#include "tests/unit/test_var.h"

static void make_var(void)
{
	make_var_in("/tmp");
}

static mode_t mode_of(const char *rest)
{
	struct stat st;

	ck_assert_msg(lstat(in_var(rest), &st) == 0, "%s: %s", rest, strerror(errno));
	return st.st_mode & 07777;
}

static unsigned int entries(const char *rest)
{
	lg_autodir DIR *dir = opendir(in_var(rest));
	unsigned int n = 0;

	ck_assert_ptr_nonnull(dir);
	while (readdir(dir))
		n++;
	return n - 2;
}

static void create(uint32_t ctid)
{
	struct lg_err err = { 0 };

	ck_assert_msg(lg_layer_create(var, ctid, &no_limit, &err) == 0, "%s", err.msg);
}

START_TEST(layer_has_upper_and_work_and_is_closed_to_users)
{
	mode_t old = umask(077);

	ck_assert(!lg_layer_exists(var, 101));
	create(101);
	umask(old);
	ck_assert(lg_layer_exists(var, 101));
	ck_assert_uint_eq(mode_of("ct"), 0700);
	ck_assert_uint_eq(mode_of("ct/101"), 0700);
	ck_assert_uint_eq(mode_of("ct/101/upper"), 0755);
	ck_assert_uint_eq(mode_of("ct/101/work"), 0700);
	ck_assert_uint_eq(entries("ct"), 1);
}
END_TEST

START_TEST(a_second_one_is_refused_and_the_first_kept)
{
	struct lg_err err = { 0 };

	create(101);
	ck_assert_int_eq(mkdir(in_var("ct/101/upper/file"), 0755), 0);
	ck_assert_int_eq(lg_layer_create(var, 101, &no_limit, &err), -EEXIST);
	ck_assert_int_eq(err.exit_code, LG_EXIT_PRIVATE_EXISTS);
	ck_assert_uint_eq(mode_of("ct/101/upper/file"), 0755);
	ck_assert_uint_eq(entries("ct"), 1);
}
END_TEST

START_TEST(what_a_killed_create_left_is_no_obstacle)
{
	create(102);
	ck_assert_int_eq(mkdir(in_var("ct/.101.new"), 0700), 0);
	ck_assert_int_eq(mkdir(in_var("ct/.101.new/upper"), 0755), 0);
	ck_assert(!lg_layer_exists(var, 101));
	create(101);
	ck_assert(lg_layer_exists(var, 101));
	ck_assert_uint_eq(entries("ct"), 2);
}
END_TEST

START_TEST(trash_takes_it_away_and_can_take_it_again)
{
	create(101);
	ck_assert_int_eq(lg_layer_trash(var, 101, NULL), 0);
	ck_assert(!lg_layer_exists(var, 101));
	create(101);
	ck_assert_int_eq(lg_layer_trash(var, 101, NULL), 0);
	ck_assert_uint_eq(entries("trash"), 2);
	ck_assert_uint_eq(mode_of("trash"), 0700);
}
END_TEST

START_TEST(trash_of_a_missing_layer_is_success)
{
	ck_assert_int_eq(lg_layer_trash(var, 101, NULL), 0);
}
END_TEST

START_TEST(emptying_deletes_what_is_in_it_and_nothing_else)
{
	struct lg_err err = { 0 };

	create(101);
	create(102);
	ck_assert_int_eq(mkdir(in_var("ct/101/upper/a"), 0755), 0);
	ck_assert_int_eq(mkdir(in_var("ct/101/upper/a/b"), 0), 0);
	ck_assert_int_eq(symlink(var, in_var("ct/101/upper/a/out")), 0);
	ck_assert_int_eq(lg_layer_trash(var, 101, NULL), 0);
	ck_assert_msg(lg_layer_empty_trash(var, &err) == 0, "%s", err.msg);
	ck_assert_uint_eq(entries("trash"), 0);
	ck_assert(lg_layer_exists(var, 102));
}
END_TEST

START_TEST(emptying_an_empty_trash_is_success)
{
	ck_assert_int_eq(lg_layer_empty_trash(var, NULL), 0);
	ck_assert_int_eq(lg_layer_empty_trash(var, NULL), 0);
}
END_TEST

static Suite *layer_suite(void)
{
	Suite *s = suite_create("layer");
	TCase *tc = tcase_create("store");

	tcase_add_checked_fixture(tc, make_var, remove_var);
	tcase_add_test(tc, layer_has_upper_and_work_and_is_closed_to_users);
	tcase_add_test(tc, a_second_one_is_refused_and_the_first_kept);
	tcase_add_test(tc, what_a_killed_create_left_is_no_obstacle);
	tcase_add_test(tc, trash_takes_it_away_and_can_take_it_again);
	tcase_add_test(tc, trash_of_a_missing_layer_is_success);
	tcase_add_test(tc, emptying_deletes_what_is_in_it_and_nothing_else);
	tcase_add_test(tc, emptying_an_empty_trash_is_success);
	suite_add_tcase(s, tc);
	return s;
}

int main(void)
{
	SRunner *sr = srunner_create(layer_suite());
	int failures;

	srunner_run_all(sr, CK_ENV);
	failures = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failures ? 1 : 0;
}
