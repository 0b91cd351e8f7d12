/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_STORAGE_LAYER_H
#define LG_STORAGE_LAYER_H

/*
 * An instance's own files: VAR/ct/ID, folder 0700 of root, with upper and work in it or, where only
 * that can hold a disk limit, with the image that they are in (storage/disk.h).
 */

#include <stdbool.h>
#include <stdint.h>

#include "lib/err.h"
#include "storage/disk.h"

#define LG_LAYER_PATH 512u

/**
 * lg_layer_create() - make it
 * @limit:	lg_disk_prepared() for it
 *
 * Return: 0; -EEXIST with LG_EXIT_PRIVATE_EXISTS when it is there.
 */
int lg_layer_create(const char *var, uint32_t ctid, const struct lg_disk_limit *limit,
		    struct lg_err *err);

/**
 * lg_layer_open() - the folder that holds upper and work, of an instance that is not in use
 *
 * An image is mounted for it, until the descriptor is closed. Return: descriptor, negative errno.
 */
int lg_layer_open(const char *var, uint32_t ctid, struct lg_err *err);

/** lg_layer_image() - is it in an image? Then @path is where. */
int lg_layer_image(const char *var, uint32_t ctid, char path[LG_LAYER_PATH]);

/** lg_layer_disk() - the same of a VM, which may boot from it as from a whole disk */
int lg_layer_disk(const char *var, uint32_t ctid, char path[LG_LAYER_PATH]);

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
