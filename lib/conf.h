/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_LIB_CONF_H
#define LG_LIB_CONF_H

/*
 * vzctl's configuration format: lines of KEY="value". The file is an administrator's: comments,
 * blank lines, unknown keys and the order of lines survive a change and a save. When a key is
 * there twice the last one counts (a shell that sources the file sees it so), and setting it
 * changes that one.
 *
 * Values are written in double quotes; a double quote, backslash, dollar or backquote in a value is
 * written behind a backslash, so that sh reads the same. New lines cannot be in a value.
 */

#include <stdbool.h>
#include <stddef.h>

#include "lib/err.h"

#define LG_CONF_MAX (256u * 1024u)	/* bytes of one file */

struct lg_conf;

/** lg_conf_new() - an empty one. Return: NULL only without memory. */
struct lg_conf *lg_conf_new(void);
void lg_conf_free(struct lg_conf *conf);

/** lg_conf_copy() - the same lines again, the caller's to free. NULL only without memory. */
struct lg_conf *lg_conf_copy(const struct lg_conf *conf);

/**
 * lg_conf_parse() - read text of @len bytes
 *
 * Return: 0 and *@ret the caller's; -EINVAL with the line's number; -E2BIG; -ENOMEM. A line that
 * is not KEY=value, blank or a comment is kept as it is and ignored (vzctl does the same); what is
 * refused is a NUL byte and a quote that does not end.
 */
int lg_conf_parse(const char *text, size_t len, struct lg_conf **ret, struct lg_err *err);

/**
 * lg_conf_load() - read the file @name beneath @dirfd
 *
 * Return: as lg_conf_parse(), or -ENOENT and other negative errnos of opening it.
 */
int lg_conf_load(int dirfd, const char *name, struct lg_conf **ret, struct lg_err *err);

/** lg_conf_save() - replace the file @name beneath @dirfd atomically; mode 0644. */
int lg_conf_save(const struct lg_conf *conf, int dirfd, const char *name, struct lg_err *err);

/** lg_conf_format() - the file's text, malloc()ed. NULL only without memory. */
char *lg_conf_format(const struct lg_conf *conf);

/** lg_conf_get() - the value of @key, borrowed until the next change; NULL if it is not set. */
const char *lg_conf_get(const struct lg_conf *conf, const char *key);

/** lg_conf_set() - set @key; NULL removes it. -EINVAL for a bad key or value, -ENOMEM. */
int lg_conf_set(struct lg_conf *conf, const char *key, const char *value, struct lg_err *err);

/**
 * lg_conf_each() - call @fn for every key that is set, in the file's order, each key once
 *
 * Stops when @fn answers other than 0, and returns that.
 */
int lg_conf_each(const struct lg_conf *conf,
		 int (*fn)(const char *key, const char *value, void *arg), void *arg);

#endif
