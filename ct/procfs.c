/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ct/procfs.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/file.h"

enum folder { IN_PROC, IN_CPU };

/*
 * lxcfs also has a slabinfo. Where the kernel keeps no such list per cgroup, which is every kernel that
 * lodge runs on, it would show that of the host, which the kernel itself shows to nobody inside.
 */
/* clang-format off */
static const struct {
	const char *source;	/* in lxcfs; the name of the file behind the last slash */
	enum folder folder;
} rows[] = {
	{ "proc/meminfo",			IN_PROC },
	{ "proc/cpuinfo",			IN_PROC },
	{ "proc/stat",				IN_PROC },
	{ "proc/uptime",			IN_PROC },
	{ "proc/loadavg",			IN_PROC },
	{ "proc/swaps",				IN_PROC },
	{ "proc/diskstats",			IN_PROC },
	{ "sys/devices/system/cpu/online",	IN_CPU },
};
/* clang-format on */

_Static_assert(ARRAY_SIZE(rows) == LG_PROCFS_FILES, "one descriptor for each row");

#define MEMINFO 0
#define UPTIME 3
#define TABLE_MAX (1u << 20)
#define PASSES_MAX 4	/* of ours over one file: never more than one, unless something went wrong */

static const char *name_of(size_t i)
{
	return strrchr(rows[i].source, '/') + 1;
}

/* Without asking the file system: of a dead or stuck one this tells as much. */
static int dev_of(int fd, dev_t *ret)
{
	struct statx st;

	if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE, &st) < 0)
		return -errno;
	*ret = makedev(st.stx_dev_major, st.stx_dev_minor);
	return 0;
}

void lg_procfs_close(struct lg_procfs *files)
{
	for (size_t i = 0; i < LG_PROCFS_FILES; i++)
		files->fds[i] = lg_close(files->fds[i]);
	files->dev = 0;
}

/* An lxcfs that does not answer is not there. */
static int try_read(int path_fd)
{
	char path[32], buf[64];
	lg_autoclose int fd = -1;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", path_fd);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, buf, sizeof(buf));
	return n < 0 ? -errno : n == 0 ? -EIO : 0;
}

static int open_files(int dir, struct lg_procfs *files)
{
	dev_t dev;
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		files->fds[i] = openat(dir, rows[i].source, O_PATH | O_CLOEXEC | O_NOFOLLOW);
		if (files->fds[i] < 0 && errno != ENOENT)
			return -errno;
		if (i == MEMINFO && files->fds[i] < 0)
			return -ENOENT;
	}
	r = dev_of(files->fds[MEMINFO], &files->dev);
	if (r == 0)
		r = dev_of(dir, &dev);
	/* The same file system all the way: what lies over a file of lxcfs is not lxcfs. */
	if (r == 0 && dev != files->dev)
		r = -EXDEV;
	return r < 0 ? r : try_read(files->fds[MEMINFO]);
}

int lg_procfs_open(const char *dir, struct lg_procfs *ret, struct lg_err *err)
{
	struct lg_procfs files = LG_PROCFS_NONE;
	lg_autoclose int fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int r = fd < 0 ? -errno : open_files(fd, &files);

	if (r < 0) {
		lg_procfs_close(&files);
		return lg_fail(err, r, "open lxcfs at '%s'", dir);
	}
	*ret = files;
	return 0;
}

/*
 * A copy of the host's mount that is its peer would carry whatever a guest mounts over it to the host and to
 * every other guest; systemd makes all mounts of a host shared.
 */
static int copy_mount(int file)
{
	struct mount_attr attr = { .propagation = MS_PRIVATE };
	lg_autoclose int fd = open_tree(file, "",
					OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);

	if (fd < 0 || mount_setattr(fd, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0)
		return -errno;
	return lg_take_fd(&fd);
}

int lg_procfs_clone(const struct lg_procfs *from, struct lg_procfs *ret, struct lg_err *err)
{
	struct lg_procfs files = LG_PROCFS_NONE;

	for (size_t i = 0; i < LG_PROCFS_FILES; i++) {
		if (from->fds[i] < 0)
			continue;
		files.fds[i] = copy_mount(from->fds[i]);
		if (files.fds[i] < 0) {
			int r = lg_fail(err, files.fds[i], "copy the mount of lxcfs");

			lg_procfs_close(&files);
			return r;
		}
	}
	files.dev = from->dev;
	*ret = files;
	return 0;
}

int lg_procfs_put(struct lg_msg *m, const struct lg_procfs *files)
{
	for (size_t i = 0; i < LG_PROCFS_FILES; i++) {
		int r;

		if (files->fds[i] < 0)
			continue;
		r = lg_msg_put(m, "file", rows[i].source);
		if (r == 0)
			r = lg_msg_put_fd(m, files->fds[i]);
		if (r < 0)
			return r;
	}
	return 0;
}

static size_t row_of(const char *source)
{
	size_t i = 0;

	while (i < ARRAY_SIZE(rows) && strcmp(rows[i].source, source) != 0)
		i++;
	return i;
}

int lg_procfs_take(struct lg_msg *m, struct lg_procfs *ret, struct lg_err *err)
{
	struct lg_procfs files = LG_PROCFS_NONE;
	unsigned int n = 0;

	for (const char *p = lg_msg_get(m, "file"); p; p = lg_msg_next(m, "file", p), n++) {
		size_t i = row_of(p);

		if (n >= m->nfds || (i < ARRAY_SIZE(rows) && files.fds[i] >= 0)) {
			lg_procfs_close(&files);
			return lg_refuse(err, -EINVAL, 0, "bad list of lxcfs's files");
		}
		if (i == ARRAY_SIZE(rows))
			continue;
		files.fds[i] = lg_msg_take_fd(m, n);
		if (!files.dev)
			dev_of(files.fds[i], &files.dev);
	}
	*ret = files;
	return 0;
}

void lg_procfs_leave_clock(struct lg_procfs *files)
{
	files->fds[UPTIME] = lg_close(files->fds[UPTIME]);
}

size_t lg_procfs_keep(struct lg_procfs *files, int *keep[LG_PROCFS_FILES])
{
	for (size_t i = 0; i < LG_PROCFS_FILES; i++)
		keep[i] = &files->fds[i];
	return LG_PROCFS_FILES;
}

void lg_procfs_dirs(struct lg_procfs_dirs *ret)
{
	ret->proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	ret->cpu = open("/sys/devices/system/cpu", O_PATH | O_DIRECTORY | O_CLOEXEC);
}

dev_t lg_procfs_root(void)
{
	lg_autoclose int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	dev_t dev;

	return root >= 0 && dev_of(root, &dev) == 0 ? dev : 0;
}

/* Does the table have device @dev mounted at @point, as file system @type? statfs() would ask a guest's own one. */
static bool is_mounted(char *table, const char *point, dev_t dev, const char *type)
{
	char *save = NULL;

	for (char *line = strtok_r(table, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char at[64], is[16];
		unsigned int major, minor;
		const char *dash = strstr(line, " - ");

		if (dash && sscanf(line, "%*d %*d %u:%u %*s %63s", &major, &minor, at) == 3 &&
		    sscanf(dash, " - %15s", is) == 1 && strcmp(at, point) == 0 &&
		    strcmp(is, type) == 0 && makedev(major, minor) == dev)
			return true;
	}
	return false;
}

/* One name in the root, which is the container's own disk, and what is mounted there: no file system is asked. */
static int open_kernels(int proc, int root, const char *point, const char *type)
{
	struct open_how how = {
		.flags = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS,
	};
	lg_autoclose int fd = lg_openat2(root, point + 1, &how);
	lg_autofree char *table = NULL;
	dev_t dev;

	if (fd < 0 || dev_of(fd, &dev) < 0 ||
	    lg_file_read(proc, "self/mountinfo", TABLE_MAX, &table, NULL, NULL) < 0 ||
	    !is_mounted(table, point, dev, type))
		return -1;
	return lg_take_fd(&fd);
}

void lg_procfs_find_dirs(int proc, dev_t root, struct lg_procfs_dirs *ret)
{
	struct open_how how = {
		.flags = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV,
	};
	lg_autoclose int dir = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	lg_autoclose int sys = -1;
	dev_t dev;

	*ret = (struct lg_procfs_dirs)LG_PROCFS_NO_DIRS;
	if (dir < 0 || dev_of(dir, &dev) < 0 || dev != root)
		return;
	ret->proc = open_kernels(proc, dir, "/proc", "proc");
	sys = open_kernels(proc, dir, "/sys", "sysfs");
	if (sys >= 0)
		ret->cpu = lg_openat2(sys, "devices/system/cpu", &how);
}

/* What is on top at this name: one name in a folder of the kernel's, and the mounts over it. */
static int open_top(int dir, const char *name)
{
	struct open_how how = {
		.flags = O_PATH | O_NOFOLLOW | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS,
	};

	return lg_openat2(dir, name, &how);
}

static bool is_one_of(dev_t dev, const dev_t *devs)
{
	for (size_t i = 0; i < LG_PROCFS_DEVS; i++)
		if (devs[i] && devs[i] == dev)
			return true;
	return false;
}

/* Return: 1 when the kernel's own file is to be seen and can be covered. */
static int uncover(int dir, const char *name, const dev_t *old)
{
	dev_t kernel, top;
	int r = dev_of(dir, &kernel);

	for (int i = 0; r == 0 && i < PASSES_MAX; i++) {
		lg_autoclose int fd = open_top(dir, name);

		if (fd < 0)
			return fd;
		/* Of a file system that is the guest's own this may be refused. */
		if (dev_of(fd, &top) < 0)
			return 0;
		if (!is_one_of(top, old))
			return top == kernel;
		if (umount2(name, MNT_DETACH | UMOUNT_NOFOLLOW) < 0)
			return -errno;
	}
	return r;
}

static int place(int dir, const char *name, const dev_t *old, int file)
{
	int r;

	/* umount2() knows no folder but ours. */
	if (fchdir(dir) < 0)
		return -errno;
	r = old ? uncover(dir, name, old) : 1;
	if (r <= 0 || file < 0)
		return r < 0 ? r : 0;
	if (move_mount(file, "", dir, name, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return -errno;
	return 0;
}

int lg_procfs_place(const struct lg_procfs_dirs *dirs, const dev_t *old,
		    const struct lg_procfs *files, struct lg_err *err)
{
	int first = 0;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int dir = rows[i].folder == IN_PROC ? dirs->proc : dirs->cpu;
		int r = dir < 0 ? 0 : place(dir, name_of(i), old, files->fds[i]);

		if (r < 0 && first == 0)
			first = lg_fail(err, r, "%s %s", files->fds[i] < 0 ? "uncover" : "cover",
					rows[i].source);
	}
	return first;
}
