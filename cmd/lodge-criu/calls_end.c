/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * What CRIU does when lodge-criu ends before it, or does not want it any more. In a dump it gets SIGTERM then and finds that it can make
 * no more files: it fails and puts right what it did to the container, which it would not if it were killed. A restore is
 * killed: nothing of it may stay.
 */

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#include "cmd/lodge-criu/calls.h"

/* NOLINTBEGIN(readability-inconsistent-declaration-parameter-name): the names in the C library's headers are reserved */

static volatile sig_atomic_t given_up;
static long forks;	/* the process that is about to make a child */

static void on_term(int sig)
{
	(void)sig;
	given_up = 1;
}

int calls_give_up(void)
{
	return given_up != 0;
}

/* What CRIU starts must not outlive it: it would keep the connection open by whose end lodge-criu sees that CRIU was killed. */
static void note_parent(void)
{
	forks = call(SYS_getpid, 0, 0, 0, 0);
}

static void follow_criu(void)
{
	call(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0);
	if (call(SYS_getppid, 0, 0, 0, 0) != forks)
		call(SYS_exit_group, 1, 0, 0, 0);
}

/* CRIU itself, and not one of the programs that it runs, is the child of lodge-criu. */
__attribute__((constructor)) static void follow_parent(void)
{
	struct sigaction sa = { .sa_handler = on_term, .sa_flags = SA_RESTART };
	int dumps = number_of("LODGE_DUMPS") != 0;

	if (getppid() != number_of("LODGE_PARENT"))
		return;
	if (dumps) {
		sigaction(SIGTERM, &sa, NULL);
		pthread_atfork(note_parent, NULL, follow_criu);
	}
	prctl(PR_SET_PDEATHSIG, dumps ? SIGTERM : SIGKILL);
	/* Had it ended before that, CRIU sees it by its connection, before it has done anything. */
}

static int open_file(int dir, const char *path, int flags, mode_t mode)
{
	const long a[6] = { dir, (long)path, flags, (long)mode };

	if (given_up && (flags & O_CREAT))
		return (int)result(-ECANCELED);
	return (int)result(kernel(SYS_openat, a));
}

static int has_mode(int flags)
{
	return (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE;
}

EXPORTED int openat(int dir, const char *path, int flags, ...)
{
	mode_t mode = 0;
	va_list ap;

	va_start(ap, flags);
	if (has_mode(flags))
		mode = va_arg(ap, mode_t);
	va_end(ap);
	return open_file(dir, path, flags, mode);
}

EXPORTED int openat64(int dir, const char *path, int flags, ...)
{
	mode_t mode = 0;
	va_list ap;

	va_start(ap, flags);
	if (has_mode(flags))
		mode = va_arg(ap, mode_t);
	va_end(ap);
	return open_file(dir, path, flags, mode);
}

/* NOLINTEND(readability-inconsistent-declaration-parameter-name) */
