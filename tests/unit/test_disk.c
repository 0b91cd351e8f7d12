/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Images for real, on loop devices that end with each test, and project quotas where the kernel has
 * them. Needs root and mke2fs: exit status 77 (skipped) without.
 */

#include "storage/disk.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/fs.h>
#include <linux/loop.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/exit.h"
#include "lib/file.h"
#include "lib/parse.h"
#include "storage/layer.h"
#include "tests/unit/test_var.h"

#define MIB (UINT64_C(1) << 20)

static void make_var(void)
{
	/* A tmpfs cannot be the place of idmapped layers, /tmp may be one. */
	make_var_in("/var/tmp");
}

static void ok(int r, const struct lg_err *err)
{
	ck_assert_msg(r >= 0, "%s", err->msg);
}

static void create(uint32_t ctid, const struct lg_disk_limit *limit)
{
	struct lg_err err = { 0 };

	if (limit->bytes != LG_UNLIMITED && !lg_disk_prepared(var, limit))
		ok(lg_disk_prepare(var, limit, &err), &err);
	ok(lg_layer_create(var, ctid, limit, &err), &err);
}

static int open_layer(uint32_t ctid)
{
	struct lg_err err = { 0 };
	int fd = lg_layer_open(var, ctid, &err);

	ok(fd, &err);
	return fd;
}

static void put(int dir, const char *name, const char *text)
{
	lg_autoclose int fd = openat(dir, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}

static void is_text(int dir, const char *name, const char *text)
{
	lg_autofree char *got = NULL;
	struct lg_err err = { 0 };

	ok(lg_file_read(dir, name, 4096, &got, NULL, &err), &err);
	ck_assert_str_eq(got, text);
}

static enum lg_disk_change plan(uint32_t ctid, uint64_t bytes, uint64_t inodes)
{
	const struct lg_disk_limit limit = { .bytes = bytes, .inodes = inodes };
	enum lg_disk_change change = LG_DISK_SAME;
	struct lg_err err = { 0 };

	ok(lg_disk_plan(var, ctid, &limit, &change, &err), &err);
	return change;
}

/* ---- images ---- */

static const struct lg_disk_limit sizes[] = {
	{ LG_DISK_MIN, LG_UNLIMITED, false },
	{ LG_DISK_MIN + 1, LG_UNLIMITED, false },
	{ 64 * MIB, 1024, false },
	{ 100 * MIB, 5000, false },
	{ 300 * MIB, LG_UNLIMITED, false },
	{ 10240 * MIB, 100000, false },
	{ UINT64_C(1) << 40, LG_UNLIMITED, false },
};

/* Nearly all of it for files, at least as many inodes as asked for, and hardly a byte allocated. */
START_TEST(a_new_layer_has_the_size_that_was_asked_for)
{
	const struct lg_disk_limit *limit = &sizes[_i];
	struct lg_fs_usage stopped, mounted;
	struct lg_err err = { 0 };
	int layer;
	struct stat st;

	create(101, limit);
	ck_assert_int_eq(stat(in_var("ct/101/disk.img"), &st), 0);
	ck_assert_uint_eq(st.st_size, lg_disk_round(limit->bytes));
	ck_assert_uint_lt(st.st_blocks * 512, 20 * MIB);
	layer = open_layer(101);
	ok(lg_disk_usage(var, 101, layer, &mounted, &err), &err);
	ck_assert_uint_le(mounted.bytes, limit->bytes);
	ck_assert_uint_gt(mounted.bytes, limit->bytes / 100 * 80);
	if (limit->inodes != LG_UNLIMITED)
		ck_assert_uint_ge(mounted.inodes, limit->inodes);
	ck_assert_int_eq(faccessat(layer, "upper", F_OK, 0), 0);
	ck_assert_int_eq(faccessat(layer, "work", F_OK, 0), 0);
	lg_close(layer);
	ok(lg_disk_usage(var, 101, -1, &stopped, &err), &err);
	ck_assert_uint_eq(stopped.bytes, mounted.bytes);
	ck_assert_uint_eq(stopped.bytes_used, mounted.bytes_used);
	ck_assert_uint_eq(stopped.inodes, mounted.inodes);
	ck_assert_uint_eq(stopped.inodes_used, mounted.inodes_used);
	ck_assert_int_eq(plan(101, limit->bytes, limit->inodes), LG_DISK_SAME);
}
END_TEST

START_TEST(an_image_is_mounted_once_at_a_time)
{
	const struct lg_disk_limit limit = { .bytes = 64 * MIB, .inodes = LG_UNLIMITED };
	struct lg_err err = { 0 };
	char path[LG_LAYER_PATH];
	int first, second;

	create(101, &limit);
	ck_assert(lg_layer_image(var, 101, path));
	first = lg_image_mount(path, 0, &err);
	ok(first, &err);
	put(first, "upper/file", "kept");
	second = lg_image_mount(path, 20, &err);
	ck_assert_int_eq(second, -EBUSY);
	ck_assert_int_eq(err.exit_code, LG_EXIT_LOCKED);
	lg_close(first);
	second = lg_image_mount(path, 5000, &err);
	ok(second, &err);
	is_text(second, "upper/file", "kept");
	lg_close(second);
}
END_TEST

/* The process that mounted it is killed: nothing of it stays bound. */
START_TEST(a_killed_process_leaves_no_loop_device)
{
	const struct lg_disk_limit limit = { .bytes = 64 * MIB, .inodes = LG_UNLIMITED };
	char path[LG_LAYER_PATH];
	int ready[2], fd;
	struct lg_err err = { 0 };
	pid_t pid;
	char c;

	create(101, &limit);
	ck_assert(lg_layer_image(var, 101, path));
	ck_assert_int_eq(pipe2(ready, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		fd = lg_image_mount(path, 0, NULL);
		c = fd >= 0 ? 'y' : 'n';
		if (write(ready[1], &c, 1) == 1)
			pause();
		_exit(1);
	}
	ck_assert_int_eq(read(ready[0], &c, 1), 1);
	ck_assert_int_eq(c, 'y');
	kill(pid, SIGKILL);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	/* The lock goes with the loop device's own hold on the file. */
	fd = lg_image_mount(path, 5000, &err);
	ok(fd, &err);
	lg_close(fd);
}
END_TEST

START_TEST(what_is_no_image_is_refused)
{
	const struct lg_disk_limit limit = { .bytes = 64 * MIB, .inodes = LG_UNLIMITED };
	struct lg_err err = { 0 };
	struct lg_fs_usage u;
	char path[LG_LAYER_PATH];
	int fd;

	create(101, &limit);
	ck_assert(lg_layer_image(var, 101, path));
	fd = open(path, O_RDWR | O_CLOEXEC);
	ck_assert_int_eq(ftruncate(fd, 0), 0);
	ck_assert_int_eq(ftruncate(fd, 64 * MIB), 0);
	ck_assert_int_eq(lg_image_read(fd, &u, &err), -EUCLEAN);
	ck_assert_int_lt(lg_image_mount(path, 0, &err), 0);
	lg_close(fd);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(symlink("/etc/passwd", path), 0);
	ck_assert_int_eq(lg_image_mount(path, 0, &err), -ELOOP);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(lg_image_mount(path, 0, &err), -ENOENT);
}
END_TEST

START_TEST(an_image_grows_while_it_is_mounted_or_says_why_not)
{
	const struct lg_disk_limit limit = { .bytes = 64 * MIB, .inodes = LG_UNLIMITED };
	struct lg_fs_usage before, after;
	struct lg_err err = { 0 };
	struct stat st;
	int layer, r;

	create(101, &limit);
	layer = open_layer(101);
	put(layer, "upper/file", "kept");
	ok(lg_fs_usage(layer, &before, &err), &err);
	r = lg_disk_grow(var, 101, 1024 * MIB, layer, &err);
	ok(lg_fs_usage(layer, &after, &err), &err);
	ck_assert_int_eq(stat(in_var("ct/101/disk.img"), &st), 0);
	if (lg_image_can_grow()) {
		ok(r, &err);
		ck_assert_uint_eq(st.st_size, 1024 * MIB);
		ck_assert_uint_gt(after.bytes, 900 * MIB);
		ck_assert_uint_ge(after.inodes, before.inodes * 8);
	} else {
		ck_assert_int_eq(r, -EPERM);
		ck_assert_uint_eq(st.st_size, 64 * MIB);
		ck_assert_uint_eq(after.bytes, before.bytes);
	}
	is_text(layer, "upper/file", "kept");
	ck_assert_int_eq(lg_disk_grow(var, 101, 32 * MIB, layer, &err), -EINVAL);
	lg_close(layer);
}
END_TEST

START_TEST(growing_wants_the_mount_of_that_image)
{
	const struct lg_disk_limit limit = { .bytes = 64 * MIB, .inodes = LG_UNLIMITED };
	lg_autoclose int folder = open(var, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct lg_err err = { 0 };
	int other;

	create(101, &limit);
	create(102, &limit);
	ck_assert_int_eq(lg_disk_grow(var, 101, 128 * MIB, folder, &err), -EINVAL);
	other = open_layer(102);
	ck_assert_int_eq(lg_disk_grow(var, 101, 128 * MIB, other, &err), -EINVAL);
	lg_close(other);
}
END_TEST

/* ---- what has to be done for another limit ---- */

static const struct {
	uint64_t bytes, inodes;
	enum lg_disk_change want;
} plans[] = {
	{ 128 * MIB, 4096, LG_DISK_SAME },
	{ 128 * MIB, LG_UNLIMITED, LG_DISK_SAME },
	{ 128 * MIB, 8192, LG_DISK_REMAKE },
	{ 128 * MIB, 2048, LG_DISK_REMAKE },
	{ 256 * MIB, LG_UNLIMITED, LG_DISK_GROW },
	{ 256 * MIB, 8192, LG_DISK_GROW },
	{ 256 * MIB, 4096, LG_DISK_REMAKE },
	{ 64 * MIB, LG_UNLIMITED, LG_DISK_REMAKE },
	{ LG_UNLIMITED, LG_UNLIMITED, LG_DISK_REMAKE },
};

START_TEST(what_another_limit_takes)
{
	const struct lg_disk_limit limit = { .bytes = 128 * MIB, .inodes = 4096 };

	create(101, &limit);
	ck_assert_int_eq(plan(101, plans[_i].bytes, plans[_i].inodes), plans[_i].want);
}
END_TEST

START_TEST(a_layer_without_limit_has_no_image)
{
	struct lg_fs_usage u;
	char path[LG_LAYER_PATH];
	int layer;

	create(101, &no_limit);
	ck_assert(!lg_layer_image(var, 101, path));
	ck_assert(lg_layer_exists(var, 101));
	ck_assert_int_eq(plan(101, LG_UNLIMITED, LG_UNLIMITED), LG_DISK_SAME);
	ck_assert_int_eq(plan(101, 64 * MIB, LG_UNLIMITED), LG_DISK_REMAKE);
	ck_assert_int_eq(lg_disk_usage(var, 101, -1, &u, NULL), -ENODATA);
	layer = open_layer(101);
	ck_assert_int_eq(faccessat(layer, "upper", F_OK, 0), 0);
	lg_close(layer);
}
END_TEST

/* ---- made anew ---- */

static void fill(int layer)
{
	put(layer, "upper/file", "kept");
	ck_assert_int_eq(fchownat(layer, "upper/file", 1000, 1001, 0), 0);
	ck_assert_int_eq(fchmodat(layer, "upper/file", 04751, 0), 0);
	ck_assert_int_eq(linkat(layer, "upper/file", layer, "upper/again", 0), 0);
	ck_assert_int_eq(symlinkat("/etc/passwd", layer, "upper/link"), 0);
	/* What overlay hides a file of the template with, and a folder's content. */
	ck_assert_int_eq(mknodat(layer, "upper/gone", S_IFCHR, 0), 0);
	ck_assert_int_eq(mkdirat(layer, "upper/opaque", 0711), 0);
	ck_assert_int_eq(mkdirat(layer, "nested", 0700), 0);
	put(layer, "nested/file", "nested");
	put(layer, "work/left", "of a crash");
}

static void is_filled(int layer)
{
	struct stat file, again, st;

	is_text(layer, "upper/file", "kept");
	is_text(layer, "nested/file", "nested");
	ck_assert_int_eq(fstatat(layer, "upper/file", &file, 0), 0);
	ck_assert_int_eq(fstatat(layer, "upper/again", &again, 0), 0);
	ck_assert_uint_eq(file.st_ino, again.st_ino);
	ck_assert_uint_eq(file.st_mode, S_IFREG | 04751);
	ck_assert_uint_eq(file.st_uid, 1000);
	ck_assert_uint_eq(file.st_gid, 1001);
	ck_assert_int_eq(fstatat(layer, "upper/link", &st, AT_SYMLINK_NOFOLLOW), 0);
	ck_assert(S_ISLNK(st.st_mode));
	ck_assert_int_eq(fstatat(layer, "upper/gone", &st, AT_SYMLINK_NOFOLLOW), 0);
	ck_assert(S_ISCHR(st.st_mode) && st.st_rdev == 0);
	ck_assert_int_eq(fstatat(layer, "upper", &st, 0), 0);
	ck_assert_uint_eq(st.st_mode, S_IFDIR | 0755);
	ck_assert_int_eq(fstatat(layer, "work", &st, 0), 0);
	ck_assert_uint_eq(st.st_mode, S_IFDIR | 0700);
	ck_assert_int_eq(faccessat(layer, "work/left", F_OK, 0), -1);
}

static const struct {
	struct lg_disk_limit from, to;
} remakes[] = {
	{ { LG_UNLIMITED, LG_UNLIMITED, false }, { 64 * MIB, LG_UNLIMITED, false } },
	{ { 64 * MIB, LG_UNLIMITED, false }, { LG_UNLIMITED, LG_UNLIMITED, false } },
	{ { 128 * MIB, LG_UNLIMITED, false }, { 64 * MIB, LG_UNLIMITED, false } },
	{ { 64 * MIB, 2048, false }, { 64 * MIB, 20000, false } },
};

START_TEST(a_layer_made_anew_holds_what_it_held)
{
	struct lg_err err = { 0 };
	char path[LG_LAYER_PATH];
	int layer;

	create(101, &remakes[_i].from);
	layer = open_layer(101);
	fill(layer);
	lg_close(layer);
	ok(lg_disk_remake(var, 101, &remakes[_i].to, NULL, NULL, &err), &err);
	ck_assert_int_eq(lg_layer_image(var, 101, path), remakes[_i].to.bytes != LG_UNLIMITED);
	ck_assert_int_eq(plan(101, remakes[_i].to.bytes, remakes[_i].to.inodes), LG_DISK_SAME);
	layer = open_layer(101);
	is_filled(layer);
	lg_close(layer);
	ck_assert_int_eq(access(in_var("ct/101/disk.img.new"), F_OK), -1);
	ck_assert_int_eq(access(in_var("ct/101/plain.new"), F_OK), -1);
	ck_assert_int_eq(access(in_var("ct/101/upper"), F_OK),
			 remakes[_i].to.bytes == LG_UNLIMITED ? 0 : -1);
}
END_TEST

/* As if it had been killed: before the rename, and after it. */
START_TEST(what_a_killed_one_left_is_cleared_away)
{
	const struct lg_disk_limit limit = { .bytes = 64 * MIB, .inodes = LG_UNLIMITED };
	int layer;

	create(101, &limit);
	layer = open_layer(101);
	put(layer, "upper/file", "kept");
	lg_close(layer);
	put(AT_FDCWD, in_var("ct/101/disk.img.new"), "half");
	ck_assert_int_eq(mkdir(in_var("ct/101/plain.new"), 0700), 0);
	ck_assert_int_eq(mkdir(in_var("ct/101/upper"), 0755), 0);
	ck_assert_int_eq(mkdir(in_var("ct/101/work"), 0700), 0);
	lg_disk_heal(var, 101);
	ck_assert_int_eq(access(in_var("ct/101/disk.img.new"), F_OK), -1);
	ck_assert_int_eq(access(in_var("ct/101/plain.new"), F_OK), -1);
	ck_assert_int_eq(access(in_var("ct/101/upper"), F_OK), -1);
	ck_assert_int_eq(access(in_var("ct/101/work"), F_OK), -1);
	layer = open_layer(101);
	is_text(layer, "upper/file", "kept");
	lg_close(layer);
}
END_TEST

START_TEST(what_does_not_fit_stays_where_it_is)
{
	const struct lg_disk_limit small = { .bytes = LG_DISK_MIN, .inodes = LG_UNLIMITED };
	static char block[MIB];
	struct lg_err err = { 0 };
	int layer, fd;

	memset(block, 'x', sizeof(block));
	create(101, &no_limit);
	layer = open_layer(101);
	fd = openat(layer, "upper/large", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	for (int i = 0; i < 40; i++)
		ck_assert_int_eq(write(fd, block, sizeof(block)), sizeof(block));
	lg_close(fd);
	lg_close(layer);
	ck_assert_int_eq(lg_disk_remake(var, 101, &small, NULL, NULL, &err), -ENOSPC);
	ck_assert_int_eq(err.exit_code, LG_EXIT_NO_SPACE);
	ck_assert_int_eq(access(in_var("ct/101/disk.img"), F_OK), -1);
	ck_assert_int_eq(access(in_var("ct/101/disk.img.new"), F_OK), -1);
	ck_assert_int_eq(access(in_var("ct/101/upper/large"), F_OK), 0);
}
END_TEST

/* ---- project quotas ---- */

/* An ext4 with project quotas on var; false where the kernel has no quota formats. */
static bool mount_quota_fs(void)
{
	char cmd[512];

	ck_assert_int_eq(unshare(CLONE_NEWNS), 0);
	ck_assert_int_eq(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	snprintf(cmd, sizeof(cmd), "truncate -s 256M %s/fs && /sbin/mke2fs -q -t ext4 -O quota,project "
		 "-E quotatype=prjquota %s/fs 2>/dev/null && mount -o loop,prjquota %s/fs %s 2>/dev/null",
		 var, var, var, var);
	return system(cmd) == 0;	/* NOLINT(cert-env33-c): a test's own words */
}

static void remove_quota_fs(void)
{
	umount2(var, MNT_DETACH);
	remove_var();
}

static int fill_file(const char *path, unsigned int mib)
{
	static char block[MIB];
	lg_autoclose int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	/* Where the room ends one is short, and the next one fails. */
	for (unsigned int i = 0; i < mib; i++)
		if (write(fd, block, sizeof(block)) < 0)
			return -errno;
	return fsync(fd) < 0 ? -errno : 0;
}

/* Whoever may exceed resources may exceed quotas, too. Return: 1 when there was no room. */
static int fill_as_guest(const char *path, unsigned int mib)
{
	pid_t pid = fork();
	int status = 0;

	if (pid == 0) {
		struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
		struct __user_cap_data_struct data[2];
		int r = syscall(SYS_capget, &header, data) < 0 ? -errno : 0;

		data[0].effective &= ~(1u << CAP_SYS_RESOURCE);
		if (r == 0 && syscall(SYS_capset, &header, data) == 0)
			r = fill_file(path, mib);
		_exit(r == -ENOSPC || r == -EDQUOT);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return WEXITSTATUS(status);
}

START_TEST(a_project_quota_holds_and_changes_at_once)
{
	const struct lg_disk_limit small = { LG_DISK_MIN, 2000, false }, large = { 64 * MIB, LG_UNLIMITED, false };
	struct lg_err err = { 0 };
	struct lg_fs_usage u;

	if (!mount_quota_fs())
		return;	/* the kernel of this machine has no quota formats */
	ck_assert_ptr_eq(lg_disk_for_new(var, &small), &lg_disk_project);
	create(101, &small);
	create(102, &no_limit);
	ck_assert_int_eq(plan(101, small.bytes, small.inodes), LG_DISK_SAME);
	ok(lg_disk_usage(var, 101, -1, &u, &err), &err);
	ck_assert_uint_eq(u.bytes, small.bytes);
	ck_assert_uint_eq(u.inodes, small.inodes);
	ck_assert_int_eq(plan(101, large.bytes, large.inodes), LG_DISK_SET);
	ok(fill_file(in_var("ct/101/upper/some"), 20), &err);
	ck_assert_int_eq(fill_as_guest(in_var("ct/101/upper/more"), 20), 1);
	ck_assert_int_eq(unlink(in_var("ct/101/upper/more")), 0);
	ok(lg_disk_usage(var, 101, -1, &u, &err), &err);
	ck_assert_uint_ge(u.bytes_used, 20 * MIB);
	ok(lg_disk_set(var, 101, &large, &err), &err);
	ok(lg_disk_usage(var, 101, -1, &u, &err), &err);
	ck_assert_uint_eq(u.bytes, large.bytes);
	ck_assert_uint_eq(u.inodes, LG_UNLIMITED);
	ok(lg_disk_usage(var, 102, -1, &u, &err), &err);
	ck_assert_uint_eq(u.bytes, LG_UNLIMITED);
	ck_assert_uint_lt(u.bytes_used, MIB);
	ok(lg_layer_trash(var, 101, &err), &err);
}
END_TEST

static Suite *disk_suite(void)
{
	Suite *s = suite_create("disk");
	TCase *t = tcase_create("images");

	tcase_add_checked_fixture(t, make_var, remove_var);
	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, a_new_layer_has_the_size_that_was_asked_for, 0, ARRAY_SIZE(sizes));
	tcase_add_test(t, an_image_is_mounted_once_at_a_time);
	tcase_add_test(t, a_killed_process_leaves_no_loop_device);
	tcase_add_test(t, what_is_no_image_is_refused);
	tcase_add_test(t, an_image_grows_while_it_is_mounted_or_says_why_not);
	tcase_add_test(t, growing_wants_the_mount_of_that_image);
	tcase_add_loop_test(t, what_another_limit_takes, 0, ARRAY_SIZE(plans));
	tcase_add_test(t, a_layer_without_limit_has_no_image);
	tcase_add_loop_test(t, a_layer_made_anew_holds_what_it_held, 0, ARRAY_SIZE(remakes));
	tcase_add_test(t, what_a_killed_one_left_is_cleared_away);
	tcase_add_test(t, what_does_not_fit_stays_where_it_is);
	suite_add_tcase(s, t);
	t = tcase_create("project");
	tcase_add_checked_fixture(t, make_var, remove_quota_fs);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, a_project_quota_holds_and_changes_at_once);
	suite_add_tcase(s, t);
	return s;
}

int main(void)
{
	SRunner *sr;
	int failed;

	if (geteuid() != 0 || access("/sbin/mke2fs", X_OK) < 0 ||
	    access("/dev/loop-control", R_OK | W_OK) < 0) {
		fprintf(stderr, "skipped: needs root, loop devices and mke2fs\n");
		return 77;
	}
	sr = srunner_create(disk_suite());
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? 1 : 0;
}
