/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * The root: the template's disk, the same for all, below; the instance's own above. Which disk is which its serial
 * number says, as the order of their names is anybody's.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "cmd/lodge-agent/agent.h"
#include "lib/cleanup.h"
#include "lib/file.h"

#define TRIES 1000u		/* of 5 ms: a device may be found late */
#define BASE "/base"
#define LAYER "/layer"
#define ROOT "/root"

/* As storage/overlay.c has them. */
#define OVERLAY_OPTIONS "lowerdir=" BASE ",upperdir=" LAYER "/upper,workdir=" LAYER "/work," \
	"redirect_dir=on,metacopy=off,index=off,nfs_export=off,xino=auto"
/* As storage/image.c has them. */
#define LAYER_OPTIONS "discard,noinit_itable,errors=remount-ro"

/* ---- finding ---- */

static bool has_serial(int block, const char *disk, const char *serial)
{
	lg_autofree char *text = NULL;
	char path[300];

	snprintf(path, sizeof(path), "%s/serial", disk);
	if (lg_file_read(block, path, 64, &text, NULL, NULL) < 0)
		return false;
	text[strcspn(text, "\n")] = '\0';
	return strcmp(text, serial) == 0;
}

static bool find_now(const struct machine *m, const char *serial, char *path, size_t size)
{
	int block = openat(m->sys, "block", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	lg_autodir DIR *dir = block < 0 ? NULL : fdopendir(block);
	struct dirent *e;

	while (dir && (e = readdir(dir)))
		if (e->d_name[0] != '.' && has_serial(block, e->d_name, serial)) {
			snprintf(path, size, "/dev/%s", e->d_name);
			return true;
		}
	return false;
}

static int find_disk(const struct machine *m, const char *serial, char *path, size_t size, struct lg_err *err)
{
	for (unsigned int i = 0; i < TRIES; i++) {
		if (find_now(m, serial, path, size))
			return 0;
		usleep(5000);
	}
	return lg_refuse(err, -ENODEV, 0, "there is no disk '%s'", serial);
}

/* ---- mounting ---- */

static int mount_readonly(const char *device, const char *target)
{
	if (mount(device, target, "erofs", MS_RDONLY, NULL) == 0)
		return 0;
	return mount(device, target, "ext4", MS_RDONLY, "noload") < 0 ? -errno : 0;
}

static int mount_base(const struct machine *m, struct lg_err *err)
{
	char device[280];
	int r = find_disk(m, "base", device, sizeof(device), err);

	if (r < 0)
		return r;
	r = mkdir(BASE, 0755) < 0 ? -errno : mount_readonly(device, BASE);
	return r < 0 ? lg_fail(err, r, "mount the template's disk") : 0;
}

static int mount_layer(struct machine *m, struct lg_err *err)
{
	char device[280];
	int r = find_disk(m, "layer", device, sizeof(device), err);

	if (r < 0)
		return r;
	if (mkdir(LAYER, 0755) < 0 || mount(device, LAYER, "ext4", 0, LAYER_OPTIONS) < 0)
		return lg_fail(err, -errno, "mount the layer's disk");
	if ((mkdir(LAYER "/upper", 0755) < 0 || mkdir(LAYER "/work", 0700) < 0) && errno != EEXIST)
		return lg_fail(err, -errno, "make the layer's folders");
	m->layer = open(LAYER, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return m->layer < 0 ? lg_fail(err, -errno, "open the layer") : 0;
}

/* Overlay has both for itself from here on; what was mounted first would only be in nobody's sight. */
static int mount_overlay(struct lg_err *err)
{
	if (mkdir(ROOT, 0755) < 0 && errno != EEXIST)
		return lg_fail(err, -errno, "make " ROOT);
	if (mount("overlay", ROOT, "overlay", 0, OVERLAY_OPTIONS) < 0)
		return lg_fail(err, -errno, "mount the root");
	umount2(BASE, MNT_DETACH);
	umount2(LAYER, MNT_DETACH);
	return 0;
}

/* The kernel's modules, where there is a disk of them. Links in the image are followed within it. */
static int mount_modules(const struct machine *m, struct lg_err *err)
{
	lg_autoclose int root = open(ROOT, O_PATH | O_DIRECTORY | O_CLOEXEC);
	char device[280], path[160], fd[40];
	lg_autoclose int at = -1;
	struct utsname u;
	int r;

	if (!find_now(m, "modules", device, sizeof(device)) || uname(&u) < 0)
		return 0;
	for (const char *part = "/lib\0/lib/modules\0"; *part; part += strlen(part) + 1) {
		lg_autoclose int there = lg_open_beneath(root, part, O_PATH, 0);

		if (there < 0)
			mkdirat(root, part + 1, 0755);
	}
	snprintf(path, sizeof(path), "/lib/modules/%s", u.release);
	at = lg_open_beneath(root, "/lib/modules", O_PATH | O_DIRECTORY, 0);
	if (at >= 0 && mkdirat(at, u.release, 0755) < 0 && errno != EEXIST)
		return lg_fail(err, -errno, "make %s", path);
	lg_close(at);
	at = lg_open_beneath(root, path, O_PATH | O_DIRECTORY, 0);
	snprintf(fd, sizeof(fd), "/proc/self/fd/%d", at);
	r = at < 0 ? at : mount_readonly(device, fd);
	return r < 0 ? lg_fail(err, r, "mount the modules at %s", path) : 0;
}

int disks_root(struct machine *m, struct lg_err *err)
{
	int r = mount_base(m, err);

	if (r == 0)
		r = mount_layer(m, err);
	if (r == 0)
		r = mount_overlay(err);
	return r < 0 ? r : mount_modules(m, err);
}

/* ---- becoming the root ---- */

/* What a container's init finds mounted. systemd takes what is there; others would not have it. */
/* clang-format off */
static const struct {
	const char *target, *type;
	unsigned long flags;
	const char *options;
} mounts[] = {
	{ "/dev/pts",	    "devpts",  MS_NOSUID | MS_NOEXEC, "mode=0620,gid=5,ptmxmode=0666" },
	{ "/dev/shm",	    "tmpfs",   MS_NOSUID | MS_NODEV, "mode=1777" },
	{ "/dev/mqueue",    "mqueue",  MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL },
	{ "/run",	    "tmpfs",   MS_NOSUID | MS_NODEV, "mode=0755,size=20%" },
	{ "/sys/fs/cgroup", "cgroup2", MS_NOSUID | MS_NODEV | MS_NOEXEC, "nsdelegate,memory_recursiveprot" },
};

static const struct {
	const char *target, *name;
} links[] = {
	{ "/proc/self/fd",   "/dev/fd" },
	{ "/proc/self/fd/0", "/dev/stdin" },
	{ "/proc/self/fd/1", "/dev/stdout" },
	{ "/proc/self/fd/2", "/dev/stderr" },
};
/* clang-format on */

/* To a folder of the image: one that is a link could lead back to where it is mounted from. */
static int move_to_root(const char *from, struct lg_err *err)
{
	char to[64];
	struct stat st;

	snprintf(to, sizeof(to), ROOT "%s", from);
	if (mkdir(to, 0755) < 0 && errno != EEXIST)
		return lg_fail(err, -errno, "make %s", from);
	if (lstat(to, &st) < 0 || !S_ISDIR(st.st_mode))
		return lg_refuse(err, -ENOTDIR, 0, "%s in the image is not a folder", from);
	return mount(from, to, NULL, MS_MOVE, NULL) < 0 ? lg_fail(err, -errno, "mount %s", from) : 0;
}

static int mount_more(struct lg_err *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(mounts); i++) {
		if (mkdir(mounts[i].target, 0755) < 0 && errno != EEXIST)
			return lg_fail(err, -errno, "make %s", mounts[i].target);
		if (mount(mounts[i].type, mounts[i].target, mounts[i].type, mounts[i].flags, mounts[i].options) < 0)
			return lg_fail(err, -errno, "mount %s", mounts[i].target);
	}
	for (size_t i = 0; i < ARRAY_SIZE(links); i++)
		if (symlink(links[i].target, links[i].name) < 0 && errno != EEXIST)
			return lg_fail(err, -errno, "make %s", links[i].name);
	return 0;
}

int root_enter(struct lg_err *err)
{
	static const char *const kernels[] = { "/proc", "/sys", "/dev" };

	for (size_t i = 0; i < ARRAY_SIZE(kernels); i++)
		if (move_to_root(kernels[i], err) < 0)
			return err->code;
	unlink("/init");
	if (chdir(ROOT) < 0 || mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0 || chdir("/") < 0)
		return lg_fail(err, -errno, "enter the root");
	if (mount(NULL, "/", NULL, MS_REC | MS_SHARED, NULL) < 0)
		return lg_fail(err, -errno, "share the mounts");
	return mount_more(err);
}
