/* SPDX-License-Identifier: GPL-2.0-or-later */

/* qemu-img in the sandbox: what it prints has a maximum, and it ends when nobody wants it any more. */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/exit.h"
#include "lib/proc.h"
#include "vm/convert.h"
#include "vm/sandbox.h"

#define ARGS 16u
#define PRINTED_MAX (256u << 10)
#define WORDS 300u
#define ADDRESS_SPACE (UINT64_C(2) << 30)
#define STEP 10		/* percent between two lines of progress */

struct run {
	const struct lg_convert *c;
	pid_t pid;
	int pidfd, out, err_out;
	char *printed;		/* NULL: progress */
	size_t len;
	char words[WORDS];	/* its last line on standard error */
	int told;		/* percent */
};

static int find_program(const char **ret, struct lg_err *err)
{
	static const char *const usual[] = { "/usr/bin/qemu-img", "/usr/local/bin/qemu-img" };

	for (size_t i = 0; i < ARRAY_SIZE(usual); i++)
		if (access(usual[i], X_OK) == 0) {
			*ret = usual[i];
			return 0;
		}
	return lg_refuse(err, -ENOENT, LG_EXIT_RESOURCES, "images other than raw ones are converted by qemu-img: install the package "
			 "qemu-utils");
}

/* "    (12.34/100%)\r", again and again */
static void take_progress(struct run *run, char *text)
{
	char line[32];
	double percent;

	for (char *p = text; (p = strchr(p, '(')); p++) {
		if (sscanf(p, "(%lf/100%%", &percent) != 1 || percent < run->told + STEP || percent > 100)
			continue;
		run->told = (int)percent / STEP * STEP;
		snprintf(line, sizeof(line), "converting: %d%%", run->told);
		run->c->progress(line, run->c->arg);
	}
}

static int on_out(struct run *run)
{
	char buf[4096];
	ssize_t n = read(run->out, buf, sizeof(buf) - 1);

	if (n <= 0)
		return n < 0 && (errno == EAGAIN || errno == EINTR) ? 1 : 0;
	buf[n] = '\0';
	if (!run->printed) {
		if (run->c->progress)
			take_progress(run, buf);
		return 1;
	}
	if (run->len + (size_t)n >= PRINTED_MAX)
		return -EMSGSIZE;
	memcpy(run->printed + run->len, buf, (size_t)n + 1);
	run->len += (size_t)n;
	return 1;
}

/* The last line counts. Names in it are what the image says. */
static void on_err(struct run *run)
{
	char buf[1024], *from = buf;
	ssize_t n = read(run->err_out, buf, sizeof(buf) - 1);

	if (n <= 0) {
		run->err_out = n < 0 && errno == EINTR ? run->err_out : lg_close(run->err_out);
		return;
	}
	while (n > 0 && buf[n - 1] == '\n')
		n--;
	buf[n] = '\0';
	if (strrchr(buf, '\n'))
		from = strrchr(buf, '\n') + 1;
	for (char *p = from; *p; p++)
		if ((unsigned char)*p < ' ' || (unsigned char)*p > '~')
			*p = '?';
	if (*from)
		snprintf(run->words, sizeof(run->words), "%.299s", strncmp(from, "qemu-img: ", 10) == 0 ? from + 10 : from);
}

/* Until it closes its standard output, which is its end. */
static int listen_to(struct run *run, struct lg_err *err)
{
	int r = 1;

	while (r > 0) {
		struct pollfd fds[] = {
			{ .fd = run->out, .events = POLLIN },
			{ .fd = run->err_out, .events = POLLIN },
			{ .fd = run->c->lifeline, .events = POLLIN },
		};

		if (poll(fds, ARRAY_SIZE(fds), -1) < 0 && errno != EINTR)
			return lg_fail(err, -errno, "wait for qemu-img");
		if (fds[2].revents && lg_convert_wanted(run->c, err) < 0)
			return err->code;
		if (fds[1].revents)
			on_err(run);
		if (fds[0].revents)
			r = on_out(run);
	}
	return r < 0 ? lg_refuse(err, r, 0, "qemu-img says too much") : 0;
}

static int end(struct run *run, int r, struct lg_err *err)
{
	int status = 0;

	if (r < 0)
		lg_pidfd_signal(run->pidfd, SIGKILL);
	while (waitpid(run->pid, &status, 0) < 0 && errno == EINTR)
		;
	while (run->err_out >= 0 && r == 0)
		on_err(run);
	if (r < 0)
		return r;
	if (WIFEXITED(status) && (WEXITSTATUS(status) == 0 || run->printed))
		return WEXITSTATUS(status);
	return lg_refuse(err, -EIO, 0, "qemu-img: %s", *run->words ? run->words : WIFSIGNALED(status) ? "it was killed" : "it failed");
}

static int launch(struct run *run, const char *const *args, int image, int out, int err_out, struct lg_err *err)
{
	lg_autoclose int null = open("/dev/null", O_RDWR | O_CLOEXEC), netns = -1;
	const int fds[] = { null, out, err_out, image, run->c->disk };
	const char *argv[ARGS + 2] = { NULL };
	struct lg_sandbox box = {
		.id = run->c->id,
		.scratch = run->c->scratch,
		.argv = (char *const *)(uintptr_t)argv,	/* execve() only reads */
		.fds = fds,
		.nfds = ARRAY_SIZE(fds),
		.cgroup_fd = -1,
		.address_space = ADDRESS_SPACE,
		.what = "qemu-img",
	};

	if (null < 0)
		return lg_fail(err, -errno, "open '/dev/null'");
	if (find_program(&argv[0], err) < 0)
		return err->code;
	for (size_t i = 0; i < ARGS && args[i]; i++)
		argv[i + 1] = args[i];
	run->pid = lg_sandbox_start(&box, &run->pidfd, &netns, err);
	return run->pid < 0 ? (int)run->pid : 0;
}

int lg_qemu_img(const struct lg_convert *c, const char *const *args, int image, char **ret, struct lg_err *err)
{
	struct run run = { .c = c, .pidfd = -1 };
	lg_autofree char *printed = ret ? calloc(1, PRINTED_MAX) : NULL;
	int out[2], words[2], r;

	if (ret && !printed)
		return lg_fail(err, -ENOMEM, "listen to qemu-img");
	run.printed = printed;
	if (pipe2(out, O_CLOEXEC) < 0)
		return lg_fail(err, -errno, "listen to qemu-img");
	if (pipe2(words, O_CLOEXEC) < 0) {
		close(out[0]);
		close(out[1]);
		return lg_fail(err, -errno, "listen to qemu-img");
	}
	run.out = out[0];
	run.err_out = words[0];
	r = launch(&run, args, image, out[1], words[1], err);
	close(out[1]);
	close(words[1]);
	if (r == 0)
		r = end(&run, listen_to(&run, err), err);
	lg_close(run.out);
	lg_close(run.err_out);
	lg_close(run.pidfd);
	if (r >= 0 && ret) {
		*ret = printed;
		printed = NULL;
	}
	return r;
}
