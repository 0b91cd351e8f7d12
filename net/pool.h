/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_NET_POOL_H
#define LG_NET_POOL_H

/*
 * Which address is free. Pure: no file, no socket; the caller keeps the truth (the IP_ADDRESS
 * of each conf file) and tells the pool what is taken.
 */

#include <stdbool.h>

#include "lib/err.h"
#include "lib/parse.h"

struct lg_pool;

/**
 * lg_pool_new() - the pool over @net (address ignored, prefix counts); the network's own
 * address, the first one (gateway) and IPv4's broadcast are never given.
 */
int lg_pool_new(const struct lg_addr *net, struct lg_pool **ret, struct lg_err *err);
void lg_pool_free(struct lg_pool *pool);

/** lg_pool_gateway() - the network's first address with the pool's prefix. */
void lg_pool_gateway(const struct lg_pool *pool, struct lg_addr *ret);

/**
 * lg_pool_take() - mark @addr taken by @ctid. -EEXIST with the owner in @err; addresses outside
 * the pool are kept too (an administrator's own).
 */
int lg_pool_take(struct lg_pool *pool, const struct lg_addr *addr, uint32_t ctid,
		 struct lg_err *err);

/**
 * lg_pool_auto() - the lowest free address, taken for @ctid. -ENOSPC with
 * LG_EXIT_NO_ADDRESS_FREE. Must be quick with 60,000 taken.
 */
int lg_pool_auto(struct lg_pool *pool, uint32_t ctid, struct lg_addr *ret, struct lg_err *err);

/** lg_pool_give_back() - @addr is free again. */
void lg_pool_give_back(struct lg_pool *pool, const struct lg_addr *addr);

/** lg_pool_owner() - who has @addr; 0 = nobody. */
uint32_t lg_pool_owner(const struct lg_pool *pool, const struct lg_addr *addr);

#endif
