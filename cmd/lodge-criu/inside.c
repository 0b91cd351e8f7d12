/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * What the shim keeps of a container it gets from init at a start, before the image runs. Here the guest has run, and may
 * have mounted anything anywhere: what is taken is looked at, and is of no more worth to it than its own.
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cmd/lodge-criu/criu.h"
#include "ct/checkpoint.h"
#include "ct/procfs.h"
#include "lib/cleanup.h"
#include "lib/file.h"
#include "lib/ns.h"

static int open_devpts(void)
{
	struct open_how how = { .flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
				.resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS };
	lg_autoclose int at = lg_openat2(AT_FDCWD, "/dev/pts", &how);
	lg_autoclose int tree = -1;
	struct statfs fs;

	if (at < 0 || fstatfs(at, &fs) < 0)
		return -errno;
	if (fs.f_type != DEVPTS_SUPER_MAGIC)
		return -ENODEV;
	tree = open_tree(at, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
	return tree < 0 ? -errno : lg_take_fd(&tree);
}

static int report(int mount_ns, int proc, int master, struct lg_err *err)
{
	struct lg_procfs_dirs dirs = LG_PROCFS_NO_DIRS;
	lg_autoclose int devpts = -1;
	int r;

	if (setns(mount_ns, CLONE_NEWNS) < 0)
		return lg_fail(err, -errno, "enter its mount namespace");
	devpts = open_devpts();
	if (devpts < 0)
		return lg_fail(err, devpts, "find its /dev/pts");
	lg_procfs_find_dirs(proc, lg_procfs_root(), &dirs);
	lg_msg_init(&msg_out, LG_K_TTY);
	lg_msg_put_u64(&msg_out, "console", master >= 0);
	lg_msg_put_fd(&msg_out, devpts);
	if (master >= 0)
		lg_msg_put_fd(&msg_out, master);
	if (dirs.proc >= 0)
		lg_msg_put_fd(&msg_out, dirs.proc);
	if (dirs.proc >= 0 && dirs.cpu >= 0)
		lg_msg_put_fd(&msg_out, dirs.cpu);
	r = lg_msg_send(LG_CHECKPOINT_FD, &msg_out);
	return r < 0 ? lg_fail(err, r, "hand over the terminals") : 0;
}

/* A child's: we ourselves stay where CRIU works. */
int inside_report(int master, struct lg_err *err)
{
	lg_autoclose int proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	lg_autoclose int ns = lg_ns_open(job.pid, "mnt", err);
	int status = 0;
	pid_t pid;

	if (ns < 0)
		return ns;
	pid = fork();
	if (pid == 0)
		_exit(-report(ns, proc, master, err) & 0xff);
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		return lg_fail(err, -errno, "look at its terminals");
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		return lg_fail(err, WIFEXITED(status) ? -WEXITSTATUS(status) : -EIO,
			       "find its terminals");
	return 0;
}
