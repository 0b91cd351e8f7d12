/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_STORAGE_SHIFT_H
#define LG_STORAGE_SHIFT_H

/*
 * Layers where ids cannot be mapped. The kernel maps the ids of a mount only for who rules its file system,
 * and inside a container that is nobody: a lodge in there gives each instance a copy of its template,
 * owned by the instance's ids: VAR/ct/ID/lower.BASE, and layers that are owned so as well. It costs the
 * template's size and the time of a copy, once per instance.
 */

#include <stdbool.h>
#include <stdint.h>

#include "lib/err.h"
#include "storage/store.h"

/** lg_shift_needed() - is it so for the file system of @var? Asked of the kernel, by trying. */
bool lg_shift_needed(const char *var);

/** lg_shift_lower() - the path of the instance's copy. -ENAMETOOLONG. */
int lg_shift_lower(char path[LG_STORE_PATH], const char *var, uint32_t ctid, uint32_t base,
		   struct lg_err *err);

/** lg_shift_is_done() - was lg_shift_layer() done for this base? */
bool lg_shift_is_done(const char *var, uint32_t ctid, uint32_t base);

/**
 * lg_shift_layer() - make the copy of @rootfs and give the layer to the ids from @base on
 *
 * Of an instance that has not yet run. May take long; one that was killed is done again from the
 * beginning. Return: 0; -EEXIST when it was done for another base; other negative errnos.
 */
int lg_shift_layer(const char *var, uint32_t ctid, uint32_t base, const char *rootfs,
		   struct lg_err *err);

/**
 * lg_shift_tree() - add @base to the owners and groups of all in @path that are below 65,536
 * Modes and file capabilities, which a change of owner takes away, are put back.
 */
int lg_shift_tree(const char *path, uint32_t base, struct lg_err *err);

#endif
