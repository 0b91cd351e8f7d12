/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The machine's screen: QEMU can make no sockets, so its clients are accepted here and handed to it. */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "cmd/lodge-vm/vm.h"
#include "lib/cleanup.h"
#include "lib/json.h"

#define PATIENCE_MS 5000

static void on_viewer(struct lg_source *s, uint32_t events)
{
	lg_autoclose int fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC);

	(void)events;
	if (fd < 0 || !vm.ready)
		return;
	/* In this order they are handled; one that fails ends the viewer. */
	if (qemu_command("getfd", json_pack("{s:s}", "fdname", "viewer"), fd, PATIENCE_MS, NULL, NULL) == 0)
		qemu_command("add_client", json_pack("{s:s, s:s, s:b}", "protocol", "vnc", "fdname", "viewer",
						     "skipauth", 1), -1, PATIENCE_MS, NULL, NULL);
}

static struct lg_source listener = { .fd = -1, .on_event = on_viewer };

int screen_open(const char *path, struct lg_err *err)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	lg_autoclose int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	mode_t before;
	int r;

	if (fd < 0 || strlen(path) >= sizeof(addr.sun_path))
		return lg_fail(err, fd < 0 ? -errno : -ENAMETOOLONG, "listen on '%s'", path);
	memcpy(addr.sun_path, path, strlen(path) + 1);
	unlink(path);	/* of one that was killed */
	/* Born with mode 0600. */
	before = umask(0177);
	r = bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ? -errno : 0;
	umask(before);
	if (r < 0)
		return lg_fail(err, r, "listen on '%s'", path);
	if (listen(fd, 4) < 0)
		return lg_fail(err, -errno, "listen on '%s'", path);
	listener.fd = lg_take_fd(&fd);
	r = lg_source_add(&listener, EPOLLIN);
	return r < 0 ? lg_fail(err, r, "listen on '%s'", path) : 0;
}
