/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Mounts for real, in a mount namespace that ends with each test. Needs root: exit status 77
 * (skipped) without.
 */

#include "storage/overlay.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/file.h"
#include "lib/ns.h"

#define BASE 700000u
#define STACK (64u * 1024u)

static char base_dir[64];	/* of all tests */
static unsigned int serial;	/* of the root made last */

struct root {
	char dir[128];
	char lower[160], upper[160], work[160], target[160], scratch[160];
};

static void make_base(void)
{
	snprintf(base_dir, sizeof(base_dir), "/tmp/lodge-overlay-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(base_dir));
}

static void remove_base(void)
{
	ck_assert_int_eq(lg_remove_tree(AT_FDCWD, base_dir, NULL), 0);
}

static void put_file(const char *dir, const char *name, const char *text, mode_t mode)
{
	lg_autoclose int dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, text, strlen(text)), strlen(text));
	ck_assert_int_eq(fchmod(fd, mode), 0);	/* after the write, which clears setuid */
	close(fd);
}

static struct stat stat_of(const char *dir, const char *name)
{
	lg_autoclose int dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat st;

	ck_assert_msg(fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0, "%s/%s: %s", dir,
		      name, strerror(errno));
	return st;
}

static bool is_there(const char *dir, const char *name)
{
	lg_autoclose int dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return faccessat(dirfd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* A store with a small template, in folders whose names try overlay's option parser. */
static void make_root(struct root *root)
{
	static const char *const parts[] = { "lower", "layer", "target", "scratch" };
	char path[PATH_MAX];

	memset(root, 0, sizeof(*root));
	snprintf(root->dir, sizeof(root->dir), "%s/%d-%u a,b:c\\d", base_dir, (int)getpid(),
		 serial++);
	ck_assert_int_eq(mkdir(root->dir, 0700), 0);
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		snprintf(path, sizeof(path), "%s/%s", root->dir, parts[i]);
		ck_assert_int_eq(mkdir(path, 0755), 0);
	}
	snprintf(root->lower, sizeof(root->lower), "%s/lower", root->dir);
	snprintf(root->upper, sizeof(root->upper), "%s/layer/upper", root->dir);
	snprintf(root->work, sizeof(root->work), "%s/layer/work", root->dir);
	snprintf(root->target, sizeof(root->target), "%s/target", root->dir);
	snprintf(root->scratch, sizeof(root->scratch), "%s/scratch", root->dir);
	ck_assert_int_eq(mkdir(root->upper, 0755), 0);
	ck_assert_int_eq(mkdir(root->work, 0755), 0);

	put_file(root->lower, "hello", "template\n", 0644);
	put_file(root->lower, "su", "program\n", 04755);
	snprintf(path, sizeof(path), "%s/folder", root->lower);
	ck_assert_int_eq(mkdir(path, 0755), 0);
	put_file(path, "inside", "x", 0644);
	snprintf(path, sizeof(path), "%s/null", root->lower);
	ck_assert_int_eq(mknod(path, S_IFCHR | 0666, makedev(1, 3)), 0);
	put_file(root->lower, "owned", "by 33\n", 0600);
	snprintf(path, sizeof(path), "%s/owned", root->lower);
	ck_assert_int_eq(chown(path, 33, 33), 0);
}

static int hold_namespace(void *arg)
{
	(void)arg;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;)
		pause();
	return 0;
}

/* A user namespace with BASE mapped to its root, alive as long as the descriptor. */
static int make_userns(void)
{
	static char stack[STACK];
	struct lg_err err = { 0 };
	pid_t pid = clone(hold_namespace, stack + STACK, CLONE_NEWUSER | SIGCHLD, NULL);
	int fd;

	ck_assert_int_gt(pid, 0);
	ck_assert_msg(lg_ns_map_ids(pid, BASE, LG_ID_COUNT, &err) == 0, "%s", err.msg);
	fd = lg_ns_open(pid, "user", &err);
	ck_assert_msg(fd >= 0, "%s", err.msg);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	return fd;
}

static void own_mounts(void)
{
	ck_assert_int_eq(unshare(CLONE_NEWNS), 0);
	ck_assert_int_eq(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
}

static unsigned int count_mounts(void)
{
	lg_autofile FILE *f = fopen("/proc/self/mounts", "re");
	unsigned int n = 0;
	int c;

	ck_assert_ptr_nonnull(f);
	while ((c = getc(f)) != EOF)
		n += c == '\n';
	return n;
}

static struct lg_overlay overlay_of(const struct root *root, int userns_fd)
{
	return (struct lg_overlay){
		.lower = root->lower,
		.upper = root->upper,
		.work = root->work,
		.target = root->target,
		.scratch = root->scratch,
		.id_base = BASE,
		.layer_fd = -1,
		.userns_fd = userns_fd,
	};
}

static void mount_root(struct root *root, int userns_fd)
{
	struct lg_err err = { 0 };
	struct lg_overlay ov;

	make_root(root);
	ov = overlay_of(root, userns_fd);
	ck_assert_msg(lg_overlay_mount(&ov, &err) == 0, "%s", err.msg);
}

/* Run @fn in @dir as root of the user namespace; its answer is the exit status. */
static int as_guest(int userns_fd, const char *dir, int (*fn)(void))
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		if (chdir(dir) < 0 || setns(userns_fd, CLONE_NEWUSER) < 0 ||
		    setgroups(0, NULL) < 0 || setgid(0) < 0 || setuid(0) < 0)
			_exit(99);
		_exit(fn());
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static int guest_changes(void)
{
	struct stat st;
	int fd;

	if (stat("hello", &st) < 0 || st.st_uid != 0 || st.st_gid != 0)
		return 1;
	if (stat("owned", &st) < 0 || st.st_uid != 33)
		return 2;
	fd = open("hello", O_WRONLY | O_TRUNC | O_CLOEXEC);
	if (fd < 0 || write(fd, "guest\n", 6) != 6)
		return 3;
	fd = open("new", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0 || fchown(fd, 1000, 1000) < 0)
		return 4;
	if (unlink("su") < 0)
		return 5;
	return mkdir("dir", 0755) < 0 ? 6 : 0;
}

START_TEST(files_are_zero_based_on_disk_and_inside)
{
	int userns = make_userns();
	struct root root;
	struct stat st;

	own_mounts();
	mount_root(&root, userns);
	ck_assert_int_eq(as_guest(userns, root.target, guest_changes), 0);

	st = stat_of(root.target, "hello");
	ck_assert_uint_eq(st.st_uid, BASE);
	st = stat_of(root.upper, "hello");
	ck_assert_uint_eq(st.st_uid, 0);
	ck_assert_uint_eq(st.st_gid, 0);
	ck_assert_int_eq(st.st_size, 6);
	st = stat_of(root.upper, "new");
	ck_assert_uint_eq(st.st_uid, 1000);
	st = stat_of(root.upper, "dir");
	ck_assert_uint_eq(st.st_uid, 0);
	st = stat_of(root.upper, "su");
	ck_assert_msg(S_ISCHR(st.st_mode), "a removed file leaves a whiteout");
}
END_TEST

START_TEST(template_is_untouched)
{
	int userns = make_userns();
	struct root root;
	struct stat st;

	own_mounts();
	mount_root(&root, userns);
	ck_assert_int_eq(as_guest(userns, root.target, guest_changes), 0);
	st = stat_of(root.lower, "hello");
	ck_assert_int_eq(st.st_size, (off_t)strlen("template\n"));
	st = stat_of(root.lower, "su");
	ck_assert_uint_eq(st.st_mode, S_IFREG | 04755);
	ck_assert(!is_there(root.lower, "new"));
	ck_assert(!is_there(root.lower, "dir"));
}
END_TEST

static int guest_renames(void)
{
	return rename("folder", "moved") < 0 ? 1 : access("moved/inside", R_OK) < 0 ? 2 : 0;
}

START_TEST(a_folder_of_the_template_can_be_renamed)
{
	int userns = make_userns();
	struct root root;

	own_mounts();
	mount_root(&root, userns);
	ck_assert_int_eq(as_guest(userns, root.target, guest_renames), 0);
	ck_assert(is_there(root.lower, "folder/inside"));
	ck_assert(!is_there(root.target, "folder"));
}
END_TEST

/* Set-uid programs must work for the guest, and give it nothing outside its own ids. */
START_TEST(setuid_bits_stay_and_devices_do_not_work)
{
	int userns = make_userns();
	struct root root;
	struct stat st;
	char path[200];

	own_mounts();
	mount_root(&root, userns);
	st = stat_of(root.target, "su");
	ck_assert_uint_eq(st.st_mode, S_IFREG | 04755);
	ck_assert_uint_eq(st.st_uid, BASE);
	snprintf(path, sizeof(path), "%s/null", root.target);
	ck_assert_int_eq(open(path, O_RDONLY | O_CLOEXEC), -1);
	ck_assert_int_eq(errno, EACCES);
}
END_TEST

START_TEST(nothing_but_the_result_stays_mounted)
{
	int userns = make_userns();
	char before[4096], after[4096];
	unsigned int mounts;
	struct root root;

	own_mounts();
	mounts = count_mounts();
	ck_assert_ptr_nonnull(getcwd(before, sizeof(before)));
	mount_root(&root, userns);
	ck_assert_uint_eq(count_mounts(), mounts + 1);
	ck_assert(!is_there(root.scratch, "lower"));
	ck_assert_ptr_nonnull(getcwd(after, sizeof(after)));
	ck_assert_str_eq(before, after);
	ck_assert_int_eq(umount2(root.target, 0), 0);
	ck_assert_uint_eq(count_mounts(), mounts);
}
END_TEST

START_TEST(callers_rights_are_as_before)
{
	int userns = make_userns();
	int bits = prctl(PR_GET_SECUREBITS);
	struct root root;
	struct stat st;

	own_mounts();
	mount_root(&root, userns);
	ck_assert_int_eq(prctl(PR_GET_SECUREBITS), bits);
	put_file(root.dir, "probe", "x", 0644);
	st = stat_of(root.dir, "probe");
	ck_assert_uint_eq(st.st_uid, 0);
	ck_assert_uint_eq(st.st_gid, 0);
}
END_TEST

START_TEST(read_only_result_is_refused)
{
	int userns = make_userns();
	struct lg_err err = { 0 };
	unsigned int mounts;
	struct lg_overlay ov;
	struct root root;

	own_mounts();
	make_root(&root);
	mounts = count_mounts();
	ov = overlay_of(&root, userns);
	ov.id_base = BASE + LG_ID_COUNT;	/* an id that the layers do not have */
	ck_assert_int_eq(lg_overlay_mount(&ov, &err), -EROFS);
	ck_assert_ptr_nonnull(strstr(err.msg, "read-only"));
	ck_assert_uint_eq(count_mounts(), mounts);
}
END_TEST

static const struct {
	const char *part;	/* what is missing */
	int want;
} missing[] = {
	{ "lower", -ENOENT },
	{ "layer", -ENOENT },
	{ "layer/upper", -ENOENT },
	{ "target", -ENOENT },
	{ "scratch", -ENOENT },
};

START_TEST(failure_leaves_nothing_mounted)
{
	int userns = make_userns();
	struct lg_err err = { 0 };
	unsigned int mounts;
	struct lg_overlay ov;
	struct root root;
	char path[200];

	own_mounts();
	make_root(&root);
	snprintf(path, sizeof(path), "%s/%s", root.dir, missing[_i].part);
	ck_assert_int_eq(lg_remove_tree(AT_FDCWD, path, NULL), 0);
	mounts = count_mounts();
	ov = overlay_of(&root, userns);
	ck_assert_int_eq(lg_overlay_mount(&ov, &err), missing[_i].want);
	ck_assert_int_eq(err.code, missing[_i].want);
	ck_assert_uint_eq(count_mounts(), mounts);
}
END_TEST

START_TEST(layers_in_two_folders_are_refused)
{
	struct root root;
	struct lg_overlay ov;
	struct lg_err err = { 0 };

	make_root(&root);
	ov = overlay_of(&root, -1);
	ov.work = root.scratch;
	ck_assert_int_eq(lg_overlay_mount(&ov, &err), -EINVAL);
}
END_TEST

START_TEST(plain_mount_shows_owners_as_on_disk)
{
	struct root root;
	struct stat st;

	own_mounts();
	mount_root(&root, -1);
	st = stat_of(root.target, "owned");
	ck_assert_uint_eq(st.st_uid, 33);
	put_file(root.target, "new", "x", 0644);
	st = stat_of(root.upper, "new");
	ck_assert_uint_eq(st.st_uid, 0);
	ck_assert(!is_there(root.lower, "new"));
}
END_TEST

static Suite *overlay_suite(void)
{
	Suite *s = suite_create("overlay");
	TCase *tc = tcase_create("mount");

	tcase_add_unchecked_fixture(tc, make_base, remove_base);
	tcase_add_test(tc, files_are_zero_based_on_disk_and_inside);
	tcase_add_test(tc, template_is_untouched);
	tcase_add_test(tc, a_folder_of_the_template_can_be_renamed);
	tcase_add_test(tc, setuid_bits_stay_and_devices_do_not_work);
	tcase_add_test(tc, nothing_but_the_result_stays_mounted);
	tcase_add_test(tc, callers_rights_are_as_before);
	tcase_add_test(tc, read_only_result_is_refused);
	tcase_add_loop_test(tc, failure_leaves_nothing_mounted, 0, ARRAY_SIZE(missing));
	tcase_add_test(tc, layers_in_two_folders_are_refused);
	tcase_add_test(tc, plain_mount_shows_owners_as_on_disk);
	suite_add_tcase(s, tc);
	return s;
}

int main(void)
{
	SRunner *sr = srunner_create(overlay_suite());
	int failures;

	if (geteuid() != 0) {
		printf("overlay: needs root\n");
		srunner_free(sr);
		return 77;
	}
	srunner_run_all(sr, CK_ENV);
	failures = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failures ? 1 : 0;
}
