/* SPDX-License-Identifier: GPL-2.0-or-later */

/* console: a stream socket between the user's terminal and the container's console. */

#include "cmd/lodge/console.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>

#include "cmd/lodge/escape.h"
#include "cmd/lodge/pump.h"
#include "cmd/lodge/term.h"
#include "cmd/lodge/verbs.h"
#include "lib/cleanup.h"
#include "lib/exit.h"
#include "lib/json.h"

struct console {
	struct escape escape;
	struct pump in, out;
	bool detached;
	int ended_by;		/* a signal */
	char typed[PUMP_BUFFER + 1];
};

static long filter(char *buf, size_t len, void *arg)
{
	struct console *c = arg;
	size_t n = escape_filter(&c->escape, buf, len, c->typed, &c->detached);

	if (c->detached)
		return -1;
	memcpy(buf, c->typed, n);
	return (long)n;
}

static void say(const struct cli *cli, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static void say(const struct cli *cli, const char *fmt, ...)
{
	va_list ap;

	if (cli->quiet)
		return;
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
}

static void take_signals(struct console *c, int fd, bool terminal)
{
	struct signalfd_siginfo info;

	while (read(fd, &info, sizeof(info)) == sizeof(info)) {
		int sig = (int)info.ssi_signo;

		if (sig == SIGTSTP)
			term_suspend();
		else if (sig == SIGCONT && terminal)
			term_raw();
		else if (sig != SIGWINCH && sig != SIGCONT)
			c->ended_by = sig;
	}
}

static void loop(struct console *c, int signals, bool terminal)
{
	while (!c->detached && !c->ended_by && !c->out.done) {
		struct pollfd fds[5] = { { .fd = signals, .events = POLLIN } };

		pump_want(&c->in, &fds[1]);
		pump_want(&c->out, &fds[3]);
		if (poll(fds, ARRAY_SIZE(fds), -1) < 0)
			continue;
		if (fds[0].revents)
			take_signals(c, signals, terminal);
		pump_run(&c->out, &fds[3]);
		pump_run(&c->in, &fds[1]);
	}
}

static int attach(struct cli *cli, const char *id, int *ret_fd, json_t **answer)
{
	lg_autoclose int ours = -1, theirs = -1;
	json_t *params = json_pack("{s:s}", "id", id);
	int pair[2], r;

	if (!params)
		return cli_usage(cli, "console: not UTF-8 text");
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
		json_decref(params);
		return lg_fail(&cli->err, -errno, "console: socketpair");
	}
	ours = pair[0];
	theirs = pair[1];
	fcntl(ours, F_SETFL, O_NONBLOCK);
	r = cli_call_fds(cli, "io.lodge.Console", params, &theirs, 1, answer);
	if (r == 0)
		*ret_fd = lg_take_fd(&ours);
	return r;
}

static void join(struct console *c, int fd, bool terminal)
{
	int signals;

	signal(SIGPIPE, SIG_IGN);
	signals = term_signals(true);
	if (terminal)
		term_raw();
	pump_init(&c->in, STDIN_FILENO, false, fd, false);
	pump_init(&c->out, fd, false, STDOUT_FILENO, false);
	if (terminal) {
		c->in.use_splice = false;
		c->in.filter = filter;
		c->in.arg = c;
	}
	loop(c, signals, terminal);
	pump_end(&c->in);
	pump_end(&c->out);
	term_restore();
	term_signals_end(signals);
}

int console_run(struct cli *cli, const char *id)
{
	static struct console c;
	lg_autojson json_t *answer = NULL;
	bool terminal = isatty(STDIN_FILENO);
	lg_autoclose int fd = -1;
	int r = attach(cli, id, &fd, &answer);

	if (r < 0)
		return r;
	c = (struct console){ .detached = false };
	if (terminal)
		say(cli, "console of %s; Ctrl-] leaves it (or Esc and . at the start of a line)\n",
		    id);
	if (!lg_json_bool(answer, "running", true))
		say(cli, "%s is not running: its console opens when it starts\n", id);
	join(&c, fd, terminal);
	if (c.ended_by)
		return 128 + c.ended_by;
	if (c.detached)
		say(cli, "\nleft the console of %s\n", id);
	else
		say(cli, "\nthe console of %s is closed: it was stopped\n", id);
	return LG_EXIT_OK;
}

static int run(struct cli *cli)
{
	return console_run(cli, cli->args.words[0]);
}

const struct verb verb_console = {
	.name = "console",
	.args = "ID",
	.help = "join a container's console",
	.more = "Ctrl-] leaves it, and so does Esc followed by a full stop at the beginning of a "
		"line. May be called before the container is started: it then shows everything from "
		"the first line on. What was printed is kept in the log, too, whose place is "
		"/var/lib/lodge/log/console/NUMBER.log.",
	.group = VERBS_INSIDE,
	.min_words = 1,
	.max_words = 1,
	.missing = "say which by number or name",
	.word = WORD_INSTANCE,
	.run = run,
};
