/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_CT_LINK_H
#define LG_CT_LINK_H

/* Connections of a shim to lodged: the one it was started with, and those of lodged's successors. */

#include "lib/err.h"
#include "lib/msg.h"

/* Messages are too large for the stack, and one of each is enough for one thread. Each program has its own. */
extern struct lg_msg msg_in, msg_out;

struct lg_link_user {
	/* @from: the connection, to be answered. What is not taken of the descriptors is closed behind it */
	void (*message)(int from, struct lg_msg *m);
	void (*gone)(void);	/* the last connection ended */
};

/** lg_link_first() - the connection that lodged started us with; it is the daemon's. */
int lg_link_first(int fd, const struct lg_link_user *user);

/** lg_link_listen() - take new ones at @path. */
int lg_link_listen(const char *path, struct lg_err *err);

/** lg_link_send() - send msg_out to the daemon: the last that said HELLO, else the first. -ENOTCONN: there is none. */
int lg_link_send(void);

/** lg_link_count() - of connections; the last one's end means that lodged is gone. */
unsigned int lg_link_count(void);

#endif
