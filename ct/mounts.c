/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ct/mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/openat2.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/file.h"

#define NO_EXEC (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC)

/* The kernel's default is one for every second page of the host's memory. */
#define TMP_INODES "131072"

enum size_of { NO_SIZE, RUN_SIZE, TMP_SIZE };

struct row {
	const char *target;
	const char *type;
	unsigned int attrs;
	enum size_of size;
	const char *options[9];	/* key, value, key, value, ..., NULL */
	bool nested_writable;	/* not read-only where containers are to run inside */
};

/*
 * Devices cannot be made in a user namespace, so nothing here needs MOUNT_ATTR_NODEV for safety except
 * where a node could be bound in; /dev and /dev/pts hold the bound ones.
 *
 * The second proc and the second sysfs are for nested containers. The kernel lets a user namespace mount one of
 * its own only if it sees one that nothing covers, and the copies of our covers that a nested
 * namespace gets are locked. The container's root can take the covers off anyway: what keeps the
 * host's files safe is that host's root owns them. Covers keep accidents and other users away,
 * and so does the folder's mode. Where a namespace sees sysfs read-only only, it can have no writable one,
 * which privileged nested containers get.
 */
#define EMPTY_FOLDER LG_OWN_FOLDER "/empty"
#define BOOT_ID LG_OWN_FOLDER "/boot_id"

/* clang-format off */
static const struct row rows[] = {
	{ "/proc",		"proc",	   NO_EXEC, NO_SIZE, { NULL }, false },
	{ "/sys",		"sysfs",   NO_EXEC | MOUNT_ATTR_RDONLY, NO_SIZE, { NULL }, false },
	{ "/sys/fs/cgroup",	"cgroup2", NO_EXEC, NO_SIZE, { NULL }, false },
	{ "/dev",		"tmpfs",   MOUNT_ATTR_NOSUID | MOUNT_ATTR_STRICTATIME, NO_SIZE,
		{ "mode", "0755", "size", "4m", "nr_inodes", "65536", NULL }, false },
	{ "/dev/pts",		"devpts",  MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, NO_SIZE,
		{ "mode", "0620", "gid", "5", "ptmxmode", "0666", "max", "1024", NULL }, false },
	{ "/dev/shm",		"tmpfs",   MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, TMP_SIZE,
		{ "mode", "1777", "nr_inodes", TMP_INODES, NULL }, false },
	{ "/dev/mqueue",	"mqueue",  NO_EXEC, NO_SIZE, { NULL }, false },
	{ "/run",		"tmpfs",   MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, RUN_SIZE,
		{ "mode", "0755", "nr_inodes", TMP_INODES, NULL }, false },
	{ LG_OWN_FOLDER,	NULL,	   0, NO_SIZE, { NULL }, false },
	{ LG_OWN_FOLDER "/proc", "proc",   NO_EXEC, NO_SIZE, { NULL }, false },
	{ LG_OWN_FOLDER "/sys",	"sysfs",   NO_EXEC | MOUNT_ATTR_RDONLY, NO_SIZE, { NULL }, true },
};

/*
 * Paths that others hide and that are not here belong to host's root and are closed by their mode (sysrq-trigger,
 * kmsg, irq, mtrr, slabinfo, ACPI and DMI tables, powercap's counters), or are empty without the
 * host's mounts (/sys/kernel/debug, tracing, security). Each cover costs a start about 12 us.
 *
 * Everything else below /proc stays as the kernel shows it. /proc/sys in particular is writable: what
 * belongs to the container's namespaces (net, and the limits of its user namespace) is for its root to
 * set, and the rest belongs to host's root, so the kernel refuses it by owner.
 */
static const struct {
	const char *path;
	const char *why;
} covered[] = {
	{ "/proc/kcore",	 "an image of the host's memory that search and backup programs try to read" },
	{ "/proc/keys",		 "keys of every process with the same user id" },
	{ "/proc/timer_list",	 "timers of the host's programs" },
	{ "/proc/sched_debug",	 "the host's run queues, on older kernels" },
	{ "/proc/latency_stats", "where the host's programs wait" },
	{ "/proc/interrupts",	 "when keys, disks and packets of others arrive: a way to listen" },
	{ "/proc/acpi",		 "the host's hardware" },
	{ "/proc/asound",	 "the host's hardware" },
	{ "/proc/scsi",		 "the host's disks" },
	{ "/sys/firmware",	 "the host's firmware and its variables" },
};
/* clang-format on */

/* Folders of the image that we mount on must be folders: a link there could lead anywhere. */
static int open_target(const char *path)
{
	struct open_how how = {
		.flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
		.resolve = RESOLVE_NO_SYMLINKS,
	};
	int fd = lg_openat2(AT_FDCWD, path, &how);

	if (fd != -ENOENT)
		return fd;
	if (mkdir(path, 0755) < 0)
		return -errno;
	return lg_openat2(AT_FDCWD, path, &how);
}

static uint64_t size_of_row(const struct row *row, const struct lg_start *start)
{
	switch (row->size) {
	case RUN_SIZE:
		return start->run_size;
	case TMP_SIZE:
		return start->tmp_size;
	case NO_SIZE:
	default:
		return 0;
	}
}

static int set_number(int fs, const char *key, uint64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64, value);
	return fsconfig(fs, FSCONFIG_SET_STRING, key, text, 0) < 0 ? -errno : 0;
}

static int set_options(int fs, const struct row *row, const struct lg_start *start)
{
	uint64_t size = size_of_row(row, start);
	bool is_devpts = strcmp(row->type, "devpts") == 0;
	int r = 0;

	/* What the first column of /proc/mounts shows. */
	if (fsconfig(fs, FSCONFIG_SET_STRING, "source", row->type, 0) < 0)
		return -errno;
	for (const char *const *o = row->options; *o; o += 2)
		if (fsconfig(fs, FSCONFIG_SET_STRING, o[0], o[1], 0) < 0)
			return -errno;
	if (size)
		r = set_number(fs, "size", size);
	if (r == 0 && is_devpts && start->ptys)
		r = set_number(fs, "max", start->ptys);	/* the last one counts */
	if (r < 0)
		return r;
	return fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0 ? -errno : 0;
}

static int mount_row(const struct row *row, const struct lg_start *start, int *ret_mount)
{
	unsigned int attrs = row->attrs;
	lg_autoclose int fs = fsopen(row->type, FSOPEN_CLOEXEC);
	lg_autoclose int mount_fd = -1;
	lg_autoclose int target = -1;
	int r;

	if (fs < 0)
		return -errno;
	r = set_options(fs, row, start);
	if (r < 0)
		return r;
	if (row->nested_writable && start->nesting)
		attrs &= ~(unsigned int)MOUNT_ATTR_RDONLY;
	mount_fd = fsmount(fs, FSMOUNT_CLOEXEC, attrs);
	if (mount_fd < 0)
		return -errno;
	target = open_target(row->target);
	if (target < 0)
		return target;
	if (move_mount(mount_fd, "", target, "",
		       MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
		return -errno;
	*ret_mount = lg_take_fd(&mount_fd);
	return 0;
}

int lg_mounts_kernel(const struct lg_start *start, int *ret_devpts, struct lg_err *err)
{
	lg_autoclose int devpts = -1;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		lg_autoclose int fd = -1;
		int r;

		if (!rows[i].type) {
			if (mkdir(rows[i].target, 0700) < 0)
				return lg_fail(err, -errno, "make %s", rows[i].target);
			continue;
		}
		r = mount_row(&rows[i], start, &fd);
		if (r == -ELOOP || r == -ENOTDIR)
			return lg_refuse(err, r, 0, "%s in the image is not a folder",
					 rows[i].target);
		if (r < 0)
			return lg_fail(err, r, "mount %s", rows[i].target);
		if (strcmp(rows[i].type, "devpts") == 0)
			devpts = lg_take_fd(&fd);
	}
	*ret_devpts = lg_take_fd(&devpts);
	return 0;
}

/*
 * Mounts that a namespace inherits from a more privileged one are locked, and pivot_root refuses a
 * locked one. A copy of the root mount, put on top of it, is ours.
 */
int lg_mounts_root(int root, int *ret_old_root, struct lg_err *err)
{
	lg_autoclose int tree = -1;
	lg_autoclose int old_root = -1;

	/* Our place in it is what leads from the shim's copy of the mount to ours. */
	if (fchdir(root) < 0)
		return lg_fail(err, -errno, "enter the root folder");
	if (unshare(CLONE_NEWNS | CLONE_NEWCGROUP) < 0)
		return lg_fail(err, -errno, "make mount and cgroup namespaces");
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return lg_fail(err, -errno, "make the mounts private");
	tree = open_tree(AT_FDCWD, ".", OPEN_TREE_CLONE | AT_RECURSIVE | OPEN_TREE_CLOEXEC);
	if (tree < 0 || move_mount(tree, "", AT_FDCWD, ".", MOVE_MOUNT_F_EMPTY_PATH) < 0 ||
	    fchdir(tree) < 0)
		return lg_fail(err, -errno, "bind the root folder");
	old_root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (old_root < 0)
		return lg_fail(err, -errno, "open the host's root");
	/* The old root ends up on top of the new one, where "." and umount find it. */
	if (syscall(SYS_pivot_root, ".", ".") < 0)
		return lg_fail(err, -errno, "pivot_root");
	*ret_old_root = lg_take_fd(&old_root);
	return 0;
}

int lg_mounts_detach_host(int old_root, struct lg_err *err)
{
	struct stat host, root;

	if (fstat(old_root, &host) < 0 || fchdir(old_root) < 0 || umount2(".", MNT_DETACH) < 0 ||
	    chdir("/") < 0 || stat("/..", &root) < 0)
		return lg_fail(err, -errno, "detach the host's file systems");
	/*
	 * umount takes what is on top: had something been mounted on the host's root, that would be gone, and the
	 * host still on top of ours, where ".." arrives and everybody who enters.
	 */
	if (host.st_dev == root.st_dev && host.st_ino == root.st_ino)
		return lg_refuse(err, -EBUSY, 0, "the host's file systems are still there");
	return 0;
}

/* A file gets /dev/null over it, a folder an empty one. */
static int cover(const char *path)
{
	struct stat st;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (mount(S_ISDIR(st.st_mode) ? EMPTY_FOLDER : "/dev/null", path, NULL, MS_BIND,
		  NULL) < 0)
		return -errno;
	return 0;
}

/* @from, a file or a folder with what is mounted in it, at @to */
static int bind_readonly(const char *from, const char *to)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_RDONLY };
	lg_autoclose int tree = open_tree(AT_FDCWD, from, OPEN_TREE_CLONE | AT_RECURSIVE |
					  OPEN_TREE_CLOEXEC | AT_SYMLINK_NOFOLLOW);

	if (tree < 0)
		return errno == ENOENT ? 0 : -errno;
	if (mount_setattr(tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr, sizeof(attr)) < 0)
		return -errno;
	if (move_mount(tree, "", AT_FDCWD, to, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return -errno;
	return 0;
}

static int make_readonly(const char *path)
{
	return bind_readonly(path, path);
}

/* Only where the kernel, not the image, decides what a path leads to. */
static int hide_fields(const struct lg_msg *m, const char *key, int (*how)(const char *path),
		       struct lg_err *err)
{
	for (const char *p = lg_msg_get(m, key); p; p = lg_msg_next(m, key, p)) {
		int r;

		if ((strncmp(p, "/proc/", 6) != 0 && strncmp(p, "/sys/", 5) != 0) ||
		    strstr(p, "..") || strstr(p, "/self") || strstr(p, "/root"))
			return lg_refuse(err, -EINVAL, 0, "'%s' cannot be hidden", p);
		r = how(p);
		if (r < 0)
			return lg_fail(err, r, "hide %s", p);
	}
	return 0;
}

/*
 * Programs take a new boot id for a new boot: journald files what is logged under it. So a container has its own, new at each
 * start, which its images carry to another host or over the host's reboot. It lies in our folder on /dev, a tmpfs.
 */
static int give_boot_id(struct lg_err *err)
{
	lg_autofree char *id = NULL;
	lg_autoclose int fd = -1;
	size_t len = 0;
	int r = lg_file_read(AT_FDCWD, "/proc/sys/kernel/random/uuid", 64, &id, &len, err);

	if (r < 0)
		return r;
	fd = open(BOOT_ID, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
	if (fd < 0 || write(fd, id, len) != (ssize_t)len)
		return lg_fail(err, -errno, "give it a boot id");
	r = bind_readonly(BOOT_ID, "/proc/sys/kernel/random/boot_id");
	return r < 0 ? lg_fail(err, r, "give it a boot id") : 0;
}

int lg_mounts_hide(const struct lg_start *start, struct lg_err *err)
{
	int r;

	if (mkdir(EMPTY_FOLDER, 0) < 0)
		return lg_fail(err, -errno, "make " EMPTY_FOLDER);
	for (size_t i = 0; i < ARRAY_SIZE(covered); i++) {
		r = cover(covered[i].path);
		if (r < 0)
			return lg_fail(err, r, "hide %s", covered[i].path);
	}
	r = give_boot_id(err);
	if (r == 0)
		r = hide_fields(start->msg, "mask", cover, err);
	return r < 0 ? r : hide_fields(start->msg, "readonly", make_readonly, err);
}

/*
 * The guest's administrator may have put a link there, or nothing above it: then it is not wanted. The
 * folder itself is made.
 */
int lg_mounts_plain(const struct lg_start *start, const int *fds, struct lg_err *err)
{
	unsigned int i = 0;

	for (const char *p = lg_msg_get(start->msg, "plain"); p && i < LG_PLAIN_MAX;
	     p = lg_msg_next(start->msg, "plain", p), i++) {
		const char *target = strchr(p, '\n');
		lg_autoclose int at = -1;

		at = target ? open_target(target + 1) : -EINVAL;
		if (at == -ENOENT || at == -ELOOP || at == -ENOTDIR)
			continue;
		if (at < 0)
			return lg_fail(err, at, "open %s", target ? target + 1 : p);
		if (move_mount(fds[i], "", at, "",
			       MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
			return lg_fail(err, -errno, "mount %s", target + 1);
	}
	return 0;
}

int lg_mounts_share(struct lg_err *err)
{
	if (mount(NULL, "/", NULL, MS_REC | MS_SHARED, NULL) < 0)
		return lg_fail(err, -errno, "share the mounts");
	return 0;
}
