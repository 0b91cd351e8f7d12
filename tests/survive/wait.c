/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "survive.h"

#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/*
 * A process is dumped in whatever system call it sleeps in, and that call has to go on, or
 * start again, when it is restored. So the items wait in different ones. SIGTERM is blocked but
 * while it is waited for.
 */

static atomic_int asked;
static int self_pipe[2];

static void on_term(int sig)
{
	char c = 0;

	(void)sig;
	asked = 1;
	syscall(SYS_futex, &asked, FUTEX_WAKE, 1, NULL, NULL, 0);
	(void)!write(self_pipe[1], &c, 1);
}

static void mask_of(int how)
{
	sigset_t term;

	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	sigprocmask(how, &term, NULL);
}

/* What is blocked now, without SIGTERM. */
static sigset_t waiting_mask(void)
{
	sigset_t set;

	sigprocmask(SIG_BLOCK, NULL, &set);
	sigdelset(&set, SIGTERM);
	return set;
}

void sv_wait_prepare(void)
{
	struct sigaction action = {.sa_handler = on_term};

	mask_of(SIG_BLOCK);
	(void)!pipe(self_pipe);
	sigaction(SIGTERM, &action, NULL);
}

static void by_sigwait(void)
{
	sigset_t term;

	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	while (sigwaitinfo(&term, NULL) < 0)
		;
}

static void by_sigsuspend(void)
{
	sigset_t set = waiting_mask();

	while (!asked)
		sigsuspend(&set);
}

static void by_ppoll(void)
{
	struct pollfd p = {.fd = self_pipe[0], .events = POLLIN};
	sigset_t set = waiting_mask();

	while (!asked)
		ppoll(&p, 1, NULL, &set);
}

static void by_pselect(void)
{
	sigset_t set = waiting_mask();
	struct timespec hour = {3600, 0};

	while (!asked)
		pselect(0, NULL, NULL, NULL, &hour, &set);
}

static void by_epoll(void)
{
	int fd = epoll_create1(EPOLL_CLOEXEC);
	sigset_t set = waiting_mask();
	struct epoll_event event;

	while (!asked)
		epoll_pwait(fd, &event, 1, -1, &set);
	close(fd);
}

static void by_signalfd(void)
{
	struct signalfd_siginfo info;
	sigset_t term;
	int fd;

	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	fd = signalfd(-1, &term, SFD_CLOEXEC);
	while (read(fd, &info, sizeof(info)) != sizeof(info))
		;
	close(fd);
}

static void by_read(void)
{
	char c;

	mask_of(SIG_UNBLOCK);
	while (read(self_pipe[0], &c, 1) != 1)
		;
	mask_of(SIG_BLOCK);
}

static void by_futex(void)
{
	mask_of(SIG_UNBLOCK);
	while (!asked)
		syscall(SYS_futex, &asked, FUTEX_WAIT, 0, NULL, NULL, 0);
	mask_of(SIG_BLOCK);
}

/* Short, as a signal that comes just before it does not end it. */
static void by_nanosleep(void)
{
	struct timespec nap = {0, 200000000};

	mask_of(SIG_UNBLOCK);
	while (!asked)
		clock_nanosleep(CLOCK_MONOTONIC, 0, &nap, NULL);
	mask_of(SIG_BLOCK);
}

static void (*const ways[])(void) = {
	by_sigwait,  by_sigsuspend, by_ppoll, by_pselect,   by_epoll,
	by_signalfd, by_read,       by_futex, by_nanosleep,
};

int sv_wait(unsigned int way, int (*work)(void))
{
	int r = 0;

	if (!work) {
		ways[way % (sizeof(ways) / sizeof(ways[0]))]();
		return 0;
	}
	mask_of(SIG_UNBLOCK);
	while (!asked && r == 0)
		r = work();
	mask_of(SIG_BLOCK);
	return r;
}
