/* SPDX-License-Identifier: GPL-2.0-or-later */

/* From START to STARTED, and the end. */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cmd/lodge-shim/shim.h"
#include "cmd/lodge-shim/prune.h"
#include "ct/console.h"
#include "ct/proto.h"
#include "ct/trace.h"
#include "lib/cleanup.h"
#include "lib/file.h"
#include "lib/proc.h"

static void on_handshake(struct lg_source *s, uint32_t events);

static struct lg_source handshake = { .fd = -1, .on_event = on_handshake };

int spare_prepare(const struct lg_msg *m, struct lg_err *err)
{
	for (const char *p = lg_msg_get(m, "procs"); p; p = lg_msg_next(m, "procs", p)) {
		int r = lg_file_write(AT_FDCWD, p, "0", err);

		if (r < 0)
			return r;
	}
	/* Only now: the mounts of the cgroups were needed above. */
	prune_kernel();
	return 0;
}

static void unmake(void)
{
	if (shim.target)
		umount2(shim.target, MNT_DETACH);
	if (shim.socket)
		unlink(shim.socket);
}

void start_fail(const struct lg_err *err)
{
	if (shim.launch.pid > 0) {
		lg_pidfd_signal(shim.launch.pidfd, SIGKILL);
		waitpid(shim.launch.pid, NULL, 0);
	}
	if (shim.restored)
		restore_undo();
	unmake();
	lg_msg_init(&msg_out, LG_P_FAILED);
	lg_msg_put_err(&msg_out, err);
	lg_link_send();
	_exit(1);
}

int start_made(struct lg_err *err)
{
	int r;

	lg_msg_init(&msg_out, LG_P_MADE);
	lg_msg_put_u64(&msg_out, "pid", (uint64_t)shim.launch.pid);
	lg_msg_put_fd(&msg_out, shim.launch.netns_fd);
	lg_msg_put_fd(&msg_out, shim.launch.pidfd);
	r = lg_link_send();
	return r < 0 ? lg_fail(err, r, "tell lodged") : 0;
}

/* The message goes with the next one; these few are needed until the end. */
static int remember(const struct lg_start *start)
{
	shim.ctid = start->ctid;
	shim.id_base = start->id_base;
	shim.keep_caps = start->keep_caps;
	shim.rlimits = start->rlimits;
	if (lg_msg_get(start->msg, "apparmor"))
		shim.apparmor = strdup(lg_msg_get(start->msg, "apparmor"));
	shim.cgroup_fd = start->cgroup_fd;
	shim.leaf_fd = start->leaf_fd;
	shim.seccomp_fd = start->seccomp_fd;
	shim.target = strdup(start->target);
	shim.socket = strdup(start->socket);
	shim.exit_file = strdup(start->exit_file);
	if (start->image && asprintf(&shim.disk, "%s/layer", start->scratch) < 0)
		return -ENOMEM;
	return shim.target && shim.socket && shim.exit_file ? 0 : -ENOMEM;
}

static int clone_begin(struct lg_start *start, struct lg_err *err)
{
	int r;

	start->procfs = procfs_files();
	r = lg_launch_clone(start, &shim.launch, err);
	procfs_given();
	if (r == 0)
		r = start_made(err);
	if (r == 0)
		r = lg_launch_root(start, &shim.launch, &msg_out, err);
	if (r < 0)
		return r;
	handshake.fd = shim.launch.sock;
	r = lg_source_add(&handshake, EPOLLIN);
	return r < 0 ? lg_fail(err, r, "watch init") : 0;
}

static int start_all(struct lg_msg *m, struct lg_err *err)
{
	static struct lg_start start;
	int r = lg_start_parse(m, &start, err);

	if (r < 0)
		return r;
	if (remember(&start) < 0)
		return lg_fail(err, -ENOMEM, "START");
	r = start.restore ? restore_begin(&start, err) : clone_begin(&start, err);
	if (r < 0)
		return r;
	lg_console_log(start.console_log);
	return lg_link_listen(shim.socket, err);
}

void start_take(struct lg_msg *m)
{
	struct lg_err err = { 0 };

	if (shim.phase != PHASE_SPARE)
		return;
	lg_trace("START");
	shim.phase = PHASE_MADE;
	if (start_all(m, &err) < 0)
		start_fail(&err);
	set_title(shim.ctid);
	lg_trace("shim prepared");
}

/* ---- the handshake ---- */

static void let_go(void)
{
	if (!shim.ready || !shim.go)
		return;
	lg_msg_init(&msg_out, LG_H_GO);
	lg_msg_send(handshake.fd, &msg_out);
}

void start_go(void)
{
	if (shim.phase != PHASE_MADE || shim.go)
		return;
	shim.go = true;
	lg_trace("GO");
	if (shim.restored)
		restore_go();
	else
		let_go();
}

void start_done(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	shim.phase = PHASE_RUNNING;
	lg_msg_init(&msg_out, LG_P_STARTED);
	lg_msg_put_u64(&msg_out, "first_us",
		       (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u);
	lg_link_send();
	lg_trace("STARTED");
	procfs_settle();
}

static void handshake_ended(void)
{
	struct lg_err err = { 0 };
	siginfo_t info = { 0 };

	if (shim.execing) {
		lg_source_close(&handshake);
		start_done();
		return;
	}
	lg_pidfd_signal(shim.launch.pidfd, SIGKILL);
	waitid(P_PIDFD, (id_t)shim.launch.pidfd, &info, WEXITED | WNOWAIT);
	lg_refuse(&err, -ECHILD, 0, "init ended before it began (%s %d)",
		  info.si_code == CLD_EXITED ? "status" : "signal", info.si_status);
	start_fail(&err);
}

static void take_handshake(struct lg_msg *m)
{
	struct lg_err err = { 0 };

	switch (m->kind) {
	case LG_H_TTY:
		shim.devpts = lg_msg_take_fd(m, 0);
		lg_console_open(lg_msg_take_fd(m, 1));
		procfs_dirs(m, 2);
		break;
	case LG_H_READY:
		shim.ready = true;
		let_go();
		break;
	case LG_H_EXEC:
		shim.execing = true;
		break;
	case LG_H_FAILED:
	default:
		lg_msg_get_err(m, &err);
		start_fail(&err);
	}
	lg_msg_drop_fds(m);
}

/* Also called with init reaped: then everything that it said is there to be read. */
static void drain_handshake(void)
{
	while (handshake.fd >= 0) {
		int r = lg_msg_recv(handshake.fd, &msg_in);

		if (r == 1)
			take_handshake(&msg_in);
		else if (r == -EAGAIN)
			return;
		else
			handshake_ended();
	}
}

static void on_handshake(struct lg_source *s, uint32_t events)
{
	(void)s;
	(void)events;
	drain_handshake();
}

/* ---- the end ---- */

static void leave_status(int status)
{
	char text[16];
	int n = snprintf(text, sizeof(text), "%d\n", status);

	lg_file_replace_fast(AT_FDCWD, shim.exit_file, text, (size_t)n, 0600, NULL);
}

/*
 * Unmounting writes back what the container wrote, which may take long: lodged hears of the end before,
 * and sees by the end of this process that the layers are free.
 */
void init_reaped(int status)
{
	if (shim.phase == PHASE_MADE) {
		shim.launch.pid = 0;
		drain_handshake();
	}
	shim.phase = PHASE_ENDED;
	sessions_end();
	lg_console_end();
	unlink(shim.socket);
	leave_status(status);
	lg_msg_init(&msg_out, LG_P_EXITED);
	lg_msg_put_u64(&msg_out, "status", (uint64_t)(unsigned int)status);
	lg_link_send();
	umount2(shim.target, MNT_DETACH);
	_exit(0);
}
