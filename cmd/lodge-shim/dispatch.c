/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What lodged says, and its going away. */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "cmd/lodge-shim/shim.h"
#include "ct/console.h"
#include "ct/proto.h"
#include "lib/proc.h"
#include "vm/start.h"

static int first = -1;	/* the connection that lodged started us with */

static void gone(void)
{
	if (shim.phase == PHASE_SPARE)
		_exit(0);
	if (shim.phase == PHASE_MADE) {
		struct lg_err err = { 0 };

		lg_refuse(&err, -EPIPE, 0, "lodged went away");
		start_fail(&err);
	}
}

static void take_spare(struct lg_msg *m)
{
	struct lg_err err = { 0 };

	if (shim.phase != PHASE_SPARE)
		return;
	if (spare_prepare(m, &err) < 0)
		start_fail(&err);
	shim.placed = true;
	lg_msg_init(&msg_out, LG_P_READY);
	lg_link_send();
}

/* A microVM's shim takes over: in our cgroups and our mount namespace, with our process number and our connection. */
static void become(const struct lg_msg *m)
{
	const char *path = lg_msg_get(m, "program");
	const char *slash = path ? strrchr(path, '/') : NULL;
	struct lg_err err = { 0 };
	char *argv[2] = { NULL, NULL };

	if (shim.phase != PHASE_SPARE || !shim.placed || lg_link_count() != 1)
		return;
	if (!slash)
		lg_refuse(&err, -EINVAL, 0, "BECOME has a bad 'program'");
	else if (asprintf(&argv[0], "%s", slash + 1) < 0 || fcntl(first, F_SETFD, 0) < 0)
		lg_fail(&err, -errno, "start '%s'", path);
	if (!err.code)
		execv(path, argv);
	if (!err.code)
		lg_fail(&err, -errno, "start '%s'", path);
	start_fail(&err);
}

static void say_state(int to)
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
	lg_msg_send(to, &msg_out);
}

static void take_signal(const struct lg_msg *m)
{
	uint64_t sig = lg_msg_get_u64(m, "sig", 0);

	if (shim.phase != PHASE_SPARE && sig > 0 && sig <= 64)
		lg_pidfd_signal(shim.launch.pidfd, (int)sig);
}

static void dispatch(int from, struct lg_msg *m)
{
	switch (m->kind) {
	case LG_P_SPARE:
		take_spare(m);
		break;
	case LG_P_BECOME:
		become(m);
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
		say_state(from);
		break;
	case LG_P_LEND:
		lend_take(m, from);
		break;
	case LG_P_DEVICES:
		devices_take(m, from);
		break;
	case LG_P_EXEC:
		session_begin(m);
		break;
	case LG_P_CONSOLE:
		lg_console_join(lg_msg_take_fd(m, 0));
		break;
	case LG_P_SIGNAL:
		take_signal(m);
		break;
	case LG_P_RESIZE:
		lg_console_resize((unsigned int)lg_msg_get_u64(m, "rows", 0),
				  (unsigned int)lg_msg_get_u64(m, "cols", 0));
		break;
	default:
		break;	/* a newer lodged's; it must not count on an answer */
	}
}

int dispatch_first(int fd)
{
	static const struct lg_link_user user = { .message = dispatch, .gone = gone };

	first = fd;
	return lg_link_first(fd, &user);
}
