/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_LIB_RLIMITS_H
#define LG_LIB_RLIMITS_H

/* Resource limits of a container's processes by name: "nofile=1024:1048576 core=unlimited". */

#include <stdint.h>

#include "lib/err.h"

struct lg_rlimit {
	const char *name;
	int resource;		/* RLIMIT_* */
	uint64_t soft, hard;	/* LG_UNLIMITED */
};

/**
 * lg_rlimits_each() - call @fn with each member of a list
 *
 * One number is both limits. Sizes may have suffixes. An answer of @fn other than 0 ends it and is returned.
 * Return: 0; -EINVAL with a line that says what there is.
 */
int lg_rlimits_each(const char *text, int (*fn)(const struct lg_rlimit *l, void *arg), void *arg,
		    struct lg_err *err);

/** lg_rlimits_format() - check a list and write it as the conf file has it; @ret: malloc()ed. */
int lg_rlimits_format(const char *text, char **ret, struct lg_err *err);

#endif
