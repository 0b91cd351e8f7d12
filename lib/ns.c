/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lib/ns.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/file.h"

int lg_ns_map_ids(pid_t pid, uint32_t base, uint32_t count, struct lg_err *err)
{
	static const char *const files[] = { "uid_map", "gid_map" };
	char path[64], text[64];

	snprintf(text, sizeof(text), "0 %u %u\n", base, count);
	for (int i = 0; i < 2; i++) {
		int r;

		snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, files[i]);
		r = lg_file_write(AT_FDCWD, path, text, err);
		if (r < 0)
			return r;
	}
	return 0;
}

int lg_ns_mapped_ids(pid_t pid, uint32_t *ret)
{
	lg_autofree char *text = NULL;
	unsigned int inside, outside;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/uid_map", (int)pid);
	if (lg_file_read(AT_FDCWD, path, 4096, &text, NULL, NULL) < 0)
		return -ESRCH;
	if (sscanf(text, "%u %u", &inside, &outside) != 2 || inside != 0)
		return -ESRCH;
	*ret = outside;
	return 0;
}

int lg_ns_open(pid_t pid, const char *name, struct lg_err *err)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/ns/%s", (int)pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? lg_fail(err, -errno, "open '%s'", path) : fd;
}

int lg_ns_set_hostname(pid_t pid, const char *name, struct lg_err *err)
{
	lg_autoclose int own = open("/proc/self/ns/uts", O_RDONLY | O_CLOEXEC);
	lg_autoclose int theirs = lg_ns_open(pid, "uts", err);
	int r = 0;

	if (theirs < 0)
		return theirs;
	if (own < 0 || setns(theirs, CLONE_NEWUTS) < 0)
		return lg_fail(err, -errno, "enter the uts namespace of %d", (int)pid);
	if (sethostname(name, strlen(name)) < 0)
		r = lg_fail(err, -errno, "set host name '%s'", name);
	/* A daemon left in a guest's namespace would be wrong in everything it does from here on. */
	if (setns(own, CLONE_NEWUTS) < 0)
		abort();
	return r;
}

static int write_there(int pidfd, const char *path, const char *text)
{
	if (setns(pidfd, CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS) < 0 ||
	    setgroups(0, NULL) < 0 || setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0)
		return -errno;
	return lg_file_write(AT_FDCWD, path, text, NULL);
}

int lg_ns_write(pid_t pid, const char *path, const char *text, struct lg_err *err)
{
	lg_autoclose int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	pid_t child;
	int status;

	if (pidfd < 0)
		return lg_fail(err, -errno, "look at process %d", (int)pid);
	child = fork();
	if (child == 0)
		_exit(-write_there(pidfd, path, text) & 0xff);
	if (child < 0)
		return lg_fail(err, -errno, "make a process");
	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			return lg_fail(err, -errno, "wait for a process");
	if (!WIFEXITED(status))
		return lg_refuse(err, -EIO, 0, "write '%s': the process was killed", path);
	return WEXITSTATUS(status) ? lg_fail(err, -WEXITSTATUS(status), "write '%s'", path) : 0;
}

int lg_ns_make_user(uint32_t base, uint32_t count, struct lg_err *err)
{
	struct clone_args args = { .flags = CLONE_NEWUSER, .exit_signal = SIGCHLD };
	long pid = syscall(SYS_clone3, &args, sizeof(args));
	int fd, r;

	if (pid == 0)
		for (;;)
			pause();
	if (pid < 0)
		return lg_fail(err, -errno, "make a user namespace");
	r = lg_ns_map_ids((pid_t)pid, base, count, err);
	fd = r < 0 ? r : lg_ns_open((pid_t)pid, "user", err);
	kill((pid_t)pid, SIGKILL);
	waitpid((pid_t)pid, NULL, 0);
	return fd;
}
