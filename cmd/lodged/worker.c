/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Long jobs run in lodge-worker; its lines are its progress, its last one says why it failed. */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cmd/lodged/lodged.h"
#include "lib/cleanup.h"
#include "lib/log.h"
#include "lib/proc.h"

#define ARGS_MAX 16

struct worker {
	struct daemon *d;
	pid_t pid;
	int out;
	sd_event_source *io;
	char line[16384];	/* facts are the longest */
	size_t len;
	struct lg_err err;
	worker_line_fn on_line;
	worker_end_fn on_end;
	void *arg;
};

static void take_line(struct worker *w)
{
	int code, exit_code, skip = 0;

	w->line[w->len] = '\0';
	w->len = 0;
	if (strncmp(w->line, "P ", 2) == 0) {
		if (w->on_line)
			w->on_line(w->line + 2, w->arg);
	} else if (sscanf(w->line, "E %d %d %n", &code, &exit_code, &skip) == 2 && skip > 0) {
		lg_refuse(&w->err, code > 0 && code < 4096 ? -code : -EIO, exit_code, "%s",
			  w->line + skip);
	} else {
		lg_log(LG_LOG_DEBUG, "worker: %s", w->line);
	}
}

static void finish(struct worker *w)
{
	int status = 0;

	sd_event_source_disable_unref(w->io);
	lg_close(w->out);
	waitpid(w->pid, &status, 0);
	if (status != 0 && w->err.code == 0)
		lg_refuse(&w->err, -EIO, 0, "the worker ended with status %d and gave no reason",
			  WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
	if (w->on_end)
		w->on_end(w->err.code, &w->err, w->arg);
	free(w);
}

static int on_output(sd_event_source *s, int fd, uint32_t revents, void *arg)
{
	struct worker *w = arg;
	char buf[1024];
	ssize_t n = read(fd, buf, sizeof(buf));

	(void)s;
	(void)revents;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0) {
		finish(w);
		return 0;
	}
	for (ssize_t i = 0; i < n; i++) {
		if (buf[i] == '\n')
			take_line(w);
		else if (w->len < sizeof(w->line) - 1)
			w->line[w->len++] = buf[i];
	}
	return 0;
}

static int spawn_worker(struct worker *w, const char *const *args, int stdin_fd, int extra_fd,
			struct lg_err *err)
{
	const char *argv[ARGS_MAX + 2];
	lg_autoclose int in = -1, out = -1;
	int fds[4] = { stdin_fd, -1, STDERR_FILENO, extra_fd }, pipefd[2];
	struct lg_spawn spawn = { .fds = fds, .nfds = extra_fd < 0 ? 3u : 4u };
	char path[300];
	size_t n = 0;

	snprintf(path, sizeof(path), "%s/lodge-worker", w->d->libexec);
	argv[n++] = "lodge-worker";
	while (n <= ARGS_MAX && args[n - 1]) {
		argv[n] = args[n - 1];
		n++;
	}
	argv[n] = NULL;
	if (pipe2(pipefd, O_CLOEXEC) < 0)
		return lg_fail(err, -errno, "pipe");
	in = pipefd[0];
	out = pipefd[1];
	fds[1] = out;
	spawn.path = path;
	spawn.argv = (char *const *)(uintptr_t)argv;	/* execve() only reads */
	w->pid = lg_spawn(&spawn, NULL, err);
	if (w->pid < 0)
		return (int)w->pid;
	fcntl(in, F_SETFL, O_NONBLOCK);
	w->out = lg_take_fd(&in);
	return 0;
}

int worker_run(struct daemon *d, const char *const *argv, worker_line_fn line, worker_end_fn end,
	       void *arg, struct lg_err *err)
{
	return worker_run_on(d, argv, -1, line, end, arg, err);
}

int worker_run_on(struct daemon *d, const char *const *argv, int stdin_fd, worker_line_fn line,
		  worker_end_fn end, void *arg, struct lg_err *err)
{
	return worker_run_with(d, argv, stdin_fd, -1, line, end, arg, err);
}

int worker_run_with(struct daemon *d, const char *const *argv, int stdin_fd, int extra_fd,
		    worker_line_fn line, worker_end_fn end, void *arg, struct lg_err *err)
{
	struct worker *w = calloc(1, sizeof(*w));
	int r;

	if (!w)
		return lg_fail(err, -ENOMEM, "start a worker");
	w->d = d;
	w->on_line = line;
	w->on_end = end;
	w->arg = arg;
	r = spawn_worker(w, argv, stdin_fd, extra_fd, err);
	if (r < 0) {
		free(w);
		return r;
	}
	r = sd_event_add_io(d->event, &w->io, w->out, EPOLLIN, on_output, w);
	if (r < 0) {
		lg_fail(err, r, "watch a worker");
		w->on_end = NULL;
		finish(w);
	}
	return r < 0 ? r : 0;
}

static void trash_emptied(int r, const struct lg_err *err, void *arg)
{
	struct daemon *d = arg;

	d->trash_running = false;
	if (d->trash_again) {
		d->trash_again = false;
		empty_trash(d);
	}
	if (r < 0)
		lg_log(LG_LOG_WARN, "empty the trash: %s", err->msg);
}

void empty_trash(struct daemon *d)
{
	const char *const argv[] = { "empty-trash", "--var", d->root.var, NULL };
	struct lg_err err = { 0 };

	if (d->trash_running) {
		d->trash_again = true;
		return;
	}
	if (worker_run(d, argv, NULL, trash_emptied, d, &err) < 0)
		lg_log(LG_LOG_WARN, "empty the trash: %s", err.msg);
	else
		d->trash_running = true;
}
