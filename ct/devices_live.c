/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ct/devices.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "ct/inside.h"
#include "lib/cleanup.h"
#include "lib/file.h"

#define BENEATH (RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS)
#define OWN ".lodge.nodes"	/* where the nodes are attached for the while */
#define NAME_SIZE 200u

static int open_below(int dir, const char *path, uint64_t flags, uint64_t resolve)
{
	struct open_how how = { .flags = flags | O_CLOEXEC, .resolve = resolve };

	return lg_openat2(dir, path, &how);
}

/* The tmpfs that lodge mounted; one that the guest put over it will do as well. */
static int open_dev(struct lg_err *err)
{
	lg_autoclose int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	lg_autoclose int dev = root < 0 ? -errno : open_below(root, "dev", O_PATH | O_DIRECTORY,
							      BENEATH);
	struct statfs st;

	if (dev < 0)
		return lg_fail(err, dev, "open the container's /dev");
	if (fstatfs(dev, &st) < 0 || st.f_type != TMPFS_MAGIC)
		return lg_refuse(err, -ENOTSUP, 0, "the container's /dev is not a tmpfs any more");
	return lg_take_fd(&dev);
}

/* The folder that a name like "net/tun" is in, made where it is missing. */
static int open_folder(int dev, const char *name, bool make, const char **ret_base)
{
	lg_autoclose int dir = open_below(dev, ".", O_PATH | O_DIRECTORY, BENEATH);
	const char *slash;

	for (; dir >= 0 && (slash = strchr(name, '/')); name = slash + 1) {
		char part[NAME_SIZE];
		int next;

		snprintf(part, sizeof(part), "%.*s", (int)(slash - name), name);
		if (make && mkdirat(dir, part, 0755) < 0 && errno != EEXIST)
			return -errno;
		next = open_below(dir, part, O_PATH | O_DIRECTORY, BENEATH | RESOLVE_NO_XDEV);
		lg_close(dir);
		dir = next;
	}
	*ret_base = name;
	return lg_take_fd(&dir);
}

static int take_away(int dev, const char *name, struct lg_err *err)
{
	const char *base;
	lg_autoclose int dir = open_folder(dev, name, false, &base);

	if (dir == -ENOENT)
		return 0;
	if (dir < 0 || fchdir(dir) < 0)
		return lg_fail(err, dir < 0 ? dir : -errno, "open the folder of /dev/%s", name);
	/* EINVAL: not a mount, so it is the guest's own. */
	if (umount2(base, MNT_DETACH | UMOUNT_NOFOLLOW) < 0)
		return errno == EINVAL || errno == ENOENT ? 0 : lg_fail(err, -errno,
									"unmount /dev/%s", name);
	unlinkat(dir, base, 0);
	return 0;
}

static int put(int dev, int own, unsigned int i, const char *name, struct lg_err *err)
{
	const char *base;
	lg_autoclose int dir = open_folder(dev, name, true, &base);
	lg_autoclose int target = -1, tree = -1;
	char number[12];

	if (dir < 0)
		return lg_fail(err, dir, "make the folder of /dev/%s", name);
	snprintf(number, sizeof(number), "%u", i);
	tree = open_tree(own, number, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_SYMLINK_NOFOLLOW);
	if (tree < 0)
		return lg_fail(err, -errno, "clone the node of /dev/%s", name);
	target = openat(dir, base, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (target < 0)
		return lg_fail(err, -errno, "make /dev/%s", name);
	if (move_mount(tree, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
		return lg_fail(err, -errno, "bind /dev/%s", name);
	return 0;
}

static int put_all(int dev, int own, const struct lg_msg *m, struct lg_err *err)
{
	unsigned int i = 0;
	int r = 0;

	for (const char *v = lg_msg_get(m, "device"); r == 0 && v; v = lg_msg_next(m, "device", v)) {
		struct lg_node node;

		r = lg_node_parse(v, &node, err);
		if (r == 0)
			r = put(dev, own, i++, node.name, err);
	}
	return r;
}

/* A mount can be cloned only where it is attached: for the while it is, below /dev. */
static int attach_and_put(int dev, int own, const struct lg_msg *m, struct lg_err *err)
{
	lg_autoclose int at = -1;
	int r;

	if (mkdirat(dev, OWN, 0700) < 0)
		return lg_fail(err, -errno, "make /dev/" OWN);
	at = open_below(dev, OWN, O_PATH | O_DIRECTORY, BENEATH | RESOLVE_NO_XDEV);
	if (at < 0 || move_mount(own, "", at, "", MOVE_MOUNT_F_EMPTY_PATH |
				 MOVE_MOUNT_T_EMPTY_PATH) < 0)
		r = lg_fail(err, at < 0 ? at : -errno, "attach the device nodes");
	else
		r = put_all(dev, own, m, err);
	if (fchdir(dev) == 0)
		umount2(OWN, MNT_DETACH | UMOUNT_NOFOLLOW);
	unlinkat(dev, OWN, AT_REMOVEDIR);
	return r;
}

int lg_devices_change(int pidfd, uid_t owner, const struct lg_msg *m, struct lg_err *err)
{
	lg_autoclose int own = -1, dev = -1;
	int r = lg_devices_prepare(m, owner, &own, err);

	if (r < 0)
		return r;
	if (setns(pidfd, CLONE_NEWUSER | CLONE_NEWNS) < 0)
		return lg_fail(err, -errno, "enter the container's namespaces");
	r = lg_confine_ids(err);
	if (r < 0)
		return r;
	umask(022);
	dev = open_dev(err);
	if (dev < 0)
		return dev;
	for (const char *v = lg_msg_get(m, "gone"); r == 0 && v; v = lg_msg_next(m, "gone", v))
		r = take_away(dev, v, err);
	return r < 0 || own < 0 ? r : attach_and_put(dev, own, m, err);
}
