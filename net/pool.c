/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "net/pool.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "lib/cleanup.h"
#include "lib/exit.h"

/*
 * How it works: a hash table says who has an address, whatever network it is in. Beside it,
 * which offsets of the pool are taken is kept as bits, in pages of 4,096 that are made when the
 * first bit in them is set and count their bits: looking for the lowest free one passes full
 * pages by their count, so that 60,000 taken addresses are 15 comparisons and at most 64 words.
 */

#define PAGE_BITS 4096u
#define PAGE_WORDS (PAGE_BITS / 64)
/* Addresses given automatically come from the pool's first 16 million: all of an IPv4 /8. */
#define AUTO_MAX (UINT64_C(1) << 24)

struct page {
	unsigned int count;
	uint64_t words[PAGE_WORDS];
};

struct slot {
	uint32_t ctid;		/* 0 = empty */
	int family;
	uint8_t addr[16];
};

struct lg_pool {
	struct lg_addr net;	/* host bits zero */
	uint64_t size;		/* offsets that exist, at most AUTO_MAX for the search */
	uint64_t broadcast;	/* offset never given; 0 = none */
	struct page **pages;
	size_t npages;		/* of the pointers */
	struct slot *slots;
	size_t nslots, used;	/* nslots is a power of two */
};

/* ---- who has an address ---- */

static void make_slot(const struct lg_addr *addr, uint32_t ctid, struct slot *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->ctid = ctid;
	ret->family = addr->family;
	memcpy(ret->addr, &addr->v4, addr->family == AF_INET ? 4 : 16);
}

static size_t home_of(const struct lg_pool *pool, const struct slot *key)
{
	uint64_t a, b;

	memcpy(&a, key->addr, 8);
	memcpy(&b, key->addr + 8, 8);
	a = (a ^ b * UINT64_C(0x9e3779b97f4a7c15)) * UINT64_C(0xff51afd7ed558ccd);
	a ^= a >> 32;
	return (size_t)(a * UINT64_C(0xc4ceb9fe1a85ec53) >> 20) & (pool->nslots - 1);
}

/* The slot of @key, or the empty one where it would go. */
static struct slot *find(const struct lg_pool *pool, const struct slot *key)
{
	size_t i = home_of(pool, key);

	while (pool->slots[i].ctid &&
	       (pool->slots[i].family != key->family ||
		memcmp(pool->slots[i].addr, key->addr, sizeof(key->addr)) != 0))
		i = (i + 1) & (pool->nslots - 1);
	return &pool->slots[i];
}

static int grow_slots(struct lg_pool *pool)
{
	struct lg_pool bigger = *pool;

	bigger.nslots = pool->nslots ? pool->nslots * 2 : 256;
	bigger.slots = calloc(bigger.nslots, sizeof(*bigger.slots));
	if (!bigger.slots)
		return -ENOMEM;
	for (size_t i = 0; i < pool->nslots; i++)
		if (pool->slots[i].ctid)
			*find(&bigger, &pool->slots[i]) = pool->slots[i];
	free(pool->slots);
	*pool = bigger;
	return 0;
}

/*
 * Closes the gap, so that nothing behind it is lost: each follower that may live there moves
 * up.
 */
static void empty_slot(struct lg_pool *pool, struct slot *slot)
{
	size_t mask = pool->nslots - 1, gap = (size_t)(slot - pool->slots), i = gap;

	for (;;) {
		size_t home;

		i = (i + 1) & mask;
		if (!pool->slots[i].ctid)
			break;
		home = home_of(pool, &pool->slots[i]);
		if (((i - home) & mask) < ((i - gap) & mask))
			continue;
		pool->slots[gap] = pool->slots[i];
		gap = i;
	}
	pool->slots[gap].ctid = 0;
	pool->used--;
}

/* ---- which offsets are taken ---- */

static uint64_t low_bits(const struct lg_addr *addr)
{
	const uint8_t *b = addr->v6.s6_addr + 8;
	uint64_t v = 0;

	if (addr->family == AF_INET)
		return ntohl(addr->v4.s_addr);
	for (int i = 0; i < 8; i++)
		v = v << 8 | b[i];
	return v;
}

/* Is @addr one that the search could give? Its offset then. */
static bool offset_of(const struct lg_pool *pool, const struct lg_addr *addr, uint64_t *ret)
{
	if (!lg_addr_inside(addr, &pool->net))
		return false;
	*ret = low_bits(addr) - low_bits(&pool->net);
	return *ret < pool->size;
}

static void address_at(const struct lg_pool *pool, uint64_t offset, struct lg_addr *ret)
{
	uint64_t v = low_bits(&pool->net) + offset;

	*ret = pool->net;
	if (ret->family == AF_INET) {
		ret->v4.s_addr = htonl((uint32_t)v);
		return;
	}
	for (int i = 15; i >= 8; i--, v >>= 8)
		ret->v6.s6_addr[i] = (uint8_t)v;
}

static int need_page(struct lg_pool *pool, size_t at)
{
	if (at >= pool->npages) {
		size_t n = at + 1 > pool->npages * 2 ? at + 1 : pool->npages * 2;
		struct page **pages = realloc(pool->pages, n * sizeof(struct page *));

		if (!pages)
			return -ENOMEM;
		memset(pages + pool->npages, 0, (n - pool->npages) * sizeof(struct page *));
		pool->pages = pages;
		pool->npages = n;
	}
	if (!pool->pages[at])
		pool->pages[at] = calloc(1, sizeof(struct page));
	return pool->pages[at] ? 0 : -ENOMEM;
}

static int set_bit(struct lg_pool *pool, uint64_t offset)
{
	size_t at = (size_t)(offset / PAGE_BITS);
	uint64_t bit = UINT64_C(1) << (offset % 64), *word;

	if (need_page(pool, at) < 0)
		return -ENOMEM;
	word = &pool->pages[at]->words[offset % PAGE_BITS / 64];
	if (!(*word & bit))
		pool->pages[at]->count++;
	*word |= bit;
	return 0;
}

static void clear_bit(struct lg_pool *pool, uint64_t offset)
{
	size_t at = (size_t)(offset / PAGE_BITS);
	uint64_t bit = UINT64_C(1) << (offset % 64), *word;

	if (at >= pool->npages || !pool->pages[at])
		return;
	word = &pool->pages[at]->words[offset % PAGE_BITS / 64];
	if (*word & bit)
		pool->pages[at]->count--;
	*word &= ~bit;
}

static unsigned int lowest_zero(const struct page *page)
{
	unsigned int i = 0;

	while (page->words[i] == UINT64_MAX)
		i++;
	return i * 64 + (unsigned int)__builtin_ctzll(~page->words[i]);
}

static uint64_t lowest_free(const struct lg_pool *pool)
{
	for (size_t at = 0; at < pool->npages; at++)
		if (!pool->pages[at])
			return at * PAGE_BITS;
		else if (pool->pages[at]->count < PAGE_BITS)
			return at * PAGE_BITS + lowest_zero(pool->pages[at]);
	return pool->npages * PAGE_BITS;
}

/* ---- the pool ---- */

static int check_net(const struct lg_addr *net, struct lg_err *err)
{
	unsigned int low = net->family == AF_INET ? 8 : 64;
	unsigned int high = net->family == AF_INET ? 30 : 126;
	char text[LG_ADDR_TEXT];

	if (net->prefix >= low && net->prefix <= high)
		return 0;
	lg_format_addr(net, true, text);
	return lg_refuse(err, -EINVAL, LG_EXIT_BAD_CONF,
			 "%s cannot be an address pool: its prefix must be /%u to /%u", text,
			 low, high);
}

static void mask_net(struct lg_addr *net)
{
	uint8_t *b = (uint8_t *)&net->v4;
	unsigned int bits = net->family == AF_INET ? 32 : 128;

	for (unsigned int i = net->prefix; i < bits; i++)
		b[i / 8] &= (uint8_t)~(0x80u >> (i % 8));
}

int lg_pool_new(const struct lg_addr *net, struct lg_pool **ret, struct lg_err *err)
{
	int r = check_net(net, err);
	struct lg_pool *pool;
	unsigned int host_bits;

	if (r < 0)
		return r;
	pool = calloc(1, sizeof(*pool));
	if (!pool)
		return lg_fail(err, -ENOMEM, "make an address pool");
	pool->net = *net;
	mask_net(&pool->net);
	host_bits = (net->family == AF_INET ? 32u : 128u) - net->prefix;
	pool->size = host_bits >= 24 ? AUTO_MAX : UINT64_C(1) << host_bits;
	pool->broadcast = net->family == AF_INET ? pool->size - 1 : 0;
	if (grow_slots(pool) < 0 || set_bit(pool, 0) < 0 || set_bit(pool, 1) < 0 ||
	    set_bit(pool, pool->broadcast) < 0) {
		lg_pool_free(pool);
		return lg_fail(err, -ENOMEM, "make an address pool");
	}
	*ret = pool;
	return 0;
}

void lg_pool_free(struct lg_pool *pool)
{
	if (!pool)
		return;
	for (size_t i = 0; i < pool->npages; i++)
		free(pool->pages[i]);
	free(pool->pages);
	free(pool->slots);
	free(pool);
}

void lg_pool_gateway(const struct lg_pool *pool, struct lg_addr *ret)
{
	address_at(pool, 1, ret);
	ret->has_prefix = true;
}

static bool is_reserved(const struct lg_pool *pool, uint64_t offset)
{
	return offset < 2 || offset == pool->broadcast;
}

static int check_free(const struct lg_pool *pool, const struct lg_addr *addr, uint32_t owner,
		      struct lg_err *err)
{
	char text[LG_ADDR_TEXT];
	uint64_t offset;

	lg_format_addr(addr, false, text);
	if (owner)
		return lg_refuse(err, -EEXIST, LG_EXIT_IP_IN_USE,
				 "address %s belongs to %" PRIu32 " already", text, owner);
	if (offset_of(pool, addr, &offset) && is_reserved(pool, offset))
		return lg_refuse(err, -EEXIST, LG_EXIT_IP_IN_USE,
				 "address %s is the network's own (its first, second or last)",
				 text);
	return 0;
}

int lg_pool_take(struct lg_pool *pool, const struct lg_addr *addr, uint32_t ctid,
		 struct lg_err *err)
{
	struct slot key, *slot;
	uint64_t offset;
	int r;

	make_slot(addr, ctid, &key);
	if (lg_pool_owner(pool, addr) == ctid)
		return 0;
	r = check_free(pool, addr, lg_pool_owner(pool, addr), err);
	if (r < 0)
		return r;
	if ((pool->used + 1) * 2 > pool->nslots && grow_slots(pool) < 0)
		return lg_fail(err, -ENOMEM, "take an address");
	if (offset_of(pool, addr, &offset) && set_bit(pool, offset) < 0)
		return lg_fail(err, -ENOMEM, "take an address");
	slot = find(pool, &key);
	*slot = key;
	pool->used++;
	return 0;
}

int lg_pool_auto(struct lg_pool *pool, uint32_t ctid, struct lg_addr *ret, struct lg_err *err)
{
	uint64_t offset = lowest_free(pool);
	struct lg_addr addr;
	char text[LG_ADDR_TEXT];
	int r;

	if (offset >= pool->size) {
		lg_format_addr(&pool->net, true, text);
		return lg_refuse(err, -ENOSPC, LG_EXIT_NO_ADDRESS_FREE,
				 "every address of %s is taken: destroy instances or set a "
				 "larger NETWORK in lodge.conf", text);
	}
	address_at(pool, offset, &addr);
	addr.prefix = addr.family == AF_INET ? 32 : 128;
	addr.has_prefix = false;
	r = lg_pool_take(pool, &addr, ctid, err);
	if (r == 0)
		*ret = addr;
	return r;
}

void lg_pool_give_back(struct lg_pool *pool, const struct lg_addr *addr)
{
	struct slot key, *slot;
	uint64_t offset;

	make_slot(addr, 1, &key);
	slot = find(pool, &key);
	if (!slot->ctid)
		return;
	empty_slot(pool, slot);
	if (offset_of(pool, addr, &offset) && !is_reserved(pool, offset))
		clear_bit(pool, offset);
}

uint32_t lg_pool_owner(const struct lg_pool *pool, const struct lg_addr *addr)
{
	struct slot key;

	make_slot(addr, 1, &key);
	return find(pool, &key)->ctid;
}
