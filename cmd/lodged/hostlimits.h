/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LODGED_HOSTLIMITS_H
#define LODGED_HOSTLIMITS_H

/*
 * The host's limits (lib/hostlimits.h) for MAX_CONTAINERS of lodge.conf, unless SYSCTLS is "no". What was
 * raised is kept in /run/lodge-sysctls until the teardown of the last lodged of this host.
 */

#include "cmd/lodged/doctor.h"
#include "cmd/lodged/lodged.h"

/** hostlimits_begin() - raise what is too low; what cannot be raised is a warning. -EINVAL: lodge.conf. */
int hostlimits_begin(struct daemon *d, struct lg_err *err);

/** hostlimits_end() - for teardown: put back what was raised, unless another lodged is there, whose turn it is then. */
void hostlimits_end(struct daemon *d);

/** doctor_hostlimits() - what is too low, and what is nearly used up. */
void doctor_hostlimits(struct report *r);

#endif
