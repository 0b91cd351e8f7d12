/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "storage/shift.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/file.h"
#include "lib/ids.h"
#include "lib/ns.h"
#include "lib/proc.h"

#define CAPABILITY "security.capability"
#define CAPABILITY_MAX 64

bool lg_shift_needed(const char *var)
{
	lg_autoclose int tree = -1, userns = -1;
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_IDMAP };

	/* The first user namespace rules what the host mounted. */
	if (lg_ids_mapped() == UINT32_MAX)
		return false;
	tree = open_tree(AT_FDCWD, var, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	userns = open("/proc/self/ns/user", O_RDONLY | O_CLOEXEC);
	if (tree < 0 || userns < 0)
		return true;
	attr.userns_fd = (uint64_t)userns;
	return mount_setattr(tree, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0;
}

int lg_shift_lower(char path[LG_STORE_PATH], const char *var, uint32_t ctid, uint32_t base,
		   struct lg_err *err)
{
	return lg_store_path(path, err, "%s/ct/%u/lower.%u", var, ctid, base);
}

bool lg_shift_is_done(const char *var, uint32_t ctid, uint32_t base)
{
	char path[LG_STORE_PATH];

	return lg_shift_lower(path, var, ctid, base, NULL) == 0 && access(path, F_OK) == 0;
}

static uint32_t shifted(uint32_t id, uint32_t base)
{
	return id < LG_ID_COUNT ? id + base : id;
}

static int shift_one(const char *path, const struct stat *st, uint32_t base)
{
	unsigned char caps[CAPABILITY_MAX];
	ssize_t n = S_ISREG(st->st_mode) ? lgetxattr(path, CAPABILITY, caps, sizeof(caps)) : -1;

	if (lchown(path, shifted(st->st_uid, base), shifted(st->st_gid, base)) < 0)
		return -errno;
	if (!S_ISLNK(st->st_mode) && (st->st_mode & 07000) &&
	    chmod(path, st->st_mode & 07777) < 0)
		return -errno;
	if (n > 0 && lsetxattr(path, CAPABILITY, caps, (size_t)n, 0) < 0)
		return -errno;
	return 0;
}

int lg_shift_tree(const char *path, uint32_t base, struct lg_err *err)
{
	char *const paths[] = { (char *)(uintptr_t)path, NULL };	/* fts only reads */
	FTS *fts = fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR | FTS_XDEV, NULL);
	FTSENT *e;
	int r = 0;

	if (!fts)
		return lg_fail(err, -errno, "read '%s'", path);
	while (r == 0 && (errno = 0, e = fts_read(fts))) {
		if (e->fts_info == FTS_DP)
			continue;
		if (e->fts_info == FTS_DNR || e->fts_info == FTS_ERR || e->fts_info == FTS_NS)
			r = -e->fts_errno;
		else
			r = shift_one(e->fts_path, e->fts_statp, base);
		if (r < 0)
			lg_fail(err, r, "give '%s' to its owner", e->fts_path);
	}
	if (r == 0 && errno)
		r = lg_fail(err, -errno, "read '%s'", path);
	fts_close(fts);
	return r;
}

/* The system's own program knows holes, links, attributes and what the file system can share. */
static int copy_tree(const char *from, const char *to, struct lg_err *err)
{
	const char *const argv[] = { "cp", "-a", "--reflink=auto", "--", from, to, NULL };
	int fds[3] = { -1, -1, STDERR_FILENO }, status = 0;
	struct lg_spawn spawn = { .path = "/bin/cp", .fds = fds, .nfds = 3 };
	pid_t pid;

	spawn.argv = (char *const *)(uintptr_t)argv;	/* execve() only reads */
	pid = lg_spawn(&spawn, NULL, err);
	if (pid < 0)
		return (int)pid;
	if (waitpid(pid, &status, 0) < 0)
		return lg_fail(err, -errno, "wait for cp");
	if (status != 0)
		return lg_refuse(err, -EIO, 0, "copying '%s' failed: the log says why", from);
	return 0;
}

/* Is there a copy for another base? Its files would be strangers' to the new one. */
static int refuse_other_base(int dir, struct lg_err *err)
{
	lg_autodir DIR *list = NULL;
	struct dirent *e;
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || !(list = fdopendir(fd))) {
		int r = lg_fail(err, -errno, "read its layer");

		lg_close(fd);
		return r;
	}
	while ((e = readdir(list)))
		if (strncmp(e->d_name, "lower.", 6) == 0)
			return lg_refuse(err, -EEXIST, 0,
					 "its files are owned by ids from %s, and ids cannot be "
					 "mapped here: set LOCAL_UID in its conf file to that",
					 e->d_name + 6);
	return 0;
}

int lg_shift_layer(const char *var, uint32_t ctid, uint32_t base, const char *rootfs,
		   struct lg_err *err)
{
	static const char *const own[] = { "upper", "work" };
	char path[LG_STORE_PATH], done[LG_STORE_PATH];
	lg_autoclose int dir = -1;
	int r = lg_store_path(path, err, "%s/ct/%u", var, ctid);

	if (r == 0)
		r = lg_shift_lower(done, var, ctid, base, err);
	if (r < 0)
		return r;
	dir = lg_open_dir(AT_FDCWD, path, err);
	if (dir < 0)
		return dir;
	/* Of two at once the later one finds it done. */
	if (flock(dir, LOCK_EX) < 0)
		return lg_fail(err, -errno, "lock '%s'", path);
	if (access(done, F_OK) == 0)
		return 0;
	r = refuse_other_base(dir, err);
	if (r == 0)
		r = lg_remove_tree(dir, "new", err);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(own); i++) {
		r = lg_store_path(path, err, "%s/ct/%u/%s", var, ctid, own[i]);
		if (r == 0)
			r = lg_shift_tree(path, base, err);
	}
	if (r == 0)
		r = lg_store_path(path, err, "%s/ct/%u/new", var, ctid);
	if (r == 0)
		r = copy_tree(rootfs, path, err);
	if (r == 0)
		r = lg_shift_tree(path, base, err);
	if (r == 0 && rename(path, done) < 0)
		r = lg_fail(err, -errno, "rename '%s'", path);
	return r;
}
