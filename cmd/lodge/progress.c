/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/lodge/progress.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "cmd/lodge/text.h"

#define TICK_US 200000
#define EXIT_INTERRUPTED 130

/* Read by the handlers; the program changes it only while they are blocked. */
static struct {
	char what[128];
	char said[160];
	char goodbye[400];
	time_t since;
	unsigned int ticks;
	size_t width;
	bool terminal, quiet;
	volatile sig_atomic_t drawn;
} now;

static void put(const char *text, size_t len)
{
	/* Nothing can be done about a terminal that does not take it. */
	if (write(STDERR_FILENO, text, len) < 0)
		return;
}

static void wipe(void)
{
	if (now.drawn)
		put("\r\033[K", 4);
	now.drawn = 0;
}

static size_t append(char *line, size_t size, size_t at, const char *text)
{
	while (*text && at + 1 < size)
		line[at++] = *text++;
	line[at] = '\0';
	return at;
}

/* No stdio: this runs in a signal handler. */
static size_t append_number(char *line, size_t size, size_t at, unsigned long v)
{
	char digits[24], *p = digits + sizeof(digits) - 1;

	*p = '\0';
	do {
		*--p = (char)('0' + v % 10);
		v /= 10;
	} while (v);
	return append(line, size, at, p);
}

static void draw(int sig)
{
	static const char turn[] = "|/-\\";
	char line[400] = "\r\033[K";
	const size_t head = 4;
	size_t at = head;
	time_t t = time(NULL);

	(void)sig;
	line[at++] = turn[now.ticks++ % 4];
	at = append(line, sizeof(line), at, " ");
	at = append(line, sizeof(line), at, now.what);
	at = append(line, sizeof(line), at, " (");
	at = append_number(line, sizeof(line), at, t > now.since ? (unsigned long)(t - now.since) : 0);
	at = append(line, sizeof(line), at, " s)");
	if (now.said[0]) {
		at = append(line, sizeof(line), at, ": ");
		at = append(line, sizeof(line), at, now.said);
	}
	put(line, head + text_span(line + head, now.width));
	now.drawn = 1;
}

static void interrupted(int sig)
{
	(void)sig;
	wipe();
	put(now.goodbye, strlen(now.goodbye));
	_exit(EXIT_INTERRUPTED);
}

static void block_tick(int how)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	sigprocmask(how, &set, NULL);
}

static void tick_every(long first_s, long us)
{
	struct itimerval timer = {
		.it_value = { .tv_sec = first_s },
		.it_interval = { .tv_usec = us },
	};

	setitimer(ITIMER_REAL, &timer, NULL);
}

static size_t terminal_width(void)
{
	struct winsize ws;

	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &ws) < 0 || ws.ws_col < 20)
		return 79;
	return ws.ws_col - 1u;
}

void progress_begin(const char *who, const char *what, const char *goes_on, bool quiet)
{
	struct sigaction tick = { .sa_handler = draw, .sa_flags = SA_RESTART };
	struct sigaction stop = { .sa_handler = interrupted }, old;

	snprintf(now.what, sizeof(now.what), "%s", what);
	snprintf(now.goodbye, sizeof(now.goodbye), "\n%s: %s\n", who, goes_on);
	now.said[0] = '\0';
	now.drawn = 0;
	now.ticks = 0;
	now.quiet = quiet;
	now.terminal = !quiet && isatty(STDERR_FILENO);
	now.since = time(NULL);
	/* A shell that put the command into the background ignores SIGINT for it: let it be. */
	if (sigaction(SIGINT, NULL, &old) == 0 && old.sa_handler != SIG_IGN)
		sigaction(SIGINT, &stop, NULL);
	if (!now.terminal)
		return;
	now.width = terminal_width();
	sigaction(SIGALRM, &tick, NULL);
	tick_every(1, TICK_US);
}

void progress_say(const char *text)
{
	if (now.quiet)
		return;
	if (now.terminal)
		block_tick(SIG_BLOCK);
	snprintf(now.said, sizeof(now.said), "%s", text);
	now.said[text_span(now.said, sizeof(now.said) - 4)] = '\0';
	text_safe(now.said);
	if (now.terminal)
		block_tick(SIG_UNBLOCK);
	else
		fprintf(stderr, "%s: %s\n", now.what, now.said);
}

void progress_end(void)
{
	struct sigaction dfl = { .sa_handler = SIG_DFL }, old;

	if (now.terminal) {
		tick_every(0, 0);
		signal(SIGALRM, SIG_DFL);
		wipe();
	}
	if (sigaction(SIGINT, NULL, &old) == 0 && old.sa_handler == interrupted)
		sigaction(SIGINT, &dfl, NULL);
}
