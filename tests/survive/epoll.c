/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "survive.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

static int outer = -1, inner = -1;
static int source[4] = {-1, -1, -1, -1}; /* eventfds */

#define DATA(i) (UINT64_C(0x5eed00000000) + (i))
#define EVENTS 8

static int add(int epoll, int fd, uint32_t events, uint64_t data)
{
	struct epoll_event event = {.events = events, .data.u64 = data};

	return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0 ? sv_errno("epoll_ctl") : 0;
}

static int make(void)
{
	outer = epoll_create1(EPOLL_CLOEXEC);
	for (int i = 0; i < 4; i++)
		source[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return outer < 0 || source[3] < 0 ? sv_errno("epoll_create1") : 0;
}

static void fire(int i)
{
	uint64_t value = 1;

	(void)!write(source[i], &value, sizeof(value));
}

static void drain(int i)
{
	uint64_t value;

	(void)!read(source[i], &value, sizeof(value));
}

/* Is there an event with @data, now? */
static bool told(uint64_t data)
{
	struct epoll_event events[EVENTS];
	int n = epoll_wait(outer, events, EVENTS, 0);
	bool found = false;

	for (int i = 0; i < n; i++)
		found = found || events[i].data.u64 == data;
	return found;
}

static int must_tell(const char *what, uint64_t data, bool wanted)
{
	return sv_same(what, wanted, told(data));
}

/* ---- level: told until it is drained ---------------------------------------------- */

static int level_setup(void)
{
	if (make() < 0 || add(outer, source[0], EPOLLIN, DATA(0)) < 0 ||
	    add(outer, source[1], EPOLLIN, DATA(1)) < 0)
		return -1;
	fire(0);
	return 0;
}

static int level_verify(void)
{
	if (must_tell("what was ready", DATA(0), true) < 0 ||
	    must_tell("ready again", DATA(0), true) < 0 ||
	    must_tell("what was not ready", DATA(1), false) < 0)
		return -1;
	drain(0);
	fire(1);
	if (must_tell("what was drained", DATA(0), false) < 0)
		return -1;
	return must_tell("what is ready now", DATA(1), true);
}

static void remove_second(void)
{
	epoll_ctl(outer, EPOLL_CTL_DEL, source[1], NULL);
}

/* ---- edge: one more event than necessary is allowed after a restore, one less is not  */

static int edge_setup(void)
{
	if (make() < 0 || add(outer, source[0], EPOLLIN | EPOLLET, DATA(0)) < 0 ||
	    add(outer, source[1], EPOLLIN | EPOLLET, DATA(1)) < 0)
		return -1;
	fire(0);
	return must_tell("an edge", DATA(0), true);
}

static int edge_verify(void)
{
	told(DATA(0));
	if (must_tell("an edge already told", DATA(0), false) < 0)
		return -1;
	fire(1);
	if (must_tell("a new edge", DATA(1), true) < 0 ||
	    must_tell("the new edge, twice", DATA(1), false) < 0)
		return -1;
	fire(0);
	return must_tell("the next edge", DATA(0), true);
}

/* ---- oneshot: what has fired is silent until it is armed again -------------------- */

static int oneshot_setup(void)
{
	if (make() < 0 || add(outer, source[0], EPOLLIN | EPOLLONESHOT, DATA(0)) < 0 ||
	    add(outer, source[1], EPOLLIN | EPOLLONESHOT, DATA(1)) < 0)
		return -1;
	fire(0);
	return must_tell("the one shot", DATA(0), true);
}

static int oneshot_verify(void)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLONESHOT, .data.u64 = DATA(7)};

	if (must_tell("a shot already fired", DATA(0), false) < 0)
		return -1;
	fire(1);
	if (must_tell("the other shot", DATA(1), true) < 0 ||
	    must_tell("the other shot, twice", DATA(1), false) < 0)
		return -1;
	if (epoll_ctl(outer, EPOLL_CTL_MOD, source[0], &event) < 0)
		return sv_errno("arming it again");
	return must_tell("armed again", DATA(7), true);
}

/* ---- nested, and a descriptor that is registered though its number was given away - */

static int nested_setup(void)
{
	inner = epoll_create1(EPOLL_CLOEXEC);
	if (make() < 0 || add(inner, source[2], EPOLLIN, DATA(2)) < 0 ||
	    add(outer, inner, EPOLLIN, DATA(3)) < 0 ||
	    add(outer, source[1], EPOLLIN, DATA(1)) < 0)
		return -1;
	fire(2);
	return 0;
}

static int nested_verify(void)
{
	struct epoll_event event;

	if (must_tell("the inner one", DATA(3), true) < 0)
		return -1;
	if (epoll_wait(inner, &event, 1, 0) != 1 || event.data.u64 != DATA(2))
		return sv_fail("the inner one does not tell its event");
	drain(2);
	if (must_tell("the inner one, drained", DATA(3), false) < 0)
		return -1;
	fire(1);
	return must_tell("beside the inner one", DATA(1), true);
}

/* clang-format off */
const struct sv_item sv_epoll_items[] = {
	{ "epoll-level", "level triggered events, and their data", level_setup, level_verify, remove_second, NULL, SV_KEPT },
	{ "epoll-edge", "edge triggered events: no new one is lost", edge_setup, edge_verify, remove_second, NULL, SV_KEPT },
	{ "epoll-oneshot", "what has fired stays silent", oneshot_setup, oneshot_verify, remove_second, NULL, SV_KEPT },
	{ "epoll-nested", "an epoll in an epoll", nested_setup, nested_verify, remove_second, NULL, SV_KEPT },
	{ .name = NULL },
};
