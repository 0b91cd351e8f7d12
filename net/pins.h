/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_NET_PINS_H
#define LG_NET_PINS_H

/*
 * What each port may send with: the daemon's copy of what is in the sets of the bridge table,
 * found by the port's name. It is there because an nftables set cannot be asked for, or cleared
 * of, "all that begins with this name".
 */

#include <stdbool.h>
#include <stdint.h>

#include "lib/err.h"
#include "lib/parse.h"

#define LG_PIN_ADDRS_MAX 256u	/* of one port */

struct lg_pin {
	struct lg_pin *next;	/* of the same bucket */
	char name[16];
	uint8_t mac[6];
	unsigned int naddrs;
	struct lg_addr addrs[];
};

struct lg_pins {
	struct lg_pin **buckets;	/* a power of two of them; NULL while there is no pin */
	unsigned int nbuckets, n;
};

/** lg_pin_new() - a copy on the heap; NULL without memory. */
struct lg_pin *lg_pin_new(const char *name, const uint8_t mac[6], const struct lg_addr *addrs,
			  unsigned int naddrs);

/** lg_pin_equal() - the same in everything but the addresses' prefixes? */
bool lg_pin_equal(const struct lg_pin *a, const struct lg_pin *b);

/** lg_pin_has() - is @addr one of its addresses? */
bool lg_pin_has(const struct lg_pin *pin, const struct lg_addr *addr);

/** lg_pins_find() - the pin of @name, borrowed; NULL. */
struct lg_pin *lg_pins_find(const struct lg_pins *pins, const char *name);

/** lg_pins_put() - own @pin now; one of the same name is freed. -ENOMEM. */
int lg_pins_put(struct lg_pins *pins, struct lg_pin *pin);

/** lg_pins_drop() - free the pin of @name; missing is fine. */
void lg_pins_drop(struct lg_pins *pins, const char *name);

/** lg_pins_clear() - free all of them. */
void lg_pins_clear(struct lg_pins *pins);

/**
 * lg_pins_list() - all of them, in no order: a malloc()ed array of @pins->n. NULL without
 * memory.
 */
const struct lg_pin **lg_pins_list(const struct lg_pins *pins);

/**
 * lg_pins_read_set() - take over what nftables listed of one set
 * @text:	output of "list set"; an element reads: "NAME" . VALUE
 *
 * Values are MACs or addresses; link-local ones follow from the MAC and are left out.
 */
int lg_pins_read_set(struct lg_pins *pins, const char *text);

#endif
