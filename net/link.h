/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_NET_LINK_H
#define LG_NET_LINK_H

/* Links over a struct lg_nl: look up, bridge, veth pair, bridge port. */

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

#include "net/netlink.h"

struct lg_link {
	int index;
	int master;		/* index of its bridge; 0 = none */
	uint32_t group;
	unsigned int flags;	/* IFF_UP ... */
	char name[IFNAMSIZ];
	char kind[16];		/* "veth", "tun", "bridge"; "" for hardware */
	/* only where asked for */
	uint64_t rx_bytes, tx_bytes, rx_packets, tx_packets, rx_dropped, tx_dropped;
};

/** lg_link_read() - an lg_nl_fn: fill the struct lg_link @arg from an RTM_NEWLINK. */
void lg_link_read(const struct nlmsghdr *msg, void *arg);

/**
 * lg_link_put_get() - add a request for the link @name to the batch; answers to lg_link_read().
 */
void lg_link_put_get(struct lg_nl *nl, const char *name, bool with_stats);

/** lg_link_find() - Return: 0, -ENODEV (an error line is left then too). */
int lg_link_find(struct lg_nl *nl, const char *name, bool with_stats, struct lg_link *ret,
		 struct lg_err *err);

/**
 * lg_link_runs() - is @name up with a carrier, as far as the kernel knows yet? A cheap
 * question.
 */
bool lg_link_runs(const struct lg_nl *nl, const char *name);

/** lg_link_put_up() - add a request that sets a link up (or down). @object: for the error. */
void lg_link_put_up(struct lg_nl *nl, int index, bool up, const char *object);

/** lg_link_rename() - to @name, setting it down only where the kernel insists on that. */
int lg_link_rename(struct lg_nl *nl, const struct lg_link *link, const char *name,
		   struct lg_err *err);

/** lg_link_delete() - waits for the kernel's grace periods: tens of milliseconds. */
int lg_link_delete(struct lg_nl *nl, int index, const char *name, struct lg_err *err);

/** lg_link_delete_group() - every link of @group; none is fine. */
int lg_link_delete_group(struct lg_nl *nl, uint32_t group, struct lg_err *err);

/**
 * lg_link_bridge() - make the bridge @name, or set one that is there to what we need; it stays
 * down
 *
 * No spanning tree and no multicast snooping (both wake up timers for nothing here), and
 * nothing is learnt from link-local frames, which the kernel lets past every bridge hook.
 */
int lg_link_bridge(struct lg_nl *nl, const char *name, const uint8_t mac[6],
		   struct lg_err *err);

struct lg_veth {
	const char *host_name, *name;	/* no name: whoever sends the request writes behind it what the other end is */
	const uint8_t *host_mac, *mac;
	unsigned int mtu;	/* 0: the kernel's */
	int bridge;		/* index */
	uint32_t group;		/* of the host's end */
	int netns_fd;		/* where the peer is born; -1: here */
};

/**
 * lg_link_put_veth() - add a request for the pair: both ends down, the host's on the bridge.
 */
void lg_link_put_veth(struct lg_nl *nl, const struct lg_veth *veth);

/** lg_link_put_adopt() - add a request that makes the link @index one of an instance: MAC, group, MTU, on the bridge; it stays down. */
void lg_link_put_adopt(struct lg_nl *nl, int index, const struct lg_veth *as, const char *object);

/**
 * lg_link_put_port() - add requests that make link @index a port fit for a tenant, and up
 *
 * @index:	0: of the link called @object
 *
 * Isolated from the other tenants' ports before it is up. It learns nothing, and nothing is flooded to it: until
 * lg_link_put_mac() no frame for one MAC gets there.
 */
void lg_link_put_port(struct lg_nl *nl, int index, bool ipv6, const char *object);

/**
 * lg_link_put_mac() - add a request that sends the frames for @mac to port @index
 *
 * The one MAC that the port may use is in the forwarding table for good, so that no forged frame takes it away.
 */
void lg_link_put_mac(struct lg_nl *nl, int index, const uint8_t mac[6], const char *object);

#endif
