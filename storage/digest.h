/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_STORAGE_DIGEST_H
#define LG_STORAGE_DIGEST_H

#include <stdint.h>

#include "lib/err.h"

#define LG_DIGEST_TEXT 80	/* "sha256:" and 64 digits fit */

/**
 * lg_tree_digest() - what a tree is, in one number: the same for equal trees, on any host
 * @path:	its top, absolute
 * @preface:	text that goes into the digest first
 * @ret_size:	bytes it takes on the disk, a file with several names counted once
 *
 * SHA-256 over @preface and, in the order of the names, of every entry: type, permissions,
 * owner, group, path, and the content's SHA-256 (file), the target (link) or the number
 * (device), and the attributes that give rights (file capabilities, ACLs). Times and link
 * counts are not in it.
 */
int lg_tree_digest(const char *path, const char *preface, char ret[LG_DIGEST_TEXT],
		   uint64_t *ret_size, struct lg_err *err);

#endif
