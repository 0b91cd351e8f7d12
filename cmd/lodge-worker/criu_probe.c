/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/lodge-worker/criu_probe.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/proc.h"

#define ANSWER_MS 10000
#define TEXT 4096u

/* By the names that `criu check --feature` has for them. */
static const char *const features[] = { "uffd-noncoop", "timens" };

/* Everything until its end, as far as there is room. */
static int read_answer(int fd, pid_t pid, char text[TEXT], struct lg_err *err)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char rest[TEXT];
	size_t len = 0;
	ssize_t n;

	for (;;) {
		if (poll(&p, 1, ANSWER_MS) <= 0) {
			kill(pid, SIGKILL);
			return lg_refuse(err, -ETIMEDOUT, 0, "it does not answer");
		}
		n = len < TEXT - 1 ? read(fd, text + len, TEXT - 1 - len) : read(fd, rest, sizeof(rest));
		if (n <= 0)
			break;
		len += len < TEXT - 1 ? (size_t)n : 0;
	}
	text[len] = '\0';
	return 0;
}

static int run(const char *const *argv, char text[TEXT], int *ret_status, struct lg_err *err)
{
	lg_autoclose int in = -1, out = -1;
	int fds[3] = { -1, -1, -1 }, pipefd[2], r;
	struct lg_spawn spawn = { .path = argv[0], .argv = (char *const *)(uintptr_t)argv, .fds = fds,
				  .nfds = 3, .end_signal = SIGKILL };
	pid_t pid;

	if (pipe2(pipefd, O_CLOEXEC) < 0)
		return lg_fail(err, -errno, "pipe");
	in = pipefd[0];
	out = pipefd[1];
	fds[1] = fds[2] = out;
	pid = lg_spawn(&spawn, NULL, err);
	if (pid < 0)
		return (int)pid;
	out = lg_close(out);
	r = read_answer(in, pid, text, err);
	waitpid(pid, ret_status, 0);
	return r;
}

/* @mark: what stands before it in what the program says */
static int tell_version(const char *program, const char *mark, struct lg_err *err)
{
	const char *const argv[] = { program, "--version", NULL };
	char text[TEXT], version[24] = "unknown";
	const char *at;
	int status, r = run(argv, text, &status, err);

	if (r < 0)
		return r;
	at = strstr(text, mark);
	if (at)
		sscanf(at + strlen(mark), "%23s", version);
	printf("P version %s\n", version);
	return 0;
}

/* The first line that complains, without the place in the source that CRIU puts before it. */
static void tell_complaint(char *text)
{
	char *line = strstr(text, "Error"), *words;

	if (!line)
		line = text;
	line[strcspn(line, "\n")] = '\0';
	words = strstr(line, "): ");
	printf("P check %s\n", words ? words + 3 : *line ? line : "it fails");
}

static int tell_check(const char *program, struct lg_err *err)
{
	const char *const argv[] = { program, "check", NULL };
	char text[TEXT];
	int status, r = run(argv, text, &status, err);

	if (r < 0)
		return r;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		printf("P check \n");
	else
		tell_complaint(text);
	return 0;
}

static int tell_feature(const char *program, const char *feature, struct lg_err *err)
{
	const char *const argv[] = { program, "check", "--feature", feature, NULL };
	char text[TEXT];
	int status, r = run(argv, text, &status, err);

	if (r == 0)
		printf("P feature %s %d\n", feature, WIFEXITED(status) && WEXITSTATUS(status) == 0);
	return r;
}

int criu_probe(const char *program, struct lg_err *err)
{
	int r = tell_version(program, "Version: ", err);

	if (r == 0)
		r = tell_check(program, err);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(features); i++)
		r = tell_feature(program, features[i], err);
	return r < 0 ? lg_within(err, r, "%s", program) : 0;
}

int qemu_probe(const char *program, struct lg_err *err)
{
	return tell_version(program, "version ", err);
}
