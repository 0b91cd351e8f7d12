/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_NET_PRIVATE_H
#define LG_NET_PRIVATE_H

/* What the files of this folder share behind struct lg_net. */

#include "net/link.h"
#include "net/net.h"
#include "net/nft.h"
#include "net/pins.h"

struct lg_net {
	struct lg_net_conf conf;
	struct lg_nl nl;	/* in the host's namespace */
	struct lg_nft *nft;
	struct lg_pins pins;
	int home_fd;		/* the host's network namespace */
	int bridge;		/* index */
	uint32_t group;		/* of all instances' links */
	bool ipv6;		/* does the kernel do it at all? */
};

/**
 * lg_net_repair() - bridge, its addresses and the neighbours behind it as they should be
 *
 * Done at the start, and when something failed that does not while the bridge is in order.
 */
int lg_net_repair(struct lg_net *net, struct lg_err *err);

/** lg_net_put_neighbours() - add requests for what the host knows about @pin's addresses. */
void lg_net_put_neighbours(struct lg_net *net, const struct lg_pin *pin);

/** lg_net_is_ours() - is @link an instance's end that this lg_net made? */
bool lg_net_is_ours(const struct lg_net *net, const struct lg_link *link);

/**
 * lg_net_move_away() - free the name @host_name
 *
 * A link of that name is there: that of an instance that ended a moment ago, whose namespace the kernel takes apart in its own
 * time, for tens of milliseconds. It goes under another name; without pins nothing from it passes. -EEXIST: it is not ours.
 */
int lg_net_move_away(struct lg_net *net, const char *host_name, struct lg_err *err);

/** lg_net_put_port() - add requests that make link @index the open port of @ifc: its MAC is behind it, it is isolated, and up. */
void lg_net_put_port(struct lg_net *net, int index, const struct lg_net_if *ifc);

#endif
