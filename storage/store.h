/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_STORAGE_STORE_H
#define LG_STORAGE_STORE_H

/*
 * What the files of this folder share: the store's own folders VAR/templates, VAR/ct,
 * VAR/trash, each 0700 of root, because they hold set-uid programs of whoever made templates
 * and layers.
 */

#include <stddef.h>

#include "lib/err.h"

#define LG_STORE_PATH 512	/* bytes of a path in the store, whose top is at most 255 */

/** lg_store_path() - format a path of the store. Return: 0; -ENAMETOOLONG. */
int lg_store_path(char path[LG_STORE_PATH], struct lg_err *err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/** lg_store_open() - the folder VAR/@part, made where it is missing. Return: descriptor. */
int lg_store_open(const char *var, const char *part, struct lg_err *err);

/**
 * lg_store_names() - names of the folders in @dirfd that may be templates or recipes, sorted
 * @ret:	malloc()ed array of *@ret_n malloc()ed names, for lg_store_names_free()
 */
int lg_store_names(int dirfd, char ***ret, size_t *ret_n, struct lg_err *err);
void lg_store_names_free(char **names, size_t n);

/**
 * lg_trash_put() - rename the folder @name beneath @dirfd to VAR/trash/LABEL.N
 *
 * Deleting a tree takes as long as it is large; this is done at once, and whole. One on a file system of its own goes to
 * VAR/ct/.trash or VAR/templates/.trash, whichever is there. A missing one is success. Return: 0, negative errno.
 */
int lg_trash_put(const char *var, int dirfd, const char *name, const char *label,
		 struct lg_err *err);

#endif
