/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_LIB_JSON_H
#define LG_LIB_JSON_H

/* The few shapes we read and write, over jansson. */

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/err.h"

static inline void lg_cleanup_json_(json_t **j)
{
	json_decref(*j);
}
#define lg_autojson __attribute__((cleanup(lg_cleanup_json_)))

/** lg_json_load() - read a file of at most 4 MiB. *@ret is the caller's. */
int lg_json_load(int dirfd, const char *name, json_t **ret, struct lg_err *err);

/** lg_json_save() - replace a file atomically; @durable: with fsync. */
int lg_json_save(int dirfd, const char *name, const json_t *value, bool durable,
		 struct lg_err *err);

/** lg_json_str() - the string member @key of @obj, borrowed; NULL if missing or of another kind. */
const char *lg_json_str(const json_t *obj, const char *key);

/** lg_json_int() - the integer member @key, or @otherwise. */
int64_t lg_json_int(const json_t *obj, const char *key, int64_t otherwise);

/** lg_json_bool() - the boolean member @key, or @otherwise. */
bool lg_json_bool(const json_t *obj, const char *key, bool otherwise);

#endif
