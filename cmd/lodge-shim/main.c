/* SPDX-License-Identifier: GPL-2.0-or-later */

/* lodge-shim: parent of one container's init. shim.h says how it works. */

#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cmd/lodge-shim/prune.h"
#include "cmd/lodge-shim/shim.h"
#include "ct/inside.h"
#include "ct/process.h"
#include "ct/trace.h"
#include "lib/cleanup.h"

#define CONNECTION 3

struct shim shim = { .devpts = -1, .cgroup_fd = -1, .leaf_fd = -1, .seccomp_fd = -1 };
struct lg_msg msg_in, msg_out;

void set_title(unsigned int ctid)
{
	lg_process_name("lodge-shim", "shim", ctid);
}

static void on_child(struct lg_source *s, uint32_t events)
{
	int status, init_status = 0;
	bool init_ended = false;
	pid_t pid;

	(void)events;
	lg_process_heard(s);
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid == shim.launch.pid) {
			init_ended = true;
			init_status = status;
		} else if (!procfs_reaped(pid)) {
			session_reaped(pid, status);
		}
	}
	if (init_ended)
		init_reaped(init_status);
}

static struct lg_source children = { .on_event = on_child };

/*
 * A mount namespace that follows the host's, so that a disk that is unmounted there is not held
 * here; and no key of whoever started lodged.
 */
static int detach(void)
{
	setsid();
	umask(077);
	if (chdir("/") < 0 || unshare(CLONE_NEWNS) < 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
		return -errno;
	syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL);
	lg_oom_note();
	return 0;
}

/* A spare stays as it is, warm for its start. */
static int wait_quietly(int epoll, struct epoll_event *ev)
{
	if (shim.phase != PHASE_RUNNING)
		return epoll_wait(epoll, ev, 1, -1);
	prune_all();
	return trim_and_wait(epoll, ev);
}

int main(int argc, char **argv)
{
	int r;

	/* A script inside may run this file (ct/enter.h): it has no connection, and ends here. */
	if (argc < 1 || !lg_process_connected(CONNECTION)) {
		static const char text[] = "lodge-shim: it is started by lodged\n";

		return write(2, text, sizeof(text) - 1) < 0 ? 2 : 1;
	}
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	if (getenv("LG_SHIM_TRACE"))
		lg_trace_open();
	lg_process_title(argc, argv);
	trim_init();
	fcntl(CONNECTION, F_SETFD, FD_CLOEXEC);
	r = lg_loop_init();
	if (r == 0)
		r = lg_process_children(&children);
	if (r == 0)
		r = detach();
	if (r == 0)
		r = dispatch_first(CONNECTION);
	if (r < 0) {
		dprintf(2, "lodge-shim: cannot prepare: %s\n", strerror(-r));
		return 1;
	}
	lg_loop_run(wait_quietly);
}
