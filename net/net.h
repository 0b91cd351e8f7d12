/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_NET_NET_H
#define LG_NET_NET_H

/*
 * The network of one lodged: a bridge with the gateway's addresses, NAT out, and one veth pair
 * per instance. Ports of the bridge are isolated from each other; what comes in from a port
 * must carry the MAC and the addresses that were given to it (one set lookup each, however many
 * instances there are). The pins name the interface, not the link, so they are there before the
 * link is and cost nothing when an instance starts or stops.
 *
 * Ports learn nothing and get no flooded unicast: an instance's MAC is in the bridge's
 * forwarding table, and its addresses in the host's neighbour table, for good. So there is
 * nothing on the host that a forged frame, ARP or neighbour advertisement could change.
 *
 * An address without a prefix of its own is a /32 or /128 inside, with a route to the gateway
 * and the default route through it. The pool's prefix would promise neighbours that isolation
 * denies, and a guest would wait seconds for an ARP answer; so it gets the host's refusal at
 * once.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/err.h"
#include "lib/parse.h"

struct lg_net_conf {
	char bridge[16];		/* lg_root_bridge() */
	char table[32];			/* lg_root_table() */
	struct lg_addr gw4, gw6;	/* gateway with the pool's prefix; family 0 = none */
	bool nat4, nat6;
	bool host_access;		/* may containers open connections to the host? */
	unsigned int flows_max;		/* connections of one address through and to the host; 0: no end */
	char state_path[300];		/* file (in /run) that remembers changed sysctls; "":
					 * lg_net_remove() leaves them as they are */
};

struct lg_net;

/**
 * lg_net_new() - make or repair bridge, addresses and nftables tables; existing ones are kept
 *
 * Turns on forwarding for the families in use. Nothing else of the host's network is touched.
 * Pins of a table that is there stay (containers may be running).
 */
int lg_net_new(const struct lg_net_conf *conf, struct lg_net **ret, struct lg_err *err);

/** lg_net_free() - forget it; what is on the host stays. */
void lg_net_free(struct lg_net *net);

/**
 * lg_net_remove() - take the instances' links, bridge and tables off the host
 *
 * Forwarding is put back as it was, unless another bridge is there that may count on it. @net
 * is still to be freed. Return: 0 or the first failure; it goes on removing what it can.
 */
int lg_net_remove(struct lg_net *net, struct lg_err *err);

struct lg_net_if {
	char host_name[16];		/* lg_root_link() */
	char name[16];			/* inside: "eth0" */
	uint8_t mac[6];			/* inside */
	uint8_t host_mac[6];
	unsigned int mtu;		/* 0: the kernel's */
	const struct lg_addr *addrs;	/* borrowed */
	unsigned int naddrs;
};

/**
 * lg_net_pin() - let @ifc's port send with its MAC and addresses; a call replaces the port's
 * pins
 *
 * lodged calls it when an instance is created, changed, or read at its start.
 */
int lg_net_pin(struct lg_net *net, const struct lg_net_if *ifc, struct lg_err *err);

/** lg_net_unpin() - nothing may come from the port of this name any more. Missing is fine. */
int lg_net_unpin(struct lg_net *net, const char *host_name, struct lg_err *err);

/**
 * lg_net_pin_many() - one transaction for many; what is pinned and not named here is removed.
 */
int lg_net_pin_many(struct lg_net *net, const struct lg_net_if *ifs, unsigned int n,
		    struct lg_err *err);

/**
 * lg_net_attach() - make the veth pair and set up both ends
 * @netns_fd:	the container's network namespace, borrowed
 *
 * The peer is born inside; lo and the interface are up, addresses (no duplicate detection
 * delay) and default routes are set; the host's end is an isolated port of the bridge. A link
 * of that name which the kernel has not finished removing is renamed out of the way.
 */
int lg_net_attach(struct lg_net *net, const struct lg_net_if *ifc, int netns_fd,
		  struct lg_err *err);

/**
 * lg_net_tap() - make the link of a microVM: a tap whose other end is the descriptor
 * @owner:	the user that may open it by its name
 * @ret:	its descriptor, with headers of virtio-net on every packet; the caller's
 *
 * It is the same port that lg_net_attach() makes for a container; addresses and routes are the guest's own matter. It goes with the
 * last copy of the descriptor, so nobody who is killed leaves one; lg_net_detach() takes it away before.
 */
int lg_net_tap(struct lg_net *net, const struct lg_net_if *ifc, uid_t owner, int *ret, struct lg_err *err);

#define LG_NET_PREPARED 2048u

/**
 * lg_net_prepare() - what a restore is to ask the kernel for, so that the pair is born with one end here and one in there
 * @ret:	rtnetlink messages as hexadecimal digits. The first one makes the pair and ends with the container's end, of
 *		which only the number of queues is said: who restores it knows its name, index, MAC and MTU, and writes them behind that.
 *		The others make the host's end a port, by name. Undone by lg_net_detach().
 *
 * A link that is moved into another namespace has the kernel wait for all its readers, 12 to 25 ms. The host's name is free
 * from here on. Nothing that is sent to the container gets there before lg_net_open(): it would meet a kernel that has the addresses and
 * not yet the connections, and answer each packet with a reset.
 */
int lg_net_prepare(struct lg_net *net, const struct lg_net_if *ifc, char ret[LG_NET_PREPARED], struct lg_err *err);

/**
 * lg_net_open() - let in what is sent to a restored container: its connections are there, or its own rules hold packets back
 */
int lg_net_open(struct lg_net *net, const struct lg_net_if *ifc, struct lg_err *err);

/**
 * lg_net_announce() - tell the segment where the container is now: gratuitous ARP and neighbour advertisements
 * @netns_fd:	the container's network namespace, borrowed; its own interface sends them
 *
 * Nobody answers, and what is lost is not repeated: neighbours would ask in their own time.
 */
int lg_net_announce(struct lg_net *net, const struct lg_net_if *ifc, int netns_fd, struct lg_err *err);

/**
 * lg_net_tell_gateway() - tell a microVM that goes on, maybe from another host, by which MAC its gateway is known here
 *
 * To it alone: others of the segment may have another host as their gateway, of the same address. As lg_net_announce().
 */
int lg_net_tell_gateway(struct lg_net *net, const struct lg_net_if *ifc, struct lg_err *err);

/**
 * lg_net_quiet() - set the host's end of an instance's link down, or up again
 *
 * While it is down the bridge sends nothing to it, and may learn that its MAC is elsewhere; a frame from there, of another host
 * that has announced it, moves even the entry that is there for good. With the link that is put right. Missing is fine.
 */
void lg_net_quiet(struct lg_net *net, const struct lg_net_if *ifc, bool quiet);

/** lg_net_lo_up() - only the loopback interface, for an instance without a network. */
int lg_net_lo_up(int netns_fd, struct lg_err *err);

/** lg_net_detach() - delete the link (undo of a failed start). Missing is fine. */
void lg_net_detach(struct lg_net *net, const char *host_name);

/**
 * lg_net_change() - a running instance's addresses: remove @del, add @add (either may be empty)
 */
int lg_net_change(struct lg_net *net, const struct lg_net_if *ifc, int netns_fd,
		  const struct lg_addr *add, unsigned int nadd, const struct lg_addr *del,
		  unsigned int ndel, struct lg_err *err);

struct lg_net_stats {
	/* as the container sees them */
	uint64_t rx_bytes, tx_bytes, rx_packets, tx_packets, rx_dropped, tx_dropped;
};

/** lg_net_stats() - counters of the host's end. -ENODEV. */
int lg_net_stats(const char *host_name, struct lg_net_stats *ret, struct lg_err *err);

/**
 * lg_net_stats_each() - the same of all instances' links, in one question to the kernel
 * @fn:		called once per link, in no order
 */
int lg_net_stats_each(struct lg_net *net,
		      void (*fn)(const char *host_name, const struct lg_net_stats *stats,
				 void *arg),
		      void *arg, struct lg_err *err);

/** lg_net_default_pool() - a /16 of 10.0.0.0/8 that no route of this host overlaps. */
int lg_net_default_pool(struct lg_addr *ret, struct lg_err *err);

/** lg_net_mac() - the locally administered MAC made of tag and CTID; @host: the host's end. */
void lg_net_mac(const char *tag, uint32_t ctid, unsigned int index, bool host, uint8_t mac[6]);

#endif
