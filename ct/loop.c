/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ct/loop.h"

#include <errno.h>
#include <unistd.h>

#define QUIET_MS 300

static int epoll_fd = -1;

int lg_loop_init(void)
{
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	return epoll_fd < 0 ? -errno : 0;
}

int lg_source_add(struct lg_source *s, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = s };

	return epoll_ctl(epoll_fd, EPOLL_CTL_ADD, s->fd, &ev) < 0 ? -errno : 0;
}

void lg_source_change(struct lg_source *s, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = s };

	epoll_ctl(epoll_fd, EPOLL_CTL_MOD, s->fd, &ev);
}

void lg_source_close(struct lg_source *s)
{
	if (s->fd < 0)
		return;
	epoll_ctl(epoll_fd, EPOLL_CTL_DEL, s->fd, NULL);
	close(s->fd);
	s->fd = -1;
}

/*
 * One event at a time: a handler may free any source, also one that has an event, too. After a while without
 * events the wait is one without end.
 */
void lg_loop_run(int (*quiet)(int epoll, struct epoll_event *ev))
{
	struct epoll_event ev;

	for (;;) {
		int n = epoll_wait(epoll_fd, &ev, 1, QUIET_MS);
		struct lg_source *s;

		if (n == 0)
			n = quiet(epoll_fd, &ev);
		if (n < 0 && errno != EINTR)
			_exit(1);
		if (n < 1)
			continue;
		s = ev.data.ptr;
		s->on_event(s, ev.events);
	}
}
