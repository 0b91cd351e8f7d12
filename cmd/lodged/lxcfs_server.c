/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/lodged/lxcfs_server.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ct/proto.h"
#include "lib/cleanup.h"
#include "lib/file.h"
#include "lib/log.h"
#include "lib/proc.h"

#define OPEN_TIMEOUT_S 10u

/* ---- what RUN/lxcfs has ---- */

static void mount_of(const struct daemon *d, unsigned int nr, char buf[LXCFS_PATH])
{
	snprintf(buf, LXCFS_PATH, "%.256s/lxcfs/%u", d->root.run, nr);
}

static void pid_file_of(const struct daemon *d, unsigned int nr, char buf[LXCFS_PATH])
{
	snprintf(buf, LXCFS_PATH, "%.256s/lxcfs/%u.pid", d->root.run, nr);
}

/* Neither waits for lxcfs, dead or alive. */
void server_clear_up(const struct daemon *d, unsigned int nr)
{
	char path[LXCFS_PATH];

	mount_of(d, nr, path);
	while (umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) == 0)
		;
	rmdir(path);
	pid_file_of(d, nr, path);
	unlink(path);
}

/* A library that makes it tell the boot time that the reader has (cmd/lodge-lxcfs/calls.c). */
static void preload_of(const struct daemon *d, char buf[LXCFS_PATH])
{
	snprintf(buf, LXCFS_PATH, "LD_PRELOAD=%.255s/lodge-lxcfs-calls.so", d->libexec);
}

bool server_has_calls(const struct server *s)
{
	lg_autofree char *env = NULL;
	char path[40], preload[LXCFS_PATH];
	size_t len = 0;

	snprintf(path, sizeof(path), "/proc/%d/environ", (int)s->pid);
	preload_of(s->d, preload);
	return lg_file_read(AT_FDCWD, path, 65536, &env, &len, NULL) == 0 &&
	       memmem(env, len, preload, strlen(preload) + 1);
}

void server_free(struct server *s)
{
	sd_event_source_disable_unref(s->end);
	sd_event_source_disable_unref(s->io);
	sd_event_source_disable_unref(s->timer);
	lg_procfs_close(&s->files);
	free(s);
}

void server_kill(struct server *s)
{
	lg_pidfd_signal(server_pidfd(s), SIGKILL);
}

int server_pidfd(const struct server *s)
{
	return sd_event_source_get_io_fd(s->end);
}

static int on_end(sd_event_source *source, int fd, uint32_t revents, void *arg)
{
	siginfo_t info;

	(void)source;
	(void)revents;
	/* Not our child where an earlier daemon started it. */
	waitid(P_PIDFD, (id_t)fd, &info, WEXITED | WNOHANG);
	lxcfs_ended(arg);
	return 0;
}

static int watch(struct server *s, int pidfd)
{
	int r = sd_event_add_io(s->d->event, &s->end, pidfd, EPOLLIN, on_end, s);

	if (r < 0) {
		lg_close(pidfd);
		return r;
	}
	sd_event_source_set_io_fd_own(s->end, true);
	return 0;
}

struct server *server_new(struct daemon *d, unsigned int nr)
{
	struct server *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	*s = (struct server){ .d = d, .nr = nr, .since_us = now_us(),
			      .files = LG_PROCFS_NONE };
	return s;
}

/* ---- opening its files: a worker's work ---- */

/*
 * lxcfs 6 lets nobody read when it may not look at the personality of process 1: Yama at its strictest does that.
 */
static void open_failed(struct server *s, const struct lg_err *err)
{
	s->err = *err;
	if (err->code == -EACCES)
		lg_refuse(&s->err, -EACCES, 0, "lxcfs lets nobody read its files: may it read "
			  "/proc/1/personality (kernel.yama.ptrace_scope below 3)?");
	server_kill(s);
}

static int open_timed_out(sd_event_source *source, uint64_t usec, void *arg)
{
	struct server *s = arg;
	struct lg_err err = { 0 };

	(void)source;
	(void)usec;
	s->timer = sd_event_source_disable_unref(s->timer);
	s->io = sd_event_source_disable_unref(s->io);
	lg_refuse(&err, -ETIMEDOUT, 0, "lxcfs (process %d) does not answer: it is killed",
		  (int)s->pid);
	open_failed(s, &err);
	return 0;
}

static int on_opened(sd_event_source *source, int fd, uint32_t revents, void *arg)
{
	struct server *s = arg;
	struct lg_err err = { 0 };
	struct lg_msg m;
	int r = lg_msg_recv(fd, &m);

	(void)source;
	(void)revents;
	if (r == -EAGAIN || r == -EINTR)
		return 0;
	if (r == 1 && m.kind == LG_P_PROC && !s->opened)
		r = lg_procfs_take(&m, &s->files, &err);
	else if (r == 1 && m.kind != LG_P_PROC)
		lg_msg_get_err(&m, &err);
	else if (r != 1)
		lg_refuse(&err, -ECHILD, 0, "the worker that opens lxcfs's files gave no answer");
	lg_msg_drop_fds(&m);
	s->timer = sd_event_source_disable_unref(s->timer);
	s->io = sd_event_source_disable_unref(s->io);
	if (err.code)
		open_failed(s, &err);
	else if (!s->opened)
		lxcfs_opened(s);
	return 0;
}

/* Stuck in lxcfs, it ends when that is killed. */
static int on_worker_end(sd_event_source *source, int fd, uint32_t revents, void *arg)
{
	siginfo_t info;

	(void)revents;
	(void)arg;
	waitid(P_PIDFD, (id_t)fd, &info, WEXITED | WNOHANG);
	sd_event_source_set_floating(source, false);	/* that was the last reference */
	return 0;
}

static void reap_later(sd_event *event, int pidfd)
{
	sd_event_source *source = NULL;

	if (sd_event_add_io(event, &source, pidfd, EPOLLIN, on_worker_end, NULL) < 0) {
		lg_close(pidfd);
		return;
	}
	sd_event_source_set_io_fd_own(source, true);
	sd_event_source_set_floating(source, true);
	sd_event_source_unref(source);
}

static int spawn_worker(struct server *s, int sock, struct lg_err *err)
{
	struct daemon *d = s->d;
	char path[LXCFS_PATH], dir[LXCFS_PATH];
	const char *argv[] = { "lodge-worker", "open-lxcfs", "--var", d->root.var, dir, NULL };
	int fds[4] = { -1, -1, STDERR_FILENO, sock };
	struct lg_spawn spawn = { .path = path, .fds = fds, .nfds = 4,
				  .argv = (char *const *)(uintptr_t)argv };
	int pidfd = -1;

	snprintf(path, sizeof(path), "%.256s/lodge-worker", d->libexec);
	mount_of(s->d, s->nr, dir);
	if (lg_spawn(&spawn, &pidfd, err) < 0)
		return err->code;
	reap_later(d->event, pidfd);
	return 0;
}

static int open_files(struct server *s, struct lg_err *err)
{
	sd_event *event = s->d->event;
	int pair[2], r;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return lg_fail(err, -errno, "socketpair");
	r = spawn_worker(s, pair[1], err);
	lg_close(pair[1]);
	if (r == 0) {
		fcntl(pair[0], F_SETFL, O_NONBLOCK);
		r = sd_event_add_io(event, &s->io, pair[0], EPOLLIN, on_opened, s);
	}
	if (r < 0) {
		lg_close(pair[0]);
		return r;
	}
	sd_event_source_set_io_fd_own(s->io, true);
	sd_event_add_time_relative(event, &s->timer, CLOCK_MONOTONIC, OPEN_TIMEOUT_S * 1000000, 0,
				   open_timed_out, s);
	return 0;
}

static int spawn_server(struct server *s, const char *program, int *ret_pidfd,
			struct lg_err *err)
{
	struct daemon *d = s->d;
	char dir[LXCFS_PATH], pid_file[LXCFS_PATH], preload[LXCFS_PATH];
	/* Load averages of its own counting, and CPUs by the CPU limit. */
	const char *argv[] = { "lxcfs", "-f", "-l", "--enable-cfs", "-p", pid_file, dir, NULL };
	const char *envp[] = { "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C", preload, NULL };
	lg_autoclose int cgroup = lg_cg_open_shims(d->cg, err);
	int fds[3] = { -1, -1, -1 };	/* it tells 30 lines at each start, and nothing of use */
	struct lg_spawn spawn = { .path = program, .fds = fds, .nfds = 3, .cgroup_fd = cgroup,
				  .argv = (char *const *)(uintptr_t)argv,
				  .envp = (char *const *)(uintptr_t)envp };
	pid_t pid;

	if (cgroup < 0)
		return cgroup;
	preload_of(d, preload);
	mount_of(d, s->nr, dir);
	pid_file_of(d, s->nr, pid_file);
	if (mkdir(dir, 0755) < 0 && errno != EEXIST)
		return lg_fail(err, -errno, "make '%s'", dir);
	pid = lg_spawn(&spawn, ret_pidfd, err);
	s->pid = pid;
	return pid < 0 ? (int)pid : 0;
}

int server_start(struct server *s, const char *program, struct lg_err *err)
{
	int pidfd = -1, r = spawn_server(s, program, &pidfd, err);

	if (r == 0)
		r = watch(s, pidfd);
	return r == 0 ? open_files(s, err) : r;
}

void server_probe(struct server *s)
{
	struct lg_err err = { 0 };

	if (!s->io && open_files(s, &err) < 0)
		lg_log(LG_LOG_WARN, "look whether lxcfs answers: %s", err.msg);
}

int server_take_up(struct server *s, pid_t pid, struct lg_err *err)
{
	int pidfd = lg_pidfd_open(pid), r;

	if (pidfd < 0)
		return lg_fail(err, pidfd, "take up lxcfs (process %d)", (int)pid);
	s->pid = pid;
	s->taken_up = true;
	r = watch(s, pidfd);
	return r == 0 ? open_files(s, err) : lg_fail(err, r, "watch lxcfs");
}

bool server_is(const struct daemon *d, pid_t pid, unsigned int nr)
{
	lg_autofree char *args = NULL;
	char path[64], dir[LXCFS_PATH];
	size_t len = 0, want;

	snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)pid);
	mount_of(d, nr, dir);
	want = strlen(dir) + 1;
	return lg_file_read(AT_FDCWD, path, 4096, &args, &len, NULL) == 0 && len > want &&
	       strcmp(args, "lxcfs") == 0 && memcmp(args + len - want, dir, want) == 0;
}
