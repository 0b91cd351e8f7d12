/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "survive.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

/*
 * Mounts are made in a child with a mount namespace of its own, and end with it: what an item
 * leaves behind would be dumped with every other one.
 */

static struct sv_child child;

enum request {
	MAKE,
	CHECK,
	SPOIL,
};

static int own_namespace(void)
{
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return sv_errno("a mount namespace");
	return 0;
}

/* ---- a tmpfs: files, modes, owners, links, a FIFO, its size ----------------------- */

static int tmpfs_make(void)
{
	int fd;

	if (own_namespace() < 0 || mkdir("tmpfs", 0755) < 0 ||
	    mount("tmpfs", "tmpfs", "tmpfs", MS_NOSUID | MS_NODEV, "size=4m,mode=0711") < 0 ||
	    mkdir("tmpfs/folder", 0750) < 0)
		return sv_errno("tmpfs");
	fd = sv_file("tmpfs/folder/file", 200000, 100);
	if (fd < 0 || fchmod(fd, 04751) < 0 || chown("tmpfs/folder", 33, 44) < 0 ||
	    symlink("folder/file", "tmpfs/symlink") < 0 ||
	    link("tmpfs/folder/file", "tmpfs/hardlink") < 0 || mkfifo("tmpfs/fifo", 0620) < 0)
		return sv_errno("a file of a tmpfs");
	return close(fd);
}

static int tmpfs_files(void)
{
	struct stat file, folder, fifo;
	int fd = open("tmpfs/symlink", O_RDONLY | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &file) < 0 || stat("tmpfs/folder", &folder) < 0 ||
	    lstat("tmpfs/fifo", &fifo) < 0)
		return sv_errno("a file of a tmpfs");
	if (sv_receive(fd, 100, 0, 200000) < 0 ||
	    sv_same("mode", 04751, file.st_mode & 07777) < 0 ||
	    sv_same("links", 2, file.st_nlink) < 0 || sv_same("owner", 33, folder.st_uid) < 0 ||
	    sv_same("group", 44, folder.st_gid) < 0 ||
	    sv_same("a folder's mode", 0750, folder.st_mode & 07777) < 0)
		return -1;
	close(fd);
	return S_ISFIFO(fifo.st_mode) ? 0 : sv_fail("the FIFO is none");
}

static int tmpfs_check(void)
{
	struct statvfs vfs;
	struct stat root;

	if (tmpfs_files() < 0)
		return -1;
	if (statvfs("tmpfs", &vfs) < 0 || stat("tmpfs", &root) < 0)
		return sv_errno("tmpfs");
	if (sv_same("its size", 4 << 20, (int64_t)(vfs.f_blocks * vfs.f_frsize)) < 0 ||
	    sv_same("its root's mode", 0711, root.st_mode & 0777) < 0)
		return -1;
	return sv_same("its flags", ST_NOSUID | ST_NODEV,
		       vfs.f_flag & (ST_NOSUID | ST_NODEV | ST_RDONLY));
}

static int tmpfs(int request)
{
	if (request == MAKE)
		return tmpfs_make();
	return request == SPOIL ? chmod("tmpfs/folder/file", 0751) : tmpfs_check();
}

/* ---- binds: read-only, of a file, propagation ------------------------------------- */

/* With the flags that it has: those of a mount made outside of the user namespace cannot be
 * taken away. */
static int bind_restrict(const char *path, unsigned long flags)
{
	struct statvfs vfs;

	if (statvfs(path, &vfs) < 0)
		return -1;
	flags |= vfs.f_flag & (ST_NOSUID | ST_NODEV | ST_NOEXEC | ST_NOATIME | ST_NODIRATIME);
	return mount(NULL, path, NULL, MS_REMOUNT | MS_BIND | flags, NULL);
}

static int bind_make(void)
{
	if (own_namespace() < 0 || mkdir("from", 0755) < 0 || mkdir("to", 0755) < 0)
		return sv_errno("mkdir");
	close(sv_file("from/file", 1000, 101));
	close(sv_file("other", 0, 0));
	if (mount("from", "to", NULL, MS_BIND, NULL) < 0 ||
	    bind_restrict("to", MS_RDONLY | MS_NOEXEC) < 0 ||
	    mount("from/file", "other", NULL, MS_BIND, NULL) < 0 ||
	    mount(NULL, "to", NULL, MS_SHARED, NULL) < 0)
		return sv_errno("a bind mount");
	return 0;
}

static int bind_check(void)
{
	struct statvfs vfs;
	struct stat file, other;

	if (statvfs("to", &vfs) < 0 || stat("from/file", &file) < 0 ||
	    stat("other", &other) < 0)
		return sv_errno("a bind mount");
	if (sv_same("its flags", ST_RDONLY | ST_NOEXEC, vfs.f_flag & (ST_RDONLY | ST_NOEXEC)) <
		    0 ||
	    sv_same("the bound file", (int64_t)file.st_ino, (int64_t)other.st_ino) < 0)
		return -1;
	if (open("to/new", O_WRONLY | O_CREAT | O_CLOEXEC, 0600) >= 0 || errno != EROFS)
		return sv_fail("the read-only mount can be written to");
	/* Written beside it, seen through it. */
	close(sv_file("from/later", 10, 102));
	return access("to/later", F_OK) < 0 ? sv_errno("a file that came later") : 0;
}

static int bind_mounts(int request)
{
	if (request == MAKE)
		return bind_make();
	return request == SPOIL ? bind_restrict("to", 0) : bind_check();
}

/* ---- cgroups inside --------------------------------------------------------------- */

static char group[256], name_inside[64];

/* Where cgroup2 is mounted. */
static int cgroup2(char *ret, size_t size)
{
	FILE *f = fopen("/proc/self/mounts", "re");
	char line[512], at[200] = "", type[32] = "";

	if (!f)
		return sv_errno("/proc/self/mounts");
	while (strcmp(type, "cgroup2") != 0 && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%*s %199s %31s", at, type) != 2)
			type[0] = 0;
	}
	fclose(f);
	if (strcmp(type, "cgroup2") != 0)
		return sv_fail("there is no cgroup2 mounted");
	snprintf(ret, size, "%s", at);
	return 0;
}

static int write_to(const char *file, const char *text)
{
	char path[300];
	int fd;
	bool wrote;

	snprintf(path, sizeof(path), "%s/%s", group, file);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	wrote = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	close(fd);
	return wrote ? 0 : sv_errno(path);
}

/* A group of its own, of at most 3 more levels, below where it was. */
static int cgroup_setup(void)
{
	char at[200], own[200];

	if (cgroup2(at, sizeof(at)) < 0 ||
	    sv_line("/proc/self/cgroup", "0::", own, sizeof(own)) < 0)
		return -1;
	snprintf(name_inside, sizeof(name_inside), "survive-%d", getpid());
	snprintf(group, sizeof(group), "%.120s%.60s/%.40s", at, own, name_inside);
	if (mkdir(group, 0755) < 0)
		return sv_errno(group);
	return write_to("cgroup.max.depth", "3") < 0 ? -1 : write_to("cgroup.procs", "0");
}

static int cgroup_check(void)
{
	char own[200], path[300];
	int64_t depth;

	if (sv_line("/proc/self/cgroup", "0::", own, sizeof(own)) < 0)
		return -1;
	if (!strstr(own, name_inside))
		return sv_fail("it is in the cgroup %s", own);
	snprintf(path, sizeof(path), "%s/cgroup.max.depth", group);
	if (sv_number(path, "", &depth) < 0)
		return -1;
	return sv_same("a setting of its cgroup", 3, depth);
}

/* Out of it, so that it can be removed. */
static int cgroup_leave(void)
{
	char inner[256];

	snprintf(inner, sizeof(inner), "%s", group);
	*strrchr(group, '/') = 0;
	if (write_to("cgroup.procs", "0") < 0)
		return -1;
	return rmdir(inner) < 0 ? sv_errno(inner) : 0;
}

static int cgroup_verify(void)
{
	int r = cgroup_check();

	return r == 0 ? cgroup_leave() : r;
}

static void cgroup_spoil(void)
{
	cgroup_leave();
}

/* ---- both of the mounts ----------------------------------------------------------- */

static int start(int (*body)(int request))
{
	return sv_child_start(&child, body) < 0 ? -1 : sv_child_ask(&child, MAKE);
}

static int tmpfs_setup(void)
{
	return start(tmpfs);
}

static int bind_setup(void)
{
	return start(bind_mounts);
}

static int verify(void)
{
	if (sv_child_ask(&child, CHECK) < 0)
		return -1;
	/* It was never here. */
	return access("tmpfs/folder", F_OK) < 0 && access("to/later", F_OK) < 0
		       ? 0
		       : sv_fail("mounts of another namespace are seen here");
}

static void spoil(void)
{
	sv_child_ask(&child, SPOIL);
}

/* clang-format off */
const struct sv_item sv_mount_items[] = {
	{ "mount-tmpfs", "a mount namespace with a tmpfs and its files", tmpfs_setup, verify, spoil, NULL, SV_KEPT },
	{ "mount-bind", "a mount namespace with bind mounts", bind_setup, verify, spoil, NULL, SV_KEPT },
	{ "cgroup", "a cgroup made inside, and who is in it", cgroup_setup, cgroup_verify, cgroup_spoil, NULL, SV_KEPT },
	{ .name = NULL },
};
