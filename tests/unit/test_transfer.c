/* SPDX-License-Identifier: GPL-2.0-or-later */

/* A layer arrives as it was, in one pass and in several. Needs root: owners and nodes are real. */

#include "storage/transfer.h"

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/exit.h"
#include "lib/file.h"
#include "lib/parse.h"
#include "storage/disk.h"
#include "storage/layer.h"
#include "storage/plain.h"
#include "tests/unit/transfer_tree.h"

/* user::rwx user:1000:rw- group::r-x mask::rwx other::--- */
static const unsigned char acl[] = {
	2, 0, 0, 0, 1, 0, 7, 0, 255, 255, 255, 255, 2, 0, 6, 0, 232, 3, 0, 0, 4, 0, 5, 0, 255, 255,
	255, 255, 16, 0, 7, 0, 255, 255, 255, 255, 32, 0, 0, 0, 255, 255, 255, 255,
};
/* version 2, permitted: cap_net_raw, effective */
static const unsigned char caps[20] = { 1, 0, 0, 2, 0, 32 };

static void set(const char *rest, const char *name, const void *value, size_t len)
{
	ck_assert_msg(lsetxattr(at(rest), name, value, len, 0) == 0, "%s of %s: %s", name, rest,
		      strerror(errno));
}

static void node(const char *rest, mode_t mode, dev_t dev)
{
	ck_assert_msg(mknod(at(rest), mode, dev) == 0, "%s: %s", rest, strerror(errno));
}

static void set_times(const char *rest, time_t sec, long nsec)
{
	const struct timespec t[2] = { { sec, nsec }, { sec, nsec } };

	ck_assert_int_eq(utimensat(AT_FDCWD, at(rest), t, AT_SYMLINK_NOFOLLOW), 0);
}

static struct stat stat_of(const char *rest)
{
	struct stat st;

	ck_assert_msg(lstat(at(rest), &st) == 0, "%s: %s", rest, strerror(errno));
	return st;
}

static bool is_there(const char *rest)
{
	struct stat st;

	return lstat(at(rest), &st) == 0;
}

/* ---- one pass ---- */

static void make_kinds(void)
{
	make_folder("from/upper/etc");
	put("from/upper/etc/passwd", "root:x:0:0\n");
	put("from/upper/empty", "");
	put_bytes("from/upper/large", 700000, 1);
	put("from/upper/su", "#!");
	ck_assert_int_eq(chown(at("from/upper/su"), 1000, 65534), 0);
	ck_assert_int_eq(chmod(at("from/upper/su"), 06755), 0);
	put("from/upper/ping", "x");
	set("from/upper/ping", "security.capability", caps, sizeof(caps));
	put("from/upper/acl", "x");
	set("from/upper/acl", "system.posix_acl_access", acl, sizeof(acl));
	set("from/upper/acl", "user.note", "\0\xff", 2);
	set("from/upper/acl", "user.none", "", 0);
	make_folder("from/upper/shared");
	set("from/upper/shared", "system.posix_acl_default", acl, sizeof(acl));
	put("from/upper/shared/inherits", "x");
	make_folder("from/upper/shared/sticky");
	ck_assert_int_eq(chmod(at("from/upper/shared/sticky"), 03777), 0);
	ck_assert_int_eq(symlink("/etc/passwd", at("from/upper/link")), 0);
	ck_assert_int_eq(symlink("nowhere", at("from/upper/dangling")), 0);
	ck_assert_int_eq(lchown(at("from/upper/dangling"), 7, 8), 0);
	set("from/upper/link", "trusted.mark", "m", 1);
	node("from/upper/fifo", S_IFIFO | 0640, 0);
	node("from/upper/socket", S_IFSOCK | 0755, 0);
	node("from/upper/whiteout", S_IFCHR | 0000, makedev(0, 0));
	node("from/upper/null", S_IFCHR | 0666, makedev(1, 3));
	node("from/upper/loop", S_IFBLK | 0660, makedev(7, 200));
	ck_assert_int_eq(lchown(at("from/upper/fifo"), 5, 6), 0);
	ck_assert_int_eq(mkdir(at("from/upper/\n\x01\xff \\'"), 0700), 0);
	put("from/upper/\n\x01\xff \\'/..x", "odd");
	set_times("from/upper/etc/passwd", -5, 123456789);
	set_times("from/upper/link", 4000000000, 1);
	make_folder("from/upper/nothing");
	set_times("from/upper/nothing", 1000000000, 999999999);
	make_folder("from/plain");
	make_folder("from/plain/docker");
	ck_assert_int_eq(chmod(at("from/plain/docker"), 0710), 0);
	put("from/plain/docker/image", "layers");
}

START_TEST(every_kind_of_object_arrives_exactly)
{
	struct lg_transfer_sent sent;

	make_kinds();
	put("from/work/own", "overlay's own");
	put("from/other", "the host's");
	put("to/upper/left", "over from another time");
	lg_transfer_index_free(pass(NULL, false, &sent));
	ck_assert_uint_eq(equal(), sent.sent.files);
	ck_assert(!is_there("to/work/own") && !is_there("to/other"));
	ck_assert_uint_ge(sent.sent.bytes, 700000);
	ck_assert_uint_eq(sent.flagged, 0);
}
END_TEST

START_TEST(marks_of_overlay_arrive_and_handles_of_this_host_do_not)
{
	char value[64];

	make_folder("from/upper/opaque");
	set("from/upper/opaque", "trusted.overlay.opaque", "y", 1);
	make_folder("from/upper/moved");
	set("from/upper/moved", "trusted.overlay.redirect", "/usr/share/x", 12);
	set("from/upper/moved", "trusted.overlay.origin", "\0\xfb handle", 9);
	set("from/upper/moved", "trusted.overlay.impure", "y", 1);
	lg_transfer_index_free(pass(NULL, true, NULL));
	equal();
	ck_assert_int_eq(getxattr(at("to/upper/opaque"), "trusted.overlay.opaque", value, 64), 1);
	ck_assert_int_eq(getxattr(at("to/upper/moved"), "trusted.overlay.redirect", value, 64), 12);
	ck_assert_int_lt(getxattr(at("to/upper/moved"), "trusted.overlay.origin", value, 64), 0);
	ck_assert_int_lt(getxattr(at("to/upper/moved"), "trusted.overlay.impure", value, 64), 0);
}
END_TEST

START_TEST(holes_stay_holes)
{
	lg_autoclose int fd = open(at("from/upper/sparse"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	struct lg_transfer_sent sent;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(pwrite(fd, "first", 5, 0), 5);
	ck_assert_int_eq(pwrite(fd, "middle", 6, (off_t)1 << 33), 6);
	ck_assert_int_eq(ftruncate(fd, (off_t)1 << 34), 0);
	put("from/upper/all", "");
	ck_assert_int_eq(truncate(at("from/upper/all"), 1 << 20), 0);
	lg_transfer_index_free(pass(NULL, false, &sent));
	ck_assert_uint_lt(sent.sent.bytes, 1 << 20);
	ck_assert_int_eq(stat_of("to/upper/sparse").st_size, (off_t)1 << 34);
	ck_assert_int_lt(stat_of("to/upper/sparse").st_blocks, 2048);
	ck_assert_int_eq(stat_of("to/upper/all").st_blocks, 0);
	ck_assert_int_eq(stat_of("to/upper/all").st_size, 1 << 20);
	lg_close(fd);
	fd = open(at("to/upper/sparse"), O_RDONLY | O_CLOEXEC);
	{
		char text[8] = { 0 };

		ck_assert_int_eq(pread(fd, text, 6, (off_t)1 << 33), 6);
		ck_assert_str_eq(text, "middle");
	}
}
END_TEST

START_TEST(names_of_one_file_stay_names_of_one_file)
{
	make_folder("from/upper/a");
	make_folder("from/upper/z");
	put("from/upper/a/one", "the same");
	ck_assert_int_eq(link(at("from/upper/a/one"), at("from/upper/z/two")), 0);
	ck_assert_int_eq(link(at("from/upper/a/one"), at("from/upper/three")), 0);
	ck_assert_int_eq(symlink("x", at("from/upper/s1")), 0);
	ck_assert_int_eq(linkat(AT_FDCWD, at("from/upper/s1"), AT_FDCWD, at("from/upper/z/s2"), 0), 0);
	/* of which the other name is not sent */
	put("from/work/hidden", "x");
	ck_assert_int_eq(link(at("from/work/hidden"), at("from/upper/alone")), 0);
	lg_transfer_index_free(pass(NULL, false, NULL));
	ck_assert_uint_eq(stat_of("to/upper/alone").st_nlink, 1);
	ck_assert_int_eq(unlink(at("from/work/hidden")), 0);
	equal();
	ck_assert_uint_eq(stat_of("to/upper/a/one").st_ino, stat_of("to/upper/z/two").st_ino);
	ck_assert_uint_eq(stat_of("to/upper/a/one").st_ino, stat_of("to/upper/three").st_ino);
	ck_assert_uint_eq(stat_of("to/upper/s1").st_ino, stat_of("to/upper/z/s2").st_ino);
}
END_TEST

/* @depth folders within each other, below upper/deep; the last one is returned. */
static int make_deep(unsigned int depth)
{
	int fd = open_folder("from/upper");

	for (unsigned int i = 0; i < depth; i++) {
		char name[64];
		int next;

		snprintf(name, sizeof(name), "a-folder-with-a-rather-long-name-%u", i);
		ck_assert_int_eq(mkdirat(fd, name, 0755), 0);
		next = openat(fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		ck_assert_int_ge(next, 0);
		close(fd);
		fd = next;
	}
	return fd;
}

START_TEST(a_path_longer_than_any_path_arrives)
{
	lg_autoclose int deep = make_deep(400);
	lg_autoclose int file = openat(deep, "bottom", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	struct lg_transfer_index *first;
	struct lg_transfer_sent sent;

	ck_assert_int_eq(write(file, "deep", 4), 4);
	first = pass(NULL, false, &sent);
	ck_assert_uint_eq(equal(), 402);
	ck_assert_int_eq(pwrite(file, "DEEP", 4, 0), 4);
	ck_assert_int_eq(mkdirat(deep, "more", 0700), 0);
	lg_transfer_index_free(pass(first, true, &sent));
	ck_assert_uint_eq(equal(), 403);
	ck_assert_int_eq(unlinkat(deep, "bottom", 0), 0);
	lg_transfer_index_free(first);
}
END_TEST

START_TEST(what_cannot_travel_is_counted)
{
	lg_autoclose int fd = open(at("from/upper/fixed"), O_RDONLY | O_CREAT | O_CLOEXEC, 0600);
	struct lg_transfer_sent sent;
	int flags = FS_IMMUTABLE_FL;

	if (ioctl(fd, FS_IOC_SETFLAGS, &flags) < 0)
		return;		/* not on this file system, or not with these rights */
	lg_transfer_index_free(pass(NULL, true, &sent));
	flags = 0;
	ck_assert_int_eq(ioctl(fd, FS_IOC_SETFLAGS, &flags), 0);
	ck_assert_uint_eq(sent.flagged, 1);
	equal();
}
END_TEST

START_TEST(a_layer_of_shifted_ids_is_refused)
{
	lg_autoclose int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	struct lg_err err = { 0 };

	make_folder("from/lower.200000");
	ck_assert_int_eq(lg_transfer_send(from, NULL, null, NULL, NULL, NULL, &err), -EOPNOTSUPP);
	ck_assert_ptr_nonnull(strstr(err.msg, "ids from 200000"));
}
END_TEST

static void note_progress(const struct lg_transfer_count *done, const struct lg_transfer_count *total,
			  void *arg)
{
	struct lg_transfer_count *last = arg;

	ck_assert_uint_ge(done->bytes, last->bytes);
	ck_assert_uint_ge(done->files, last->files);
	ck_assert_uint_le(done->bytes, total->bytes);
	ck_assert_uint_le(done->files, total->files);
	*last = *done;
	last[1] = *total;
}

START_TEST(progress_reaches_what_was_announced)
{
	struct lg_transfer_count sent[2] = { 0 }, got[2] = { 0 };
	const struct lg_transfer_send how = { .progress = note_progress, .arg = sent };
	const struct lg_transfer_receive what = { .progress = note_progress, .arg = got };
	lg_autoclose int file = open(at("stream"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	make_kinds();
	ck_assert_int_eq(lg_transfer_send(from, NULL, file, &how, NULL, NULL, NULL), 0);
	ck_assert_int_eq(lseek(file, 0, SEEK_SET), 0);
	ck_assert_int_eq(lg_transfer_receive(file, to, &what, mark, NULL), 0);
	ck_assert_uint_eq(sent[0].files, sent[1].files);
	ck_assert_uint_eq(sent[0].bytes, sent[1].bytes);
	ck_assert_mem_eq(sent, got, sizeof(sent));
	/* not a byte further */
	ck_assert_int_eq(lseek(file, 0, SEEK_CUR), lseek(file, 0, SEEK_END));
}
END_TEST

/* ---- passes ---- */

START_TEST(the_second_pass_sends_only_what_changed)
{
	struct lg_transfer_index *first, *second;
	struct lg_transfer_sent sent;

	make_kinds();
	settle();
	first = pass(NULL, false, &sent);
	second = pass(first, false, &sent);
	ck_assert_uint_eq(sent.sent.files, 0);
	ck_assert_uint_eq(sent.removed, 0);
	equal();
	put("from/upper/etc/passwd", "root:x:0:0\nmore\n");
	lg_transfer_index_free(first);
	first = pass(second, true, &sent);
	/* the file and the folders around it */
	ck_assert_uint_eq(sent.sent.files, 3);
	ck_assert_uint_eq(sent.sent.bytes, 16);
	equal();
	lg_transfer_index_free(first);
	lg_transfer_index_free(second);
}
END_TEST

static void change_every_kind(void)
{
	put("from/upper/etc/passwd", "other\n");		/* written to */
	put("from/upper/etc/new", "new\n");			/* new */
	ck_assert_int_eq(unlink(at("from/upper/empty")), 0);	/* gone */
	ck_assert_int_eq(truncate(at("from/upper/large"), 1000), 0);
	ck_assert_int_eq(chmod(at("from/upper/su"), 0700), 0);
	ck_assert_int_eq(chown(at("from/upper/acl"), 12, 13), 0);
	ck_assert_int_eq(removexattr(at("from/upper/ping"), "security.capability"), 0);
	ck_assert_int_eq(removexattr(at("from/upper/shared"), "system.posix_acl_default"), 0);
	set("from/upper/etc", "trusted.overlay.opaque", "y", 1);
	set_times("from/upper/nothing", 5, 6);
	/* kinds take each other's names */
	ck_assert_int_eq(unlink(at("from/upper/link")), 0);
	make_folder("from/upper/link");
	put("from/upper/link/in", "x");
	ck_assert_int_eq(unlink(at("from/upper/fifo")), 0);
	put("from/upper/fifo", "a file now");
	ck_assert_int_eq(lg_remove_tree(AT_FDCWD, at("from/upper/\n\x01\xff \\'"), NULL), 0);
	ck_assert_int_eq(symlink("/", at("from/upper/\n\x01\xff \\'")), 0);
	ck_assert_int_eq(unlink(at("from/upper/null")), 0);
	node("from/upper/null", S_IFCHR, makedev(0, 0));
	/* a folder is moved into another, and one takes its place */
	ck_assert_int_eq(rename(at("from/upper/shared"), at("from/upper/nothing/shared")), 0);
	make_folder("from/upper/shared");
	ck_assert_int_eq(lg_remove_tree(AT_FDCWD, at("from/plain"), NULL), 0);
}

START_TEST(every_kind_of_change_is_seen)
{
	struct lg_transfer_index *first, *second;
	struct lg_transfer_sent sent;

	make_kinds();
	first = pass(NULL, false, NULL);
	change_every_kind();
	second = pass(first, false, &sent);
	equal();
	ck_assert_uint_ge(sent.removed, 5);
	ck_assert(!is_there("to/plain"));
	make_folder("from/plain");
	ck_assert_int_eq(lg_remove_tree(AT_FDCWD, at("from/upper/nothing"), NULL), 0);
	lg_transfer_index_free(pass(second, true, NULL));
	equal();
	lg_transfer_index_free(first);
	lg_transfer_index_free(second);
}
END_TEST

/* Neither sizes nor modification times tell. */
START_TEST(a_change_that_hides_its_time_is_seen)
{
	struct lg_transfer_index *first;
	struct stat st;

	put("from/upper/a", "one");
	put("from/upper/b", "two");
	st = stat_of("from/upper/a");
	set_times("from/upper/b", st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
	settle();
	first = pass(NULL, false, NULL);
	put("from/upper/a", "eno");
	set_times("from/upper/a", st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
	lg_transfer_index_free(pass(first, true, NULL));
	equal();
	/* two that swap their names */
	lg_transfer_index_free(first);
	memset(mark, 0, sizeof(*mark));
	first = pass(NULL, false, NULL);
	ck_assert_int_eq(renameat2(AT_FDCWD, at("from/upper/a"), AT_FDCWD, at("from/upper/b"),
				   RENAME_EXCHANGE), 0);
	lg_transfer_index_free(pass(first, true, NULL));
	equal();
	lg_transfer_index_free(first);
}
END_TEST

START_TEST(one_of_two_names_changes)
{
	struct lg_transfer_index *first, *second;

	make_folder("from/upper/d");
	put("from/upper/d/one", "the same");
	ck_assert_int_eq(link(at("from/upper/d/one"), at("from/upper/two")), 0);
	ck_assert_int_eq(link(at("from/upper/d/one"), at("from/upper/three")), 0);
	first = pass(NULL, false, NULL);
	ck_assert_int_eq(unlink(at("from/upper/d/one")), 0);
	put("from/upper/d/one", "not any more");
	ck_assert_int_eq(link(at("from/upper/two"), at("from/upper/d/four")), 0);
	second = pass(first, false, NULL);
	equal();
	ck_assert_uint_eq(stat_of("to/upper/two").st_ino, stat_of("to/upper/d/four").st_ino);
	ck_assert_uint_ne(stat_of("to/upper/two").st_ino, stat_of("to/upper/d/one").st_ino);
	ck_assert_int_eq(rename(at("from/upper/d"), at("from/upper/e")), 0);
	ck_assert_int_eq(unlink(at("from/upper/three")), 0);
	lg_transfer_index_free(first);
	first = pass(second, true, NULL);
	equal();
	ck_assert_uint_eq(stat_of("to/upper/two").st_ino, stat_of("to/upper/e/four").st_ino);
	lg_transfer_index_free(first);
	lg_transfer_index_free(second);
}
END_TEST

/* The inode knows nothing of it, and the other name is where it was. */
START_TEST(the_folder_of_one_of_two_names_is_renamed)
{
	struct lg_transfer_index *first;
	struct lg_transfer_sent sent;

	make_folder("from/upper/d");
	put("from/upper/d/one", "the same");
	ck_assert_int_eq(link(at("from/upper/d/one"), at("from/upper/two")), 0);
	settle();
	first = pass(NULL, false, NULL);
	ck_assert_int_eq(rename(at("from/upper/d"), at("from/upper/e")), 0);
	lg_transfer_index_free(pass(first, true, &sent));
	equal();
	ck_assert_uint_eq(sent.removed, 1);
	ck_assert_uint_eq(stat_of("to/upper/two").st_ino, stat_of("to/upper/e/one").st_ino);
	lg_transfer_index_free(first);
}
END_TEST

/* The page is written to once before the pass, so that it is writable, and again behind its back. */
START_TEST(what_a_mapping_writes_is_seen)
{
	lg_autoclose int fd = -1;
	struct lg_transfer_index *first, *second;
	struct lg_transfer_sent sent;
	char *page;

	put_bytes("from/upper/mapped", 8192, 3);
	fd = open(at("from/upper/mapped"), O_RDWR | O_CLOEXEC);
	page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ck_assert_ptr_ne(page, MAP_FAILED);
	page[0] = 1;
	settle();
	first = pass(NULL, false, NULL);
	page[0] = 2;
	second = pass(first, false, &sent);
	ck_assert_uint_ge(sent.sent.files, 1);
	equal();
	page[0] = 4;
	lg_transfer_index_free(first);
	first = pass(second, true, &sent);
	equal();
	lg_transfer_index_free(first);
	lg_transfer_index_free(second);
	munmap(page, 8192);
}
END_TEST

/* ---- layers in images ---- */

static bool have_images(void)
{
	return access("/dev/loop-control", R_OK | W_OK) == 0 && access("/sbin/mke2fs", X_OK) == 0;
}

/* What lg_layer_open() gives of an image is the root of a mount that is attached nowhere. */
START_TEST(a_layer_goes_from_image_to_image)
{
	const struct lg_disk_limit limit = { .bytes = UINT64_C(64) << 20, .inodes = LG_UNLIMITED };
	struct lg_transfer_index *first;
	struct lg_err err = { 0 };
	lg_autoclose int file = -1;

	if (!have_images())
		return;
	make_kinds();
	lg_transfer_index_free(pass(NULL, true, NULL));
	ck_assert_msg(lg_disk_prepare(top, &limit, &err) == 0, "%s", err.msg);
	ck_assert_msg(lg_layer_create(top, 101, &limit, &err) == 0, "%s", err.msg);
	ck_assert_msg(lg_layer_create(top, 102, &limit, &err) == 0, "%s", err.msg);
	/* from the folder into one image, and from there into the other */
	close(to);
	to = lg_layer_open(top, 101, &err);
	ck_assert_msg(to >= 0, "%s", err.msg);
	memset(mark, 0, sizeof(*mark));
	lg_transfer_index_free(pass(NULL, true, NULL));
	equal();
	/* A container's plain folders are found by those outside of its image. */
	ck_assert_uint_eq(lg_plain_find(top, 101), 0);
	ck_assert_int_eq(lg_plain_mark(top, 101, to, &err), 0);
	ck_assert_uint_eq(lg_plain_find(top, 101), 2);
	close(from);
	from = to;
	to = lg_layer_open(top, 102, &err);
	ck_assert_msg(to >= 0, "%s", err.msg);
	memset(mark, 0, sizeof(*mark));
	first = pass(NULL, false, NULL);
	file = openat(from, "upper/more", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	ck_assert_int_ge(file, 0);
	ck_assert_int_eq(write(file, "x", 1), 1);
	file = lg_close(file);
	lg_transfer_index_free(pass(first, true, NULL));
	equal();
	lg_transfer_index_free(first);
}
END_TEST

/* ---- a container that runs meanwhile ---- */

static char *mapped;

static void write_to_mapping(const struct lg_transfer_count *done,
			     const struct lg_transfer_count *total, void *arg)
{
	(void)done;
	(void)total;
	(void)arg;
	mapped[0] = 2;
}

/* The page becomes writable, with a new ctime, between the scan and the reading of the file. */
START_TEST(what_a_mapping_writes_after_the_file_was_sent_is_seen)
{
	struct lg_transfer_index *first;
	lg_autoclose int fd = -1;
	struct stat was, is;

	put_bytes("from/upper/a-large-one-is-first", 600000, 3);
	put_bytes("from/upper/mapped", 4096, 3);
	fd = open(at("from/upper/mapped"), O_RDWR | O_CLOEXEC);
	mapped = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ck_assert_ptr_ne(mapped, MAP_FAILED);
	mapped[0] = 1;
	settle();
	meanwhile = write_to_mapping;
	first = pass(NULL, false, NULL);
	meanwhile = NULL;
	ck_assert_int_eq(fstat(fd, &was), 0);
	mapped[0] = 3;
	ck_assert_int_eq(fstat(fd, &is), 0);
	/* or there would be nothing to test */
	ck_assert_int_eq(is.st_ctim.tv_nsec, was.st_ctim.tv_nsec);
	lg_transfer_index_free(pass(first, true, NULL));
	equal();
	lg_transfer_index_free(first);
	munmap(mapped, 4096);
}
END_TEST

static const struct lg_transfer_send still = { .still = true };

START_TEST(what_a_still_pass_sent_is_not_sent_again)
{
	struct lg_transfer_index *first, *second;
	struct lg_transfer_sent sent = { 0 };

	make_folder("from/upper/d");
	first = pass(NULL, false, NULL);
	put_bytes("from/upper/d/recent", 100000, 1);
	second = pass_by(first, &still, &sent);
	ck_assert_uint_eq(sent.sent.bytes, 100000);
	/* What has lost its name is given one: that is CRIU's. */
	put("from/upper/d/link_remap.1", "a name");
	lg_transfer_index_free(pass(second, true, &sent));
	ck_assert_uint_eq(sent.sent.bytes, strlen("a name"));
	equal();
	lg_transfer_index_free(first);
	lg_transfer_index_free(second);
}
END_TEST

START_TEST(what_is_written_behind_a_still_pass_is_sent_when_that_is_said)
{
	lg_autoclose int fd = -1;
	struct lg_transfer_index *first, *second;

	put_bytes("from/upper/mapped", 4096, 1);
	fd = open(at("from/upper/mapped"), O_RDWR | O_CLOEXEC);
	mapped = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ck_assert_ptr_ne(mapped, MAP_FAILED);
	first = pass(NULL, false, NULL);
	mapped[0] = 2;
	second = pass_by(first, &still, NULL);
	/* Without a new ctime: the page is to be written back already. */
	mapped[0] = 3;
	lg_transfer_index_used(second);
	lg_transfer_index_free(pass(second, true, NULL));
	equal();
	lg_transfer_index_free(first);
	lg_transfer_index_free(second);
	munmap(mapped, 4096);
}
END_TEST

static void make_victims(void)
{
	static const char *const files[] = {
		"vanishes", "shrinks", "grows", "to-link", "to-fifo", "to-socket", "to-folder",
		"to-device", "to-other", "linked", "d-vanishes/x", "d-to-link/outside", "d-moves/x",
		"d-other/x",
	};
	char name[64];

	put_bytes("from/upper/a-large-one-is-first", 600000, 3);
	make_folder("from/upper/d-vanishes");
	make_folder("from/upper/d-to-link");
	make_folder("from/upper/d-moves");
	make_folder("from/upper/d-other");
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		snprintf(name, sizeof(name), "from/upper/%s", files[i]);
		put_bytes(name, 100000, (unsigned int)i);
	}
	ck_assert_int_eq(link(at("from/upper/linked"), at("from/upper/z-linked")), 0);
	ck_assert_int_eq(symlink("x", at("from/upper/link-vanishes")), 0);
	node("from/upper/fifo-to-file", S_IFIFO | 0600, 0);
}

static void change_victims(void)
{
	ck_assert_int_eq(unlink(at("from/upper/vanishes")), 0);
	ck_assert_int_eq(truncate(at("from/upper/shrinks"), 10), 0);
	put_bytes("from/upper/grows", 300000, 77);
	unlink(at("from/upper/to-link"));
	ck_assert_int_eq(symlink("../../outside", at("from/upper/to-link")), 0);
	unlink(at("from/upper/to-fifo"));
	node("from/upper/to-fifo", S_IFIFO | 0600, 0);
	unlink(at("from/upper/to-socket"));
	node("from/upper/to-socket", S_IFSOCK | 0600, 0);
	unlink(at("from/upper/to-folder"));
	make_folder("from/upper/to-folder");
	unlink(at("from/upper/to-device"));
	node("from/upper/to-device", S_IFCHR | 0600, makedev(1, 5));
	unlink(at("from/upper/to-other"));
	put("from/upper/to-other", "another");
	/* the first of two names */
	unlink(at("from/upper/linked"));
	ck_assert_int_eq(lg_remove_tree(AT_FDCWD, at("from/upper/d-vanishes"), NULL), 0);
	ck_assert_int_eq(lg_remove_tree(AT_FDCWD, at("from/upper/d-to-link"), NULL), 0);
	ck_assert_int_eq(symlink("../..", at("from/upper/d-to-link")), 0);
	ck_assert_int_eq(rename(at("from/upper/d-moves"), at("from/upper/d-other/moved")), 0);
	unlink(at("from/upper/link-vanishes"));
	unlink(at("from/upper/fifo-to-file"));
	put("from/upper/fifo-to-file", "x");
}

/* Once, when the scan is over and the first file is being sent. */
static void change_first(const struct lg_transfer_count *done, const struct lg_transfer_count *total,
			 void *arg)
{
	static bool changed;

	(void)total;
	(void)arg;
	if (!changed) {
		ck_assert_uint_lt(done->bytes, 600000);
		change_victims();
	}
	changed = true;
}

START_TEST(what_changes_its_kind_between_scan_and_sending_is_mended)
{
	struct lg_transfer_index *first;

	make_victims();
	meanwhile = change_first;
	first = pass(NULL, false, NULL);
	meanwhile = NULL;
	lg_transfer_index_free(pass(first, true, NULL));
	equal();
	ck_assert(!is_there("to/upper/vanishes") && !is_there("to/upper/d-vanishes"));
	lg_transfer_index_free(first);
}
END_TEST

/* The same in a later pass: what the other end has of the pass before must go, too. */
START_TEST(what_changes_its_kind_in_a_later_pass_is_mended)
{
	struct lg_transfer_index *first, *second;

	make_victims();
	first = pass(NULL, false, NULL);
	put_bytes("from/upper/a-large-one-is-first", 600000, 4);
	meanwhile = change_first;
	second = pass(first, false, NULL);
	meanwhile = NULL;
	lg_transfer_index_free(pass(second, true, NULL));
	equal();
	lg_transfer_index_free(first);
	lg_transfer_index_free(second);
}
END_TEST

START_TEST(a_layer_that_is_said_to_be_frozen_and_is_not_is_an_error)
{
	const struct lg_transfer_send how = { .frozen = true, .progress = change_first };
	lg_autoclose int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	struct lg_err err = { 0 };

	make_victims();
	ck_assert_int_eq(lg_transfer_send(from, NULL, null, &how, NULL, NULL, &err), -ESTALE);
	ck_assert_ptr_nonnull(strstr(err.msg, "changed while it was read"));
}
END_TEST

static const char *random_name(unsigned int *seed)
{
	static char path[2][128];
	static unsigned int turn;
	char *p = path[turn++ % 2];

	if (rand_r(seed) % 3)
		snprintf(p, 128, "%s/from/upper/d%u/f%u", top, rand_r(seed) % 6, rand_r(seed) % 20);
	else
		snprintf(p, 128, "%s/from/upper/d%u", top, rand_r(seed) % 6);
	return p;
}

static int write_some(const char *path, unsigned int *seed)
{
	lg_autoclose int fd = open(path, O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC,
				   0644);
	char text[3000];

	if (fd < 0)
		return -1;
	memset(text, rand_r(seed), sizeof(text));
	if (write(fd, text, (size_t)(rand_r(seed) % 3000)) < 0)
		return -1;
	return rand_r(seed) % 2 ? ftruncate(fd, rand_r(seed) % 100000) : 0;
}

/* Something that a guest may do. */
static int disturb_once(unsigned int *seed)
{
	const char *a = random_name(seed), *b = random_name(seed);

	switch (rand_r(seed) % 10) {
	case 0:
		return mkdir(a, 0755);
	case 1:
		return unlink(a);
	case 2:
		return rename(a, b);
	case 3:
		return renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE);
	case 4:
		return link(a, b);
	case 5:
		return symlink("/etc/passwd", a);
	case 6:
		return mkfifo(a, 0600);
	case 7:
		return lsetxattr(a, "user.x", seed, sizeof(*seed), 0) < 0 ? rmdir(b) : 0;
	case 8:
		return lg_remove_tree(AT_FDCWD, a, NULL);
	default:
		return write_some(a, seed);
	}
}

/* Without end, and ends with its parent. Much fails; enough does not. */
static void disturb(unsigned int seed)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;)
		(void)disturb_once(&seed);
}

START_TEST(a_layer_in_use_is_equal_after_the_last_pass)
{
	struct lg_transfer_index *first, *second, *third;
	char name[64];
	pid_t pid;

	for (unsigned int i = 0; i < 6; i++) {
		snprintf(name, sizeof(name), "from/upper/d%u", i);
		make_folder(name);
		for (unsigned int j = 0; j < 20; j++) {
			snprintf(name, sizeof(name), "from/upper/d%u/f%u", i, j);
			put_bytes(name, 100 * j * j, i + j);
		}
	}
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0)
		disturb((unsigned int)_i + 1);
	first = pass(NULL, false, NULL);
	second = pass(first, false, NULL);
	ck_assert_int_eq(kill(pid, SIGKILL), 0);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	third = pass(second, true, NULL);
	equal();
	lg_transfer_index_free(first);
	lg_transfer_index_free(second);
	lg_transfer_index_free(third);
}
END_TEST

/* A mount namespace of this test's own, which ends with it, and a tmpfs at @rest. */
static void mount_tmpfs(const char *rest, const char *options)
{
	ck_assert_int_eq(unshare(CLONE_NEWNS), 0);
	ck_assert_int_eq(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	ck_assert_int_eq(mount("lodge", at(rest), "tmpfs", 0, options), 0);
}

/* There a page once written to is writable for good, and nothing tells what is written. */
START_TEST(on_a_tmpfs_every_file_is_sent_again)
{
	struct lg_transfer_index *first;
	struct lg_transfer_sent sent;
	lg_autoclose int fd = -1;

	mount_tmpfs("from", "size=4m");
	close(from);
	from = open_folder("from");
	make_folder("from/upper");
	put_bytes("from/upper/mapped", 4096, 3);
	fd = open(at("from/upper/mapped"), O_RDWR | O_CLOEXEC);
	mapped = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ck_assert_ptr_ne(mapped, MAP_FAILED);
	mapped[0] = 1;
	first = pass(NULL, false, NULL);
	mapped[0] = 2;
	lg_transfer_index_free(pass(first, true, &sent));
	ck_assert_uint_eq(sent.sent.files, 2);
	equal();
	lg_transfer_index_free(first);
	munmap(mapped, 4096);
	fd = lg_close(fd);
	from = lg_close(from);
	ck_assert_int_eq(umount(at("from")), 0);
}
END_TEST

/* ---- ends that go away, and full disks ---- */

START_TEST(a_receiver_that_goes_away_is_an_error)
{
	struct lg_err err = { 0 };
	int ends[2];

	make_kinds();
	signal(SIGPIPE, SIG_IGN);
	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	close(ends[0]);
	ck_assert_int_eq(lg_transfer_send(from, NULL, ends[1], NULL, NULL, NULL, &err), -EPIPE);
	ck_assert_str_ne(err.msg, "");
	close(ends[1]);
}
END_TEST

START_TEST(a_full_disk_is_named_with_the_path)
{
	lg_autoclose int file = open(at("stream"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	lg_autoclose int small = -1;
	struct lg_err err = { 0 };

	make_folder("from/upper/var");
	put_bytes("from/upper/var/big", 3 << 20, 5);
	ck_assert_int_eq(lg_transfer_send(from, NULL, file, NULL, NULL, NULL, &err), 0);
	ck_assert_int_eq(lseek(file, 0, SEEK_SET), 0);
	make_folder("small");
	mount_tmpfs("small", "size=1m");
	small = open_folder("small");
	ck_assert_int_eq(lg_transfer_receive(file, small, NULL, mark, &err), -ENOSPC);
	ck_assert_ptr_nonnull(strstr(err.msg, "'upper/var/big'"));
	ck_assert_int_eq(err.exit_code, LG_EXIT_NO_SPACE);
	small = lg_close(small);
	ck_assert_int_eq(umount(at("small")), 0);
}
END_TEST

static Suite *transfer_suite(void)
{
	Suite *s = suite_create("transfer");
	TCase *tc = tcase_create("layer");

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, make_top, remove_top);
	tcase_add_test(tc, every_kind_of_object_arrives_exactly);
	tcase_add_test(tc, marks_of_overlay_arrive_and_handles_of_this_host_do_not);
	tcase_add_test(tc, holes_stay_holes);
	tcase_add_test(tc, names_of_one_file_stay_names_of_one_file);
	tcase_add_test(tc, a_path_longer_than_any_path_arrives);
	tcase_add_test(tc, what_cannot_travel_is_counted);
	tcase_add_test(tc, a_layer_of_shifted_ids_is_refused);
	tcase_add_test(tc, progress_reaches_what_was_announced);
	tcase_add_test(tc, the_second_pass_sends_only_what_changed);
	tcase_add_test(tc, every_kind_of_change_is_seen);
	tcase_add_test(tc, a_change_that_hides_its_time_is_seen);
	tcase_add_test(tc, one_of_two_names_changes);
	tcase_add_test(tc, the_folder_of_one_of_two_names_is_renamed);
	tcase_add_test(tc, what_a_mapping_writes_is_seen);
	tcase_add_test(tc, a_layer_goes_from_image_to_image);
	tcase_add_test(tc, what_a_mapping_writes_after_the_file_was_sent_is_seen);
	tcase_add_test(tc, what_changes_its_kind_between_scan_and_sending_is_mended);
	tcase_add_test(tc, what_changes_its_kind_in_a_later_pass_is_mended);
	tcase_add_test(tc, a_layer_that_is_said_to_be_frozen_and_is_not_is_an_error);
	tcase_add_test(tc, what_a_still_pass_sent_is_not_sent_again);
	tcase_add_test(tc, what_is_written_behind_a_still_pass_is_sent_when_that_is_said);
	tcase_add_loop_test(tc, a_layer_in_use_is_equal_after_the_last_pass, 0, 20);
	tcase_add_test(tc, on_a_tmpfs_every_file_is_sent_again);
	tcase_add_test(tc, a_receiver_that_goes_away_is_an_error);
	tcase_add_test(tc, a_full_disk_is_named_with_the_path);
	suite_add_tcase(s, tc);
	return s;
}

int main(void)
{
	SRunner *sr;
	int failures;

	if (geteuid() != 0)
		return 77;
	sr = srunner_create(transfer_suite());
	srunner_run_all(sr, CK_ENV);
	failures = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failures ? 1 : 0;
}
