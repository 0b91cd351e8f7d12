/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The process of an exec session: as the second process of ct/enter.c, with nothing to enter. */

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "cmd/lodge-agent/session.h"
#include "ct/command.h"
#include "ct/fds.h"
#include "ct/inside.h"
#include "lib/cleanup.h"
#include "lib/file.h"

/* As the shim's: where the guest's sessions are in its cgroups. */
#define CGROUPS "/sys/fs/cgroup"
#define LEAF CGROUPS "/lodge.exec"
#define TTY_GID 5u

/* ---- streams ---- */

static int make_pipes(struct session *s, int theirs[3], struct lg_err *err)
{
	for (int i = 0; i < STREAMS; i++) {
		int ends[2];
		int ours = i == STREAM_IN ? 1 : 0;

		if (pipe2(ends, O_CLOEXEC) < 0)
			return lg_fail(err, -errno, "make a pipe");
		s->fds[i] = ends[ours];
		theirs[i] = ends[1 - ours];
		fcntl(s->fds[i], F_SETFL, O_NONBLOCK);
	}
	return 0;
}

static int make_terminal(struct session *s, const struct lg_msg *m, int theirs[3], struct lg_err *err)
{
	struct winsize ws = { .ws_row = (unsigned short)lg_msg_get_u64(m, "rows", 24),
			      .ws_col = (unsigned short)lg_msg_get_u64(m, "cols", 80) };
	int unlock = 0, master;

	master = open("/dev/pts/ptmx", O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	if (master < 0)
		master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	s->fds[STREAM_OUT] = master;
	if (master < 0 || ioctl(master, TIOCSPTLCK, &unlock) < 0)
		return lg_fail(err, -errno, "make a terminal");
	theirs[0] = theirs[1] = theirs[2] = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (theirs[0] < 0 || fchown(theirs[0], 0, TTY_GID) < 0)
		return lg_fail(err, -errno, "open the terminal");
	ioctl(master, TIOCSWINSZ, &ws);
	s->fds[STREAM_IN] = fcntl(master, F_DUPFD_CLOEXEC, 3);
	return s->fds[STREAM_IN] < 0 ? lg_fail(err, -errno, "open the terminal") : 0;
}

/* ---- the process ---- */

/* One at a time: each child works on its own copy. */
static struct lg_command command;

static void __attribute__((noreturn)) run(const struct machine *m, const struct lg_msg *exec, int sock,
					  const int theirs[3], bool tty)
{
	struct lg_err err = { 0 };
	int *keep[] = { &sock };
	int r = lg_command_streams(theirs);

	command.msg = exec;
	command.tty = tty;
	if (r == 0)
		r = lg_fds_keep(keep, ARRAY_SIZE(keep));
	if (r < 0)
		lg_fail(&err, r, "set up the streams");
	(void)lg_file_write(AT_FDCWD, "/proc/self/oom_score_adj", "0", NULL);
	if (r == 0)
		r = lg_command_session(&command, &m->rlimits, &err);
	if (r == 0)
		r = lg_command_user(&command, &err);
	if (r == 0)
		r = lg_command_become(&command, &err);
	if (r == 0)
		r = lg_command_folder(&command, &err);
	if (r == 0)
		r = lg_command_arguments(&command, &err);
	if (r == 0)
		lg_command_exec(&command, sock, &err);
	lg_report(sock, LG_H_FAILED, &err);
	_exit(1);
}

/* A cgroup of their own, where the guest has cgroups, so that they are in none of its services'. */
static int open_leaf(void)
{
	struct statfs fs;

	if (statfs(CGROUPS, &fs) < 0 || fs.f_type != CGROUP2_SUPER_MAGIC)
		return -1;
	(void)mkdir(LEAF, 0755);
	return open(LEAF, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static pid_t make_process(void)
{
	lg_autoclose int leaf = open_leaf();
	struct clone_args args = {
		.flags = CLONE_CLEAR_SIGHAND | (leaf >= 0 ? CLONE_INTO_CGROUP : 0),
		.exit_signal = SIGCHLD,
		.cgroup = leaf >= 0 ? (uint64_t)leaf : 0,
	};
	long pid = syscall(SYS_clone3, &args, sizeof(args));

	if (pid < 0 && leaf >= 0) {
		args.flags = CLONE_CLEAR_SIGHAND;
		args.cgroup = 0;
		pid = syscall(SYS_clone3, &args, sizeof(args));
	}
	return pid < 0 ? -errno : (pid_t)pid;
}

static int launch(struct session *s, const struct machine *m, const struct lg_msg *exec, const int theirs[3],
		  struct lg_err *err)
{
	int sock[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sock) < 0)
		return lg_fail(err, -errno, "make the session's handshake");
	s->handshake = sock[0];
	fcntl(sock[0], F_SETFL, O_NONBLOCK);
	s->pid = make_process();
	if (s->pid == 0)
		run(m, exec, sock[1], theirs, s->tty);
	close(sock[1]);
	return s->pid < 0 ? lg_fail(err, s->pid, "make a process in the machine") : 0;
}

int session_start(struct session *s, const struct machine *m, const struct lg_msg *exec, struct lg_err *err)
{
	int theirs[3] = { -1, -1, -1 };
	int r = s->tty ? make_terminal(s, exec, theirs, err) : make_pipes(s, theirs, err);

	if (r == 0)
		r = launch(s, m, exec, theirs, err);
	for (int i = 0; i < 3; i++)
		if (i == 0 || theirs[i] != theirs[0])
			lg_close(theirs[i]);
	return r;
}
