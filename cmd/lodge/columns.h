/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_CMD_LODGE_COLUMNS_H
#define LG_CMD_LODGE_COLUMNS_H

/* The columns of `lodge list`: what each takes from an Instance, and what it costs to ask for. */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "lib/err.h"

#define CELL_MAX 512u
#define COLUMNS_MAX 32u

enum column_need {
	NEED_BRIEF,	/* in every answer */
	NEED_ALL,	/* not with `brief` */
	NEED_USAGE,	/* costs the daemon a few files an instance */
};

struct column {
	const char *name;	/* -o NAME */
	const char *header;
	const char *help;
	enum column_need need;
	bool right, shrinks;
	/* text into @buf ("" = has none); the answer is what rows are sorted by, when @number */
	double (*get)(const json_t *instance, char buf[CELL_MAX]);
	bool number;
};

extern const struct column columns[];	/* ends with an empty row */

/** column_find() - by name; NULL. */
const struct column *column_find(const char *name, size_t len);

/**
 * columns_parse() - "id,name,state"
 * @ret:	COLUMNS_MAX pointers
 *
 * Return: how many; -EINVAL with a line that lists what there is.
 */
int columns_parse(const char *list, const struct column **ret, struct lg_err *err);

/** columns_sort() - @rows of @n instances by @column, backwards with @down; equal ones stay. */
void columns_sort(json_t **rows, size_t n, const struct column *column, bool down);

#endif
