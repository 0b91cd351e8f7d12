/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_NET_FORWARD_H
#define LG_NET_FORWARD_H

/* The host's forwarding switches (sysctls), and putting them back. */

#include "net/net.h"

/**
 * lg_forward_on() - have the host forward for the families in use, changing as little as
 * possible
 *
 * What is changed is written to @conf->state_path before.
 */
int lg_forward_on(const struct lg_net_conf *conf, struct lg_err *err);

/**
 * lg_forward_off() - put back what lg_forward_on() changed and nobody changed since
 * @others:	other bridges are there, which may count on forwarding: leave it on
 */
int lg_forward_off(const struct lg_net_conf *conf, bool others, struct lg_err *err);

/** lg_forward_bridge() - the switches of our own bridge; it must be there. */
int lg_forward_bridge(const struct lg_net_conf *conf, struct lg_err *err);

#endif
