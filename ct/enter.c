/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ct/enter.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "ct/command.h"
#include "ct/fds.h"
#include "ct/inside.h"
#include "ct/trace.h"
#include "lib/cleanup.h"

#define ALL_NAMESPACES (CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWUTS | \
			CLONE_NEWIPC | CLONE_NEWCGROUP)
#define LEAF "lodge.exec"

struct entering {
	const struct lg_enter *e;
	int sock, pidfd, seccomp;
	struct lg_command command;
};

/* One at a time: the shim has one thread, and each child works on its own copy. */
static struct entering in;

/* ---- first process ---- */

static int close_others(struct lg_err *err)
{
	int *keep[] = { &in.sock, &in.pidfd, &in.seccomp };
	int r = lg_command_streams(in.e->streams);

	if (r == 0)
		r = lg_fds_keep(keep, ARRAY_SIZE(keep));
	if (r == 0)
		r = lg_oom_reset(getpid());
	return r < 0 ? lg_fail(err, r, "set up the streams") : 0;
}

/* The host's /proc still; the second process inherits it. */
static int choose_profile(struct lg_err *err)
{
	return lg_confine_apparmor(in.e->apparmor, err);
}

static int join(struct lg_err *err)
{
	if (setns(in.pidfd, ALL_NAMESPACES | (in.e->own_clocks ? CLONE_NEWTIME : 0)) < 0)
		return lg_fail(err, -errno, "enter the container's namespaces");
	in.pidfd = lg_close(in.pidfd);
	return 0;
}

static int report_pid(pid_t pid)
{
	static struct lg_msg m;

	lg_msg_init(&m, LG_H_PID);
	lg_msg_put_u64(&m, "pid", (uint64_t)pid);
	return lg_msg_send(in.sock, &m);
}

/*
 * The shim's child, as its exit signal is ours, but not in our pid namespace; setns() moved only
 * children there.
 */
static int clone_second(struct lg_err *err)
{
	struct clone_args args = { .flags = CLONE_PARENT };
	long pid = syscall(SYS_clone3, &args, sizeof(args));

	if (pid < 0)
		return lg_fail(err, -errno, "make the process");
	if (pid > 0) {
		report_pid((pid_t)pid);
		_exit(0);
	}
	return 0;
}

/* ---- second process: inside ---- */

static int make_session(struct lg_err *err)
{
	in.command.msg = in.e->msg;
	in.command.tty = in.e->tty != 0;
	in.command.contained = true;
	return lg_command_session(&in.command, in.e->rlimits, err);
}

static int find_user(struct lg_err *err)
{
	return lg_command_user(&in.command, err);
}

static int confine(struct lg_err *err)
{
	int r = lg_confine_seccomp(in.seccomp, err);

	return r < 0 ? r : lg_confine_caps(in.e->keep_caps, err);
}

static int become_user(struct lg_err *err)
{
	return lg_command_become(&in.command, err);
}

static int enter_cwd(struct lg_err *err)
{
	return lg_command_folder(&in.command, err);
}

static int prepare_exec(struct lg_err *err)
{
	return lg_command_arguments(&in.command, err);
}

static int exec_command(struct lg_err *err)
{
	return lg_command_exec(&in.command, in.sock, err);
}

/* clang-format off */
static int (*const steps[])(struct lg_err *err) = {
	close_others,
	choose_profile,
	join,
	lg_confine_ids,
	clone_second,
	make_session,
	find_user,
	confine,
	become_user,
	enter_cwd,
	prepare_exec,
	exec_command,
};
static const char *const step_names[] = {
	"session: streams", "session: profile", "session: namespaces", "session: ids", "session: process",
	"session: terminal", "session: user", "session: confined", "session: user taken",
	"session: folder", "session: arguments", "session: exec",
};
/* clang-format on */
_Static_assert(ARRAY_SIZE(steps) == ARRAY_SIZE(step_names), "one name per step");

static void __attribute__((noreturn)) run_steps(const struct lg_enter *e)
{
	struct lg_err err = { 0 };

	in.e = e;
	in.sock = e->sock;
	in.pidfd = e->pidfd;
	in.seccomp = e->seccomp_fd;
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		if (steps[i](&err) < 0) {
			lg_report(in.sock, LG_H_FAILED, &err);
			_exit(1);
		}
		lg_trace(step_names[i]);
	}
	_exit(1);
}

/* ---- in the shim ---- */

static long clone_into(int cgroup)
{
	struct clone_args args = {
		.flags = CLONE_CLEAR_SIGHAND | (cgroup >= 0 ? CLONE_INTO_CGROUP : 0),
		.exit_signal = SIGCHLD,
		.cgroup = cgroup >= 0 ? (uint64_t)cgroup : 0,
	};
	long pid = syscall(SYS_clone3, &args, sizeof(args));

	return pid < 0 ? -errno : pid;
}

/*
 * The leaf is in a directory that the guest owns, so it may be gone: make it again. Last comes init's own
 * cgroup, which takes processes as long as the guest has not enabled controllers in it.
 */
static long clone_first(const struct lg_enter *e)
{
	long pid = *e->leaf_fd >= 0 ? clone_into(*e->leaf_fd) : -ENOENT;
	int leaf;

	if (pid != -ENOENT && pid != -ENODEV && pid != -EBUSY && pid != -EOPNOTSUPP)
		return pid;
	(void)mkdirat(e->cgroup_fd, LEAF, 0755);
	leaf = openat(e->cgroup_fd, LEAF, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (leaf >= 0) {
		lg_close(*e->leaf_fd);
		*e->leaf_fd = leaf;
		pid = clone_into(leaf);
	}
	return pid < 0 ? clone_into(e->cgroup_fd) : pid;
}

pid_t lg_enter_clone(const struct lg_enter *enter, struct lg_err *err)
{
	long pid = clone_first(enter);

	if (pid == 0)
		run_steps(enter);
	return pid < 0 ? lg_fail(err, (int)pid, "make a process in the container") : (pid_t)pid;
}
