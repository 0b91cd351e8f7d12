/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Connections to lodged: the one it started us with, and those of its successors. */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "cmd/lodge-shim/shim.h"
#include "ct/proto.h"
#include "lib/cleanup.h"
#include "lib/proc.h"

#define LINKS_MAX 16u

struct link {
	struct source source;
	bool used;
};

static struct link links[LINKS_MAX];
static struct link *daemon_link;
static struct source listener = { .fd = -1 };

unsigned int link_count(void)
{
	unsigned int n = 0;

	for (size_t i = 0; i < LINKS_MAX; i++)
		n += links[i].used;
	return n;
}

int link_send(void)
{
	return daemon_link ? lg_msg_send(daemon_link->source.fd, &msg_out) : -ENOTCONN;
}

static void link_end(struct link *link)
{
	source_close(&link->source);
	link->used = false;
	if (daemon_link == link)
		daemon_link = NULL;
	if (link_count() > 0)
		return;
	if (shim.phase == PHASE_SPARE)
		_exit(0);
	if (shim.phase == PHASE_MADE) {
		struct lg_err err = { 0 };

		lg_refuse(&err, -EPIPE, 0, "lodged went away");
		start_fail(&err);
	}
}

/* ---- what lodged says ---- */

static void take_spare(struct lg_msg *m)
{
	struct lg_err err = { 0 };

	if (shim.phase != PHASE_SPARE)
		return;
	if (spare_prepare(m, &err) < 0)
		start_fail(&err);
	lg_msg_init(&msg_out, LG_P_READY);
	link_send();
}

static void say_state(struct link *link)
{
	uint64_t since = 0;

	if (shim.phase == PHASE_SPARE)
		return;
	lg_proc_starttime(shim.launch.pid, &since);
	lg_msg_init(&msg_out, LG_P_STATE);
	lg_msg_put_u64(&msg_out, "pid", (uint64_t)shim.launch.pid);
	lg_msg_put_u64(&msg_out, "starttime", since);
	lg_msg_put_u64(&msg_out, "started", shim.phase == PHASE_RUNNING);
	lg_msg_put_fd(&msg_out, shim.launch.netns_fd);
	lg_msg_put_fd(&msg_out, shim.launch.pidfd);
	lg_msg_send(link->source.fd, &msg_out);
}

static void take_signal(const struct lg_msg *m)
{
	uint64_t sig = lg_msg_get_u64(m, "sig", 0);

	if (shim.phase != PHASE_SPARE && sig > 0 && sig <= 64)
		lg_pidfd_signal(shim.launch.pidfd, (int)sig);
}

static void dispatch(struct link *link, struct lg_msg *m)
{
	switch (m->kind) {
	case LG_P_SPARE:
		take_spare(m);
		break;
	case LG_P_START:
		start_take(m);
		break;
	case LG_P_PROC:
		procfs_take(m);
		break;
	case LG_P_GO:
		start_go();
		break;
	case LG_P_HELLO:
		daemon_link = link;
		say_state(link);
		break;
	case LG_P_LEND:
		lend_take(m, link->source.fd);
		break;
	case LG_P_DEVICES:
		devices_take(m, link->source.fd);
		break;
	case LG_P_EXEC:
		session_begin(m);
		break;
	case LG_P_CONSOLE:
		console_join(lg_msg_take_fd(m, 0));
		break;
	case LG_P_SIGNAL:
		take_signal(m);
		break;
	case LG_P_RESIZE:
		console_resize((unsigned int)lg_msg_get_u64(m, "rows", 0),
			       (unsigned int)lg_msg_get_u64(m, "cols", 0));
		break;
	default:
		break;	/* a newer lodged's; it must not count on an answer */
	}
	lg_msg_drop_fds(m);
}

static void on_message(struct source *s, uint32_t events)
{
	struct link *link = (struct link *)s;
	int r = lg_msg_recv(s->fd, &msg_in);

	(void)events;
	if (r == 1)
		dispatch(link, &msg_in);
	else if (r != -EAGAIN && r != -EBADMSG)
		link_end(link);
}

static struct link *link_add(int fd)
{
	for (size_t i = 0; i < LINKS_MAX; i++) {
		struct link *link = &links[i];

		if (link->used)
			continue;
		link->source = (struct source){ .fd = fd, .on_event = on_message };
		if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0 || source_add(&link->source, EPOLLIN) < 0)
			return NULL;
		link->used = true;
		return link;
	}
	return NULL;
}

int link_first(int fd)
{
	daemon_link = link_add(fd);
	return daemon_link ? 0 : -EIO;
}

/* ---- new connections ---- */

static bool is_root(int fd)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) == 0 && cred.uid == 0;
}

static void on_connection(struct source *s, uint32_t events)
{
	int fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)events;
	if (fd < 0)
		return;
	if (!is_root(fd) || !link_add(fd))
		close(fd);
}

/* A path that is too long for an address is reached through its folder. */
static int make_address(const char *path, struct sockaddr_un *addr, int *ret_dir)
{
	const char *slash = strrchr(path, '/');
	char folder[512];

	*ret_dir = -1;
	if (strlen(path) < sizeof(addr->sun_path)) {
		memcpy(addr->sun_path, path, strlen(path) + 1);
		return 0;
	}
	if (!slash || (size_t)(slash - path) >= sizeof(folder))
		return -ENAMETOOLONG;
	snprintf(folder, sizeof(folder), "%.*s", (int)(slash - path), path);
	*ret_dir = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (*ret_dir < 0)
		return -errno;
	if (snprintf(addr->sun_path, sizeof(addr->sun_path), "/proc/self/fd/%d%s", *ret_dir,
		     slash) >= (int)sizeof(addr->sun_path))
		return -ENAMETOOLONG;
	return 0;
}

int link_listen(const char *path, struct lg_err *err)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	lg_autoclose int dir = -1;
	int r = make_address(path, &addr, &dir);
	lg_autoclose int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0 || r < 0)
		return lg_fail(err, r < 0 ? r : -errno, "listen on '%s'", path);
	unlink(path);	/* of one that was killed; an instance has one shim at a time */
	/* Our umask gives it mode 0600. */
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 || listen(fd, 8) < 0)
		return lg_fail(err, -errno, "listen on '%s'", path);
	listener.fd = lg_take_fd(&fd);
	listener.on_event = on_connection;
	r = source_add(&listener, EPOLLIN);
	return r < 0 ? lg_fail(err, r, "listen on '%s'", path) : 0;
}
