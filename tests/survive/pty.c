/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "survive.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

static int master = -1;
static char slave_name[64];

static int open_master(void)
{
	master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (master < 0 || grantpt(master) < 0 || unlockpt(master) < 0 ||
	    ptsname_r(master, slave_name, sizeof(slave_name)) != 0)
		return sv_errno("posix_openpt");
	return 0;
}

static char shown[1024]; /* what came behind what was waited for last */
static size_t n_shown;

/* Wait for the terminal to show @wanted. */
static int shows(const char *wanted)
{
	struct pollfd p = {.fd = master, .events = POLLIN};
	char *found;

	while (!(found = strstr(shown, wanted))) {
		ssize_t n;

		if (n_shown == sizeof(shown) - 1 || poll(&p, 1, 5000) != 1)
			return sv_fail("the terminal does not show '%s'", wanted);
		n = read(master, shown + n_shown, sizeof(shown) - 1 - n_shown);
		if (n <= 0)
			return sv_errno("the terminal");
		n_shown += n;
		shown[n_shown] = 0;
	}
	found += strlen(wanted);
	n_shown -= (size_t)(found - shown);
	memmove(shown, found, n_shown + 1);
	return 0;
}

static int type(const char *text)
{
	return write(master, text, strlen(text)) == (ssize_t)strlen(text)
		       ? 0
		       : sv_errno("the terminal");
}

/* ---- a shell-like session with a job in the foreground ---------------------------- */

static pid_t shell;

static void say(const char *text)
{
	(void)!write(1, text, strlen(text));
}

/* Reads lines until it is interrupted, like a program that a shell runs. */
static void job(void)
{
	char line[64];
	ssize_t n;

	signal(SIGINT, SIG_DFL);
	signal(SIGTTOU, SIG_DFL);
	while ((n = read(0, line, sizeof(line) - 1)) > 0) {
		line[n] = 0;
		say("job: ");
		say(line);
	}
	_exit(3);
}

static void run_job(void)
{
	pid_t pid = fork();
	int status = 0;

	if (pid == 0) {
		setpgid(0, 0);
		tcsetpgrp(0, getpid());
		job();
	}
	setpgid(pid, pid);
	tcsetpgrp(0, pid);
	waitpid(pid, &status, WUNTRACED);
	tcsetpgrp(0, getpgrp());
	if (WIFSTOPPED(status)) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	say(WIFSIGNALED(status) && WTERMSIG(status) == SIGINT ? "job interrupted\n"
							      : "job ended\n");
}

static void shell_main(void)
{
	char line[64];
	ssize_t n;
	int tty;

	setsid();
	tty = open(slave_name, O_RDWR | O_CLOEXEC);
	ioctl(tty, TIOCSCTTY, 0);
	for (int i = 0; i < 3; i++)
		dup2(tty, i);
	if (tty > 2)
		close(tty);
	signal(SIGINT, SIG_IGN);
	signal(SIGTTOU, SIG_IGN);
	run_job();
	say("prompt\n");
	while ((n = read(0, line, sizeof(line) - 1)) > 0) {
		line[n] = 0;
		say("shell: ");
		say(line);
	}
	_exit(0);
}

static int session_setup(void)
{
	struct winsize size = {.ws_row = 43, .ws_col = 132};

	if (open_master() < 0 || ioctl(master, TIOCSWINSZ, &size) < 0)
		return sv_errno("TIOCSWINSZ");
	shell = fork();
	if (shell < 0)
		return sv_errno("fork");
	if (shell == 0)
		shell_main();
	sv_child_note(shell);
	/* The job is in the foreground when it answers. */
	return type("one\n") < 0 ? -1 : shows("job: one");
}

static int session_verify(void)
{
	struct winsize size = {0};
	pid_t foreground = 0;

	if (ioctl(master, TIOCGWINSZ, &size) < 0 || ioctl(master, TIOCGPGRP, &foreground) < 0)
		return sv_errno("the terminal");
	if (sv_same("rows", 43, size.ws_row) < 0 || sv_same("columns", 132, size.ws_col) < 0)
		return -1;
	if (foreground == shell)
		return sv_fail("the job is not in the foreground");
	if (type("two\n") < 0 || shows("job: two") < 0 || type("\003") < 0 ||
	    shows("job interrupted") < 0 || shows("prompt") < 0 || type("three\n") < 0 ||
	    shows("shell: three") < 0)
		return -1;
	ioctl(master, TIOCGPGRP, &foreground);
	if (sv_same("foreground after the job", shell, foreground) < 0)
		return -1;
	return type("\004");
}

static void session_spoil(void)
{
	type("\003");
	sv_sleep_ms(100);
}

/* ---- settings, in both directions ------------------------------------------------- */

static int slave = -1;

static int raw_setup(void)
{
	struct termios t;

	if (open_master() < 0)
		return -1;
	slave = open(slave_name, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (slave < 0 || tcgetattr(slave, &t) < 0)
		return sv_errno(slave_name);
	cfmakeraw(&t);
	t.c_cc[VMIN] = 1;
	t.c_cc[VERASE] = 'q';
	return tcsetattr(slave, TCSANOW, &t) < 0 ? sv_errno("tcsetattr") : 0;
}

static int raw_verify(void)
{
	struct termios t;
	char name[64] = "";

	if (tcgetattr(slave, &t) < 0)
		return sv_errno("tcgetattr");
	if (sv_same("ICANON, ECHO and ISIG", 0, t.c_lflag & (ICANON | ECHO | ISIG)) < 0 ||
	    sv_same("OPOST", 0, t.c_oflag & OPOST) < 0 ||
	    sv_same("its erase character", 'q', t.c_cc[VERASE]) < 0)
		return -1;
	if (ttyname_r(slave, name, sizeof(name)) != 0 || strcmp(name, slave_name) != 0)
		return sv_fail("the terminal was %s and is '%s'", slave_name, name);
	if (sv_passes("master to slave", master, slave) < 0)
		return -1;
	return sv_passes("slave to master", slave, master);
}

static void raw_spoil(void)
{
	struct termios t;

	tcgetattr(slave, &t);
	t.c_lflag |= ISIG;
	tcsetattr(slave, TCSANOW, &t);
}

/* clang-format off */
const struct sv_item sv_pty_items[] = {
	{ "pty-session", "a shell on a terminal with a job in front", session_setup, session_verify, session_spoil, NULL, SV_KEPT },
	{ "pty-raw", "a terminal's settings and name", raw_setup, raw_verify, raw_spoil, NULL, SV_KEPT },
	{ .name = NULL },
};
