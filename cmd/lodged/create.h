/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LODGED_CREATE_H
#define LODGED_CREATE_H

/* An instance whose files come from another host: made by the steps of a create, of which the last ones wait. */

#include "cmd/lodged/lodged.h"

struct creation;

/**
 * creation_import() - an empty layer, ids, addresses and pins for @conf (taken over); no conf file yet
 * @call, @params:	of ImportBegin, which is called again when something has to be made first
 *
 * Return: 0; 1 when the call comes again; negative errno, and then nothing of it is left.
 */
int creation_import(struct daemon *d, uint32_t ctid, struct lg_conf *conf, struct lg_vcall *call,
		    const json_t *params, struct creation **ret, struct lg_err *err);

/** creation_complete() - the conf file is written: it exists. On failure it is undone; free it in either case. */
int creation_complete(struct creation *c, struct lg_err *err);

/**
 * creation_end() - its files are there (@r 0): complete it and answer @call; or they are not, as @err says: undo it and answer that
 * Frees @c.
 */
void creation_end(struct creation *c, int r, struct lg_err *err, struct lg_vcall *call, bool start);

/** creation_undo() - nothing of it is left; frees @c. Its instance is gone. */
void creation_undo(struct creation *c);

/** creation_free() - forget how it was made. */
void creation_free(struct creation *c);

struct instance *creation_instance(const struct creation *c);

#endif
