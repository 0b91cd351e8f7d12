/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_NET_RULES_H
#define LG_NET_RULES_H

/* The text of the nftables tables and of their sets' elements. Pure: only writes text. */

#include <stdint.h>
#include <stdio.h>

#include "net/net.h"
#include "net/pins.h"

/** lg_rules_sets - the sets of the bridge table that hold pins, NULL at the end. */
extern const char *const lg_rules_sets[];

/**
 * lg_rules_write() - commands that make both tables, or make them again, in one transaction
 * @group:	link group of the instances' links
 *
 * Tables that are there are replaced, sets included: the pins must follow in the same commands.
 */
void lg_rules_write(FILE *f, const struct lg_net_conf *conf, uint32_t group);

/** lg_rules_write_removal() - commands that take both away; they may be missing. */
void lg_rules_write_removal(FILE *f, const struct lg_net_conf *conf);

/**
 * lg_rules_write_pins() - commands for the elements of @n pins
 * @verb:	"add" or "delete"
 */
void lg_rules_write_pins(FILE *f, const char *table, const char *verb,
			 const struct lg_pin *const *pins, unsigned int n);

#endif
