/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Layers that are owned by an instance's ids. Needs root: the owners are changed for real. */

#include "storage/shift.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/file.h"
#include "lib/ids.h"
#include "lib/parse.h"
#include "storage/layer.h"

#define BASE 200000u

static char var[64], rootfs[128];

static const char *in_var(const char *rest)
{
	static char path[512];

	snprintf(path, sizeof(path), "%s/%s", var, rest);
	return path;
}

static struct stat stat_of(const char *rest)
{
	struct stat st;

	ck_assert_msg(lstat(in_var(rest), &st) == 0, "%s: %s", rest, strerror(errno));
	return st;
}

static void put(const char *rest, mode_t mode, uid_t uid, gid_t gid)
{
	lg_autoclose int fd = open(in_var(rest), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, "text\n", 5), 5);
	ck_assert_int_eq(fchown(fd, uid, gid), 0);
	ck_assert_int_eq(fchmod(fd, mode), 0);
}

static void make_var(void)
{
	const struct lg_disk_limit none = { .bytes = LG_UNLIMITED, .inodes = LG_UNLIMITED };
	struct lg_err err = { 0 };

	snprintf(var, sizeof(var), "/tmp/lodge-shift-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(var));
	snprintf(rootfs, sizeof(rootfs), "%s/rootfs", var);
	ck_assert_int_eq(mkdir(rootfs, 0755), 0);
	ck_assert_msg(lg_layer_create(var, 101, &none, &err) == 0, "%s", err.msg);
	put("rootfs/plain", 0640, 0, 42);
	put("rootfs/setuid", 06755, 0, 0);
	ck_assert_int_eq(symlink("/etc/passwd", in_var("rootfs/link")), 0);
	ck_assert_int_eq(mkdir(in_var("rootfs/folder"), 0755), 0);
	ck_assert_int_eq(lchown(in_var("rootfs/folder"), 1000, 1000), 0);
	ck_assert_int_eq(chmod(in_var("rootfs/folder"), 01777), 0);
	put("rootfs/folder/deep", 0600, 1000, 1000);
}

static void remove_var(void)
{
	ck_assert_int_eq(lg_remove_tree(AT_FDCWD, var, NULL), 0);
}

static void shift(uint32_t base, int want)
{
	struct lg_err err = { 0 };

	ck_assert_msg(lg_shift_layer(var, 101, base, rootfs, &err) == want, "%d %s", err.code, err.msg);
}

START_TEST(the_copy_is_owned_by_its_ids_and_the_template_stays)
{
	struct stat st;

	ck_assert(!lg_shift_is_done(var, 101, BASE));
	shift(BASE, 0);
	ck_assert(lg_shift_is_done(var, 101, BASE));
	st = stat_of("ct/101/lower.200000/plain");
	ck_assert_uint_eq(st.st_uid, BASE);
	ck_assert_uint_eq(st.st_gid, BASE + 42);
	ck_assert_uint_eq(st.st_mode & 07777, 0640);
	st = stat_of("ct/101/lower.200000/folder/deep");
	ck_assert_uint_eq(st.st_uid, BASE + 1000);
	ck_assert_uint_eq(stat_of("ct/101/lower.200000").st_uid, BASE);
	ck_assert_uint_eq(stat_of("ct/101/lower.200000/link").st_uid, BASE);
	ck_assert_uint_eq(stat_of("rootfs/plain").st_uid, 0);
	ck_assert_uint_eq(stat_of("ct/101/upper").st_uid, BASE);
	ck_assert_uint_eq(stat_of("ct/101/work").st_uid, BASE);
}
END_TEST

START_TEST(what_a_change_of_owner_takes_away_is_put_back)
{
	/* version 2, permitted: cap_net_raw, effective */
	static const unsigned char caps[20] = { 1, 0, 0, 2, 0, 32 };
	unsigned char got[20] = { 0 };

	ck_assert_int_eq(setxattr(in_var("rootfs/plain"), "security.capability", caps,
				  sizeof(caps), 0), 0);
	shift(BASE, 0);
	ck_assert_uint_eq(stat_of("ct/101/lower.200000/setuid").st_mode & 07777, 06755);
	ck_assert_uint_eq(stat_of("ct/101/lower.200000/folder").st_mode & 07777, 01777);
	ck_assert_int_eq(getxattr(in_var("ct/101/lower.200000/plain"), "security.capability", got,
				  sizeof(got)), sizeof(got));
	ck_assert_mem_eq(got, caps, sizeof(caps));
}
END_TEST

START_TEST(names_of_one_file_stay_names_of_one_file)
{
	char other[600];

	snprintf(other, sizeof(other), "%s", in_var("rootfs/other"));
	ck_assert_int_eq(link(in_var("rootfs/plain"), other), 0);
	shift(BASE, 0);
	ck_assert_uint_eq(stat_of("ct/101/lower.200000/plain").st_ino,
			  stat_of("ct/101/lower.200000/other").st_ino);
	ck_assert_uint_eq(stat_of("ct/101/lower.200000/other").st_gid, BASE + 42);
}
END_TEST

START_TEST(a_killed_one_is_done_again)
{
	ck_assert_int_eq(mkdir(in_var("ct/101/new"), 0700), 0);
	put("ct/101/new/half", 0600, 0, 0);
	put("ct/101/upper/key", 0600, BASE, BASE);
	shift(BASE, 0);
	ck_assert_int_eq(access(in_var("ct/101/lower.200000/half"), F_OK), -1);
	ck_assert_int_eq(access(in_var("ct/101/new"), F_OK), -1);
	ck_assert_uint_eq(stat_of("ct/101/upper/key").st_uid, BASE);
}
END_TEST

START_TEST(twice_is_once_and_another_base_is_refused)
{
	shift(BASE, 0);
	shift(BASE, 0);
	shift(BASE + 65536, -EEXIST);
	ck_assert(lg_shift_is_done(var, 101, BASE));
}
END_TEST

START_TEST(a_missing_template_is_an_error_and_leaves_nothing_done)
{
	snprintf(rootfs, sizeof(rootfs), "%s/none", var);
	shift(BASE, -EIO);
	ck_assert(!lg_shift_is_done(var, 101, BASE));
}
END_TEST

START_TEST(where_all_ids_are_they_can_be_mapped)
{
	if (lg_ids_mapped() == UINT32_MAX)
		ck_assert(!lg_shift_needed(var));
	else
		ck_assert_uint_ge(lg_ids_mapped(), BASE + 65536);
}
END_TEST

static Suite *shift_suite(void)
{
	Suite *s = suite_create("shift");
	TCase *tc = tcase_create("layer");

	tcase_add_checked_fixture(tc, make_var, remove_var);
	tcase_add_test(tc, the_copy_is_owned_by_its_ids_and_the_template_stays);
	tcase_add_test(tc, what_a_change_of_owner_takes_away_is_put_back);
	tcase_add_test(tc, names_of_one_file_stay_names_of_one_file);
	tcase_add_test(tc, a_killed_one_is_done_again);
	tcase_add_test(tc, twice_is_once_and_another_base_is_refused);
	tcase_add_test(tc, a_missing_template_is_an_error_and_leaves_nothing_done);
	tcase_add_test(tc, where_all_ids_are_they_can_be_mapped);
	suite_add_tcase(s, tc);
	return s;
}

int main(void)
{
	SRunner *sr;
	int failures;

	if (geteuid() != 0)
		return 77;
	sr = srunner_create(shift_suite());
	srunner_run_all(sr, CK_ENV);
	failures = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failures ? 1 : 0;
}
