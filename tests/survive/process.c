/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "survive.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- groups and sessions ---------------------------------------------------------- */

static struct sv_child child;
static pid_t *grandchild; /* shared: the child makes it */

enum request {
	SETTLE,
	CHECK,
};

/* A session leader with a child in a group of its own. */
static int settle(int request)
{
	pid_t pid = *grandchild;

	if (request == CHECK) {
		if (sv_same("the leader's session", getpid(), getsid(0)) < 0 ||
		    sv_same("its group", getpid(), getpgrp()) < 0 ||
		    sv_same("its child's session", getpid(), getsid(pid)) < 0)
			return -1;
		return sv_same("its child's group", pid, getpgid(pid));
	}
	if (setsid() < 0)
		return sv_errno("setsid");
	pid = fork();
	if (pid == 0) {
		/* Goes with its parent, whatever that dies of. */
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	if (pid < 0 || setpgid(pid, pid) < 0)
		return sv_errno("setpgid");
	*grandchild = pid;
	return 0;
}

static int group_setup(void)
{
	grandchild = mmap(NULL, sizeof(pid_t), PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (grandchild == MAP_FAILED || sv_child_start(&child, settle) < 0)
		return sv_errno("mmap");
	return sv_child_ask(&child, SETTLE);
}

static int group_verify(void)
{
	int r = sv_child_ask(&child, CHECK);

	if (r == 0)
		r = sv_same("session seen by the parent", child.pid, getsid(child.pid));
	if (kill(-*grandchild, SIGKILL) < 0)
		r = sv_errno("a signal to the group");
	return r;
}

static void group_spoil(void)
{
	kill(*grandchild, SIGKILL);
	sv_child_kill(&child);
}

/* ---- zombies ---------------------------------------------------------------------- */

static pid_t exited, killed;

static int zombie_setup(void)
{
	siginfo_t info;

	exited = fork();
	if (exited == 0)
		_exit(42);
	killed = fork();
	if (killed == 0) {
		for (;;)
			pause();
	}
	if (exited < 0 || killed < 0 || kill(killed, SIGKILL) < 0 ||
	    waitid(P_PID, exited, &info, WEXITED | WNOWAIT) < 0 ||
	    waitid(P_PID, killed, &info, WEXITED | WNOWAIT) < 0)
		return sv_errno("fork");
	sv_child_note(exited);
	sv_child_note(killed);
	return 0;
}

static int zombie_verify(void)
{
	int status = 0;

	if (waitpid(exited, &status, WNOHANG) != exited)
		return sv_fail("the zombie is gone");
	if (!WIFEXITED(status) || sv_same("its exit status", 42, WEXITSTATUS(status)) < 0)
		return sv_fail("its status is %#x", status);
	if (waitpid(killed, &status, WNOHANG) != killed || !WIFSIGNALED(status))
		return sv_fail("the killed one's status is %#x", status);
	return sv_same("its signal", SIGKILL, WTERMSIG(status));
}

static void zombie_spoil(void)
{
	waitpid(exited, NULL, 0);
}

/* ---- a stopped process ------------------------------------------------------------ */

static atomic_uint *ran; /* shared */
static pid_t stopped;

static int stopped_setup(void)
{
	int status;

	ran = mmap(NULL, sizeof(*ran), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		   0);
	if (ran == MAP_FAILED)
		return sv_errno("mmap");
	stopped = fork();
	while (stopped == 0) {
		atomic_fetch_add(ran, 1);
		sv_sleep_ms(1);
	}
	sv_child_note(stopped);
	if (stopped < 0 || kill(stopped, SIGSTOP) < 0 ||
	    waitpid(stopped, &status, WUNTRACED) != stopped)
		return sv_errno("SIGSTOP");
	return 0;
}

static bool has_run(void)
{
	static unsigned int before;
	bool moved = before && atomic_load(ran) != before;

	before = atomic_load(ran) + !atomic_load(ran);
	return moved;
}

static int stopped_verify(void)
{
	unsigned int before = atomic_load(ran);

	sv_sleep_ms(50);
	if (sv_same("how often the stopped process ran", before, atomic_load(ran)) < 0)
		return -1;
	kill(stopped, SIGCONT);
	return sv_until(5000, has_run) ? 0 : sv_fail("the stopped process does not go on");
}

static void stopped_spoil(void)
{
	kill(stopped, SIGCONT);
}

/* ---- an orphan that came to a subreaper ------------------------------------------- */

static pid_t orphan;

static int orphan_setup(void)
{
	int pipes[2];
	pid_t middle;

	if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0 || pipe(pipes) < 0)
		return sv_errno("PR_SET_CHILD_SUBREAPER");
	middle = fork();
	if (middle == 0) {
		orphan = fork();
		while (orphan == 0)
			pause();
		(void)!write(pipes[1], &orphan, sizeof(orphan));
		_exit(0);
	}
	if (middle < 0 || read(pipes[0], &orphan, sizeof(orphan)) != sizeof(orphan))
		return sv_errno("fork");
	close(pipes[0]);
	close(pipes[1]);
	waitpid(middle, NULL, 0);
	sv_child_note(orphan);
	return 0;
}

static int orphan_verify(void)
{
	int reaper = 0, status = 0;

	prctl(PR_GET_CHILD_SUBREAPER, &reaper);
	if (sv_same("subreaper", 1, reaper) < 0 || kill(orphan, SIGTERM) < 0 ||
	    kill(orphan, SIGKILL) < 0)
		return sv_fail("the orphan is gone");
	if (waitpid(orphan, &status, 0) != orphan)
		return sv_errno("the orphan is not its subreaper's child");
	return 0;
}

static void orphan_spoil(void)
{
	kill(orphan, SIGKILL);
	waitpid(orphan, NULL, 0);
}

/* clang-format off */
const struct sv_item sv_process_items[] = {
	{ "process-groups", "sessions and process groups", group_setup, group_verify, group_spoil, NULL, SV_KEPT },
	{ "process-zombies", "zombies and their status", zombie_setup, zombie_verify, zombie_spoil, NULL, SV_KEPT },
	{ "process-stopped", "a stopped process stays stopped", stopped_setup, stopped_verify, stopped_spoil, NULL, SV_KEPT },
	{ "process-orphan", "a subreaper and its orphan", orphan_setup, orphan_verify, orphan_spoil, NULL, SV_KEPT },
	{ .name = NULL },
};
