/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "survive.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define LONG_S 5000
#define EVERY_S 700
#define SLACK_S 1.0 /* a busy machine's */
#define DUMP_S 30.0 /* what is left is read early in a dump, the clocks late; of several dumps on a busy machine */

/*
 * What is left of a timer is less by the time that has passed on the process's own clock.
 * Whether a timer of the wall clock counts the outage is not decided here: it may. The clocks
 * have items of their own (clock.c).
 */
static double began_mono, began_real;

static void begin(void)
{
	began_mono = sv_now(CLOCK_MONOTONIC);
	began_real = sv_now(CLOCK_REALTIME);
}

static int left_is_right(const char *what, double total, double left)
{
	double mono = sv_now(CLOCK_MONOTONIC) - began_mono,
	       real = sv_now(CLOCK_REALTIME) - began_real;
	double gone = total - left, most = mono > real ? mono : real;

	if (gone > most + SLACK_S)
		return sv_fail("%s: %.1f s of it are gone, and only %.1f s have passed", what,
			       gone, most);
	if (gone < -0.01)
		return sv_fail("%s: %.1f s more are left than there were", what, -gone);
	if (gone < mono - DUMP_S)
		return sv_fail("%s: only %.1f s of it are gone, and %.1f s have passed", what,
			       gone, mono);
	return 0;
}

static double seconds(struct timespec ts)
{
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static const struct itimerspec long_timer = {{EVERY_S, 0}, {LONG_S, 0}};

/* ---- timerfd ---------------------------------------------------------------------- */

static int waiting = -1, expired = -1, absolute = -1;

static int timerfd_setup(void)
{
	struct itimerspec soon = {{LONG_S, 0}, {0, 1000}}, then = {0};

	begin();
	then.it_value.tv_sec = (time_t)began_real + LONG_S;
	waiting = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	expired = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
	absolute = timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK);
	if (timerfd_settime(waiting, 0, &long_timer, NULL) < 0 ||
	    timerfd_settime(expired, 0, &soon, NULL) < 0 ||
	    timerfd_settime(absolute, TFD_TIMER_ABSTIME, &then, NULL) < 0)
		return sv_errno("timerfd_settime");
	sv_sleep_ms(5);
	return 0;
}

static int timerfd_verify(void)
{
	struct itimerspec now;
	uint64_t ticks = 0;

	if (timerfd_gettime(waiting, &now) < 0 ||
	    left_is_right("timerfd", LONG_S, seconds(now.it_value)) < 0 ||
	    sv_same("timerfd's interval", EVERY_S, now.it_interval.tv_sec) < 0 ||
	    sv_empty("timerfd that has not expired", waiting) < 0)
		return -1;
	if (read(expired, &ticks, sizeof(ticks)) != sizeof(ticks) ||
	    sv_same("ticks", 1, (int64_t)ticks) < 0)
		return sv_fail("the timerfd that had expired does not say so");
	if (timerfd_gettime(absolute, &now) < 0)
		return sv_errno("timerfd_gettime");
	return left_is_right("timerfd of the wall clock", LONG_S, seconds(now.it_value));
}

static void timerfd_spoil(void)
{
	struct itimerspec other = {{EVERY_S, 0}, {LONG_S - 100, 0}};

	timerfd_settime(waiting, 0, &other, NULL);
}

/* A periodic one that ticks all the time goes on ticking. */
static uint64_t ticks_seen;

static int tick_setup(void)
{
	struct itimerspec fast = {{0, 5000000}, {0, 5000000}};

	waiting = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	return timerfd_settime(waiting, 0, &fast, NULL) < 0 ? sv_errno("timerfd_settime") : 0;
}

static int tick_work(void)
{
	uint64_t ticks;

	if (read(waiting, &ticks, sizeof(ticks)) == sizeof(ticks))
		ticks_seen += ticks;
	else if (errno != EINTR)
		return sv_errno("read of a timerfd");
	return 0;
}

static int tick_verify(void)
{
	double mono = sv_now(CLOCK_MONOTONIC);

	for (int i = 0; i < 20; i++) {
		if (tick_work() < 0)
			return -1;
	}
	mono = sv_now(CLOCK_MONOTONIC) - mono;
	return mono < 0.05 || mono > 5 ? sv_fail("20 ticks of 5 ms took %.3f s", mono) : 0;
}

static void tick_spoil(void)
{
	struct itimerspec fast = {{0, 500000}, {0, 500000}};

	timerfd_settime(waiting, 0, &fast, NULL);
}

/* ---- setitimer -------------------------------------------------------------------- */

static const int itimers[] = {ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF};

static int itimer_setup(void)
{
	struct itimerval value = {{EVERY_S, 0}, {LONG_S, 0}};

	begin();
	for (int i = 0; i < 3; i++) {
		if (setitimer(itimers[i], &value, NULL) < 0)
			return sv_errno("setitimer");
	}
	return 0;
}

static int itimer_verify(void)
{
	struct itimerval now;

	for (int i = 0; i < 3; i++) {
		getitimer(itimers[i], &now);
		if (sv_same("setitimer's interval", EVERY_S, now.it_interval.tv_sec) < 0)
			return -1;
		/* The other two count time on the CPU: hardly any. */
		if (i > 0 && sv_same("setitimer's CPU time (hours)", LONG_S / 3600,
				     (now.it_value.tv_sec + 1) / 3600) < 0)
			return -1;
		if (i == 0 && left_is_right("setitimer", LONG_S,
					    (double)now.it_value.tv_sec +
						    (double)now.it_value.tv_usec / 1e6) < 0)
			return -1;
	}
	return 0;
}

static void itimer_spoil(void)
{
	struct itimerval none = {{0, 0}, {0, 0}};

	setitimer(ITIMER_PROF, &none, NULL);
}

/* ---- POSIX timers ----------------------------------------------------------------- */

static timer_t by_signal, silent;
static atomic_int fired;

static void on_timer(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)context;
	fired = info->si_value.sival_int;
}

static int posix_setup(void)
{
	struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN + 3};
	struct sigevent none = {.sigev_notify = SIGEV_NONE};
	struct sigaction action = {.sa_sigaction = on_timer, .sa_flags = SA_SIGINFO};
	timer_t gone;

	begin();
	event.sigev_value.sival_int = 4711;
	sigaction(SIGRTMIN + 3, &action, NULL);
	/* The first is deleted, so that numbers are not as they come. */
	if (timer_create(CLOCK_MONOTONIC, &none, &gone) < 0 ||
	    timer_create(CLOCK_MONOTONIC, &none, &silent) < 0 ||
	    timer_create(CLOCK_REALTIME, &event, &by_signal) < 0 || timer_delete(gone) < 0)
		return sv_errno("timer_create");
	if (timer_settime(silent, 0, &long_timer, NULL) < 0 ||
	    timer_settime(by_signal, 0, &long_timer, NULL) < 0)
		return sv_errno("timer_settime");
	return 0;
}

static bool has_fired(void)
{
	return fired != 0;
}

static int posix_left(const char *what, timer_t timer)
{
	struct itimerspec now;

	if (timer_gettime(timer, &now) < 0)
		return sv_errno(what);
	if (sv_same("a POSIX timer's interval", EVERY_S, now.it_interval.tv_sec) < 0)
		return -1;
	return left_is_right(what, LONG_S, seconds(now.it_value));
}

static int posix_verify(void)
{
	struct itimerspec soon = {{0, 0}, {0, 1000000}};

	if (posix_left("a silent POSIX timer", silent) < 0 ||
	    posix_left("a POSIX timer", by_signal) < 0)
		return -1;
	if (fired)
		return sv_fail("a POSIX timer fired before its time");
	if (timer_settime(by_signal, 0, &soon, NULL) < 0 || !sv_until(5000, has_fired))
		return sv_fail("the POSIX timer does not signal");
	return sv_same("its value", 4711, fired);
}

static void posix_spoil(void)
{
	timer_delete(silent);
}

/* ---- a sleep in progress ---------------------------------------------------------- */

static pthread_t sleeper;
static atomic_int stop_sleep;
static double slept_left;

static void on_wake(int sig)
{
	(void)sig;
}

/* As every sleep() does: what is left is slept too. */
static void *sleep_long(void *arg)
{
	struct timespec left = {LONG_S, 0};

	(void)arg;
	while (!stop_sleep && clock_nanosleep(CLOCK_MONOTONIC, 0, &left, &left) == EINTR)
		;
	slept_left = seconds(left);
	return NULL;
}

static int sleep_setup(void)
{
	struct sigaction action = {.sa_handler = on_wake};

	begin();
	sigaction(SIGUSR1, &action, NULL);
	if (pthread_create(&sleeper, NULL, sleep_long, NULL) != 0)
		return sv_fail("pthread_create");
	sv_sleep_ms(20);
	return 0;
}

static int sleep_verify(void)
{
	double end = sv_now(CLOCK_MONOTONIC) + 5;

	stop_sleep = 1;
	while (pthread_kill(sleeper, SIGUSR1) == 0 && pthread_tryjoin_np(sleeper, NULL) != 0) {
		if (sv_now(CLOCK_MONOTONIC) > end)
			return sv_fail("it sleeps and does not wake");
		sv_sleep_ms(1);
	}
	return left_is_right("a sleep in progress", LONG_S, slept_left);
}

/* As if the sleep had begun anew after 100 s. */
static void sleep_spoil(void)
{
	began_mono -= 100;
	began_real -= 100;
}

/* clang-format off */
const struct sv_item sv_timer_items[] = {
	{ "timer-fd", "timerfds: what is left, what has expired", timerfd_setup, timerfd_verify, timerfd_spoil, NULL, SV_KEPT },
	{ "timer-ticking", "a timerfd that ticks every 5 ms", tick_setup, tick_verify, tick_spoil, tick_work, SV_LOST },
	{ "timer-interval", "setitimer: real, virtual and profiling", itimer_setup, itimer_verify, itimer_spoil, NULL, SV_KEPT },
	{ "timer-posix", "POSIX timers: numbers, values, what is left", posix_setup, posix_verify, posix_spoil, NULL, SV_KEPT },
	{ "timer-sleep", "a nanosleep in progress", sleep_setup, sleep_verify, sleep_spoil, NULL, SV_KEPT },
	{ .name = NULL },
};
