/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * How it works: mkfs.ext4 takes some milliseconds and a process. So an empty image of each size is
 * made once, in VAR/disks, and a new layer's image is a copy of the few hundred KiB in it that are
 * not a hole. Not more than CACHE_MAX are kept.
 */

#include "storage/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/exit.h"
#include "lib/file.h"
#include "lib/parse.h"
#include "lib/proc.h"
#include "storage/store.h"

#define CACHE_MAX 32u
#define GROW_TOP 64u		/* room for descriptors of so many times the size */
#define BLOCKS_TOP UINT64_C(4294967295)

/* The same whatever the host's mke2fs.conf says: an image moves to hosts with older kernels. */
static const char features[] =
	"none,has_journal,ext_attr,resize_inode,dir_index,filetype,extent,64bit,flex_bg,"
	"sparse_super,large_file,huge_file,dir_nlink,extra_isize,metadata_csum";

uint64_t lg_disk_round(uint64_t bytes)
{
	return bytes == LG_UNLIMITED ? bytes : (bytes + 4095) & ~UINT64_C(4095);
}

static void cache_name(const struct lg_disk_limit *limit, char buf[64])
{
	uint64_t inodes = limit->inodes == LG_UNLIMITED ? 0 : limit->inodes;

	snprintf(buf, 64, "%" PRIu64 "-%" PRIu64 ".img", lg_disk_round(limit->bytes), inodes);
}

bool lg_disk_prepared(const char *var, const struct lg_disk_limit *limit)
{
	lg_autoclose int dir = lg_store_open(var, "disks", NULL);
	char name[64];

	cache_name(limit, name);
	return dir >= 0 && faccessat(dir, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* A small journal: what it holds is allocated for good once it has been written through. */
static unsigned int journal_mib(uint64_t bytes)
{
	static const struct {
		uint64_t below;
		unsigned int mib;
	} steps[] = {
		{ UINT64_C(256) << 20, 4 },
		{ UINT64_C(2) << 30, 8 },
		{ UINT64_C(32) << 30, 16 },
		{ UINT64_C(256) << 30, 32 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(steps); i++)
		if (bytes < steps[i].below)
			return steps[i].mib;
	return 64;
}

static const char *find_mkfs(void)
{
	static const char *const paths[] = { "/sbin/mke2fs", "/usr/sbin/mke2fs" };

	for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
		if (access(paths[i], X_OK) == 0)
			return paths[i];
	return NULL;
}

/* @folder: what the root of the new file system holds. */
static int run_mkfs(const struct lg_disk_limit *limit, const char *image, const char *folder,
		    struct lg_err *err)
{
	uint64_t top = lg_disk_round(limit->bytes) / 4096 * GROW_TOP;
	char journal[24], extended[160], inodes[24];
	const char *argv[] = {
		"mke2fs", "-q", "-F", "-t", "ext4", "-b", "4096", "-I", "256", "-m", "0",
		"-O", features, "-J", journal, "-E", extended, "-d", folder, image,
		NULL, NULL, NULL, NULL,
	};
	static const int fds[] = { -1, STDERR_FILENO, STDERR_FILENO };
	struct lg_spawn spawn = { .path = find_mkfs(), .fds = fds, .nfds = 3,
				  .argv = (char *const *)(uintptr_t)argv };
	int status = 0;
	size_t n = 19;
	pid_t pid;

	if (!spawn.path)
		return lg_refuse(err, -ENOENT, LG_EXIT_RESOURCES,
				 "a disk limit needs mke2fs, which is not there: install e2fsprogs");
	snprintf(journal, sizeof(journal), "size=%u", journal_mib(limit->bytes));
	snprintf(extended, sizeof(extended), "resize=%" PRIu64 ",lazy_itable_init=1,"
		 "lazy_journal_init=1,nodiscard,assume_storage_prezeroed=1",
		 top > BLOCKS_TOP ? BLOCKS_TOP : top);
	if (limit->inodes != LG_UNLIMITED) {
		snprintf(inodes, sizeof(inodes), "%" PRIu64, limit->inodes);
		argv[n++] = "-N";
		argv[n++] = inodes;
	}
	argv[n] = image;
	pid = lg_spawn(&spawn, NULL, err);
	if (pid < 0)
		return (int)pid;
	if (waitpid(pid, &status, 0) < 0)
		return lg_fail(err, -errno, "wait for mke2fs");
	if (status == 0)
		return 0;
	return lg_refuse(err, -EIO, LG_EXIT_RESOURCES,
			 "mke2fs could not make a disk of %" PRIu64 " KiB (its words are in "
			 "lodged's log)", limit->bytes >> 10);
}

/* upper's mode is what the container sees on its root. */
static int make_content(int dir, const char *folder)
{
	lg_autoclose int fd = -1;

	if (mkdirat(dir, folder, 0755) < 0)
		return -errno;
	fd = openat(dir, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fchmod(fd, 0755) < 0 || mkdirat(fd, "upper", 0755) < 0 ||
	    fchmodat(fd, "upper", 0755, 0) < 0 || mkdirat(fd, "work", 0700) < 0)
		return -errno;
	return 0;
}

static int make_file(int dir, const char *name, uint64_t bytes, struct lg_err *err)
{
	lg_autoclose int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0 || ftruncate(fd, (off_t)bytes) < 0)
		return lg_fail(err, -errno, "make an image of %" PRIu64 " KiB", bytes >> 10);
	return 0;
}

static int make_empty(int dir, const char *var, const struct lg_disk_limit *limit,
		      const char *name, struct lg_err *err)
{
	char path[LG_STORE_PATH], content[LG_STORE_PATH], folder[96];
	int r;

	snprintf(folder, sizeof(folder), "%s.d", name);
	r = lg_store_path(path, err, "%s/disks/%s", var, name);
	if (r == 0)
		r = lg_store_path(content, err, "%s/disks/%s", var, folder);
	if (r == 0)
		r = make_file(dir, name, lg_disk_round(limit->bytes), err);
	if (r < 0)
		return r;
	r = make_content(dir, folder);
	r = r < 0 ? lg_fail(err, r, "make '%s'", content) : run_mkfs(limit, path, content, err);
	lg_remove_tree(dir, folder, NULL);
	return r;
}

/* The ones that were not used for longest go; a killed mkfs's leavings, too. */
static void trim_cache(int dir)
{
	char oldest[NAME_MAX + 1];
	unsigned int n;

	do {
		int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		lg_autodir DIR *d = fd < 0 ? NULL : fdopendir(fd);
		time_t first = 0;
		struct dirent *e;
		struct stat st;

		n = 0;
		while (d && (e = readdir(d))) {
			if (e->d_name[0] == '.' ||
			    fstatat(dir, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
				continue;
			if (n++ == 0 || st.st_atime < first) {
				first = st.st_atime;
				snprintf(oldest, sizeof(oldest), "%s", e->d_name);
			}
		}
	} while (n > CACHE_MAX && unlinkat(dir, oldest, 0) == 0);
}

int lg_disk_prepare(const char *var, const struct lg_disk_limit *limit, struct lg_err *err)
{
	lg_autoclose int dir = lg_store_open(var, "disks", err);
	char name[64], tmp[80];
	int r;

	if (dir < 0)
		return dir;
	cache_name(limit, name);
	snprintf(tmp, sizeof(tmp), ".%s.%d", name, (int)getpid());
	r = make_empty(dir, var, limit, tmp, err);
	if (r == 0 && renameat(dir, tmp, dir, name) < 0)
		r = lg_fail(err, -errno, "rename '%s'", tmp);
	if (r < 0)
		unlinkat(dir, tmp, 0);
	else
		trim_cache(dir);
	return r;
}

/* By reference where that is possible. Between two file systems it may not be. */
static ssize_t copy_some(int from, off_t *data, int to, off_t *out, size_t len)
{
	ssize_t n = copy_file_range(from, data, to, out, len, 0);

	if (n >= 0 || (errno != EXDEV && errno != EOPNOTSUPP && errno != EINVAL))
		return n;
	if (lseek(to, *out, SEEK_SET) < 0)
		return -1;
	n = sendfile(to, from, data, len);
	*out += n > 0 ? n : 0;
	return n;
}

/* What is not a hole, from @from to @to, which is one hole. */
static int copy_data(int from, int to, off_t size)
{
	off_t at = 0;

	while (at < size) {
		off_t data = lseek(from, at, SEEK_DATA), end, out;

		if (data < 0)
			return errno == ENXIO ? 0 : -errno;
		end = lseek(from, data, SEEK_HOLE);
		if (end < 0)
			return -errno;
		for (out = data; data < end;) {
			ssize_t n = copy_some(from, &data, to, &out, (size_t)(end - data));

			if (n <= 0)
				return n < 0 ? -errno : -EIO;
		}
		at = end;
	}
	return 0;
}

int lg_disk_copy_empty(const char *var, const struct lg_disk_limit *limit, int dirfd,
		       const char *name, struct lg_err *err)
{
	lg_autoclose int dir = lg_store_open(var, "disks", err), from = -1, to = -1;
	char cached[64];
	struct stat st;
	int r = 0;

	if (dir < 0)
		return dir;
	cache_name(limit, cached);
	from = openat(dir, cached, O_RDONLY | O_CLOEXEC);
	if (from < 0 || fstat(from, &st) < 0)
		return lg_fail(err, -errno, "open the empty image '%s'", cached);
	to = openat(dirfd, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (to < 0)
		return lg_fail(err, -errno, "make '%s'", name);
	if (ioctl(to, FICLONE, from) < 0)
		r = ftruncate(to, st.st_size) < 0 ? -errno : copy_data(from, to, st.st_size);
	/* Its conf file will be on the disk for good: so must what it speaks of. */
	if (r == 0 && fdatasync(to) < 0)
		r = -errno;
	if (r < 0)
		unlinkat(dirfd, name, 0);
	return r < 0 ? lg_fail(err, r, "write '%s'", name) : 0;
}
