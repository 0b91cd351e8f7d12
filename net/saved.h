/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_NET_SAVED_H
#define LG_NET_SAVED_H

/*
 * What `ip route save` and `ip rule save` (iproute2) write: a number that says which of the two, then the kernel's messages as it
 * sent them (rtnetlink(7)).
 */

#include <stdbool.h>
#include <stddef.h>

/**
 * lg_saved_routes_forget_state() - take out of saved routes that their link has no carrier
 * @data:	is changed in place
 *
 * The kernel tells it in a route's flags, and refuses a new one with them. Return: 1 if something was changed, 0 if nothing, -EBADMSG
 * if it is not what `ip` writes.
 */
int lg_saved_routes_forget_state(void *data, size_t len);

/**
 * lg_saved_rules_are_usual() - are these the rules of routing that a new network namespace has, and no others?
 *
 * Return: 1 or 0; -EBADMSG if it is not what `ip` writes.
 */
int lg_saved_rules_are_usual(const void *data, size_t len);

#endif
