/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Exec sessions. A session belongs to its client: lodged passed the descriptors on and is not
 * needed any more. It lasts until its process is reaped; a client that goes away hangs it up.
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <linux/magic.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cmd/lodge-shim/shim.h"
#include "ct/enter.h"
#include "ct/proto.h"
#include "ct/stream.h"
#include "ct/trace.h"
#include "lib/cleanup.h"
#include "lib/file.h"

#define SESSIONS_MAX 512u
#define TTY_GID 5u

struct session {
	struct lg_source handshake, control;
	struct session *next;
	pid_t first;		/* 0: reaped */
	pid_t pid;		/* 0: not known yet, or reaped */
	int master;		/* until it is given to the client */
	bool execing, over;	/* over: FAILED or ENDED was said */
	bool begun;
};

static void on_handshake(struct lg_source *s, uint32_t events);
static void on_control(struct lg_source *s, uint32_t events);

/* ---- answers ---- */

static void say(struct session *s, uint32_t kind, const struct lg_err *err, int status)
{
	if (s->over)
		return;
	lg_msg_init(&msg_out, kind);
	if (kind == LG_P_FAILED)
		lg_msg_put_err(&msg_out, err);
	if (kind == LG_P_ENDED)
		lg_msg_put_u64(&msg_out, "status", (uint64_t)(unsigned int)status);
	if (kind == LG_P_BEGUN) {
		lg_msg_put_u64(&msg_out, "pid", (uint64_t)s->pid);
		if (s->master >= 0)
			lg_msg_put_fd(&msg_out, s->master);
	}
	if (s->control.fd >= 0)
		lg_msg_send(s->control.fd, &msg_out);
	s->over = kind != LG_P_BEGUN;
}

static void session_free(struct session *s)
{
	struct session **p = &shim.sessions;

	while (*p && *p != s)
		p = &(*p)->next;
	if (*p) {
		*p = s->next;
		shim.nsessions--;
	}
	lg_source_close(&s->handshake);
	lg_source_close(&s->control);
	lg_close(s->master);
	free(s);
	lend_if_wanted();
}

static void free_if_done(struct session *s)
{
	if (s->handshake.fd < 0 && s->first == 0 && s->pid == 0)
		session_free(s);
}

/* ---- the handshake ---- */

static void handshake_ended(struct session *s)
{
	struct lg_err err = { 0 };

	lg_source_close(&s->handshake);
	if (s->execing && !s->over) {
		s->begun = true;
		say(s, LG_P_BEGUN, NULL, 0);
		lg_trace("BEGUN");
	} else if (!s->over) {
		lg_refuse(&err, -ECHILD, 0, "the process was killed before it began");
		say(s, LG_P_FAILED, &err, 0);
	}
	s->master = lg_close(s->master);
}

static void take_handshake(struct session *s, const struct lg_msg *m)
{
	struct lg_err err = { 0 };

	if (m->kind == LG_H_PID) {
		s->pid = (pid_t)lg_msg_get_u64(m, "pid", 0);
	} else if (m->kind == LG_H_EXEC) {
		s->execing = true;
	} else {
		lg_msg_get_err(m, &err);
		say(s, LG_P_FAILED, &err, 0);
	}
}

static void drain_handshake(struct session *s)
{
	while (s->handshake.fd >= 0) {
		int r = lg_msg_recv(s->handshake.fd, &msg_in);

		if (r == 1)
			take_handshake(s, &msg_in);
		else if (r == -EAGAIN)
			return;
		else
			handshake_ended(s);
		lg_msg_drop_fds(&msg_in);
	}
}

/* ---- processes that ended before their session knew their number ---- */

#define STRAYS_MAX 32u

static struct {
	pid_t pid;
	int status;
} strays[STRAYS_MAX];
static unsigned int next_stray;

static void keep_stray(pid_t pid, int status)
{
	strays[next_stray].pid = pid;
	strays[next_stray].status = status;
	next_stray = (next_stray + 1) % STRAYS_MAX;
}

static bool take_stray(pid_t pid, int *ret_status)
{
	for (unsigned int i = 0; pid > 0 && i < STRAYS_MAX; i++) {
		if (strays[i].pid != pid)
			continue;
		strays[i].pid = 0;
		*ret_status = strays[i].status;
		return true;
	}
	return false;
}

static void on_handshake(struct lg_source *source, uint32_t events)
{
	struct session *s = (struct session *)source;
	int status;

	(void)events;
	drain_handshake(s);
	if (take_stray(s->pid, &status))
		session_reaped(s->pid, status);
	else
		free_if_done(s);
}

/* ---- the client ---- */

/* Before its setsid() there is no group of that number, only the process. */
static void signal_session(const struct session *s, int sig)
{
	if (s->pid > 0 && kill(-s->pid, sig) < 0 && errno == ESRCH)
		kill(s->pid, sig);
}

static void on_control(struct lg_source *source, uint32_t events)
{
	struct session *s = (struct session *)((char *)source - offsetof(struct session, control));
	int r = lg_msg_recv(source->fd, &msg_in);
	uint64_t sig = 0;

	(void)events;
	if (r == -EAGAIN || r == -EBADMSG)
		return;
	if (r != 1) {
		lg_source_close(source);
		signal_session(s, SIGHUP);
		return;
	}
	if (msg_in.kind == LG_P_SIGNAL)
		sig = lg_msg_get_u64(&msg_in, "sig", 0);
	if (sig > 0 && sig <= 64)
		signal_session(s, (int)sig);
	lg_msg_drop_fds(&msg_in);
}

/* ---- making one ---- */

/*
 * A new terminal of the container's own /dev/pts. Its root may have mounted something there, or over
 * the node itself: it is opened from the mount that we were given before it ran, and no mount is crossed.
 */
static int open_terminal(struct session *s, const struct lg_msg *m, int *ret_slave,
			 struct lg_err *err)
{
	struct open_how how = {
		.flags = O_RDWR | O_NOCTTY | O_CLOEXEC,
		.resolve = RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH,
	};
	struct winsize ws = { .ws_row = (unsigned short)lg_msg_get_u64(m, "rows", 24),
			      .ws_col = (unsigned short)lg_msg_get_u64(m, "cols", 80) };
	int unlock = 0, slave;
	struct statfs fs;

	s->master = lg_openat2(shim.devpts, "ptmx", &how);
	if (s->master < 0 || fstatfs(s->master, &fs) < 0 || fs.f_type != DEVPTS_SUPER_MAGIC ||
	    ioctl(s->master, TIOCSPTLCK, &unlock) < 0)
		return lg_fail(err, -errno, "make a terminal");
	slave = ioctl(s->master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (slave < 0)
		return lg_fail(err, -errno, "open the terminal");
	/* We made it, so it is host's root's until now. */
	if (fchown(slave, shim.id_base, shim.id_base + TTY_GID) < 0) {
		close(slave);
		return lg_fail(err, -errno, "own the terminal");
	}
	ioctl(slave, TIOCSWINSZ, &ws);
	*ret_slave = slave;
	return 0;
}

/*
 * A pipe belongs to whoever made it, an id that does not exist inside; without this nobody there could
 * open /dev/stdout. What is no pipe (lodged's own null device) stays the host's.
 */
static void give_stream(int fd)
{
	struct stat st;

	if (fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode) &&
	    fchown(fd, shim.id_base, shim.id_base) < 0)
		lg_trace("a stream stays the host's");
}

static int take_streams(struct session *s, struct lg_msg *m, int streams[3], struct lg_err *err)
{
	int r = 0;

	if (lg_msg_get_u64(m, "tty", 0)) {
		r = open_terminal(s, m, &streams[0], err);
		streams[1] = streams[2] = streams[0];
		return r;
	}
	for (unsigned int i = 0; i < 3 && r == 0; i++) {
		streams[i] = lg_msg_take_fd(m, i + 1);
		r = lg_stream_check(streams[i], err);
		if (r == 0)
			give_stream(streams[i]);
	}
	return r;
}

static int launch(struct session *s, const struct lg_msg *m, const int streams[3],
		  struct lg_err *err)
{
	struct lg_enter enter = {
		.pidfd = shim.launch.pidfd,
		.cgroup_fd = shim.cgroup_fd,
		.leaf_fd = &shim.leaf_fd,
		.seccomp_fd = shim.seccomp_fd,
		.keep_caps = shim.keep_caps,
		.rlimits = &shim.rlimits,
		.apparmor = shim.apparmor,
		.streams = { streams[0], streams[1], streams[2] },
		.tty = lg_msg_get_u64(m, "tty", 0) != 0,
		.own_clocks = shim.launch.own_clocks,
		.msg = m,
	};
	int sock[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sock) < 0)
		return lg_fail(err, -errno, "make the session's handshake");
	enter.sock = sock[1];
	s->handshake.fd = sock[0];
	pid = lg_enter_clone(&enter, err);
	close(sock[1]);
	if (pid < 0)
		return (int)pid;
	s->first = pid;
	fcntl(sock[0], F_SETFL, O_NONBLOCK);
	if (lg_source_add(&s->handshake, EPOLLIN) < 0 ||
	    (s->control.fd >= 0 && lg_source_add(&s->control, EPOLLIN) < 0))
		return lg_fail(err, -ENOMEM, "watch the session");
	return 0;
}

static int begin(struct session *s, struct lg_msg *m, struct lg_err *err)
{
	int streams[3] = { -1, -1, -1 };
	int r;

	if (shim.phase != PHASE_RUNNING)
		return lg_refuse(err, -ESRCH, 0, "the container is not running");
	if (shim.nsessions >= SESSIONS_MAX)
		return lg_refuse(err, -EAGAIN, 0, "%u sessions are open already", SESSIONS_MAX);
	r = take_streams(s, m, streams, err);
	if (r == 0)
		r = launch(s, m, streams, err);
	for (int i = 0; i < 3; i++)
		if (i == 0 || streams[i] != streams[0])
			lg_close(streams[i]);
	return r;
}

void session_begin(struct lg_msg *m)
{
	struct session *s = calloc(1, sizeof(*s));
	struct lg_err err = { 0 };

	lg_trace("EXEC");
	if (!s)
		return;		/* the control socket closes, which says enough */
	s->handshake = (struct lg_source){ .fd = -1, .on_event = on_handshake };
	s->control = (struct lg_source){ .fd = lg_msg_take_fd(m, 0), .on_event = on_control };
	s->master = -1;
	if (s->control.fd >= 0)
		fcntl(s->control.fd, F_SETFL, O_NONBLOCK);
	if (begin(s, m, &err) < 0) {
		if (s->first > 0)
			kill(s->first, SIGKILL);
		say(s, LG_P_FAILED, &err, 0);
		session_free(s);
		return;
	}
	s->next = shim.sessions;
	shim.sessions = s;
	shim.nsessions++;
}

/* ---- the end of one ---- */

static struct session *find(pid_t pid)
{
	for (struct session *s = shim.sessions; s; s = s->next)
		if (s->first == pid || s->pid == pid)
			return s;
	return NULL;
}

void session_reaped(pid_t pid, int status)
{
	struct session *s = find(pid);

	if (!s) {
		/* It was faster than the word of its number. */
		for (s = shim.sessions; s; s = s->next)
			drain_handshake(s);
		s = find(pid);
	}
	if (!s) {
		/* The first process has yet to say it: then on_handshake() comes back to it. */
		keep_stray(pid, status);
		return;
	}
	if (s->first == pid) {
		s->first = 0;
	} else {
		drain_handshake(s);
		/* The first process may still hold its end, but what it was for is over. */
		if (s->handshake.fd >= 0)
			handshake_ended(s);
		s->pid = 0;
		if (s->begun)
			say(s, LG_P_ENDED, NULL, status);
		lg_trace("ENDED");
	}
	free_if_done(s);
}

/* Daemons that a session has left behind are init's children, and stay. */
void sessions_kill(const struct lg_err *why)
{
	for (struct session *s = shim.sessions; s; s = s->next) {
		say(s, LG_P_FAILED, why, 0);
		signal_session(s, SIGKILL);
		if (s->pid <= 0 && s->first > 0)
			kill(s->first, SIGKILL);
	}
}

void sessions_end(void)
{
	for (struct session *s = shim.sessions; s; s = s->next) {
		struct lg_err err = { 0 };

		lg_refuse(&err, -ESRCH, 0, "the container ended");
		say(s, s->begun ? LG_P_ENDED : LG_P_FAILED, &err, SIGKILL);
	}
}
