/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ct/devices.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "ct/mounts.h"
#include "lib/cleanup.h"

#define NODES_MAX "256"

/* The nodes that every program may count on, and that give nothing away. */
static const char *const nodes[] = { "null", "zero", "full", "random", "urandom", "tty" };

static const struct {
	const char *name, *to;
} links[] = {
	{ "/dev/ptmx", "pts/ptmx" },
	{ "/dev/fd", "/proc/self/fd" },
	{ "/dev/stdin", "/proc/self/fd/0" },
	{ "/dev/stdout", "/proc/self/fd/1" },
	{ "/dev/stderr", "/proc/self/fd/2" },
};

static int make_file(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

/* A device node cannot be made in a user namespace; one that is there can be bound. */
static int bind_node(int dirfd, const char *source, const char *target)
{
	lg_autoclose int tree = open_tree(dirfd, source, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC |
					  AT_SYMLINK_NOFOLLOW);
	struct stat st;
	int r;

	if (tree < 0 || fstat(tree, &st) < 0)
		return -errno;
	if (!S_ISCHR(st.st_mode) && !S_ISBLK(st.st_mode))
		return -ENODEV;
	r = make_file(target);
	if (r < 0)
		return r;
	if (move_mount(tree, "", AT_FDCWD, target, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return -errno;
	return 0;
}

/* ---- nodes of its own ---- */

int lg_node_parse(const char *field, struct lg_node *ret, struct lg_err *err)
{
	unsigned int mode, maj, min;
	int at = 0;
	char kind;

	if (sscanf(field, "%4o %c %7u %7u %n", &mode, &kind, &maj, &min, &at) != 4 || !at ||
	    (kind != 'c' && kind != 'b') || !field[at] || field[at] == '/' ||
	    strstr(field + at, ".."))
		return lg_refuse(err, -EINVAL, 0, "bad 'device': %s", field);
	ret->mode = (kind == 'b' ? S_IFBLK : S_IFCHR) | (mode & 0777);
	ret->dev = makedev(maj, min);
	ret->name = field + at;
	return 0;
}

/* They are called by their numbers there: "0", "1", ... */
static int prepare_node(int dir, uid_t owner, const char *field, unsigned int i,
			struct lg_err *err)
{
	struct lg_node node;
	char name[12];
	int r = lg_node_parse(field, &node, err);

	if (r < 0)
		return r;
	snprintf(name, sizeof(name), "%u", i);
	if (mknodat(dir, name, node.mode, node.dev) < 0 ||
	    fchmodat(dir, name, node.mode & 0777, 0) < 0 ||
	    fchownat(dir, name, owner, (gid_t)owner, AT_SYMLINK_NOFOLLOW) < 0)
		return lg_fail(err, -errno, "make the node of /dev/%s", node.name);
	return 0;
}

static int mount_nodes(struct lg_err *err)
{
	lg_autoclose int fs = fsopen("tmpfs", FSOPEN_CLOEXEC);
	int mount_fd = -1;

	if (fs >= 0 && fsconfig(fs, FSCONFIG_SET_STRING, "mode", "0755", 0) == 0 &&
	    fsconfig(fs, FSCONFIG_SET_STRING, "size", "4k", 0) == 0 &&
	    fsconfig(fs, FSCONFIG_SET_STRING, "nr_inodes", NODES_MAX, 0) == 0 &&
	    fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0)
		mount_fd = fsmount(fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
	return mount_fd < 0 ? lg_fail(err, -errno, "mount a tmpfs for device nodes") : mount_fd;
}

int lg_devices_prepare(const struct lg_msg *m, uid_t owner, int *ret, struct lg_err *err)
{
	const char *v = lg_msg_get(m, "device");
	lg_autoclose int dir = -1;
	unsigned int i = 0;
	int r = 0;

	if (v) {
		dir = mount_nodes(err);
		if (dir < 0)
			return dir;
	}
	for (; r == 0 && v; v = lg_msg_next(m, "device", v))
		r = prepare_node(dir, owner, v, i++, err);
	if (r == 0)
		*ret = lg_take_fd(&dir);
	return r;
}

/* "/dev/net/tun" needs /dev/net; /dev is ours alone until init runs. */
static int make_folders(char *path)
{
	for (char *p = strchr(path + 5, '/'); p; p = strchr(p + 1, '/')) {
		int r;

		*p = '\0';
		r = mkdir(path, 0755);
		*p = '/';
		if (r < 0 && errno != EEXIST)
			return -errno;
	}
	return 0;
}

static int bind_own_one(int own, const char *field, unsigned int i, struct lg_err *err)
{
	char source[12], target[200];
	struct lg_node node;
	int r = lg_node_parse(field, &node, err);

	if (r < 0)
		return r;
	snprintf(source, sizeof(source), "%u", i);
	if ((size_t)snprintf(target, sizeof(target), "/dev/%s", node.name) >= sizeof(target))
		return lg_fail(err, -ENAMETOOLONG, "/dev/%s", node.name);
	r = make_folders(target);
	if (r == 0)
		r = bind_node(own, source, target);
	return r < 0 ? lg_fail(err, r, "make %s", target) : 0;
}

/*
 * A mount can be cloned only where it is attached, and in our own namespace: over the host's /dev, which is
 * detached later with all of the host's. An umount of its own would wait for a grace period.
 */
static int bind_own(const struct lg_start *start, int old_root, int own, struct lg_err *err)
{
	unsigned int i = 0;
	int r = 0;

	if (own < 0)
		return 0;
	if (move_mount(own, "", old_root, "dev", MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return lg_fail(err, -errno, "attach the device nodes");
	for (const char *v = lg_msg_get(start->msg, "device"); r == 0 && v;
	     v = lg_msg_next(start->msg, "device", v))
		r = bind_own_one(own, v, i++, err);
	return r;
}

int lg_devices_make(const struct lg_start *start, int old_root, int own, struct lg_err *err)
{
	char path[32];

	for (size_t i = 0; i < ARRAY_SIZE(nodes); i++) {
		int r;

		snprintf(path, sizeof(path), "/dev/%s", nodes[i]);
		r = bind_node(old_root, path + 1, path);
		if (r < 0)
			return lg_fail(err, r, "bind the host's /dev/%s", nodes[i]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(links); i++)
		if (symlink(links[i].to, links[i].name) < 0)
			return lg_fail(err, -errno, "link %s", links[i].name);
	return bind_own(start, old_root, own, err);
}

int lg_devices_console(int *ret_master, int *ret_slave, struct lg_err *err)
{
	lg_autoclose int master = open("/dev/pts/ptmx",
				       O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
	lg_autoclose int slave = -1;
	int unlock = 0, number, r;
	char path[32];

	if (master < 0 || ioctl(master, TIOCSPTLCK, &unlock) < 0 ||
	    ioctl(master, TIOCGPTN, &number) < 0)
		return lg_fail(err, -errno, "make the console's terminal");
	slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (slave < 0 || fchmod(slave, 0600) < 0)
		return lg_fail(err, -errno, "open the console's terminal");
	r = make_file("/dev/console");
	snprintf(path, sizeof(path), "/dev/pts/%d", number);
	if (r < 0 || mount(path, "/dev/console", NULL, MS_BIND, NULL) < 0)
		return lg_fail(err, r < 0 ? r : -errno, "bind /dev/console");
	*ret_master = lg_take_fd(&master);
	*ret_slave = lg_take_fd(&slave);
	return 0;
}
