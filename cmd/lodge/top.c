/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * A table that stays on the terminal and is written anew. Each screen is made in memory and leaves in one
 * write, line by line over the old one, so that nothing flickers. Without a terminal it is
 * `stats --watch`.
 */

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "cmd/lodge/stats.h"
#include "cmd/lodge/term.h"
#include "cmd/lodge/text.h"
#include "cmd/lodge/verbs.h"
#include "lib/cleanup.h"
#include "lib/exit.h"
#include "lib/json.h"

#define ENTER_SCREEN "\033[?1049h\033[?25l"
#define LEAVE_SCREEN "\033[?25h\033[?1049l"

/* What a key sorts by; pressed again it turns the order round. */
static const struct {
	char key;
	const char *column;
	bool down;		/* largest first, to begin with */
} sorts[] = {
	{ 'c', "cpu", true },	      { 'm', "memory", true },	 { 's', "swap", true },
	{ 't', "tasks", true },	      { 'r', "read", true },	 { 'w', "write", true },
	{ 'n', "rx", true },	      { 'p', "cpu-wait", true }, { 'd', "io-wait", true },
	{ 'i', "id", false },
};

enum step { STAY, LOOK, QUIT };

static void write_all(const char *text, size_t len)
{
	while (len > 0) {
		ssize_t n = write(STDOUT_FILENO, text, len);

		if (n < 0 && errno != EINTR)
			return;
		text += n > 0 ? n : 0;
		len -= n > 0 ? (size_t)n : 0;
	}
}

static void put_head(FILE *f, const struct stats_view *view, const json_t *answer, size_t width)
{
	char line[400], clock[16];
	time_t now = time(NULL);
	struct tm tm;

	if (!localtime_r(&now, &tm) || !strftime(clock, sizeof(clock), "%H:%M:%S", &tm))
		clock[0] = '\0';
	stats_host_line(answer, line, sizeof(line));
	fprintf(f, "%s  %.*s\n", clock, (int)text_span(line, width > 12 ? width - 11 : 1), line);
	snprintf(line, sizeof(line), "by %s%s; sort: c m s t r w n p d i, q quits",
		 view->down ? "-" : "", view->sort->name);
	fprintf(f, "%.*s\n", (int)text_span(line, width), line);
}

/* A raw terminal wants its own line ends; what was there before is wiped out. */
static void show(const char *text)
{
	lg_autofree char *out = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&out, &len);

	if (!f)
		return;
	fputs("\033[H", f);
	for (const char *p = text; *p;) {
		size_t n = strcspn(p, "\n");

		fprintf(f, "%.*s\033[K%s", (int)n, p, p[n] ? "\r\n" : "");
		p += n + (p[n] ? 1 : 0);
	}
	fputs("\033[J", f);
	if (fclose(f) == 0)
		write_all(out, len);
}

static int draw(struct cli *cli, const struct stats_view *view, const json_t *answer)
{
	lg_autofree char *text = NULL;
	unsigned short rows, cols;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);
	int r;

	if (!f)
		return lg_fail(&cli->err, -ENOMEM, "top");
	term_size(&rows, &cols);
	put_head(f, view, answer, cols);
	r = stats_print(cli, view, answer, rows > 5 ? rows - 4u : 1, cols, f);
	if (fclose(f) != 0 || r < 0)
		return r < 0 ? r : lg_fail(&cli->err, -ENOMEM, "top");
	show(text);
	return 0;
}

static enum step press(struct stats_view *view, char key)
{
	if (key == 'q' || key == 3 /* ^C */ || key == 4)
		return QUIT;
	if (key == 26 /* ^Z */) {
		write_all(LEAVE_SCREEN, strlen(LEAVE_SCREEN));
		term_suspend();
		write_all(ENTER_SCREEN, strlen(ENTER_SCREEN));
		return LOOK;
	}
	for (size_t i = 0; i < ARRAY_SIZE(sorts); i++) {
		const char *name = sorts[i].column;
		const struct column *c;

		if (sorts[i].key != key)
			continue;
		c = column_find(stats_columns, name, strlen(name));
		view->down = c == view->sort ? !view->down : sorts[i].down;
		view->sort = c;
	}
	return key == ' ' ? LOOK : STAY;
}

static enum step on_signal(int fd)
{
	struct signalfd_siginfo si;

	if (read(fd, &si, sizeof(si)) != sizeof(si))
		return STAY;
	if (si.ssi_signo == SIGCONT)
		return LOOK;
	return si.ssi_signo == SIGWINCH || si.ssi_signo == SIGTSTP ? STAY : QUIT;
}

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* Until the next look is due; keys and signals are answered meanwhile. */
static enum step wait_for_it(struct cli *cli, struct stats_view *view, const json_t *answer,
			     int sigfd)
{
	int64_t end = now_ms() + (int64_t)(view->interval * 1000), left;
	enum step step = STAY;

	while (step == STAY && (left = end - now_ms()) > 0) {
		struct pollfd p[2] = { { .fd = STDIN_FILENO, .events = POLLIN },
				       { .fd = sigfd, .events = POLLIN } };
		char key;

		if (poll(p, 2, (int)left) <= 0)
			break;
		if (p[1].revents)
			step = on_signal(sigfd);
		if (p[0].revents && step == STAY)
			step = read(STDIN_FILENO, &key, 1) == 1 ? press(view, key) : QUIT;
		if (step == STAY && draw(cli, view, answer) < 0)
			return QUIT;
	}
	return step;
}

static int loop(struct cli *cli, struct stats_view *view, json_t **last, int sigfd)
{
	int r = draw(cli, view, *last);
	struct stats_view first = *view;

	/* The first rates are there soon; from then on there is time. */
	first.interval = view->interval < 0.3 ? view->interval : 0.3;
	if (r == 0 && wait_for_it(cli, &first, *last, sigfd) == QUIT)
		return LG_EXIT_OK;
	view->sort = first.sort;
	view->down = first.down;
	while (r == 0) {
		r = stats_ask(cli, last);
		if (r == 0)
			r = draw(cli, view, *last);
		if (r == 0 && wait_for_it(cli, view, *last, sigfd) == QUIT)
			break;
	}
	return r;
}

static int on_terminal(struct cli *cli, struct stats_view *view, json_t **last)
{
	int sigfd = term_signals(true);
	int r = sigfd < 0 ? sigfd : term_raw();

	if (r < 0) {
		term_signals_end(sigfd);
		return lg_fail(&cli->err, r, "top: take the terminal");
	}
	write_all(ENTER_SCREEN, strlen(ENTER_SCREEN));
	r = loop(cli, view, last, sigfd);
	write_all(LEAVE_SCREEN, strlen(LEAVE_SCREEN));
	term_restore();
	term_signals_end(sigfd);
	return r;
}

static int in_pipe(struct cli *cli, const struct stats_view *view, json_t **last)
{
	int r = 0;

	while (r == 0) {
		char line[400];
		struct timespec ts = { .tv_sec = (time_t)view->interval };

		ts.tv_nsec = (long)((view->interval - (double)ts.tv_sec) * 1e9);
		nanosleep(&ts, NULL);
		r = stats_ask(cli, last);
		if (r < 0)
			break;
		if (cli->json) {
			json_dumpf(*last, stdout, JSON_COMPACT | JSON_REAL_PRECISION(9));
		} else {
			stats_host_line(*last, line, sizeof(line));
			puts(line);
			r = stats_print(cli, view, *last, 0, 0, stdout);
		}
		putchar('\n');
		if (fflush(stdout) != 0)
			return LG_EXIT_SYSTEM;
	}
	return r;
}

static int run(struct cli *cli)
{
	struct stats_view view = { .sort = NULL, .down = true };
	lg_autojson json_t *last = NULL;
	int r = stats_choose(cli, &view);

	if (r < 0)
		return r;
	if (!view.sort) {
		view.sort = column_find(stats_columns, "cpu", 3);
		view.down = true;
	}
	if (view.interval < 0.1)
		view.interval = 0.1;
	r = stats_ask(cli, &last);
	if (r < 0)
		return r;
	if (isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) && !cli->json)
		return on_terminal(cli, &view, &last);
	return in_pipe(cli, &view, &last);
}

static const struct opt opts[] = {
	{ "interval", 'i', "SECONDS", "time between two looks (2)" },
	{ "output", 'o', "COLUMN,...", "print these columns" },
	{ "sort", 's', "[-]COLUMN", "sort by it, with - backwards (-cpu)" },
	{ "no-header", 'H', NULL, "leave out the line of headers" },
	{ 0 },
};

const struct verb verb_top = {
	.name = "top",
	.args = "[ID]...",
	.help = "show what the running containers use, the busiest first",
	.more = "On a terminal it stays until q; c, m, s, t, r, w, n, p, d, i sort by CPU time, memory, "
		"swap, tasks, reading, writing, network, waiting for a CPU, waiting for disks, "
		"number, and turn the order round. Elsewhere it prints one table after the other.",
	.group = VERBS_LOOK,
	.opts = opts,
	.max_words = 100000,
	.word = WORD_INSTANCE,
	.columns = stats_columns,
	.run = run,
};
