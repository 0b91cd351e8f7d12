/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * A dump whose CRIU is killed must not harm the container. Were CRIU itself the tracer of its processes, the kernel would let them
 * go at that moment: one of them perhaps on an instruction that CRIU had put there, and all of them while their connections are
 * in repair mode, where reading and writing fail.
 *
 * How it works: a second process in CRIU's memory and with its descriptors, the tracer, makes the calls of ptrace() and wait4() for it, and takes down what
 * a process was like before anything in it was changed. It lives on when CRIU is gone. Then it stops all processes, gives them back
 * their registers, signal masks and code, removes the parasite, and stops itself; lodge-criu heals what else there is
 * (heal.c) and lets the tracer end, and by that the container goes on.
 *
 * Whoever kills the tracer, too, gets what the kernel does. Both sides wait for each other a moment actively, as there are
 * thousands of calls and the container stands still meanwhile.
 */

#include <linux/futex.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cmd/lodge-criu/calls.h"
#include "cmd/lodge-criu/calls_trace.h"

/* NOLINTBEGIN(readability-inconsistent-declaration-parameter-name): the names in the C library's headers are reserved */

#define STACK (64u << 10)
#define SPINS 400
#define NAP_NS 5000000
#define ALIVE_NAPS 20	/* between looks at whether the tracer lives */

enum { IDLE, ASKED, ANSWERED };

/* One call at a time: CRIU is one thread. */
static struct {
	volatile int state;
	volatile int interrupted;	/* CRIU got a signal while it waits */
	long number, ret;
	long a[6];
} slot;

static long user;	/* the process that the tracer works for; 0: there is none */
static long tracer;

/* ---- waiting for each other ---- */

static void nap(int state)
{
	const struct timespec t = { .tv_nsec = NAP_NS };
	const long a[6] = { (long)&slot.state, FUTEX_WAIT, state, (long)&t };

	kernel(SYS_futex, a);
}

static int await_spinning(int state)
{
	for (int i = 0; i < SPINS; i++) {
		if (__atomic_load_n(&slot.state, __ATOMIC_ACQUIRE) == state)
			return 1;
		__builtin_ia32_pause();
	}
	return 0;
}

static void set_state(int state)
{
	const long a[6] = { (long)&slot.state, FUTEX_WAKE, 1 };

	__atomic_store_n(&slot.state, state, __ATOMIC_RELEASE);
	kernel(SYS_futex, a);
}

/* ---- the tracer's side ---- */

static int is_orphan(void)
{
	return call(SYS_getppid, 0, 0, 0, 0) != user;
}

/* Its signals are blocked but for one: a sleep that any child of it ends, and what CRIU hears, too. */
static void sleep_until_child(void)
{
	const struct timespec t = { .tv_nsec = NAP_NS };
	unsigned long set = 1ul << (SIGCHLD - 1);

	call(SYS_rt_sigtimedwait, (long)&set, 0, (long)&t, sizeof(set));
}

static long wait_for(long pid, long status, long options, long usage)
{
	for (int i = 0;; i++) {
		long r = call(SYS_wait4, pid, status, options | WNOHANG, usage);

		if (r != 0 || (options & WNOHANG))
			return r;
		if (slot.interrupted || is_orphan())
			return -EINTR;
		if (i >= SPINS / 16)
			sleep_until_child();
	}
}

static long serve(void)
{
	const long *a = slot.a;
	long r;

	if (slot.number == SYS_wait4) {
		r = wait_for(a[0], a[1], a[2], a[3]);
		if (r > 0)
			tracees_waited((int)r, *(int *)a[1]);
		return r;
	}
	tracees_before(a[0], (int)a[1], a[2], a[3]);
	r = call(SYS_ptrace, a[0], a[1], a[2], a[3]);
	if (r >= 0)
		tracees_after(a[0], (int)a[1], a[2], a[3]);
	return r;
}

static void on_cont(int sig)
{
	(void)sig;
}

static void settle_down(void)
{
	struct sigaction sa = { .sa_handler = on_cont };
	unsigned long set = ~(1ul << (SIGCONT - 1));

	sigaction(SIGCONT, &sa, NULL);
	call(SYS_rt_sigprocmask, SIG_SETMASK, (long)&set, 0, sizeof(set));
	call(SYS_prctl, PR_SET_PDEATHSIG, SIGCONT, 0, 0);
	call(SYS_prctl, PR_SET_NAME, (long)"lodge-tracer", 0, 0);
}

/* lodge-criu heals while we are stopped; when it is gone nobody would let us go on. */
static void hold(void)
{
	if (call(SYS_getppid, 0, 0, 0, 0) == number_of("LODGE_PARENT"))
		call(SYS_kill, call(SYS_getpid, 0, 0, 0, 0), SIGSTOP, 0, 0);
}

static int tracer_main(void *arg)
{
	int live;

	(void)arg;
	settle_down();
	while (!is_orphan()) {
		if (!await_spinning(ASKED)) {
			nap(slot.state);
			continue;
		}
		slot.ret = serve();
		set_state(ANSWERED);
	}
	live = tracees_undo();
	/* Only now: a parasite that finds its connection closed lets its process go on. */
	call(SYS_close_range, 0, ~0u, 0, 0);
	if (live)
		hold();
	tracees_let_go();
	call(SYS_exit_group, 0, 0, 0, 0);
	return 0;
}

/* ---- CRIU's side ---- */

/* It cannot go on without, and its end is what the kernel and lodge-criu know how to deal with. */
static void check_tracer(void)
{
	if (call(SYS_wait4, tracer, 0, WNOHANG | __WALL, 0) != 0)
		call(SYS_exit_group, 1, 0, 0, 0);
}

/*
 * A wait that a signal ends CRIU takes for a failure, and leaves the process where it is: with the trap of a call that was made in
 * its name as its next instruction. Nobody's wish that the dump ends is worth that; it is seen at the next file that CRIU makes.
 */
static long ask(long number, long a0, long a1, long a2, long a3)
{
	const long a[6] = { a0, a1, a2, a3 };
	int gave_up = calls_give_up();

	slot.number = number;
	slot.interrupted = 0;
	memcpy(slot.a, a, sizeof(a));
	set_state(ASKED);
	for (int naps = 0; !await_spinning(ANSWERED); naps++) {
		const struct timespec t = { .tv_nsec = NAP_NS };

		if (call(SYS_futex, (long)&slot.state, FUTEX_WAIT, ASKED, (long)&t) == -EINTR) {
			if (calls_give_up() == gave_up)
				slot.interrupted = 1;
			gave_up = calls_give_up();
		}
		if (naps % ALIVE_NAPS == ALIVE_NAPS - 1)
			check_tracer();
	}
	slot.state = IDLE;
	return slot.ret;
}

static int has_tracer(void)
{
	return user && call(SYS_getpid, 0, 0, 0, 0) == user;
}

/* Not for CRIU's own children, with which it tries out what this kernel can do. */
static int start_tracer(int pid)
{
	char *stack;

	if (!number_of("LODGE_DUMPS") || tracees_parent_of(pid) == call(SYS_getpid, 0, 0, 0, 0) || tracees_init() < 0)
		return 0;
	stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
	if (stack == MAP_FAILED)
		return 0;
	user = call(SYS_getpid, 0, 0, 0, 0);
	slot.state = IDLE;
	tracer = clone(tracer_main, stack + STACK, CLONE_VM | CLONE_FILES, NULL);
	if (tracer < 0)
		user = 0;
	return user != 0;
}

static int is_peek(long request)
{
	return request == PTRACE_PEEKTEXT || request == PTRACE_PEEKDATA || request == PTRACE_PEEKUSER;
}

EXPORTED long ptrace(enum __ptrace_request request, ...)
{
	long pid, addr, data, word = 0, r;
	va_list ap;

	va_start(ap, request);
	pid = va_arg(ap, pid_t);
	addr = va_arg(ap, long);
	data = va_arg(ap, long);
	va_end(ap);
	if (is_peek((long)request))
		data = (long)&word;
	if (has_tracer() || (request == PTRACE_SEIZE && start_tracer((int)pid)))
		r = ask(SYS_ptrace, (long)request, pid, addr, data);
	else
		r = call(SYS_ptrace, (long)request, pid, addr, data);
	if (r < 0 || !is_peek((long)request))
		return result(r);
	errno = 0;
	return word;
}

EXPORTED pid_t wait4(pid_t pid, int *status, int options, struct rusage *usage)
{
	int own = 0;
	int theirs = has_tracer() && (pid == -1 ? (options & __WALL) != 0 : tracees_has(pid));

	if (!status)
		status = &own;
	return (pid_t)result(theirs ? ask(SYS_wait4, pid, (long)status, options, (long)usage) :
				      call(SYS_wait4, pid, (long)status, options, (long)usage));
}

EXPORTED pid_t waitpid(pid_t pid, int *status, int options)
{
	return wait4(pid, status, options, NULL);
}

/* NOLINTEND(readability-inconsistent-declaration-parameter-name) */
