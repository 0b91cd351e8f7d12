/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ct/link.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "ct/loop.h"
#include "ct/proto.h"
#include "lib/cleanup.h"

#define LINKS_MAX 16u

struct link {
	struct lg_source source;
	bool used;
};

static struct link links[LINKS_MAX];
static const struct lg_link_user *user;
static struct link *daemon_link;
static struct lg_source listener = { .fd = -1 };

unsigned int lg_link_count(void)
{
	unsigned int n = 0;

	for (size_t i = 0; i < LINKS_MAX; i++)
		n += links[i].used;
	return n;
}

int lg_link_send(void)
{
	return daemon_link ? lg_msg_send(daemon_link->source.fd, &msg_out) : -ENOTCONN;
}

static void link_end(struct link *link)
{
	lg_source_close(&link->source);
	link->used = false;
	if (daemon_link == link)
		daemon_link = NULL;
	if (lg_link_count() == 0)
		user->gone();
}

static void on_message(struct lg_source *s, uint32_t events)
{
	struct link *link = (struct link *)s;
	int r = lg_msg_recv(s->fd, &msg_in);

	(void)events;
	if (r == 1 && msg_in.kind == LG_P_HELLO)
		daemon_link = link;
	if (r == 1)
		user->message(s->fd, &msg_in);
	lg_msg_drop_fds(&msg_in);
	if (r == 1)
		return;
	if (r != -EAGAIN && r != -EBADMSG)
		link_end(link);
}

static struct link *link_add(int fd)
{
	for (size_t i = 0; i < LINKS_MAX; i++) {
		struct link *link = &links[i];

		if (link->used)
			continue;
		link->source = (struct lg_source){ .fd = fd, .on_event = on_message };
		if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0 || lg_source_add(&link->source, EPOLLIN) < 0)
			return NULL;
		link->used = true;
		return link;
	}
	return NULL;
}

int lg_link_first(int fd, const struct lg_link_user *u)
{
	user = u;
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

static void on_connection(struct lg_source *s, uint32_t events)
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

int lg_link_listen(const char *path, struct lg_err *err)
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
	r = lg_source_add(&listener, EPOLLIN);
	return r < 0 ? lg_fail(err, r, "listen on '%s'", path) : 0;
}
