/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * What tests ask for by LG_CRIU_HOOK of lodged: "WHO@POINT". When CRIU calls back at that point, or at "go" when it was told that
 * what it wrote counts, WHO is killed (criu, helper: ourselves, parent: who started us), or nobody says anything any more (hang).
 */

#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cmd/lodge-criu/criu.h"

static void wait_for_death(void)
{
	for (;;)
		pause();
}

static void kill_and_see(pid_t pid)
{
	siginfo_t info;

	kill(pid, SIGKILL);
	waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT);
}

void hook_at(const char *point)
{
	const char *hook = lg_msg_get(job.m, "hook");
	const char *at = hook ? strchr(hook, '@') : NULL;
	size_t len = at ? (size_t)(at - hook) : 0;

	if (!at || strcmp(at + 1, point) != 0)
		return;
	if (strncmp(hook, "criu", len) == 0)
		kill_and_see(cancel_found());
	else if (strncmp(hook, "helper", len) == 0)
		kill(getpid(), SIGKILL);
	else if (strncmp(hook, "parent", len) == 0)
		kill(getppid(), SIGKILL);
	else if (strncmp(hook, "hang", len) == 0)
		wait_for_death();
}
