/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lib/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/sched.h>
#include <sanitizer/asan_interface.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "lib/cleanup.h"
#include "lib/file.h"

#define SPAWN_FDS_MAX 16u
#define SPAWN_STACK (64u * 1024u)

int lg_pidfd_open(pid_t pid)
{
	long fd = syscall(SYS_pidfd_open, pid, 0);

	return fd < 0 ? -errno : (int)fd;
}

int lg_pidfd_signal(int pidfd, int sig)
{
	return syscall(SYS_pidfd_send_signal, pidfd, sig, NULL, 0) < 0 ? -errno : 0;
}

int lg_proc_starttime(pid_t pid, uint64_t *ret)
{
	lg_autofree char *text = NULL;
	unsigned long long start;
	char path[64];
	const char *p;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	if (lg_file_read(AT_FDCWD, path, 4096, &text, NULL, NULL) < 0)
		return -ESRCH;
	/* The command's name is in brackets and may hold anything: go on from the last one. */
	p = strrchr(text, ')');
	if (!p || sscanf(p + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d"
			 " %*d %*d %*d %llu", &start) != 1)
		return -ESRCH;
	*ret = start;
	return 0;
}

bool lg_proc_is(pid_t pid, uint64_t starttime)
{
	uint64_t now;

	return pid > 0 && lg_proc_starttime(pid, &now) == 0 && now == starttime;
}

struct spawn_child {
	const struct lg_spawn *spawn;
	int error;	/* written by the child: it shares our memory until exec */
};

static void reset_signals(void)
{
	sigset_t none;

	for (int sig = 1; sig < NSIG; sig++)
		if (sig != SIGKILL && sig != SIGSTOP)
			signal(sig, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* First above every wanted number, then down to its place, so that none overwrites another. */
static int place_fds(const struct lg_spawn *s)
{
	int high[SPAWN_FDS_MAX];

	for (unsigned int i = 0; i < s->nfds; i++) {
		int fd = s->fds[i] >= 0 ? s->fds[i] : open("/dev/null", O_RDWR | O_CLOEXEC);

		high[i] = fcntl(fd, F_DUPFD_CLOEXEC, (int)(SPAWN_FDS_MAX * 2));
		if (high[i] < 0)
			return -errno;
	}
	for (unsigned int i = 0; i < s->nfds; i++)
		if (dup2(high[i], (int)i) < 0)
			return -errno;
	if (syscall(SYS_close_range, s->nfds, ~0u, CLOSE_RANGE_CLOEXEC) < 0)
		return -errno;
	return 0;
}

static void spawn_exec(struct spawn_child *child)
{
	static const char *const plain_env[] = {
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C", NULL
	};
	const struct lg_spawn *s = child->spawn;
	int r;

	reset_signals();
	if (s->end_signal)
		prctl(PR_SET_PDEATHSIG, s->end_signal);
	r = place_fds(s);
	if (r == 0) {
		execve(s->path, s->argv,
		       s->envp ? s->envp : (char *const *)(uintptr_t)plain_env);
		r = -errno;
	}
	child->error = r;
	_exit(127);
}

static int spawn_main(void *arg)
{
	spawn_exec(arg);
	return 127;
}

/*
 * The child runs in a copy of our memory: clone3(), which alone can put it into a cgroup, has no wrapper
 * that gives a child in our own memory a stack.
 */
static pid_t clone_into_cgroup(struct spawn_child *child, int *pidfd)
{
	struct clone_args args = {
		.flags = CLONE_PIDFD | CLONE_INTO_CGROUP | CLONE_VFORK,
		.pidfd = (uint64_t)(uintptr_t)pidfd,
		.exit_signal = SIGCHLD,
		.cgroup = (uint64_t)child->spawn->cgroup_fd,
	};
	pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));

	if (pid == 0)
		spawn_exec(child);
	return pid < 0 ? -errno : pid;
}

/*
 * CLONE_VM|CLONE_VFORK: the child runs on a stack of its own in our memory and we wait for its exec, so
 * the cost does not grow with our size.
 */
static pid_t clone_child(struct spawn_child *child, int *pidfd)
{
	char *stack = mmap(NULL, SPAWN_STACK, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
	pid_t pid;

	if (stack == MAP_FAILED)
		return -errno;
	pid = clone(spawn_main, stack + SPAWN_STACK,
		    CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD, child, pidfd);
	if (pid < 0)
		pid = -errno;
	/* The child never returned from its frames: AddressSanitizer still has them marked. */
	ASAN_UNPOISON_MEMORY_REGION(stack, SPAWN_STACK);
	munmap(stack, SPAWN_STACK);
	return pid;
}

/* In memory that both see, whichever way the child is made. */
static struct spawn_child *shared_child(const struct lg_spawn *spawn)
{
	struct spawn_child *child = mmap(NULL, sizeof(*child), PROT_READ | PROT_WRITE,
					 MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (child == MAP_FAILED)
		return NULL;
	child->spawn = spawn;
	return child;
}

pid_t lg_spawn(const struct lg_spawn *spawn, int *ret_pidfd, struct lg_err *err)
{
	struct spawn_child *child = shared_child(spawn);
	lg_autoclose int pidfd = -1;
	sigset_t all, old;
	int error;
	pid_t pid;

	if (!child || spawn->nfds > SPAWN_FDS_MAX)
		return lg_fail(err, child ? -E2BIG : -ENOMEM, "start '%s'", spawn->path);
	/* Signals would run the daemon's handlers in the child, which may share its memory. */
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &old);
	pid = spawn->cgroup_fd > 0 ? clone_into_cgroup(child, &pidfd) : clone_child(child, &pidfd);
	sigprocmask(SIG_SETMASK, &old, NULL);
	error = child->error;
	munmap(child, sizeof(*child));
	if (pid < 0)
		return lg_fail(err, pid, "start '%s'", spawn->path);
	if (error < 0) {
		waitpid(pid, NULL, 0);
		return lg_fail(err, error, "start '%s'", spawn->path);
	}
	if (ret_pidfd)
		*ret_pidfd = lg_take_fd(&pidfd);
	return pid;
}
