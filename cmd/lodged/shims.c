/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * How it works: one spare shim waits, already started and, on hybrid hosts, already in a spare set
 * of v1 cgroups (moving there takes the kernel up to 30 ms). A start takes it and another one is
 * made when the loop is idle. A start that finds none makes one and waits for it.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "cmd/lodged/devices.h"
#include "cmd/lodged/import.h"
#include "cmd/lodged/lodged.h"
#include "cmd/lodged/lxcfs.h"
#include "cmd/lodged/suspend.h"
#include "cmd/lodged/vm.h"
#include "ct/proto.h"
#include "lib/cleanup.h"
#include "lib/log.h"
#include "lib/proc.h"

/* The spare is made this long after the last was taken, so as not to slow down that start. */
#define SPARE_DELAY_US 15000u
#define SWEEP_DELAY_US 50000u

static int on_message(sd_event_source *s, int fd, uint32_t revents, void *arg);
static int on_end(sd_event_source *s, int fd, uint32_t revents, void *arg);

static int watch(struct shim *shim, int pidfd, struct lg_err *err)
{
	sd_event *event = shim->d->event;
	int r = sd_event_add_io(event, &shim->io, shim->sock, EPOLLIN, on_message, shim);

	if (r >= 0)
		r = sd_event_add_io(event, &shim->end, pidfd, EPOLLIN, on_end, shim);
	if (r < 0) {
		lg_close(pidfd);
		return lg_fail(err, r, "watch the shim");
	}
	sd_event_source_set_io_fd_own(shim->end, true);
	/* Its last message is read before its end is seen. */
	sd_event_source_set_priority(shim->end, SD_EVENT_PRIORITY_NORMAL + 10);
	return 0;
}

static int spawn(struct shim *shim, struct lg_err *err)
{
	static const char *const argv[] = { "lodge-shim", NULL };
	static const char *const trace[] = { "LG_SHIM_TRACE=1", NULL };
	int pair[2], fds[4] = { -1, -1, STDERR_FILENO, -1 }, pidfd = -1;
	lg_autoclose int cgroup = lg_cg_open_shims(shim->d->cg, err);
	struct lg_spawn spawn = {
		.argv = (char *const *)(uintptr_t)argv,	/* execve() only reads */
		.fds = fds,
		.nfds = 4,
		.cgroup_fd = cgroup,
	};
	char path[300];

	if (cgroup < 0)
		return cgroup;
	snprintf(path, sizeof(path), "%s/lodge-shim", shim->d->libexec);
	spawn.path = path;
	if (getenv("LG_SHIM_TRACE"))
		spawn.envp = (char *const *)(uintptr_t)trace;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return lg_fail(err, -errno, "socketpair");
	shim->sock = pair[0];
	fds[3] = pair[1];
	shim->pid = lg_spawn(&spawn, &pidfd, err);
	lg_close(pair[1]);
	if (shim->pid < 0)
		return (int)shim->pid;
	fcntl(shim->sock, F_SETFL, O_NONBLOCK);
	return watch(shim, pidfd, err);
}

static int put_path(const char *path, void *arg)
{
	return lg_msg_put(arg, "procs", path);
}

static int make_spare_cgroups(struct shim *shim, struct lg_msg *m, struct lg_err *err)
{
	struct daemon *d = shim->d;
	char name[sizeof(shim->cg_spare)];
	int r;

	snprintf(name, sizeof(name), "spare-%u", ++d->spare_nr);
	r = lg_cg_spare_make(d->cg, name, err);
	if (r < 0)
		return r;
	memcpy(shim->cg_spare, name, sizeof(name));
	lg_cg_spare_procs(d->cg, name, put_path, m);
	return 0;
}

/* The shim prepares itself, on hybrid hosts moves into spare v1 cgroups, and answers READY. */
static int place_spare(struct shim *shim, struct lg_err *err)
{
	struct lg_msg m;
	int r = 0;

	lg_msg_init(&m, LG_P_SPARE);
	if (lg_cg_is_hybrid(shim->d->cg))
		r = make_spare_cgroups(shim, &m, err);
	if (r < 0)
		return r;
	r = lg_msg_send(shim->sock, &m);
	return r < 0 ? lg_fail(err, r, "place the shim") : 0;
}

static int shim_new(struct daemon *d, struct shim **ret, struct lg_err *err)
{
	struct shim *shim = calloc(1, sizeof(*shim));
	int r;

	if (!shim)
		return lg_fail(err, -ENOMEM, "start a shim");
	shim->d = d;
	shim->sock = -1;
	r = spawn(shim, err);
	if (r == 0)
		r = place_spare(shim, err);
	if (r < 0) {
		if (shim->pid > 0)
			shim_kill(shim);
		shim_free(shim);
		return r;
	}
	*ret = shim;
	return 0;
}

void shim_kill(struct shim *shim)
{
	if (shim->pid > 0 && shim->end)
		lg_pidfd_signal(sd_event_source_get_io_fd(shim->end), SIGKILL);
}

void shim_free(struct shim *shim)
{
	sd_event_source_disable_unref(shim->io);
	sd_event_source_disable_unref(shim->end);
	lg_close(shim->sock);
	if (shim->ct && shim->ct->shim == shim)
		shim->ct->shim = NULL;
	if (shim->last_ct && shim->last_ct->old_shim == shim)
		shim->last_ct->old_shim = NULL;
	free(shim);
}

void shim_retire(struct shim *shim)
{
	struct daemon *d = shim->d;
	struct instance *ct = shim->ct;
	char name[16], spare[sizeof(shim->cg_spare)];

	snprintf(name, sizeof(name), "%u", ct->ctid);
	snprintf(spare, sizeof(spare), "old-%u", ++d->spare_nr);
	if (lg_cg_is_hybrid(d->cg) && lg_cg_retire(d->cg, name, spare, NULL) == 0)
		memcpy(shim->cg_spare, spare, sizeof(spare));
	ct->shim = NULL;
	ct->old_shim = shim;
	shim->ct = NULL;
	shim->last_ct = ct;
}

int shim_adopt(struct instance *ct, pid_t pid, int sock, struct lg_err *err)
{
	struct shim *shim = calloc(1, sizeof(*shim));
	int pidfd = lg_pidfd_open(pid);

	if (!shim || pidfd < 0) {
		free(shim);
		lg_close(pidfd);
		return lg_fail(err, pidfd < 0 ? pidfd : -ENOMEM, "adopt the shim");
	}
	shim->d = ct->d;
	shim->ct = ct;
	shim->pid = pid;
	shim->sock = sock;
	shim->ready = true;
	ct->shim = shim;
	fcntl(sock, F_SETFL, O_NONBLOCK);
	lxcfs_give(shim);
	return watch(shim, pidfd, err);
}

static int make_spare(sd_event_source *s, uint64_t usec, void *arg)
{
	struct daemon *d = arg;
	struct lg_err err = { 0 };

	(void)s;
	(void)usec;
	d->spare_timer = sd_event_source_disable_unref(d->spare_timer);
	if (!d->spare && shim_new(d, &d->spare, &err) < 0)
		lg_log(LG_LOG_WARN, "no spare shim: %s", err.msg);
	return 0;
}

void spare_wanted(struct daemon *d)
{
	if (!d->spare && !d->spare_timer)
		sd_event_add_time_relative(d->event, &d->spare_timer, CLOCK_MONOTONIC,
					   SPARE_DELAY_US, 0, make_spare, d);
}

int shim_take(struct daemon *d, struct shim **ret, struct lg_err *err)
{
	int r = 0;

	if (d->spare) {
		*ret = d->spare;
		d->spare = NULL;
	} else {
		r = shim_new(d, ret, err);
	}
	spare_wanted(d);
	return r;
}

static void made(struct shim *shim, struct lg_msg *m)
{
	struct op *op = shim->ct ? shim->ct->op : NULL;

	if (!op || op->shim != shim)
		return;
	shim->ct->init_pid = (pid_t)lg_msg_get_u64(m, "pid", 0);
	lg_proc_starttime(shim->ct->init_pid, &shim->ct->init_start);
	op->netns_fd = lg_msg_take_fd(m, 0);
	op->made = true;
	start_event(op);
}

static void started(struct shim *shim, const struct lg_msg *m)
{
	struct op *op = shim->ct ? shim->ct->op : NULL;

	if (!op || op->shim != shim)
		return;
	if (shim->ct->vm)
		vm_run_told(shim->ct, m);
	op->running = true;
	start_event(op);
}

static void failed(struct shim *shim, struct lg_msg *m)
{
	struct op *op = shim->ct ? shim->ct->op : NULL;

	if (!op || op->shim != shim)
		return;
	lg_msg_get_err(m, &op->err);
	start_event(op);
}

static void handle(struct shim *shim, struct lg_msg *m)
{
	switch (m->kind) {
	case LG_P_READY:
		shim->ready = true;
		lxcfs_give(shim);
		if (shim->ct && shim->ct->op && shim->ct->op->shim == shim)
			start_event(shim->ct->op);
		break;
	case LG_P_MADE:
		made(shim, m);
		break;
	case LG_P_STARTED:
		started(shim, m);
		break;
	case LG_P_FAILED:
		failed(shim, m);
		break;
	case LG_P_EXITED:
		shim->exited = true;
		shim->status = (int)lg_msg_get_u64(m, "status", 0);
		if (shim->ct && !(shim->ct->op && shim->ct->op->shim == shim))
			instance_gone(shim->ct);
		break;
	case LG_P_LENT:
		if (shim->ct)
			suspend_lent(shim->ct, m);
		break;
	case LG_P_HELD:
		if (shim->ct && shim->ct->op && shim->ct->op->hold)
			import_held(shim->ct);
		break;
	case LG_P_STAGE:
		if (shim->ct && shim->ct->op && shim->ct->op->shim == shim)
			op_progress(shim->ct->op, "its boot is at: %.100s", lg_msg_get(m, "text") ? lg_msg_get(m, "text") : "?");
		break;
	case LG_P_TOLD:
		if (shim->ct)
			vm_told(shim->ct, m);
		break;
	case LG_P_DEVICES:
		if (shim->ct)
			devices_changed(shim->ct, m);
		break;
	default:
		lg_log(LG_LOG_WARN, "shim %d: unexpected message %u", (int)shim->pid, m->kind);
		break;
	}
}

static int on_message(sd_event_source *s, int fd, uint32_t revents, void *arg)
{
	struct shim *shim = arg;
	struct lg_msg m;
	int r = lg_msg_recv(fd, &m);

	(void)revents;
	if (r == -EAGAIN || r == -EINTR)
		return 0;
	if (r == 1) {
		handle(shim, &m);
		lg_msg_drop_fds(&m);
	} else {
		/* Its end will come by the pidfd. */
		sd_event_source_set_enabled(s, SD_EVENT_OFF);
	}
	return 0;
}

/* The spare died, or one that was retired has done its work. */
static void unused_shim_ended(struct shim *shim)
{
	struct daemon *d = shim->d;
	struct instance *ct = shim->last_ct;

	if (d->spare == shim)
		d->spare = NULL;
	/* For a moment after its end the kernel may still count it. */
	if (shim->cg_spare[0] && lg_cg_spare_remove(d->cg, shim->cg_spare, NULL) < 0)
		sweep_later(d, SWEEP_DELAY_US);
	shim_free(shim);
	if (ct && ct->op && ct->op->waits_for_layer)
		start_event(ct->op);
}

static int on_end(sd_event_source *s, int fd, uint32_t revents, void *arg)
{
	struct shim *shim = arg;
	struct instance *ct = shim->ct;
	siginfo_t info;

	(void)s;
	(void)revents;
	/* Not our child where an earlier daemon started it: then there is nothing to reap. */
	waitid(P_PIDFD, (id_t)fd, &info, WEXITED | WNOHANG);
	if (!ct) {
		unused_shim_ended(shim);
	} else if (ct->op && ct->op->shim == shim) {
		if (!ct->op->err.code)
			lg_refuse(&ct->op->err, -ECHILD, 0, "the shim ended unexpectedly");
		start_event(ct->op);
	} else {
		instance_gone(ct);
	}
	return 0;
}
