/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Host-wide limits, on a folder that looks like /proc. */

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/file.h"
#include "lib/hostlimits.h"

static char folder[] = "/tmp/hostlimits.XXXXXX";
static int proc = -1, dir = -1;

static void put(const char *name, const char *text)
{
	char path[300];
	FILE *f;

	snprintf(path, sizeof(path), "%s/proc/%s", folder, name);
	*strrchr(path, '/') = '\0';
	ck_assert_int_eq(lg_mkdir_all(path, 0755, NULL), 0);
	snprintf(path, sizeof(path), "%s/proc/%s", folder, name);
	f = fopen(path, "we");
	ck_assert_ptr_nonnull(f);
	ck_assert_int_ge(fputs(text, f), 0);
	ck_assert_int_eq(fclose(f), 0);
}

/* A file's text, "" when there is none. */
static const char *text_of(int at, const char *name)
{
	static char text[4096];
	lg_autofree char *all = NULL;

	text[0] = '\0';
	if (lg_file_read(at, name, sizeof(text), &all, NULL, NULL) == 0)
		snprintf(text, sizeof(text), "%s", all);
	return text;
}

/* The value: real ones are replaced as a whole by a write, files here keep the rest of a longer one. */
static const char *got(int at, const char *name)
{
	static char value[64];

	snprintf(value, sizeof(value), "%s", text_of(at, name));
	value[strcspn(value, "\n")] = '\0';
	return value;
}

static void setup(void)
{
	strcpy(folder + sizeof(folder) - 7, "XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	put("sys/fs/file-max", "1000\n");
	put("sys/fs/file-nr", "900\t0\t1000\n");
	put("sys/kernel/pid_max", "4194304\n");
	put("sys/user/max_user_namespaces", "0\n");
	put("sys/net/ipv4/neigh/default/gc_thresh3", "1024\n");
	put("net/stat/arp_cache", "entries  allocs\n00000200  00000010\n");
	put("loadavg", "0.10 0.20 0.30 2/345 678\n");
	dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	proc = openat(dir, "proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_ge(proc, 0);
}

static void finish(void)
{
	lg_remove_tree(AT_FDCWD, folder, NULL);
	dir = lg_close(dir);
	proc = lg_close(proc);
}

static const struct lg_hostlimit *row(const char *name)
{
	for (size_t i = 0; i < lg_nhostlimits; i++)
		if (strcmp(lg_hostlimits[i].name, name) == 0)
			return &lg_hostlimits[i];
	ck_abort_msg("no row %s", name);
	return NULL;
}

START_TEST(every_row_wants_something_and_says_what_fails)
{
	const struct lg_hostlimit *lim = &lg_hostlimits[_i];

	ck_assert_uint_gt(lim->base, 0);
	ck_assert_int_gt((int)strlen(lim->what), 0);
	ck_assert_int_eq(lim->how == LG_USED_UNKNOWN, lim->used == NULL);
	ck_assert_uint_ge(lg_hostlimit_wanted(lim, 1000), lg_hostlimit_wanted(lim, 1));
	if (lim->top)
		ck_assert_uint_eq(lg_hostlimit_wanted(lim, 1000000), lim->top);
	for (size_t i = 0; i < (size_t)_i; i++)
		ck_assert_str_ne(lg_hostlimits[i].name, lim->name);
}
END_TEST

START_TEST(what_is_low_is_raised_and_remembered)
{
	struct lg_err err = { 0 };

	ck_assert_int_eq(lg_hostlimits_raise(proc, 100, dir, "state", &err), 2);
	ck_assert_str_eq(got(proc, "sys/fs/file-max"), "1900544");
	ck_assert_str_eq(got(proc, "sys/net/ipv4/neigh/default/gc_thresh3"), "7424");
	ck_assert_str_eq(text_of(dir, "state"), "fs.file-max 1000 1900544\n"
					    "net.ipv4.neigh.default.gc_thresh3 1024 7424\n");
}
END_TEST

START_TEST(what_is_high_or_switched_off_stays)
{
	struct lg_err err = { 0 };

	put("sys/fs/file-max", "9223372036854775807\n");
	put("sys/net/ipv4/neigh/default/gc_thresh3", "100000\n");
	ck_assert_int_eq(lg_hostlimits_raise(proc, 100, dir, "state", &err), 0);
	ck_assert_str_eq(got(proc, "sys/fs/file-max"), "9223372036854775807");
	ck_assert_str_eq(got(proc, "sys/kernel/pid_max"), "4194304");
	ck_assert_str_eq(got(proc, "sys/user/max_user_namespaces"), "0");
	ck_assert_int_lt(faccessat(dir, "state", F_OK, 0), 0);
}
END_TEST

START_TEST(a_second_daemon_run_keeps_the_first_values)
{
	struct lg_err err = { 0 };

	ck_assert_int_eq(lg_hostlimits_raise(proc, 100, dir, "state", &err), 2);
	ck_assert_int_eq(lg_hostlimits_raise(proc, 100, dir, "state", &err), 0);
	ck_assert_int_eq(lg_hostlimits_raise(proc, 200, dir, "state", &err), 2);
	ck_assert_int_eq(lg_hostlimits_put_back(proc, dir, "state", &err), 0);
	ck_assert_str_eq(got(proc, "sys/fs/file-max"), "1000");
	ck_assert_str_eq(got(proc, "sys/net/ipv4/neigh/default/gc_thresh3"), "1024");
	ck_assert_int_lt(faccessat(dir, "state", F_OK, 0), 0);
	ck_assert_int_eq(lg_hostlimits_put_back(proc, dir, "state", &err), 0);
}
END_TEST

START_TEST(what_an_administrator_set_meanwhile_stays)
{
	struct lg_err err = { 0 };

	ck_assert_int_eq(lg_hostlimits_raise(proc, 100, dir, "state", &err), 2);
	put("sys/fs/file-max", "777\n");
	ck_assert_int_eq(lg_hostlimits_put_back(proc, dir, "state", &err), 0);
	ck_assert_str_eq(got(proc, "sys/fs/file-max"), "777");
	ck_assert_str_eq(got(proc, "sys/net/ipv4/neigh/default/gc_thresh3"), "1024");
}
END_TEST

START_TEST(one_that_cannot_be_set_does_not_stop_the_others)
{
	struct lg_err err = { 0 };

	ck_assert_int_eq(unlinkat(proc, "sys/fs/file-max", 0), 0);
	ck_assert_int_eq(mkdirat(proc, "sys/fs/file-max", 0755), 0);
	ck_assert_int_lt(lg_hostlimits_raise(proc, 100, dir, "state", &err), 0);
	ck_assert_ptr_nonnull(strstr(err.msg, "fs.file-max"));
	ck_assert_str_eq(got(proc, "sys/net/ipv4/neigh/default/gc_thresh3"), "7424");
}
END_TEST

START_TEST(a_bad_state_file_changes_nothing)
{
	static const char text[] = "\n\nfs.file-max\nfs.file-max x 1000\n../../etc/passwd 1 1000\n"
				   "kernel.hostname 5 6\nfs.file-max 1 1000 extra";
	struct lg_err err = { 0 };

	ck_assert_int_eq(lg_file_replace_fast(dir, "state", text, sizeof(text) - 1, 0600, &err), 0);
	put("sys/kernel/hostname", "6\n");
	ck_assert_int_eq(lg_hostlimits_put_back(proc, dir, "state", &err), 0);
	ck_assert_str_eq(got(proc, "sys/kernel/hostname"), "6");
	ck_assert_str_eq(got(proc, "sys/fs/file-max"), "1");
}
END_TEST

START_TEST(use_is_told_where_the_kernel_tells_it)
{
	uint64_t now, used;

	ck_assert_int_eq(lg_hostlimit_read(proc, row("fs.file-max"), &now, &used), 0);
	ck_assert_uint_eq(now, 1000);
	ck_assert_uint_eq(used, 900);
	ck_assert_int_eq(lg_hostlimit_read(proc, row("kernel.pid_max"), &now, &used), 0);
	ck_assert_uint_eq(used, 345);
	ck_assert_int_eq(lg_hostlimit_read(proc, row("net.ipv4.neigh.default.gc_thresh3"), &now,
					   &used), 0);
	ck_assert_uint_eq(used, 0x200);
	ck_assert_int_eq(lg_hostlimit_read(proc, row("fs.aio-max-nr"), &now, &used), -ENOENT);
	put("sys/fs/aio-max-nr", "many\n");
	ck_assert_int_eq(lg_hostlimit_read(proc, row("fs.aio-max-nr"), &now, &used), -EINVAL);
	put("sys/fs/aio-max-nr", "65536\n");
	ck_assert_int_eq(lg_hostlimit_read(proc, row("fs.aio-max-nr"), &now, &used), 0);
	ck_assert_uint_eq(used, UINT64_MAX);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("hostlimits");
	TCase *t = tcase_create("all");
	SRunner *sr;
	int failures;

	tcase_add_checked_fixture(t, setup, finish);
	tcase_add_loop_test(t, every_row_wants_something_and_says_what_fails, 0,
			    (int)lg_nhostlimits);
	tcase_add_test(t, what_is_low_is_raised_and_remembered);
	tcase_add_test(t, what_is_high_or_switched_off_stays);
	tcase_add_test(t, a_second_daemon_run_keeps_the_first_values);
	tcase_add_test(t, what_an_administrator_set_meanwhile_stays);
	tcase_add_test(t, one_that_cannot_be_set_does_not_stop_the_others);
	tcase_add_test(t, a_bad_state_file_changes_nothing);
	tcase_add_test(t, use_is_told_where_the_kernel_tells_it);
	suite_add_tcase(s, t);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failures = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failures ? 1 : 0;
}
