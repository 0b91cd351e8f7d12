/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ct/mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "lib/cleanup.h"

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

/* A device node cannot be made in a user namespace; the host's can be bound. */
static int bind_node(int old_root, const char *name)
{
	char path[32];
	lg_autoclose int tree = -1;
	struct stat st;
	int r;

	snprintf(path, sizeof(path), "/dev/%s", name);
	tree = open_tree(old_root, path + 1, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (tree < 0 || fstat(tree, &st) < 0)
		return -errno;
	if (!S_ISCHR(st.st_mode))
		return -ENODEV;
	r = make_file(path);
	if (r < 0)
		return r;
	if (move_mount(tree, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return -errno;
	return 0;
}

int lg_devices_make(int old_root, struct lg_err *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(nodes); i++) {
		int r = bind_node(old_root, nodes[i]);

		if (r < 0)
			return lg_fail(err, r, "bind the host's /dev/%s", nodes[i]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(links); i++)
		if (symlink(links[i].to, links[i].name) < 0)
			return lg_fail(err, -errno, "link %s", links[i].name);
	return 0;
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
