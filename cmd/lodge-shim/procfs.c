/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * The files of lxcfs over the container's /proc (ct/procfs.h). lodged says PROC whenever there is a new
 * lxcfs; its end is seen here, whether there is a lodged or not. Putting files in place and taking them away is done
 * by a child that enters the container's mount namespace, one at a time.
 */

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cmd/lodge-shim/namespaces.h"
#include "cmd/lodge-shim/shim.h"
#include "ct/inside.h"
#include "ct/procfs.h"
#include "lib/cleanup.h"

#define OTHERS_MAX 64u	/* mount namespaces of a guest that are looked after */
#define OTHERS_S 5	/* how long at most; a child that is stuck is left alone */

static void on_end(struct lg_source *s, uint32_t events);

static struct lg_procfs files = LG_PROCFS_NONE;		/* to be put in place */
static struct lg_procfs_dirs dirs = LG_PROCFS_NO_DIRS;
static struct lg_source lxcfs = { .fd = -1, .on_event = on_end };
static dev_t wanted;	/* the file system that is alive; 0 = none */
static dev_t placed;	/* the one that the container has */
static dev_t known[LG_PROCFS_DEVS];	/* those it had, the last ones */
static pid_t helper;

static void remember(dev_t dev)
{
	memmove(&known[1], &known[0], sizeof(known) - sizeof(known[0]));
	known[0] = dev;
}

/* What was put in place can be copied by who is in the namespace where it lies. */
static void help_other(int proc, int ns, dev_t root)
{
	struct lg_procfs copies = LG_PROCFS_NONE;
	struct lg_procfs_dirs found;

	if (files.dev)
		lg_procfs_clone(&files, &copies, NULL);
	if (setns(ns, CLONE_NEWNS) < 0)
		return;
	lg_procfs_find_dirs(proc, root, &found);
	lg_procfs_place(&found, known, &copies, NULL);
}

/*
 * Sandboxed services of a guest have mount namespaces of their own, with a proc of their own and copies of our
 * mounts that follow nothing. A child each, as a guest could build one that makes it wait; it then waits for the end of
 * the container.
 */
static void help_others(int proc, int *ns, size_t n)
{
	struct timespec patience = { .tv_sec = OTHERS_S };
	dev_t root = lg_procfs_root();
	size_t left = 0;
	sigset_t child;

	for (size_t i = 0; i < n; i++) {
		pid_t pid = fork();

		if (pid == 0) {
			help_other(proc, ns[i], root);
			_exit(0);
		}
		left += pid > 0;
	}
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	while (left > 0) {
		while (left > 0 && waitpid(-1, NULL, WNOHANG) > 0)
			left--;
		if (left > 0 && sigtimedwait(&child, NULL, &patience) < 0 && errno != EINTR)
			return;
	}
}

/* The guest is not trusted with what the child has: it is another user's and in another pid namespace. */
static void help(void)
{
	int proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC), ns[OTHERS_MAX];
	struct lg_err err = { 0 };
	struct stat own = { 0 };
	char name[32];
	size_t n;
	int r = 0;

	snprintf(name, sizeof(name), "%d/ns/mnt", (int)shim.launch.pid);
	fstatat(proc, name, &own, 0);
	n = namespaces_gather(shim.cgroup_fd, own.st_ino, ns, OTHERS_MAX);
	if (setns(shim.launch.pidfd, CLONE_NEWNS) < 0)
		r = lg_fail(&err, -errno, "enter its mount namespace");
	else
		r = lg_procfs_place(&dirs, known, &files, &err);
	help_others(proc, ns, n);
	if (r < 0)
		dprintf(STDERR_FILENO, "lodge-shim %u: /proc shows the host's: %s\n", shim.ctid,
			err.msg);
	_exit(r < 0);
}

void procfs_settle(void)
{
	pid_t pid;

	if (wanted == placed || helper > 0 || shim.phase != PHASE_RUNNING)
		return;
	if (shim.launch.own_clocks)
		lg_procfs_leave_clock(&files);
	pid = fork();
	if (pid == 0)
		help();
	if (pid < 0)
		return;
	helper = pid;
	placed = wanted;
	if (placed)
		remember(placed);
	lg_procfs_close(&files);
}

bool procfs_reaped(pid_t pid)
{
	if (pid != helper)
		return false;
	helper = 0;
	procfs_settle();
	return true;
}

/* lxcfs has ended, whoever ended it. */
static void on_end(struct lg_source *s, uint32_t events)
{
	(void)events;
	lg_source_close(s);
	lg_procfs_close(&files);
	wanted = 0;
	procfs_settle();
}

void procfs_take(struct lg_msg *m)
{
	struct lg_err err = { 0 };

	lg_procfs_close(&files);
	lg_source_close(&lxcfs);
	wanted = 0;
	if (lg_procfs_take(m, &files, &err) < 0)
		return;
	lxcfs.fd = lg_msg_take_fd(m, m->nfds - 1);
	if (files.dev && lg_source_add(&lxcfs, EPOLLIN) == 0)
		wanted = files.dev;
	if (wanted == 0 || wanted == placed)
		lg_procfs_close(&files);
	procfs_settle();
}

struct lg_procfs *procfs_files(void)
{
	return &files;
}

void procfs_given(void)
{
	placed = files.dev;
	if (placed)
		remember(placed);
	lg_procfs_close(&files);
}

/* CRIU has put them there; of an older version's container also what the kernel tells better now. */
void procfs_restored(void)
{
	if (wanted)
		remember(wanted);
}

void procfs_dirs(struct lg_msg *m, unsigned int first)
{
	dirs.proc = lg_msg_take_fd(m, first);
	dirs.cpu = lg_msg_take_fd(m, first + 1);
}
