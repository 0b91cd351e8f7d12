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

/* ---- setting_limits.c: functions for rows of that table ---- */

/** lg_guarantee_to_conf() - a size, or a pair in pages, to "PAGES:unlimited" */
int lg_guarantee_to_conf(const struct lg_setting *s, const char *value, char **ret,
			 struct lg_err *err);
/** lg_guarantee_number() - the barrier in bytes; none where it is LONG_MAX */
int lg_guarantee_number(const struct lg_setting *s, const char *conf, uint64_t *ret,
			struct lg_err *err);
/** lg_percent_to_conf() - "auto" or a number of the row's range */
int lg_percent_to_conf(const struct lg_setting *s, const char *value, char **ret,
		       struct lg_err *err);
/** lg_percent_number() - the same, "auto" being 0 */
int lg_percent_number(const struct lg_setting *s, const char *conf, uint64_t *ret,
		      struct lg_err *err);
/** lg_rate_to_conf() - bytes or operations a second, "10M" or "10M/s"; 0 for none */
int lg_rate_to_conf(const struct lg_setting *s, const char *value, char **ret,
		    struct lg_err *err);
/** lg_rate_number() - the same, LG_UNLIMITED for none, within the row's range */
int lg_rate_number(const struct lg_setting *s, const char *conf, uint64_t *ret,
		   struct lg_err *err);
/** lg_rate_text() - "10.0M/s" */
char *lg_rate_text(uint64_t v);
/** lg_oom_to_conf() - -999 to 1000 */
int lg_oom_to_conf(const struct lg_setting *s, const char *value, char **ret,
		   struct lg_err *err);
/** lg_oom_number() - the same as 1 to 2000 */
int lg_oom_number(const struct lg_setting *s, const char *conf, uint64_t *ret,
		  struct lg_err *err);
/** lg_oom_text() - from that number to "-5" */
char *lg_oom_text(uint64_t v);
/** lg_bits_to_conf() - a list of CPUs or nodes in its shortest form; "all", "auto" */
int lg_bits_to_conf(const struct lg_setting *s, const char *value, char **ret,
		    struct lg_err *err);
/** lg_hugepages_to_conf() - checked by lg_hugepages_next(), as it is */
int lg_hugepages_to_conf(const struct lg_setting *s, const char *value, char **ret,
			 struct lg_err *err);

#endif
