/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * How it works: stat() names the device of a file's file system. That may be a partition, which has
 * no queue of its own for the kernel to throttle, or, with btrfs and what lives on no disk at all,
 * a number that no device has; mountinfo tells what was mounted. The queue of a stacked device
 * (device mapper, md, loop) is passed once by all that goes to it, however many disks are below, so
 * that is where bytes are counted. Shares of a disk are another matter: they are decided by the
 * scheduler of the real one (lg_io_leaves).
 */

#include "cgroup/io.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/btrfs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "cgroup/host.h"
#include "lib/cleanup.h"
#include "lib/file.h"

#define SYS_BLOCK "/sys/dev/block"
#define SYS_BTRFS "/sys/fs/btrfs"
#define MOUNTINFO_MAX (4u << 20)
#define STACK_MAX 8		/* dm on md on loop on ...: deeper is a ring or a joke */
#define DIR_READ (O_RDONLY | O_DIRECTORY)

bool lg_io_is(const struct lg_io_devs *devs, unsigned int major, unsigned int minor)
{
	for (unsigned int i = 0; i < devs->n; i++)
		if (devs->dev[i].major == major && devs->dev[i].minor == minor)
			return true;
	return false;
}

void lg_io_describe(const struct lg_io_devs *devs, char *buf, size_t size)
{
	size_t at = 0;

	buf[0] = '\0';
	for (unsigned int i = 0; i < devs->n && at < size; i++) {
		const struct lg_io_dev *dev = &devs->dev[i];
		int n = snprintf(buf + at, size - at, "%s%u:%u (%s)", i ? ", " : "", dev->major,
				 dev->minor, dev->name);

		at += n > 0 ? (size_t)n : 0;
	}
}

/* ---- /sys ---- */

static int read_numbers(int dir, const char *path, unsigned int *major, unsigned int *minor)
{
	char text[64];
	ssize_t n = lg_cg_read(dir, "", path, text, sizeof(text));

	if (n < 0)
		return (int)n;
	return sscanf(text, "%u:%u", major, minor) == 2 ? 0 : -EINVAL;
}

/* The last part of what the link "8:0" points to. */
static int read_name(int sys, const char *link, char ret[32])
{
	char target[PATH_MAX];
	ssize_t n = readlinkat(sys, link, target, sizeof(target) - 1);
	const char *base;

	if (n < 0)
		return -errno;
	target[n] = '\0';
	base = strrchr(target, '/');
	snprintf(ret, 32, "%.31s", base ? base + 1 : target);
	return 0;
}

/* @dev becomes the disk that it is a partition of, or stays. */
static int whole_of(int sys, struct lg_io_dev *dev)
{
	char path[64];
	int r = 0;

	snprintf(path, sizeof(path), "%u:%u/partition", dev->major, dev->minor);
	if (faccessat(sys, path, F_OK, 0) == 0) {
		snprintf(path, sizeof(path), "%u:%u/../dev", dev->major, dev->minor);
		r = read_numbers(sys, path, &dev->major, &dev->minor);
	}
	snprintf(path, sizeof(path), "%u:%u", dev->major, dev->minor);
	return r == 0 ? read_name(sys, path, dev->name) : r;
}

int lg_io_add_whole(int sys, unsigned int major, unsigned int minor, struct lg_io_devs *devs,
		    struct lg_err *err)
{
	struct lg_io_dev dev = { .major = major, .minor = minor };
	int r = whole_of(sys, &dev);

	if (r < 0)
		return lg_fail(err, r, "find the disk of device %u:%u", major, minor);
	if (lg_io_is(devs, dev.major, dev.minor))
		return 0;
	if (devs->n == LG_IO_DEVS_MAX)
		return lg_refuse(err, -E2BIG, 0, "its files are on more than %u disks",
				 LG_IO_DEVS_MAX);
	devs->dev[devs->n++] = dev;
	return 0;
}

/* What one level down @dev is made of. Return: how many were put to @ret. */
static unsigned int below(int sys, const struct lg_io_dev *dev, struct lg_io_dev *ret,
			  unsigned int max)
{
	char path[320];
	lg_autoclose int fd = -1;
	lg_autodir DIR *dir = NULL;
	struct dirent *e;
	unsigned int n = 0;

	snprintf(path, sizeof(path), "%u:%u/slaves", dev->major, dev->minor);
	fd = openat(sys, path, DIR_READ | O_CLOEXEC);
	dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir)
		return 0;
	lg_take_fd(&fd);
	while (n < max && (e = readdir(dir))) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%u:%u/slaves/%.255s/dev", dev->major, dev->minor,
			 e->d_name);
		if (read_numbers(sys, path, &ret[n].major, &ret[n].minor) == 0 &&
		    whole_of(sys, &ret[n]) == 0)
			n++;
	}
	return n;
}

/* The disk that a loop device's file is on. Return: 0 or 1. */
static unsigned int below_loop(int sys, const struct lg_io_dev *dev, struct lg_io_dev *ret)
{
	char path[64], file[PATH_MAX];
	struct stat st;
	ssize_t n;

	snprintf(path, sizeof(path), "%u:%u/loop/backing_file", dev->major, dev->minor);
	n = lg_cg_read(sys, "", path, file, sizeof(file));
	if (n <= 0)
		return 0;
	file[strcspn(file, "\n")] = '\0';
	if (stat(file, &st) < 0)
		return 0;
	ret->major = S_ISBLK(st.st_mode) ? major(st.st_rdev) : major(st.st_dev);
	ret->minor = S_ISBLK(st.st_mode) ? minor(st.st_rdev) : minor(st.st_dev);
	return whole_of(sys, ret) == 0;
}

static unsigned int leaves(int sys, const struct lg_io_dev *dev, struct lg_io_dev *ret,
			   unsigned int max, int depth)
{
	struct lg_io_dev parts[LG_IO_DEVS_MAX];
	unsigned int nparts = depth < STACK_MAX ? below(sys, dev, parts, LG_IO_DEVS_MAX) : 0;
	unsigned int n = 0;

	if (nparts == 0 && depth < STACK_MAX)
		nparts = below_loop(sys, dev, parts);
	if (nparts == 0 && max > 0) {
		ret[0] = *dev;
		return 1;
	}
	for (unsigned int i = 0; i < nparts; i++)
		n += leaves(sys, &parts[i], ret + n, max - n, depth + 1);
	return n;
}

unsigned int lg_io_leaves(int sys, const struct lg_io_dev *dev, struct lg_io_dev *ret,
			  unsigned int max)
{
	return leaves(sys, dev, ret, max, 0);
}

/* ---- file systems ---- */

static int take_word(const char **p, char *buf, size_t size)
{
	size_t len = strcspn(*p, " \n");

	if (len == 0 || len >= size)
		return -EINVAL;
	memcpy(buf, *p, len);
	buf[len] = '\0';
	*p += len;
	*p += strspn(*p, " ");
	return 0;
}

int lg_io_mount_of(const char *text, unsigned long long id, char type[32], char source[256])
{
	for (const char *line = text; *line; line += *line == '\n') {
		size_t len = strcspn(line, "\n");
		const char *sep = memmem(line, len, " - ", 3);

		if (sep && strtoull(line, NULL, 10) == id) {
			sep += 3;
			if (take_word(&sep, type, 32) < 0 || take_word(&sep, source, 256) < 0)
				return -ENOENT;
			return 0;
		}
		line += len;
	}
	return -ENOENT;
}

static int add_btrfs(int sys, const char *path, struct lg_io_devs *devs, struct lg_err *err)
{
	lg_autoclose int fd = open(path, DIR_READ | O_CLOEXEC);
	lg_autodir DIR *dir = NULL;
	struct btrfs_ioctl_fs_info_args info = { 0 };
	unsigned int major, minor;
	char name[320];
	size_t at;
	struct dirent *e;
	int r = 0;

	if (fd < 0 || ioctl(fd, BTRFS_IOC_FS_INFO, &info) < 0)
		return lg_fail(err, -errno, "ask btrfs for the disks of '%s'", path);
	at = (size_t)snprintf(name, sizeof(name), SYS_BTRFS "/");
	for (size_t i = 0; i < sizeof(info.fsid); i++)
		at += (size_t)snprintf(name + at, sizeof(name) - at, "%s%02x",
				       i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "",
				       info.fsid[i]);
	snprintf(name + at, sizeof(name) - at, "/devices");
	dir = opendir(name);
	if (!dir)
		return lg_fail(err, -errno, "open '%s'", name);
	while (r == 0 && (e = readdir(dir))) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(name, sizeof(name), "%.255s/dev", e->d_name);
		r = read_numbers(dirfd(dir), name, &major, &minor);
		r = r < 0 ? lg_fail(err, r, "read the number of '%s'", e->d_name) :
			    lg_io_add_whole(sys, major, minor, devs, err);
	}
	return r;
}

static int refuse(const char *path, const char *type, const char *source, struct lg_err *err)
{
	static const struct {
		const char *type, *why;
	} known[] = {
		{ "tmpfs", "in memory" },
		{ "zfs", "on ZFS, whose own threads do the input and output" },
		{ "nfs", "on another host" },
		{ "nfs4", "on another host" },
		{ "overlay", "on another overlay" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (strcmp(known[i].type, type) == 0)
			return lg_refuse(err, -EOPNOTSUPP, 0,
					 "'%s' is %s (%s), and the kernel limits only what goes to "
					 "a disk", path, known[i].why, type);
	return lg_refuse(err, -EOPNOTSUPP, 0,
			 "'%s' is on %s (%s), which is no disk that the kernel can limit", path,
			 source, type);
}

/* Charged to who wrote it, when it is written back later; Documentation/admin-guide/cgroup-v2.rst. */
static bool has_writeback(const char *type)
{
	static const char *const types[] = { "ext2", "ext4", "btrfs", "f2fs", "xfs" };

	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		if (strcmp(types[i], type) == 0)
			return true;
	return false;
}

static int find(int sys, const char *path, const struct statx *sx, struct lg_io_devs *devs,
		struct lg_err *err)
{
	lg_autofree char *text = NULL;
	char type[32], source[256];
	struct stat st;
	int r = lg_file_read(AT_FDCWD, "/proc/self/mountinfo", MOUNTINFO_MAX, &text, NULL, err);

	if (r < 0)
		return r;
	r = lg_io_mount_of(text, sx->stx_mnt_id, type, source);
	if (r < 0)
		return lg_fail(err, r, "find the mount of '%s'", path);
	devs->writeback = (devs->n == 0 || devs->writeback) && has_writeback(type);
	snprintf(devs->fs, sizeof(devs->fs), "%.15s", type);
	if (sx->stx_dev_major)
		return lg_io_add_whole(sys, sx->stx_dev_major, sx->stx_dev_minor, devs, err);
	if (strcmp(type, "btrfs") == 0)
		return add_btrfs(sys, path, devs, err);
	if (*source != '/' || stat(source, &st) < 0 || !S_ISBLK(st.st_mode))
		return refuse(path, type, source, err);
	return lg_io_add_whole(sys, major(st.st_rdev), minor(st.st_rdev), devs, err);
}

int lg_io_find(const char *path, struct lg_io_devs *devs, struct lg_err *err)
{
	lg_autoclose int sys = open(SYS_BLOCK, DIR_READ | O_CLOEXEC);
	struct statx sx;

	if (sys < 0)
		return lg_fail(err, -errno, "open '" SYS_BLOCK "'");
	if (statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS | STATX_MNT_ID, &sx) < 0)
		return lg_fail(err, -errno, "find the disk of '%s'", path);
	return find(sys, path, &sx, devs, err);
}
