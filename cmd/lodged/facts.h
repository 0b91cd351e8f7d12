/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LODGED_FACTS_H
#define LODGED_FACTS_H

/* What is said before a container moves to another host, in the shapes of ct/facts.h. */

#include "cmd/lodged/lodged.h"
#include "lib/json.h"

/* @facts is the receiver's; NULL: @err says why. */
typedef void (*facts_fn)(json_t *facts, const struct lg_err *err, void *arg);

/**
 * facts_ask() - have a worker find out what this host is
 * @layer_of:	an instance: the facts then have its layer, too ("layer": { bytes, inodes }); may be NULL
 * @then:	is called once, later, unless this fails
 */
int facts_ask(struct daemon *d, const struct instance *layer_of, facts_fn then, void *arg,
	      struct lg_err *err);

/** facts_needs() - what @ct needs of another host. The caller's; NULL without memory. */
json_t *facts_needs(const struct instance *ct, bool live);

/**
 * facts_here() - "here" of a target's facts: what this host says about a container with @needs
 * @needs:	of another host, and so not trusted
 *
 * The caller's; NULL without memory.
 */
json_t *facts_here(struct daemon *d, const json_t *needs);

#endif
