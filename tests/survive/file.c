/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "survive.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#define SMALL 5000u
#define LARGE (8u << 20)

static int fd = -1, other = -1;

/* ---- deleted, but open ------------------------------------------------------------ */

static size_t deleted_size;

static int deleted(size_t size)
{
	deleted_size = size;
	fd = sv_file("deleted", size, 60);
	if (fd < 0 || lseek(fd, 10, SEEK_SET) < 0 || unlink("deleted") < 0)
		return sv_errno("deleted");
	return 0;
}

static int small_setup(void)
{
	return deleted(SMALL);
}

static int large_setup(void)
{
	return deleted(LARGE);
}

static int deleted_verify(void)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return sv_errno("fstat");
	if (sv_same("links of the deleted file", 0, st.st_nlink) < 0 ||
	    sv_same("its size", (int64_t)deleted_size, st.st_size) < 0 ||
	    sv_receive(fd, 60, 10, deleted_size - 10) < 0 ||
	    sv_ended("the deleted file", fd) < 0 || sv_send(fd, 60, deleted_size, 100) < 0)
		return -1;
	if (access("deleted", F_OK) == 0)
		return sv_fail("the deleted file has come back");
	return 0;
}

static void deleted_spoil(void)
{
	(void)!pwrite(fd, "damage", 6, 2000);
}

/* Another name of it remains. */
static int linked_setup(void)
{
	fd = sv_file("first", SMALL, 61);
	if (fd < 0 || link("first", "second") < 0 || unlink("first") < 0)
		return sv_errno("link");
	return 0;
}

static int linked_verify(void)
{
	struct stat st, named;

	if (fstat(fd, &st) < 0 || stat("second", &named) < 0)
		return sv_errno("second");
	if (sv_same("number of the file", (int64_t)named.st_ino, (int64_t)st.st_ino) < 0 ||
	    sv_same("its links", 1, st.st_nlink) < 0 ||
	    sv_same("its position", SMALL, lseek(fd, 0, SEEK_CUR)) < 0)
		return -1;
	return access("first", F_OK) == 0 ? sv_fail("the deleted name has come back") : 0;
}

static void linked_spoil(void)
{
	unlink("second");
	close(sv_file("second", SMALL, 61));
}

/* A deleted folder that somebody is in, and one that is open. */
static int folder_setup(void)
{
	if (mkdir("gone", 0711) < 0 || mkdir("open", 0700) < 0)
		return sv_errno("mkdir");
	other = open("open", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (other < 0 || chdir("gone") < 0 || rmdir("../gone") < 0 || rmdir("../open") < 0)
		return sv_errno("rmdir");
	return 0;
}

static int folder_verify(void)
{
	struct stat st;
	char path[256] = "";

	if (stat(".", &st) < 0 || sv_same("links of the working folder", 0, st.st_nlink) < 0)
		return sv_errno("the working folder");
	if (sv_same("its mode", 0711, st.st_mode & 0777) < 0)
		return -1;
	if (getcwd(path, sizeof(path)) || errno != ENOENT)
		return sv_fail("the deleted working folder is %s", path);
	if (open("file", O_WRONLY | O_CREAT | O_CLOEXEC, 0600) >= 0)
		return sv_fail("a file can be made in a deleted folder");
	if (fstat(other, &st) < 0 || !S_ISDIR(st.st_mode))
		return sv_fail("the other folder is not open");
	return sv_same("links of the other folder", 0, st.st_nlink);
}

static void folder_spoil(void)
{
	(void)!chdir("/");
}

/* ---- positions and flags ---------------------------------------------------------- */

static struct sv_child child;

/* The child moves the position, which is one for both. */
static int advance(int request)
{
	return lseek(other, request, SEEK_CUR) < 0 ? sv_errno("lseek") : 0;
}

static int position_setup(void)
{
	fd = sv_file("file", SMALL, 62);
	other = dup(fd);
	if (fd < 0 || other < 0 || lseek(fd, 1234, SEEK_SET) < 0)
		return sv_errno("lseek");
	return sv_child_start(&child, advance);
}

static int position_verify(void)
{
	if (sv_same("position", 1234, lseek(fd, 0, SEEK_CUR)) < 0 ||
	    sv_child_ask(&child, 10) < 0)
		return -1;
	if (sv_same("position moved by the other process", 1244, lseek(fd, 0, SEEK_CUR)) < 0 ||
	    sv_same("of the duplicate", 1244, lseek(other, 0, SEEK_CUR)) < 0)
		return -1;
	return sv_receive(fd, 62, 1244, SMALL - 1244);
}

/* The same file, opened anew: a position of its own. */
static void position_spoil(void)
{
	fd = open("file", O_RDWR | O_CLOEXEC);
	lseek(fd, 1234, SEEK_SET);
}

static int flags_setup(void)
{
	fd = open("append", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	other = open("append", O_RDONLY | O_NOATIME | O_NONBLOCK);
	if (fd < 0 || other < 0 || write(fd, "0123456789", 10) != 10)
		return sv_errno("append");
	return 0;
}

static int flags_verify(void)
{
	char buf[16] = "";

	if (sv_same("flags", O_WRONLY | O_APPEND,
		    fcntl(fd, F_GETFL) & (O_ACCMODE | O_APPEND | O_NONBLOCK)) < 0 ||
	    sv_same("flags of the other", O_NOATIME | O_NONBLOCK,
		    fcntl(other, F_GETFL) & (O_ACCMODE | O_APPEND | O_NONBLOCK | O_NOATIME)) <
		    0 ||
	    sv_same("close-on-exec", FD_CLOEXEC, fcntl(fd, F_GETFD)) < 0 ||
	    sv_same("close-on-exec of the other", 0, fcntl(other, F_GETFD)) < 0)
		return -1;
	lseek(fd, 0, SEEK_SET);
	if (write(fd, "ab", 2) != 2 || read(other, buf, sizeof(buf)) != 12)
		return sv_errno("what was appended");
	return strcmp(buf, "0123456789ab") == 0 ? 0 : sv_fail("the file is '%s'", buf);
}

static void flags_spoil(void)
{
	fcntl(fd, F_SETFL, 0);
}

/* ---- sparse, direct --------------------------------------------------------------- */

#define HOLE (INT64_C(3) << 30)

static int sparse_setup(void)
{
	fd = sv_file("sparse", SMALL, 63);
	if (fd < 0 || lseek(fd, HOLE, SEEK_SET) < 0)
		return sv_errno("lseek");
	return sv_send(fd, 63, HOLE, SMALL);
}

static int sparse_verify(void)
{
	struct stat st;

	if (sv_send(fd, 63, HOLE + SMALL, SMALL) < 0)
		return -1;
	if (fstat(fd, &st) < 0)
		return sv_errno("fstat");
	if (sv_same("its size", HOLE + 2 * SMALL, st.st_size) < 0)
		return -1;
	if (st.st_blocks > 2048)
		return sv_fail("the hole is filled");
	lseek(fd, 0, SEEK_SET);
	if (sv_receive(fd, 63, 0, SMALL) < 0 || lseek(fd, HOLE, SEEK_SET) < 0)
		return -1;
	return sv_receive(fd, 63, HOLE, 2 * SMALL);
}

static void sparse_spoil(void)
{
	(void)!ftruncate(fd, HOLE + 10);
}

/* Where the file system has no O_DIRECT there is nothing to lose but the file. */
static int direct_flag;

static int direct_setup(void)
{
	close(sv_file("direct", 8192, 64));
	fd = open("direct", O_RDWR | O_DIRECT | O_CLOEXEC);
	direct_flag = fd < 0 ? 0 : O_DIRECT;
	if (fd < 0)
		fd = open("direct", O_RDWR | O_CLOEXEC);
	return fd < 0 ? sv_errno("direct") : 0;
}

static int direct_verify(void)
{
	void *page = aligned_alloc(4096, 4096);
	int r = -1;

	if (sv_same("O_DIRECT", direct_flag, fcntl(fd, F_GETFL) & O_DIRECT) < 0 || !page)
		goto out;
	if (pread(fd, page, 4096, 4096) != 4096)
		sv_fail("a direct read comes short");
	else
		r = sv_compare("a direct read", page, 4096, 64, 4096);
out:
	free(page);
	return r;
}

static void direct_spoil(void)
{
	(void)!ftruncate(fd, 4096);
}

/* ---- folders, devices and files of /proc that are open ---------------------------- */

static int null = -1, zero = -1, status = -1, name = -1;

static int special_setup(void)
{
	fd = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	status = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
	other = sv_file("path", 10, 65);
	name = open("path", O_PATH | O_CLOEXEC);
	if (fd < 0 || null < 0 || zero < 0 || status < 0 || other < 0 || name < 0)
		return sv_errno("open");
	return 0;
}

static int special_verify(void)
{
	struct stat st;
	char buf[6] = "xxxxx";

	if (write(null, "x", 1) != 1 || read(zero, buf, 1) != 1 || buf[0] != 0)
		return sv_errno("/dev/null, /dev/zero");
	if (read(status, buf, 5) != 5 || memcmp(buf, "Name:", 5) != 0)
		return sv_errno("/proc/self/status");
	if (fstatat(fd, "path", &st, 0) < 0 ||
	    sv_same("size of a file in the open folder", 10, st.st_size) < 0)
		return sv_errno("the open folder");
	if (fstat(name, &st) < 0 || read(name, buf, 1) != -1 || errno != EBADF)
		return sv_fail("what was opened with O_PATH is not what it was");
	return 0;
}

static void special_spoil(void)
{
	dup2(null, zero);
}

/* clang-format off */
const struct sv_item sv_file_items[] = {
	{ "file-deleted", "a small deleted file that is open", small_setup, deleted_verify, deleted_spoil, NULL, SV_KEPT },
	{ "file-deleted-8m", "a deleted file of 8 MiB that is open", large_setup, deleted_verify, deleted_spoil, NULL, SV_KEPT },
	{ "file-linked", "open by a name that is gone, with another left", linked_setup, linked_verify, linked_spoil, NULL, SV_KEPT },
	{ "folder-deleted", "deleted folders: the working one, an open one", folder_setup, folder_verify, folder_spoil, NULL, SV_KEPT },
	{ "file-position", "a position that two processes share", position_setup, position_verify, position_spoil, NULL, SV_KEPT },
	{ "file-flags", "O_APPEND, O_NOATIME, O_NONBLOCK, close-on-exec", flags_setup, flags_verify, flags_spoil, NULL, SV_KEPT },
	{ "file-sparse", "a sparse file that is written further", sparse_setup, sparse_verify, sparse_spoil, NULL, SV_KEPT },
	{ "file-direct", "O_DIRECT", direct_setup, direct_verify, direct_spoil, NULL, SV_KEPT },
	{ "file-special", "open folders, devices, /proc, O_PATH", special_setup, special_verify, special_spoil, NULL, SV_KEPT },
	{ .name = NULL },
};
