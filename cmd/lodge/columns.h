/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_CMD_LODGE_COLUMNS_H
#define LG_CMD_LODGE_COLUMNS_H

/* The columns of lists: what each takes from an object of the API, and what it costs to ask for. */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "lib/err.h"

#define CELL_MAX 512u
#define COLUMNS_MAX 48u

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
	double (*get)(const json_t *row, char buf[CELL_MAX]);
	bool number;
};

extern const struct column columns[];		/* of `lodge list`; ends with an empty row */
extern const struct column stats_columns[];	/* of `lodge stats` and `lodge top` */

/** column_find() - by name in @table; NULL. */
const struct column *column_find(const struct column *table, const char *name, size_t len);

/**
 * columns_parse() - "id,name,state"
 * @ret:	COLUMNS_MAX pointers
 *
 * Return: how many; -EINVAL with a line that lists what there is.
 */
int columns_parse(const struct column *table, const char *list, const struct column **ret,
		  struct lg_err *err);

/** columns_sort_key() - "[-]COLUMN": which one, and whether backwards. 0, -EINVAL. */
int columns_sort_key(const struct column *table, const char *text, const struct column **ret,
		     bool *down, struct lg_err *err);

/** columns_sort() - @rows of @n instances by @column, backwards with @down; equal ones stay. */
void columns_sort(json_t **rows, size_t n, const struct column *column, bool down);

struct columns_how {
	size_t width;		/* 0: as wide as it gets */
	bool no_header;
	const char *(*paint)(size_t row, size_t column, const char *text);	/* NULL: plain */
};

/** columns_print() - @n rows as a table. Return: 0, -ENOMEM. */
int columns_print(const struct column *const *shown, size_t nshown, json_t *const *rows, size_t n,
		  const struct columns_how *how, FILE *f);

/* Cells of the usual kinds; "" for what is not there. Each answers what to sort by. */
double cell_text(char buf[CELL_MAX], const char *text);
double cell_number(char buf[CELL_MAX], const json_t *obj, const char *key);
double cell_size(char buf[CELL_MAX], const json_t *obj, const char *key);
double cell_uptime(char buf[CELL_MAX], const json_t *obj);

#endif
