/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "survive.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* ---- many, each with its own memory, name, mask and number, all asleep in a futex - */

#define THREADS 48

static _Thread_local uint64_t own = 1;
static pthread_t threads[THREADS];
static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int arrived, spoilt_thread = -1;
static bool go;

static uint64_t mark(long i)
{
	return UINT64_C(0xabcdef0000) + (uint64_t)i * 7919;
}

static int check_thread(long i, pid_t tid)
{
	char name[17] = "", wanted[17];
	sigset_t set;

	snprintf(wanted, sizeof(wanted), "thread %ld", i);
	pthread_getname_np(pthread_self(), name, sizeof(name));
	pthread_sigmask(SIG_BLOCK, NULL, &set);
	if (sv_same("a thread's own variable", (int64_t)mark(i), (int64_t)own) < 0 ||
	    sv_same("a thread's number", tid, (int64_t)syscall(SYS_gettid)) < 0 ||
	    sv_same("a thread's mask", i % 2, sigismember(&set, SIGUSR1)) < 0)
		return -1;
	return strcmp(name, wanted) == 0 ? 0 : sv_fail("a thread's name is '%s'", name);
}

static void *body(void *arg)
{
	long i = (long)arg;
	pid_t tid = (pid_t)syscall(SYS_gettid);
	char name[17];
	sigset_t set;
	int r;

	own = mark(i);
	snprintf(name, sizeof(name), "thread %ld", i);
	pthread_setname_np(pthread_self(), name);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	pthread_sigmask(i % 2 ? SIG_BLOCK : SIG_UNBLOCK, &set, NULL);
	pthread_mutex_lock(&turn);
	arrived++;
	pthread_cond_broadcast(&changed);
	while (!go)
		pthread_cond_wait(&changed, &turn);
	if (i == spoilt_thread)
		own = 0;
	r = check_thread(i, tid);
	pthread_mutex_unlock(&turn);
	return (void *)(long)r;
}

static int many_setup(void)
{
	for (long i = 0; i < THREADS; i++) {
		if (pthread_create(&threads[i], NULL, body, (void *)i) != 0)
			return sv_fail("pthread_create");
	}
	own = 4711;
	pthread_mutex_lock(&turn);
	while (arrived < THREADS)
		pthread_cond_wait(&changed, &turn);
	pthread_mutex_unlock(&turn);
	return 0;
}

static int many_verify(void)
{
	int r = sv_same("the first thread's own variable", 4711, (int64_t)own);

	pthread_mutex_lock(&turn);
	go = true;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&turn);
	for (int i = 0; i < THREADS; i++) {
		struct timespec end = {(time_t)sv_now(CLOCK_REALTIME) + 10, 0};
		void *result = NULL;

		if (pthread_timedjoin_np(threads[i], &result, &end) != 0)
			return sv_fail("thread %d does not come back", i);
		if (result)
			r = -1;
	}
	return r;
}

static void many_spoil(void)
{
	spoilt_thread = 17;
}

/* ---- robust mutex: who dies with it leaves a note --------------------------------- */

static pthread_mutex_t *robust; /* shared */
static struct sv_child holder;

static int lock_robust(int request)
{
	(void)request;
	return pthread_mutex_lock(robust) == 0 ? 0 : sv_fail("pthread_mutex_lock");
}

static int robust_setup(void)
{
	pthread_mutexattr_t attr;

	robust = mmap(NULL, sizeof(*robust), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		      -1, 0);
	if (robust == MAP_FAILED)
		return sv_errno("mmap");
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
	pthread_mutex_init(robust, &attr);
	return sv_child_start(&holder, lock_robust) < 0 ? -1 : sv_child_ask(&holder, 0);
}

static int robust_verify(void)
{
	struct timespec end = {0};

	if (sv_same("trying the mutex", EBUSY, pthread_mutex_trylock(robust)) < 0)
		return -1;
	sv_child_kill(&holder);
	end.tv_sec = (time_t)sv_now(CLOCK_REALTIME) + 5;
	return sv_same("the mutex after its owner's death", EOWNERDEAD,
		       pthread_mutex_timedlock(robust, &end));
}

/* The child's list is emptied behind its back: what a restore that forgets it would do. */
static int forget_list(int request)
{
	static struct {
		void *next;
		long offset;
		void *pending;
	} head = {.next = &head};

	if (request == 0)
		return lock_robust(0);
	return syscall(SYS_set_robust_list, &head, sizeof(head)) < 0
		       ? sv_errno("set_robust_list")
		       : 0;
}

static void robust_spoil(void)
{
	sv_child_kill(&holder);
	pthread_mutex_trylock(robust);
	pthread_mutex_consistent(robust);
	pthread_mutex_unlock(robust);
	sv_child_start(&holder, forget_list);
	sv_child_ask(&holder, 0);
	sv_child_ask(&holder, 1);
}

/* ---- a waiter in a shared futex of another process -------------------------------- */

struct shared {
	pthread_mutex_t mutex;
	pthread_cond_t cond;
	int value, seen;
};

static struct shared *shared;
static struct sv_child waiter;

static int await_value(int request)
{
	pthread_mutex_lock(&shared->mutex);
	shared->seen = -1;
	while (shared->value == request)
		pthread_cond_wait(&shared->cond, &shared->mutex);
	shared->seen = shared->value;
	pthread_mutex_unlock(&shared->mutex);
	return 0;
}

static bool is_waiting(void)
{
	bool r;

	pthread_mutex_lock(&shared->mutex);
	r = shared->seen == -1;
	pthread_mutex_unlock(&shared->mutex);
	return r;
}

static bool has_seen(void)
{
	bool r;

	pthread_mutex_lock(&shared->mutex);
	r = shared->seen == 6;
	pthread_mutex_unlock(&shared->mutex);
	return r;
}

static int futex_setup(void)
{
	pthread_mutexattr_t mutex;
	pthread_condattr_t cond;
	int request = 5;

	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		      -1, 0);
	if (shared == MAP_FAILED)
		return sv_errno("mmap");
	pthread_mutexattr_init(&mutex);
	pthread_mutexattr_setpshared(&mutex, PTHREAD_PROCESS_SHARED);
	pthread_mutex_init(&shared->mutex, &mutex);
	pthread_condattr_init(&cond);
	pthread_condattr_setpshared(&cond, PTHREAD_PROCESS_SHARED);
	pthread_cond_init(&shared->cond, &cond);
	shared->value = request;
	if (sv_child_start(&waiter, await_value) < 0 ||
	    write(waiter.control, &request, sizeof(request)) != sizeof(request))
		return sv_errno("write");
	return sv_until(5000, is_waiting) ? 0 : sv_fail("the child does not wait");
}

static int futex_verify(void)
{
	if (!is_waiting())
		return sv_fail("the other process does not wait any more");
	pthread_mutex_lock(&shared->mutex);
	shared->value = 6;
	pthread_cond_signal(&shared->cond);
	pthread_mutex_unlock(&shared->mutex);
	return sv_until(3000, has_seen) ? 0 : sv_fail("the waiting process is not woken");
}

/* The memory is no longer the one that the other waits in. */
static void futex_spoil(void)
{
	struct shared copy = *shared;

	mmap(shared, sizeof(*shared), PROT_READ | PROT_WRITE,
	     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	*shared = copy;
}

/* clang-format off */
const struct sv_item sv_thread_items[] = {
	{ "threads", "48 of them: variables, names, masks, numbers", many_setup, many_verify, many_spoil, NULL, SV_KEPT },
	{ "thread-robust", "a robust mutex whose owner dies later", robust_setup, robust_verify, robust_spoil, NULL, SV_KEPT },
	{ "thread-futex", "a wait in memory that processes share", futex_setup, futex_verify, futex_spoil, NULL, SV_KEPT },
	{ .name = NULL },
};
