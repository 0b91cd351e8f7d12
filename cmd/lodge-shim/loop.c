/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/lodge-shim/shim.h"

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "cmd/lodge-shim/prune.h"

#define QUIET_MS 300

static int epoll_fd = -1;

int loop_init(void)
{
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	return epoll_fd < 0 ? -errno : 0;
}

int source_add(struct source *s, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = s };

	return epoll_ctl(epoll_fd, EPOLL_CTL_ADD, s->fd, &ev) < 0 ? -errno : 0;
}

void source_change(struct source *s, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = s };

	epoll_ctl(epoll_fd, EPOLL_CTL_MOD, s->fd, &ev);
}

void source_close(struct source *s)
{
	if (s->fd < 0)
		return;
	epoll_ctl(epoll_fd, EPOLL_CTL_DEL, s->fd, NULL);
	close(s->fd);
	s->fd = -1;
}

/* A spare stays as it is, warm for its start. */
static int wait_quietly(struct epoll_event *ev)
{
	if (shim.phase != PHASE_RUNNING)
		return epoll_wait(epoll_fd, ev, 1, -1);
	prune_all();
	return trim_and_wait(epoll_fd, ev);
}

/*
 * One event at a time: a handler may free any source, also one that has an event, too. After a while without
 * events the wait is one without end.
 */
void loop_run(void)
{
	struct epoll_event ev;

	for (;;) {
		int n = epoll_wait(epoll_fd, &ev, 1, QUIET_MS);
		struct source *s;

		if (n == 0)
			n = wait_quietly(&ev);
		if (n < 0 && errno != EINTR)
			_exit(1);
		if (n < 1)
			continue;
		s = ev.data.ptr;
		s->on_event(s, ev.events);
	}
}
