/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * The files of lxcfs over the container's /proc (ct/procfs.h). lodged says PROC whenever there is a new
 * lxcfs; its end is seen here, whether there is a lodged or not. Putting files in place and taking them away is done
 * by a child that enters the container's mount namespace, one at a time.
 */

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "cmd/lodge-shim/shim.h"
#include "ct/inside.h"
#include "ct/procfs.h"
#include "lib/cleanup.h"

static void on_end(struct source *s, uint32_t events);

static struct lg_procfs files = LG_PROCFS_NONE;		/* to be put in place */
static struct lg_procfs_dirs dirs = LG_PROCFS_NO_DIRS;
static struct source lxcfs = { .fd = -1, .on_event = on_end };
static dev_t wanted;	/* the file system that is alive; 0 = none */
static dev_t placed;	/* the one that the container has */
static dev_t known[LG_PROCFS_DEVS];	/* those it had, the last ones */
static pid_t helper;

static void remember(dev_t dev)
{
	memmove(&known[1], &known[0], sizeof(known) - sizeof(known[0]));
	known[0] = dev;
}

/* The guest is not trusted with what the child has: it is another user's and in another pid namespace. */
static void help(void)
{
	struct lg_err err = { 0 };
	int r = 0;

	if (setns(shim.launch.pidfd, CLONE_NEWNS) < 0)
		r = lg_fail(&err, -errno, "enter its mount namespace");
	if (r == 0)
		r = lg_procfs_place(&dirs, known, &files, &err);
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
static void on_end(struct source *s, uint32_t events)
{
	(void)events;
	source_close(s);
	lg_procfs_close(&files);
	wanted = 0;
	procfs_settle();
}

void procfs_take(struct lg_msg *m)
{
	struct lg_err err = { 0 };

	lg_procfs_close(&files);
	source_close(&lxcfs);
	wanted = 0;
	if (lg_procfs_take(m, &files, &err) < 0)
		return;
	lxcfs.fd = lg_msg_take_fd(m, m->nfds - 1);
	if (files.dev && source_add(&lxcfs, EPOLLIN) == 0)
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

void procfs_dirs(struct lg_msg *m, unsigned int first)
{
	dirs.proc = lg_msg_take_fd(m, first);
	dirs.cpu = lg_msg_take_fd(m, first + 1);
}
