/* SPDX-License-Identifier: GPL-2.0-or-later */

/* lodge-vm: parent of one microVM's QEMU. vm.h says how it works. */

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cmd/lodge-vm/vm.h"
#include "ct/inside.h"
#include "ct/process.h"
#include "ct/trace.h"

#define CONNECTION 3

struct vm vm = { .pidfd = -1, .netns_fd = -1, .incoming_fd = -1 };
struct lg_msg msg_in, msg_out, start_msg;

void set_title(unsigned int ctid)
{
	lg_process_name("lodge-vm", "vm", ctid);
}

static void on_child(struct lg_source *s, uint32_t events)
{
	int status;
	pid_t pid;

	(void)events;
	lg_process_heard(s);
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		if (pid == vm.pid)
			qemu_reaped(status);
}

static struct lg_source children = { .on_event = on_child };

/* What the start has used and nothing needs any more goes back, once. */
static int wait_quietly(int epoll, struct epoll_event *ev)
{
	static bool trimmed;

	if (vm.phase == PHASE_RUNNING && !trimmed) {
		trimmed = true;
		malloc_trim(0);
	}
	return epoll_wait(epoll, ev, 1, -1);
}

int main(int argc, char **argv)
{
	int r;

	if (argc < 1 || !lg_process_connected(CONNECTION)) {
		fputs("lodge-vm: it is started by lodged\n", stderr);
		return 1;
	}
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	umask(077);
	if (getenv("LG_SHIM_TRACE"))
		lg_trace_open();
	lg_process_title(argc, argv);
	lg_oom_note();
	fcntl(CONNECTION, F_SETFD, FD_CLOEXEC);
	r = lg_loop_init();
	if (r == 0)
		r = lg_process_children(&children);
	if (r == 0)
		r = timers_init();
	if (r == 0)
		r = dispatch_first(CONNECTION);
	if (r < 0) {
		dprintf(2, "lodge-vm: cannot prepare: %s\n", strerror(-r));
		return 1;
	}
	lg_trace("lodge-vm");
	lg_loop_run(wait_quietly);
}
