/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd/lodge-criu/criu.h"
#include "lib/cleanup.h"

/* The shim's own namespace, in which we may have been started, lacks what CRIU looks for. */
static int leave_shim(struct lg_err *err)
{
	if (job.host_ns < 0)
		return 0;
	if (setns(job.host_ns, CLONE_NEWNS) < 0)
		return lg_fail(err, -errno, "enter the host's mount namespace");
	job.host_ns = lg_close(job.host_ns);
	return 0;
}

/* CRIU goes to the folder of the images and mounts there for a moment: only in its own namespace may it do that. */
static int reopen_images(struct lg_err *err)
{
	char link[40], path[PATH_MAX];
	struct stat before, now;
	ssize_t n;
	int fd;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", job.images);
	n = readlink(link, path, sizeof(path) - 1);
	if (n < 0)
		return lg_fail(err, -errno, "find the folder of the images");
	path[n] = '\0';
	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &now) < 0 || fstat(job.images, &before) < 0)
		return lg_fail(err, -errno, "open '%s'", path);
	if (now.st_ino != before.st_ino || now.st_dev != before.st_dev)
		return lg_refuse(err, -ESTALE, 0, "'%s' is another folder by now", path);
	lg_close(job.images);
	job.images = fd;
	return 0;
}

int stage_enter(struct lg_err *err)
{
	int r = leave_shim(err);

	if (r < 0)
		return r;
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
		return lg_fail(err, -errno, "make a mount namespace");
	cache_give();
	if (move_mount(job.root_mount, "", AT_FDCWD, job.root, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return lg_fail(err, -errno, "mount the root at '%s'", job.root);
	job.root_mount = lg_close(job.root_mount);
	/* CRIU wants a root that nothing propagates to. */
	if (mount(NULL, job.root, NULL, MS_PRIVATE, NULL) < 0)
		return lg_fail(err, -errno, "make '%s' private", job.root);
	return reopen_images(err);
}
