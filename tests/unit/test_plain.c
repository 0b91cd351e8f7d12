/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "storage/plain.h"

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/file.h"
#include "storage/layer.h"
#include "tests/unit/test_var.h"

static char rootfs[128];

static void make_var(void)
{
	struct lg_err err = { 0 };

	make_var_in("/tmp");
	snprintf(rootfs, sizeof(rootfs), "%s/rootfs", var);
	ck_assert_int_eq(mkdir(rootfs, 0755), 0);
	ck_assert_msg(lg_layer_create(var, 101, &no_limit, &err) == 0, "%s", err.msg);
}

static unsigned int bit(const char *name)
{
	for (size_t i = 0; i < lg_nplains; i++)
		if (strcmp(lg_plains[i].name, name) == 0)
			return 1u << i;
	ck_abort_msg("no plain folder is called %s", name);
	return 0;
}

static unsigned int all(void)
{
	return (1u << lg_nplains) - 1;
}

static unsigned int make(void)
{
	struct lg_err err = { 0 };
	unsigned int kept = 0;

	ck_assert_msg(lg_plain_make(var, 101, rootfs, &kept, &err) == 0, "%s", err.msg);
	ck_assert_uint_eq(lg_plain_find(var, 101), all() & ~kept);
	return kept;
}

START_TEST(there_are_none_before_they_are_made)
{
	ck_assert_uint_eq(lg_plain_find(var, 101), 0);
	ck_assert_uint_eq(lg_plain_find(var, 102), 0);
}
END_TEST

START_TEST(all_are_made_with_their_modes_and_stay)
{
	struct stat st;

	ck_assert_uint_eq(make(), 0);
	for (size_t i = 0; i < lg_nplains; i++) {
		char path[80];

		snprintf(path, sizeof(path), "ct/101/plain/%s", lg_plains[i].name);
		ck_assert_int_eq(lstat(in_var(path), &st), 0);
		ck_assert_uint_eq(st.st_mode & 07777, lg_plains[i].mode);
	}
	ck_assert_int_eq(lstat(in_var("ct/101/plain"), &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0700);
	ck_assert_int_eq(mkdir(in_var("ct/101/plain/home/user"), 0755), 0);
	ck_assert_uint_eq(make(), 0);
	ck_assert_int_eq(access(in_var("ct/101/plain/home/user"), F_OK), 0);
}
END_TEST

START_TEST(what_has_files_is_not_hidden)
{
	ck_assert_int_eq(mkdir(in_var("ct/101/upper/home"), 0755), 0);
	ck_assert_int_eq(mkdir(in_var("ct/101/upper/home/user"), 0755), 0);
	ck_assert_int_eq(mkdir(in_var("rootfs/var"), 0755), 0);
	ck_assert_int_eq(mkdir(in_var("rootfs/var/lib"), 0755), 0);
	ck_assert_int_eq(mkdir(in_var("rootfs/var/lib/docker"), 0755), 0);
	ck_assert_int_eq(mkdir(in_var("rootfs/var/lib/docker/x"), 0755), 0);
	ck_assert_uint_eq(make(), bit("home") | bit("docker"));
	/* gone from there: made at the next start */
	ck_assert_int_eq(rmdir(in_var("ct/101/upper/home/user")), 0);
	ck_assert_uint_eq(make(), bit("docker"));
}
END_TEST

START_TEST(a_link_of_the_guests_is_left_alone)
{
	ck_assert_int_eq(symlink("/etc", in_var("ct/101/upper/home")), 0);
	ck_assert_int_eq(mkdir(in_var("ct/101/upper/var"), 0755), 0);
	ck_assert_int_eq(symlink("../../../../../..", in_var("ct/101/upper/var/lib")), 0);
	/* "/var/lib/lodge" is then "/lodge" of the layer, not the host's */
	ck_assert_uint_eq(make(), bit("home"));
}
END_TEST

START_TEST(a_deleted_one_is_free)
{
	ck_assert_int_eq(mknod(in_var("ct/101/upper/home"), S_IFCHR, makedev(0, 0)), 0);
	ck_assert_uint_eq(make(), 0);
}
END_TEST

static Suite *plain_suite(void)
{
	Suite *s = suite_create("plain");
	TCase *tc = tcase_create("store");

	tcase_add_checked_fixture(tc, make_var, remove_var);
	tcase_add_test(tc, there_are_none_before_they_are_made);
	tcase_add_test(tc, all_are_made_with_their_modes_and_stay);
	tcase_add_test(tc, what_has_files_is_not_hidden);
	tcase_add_test(tc, a_link_of_the_guests_is_left_alone);
	tcase_add_test(tc, a_deleted_one_is_free);
	suite_add_tcase(s, tc);
	return s;
}

int main(void)
{
	SRunner *sr = srunner_create(plain_suite());
	int failures;

	srunner_run_all(sr, CK_ENV);
	failures = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failures ? 1 : 0;
}
