/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/lodge/session.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cmd/lodge/pump.h"
#include "cmd/lodge/term.h"
#include "ct/proto.h"
#include "lib/cleanup.h"
#include "lib/exit.h"
#include "lib/json.h"
#include "lib/msg.h"

#define PUMPS 3u
#define TTY_DRAIN_MS 1000	/* how long output may still be on its way through a pty */
#define EXIT_NOT_FOUND 127
#define EXIT_NOT_EXECUTABLE 126

enum { IN, OUT, ERR };

struct running {
	struct cli *cli;
	const struct session *s;
	int control, signals, master;
	struct pump pumps[PUMPS];
	bool ended;
	bool whole;		/* the command begins when standard input has ended */
	int status;		/* exit status, once ended */
	int failure;		/* negative errno with cli->err */
	int killed_by;		/* a signal that ends the command itself */
	struct lg_msg msg;
};

int session_status(int status)
{
	if (WIFSIGNALED(status))
		return 128 + WTERMSIG(status);
	return WIFEXITED(status) ? WEXITSTATUS(status) : LG_EXIT_SYSTEM;
}

/* A failed exec has the shell's numbers, so that scripts can tell it from a failed session. */
static int failed(struct cli *cli, const struct lg_msg *m)
{
	int r = lg_msg_get_err(m, &cli->err);

	r = cli->err.code < 0 ? cli->err.code : r < 0 ? r : -EIO;
	if (cli->err.exit_code)
		return r;
	if (r == -ENOENT || r == -ENOTDIR)
		cli->err.exit_code = EXIT_NOT_FOUND;
	else if (r == -EACCES || r == -ENOEXEC || r == -EISDIR || r == -ELOOP)
		cli->err.exit_code = EXIT_NOT_EXECUTABLE;
	return r;
}

/* ---- asking for the session ---- */

static json_t *make_params(const struct session *s)
{
	unsigned short rows, cols;
	json_t *p = json_pack("{s:s, s:O, s:O*, s:s*, s:s*}", "id", s->id, "argv", s->argv, "env",
			      s->env, "user", s->user, "cwd", s->cwd);

	if (p && s->tty) {
		term_size(&rows, &cols);
		json_object_set_new(p, "tty", json_true());
		json_object_set_new(p, "rows", json_integer(rows));
		json_object_set_new(p, "cols", json_integer(cols));
	}
	return p;
}

static void close_all(int *fds, size_t n)
{
	for (size_t i = 0; i < n; i++)
		fds[i] = lg_close(fds[i]);
}

/* @theirs: control, stdin, stdout, stderr; @ours: the other ends in the same order. */
static int make_ends(const struct session *s, int ours[4], int theirs[4])
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	ours[0] = pair[0];
	theirs[0] = pair[1];
	for (int i = 1; i < 4 && !s->tty; i++) {
		bool input = i == 1;

		if (pipe2(pair, O_CLOEXEC) < 0)
			return -errno;
		ours[i] = pair[input ? 1 : 0];
		theirs[i] = pair[input ? 0 : 1];
		/* Each end has its own flags: the container's stays blocking. */
		fcntl(ours[i], F_SETFL, O_NONBLOCK);
	}
	return 0;
}

static int wait_begun(struct running *run)
{
	struct lg_msg *m = &run->msg;
	int r = lg_msg_recv(run->control, m);

	if (r == 1 && m->kind == LG_P_BEGUN) {
		run->master = lg_msg_take_fd(m, 0);
		run->whole = lg_msg_get_u64(m, "whole", 0) != 0;
		lg_msg_drop_fds(m);
		if (run->s->tty && run->master < 0)
			return lg_refuse(&run->cli->err, -EPROTO, 0,
					 "the session in %s came without a terminal", run->s->id);
		return 0;
	}
	if (r == 1) {
		lg_msg_drop_fds(m);
		if (m->kind == LG_P_FAILED)
			return failed(run->cli, m);
		r = -EPROTO;
	}
	return lg_refuse(&run->cli->err, r < 0 ? r : -EIO, 0,
			 "the session in %s did not begin: the container was stopped",
			 run->s->id);
}

static int ask(struct running *run, int ours[4])
{
	int theirs[4] = { -1, -1, -1, -1 };
	json_t *params;
	int r = make_ends(run->s, ours, theirs);

	if (r < 0) {
		close_all(theirs, 4);
		return lg_fail(&run->cli->err, r, "exec in %s", run->s->id);
	}
	params = make_params(run->s);
	if (params)
		r = cli_call_fds(run->cli, "io.lodge.Exec", params, theirs, run->s->tty ? 1 : 4,
				 NULL);
	else
		r = cli_usage(run->cli, "exec: command and environment must be UTF-8 text");
	close_all(theirs, 4);
	run->control = ours[0];
	return r < 0 ? r : wait_begun(run);
}

/* ---- while it runs ---- */

static void set_pumps(struct running *run, int ours[4])
{
	const struct session *s = run->s;
	/* What waits for the end of what somebody types would wait for ever. */
	bool none = s->no_stdin || s->input || (run->whole && isatty(STDIN_FILENO));

	if (s->tty) {
		/* Our copy of the master is shared with nobody who minds it not to block. */
		fcntl(run->master, F_SETFL, O_NONBLOCK);
		pump_init(&run->pumps[IN], STDIN_FILENO, false, run->master, false);
		pump_init(&run->pumps[OUT], run->master, false, STDOUT_FILENO, false);
		run->pumps[ERR].done = true;
		return;
	}
	pump_init(&run->pumps[IN], none ? -1 : STDIN_FILENO, false, ours[1], true);
	pump_init(&run->pumps[OUT], ours[2], true, STDOUT_FILENO, false);
	pump_init(&run->pumps[ERR], ours[3], true, STDERR_FILENO, false);
	if (s->input)
		pump_preset(&run->pumps[IN], s->input, strlen(s->input));
	if (none && run->pumps[IN].len == 0)
		pump_end(&run->pumps[IN]);
}

static void send_signal(struct running *run, int sig)
{
	lg_msg_init(&run->msg, LG_P_SIGNAL);
	lg_msg_put_u64(&run->msg, "sig", (uint64_t)sig);
	lg_msg_send(run->control, &run->msg);
}

/* A container's terminal is one of this kernel. A machine's is in the machine, and what we have is a socket. */
static void resize(struct running *run)
{
	struct winsize ws = { 0 };

	term_size(&ws.ws_row, &ws.ws_col);
	if (ioctl(run->master, TIOCSWINSZ, &ws) == 0)
		return;
	lg_msg_init(&run->msg, LG_P_RESIZE);
	lg_msg_put_u64(&run->msg, "rows", ws.ws_row);
	lg_msg_put_u64(&run->msg, "cols", ws.ws_col);
	lg_msg_send(run->control, &run->msg);
}

static void take_signal(struct running *run, int sig)
{
	if (!run->s->tty) {
		send_signal(run, sig);
	} else if (sig == SIGWINCH) {
		resize(run);
	} else if (sig == SIGTSTP) {
		term_suspend();
		resize(run);
	} else if (sig == SIGCONT) {
		term_raw();
		resize(run);
	} else {
		/* What the keyboard sends goes through the pty; this came from elsewhere. */
		run->killed_by = sig;
	}
}

static void take_signals(struct running *run)
{
	struct signalfd_siginfo info;

	while (read(run->signals, &info, sizeof(info)) == sizeof(info))
		take_signal(run, (int)info.ssi_signo);
}

static void take_message(struct running *run)
{
	struct lg_msg *m = &run->msg;
	int r = lg_msg_recv(run->control, m);

	if (r == -EAGAIN || r == -EINTR || r == -EBADMSG)
		return;
	run->ended = true;
	if (r == 1) {
		lg_msg_drop_fds(m);
		if (m->kind == LG_P_ENDED)
			run->status = session_status((int)lg_msg_get_u64(m, "status", 0));
		else if (m->kind == LG_P_FAILED)
			run->failure = failed(run->cli, m);
		else
			run->ended = false;
		return;
	}
	run->failure = lg_refuse(&run->cli->err, r < 0 ? r : -EPIPE, 0,
				 "the session in %s was cut off: the container was stopped",
				 run->s->id);
}

/* What the session wrote before its end is still brought out; what others write later is not. */
static bool drained(struct running *run)
{
	bool all = true;

	pump_end(&run->pumps[IN]);
	for (size_t i = OUT; i < PUMPS; i++) {
		struct pump *p = &run->pumps[i];

		if (!p->done && !p->wait_out && !run->s->tty && pump_idle(p))
			pump_end(p);
		all &= p->done;
	}
	return all;
}

static void loop(struct running *run)
{
	while (!run->killed_by) {
		struct pollfd fds[2 + 2 * PUMPS] = {
			{ .fd = run->ended ? -1 : run->control, .events = POLLIN },
			{ .fd = run->signals, .events = POLLIN },
		};
		int n;

		if (run->ended && drained(run))
			return;
		for (size_t i = 0; i < PUMPS; i++)
			pump_want(&run->pumps[i], &fds[2 + 2 * i]);
		n = poll(fds, ARRAY_SIZE(fds), run->ended && run->s->tty ? TTY_DRAIN_MS : -1);
		if (n == 0)
			return;
		if (n < 0)
			continue;
		if (fds[1].revents)
			take_signals(run);
		for (size_t i = 0; i < PUMPS; i++)
			pump_run(&run->pumps[i], &fds[2 + 2 * i]);
		if (fds[0].revents)
			take_message(run);
	}
}

/* Ended by a signal from outside: die of it, as the caller expects. */
static void die_of(int sig)
{
	sigset_t set;

	term_restore();
	signal(sig, SIG_DFL);
	sigemptyset(&set);
	sigaddset(&set, sig);
	raise(sig);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
}

static int run_session(struct running *run, int ours[4])
{
	int r = ask(run, ours);

	if (r < 0)
		return r;
	run->signals = term_signals(run->s->tty);
	signal(SIGPIPE, SIG_IGN);
	fflush(stdout);
	if (run->s->tty)
		term_raw();
	set_pumps(run, ours);
	for (int i = 1; i < 4; i++)
		ours[i] = -1;	/* the pumps' now */
	if (run->s->tty)
		resize(run);
	loop(run);
	for (size_t i = 0; i < PUMPS; i++)
		pump_end(&run->pumps[i]);
	term_restore();
	run->master = lg_close(run->master);
	if (run->killed_by)
		die_of(run->killed_by);
	run->signals = term_signals_end(run->signals);
	return run->failure ? run->failure : run->status;
}

int session_run(struct cli *cli, const struct session *s)
{
	static struct running run;	/* 16 KiB of message: not for the stack twice */
	int ours[4] = { -1, -1, -1, -1 }, r;

	run = (struct running){ .cli = cli, .s = s, .control = -1, .signals = -1, .master = -1 };
	r = run_session(&run, ours);
	close_all(ours, 4);
	return r;
}
