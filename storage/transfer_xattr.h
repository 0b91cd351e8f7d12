/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_STORAGE_TRANSFER_XATTR_H
#define LG_STORAGE_TRANSFER_XATTR_H

/* Which extended attributes travel, and how they are reached on what cannot be opened. */

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "storage/transfer_stream.h"

/* The open file @fd itself, or @name in the folder @fd, which is not followed. */
struct lg_xattr_of {
	int fd;
	const char *name;
};

/** lg_xattr_travels() - does the attribute @name mean the same on another host? */
bool lg_xattr_travels(enum lg_transfer_kind kind, const char *name);

/** lg_xattr_list() - as listxattr(2), 0 where there are none. Return: bytes, negative errno. */
ssize_t lg_xattr_list(const struct lg_xattr_of *of, char *list, size_t size);

/** lg_xattr_get() - as getxattr(2). Return: bytes, negative errno. */
ssize_t lg_xattr_get(const struct lg_xattr_of *of, const char *name, void *value, size_t size);

/** lg_xattr_set() - as setxattr(2). Return: 0, negative errno. */
int lg_xattr_set(const struct lg_xattr_of *of, const char *name, const void *value, size_t len);

/**
 * lg_xattr_strip() - remove what it has, be it inherited from its folder or of a pass before
 * Labels that a security module gives are left: it would not let go of them.
 * @list:	LG_XATTR_MAX bytes to work in
 */
int lg_xattr_strip(const struct lg_xattr_of *of, char *list);

#endif
