/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ct/enter.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "ct/fds.h"
#include "ct/inside.h"
#include "ct/trace.h"
#include "ct/user.h"
#include "lib/cleanup.h"

#define ARGS_MAX 1024u
#define ALL_NAMESPACES (CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWUTS | \
			CLONE_NEWIPC | CLONE_NEWCGROUP)
#define LEAF "lodge.exec"

struct entering {
	const struct lg_enter *e;
	int sock, pidfd, seccomp;
	struct lg_user user;
	char *argv[ARGS_MAX + 1], *envp[ARGS_MAX + 8];
	char env[7][300];	/* what a login would set; entries of envp */
};

/* One at a time: the shim has one thread, and each child works on its own copy. */
static struct entering in;

/* ---- first process ---- */

static int place_streams(const struct lg_enter *e)
{
	int high[3];

	for (int i = 0; i < 3; i++) {
		high[i] = fcntl(e->streams[i], F_DUPFD_CLOEXEC, 64);
		if (high[i] < 0)
			return -errno;
	}
	for (int i = 0; i < 3; i++)
		if (dup2(high[i], i) < 0)
			return -errno;
	return 0;
}

static int close_others(struct lg_err *err)
{
	int *keep[] = { &in.sock, &in.pidfd, &in.seccomp };
	int r = place_streams(in.e);

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
	if (setsid() < 0)
		return lg_fail(err, -errno, "make a session");
	if (in.e->tty && ioctl(0, TIOCSCTTY, 0) < 0)
		return lg_fail(err, -errno, "take the terminal");
	return lg_confine_limits(in.e->rlimits, err);
}

static int find_user(struct lg_err *err)
{
	return lg_user_load(lg_msg_get(in.e->msg, "user"), &in.user, err);
}

static int confine(struct lg_err *err)
{
	int r = lg_confine_seccomp(in.seccomp, err);

	return r < 0 ? r : lg_confine_caps(in.e->keep_caps, err);
}

static int become_user(struct lg_err *err)
{
	const struct lg_user *u = &in.user;

	/* So that the user may open /dev/stdout too. What is not the container's own stays as it is. */
	for (int fd = 0; fd < 3 && u->uid; fd++)
		if (fchown(fd, u->uid, u->gid) < 0 && errno != EPERM)
			return lg_fail(err, -errno, "hand over stream %d", fd);
	if (setgroups(u->ngroups, u->groups) < 0 || setresgid(u->gid, u->gid, u->gid) < 0 ||
	    setresuid(u->uid, u->uid, u->uid) < 0)
		return lg_fail(err, -errno, "become user %u", (unsigned int)u->uid);
	return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ? lg_fail(err, -errno, "stay out of sight")
						      : 0;
}

static bool has_env(size_t n, const char *entry, size_t name)
{
	for (size_t i = 0; i < n; i++)
		if (strncmp(in.envp[i], entry, name) == 0)
			return true;
	return false;
}

static void make_env(size_t n)
{
	const struct lg_user *u = &in.user;
	const struct {
		const char *name, *value;
	} defaults[] = {
		{ "PATH", u->uid == 0 ? LG_PATH_ROOT : LG_PATH_USER },
		{ "HOME", u->home },
		{ "SHELL", u->shell },
		{ "USER", u->name },
		{ "LOGNAME", u->name },
		{ "TERM", in.e->tty ? "xterm" : "dumb" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(defaults); i++) {
		char *entry = in.env[i];

		snprintf(entry, sizeof(in.env[i]), "%s=%s", defaults[i].name, defaults[i].value);
		if (*defaults[i].value && !has_env(n, entry, strlen(defaults[i].name) + 1))
			in.envp[n++] = entry;
	}
	snprintf(in.env[6], sizeof(in.env[6]), "%s", LG_CONTAINER_ENV);
	if (!has_env(n, in.env[6], strlen("container=")))
		in.envp[n++] = in.env[6];
}

static int gather(const char *key, char **list, size_t *n, struct lg_err *err)
{
	for (const char *v = lg_msg_get(in.e->msg, key); v; v = lg_msg_next(in.e->msg, key, v)) {
		if (*n == ARGS_MAX)
			return lg_refuse(err, -E2BIG, 126, "more than %u arguments", ARGS_MAX);
		list[(*n)++] = (char *)(uintptr_t)v;	/* execve() only reads */
	}
	return 0;
}

static int prepare_exec(struct lg_err *err)
{
	size_t argc = 0, envc = 0;
	int r = gather("arg", in.argv, &argc, err);

	if (r == 0)
		r = gather("env", in.envp, &envc, err);
	if (r < 0)
		return r;
	make_env(envc);
	return 0;
}

/* An asked-for folder must be there; a missing home is no reason to fail. */
static int enter_cwd(struct lg_err *err)
{
	const char *cwd = lg_msg_get(in.e->msg, "cwd");

	if (cwd && *cwd)
		return chdir(cwd) < 0 ? lg_fail(err, -errno, "folder '%s' in the container", cwd)
				      : 0;
	if (chdir(in.user.home) < 0 && chdir("/") < 0)
		return lg_fail(err, -errno, "folder '/' in the container");
	return 0;
}

/* A text without "#!" is a shell script, as execvp(3) and every shell have it. */
static int exec_file(const char *file)
{
	static char shell[] = "/bin/sh";

	execve(file, in.argv, in.envp);
	if (errno == ENOEXEC) {
		size_t n = 0;

		while (in.argv[n])
			n++;
		if (n >= ARGS_MAX)
			return -E2BIG;
		memmove(in.argv + 2, in.argv + 1, n * sizeof(*in.argv));
		in.argv[0] = shell;
		in.argv[1] = (char *)(uintptr_t)file;
		execve(shell, in.argv, in.envp);
	}
	return -errno;
}

static const char *path_value(void)
{
	for (char **e = in.envp; *e; e++)
		if (strncmp(*e, "PATH=", 5) == 0)
			return *e + 5;
	return LG_PATH_USER;
}

static int search_path(const char *name)
{
	char file[4096];
	int found = -ENOENT;

	for (const char *p = path_value(); p; p = strchr(p, ':') ? strchr(p, ':') + 1 : NULL) {
		int n = snprintf(file, sizeof(file), "%.*s/%s", (int)strcspn(p, ":"), p, name);
		int r;

		if (n < 0 || (size_t)n >= sizeof(file))
			continue;
		r = exec_file(*file == '/' && file[1] == '/' ? file + 1 : file);
		if (r == -EACCES)
			found = r;
		else if (r != -ENOENT && r != -ENOTDIR)
			return r;
	}
	return found;
}

/* Without a command: the user's shell, as a login would start it. */
static int exec_command(struct lg_err *err)
{
	static char login[260];
	const char *name = in.argv[0];
	int r;

	lg_confine_signals();
	lg_report(in.sock, LG_H_EXEC, NULL);
	if (!name) {
		const char *slash = strrchr(in.user.shell, '/');

		name = in.user.shell;
		snprintf(login, sizeof(login), "-%s", slash ? slash + 1 : name);
		in.argv[0] = login;
	}
	r = strchr(name, '/') ? exec_file(name) : *name ? search_path(name) : -ENOENT;
	if (r == -ENOENT || r == -ENOTDIR)
		return lg_refuse(err, r, 127, "%s: there is no such command in the container",
				 name);
	return lg_refuse(err, r, 126, "%s: cannot be executed: %s", name, strerror(-r));
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
