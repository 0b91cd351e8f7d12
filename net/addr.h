/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_NET_ADDR_H
#define LG_NET_ADDR_H

/* Addresses, routes and neighbours: each adds one request to a batch. */

#include <stdbool.h>
#include <stdint.h>

#include "lib/parse.h"
#include "net/netlink.h"

/** lg_addr_bytes() - the address in network order; @ret_len: 4 or 16. */
const void *lg_addr_bytes(const struct lg_addr *addr, size_t *ret_len);

/**
 * lg_addr_put() - give @addr with its prefix to link @index, without duplicate detection; one
 * that is there is fine.
 */
void lg_addr_put(struct lg_nl *nl, int index, const struct lg_addr *addr);

/** lg_addr_put_remove() - take it away; missing is fine. */
void lg_addr_put_remove(struct lg_nl *nl, int index, const struct lg_addr *addr);

/** lg_route_put() - @dst with its prefix is on link @index; a route that is there is fine. */
void lg_route_put(struct lg_nl *nl, int index, const struct lg_addr *dst);
void lg_route_put_remove(struct lg_nl *nl, int index, const struct lg_addr *dst);

/**
 * lg_route_put_default() - everything else goes through @via; a default that is there stays.
 */
void lg_route_put_default(struct lg_nl *nl, int index, const struct lg_addr *via);

/** lg_neigh_put() - @addr is at @mac behind link @index, for good. */
void lg_neigh_put(struct lg_nl *nl, int index, const struct lg_addr *addr,
		  const uint8_t mac[6]);
void lg_neigh_put_remove(struct lg_nl *nl, int index, const struct lg_addr *addr);

#endif
