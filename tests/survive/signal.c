/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "survive.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static sigset_t set_of(int first, int second)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, first);
	sigaddset(&set, second);
	return set;
}

static int take(int sig, siginfo_t *ret)
{
	struct timespec now = {0, 0};
	sigset_t set = set_of(sig, sig);

	memset(ret, 0, sizeof(*ret));
	return sigtimedwait(&set, ret, &now) < 0 ? sv_errno("a signal that was pending") : 0;
}

/* ---- pending, for the process and for its thread ---------------------------------- */

static int pending_setup(void)
{
	sigset_t set = set_of(SIGUSR1, SIGUSR2);

	sigprocmask(SIG_BLOCK, &set, NULL);
	if (kill(getpid(), SIGUSR1) < 0 ||
	    syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), SIGUSR2) < 0)
		return sv_errno("kill");
	return 0;
}

/* Is it pending where /proc says so: SigPnd is the thread's, ShdPnd the process's. */
static int pending_as(const char *key, int sig)
{
	char text[32];

	if (sv_line("/proc/thread-self/status", key, text, sizeof(text)) < 0)
		return -1;
	return sv_same(key, 1, strtoull(text, NULL, 16) >> (sig - 1) & 1);
}

static int pending_verify(void)
{
	siginfo_t info;

	if (pending_as("ShdPnd:", SIGUSR1) < 0 || pending_as("SigPnd:", SIGUSR2) < 0 ||
	    take(SIGUSR1, &info) < 0 ||
	    sv_same("who sent SIGUSR1", getpid(), info.si_pid) < 0 || take(SIGUSR2, &info) < 0)
		return -1;
	return sv_same("who sent SIGUSR2", getpid(), info.si_pid);
}

static void pending_spoil(void)
{
	siginfo_t info;

	take(SIGUSR2, &info);
}

/* ---- queued ones, with their values, in their order ------------------------------- */

#define QUEUED 20

static int queued_setup(void)
{
	sigset_t set = set_of(SIGRTMIN + 1, SIGRTMIN + 2);

	sigprocmask(SIG_BLOCK, &set, NULL);
	for (int i = 0; i < QUEUED; i++) {
		union sigval value = {.sival_int = 500 + i};

		if (sigqueue(getpid(), SIGRTMIN + 1 + i % 2, value) < 0)
			return sv_errno("sigqueue");
	}
	return 0;
}

static int queued_verify(void)
{
	siginfo_t info;
	sigset_t set;

	for (int i = 0; i < QUEUED; i++) {
		if (take(SIGRTMIN + 1 + i % 2, &info) < 0 ||
		    sv_same("value of a queued signal", 500 + i, info.si_value.sival_int) < 0 ||
		    sv_same("its code", SI_QUEUE, info.si_code) < 0)
			return -1;
	}
	sigpending(&set);
	return sv_same("signals left over", 0,
		       sigismember(&set, SIGRTMIN + 1) + sigismember(&set, SIGRTMIN + 2));
}

static void queued_spoil(void)
{
	siginfo_t info;

	take(SIGRTMIN + 1, &info);
}

/* ---- handlers, masks, the alternate stack ----------------------------------------- */

#define STACK_SIZE (64u << 10)

static char *stack;
static atomic_int handled, on_stack, masked;

static void on_signal(int sig, siginfo_t *info, void *context)
{
	sigset_t set;
	char here;

	(void)context;
	sigprocmask(SIG_BLOCK, NULL, &set);
	on_stack = &here >= stack && &here < stack + STACK_SIZE;
	masked = sigismember(&set, SIGALRM);
	handled = sig == SIGUSR1 && info->si_pid == getpid();
}

static int handler_setup(void)
{
	struct sigaction action = {.sa_sigaction = on_signal,
				   .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESETHAND};
	stack_t alternate = {.ss_size = STACK_SIZE};
	sigset_t set = set_of(SIGHUP, SIGRTMIN + 9);

	stack = malloc(STACK_SIZE);
	alternate.ss_sp = stack;
	sigaddset(&action.sa_mask, SIGALRM);
	if (!stack || sigaltstack(&alternate, NULL) < 0 ||
	    sigaction(SIGUSR1, &action, NULL) < 0 || signal(SIGQUIT, SIG_IGN) == SIG_ERR ||
	    sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return sv_errno("sigaction");
	return 0;
}

static int handler_verify(void)
{
	struct sigaction action;
	sigset_t set;

	sigprocmask(SIG_BLOCK, NULL, &set);
	if (sv_same("SIGHUP blocked", 1, sigismember(&set, SIGHUP)) < 0 ||
	    sv_same("a real-time signal blocked", 1, sigismember(&set, SIGRTMIN + 9)) < 0 ||
	    sv_same("SIGUSR1 blocked", 0, sigismember(&set, SIGUSR1)) < 0)
		return -1;
	sigaction(SIGQUIT, NULL, &action);
	if (action.sa_handler != SIG_IGN)
		return sv_fail("SIGQUIT is not ignored any more");
	raise(SIGUSR1);
	if (sv_same("the handler ran", 1, handled) < 0 ||
	    sv_same("on the alternate stack", 1, on_stack) < 0 ||
	    sv_same("with its mask", 1, masked) < 0)
		return -1;
	sigaction(SIGUSR1, NULL, &action);
	return action.sa_handler == SIG_DFL ? 0 : sv_fail("SA_RESETHAND was lost");
}

static void handler_spoil(void)
{
	stack_t none = {.ss_flags = SS_DISABLE};

	sigaltstack(&none, NULL);
}

/* clang-format off */
const struct sv_item sv_signal_items[] = {
	{ "signal-pending", "pending for the process and for a thread", pending_setup, pending_verify, pending_spoil, NULL, SV_KEPT },
	{ "signal-queued", "queued ones, their values and order", queued_setup, queued_verify, queued_spoil, NULL, SV_KEPT },
	{ "signal-handlers", "handlers, masks, the alternate stack", handler_setup, handler_verify, handler_spoil, NULL, SV_KEPT },
	{ .name = NULL },
};
