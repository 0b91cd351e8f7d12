/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_LIB_VARLINK_CONN_H
#define LG_LIB_VARLINK_CONN_H

/* What the server's two files share: varlink_server.c moves bytes, varlink_call.c answers calls. */

#include <stdbool.h>
#include <sys/socket.h>
#include <systemd/sd-event.h>

#include "lib/varlink.h"
#include "lib/varlink_io.h"
#include "lib/varlink_route.h"

struct lg_vconn {
	struct lg_vserver *server;
	struct lg_vconn *prev, *next;
	sd_event_source *io_source;
	sd_event_source *later;		/* made when first needed */
	struct lg_vio io;
	struct lg_vcall *call;		/* being answered; not a reference */
	struct ucred peer;
	uint32_t events;
	bool eof;			/* the peer sends nothing more, but may still read */
	bool doomed;
	bool in_turn;			/* its handler runs and will settle it */
};

struct lg_vserver {
	sd_event *event;
	sd_event_source *source;
	struct lg_vserver_conf conf;
	struct lg_vroutes *routes;
	struct lg_vconn *conns;
	unsigned int nconns, nusers, ncalls;
	int spare_fd;	/* given up for a moment to turn a connection away when descriptors run out */
};

/** lg_vconn_settle() - wait for what the connection's state says; not while in_turn. */
void lg_vconn_settle(struct lg_vconn *conn);

/**
 * lg_vcall_dispatch() - carry a call out, or answer why not; what is no call dooms @conn
 * @fds:	taken over
 */
void lg_vcall_dispatch(struct lg_vconn *conn, json_t *message, const int *fds, unsigned int nfds);

/** lg_vcall_orphan() - the peer of @call is gone: nobody reads its answer. */
void lg_vcall_orphan(struct lg_vcall *call);

#endif
