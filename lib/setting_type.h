/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_LIB_SETTING_TYPE_H
#define LG_LIB_SETTING_TYPE_H

/* What the types of settings do; for lib/settings.c. A new type is a row of the table and its functions. */

#include "lib/settings.h"

struct lg_setting_type_ops {
	/* Check what people and the API write; *@ret is the conf file's form, malloc()ed, NULL: no memory. */
	int (*to_conf)(const struct lg_setting *s, const char *value, char **ret,
		       struct lg_err *err);
	/* The number in a conf value, in the unit that the API speaks of; NULL: the type is a text. */
	int (*number)(const struct lg_setting *s, const char *conf, uint64_t *ret,
		      struct lg_err *err);
	/* How people write that number (never LG_UNLIMITED); malloc()ed. */
	char *(*format)(uint64_t v);
};

extern const struct lg_setting_type_ops lg_setting_types[LG_SET_COUNT_];

#endif
