/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * How it works: libcgroup says where each controller is mounted. This file is the only one that
 * speaks to it: from the mount points on lodge goes by descriptors, because libcgroup knows
 * cgroups by path alone, cannot rename one (a start on a hybrid host is a rename), gives no
 * descriptor to be born into with clone3(2), and answers with codes of its own where callers
 * need the errno (EBUSY of a limit that is too low).
 *
 * It lists controllers, so a cgroup2 mount that has none, common on hybrid hosts, is not in
 * its answer; nor is any when its own initialisation fails. /proc/self/mountinfo tells in both
 * cases.
 */

#include "cgroup/host.h"

#include <errno.h>
#include <fcntl.h>
#include <libcgroup.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/vfs.h>

#include "lib/cleanup.h"
#include "lib/file.h"

#define MOUNTINFO_MAX (4u << 20)

const struct lg_cg_ctl_row lg_cg_ctls[LG_CG_CTL_COUNT_] = {
	[LG_CG_MEMORY] = { "memory", "memory" },
	[LG_CG_PIDS] = { "pids", "pids" },
	[LG_CG_CPU] = { "cpu", "cpu" },
	[LG_CG_CPUSET] = { "cpuset", "cpuset" },
	[LG_CG_IO] = { "io", "blkio" },
	/* What cpu.stat tells on cgroup2 has a hierarchy of its own on v1; lxcfs reads it. */
	[LG_CG_CPUACCT] = { "cpuacct", "cpuacct" },
	[LG_CG_HUGETLB] = { "hugetlb", "hugetlb" },
};

/* Open the mount at @path into @mount if it is of that kind and the first one found. */
static int open_mount(const char *path, long magic, struct lg_cg_mount *mount)
{
	lg_autoclose int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct statfs fs;

	if (mount->fd >= 0)
		return 0;
	if (fd < 0 || fstatfs(fd, &fs) < 0)
		return -errno;
	if (fs.f_type != magic)
		return -ENOTTY;
	if (strlen(path) >= sizeof(mount->path))
		return -ENAMETOOLONG;
	memcpy(mount->path, path, strlen(path) + 1);
	mount->fd = lg_take_fd(&fd);
	return 0;
}

static void note_controller(struct lg_cg_mounts *mounts, const char *name, const char *path)
{
	if (open_mount(path, CGROUP2_SUPER_MAGIC, &mounts->v2) == 0 && mounts->v2.fd >= 0 &&
	    strcmp(mounts->v2.path, path) == 0)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(lg_cg_ctls); i++)
		if (strcmp(lg_cg_ctls[i].v1_name, name) == 0)
			(void)open_mount(path, CGROUP_SUPER_MAGIC, &mounts->v1[i]);
}

/* Return: 0 or libcgroup's code. */
static int ask_libcgroup(struct lg_cg_mounts *mounts)
{
	struct cgroup_mount_point info;
	void *handle = NULL;
	int r = cgroup_init();

	if (r)
		return r;
	for (r = cgroup_get_controller_begin(&handle, &info); r == 0;
	     r = cgroup_get_controller_next(&handle, &info))
		note_controller(mounts, info.name, info.path);
	cgroup_get_controller_end(&handle);
	return r == ECGEOF ? 0 : r;
}

/* mountinfo writes blank, tab, new line and backslash as three octal digits behind one. */
static int unescape(const char *from, size_t len, char ret[PATH_MAX])
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		unsigned int c = (unsigned char)from[i];

		if (n + 1 >= PATH_MAX)
			return -ENAMETOOLONG;
		if (c == '\\' && len - i > 3) {
			c = (unsigned int)(from[i + 1] - '0') << 6 |
			    (unsigned int)(from[i + 2] - '0') << 3 |
			    (unsigned int)(from[i + 3] - '0');
			i += 3;
		}
		ret[n++] = (char)c;
	}
	ret[n] = '\0';
	return 0;
}

/* The fields "36 35 98:0 ROOT POINT options... - TYPE source options" of one line. */
static int parse_mount(const char *line, size_t len, char point[PATH_MAX], bool *whole)
{
	const char *end = line + len;
	const char *sep = memmem(line, len, " - ", 3);
	const char *field = line;
	const char *root;

	if (!sep || end - sep < 11 || memcmp(sep, " - cgroup2 ", 11) != 0)
		return -ENOENT;
	end = sep;
	for (int i = 0; i < 3; i++) {
		field = memchr(field, ' ', (size_t)(end - field));
		if (!field)
			return -ENOENT;
		field++;
	}
	root = field;
	field = memchr(field, ' ', (size_t)(end - field));
	if (!field)
		return -ENOENT;
	*whole = field - root == 1 && *root == '/';
	field++;
	return unescape(field, strcspn(field, " \n"), point);
}

int lg_cg_mountinfo_find(const char *text, char ret[PATH_MAX])
{
	char point[PATH_MAX];
	bool found = false;
	bool whole;

	for (const char *line = text; *line;
	     line += strcspn(line, "\n"), line += *line == '\n') {
		if (parse_mount(line, strcspn(line, "\n"), point, &whole) < 0)
			continue;
		if (whole || !found)
			memcpy(ret, point, strlen(point) + 1);
		if (whole)
			return 0;
		found = true;
	}
	return found ? 0 : -ENOENT;
}

static int ask_mountinfo(struct lg_cg_mounts *mounts)
{
	lg_autofree char *text = NULL;
	char path[PATH_MAX];
	int r = lg_file_read(AT_FDCWD, "/proc/self/mountinfo", MOUNTINFO_MAX, &text, NULL,
			     NULL);

	if (r == 0)
		r = lg_cg_mountinfo_find(text, path);
	return r < 0 ? r : open_mount(path, CGROUP2_SUPER_MAGIC, &mounts->v2);
}

int lg_cg_discover(struct lg_cg_mounts *ret, struct lg_err *err)
{
	int asked;
	int r = 0;

	ret->v2.fd = -1;
	for (size_t i = 0; i < ARRAY_SIZE(ret->v1); i++)
		ret->v1[i].fd = -1;
	asked = ask_libcgroup(ret);
	if (ret->v2.fd < 0)
		r = ask_mountinfo(ret);
	if (r == 0)
		return 0;
	lg_cg_mounts_finish(ret);
	return lg_refuse(err, r, 0,
			 "no cgroup2 file system is mounted, or it cannot be opened (%s%s%s): "
			 "mount one, `mount -t cgroup2 none /sys/fs/cgroup`",
			 strerror(-r), asked ? "; libcgroup: " : "",
			 asked ? cgroup_strerror(asked) : "");
}

void lg_cg_mounts_finish(struct lg_cg_mounts *mounts)
{
	mounts->v2.fd = lg_close(mounts->v2.fd);
	for (size_t i = 0; i < ARRAY_SIZE(mounts->v1); i++)
		mounts->v1[i].fd = lg_close(mounts->v1[i].fd);
}
