/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "survive.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHILD_MAX 64u

static pid_t noted[CHILD_MAX];
static unsigned int n_noted;

struct answer {
	int result;
	char why[200];
};

static void serve(int control, int (*body)(int request))
{
	int request;

	while (read(control, &request, sizeof(request)) == sizeof(request)) {
		struct answer answer = {.result = body(request)};

		snprintf(answer.why, sizeof(answer.why), "%.190s", sv_why());
		if (write(control, &answer, sizeof(answer)) != sizeof(answer))
			break;
	}
	_exit(0);
}

int sv_child_start(struct sv_child *child, int (*body)(int request))
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return sv_errno("socketpair");
	child->pid = fork();
	if (child->pid < 0)
		return sv_errno("fork");
	if (child->pid == 0) {
		close(pair[0]);
		serve(pair[1], body);
	}
	close(pair[1]);
	child->control = pair[0];
	sv_child_note(child->pid);
	return 0;
}

int sv_child_ask(const struct sv_child *child, int request)
{
	struct answer answer;

	if (send(child->control, &request, sizeof(request), MSG_NOSIGNAL) != sizeof(request) ||
	    recv(child->control, &answer, sizeof(answer), MSG_WAITALL) != sizeof(answer))
		return sv_fail("its other process does not answer");
	if (answer.result < 0)
		sv_fail("%s", answer.why);
	return answer.result;
}

void sv_child_kill(const struct sv_child *child)
{
	kill(child->pid, SIGKILL);
	while (waitpid(child->pid, NULL, 0) < 0 && errno == EINTR)
		;
}

void sv_child_note(pid_t pid)
{
	if (n_noted < CHILD_MAX)
		noted[n_noted++] = pid;
}

/* One that has been waited for is no longer ours; its number may be another's. */
void sv_children_end(void)
{
	for (unsigned int i = 0; i < n_noted; i++) {
		if (waitpid(noted[i], NULL, WNOHANG) == 0) {
			kill(noted[i], SIGKILL);
			waitpid(noted[i], NULL, 0);
		}
	}
	n_noted = 0;
}
