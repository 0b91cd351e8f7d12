/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cmd/lodge-worker/migrate.h"
#include "ct/migrate.h"
#include "lib/cleanup.h"
#include "lib/exit.h"

#define WORDS_MAX 48
#define ANSWER_S 30
#define NOISE_MAX 65536u	/* what a login there may print before */

/* Nobody is there to type; and a connection that is dead has to be found out about soon. */
static const char *const usual[] = {
	"ssh", "-T", "-oBatchMode=yes", "-oConnectTimeout=10", "-oServerAliveInterval=5",
	"-oServerAliveCountMax=3", "-oControlMaster=no", "-oControlPath=none",
};

static size_t make_words(const json_t *words, const char *host, const char *remote,
			 const char *argv[WORDS_MAX])
{
	size_t n = 0, i;
	json_t *word;

	if (json_array_size(words) == 0)
		for (; n < ARRAY_SIZE(usual); n++)
			argv[n] = usual[n];
	json_array_foreach((json_t *)(uintptr_t)words, i, word)
		if (n < WORDS_MAX - 3 && json_is_string(word))
			argv[n++] = json_string_value(word);
	argv[n++] = host;
	argv[n++] = remote;
	argv[n] = NULL;
	return n;
}

static void run(const char *const *argv, int in, int out, int errors)
{
	sigset_t none;

	prctl(PR_SET_PDEATHSIG, SIGTERM);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	if (dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(errors, 2) < 0)
		_exit(127);
	closefrom(3);
	execvp(argv[0], (char *const *)(uintptr_t)argv);	/* it only reads */
	dprintf(2, "%s: %s\n", argv[0], strerror(errno));
	_exit(127);
}

/* Up to the line that only our program says. */
static int await_magic(const struct ssh *s, struct lg_err *err)
{
	static const char magic[] = LG_MIGRATE_MAGIC;
	size_t at = 0;

	for (size_t n = 0; n < NOISE_MAX; n++) {
		struct pollfd p = { .fd = s->wire.in, .events = POLLIN };
		char c;

		if (poll(&p, 1, ANSWER_S * 1000) == 0)
			return lg_refuse(err, -ETIMEDOUT, 0, "the other host does not answer");
		if (read(s->wire.in, &c, 1) != 1)
			return lg_refuse(err, -EPIPE, 0, "no connection");
		at = c == magic[at] ? at + 1 : c == magic[0];
		if (at == sizeof(magic) - 1)
			return 0;
	}
	return lg_refuse(err, -EBADMSG, 0, "the program on the other host is not lodge");
}

int ssh_open(struct ssh *s, const json_t *words, const char *host, const char *remote, struct lg_err *err)
{
	const char *argv[WORDS_MAX];
	int in[2], out[2], errors[2], r;

	make_words(words, host, remote, argv);
	if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0 || pipe2(errors, O_CLOEXEC) < 0)
		return lg_fail(err, -errno, "pipe");
	s->pid = fork();
	if (s->pid == 0)
		run(argv, in[0], out[1], errors[1]);
	close(in[0]);
	close(out[1]);
	close(errors[1]);
	s->wire = (struct wire){ .in = out[0], .out = in[1] };
	s->errors = errors[0];
	fcntl(s->errors, F_SETFL, O_NONBLOCK);
	r = s->pid < 0 ? lg_fail(err, -errno, "start ssh") : await_magic(s, err);
	if (r < 0)
		ssh_close(s, err);
	return r;
}

/* The last line says why. */
static void add_reason(struct ssh *s, struct lg_err *err)
{
	char text[2048], first[200];
	ssize_t n = read(s->errors, text, sizeof(text) - 1);
	char *line, *end;
	int code, exit_code, skip = 0;

	if (n <= 0)
		return;
	text[n] = '\0';
	for (end = text + n; end > text && (end[-1] == '\n' || end[-1] == '\r'); end--)
		end[-1] = '\0';
	line = strrchr(text, '\n');
	line = line ? line + 1 : text;
	for (char *p = line; *p; p++)
		if ((unsigned char)*p < ' ')
			*p = '?';
	/* The other side's program may have ended as any worker does. */
	if (sscanf(line, "E %d %d %n", &code, &exit_code, &skip) == 2)
		line += skip;
	snprintf(first, sizeof(first), "%.199s", err->msg);
	if (*line)
		lg_refuse(err, err->code, err->exit_code, "%s (%.200s)", first, line);
}

void ssh_close(struct ssh *s, struct lg_err *err)
{
	struct lg_err copy = err ? *err : (struct lg_err){ 0 };

	lg_close(s->wire.in);
	lg_close(s->wire.out);
	if (s->pid > 0) {
		/* With its streams it ends by itself; one that hangs does not. */
		for (int i = 0; i < 100 && waitpid(s->pid, NULL, WNOHANG) == 0; i++) {
			if (i == 50)
				kill(s->pid, SIGKILL);
			usleep(10000);
		}
	}
	if (copy.code) {
		add_reason(s, &copy);
		*err = copy;
	}
	lg_close(s->errors);
	s->pid = 0;
}
