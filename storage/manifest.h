/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_STORAGE_MANIFEST_H
#define LG_STORAGE_MANIFEST_H

/* A template's or recipe's manifest: conf text with the keys of the table in manifest.c. */

#include "storage/template.h"

/**
 * lg_manifest_load() - read the file "manifest" beneath @dirfd
 * @name:	of the folder; what the manifest's NAME must be
 * @built:	a template's: the keys which the build adds must be there; else a recipe's
 * @ret:	untouched on failure; rootfs is left empty
 *
 * Return: 0; -ENOENT; -EINVAL with the key that is wrong; other negative errnos of reading it.
 */
int lg_manifest_load(int dirfd, const char *name, int built, struct lg_template *ret,
		     struct lg_err *err);

/** lg_manifest_save() - write the file "manifest" beneath @dirfd, synced. */
int lg_manifest_save(int dirfd, const struct lg_template *t, struct lg_err *err);

#endif
