/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * How a dump ends before its time. A CRIU that is killed may leave a process in the middle of code that was put into it; one that
 * gives up puts everything right. So whoever does not want the dump any more sends us SIGTERM, as the kernel does when
 * lodged ends; we pass it on, and calls.c has CRIU fail at the next file that it makes. Only what does not heed that is killed.
 */

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cmd/lodge-criu/criu.h"
#include "lib/cleanup.h"

#define PATIENCE_MS 5000u	/* for it to end in order */
#define STEP_MS 5u

static volatile sig_atomic_t wanted, shared, criu_pid;
static pid_t tracer;	/* stopped; the container is held by it */

static void on_term(int sig)
{
	(void)sig;
	if (shared && !wanted)
		kill(0, SIGTERM);	/* we get it as well, once */
	wanted = 1;
	if (criu_pid > 0)
		kill(criu_pid, SIGTERM);
}

void cancel_init(void)
{
	struct sigaction sa = { .sa_handler = on_term, .sa_flags = SA_RESTART };

	sigaction(SIGTERM, &sa, NULL);
	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
}

/* There are no calls back then, from which it would be known who is who. */
void cancel_share(void)
{
	setpgid(0, 0);
	shared = getpgrp() == getpid();
}

/* What CRIU has made by then has its end of the connection, so that libcriu would wait for an answer for ever. */
static void on_child(int sig)
{
	int saved = errno;
	siginfo_t info = { 0 };

	(void)sig;
	if (criu_pid > 0 && waitid(P_PID, (id_t)criu_pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
	    (info.si_code == CLD_KILLED || info.si_code == CLD_DUMPED))
		_exit(1);
	errno = saved;
}

void cancel_watch(void)
{
	struct sigaction sa = { .sa_handler = on_child, .sa_flags = SA_RESTART | SA_NOCLDSTOP };

	sigaction(SIGCHLD, &sa, NULL);
}

/* Return: how many there are. */
static int each_child(int sig, pid_t *ret)
{
	lg_autofile FILE *f = fopen("/proc/thread-self/children", "re");
	int child, n = 0;

	for (; f && fscanf(f, "%d", &child) == 1; n++) {
		*ret = child;
		if (sig)
			kill(child, sig);
	}
	return n;
}

/* It is our only child then. */
int cancel_found(void)
{
	pid_t pid = 0;

	if (criu_pid == 0 && each_child(0, &pid) == 1)
		criu_pid = pid;
	if (wanted && criu_pid > 0)
		kill(criu_pid, SIGTERM);
	return criu_pid;
}

bool cancel_wanted(void)
{
	return wanted != 0;
}

/*
 * Those whose parent has ended are ours by now, so that this gets all of them. Return: one of them has stopped itself and is the
 * last, which is the tracer; 0: all have ended.
 */
static pid_t wait_for_all(void)
{
	pid_t stopped = 0, last = 0;

	for (unsigned int ms = 0;; ms += STEP_MS) {
		int status = 0;
		pid_t pid = waitpid(-1, &status, WNOHANG | WUNTRACED | __WALL);

		if (pid < 0 && errno == ECHILD)
			return 0;
		if (pid > 0 && WIFSTOPPED(status))
			stopped = pid;
		if (pid > 0)
			continue;
		if (stopped && each_child(0, &last) == 1 && last == stopped)
			return stopped;
		if (ms >= PATIENCE_MS)
			each_child(SIGKILL, &last);
		usleep(STEP_MS * 1000u);
	}
}

void cancel_finish(void)
{
	tracer = wait_for_all();
}

void cancel_release(void)
{
	if (tracer > 0) {
		kill(tracer, SIGCONT);
		wait_for_all();
	}
	/* A dump may be tried again. */
	tracer = 0;
	criu_pid = 0;
}
