/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/lodged/criu.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/log.h"
#include "lib/proc.h"

struct criu_job {
	struct daemon *d;
	pid_t pid;
	int sock;
	sd_event_source *io;
	criu_fn fn;
	void *arg;
};

int criu_program(const struct daemon *d, const char **ret, struct lg_err *err)
{
	const char *path = daemon_conf(d, "CRIU", NULL);
	const char *why = daemon_conf(d, "CRIU_OFF", NULL);

	if (!path || !*path)
		return lg_refuse(err, -EOPNOTSUPP, 0,
				 "this host has no CRIU that works%s%s: install one and name it as CRIU in "
				 "lodge.conf", why ? ": " : "", why ? why : "");
	if (access(path, X_OK) < 0)
		return lg_fail(err, -errno, "CRIU=\"%s\" in lodge.conf", path);
	*ret = path;
	return 0;
}

int criu_put_common(const struct instance *ct, const char *root, struct lg_msg *m, struct lg_err *err)
{
	const char *program;
	char lib[300], cache[300];
	int r = criu_program(ct->d, &program, err);

	if (r < 0)
		return r;
	snprintf(lib, sizeof(lib), "%s/lodge-criu-calls.so", ct->d->libexec);
	lg_msg_put(m, "criu", program);
	snprintf(cache, sizeof(cache), "%s/criu.kdat", ct->d->root.run);
	lg_msg_put(m, "cache", cache);
	lg_msg_put(m, "calls_lib", lib);
	if (root) {
		lg_msg_put(m, "root", root);
		lg_msg_put_u64(m, "owner", ct->id_base);
	}
	return 0;
}

static void ended(struct criu_job *job)
{
	criu_fn fn = job->fn;
	void *arg = job->arg;

	sd_event_source_disable_unref(job->io);
	lg_close(job->sock);
	waitpid(job->pid, NULL, 0);
	free(job);
	fn(NULL, arg);
}

static int on_message(sd_event_source *s, int fd, uint32_t revents, void *arg)
{
	struct criu_job *job = arg;
	struct lg_msg m;
	int r = lg_msg_recv(fd, &m);

	(void)s;
	(void)revents;
	if (r == -EAGAIN || r == -EINTR || r == -EBADMSG)
		return 0;
	if (r == 1) {
		job->fn(&m, job->arg);
		lg_msg_drop_fds(&m);
	} else {
		ended(job);
	}
	return 0;
}

static int spawn(struct criu_job *job, struct lg_err *err)
{
	static char name[] = "lodge-criu";
	char *const argv[] = { name, NULL };
	int pair[2], fds[4] = { -1, -1, STDERR_FILENO, -1 };
	struct lg_spawn how = { .argv = argv, .fds = fds, .nfds = 4 };
	char path[300];

	snprintf(path, sizeof(path), "%s/lodge-criu", job->d->libexec);
	how.path = path;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return lg_fail(err, -errno, "socketpair");
	job->sock = pair[0];
	fds[3] = pair[1];
	job->pid = lg_spawn(&how, NULL, err);
	lg_close(pair[1]);
	return job->pid < 0 ? (int)job->pid : 0;
}

int criu_run(struct daemon *d, const struct lg_msg *request, criu_fn fn, void *arg,
	     struct criu_job **ret, struct lg_err *err)
{
	struct criu_job *job = calloc(1, sizeof(*job));
	int r;

	if (!job)
		return lg_fail(err, -ENOMEM, "start lodge-criu");
	*job = (struct criu_job){ .d = d, .sock = -1, .fn = fn, .arg = arg };
	r = spawn(job, err);
	if (r < 0) {
		lg_close(job->sock);
		free(job);
		return r;
	}
	r = lg_msg_send(job->sock, request);
	fcntl(job->sock, F_SETFL, O_NONBLOCK);
	if (r == 0)
		r = sd_event_add_io(d->event, &job->io, job->sock, EPOLLIN, on_message, job);
	if (r < 0) {
		lg_close(job->sock);	/* it ends by that */
		waitpid(job->pid, NULL, 0);
		free(job);
		return lg_fail(err, r, "speak to lodge-criu");
	}
	*ret = job;
	return 0;
}

void criu_say(struct criu_job *job, uint32_t kind, const struct lg_err *why)
{
	struct lg_msg m;

	lg_msg_init(&m, kind);
	if (why)
		lg_msg_put_err(&m, why);
	if (lg_msg_send(job->sock, &m) < 0)
		lg_log(LG_LOG_WARN, "lodge-criu %d does not listen", (int)job->pid);
}

void criu_abandon(struct criu_job *job, const struct lg_err *why)
{
	struct lg_msg m;

	kill(job->pid, SIGKILL);
	lg_msg_init(&m, LG_K_FAILED);
	lg_msg_put_err(&m, why);
	job->fn(&m, job->arg);
}
