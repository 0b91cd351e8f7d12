/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_CT_LOOP_H
#define LG_CT_LOOP_H

/* One thread, one epoll: what a shim, of a container or of a microVM, listens to. */

#include <stdint.h>
#include <sys/epoll.h>

/* First member of what it belongs to. */
struct lg_source {
	int fd;
	void (*on_event)(struct lg_source *s, uint32_t events);
};

/** lg_loop_init() - make the epoll. */
int lg_loop_init(void);

/** lg_source_add() - listen to s->fd for @events (EPOLLIN, EPOLLET, ...). -EPERM: a file that is always ready. */
int lg_source_add(struct lg_source *s, uint32_t events);

/** lg_source_change() - listen for other events; 0: for errors alone. */
void lg_source_change(struct lg_source *s, uint32_t events);

/** lg_source_close() - listen no more, and close it. A source without descriptor is fine. */
void lg_source_close(struct lg_source *s);

/**
 * lg_loop_run() - for ever
 * @quiet:	called when nothing happened for a while; waits without end and answers as epoll_wait(2)
 *		for one event
 */
void lg_loop_run(int (*quiet)(int epoll, struct epoll_event *ev)) __attribute__((noreturn));

#endif
