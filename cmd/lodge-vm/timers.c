/* SPDX-License-Identifier: GPL-2.0-or-later */

/* One descriptor for all timers; it is set to the next that is due. */

#include <errno.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "cmd/lodge-vm/vm.h"

static void on_timer(struct lg_source *s, uint32_t events);

static struct lg_source source = { .fd = -1, .on_event = on_timer };
static struct {
	int64_t at_ms;		/* 0: not set */
	void (*fn)(void);
} timers[TIMERS];

int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void arm(void)
{
	struct itimerspec spec = { 0 };
	int64_t next = 0;

	for (unsigned int i = 0; i < TIMERS; i++)
		if (timers[i].at_ms && (!next || timers[i].at_ms < next))
			next = timers[i].at_ms;
	spec.it_value.tv_sec = next / 1000;
	spec.it_value.tv_nsec = next % 1000 * 1000000;
	timerfd_settime(source.fd, TFD_TIMER_ABSTIME, &spec, NULL);
}

static void on_timer(struct lg_source *s, uint32_t events)
{
	int64_t now = now_ms();
	uint64_t n;

	(void)events;
	if (read(s->fd, &n, sizeof(n)) < 0 && errno != EAGAIN)
		return;
	for (unsigned int i = 0; i < TIMERS; i++) {
		if (!timers[i].at_ms || timers[i].at_ms > now)
			continue;
		timers[i].at_ms = 0;
		timers[i].fn();
	}
	arm();
}

int timers_init(void)
{
	source.fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	return source.fd < 0 ? -errno : lg_source_add(&source, EPOLLIN);
}

void timer_set(enum timer t, int64_t ms, void (*fn)(void))
{
	timers[t].at_ms = ms < 0 ? 0 : now_ms() + ms;
	timers[t].fn = fn;
	arm();
}
