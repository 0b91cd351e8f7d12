/* SPDX-License-Identifier: GPL-2.0-or-later */

/* lodge-vm: parent of one microVM's QEMU. vm.h says how it works. */

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cmd/lodge-vm/vm.h"
#include "ct/inside.h"
#include "ct/trace.h"

#define CONNECTION 3

struct vm vm = { .pidfd = -1, .netns_fd = -1, .incoming_fd = -1 };
struct lg_msg msg_in, msg_out, start_msg;

static char *title;
static size_t title_size;

/* The kernel shows what stands where the arguments and the environment were. */
static void find_title(int argc, char **argv)
{
	char *end = argv[argc - 1] + strlen(argv[argc - 1]) + 1;

	for (char **e = environ; *e; e++)
		if (*e == end)
			end += strlen(*e) + 1;
	title = argv[0];
	title_size = (size_t)(end - title);
}

void set_title(unsigned int ctid)
{
	char name[16];

	memset(title, 0, title_size);
	snprintf(title, title_size, "lodge-vm %u", ctid);
	snprintf(name, sizeof(name), "vm %u", ctid);
	prctl(PR_SET_NAME, name, 0, 0, 0);
}

static void on_child(struct lg_source *s, uint32_t events)
{
	struct signalfd_siginfo info;
	int status;
	pid_t pid;

	(void)events;
	while (read(s->fd, &info, sizeof(info)) > 0)
		;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		if (pid == vm.pid)
			qemu_reaped(status);
}

static struct lg_source children = { .on_event = on_child };

/* Nothing that is sent to us by accident may end a machine. */
static int watch_children(void)
{
	sigset_t all, child;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	children.fd = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
	return children.fd < 0 ? -errno : lg_source_add(&children, EPOLLIN);
}

static bool is_connection(int fd)
{
	socklen_t len = sizeof(int);
	int type = 0;

	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_SEQPACKET;
}

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

	if (argc < 1 || !is_connection(CONNECTION)) {
		fputs("lodge-vm: it is started by lodged\n", stderr);
		return 1;
	}
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	umask(077);
	if (getenv("LG_SHIM_TRACE"))
		lg_trace_open();
	find_title(argc, argv);
	lg_oom_note();
	fcntl(CONNECTION, F_SETFD, FD_CLOEXEC);
	r = lg_loop_init();
	if (r == 0)
		r = watch_children();
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
