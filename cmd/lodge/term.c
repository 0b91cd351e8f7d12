/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/lodge/term.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include "lib/cleanup.h"

static struct termios saved;
static bool is_raw, registered;
static sigset_t before;		/* the signal mask, until term_signals_end() */

int term_raw(void)
{
	struct termios raw;

	if (!is_raw && tcgetattr(STDIN_FILENO, &saved) < 0)
		return -errno;
	if (!registered && atexit(term_restore) == 0)
		registered = true;
	raw = saved;
	cfmakeraw(&raw);
	/* Not TCSAFLUSH: what was typed ahead is for the session. */
	if (tcsetattr(STDIN_FILENO, TCSADRAIN, &raw) < 0)
		return -errno;
	is_raw = true;
	return 0;
}

void term_restore(void)
{
	if (is_raw)
		tcsetattr(STDIN_FILENO, TCSADRAIN, &saved);
	is_raw = false;
}

void term_size(unsigned short *rows, unsigned short *cols)
{
	struct winsize ws;
	bool known = ioctl(STDIN_FILENO, TIOCGWINSZ, &ws) == 0 && ws.ws_row && ws.ws_col;

	*rows = known ? ws.ws_row : 24;
	*cols = known ? ws.ws_col : 80;
}

static bool is_ignored(int sig)
{
	struct sigaction now;

	return sigaction(sig, NULL, &now) == 0 && now.sa_handler == SIG_IGN;
}

int term_signals(bool terminal)
{
	static const int sets[2][7] = {
		{ SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH },
		{ SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH, SIGCONT, SIGTSTP },
	};
	const int *list = sets[terminal];
	sigset_t set;
	int fd;

	sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_SIZE(sets[0]); i++)
		/* nohup, and shells that start background jobs, mean it. */
		if (!is_ignored(list[i]))
			sigaddset(&set, list[i]);
	if (sigprocmask(SIG_BLOCK, &set, &before) < 0)
		return -errno;
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return fd < 0 ? -errno : fd;
}

int term_signals_end(int fd)
{
	if (fd >= 0)
		sigprocmask(SIG_SETMASK, &before, NULL);
	return lg_close(fd);
}

void term_suspend(void)
{
	term_restore();
	raise(SIGSTOP);
	term_raw();
}
