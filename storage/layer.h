/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_STORAGE_LAYER_H
#define LG_STORAGE_LAYER_H

/* An instance's own files: VAR/ct/ID/{upper,work}, folder 0700 of root. */

#include <stdbool.h>
#include <stdint.h>

#include "lib/err.h"

/** lg_layer_create() - make it. -EEXIST with LG_EXIT_PRIVATE_EXISTS when it is there. */
int lg_layer_create(const char *var, uint32_t ctid, struct lg_err *err);

/**
 * lg_layer_trash() - take it out of the way at once: rename to VAR/trash/ID.N
 * A missing one is success. The worker or lg_layer_empty_trash() deletes it later.
 */
int lg_layer_trash(const char *var, uint32_t ctid, struct lg_err *err);

/** lg_layer_empty_trash() - delete everything in VAR/trash; may take long (worker). */
int lg_layer_empty_trash(const char *var, struct lg_err *err);

/** lg_layer_in_trash() - is one of @ctid's still in VAR/trash? */
bool lg_layer_in_trash(const char *var, uint32_t ctid);

/** lg_layer_exists() - is there one? */
int lg_layer_exists(const char *var, uint32_t ctid);

#endif
