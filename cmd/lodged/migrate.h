/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LODGED_MIGRATE_H
#define LODGED_MIGRATE_H

#include "cmd/lodged/lodged.h"

/** migrate_gone() - op->then of a move: the instance has ended and is swept */
void migrate_gone(struct op *op);

/** migrate_stopped() - the container that was to be shut down does not run any more */
void migrate_stopped(struct op *op);

/** migrate_lent() - LENT has come from the shim; false: not for a move */
bool migrate_lent(struct instance *ct, struct lg_msg *m);

/** migrate_destroy() - it has moved: take it away here, and answer with @report (taken over) */
void migrate_destroy(struct op *op, json_t *report);

/** migrate_leave() - it has moved, by what was written down (moving.h): what is left of it here ends */
void migrate_leave(struct op *op, const json_t *note);

/** migrate_quiet() - is this host's side of its network to keep silent? */
void migrate_quiet(const struct instance *ct, bool on);

/**
 * migrate_be_heard() - it goes on here: its network, too
 *
 * The other host may have announced it already, and it has yet to send something of its own accord.
 */
void migrate_be_heard(const struct instance *ct);

#endif
