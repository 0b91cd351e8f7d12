/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_CMD_LODGE_TABLE_H
#define LG_CMD_LODGE_TABLE_H

/* Aligned columns of text, made to fit a terminal by shortening what may be shortened. */

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct table_column {
	const char *header;	/* borrowed */
	bool right;		/* numbers stand at the right */
	bool shrinks;		/* may be cut to fit */
};

struct table {
	const struct table_column *columns;	/* borrowed */
	size_t ncolumns;
	char **cells;		/* row after row */
	size_t ncells, room;
	bool no_header;
	bool failed;		/* a cell was lost for want of memory: table_print() says so */
};

/** table_add() - one more cell, left to right, top to bottom; copied and made safe to print. */
void table_add(struct table *t, const char *text);

/**
 * table_print() - write it
 * @width:	columns of the terminal; 0: as wide as it gets
 * @utf8:	mark what was cut with an ellipsis, else with '~'
 * @paint:	what to write before and after cell (@row, @column), or NULL; for colours
 *
 * Return: 0, -ENOMEM.
 */
int table_print(struct table *t, FILE *f, size_t width, bool utf8,
		const char *(*paint)(size_t row, size_t column, const char *text));
void table_free(struct table *t);

#endif
