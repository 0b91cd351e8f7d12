/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ct/process.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

static char *title;
static size_t title_size;

/* The kernel shows what stands where the arguments and the environment were. */
void lg_process_title(int argc, char **argv)
{
	char *end = argv[argc - 1] + strlen(argv[argc - 1]) + 1;

	for (char **e = environ; *e; e++)
		if (*e == end)
			end += strlen(*e) + 1;
	title = argv[0];
	title_size = (size_t)(end - title);
}

void lg_process_name(const char *program, const char *word, unsigned int ctid)
{
	char name[16];

	memset(title, 0, title_size);
	snprintf(title, title_size, "%s %u", program, ctid);
	snprintf(name, sizeof(name), "%.4s %u", word, ctid);
	prctl(PR_SET_NAME, name, 0, 0, 0);
}

/* Nothing that is sent to a shim by accident may end what it is for. */
int lg_process_children(struct lg_source *source)
{
	sigset_t all, child;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	source->fd = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
	return source->fd < 0 ? -errno : lg_source_add(source, EPOLLIN);
}

void lg_process_heard(const struct lg_source *source)
{
	struct signalfd_siginfo info;

	while (read(source->fd, &info, sizeof(info)) > 0)
		;
}

bool lg_process_connected(int fd)
{
	socklen_t len = sizeof(int);
	int type = 0;

	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_SEQPACKET;
}
