/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * How a job goes: lodge-criu is started in a cgroup with all that it starts itself (lg_cg_open_helpers()), so that it can be waited
 * for and ended as a whole. It answers DONE or FAILED and ends; in both cases the container is in order. When it ends without an
 * answer it was killed, and CRIU with it, or CRIU gives up by itself (cmd/lodge-criu/cancel.c): when nothing of it runs any more another
 * lodge-criu is started, which heals.
 */

#include "cmd/lodged/criu.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/log.h"
#include "lib/proc.h"

#define POLL_US 10000u
#define CANCEL_POLLS (LG_CHECKPOINT_CANCEL_S * 1000000u / POLL_US)
#define HEAL_S 30u
#define LOG_ALL_S 3600	/* so long after a failure */
#define SETTLE_POLLS 800u	/* longer than lodge-criu's own patience */

struct criu_job {
	struct daemon *d;
	pid_t pid;
	int sock;
	sd_event_source *io, *timer;
	criu_fn fn;
	void *arg;
	char cgroup[16];	/* of its helpers: the CTID; "" = none */
	pid_t init;		/* of the container that is dumped; 0: nothing to heal */
	int images;		/* for the healing */
	bool answered, went;	/* DONE or FAILED came; GO was said, or what makes its end one */
	bool frozen;		/* the container, by its cgroup */
	bool abandoned, heals;
	unsigned int polls;
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

/*
 * A line for each thing that CRIU does, some ten thousand of them, takes a tenth of the time for which a container stands still:
 * written when somebody will want to read them.
 */
static bool failed_lately(const struct instance *ct)
{
	struct stat st;
	char log[40];

	snprintf(log, sizeof(log), "log/criu-%u.log", ct->ctid);
	return fstatat(ct->d->var_fd, log, &st, AT_SYMLINK_NOFOLLOW) == 0 && time(NULL) - st.st_mtime < LOG_ALL_S;
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
	if (failed_lately(ct))
		lg_msg_put(m, "log", "all");
	if (getenv("LG_CRIU_HOOK"))
		lg_msg_put(m, "hook", getenv("LG_CRIU_HOOK"));
	return 0;
}

static void job_free(struct criu_job *job)
{
	sd_event_source_disable_unref(job->timer);
	lg_close(job->images);
	lg_close(job->sock);
	free(job);
}

static void thaw(struct criu_job *job)
{
	if (job->frozen)
		lg_cg_freeze(job->d->cg, job->cgroup, false, NULL);
	job->frozen = false;
}

static void over(struct criu_job *job)
{
	criu_fn fn = job->fn;
	void *arg = job->arg;

	if (!job->went)
		thaw(job);
	if (job->cgroup[0])
		lg_cg_end_helpers(job->d->cg, job->cgroup, NULL);
	job_free(job);
	fn(NULL, arg);
}

static void heal_begin(struct criu_job *job);

static void ended(struct criu_job *job)
{
	job->io = sd_event_source_disable_unref(job->io);
	job->timer = sd_event_source_disable_unref(job->timer);
	job->sock = lg_close(job->sock);
	waitpid(job->pid, NULL, 0);
	if (job->heals && !job->answered)
		lg_log(LG_LOG_ERR, "%s: not healed after its dump was cut short: lodge-criu was killed", job->cgroup);
	if (job->answered || job->went || job->heals || job->init <= 0)
		over(job);
	else
		heal_begin(job);
}

/* What was abandoned is told nothing any more but that it was. */
static void pass_on(struct criu_job *job, struct lg_msg *m)
{
	struct lg_err err = { 0 };

	job->answered = job->answered || m->kind == LG_K_DONE || m->kind == LG_K_FAILED;
	if (job->heals && m->kind == LG_K_FAILED) {
		lg_msg_get_err(m, &err);
		lg_log(LG_LOG_ERR, "%s: not healed after its dump was cut short: %s", job->cgroup, err.msg);
	}
	if (job->abandoned && m->kind == LG_K_HELD)
		criu_say(job, LG_K_ABORT, NULL);
	else if (!job->abandoned && !job->heals)
		job->fn(m, job->arg);
	lg_msg_drop_fds(m);
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
	if (r == 1)
		pass_on(job, &m);
	else
		ended(job);
	return 0;
}

static int spawn(struct criu_job *job, struct lg_err *err)
{
	static char name[] = "lodge-criu";
	char *const argv[] = { name, NULL };
	lg_autoclose int cgroup = job->cgroup[0] ? lg_cg_open_helpers(job->d->cg, job->cgroup, NULL) : -1;
	int pair[2], fds[4] = { -1, -1, STDERR_FILENO, -1 };
	struct lg_spawn how = { .argv = argv, .fds = fds, .nfds = 4, .cgroup_fd = cgroup,
				.end_signal = job->heals ? 0 : SIGTERM };
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

/* Start it, tell it, and hear it from then on. */
static int set_out(struct criu_job *job, const struct lg_msg *request, struct lg_err *err)
{
	int r = spawn(job, err);

	if (r < 0)
		return r;
	r = lg_msg_send(job->sock, request);
	fcntl(job->sock, F_SETFL, O_NONBLOCK);
	if (r == 0)
		r = sd_event_add_io(job->d->event, &job->io, job->sock, EPOLLIN, on_message, job);
	if (r >= 0)
		return 0;
	job->sock = lg_close(job->sock);	/* it ends by that */
	waitpid(job->pid, NULL, 0);
	return lg_fail(err, r, "speak to lodge-criu");
}

int criu_run(struct daemon *d, const struct lg_msg *request, criu_fn fn, void *arg,
	     struct criu_job **ret, struct lg_err *err)
{
	struct criu_job *job = calloc(1, sizeof(*job));
	const char *ctid = lg_msg_get(request, "ctid");
	int r;

	if (!job)
		return lg_fail(err, -ENOMEM, "start lodge-criu");
	*job = (struct criu_job){ .d = d, .sock = -1, .images = -1, .fn = fn, .arg = arg };
	snprintf(job->cgroup, sizeof(job->cgroup), "%s", ctid ? ctid : "");
	job->init = (pid_t)lg_msg_get_u64(request, "pid", 0);
	if (request->nfds > 0)
		job->images = fcntl(request->fds[0], F_DUPFD_CLOEXEC, 0);
	r = set_out(job, request, err);
	if (r < 0) {
		job_free(job);
		return r;
	}
	*ret = job;
	return 0;
}

/* ---- a job that was cut short ---- */

static void heal_request(struct lg_msg *m, pid_t init, int images)
{
	lg_msg_init(m, LG_K_HEAL);
	lg_msg_put_u64(m, "pid", (uint64_t)init);
	lg_msg_put_fd(m, images);
}

static int heal_is_late(sd_event_source *s, uint64_t usec, void *arg)
{
	struct criu_job *job = arg;

	(void)s;
	(void)usec;
	lg_log(LG_LOG_ERR, "%s: not healed within %u s after its dump was cut short", job->cgroup, HEAL_S);
	kill(job->pid, SIGKILL);
	return 0;
}

static void heal_run(struct criu_job *job)
{
	struct lg_err err = { 0 };
	struct lg_msg m;

	job->heals = true;
	/* A cgroup whose processes were killed may go on killing those that are born in it (seen with Linux 6.18): a new one. */
	if (job->cgroup[0])
		lg_cg_end_helpers(job->d->cg, job->cgroup, NULL);
	heal_request(&m, job->init, job->images);
	if (set_out(job, &m, &err) < 0) {
		lg_log(LG_LOG_ERR, "%s: not healed after its dump was cut short: %s", job->cgroup, err.msg);
		over(job);
		return;
	}
	sd_event_add_time_relative(job->d->event, &job->timer, CLOCK_MONOTONIC, HEAL_S * 1000000ull, 0,
				   heal_is_late, job);
}

/* Nothing is healed before CRIU is gone. */
static int heal_poll(sd_event_source *s, uint64_t usec, void *arg)
{
	struct criu_job *job = arg;

	(void)s;
	(void)usec;
	job->timer = sd_event_source_disable_unref(job->timer);
	if (job->cgroup[0] && lg_cg_helpers_run(job->d->cg, job->cgroup)) {
		if (job->polls++ >= CANCEL_POLLS)
			lg_cg_end_helpers(job->d->cg, job->cgroup, NULL);
		if (sd_event_add_time_relative(job->d->event, &job->timer, CLOCK_MONOTONIC, POLL_US, 0,
					       heal_poll, job) >= 0)
			return 0;
	}
	heal_run(job);
	return 0;
}

static void heal_begin(struct criu_job *job)
{
	lg_log(LG_LOG_WARN, "%s: lodge-criu was killed in a dump: healing", job->cgroup);
	heal_poll(NULL, 0, job);
}

/* For a daemon that is about to start, and does nothing beside. */
static bool is_quiet(const struct instance *ct, const char *name, unsigned int polls)
{
	for (unsigned int i = 0; lg_cg_helpers_run(ct->d->cg, name); i++) {
		if (i == polls)
			return false;
		usleep(POLL_US);
	}
	return true;
}

void criu_settle(const struct instance *ct)
{
	char name[16];

	snprintf(name, sizeof(name), "%u", ct->ctid);
	if (!is_quiet(ct, name, SETTLE_POLLS)) {
		lg_cg_end_helpers(ct->d->cg, name, NULL);
		is_quiet(ct, name, SETTLE_POLLS);
	}
	lg_cg_end_helpers(ct->d->cg, name, NULL);
}

int criu_heal(const struct instance *ct, struct lg_err *err)
{
	struct criu_job job = { .d = ct->d, .sock = -1, .heals = true };
	struct timeval patience = { .tv_sec = HEAL_S };
	lg_autoclose int images = -1;
	struct lg_msg m;
	int r = checkpoint_open(ct, &images, NULL, err);

	if (r == 0)
		r = spawn(&job, err);
	if (r < 0)
		return r;
	heal_request(&m, ct->init_pid, images);
	setsockopt(job.sock, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	r = lg_msg_send(job.sock, &m);
	if (r == 0)
		r = lg_msg_recv(job.sock, &m);
	kill(job.pid, SIGKILL);	/* it has said all, or hangs */
	waitpid(job.pid, NULL, 0);
	lg_close(job.sock);
	if (r != 1)
		return lg_fail(err, r < 0 ? r : -EPIPE, "hear of lodge-criu");
	return m.kind == LG_K_FAILED ? lg_msg_get_err(&m, err) : 0;
}

/* ---- what it is told ---- */

int criu_freeze(struct criu_job *job, const struct lg_msg *held, struct lg_err *err)
{
	struct pollfd p = { .fd = held->nfds ? held->fds[0] : -1, .events = POLLIN };
	int r = lg_cg_freeze(job->d->cg, job->cgroup, true, err);

	job->frozen = true;
	if (r == 0 && (p.fd < 0 || poll(&p, 1, 0) != 0))
		r = lg_refuse(err, -EIO, 0, "CRIU was killed before the end");
	return r;
}

void criu_say(struct criu_job *job, uint32_t kind, const struct lg_err *why)
{
	struct lg_msg m;

	job->went = (job->went && kind != LG_K_ABORT) || kind == LG_K_GO || kind == LG_K_COMMIT;
	if (kind == LG_K_ABORT)
		thaw(job);
	lg_msg_init(&m, kind);
	if (why)
		lg_msg_put_err(&m, why);
	if (lg_msg_send(job->sock, &m) < 0)
		lg_log(LG_LOG_WARN, "lodge-criu %d does not listen", (int)job->pid);
}

/* It has not heeded that: all of it is killed, and ended() heals. */
static int cancel_is_late(sd_event_source *s, uint64_t usec, void *arg)
{
	struct criu_job *job = arg;

	(void)s;
	(void)usec;
	job->timer = sd_event_source_disable_unref(job->timer);
	lg_log(LG_LOG_WARN, "%s: CRIU does not give up: killed", job->cgroup);
	lg_cg_end_helpers(job->d->cg, job->cgroup, NULL);
	kill(job->pid, SIGKILL);
	return 0;
}

void criu_abandon(struct criu_job *job, const struct lg_err *why)
{
	struct lg_msg m;

	lg_msg_init(&m, LG_K_FAILED);
	lg_msg_put_err(&m, why);
	job->fn(&m, job->arg);
	job->abandoned = true;
	kill(job->pid, SIGTERM);
	if (sd_event_add_time_relative(job->d->event, &job->timer, CLOCK_MONOTONIC,
				       LG_CHECKPOINT_CANCEL_S * 1000000ull, 0, cancel_is_late, job) < 0)
		cancel_is_late(NULL, 0, job);
}
