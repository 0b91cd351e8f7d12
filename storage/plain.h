/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_STORAGE_PLAIN_H
#define LG_STORAGE_PLAIN_H

/*
 * Plain folders: what a nested container engine keeps its layers in. The kernel refuses an overlay whose
 * upper layer is on an overlay, and the whole root is one; so these folders are beside it:
 * VAR/ct/ID/plain/NAME, 0-based on disk, mounted with the container's ids. They are part of the
 * layer: what moves, counts or deletes VAR/ct/ID does it to them, too. Where the layer is in an
 * image (storage/disk.h) so are they, as plain/NAME, and the folders outside, empty, say which there are.
 */

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/err.h"

struct lg_plain {
	const char *name;	/* below VAR/ct/ID/plain */
	const char *target;	/* inside */
	mode_t mode;		/* as the package that owns it makes it */
};

extern const struct lg_plain lg_plains[];
extern const size_t lg_nplains;

/**
 * lg_plain_make() - make those that are missing; of a container that does not run
 * @rootfs:	its template's root
 * @ret_kept:	bit I: lg_plains[I] was not made, because the container has files there on its
 *		overlay, which would be hidden
 *
 * Return: 0, negative errno.
 */
int lg_plain_make(const char *var, uint32_t ctid, const char *rootfs, unsigned int *ret_kept,
		  struct lg_err *err);

/**
 * lg_plain_empty() - the layer is in an image now: only the names of those outside are left
 * @layer:	VAR/ct/ID, opened
 * @label:	what is in them goes to the trash, under this name
 */
int lg_plain_empty(const char *var, int layer, const char *label, struct lg_err *err);

/**
 * lg_plain_mark() - the layer's files came from elsewhere: make the empty folders outside of its image
 * @layer:	what lg_layer_open() gave; of a layer without an image there is nothing to do
 */
int lg_plain_mark(const char *var, uint32_t ctid, int layer, struct lg_err *err);

/** lg_plain_find() - bit I: the container has lg_plains[I]. Costs one system call when it has none. */
unsigned int lg_plain_find(const char *var, uint32_t ctid);

#endif
