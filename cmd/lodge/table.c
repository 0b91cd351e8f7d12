/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/lodge/table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/lodge/text.h"
#include "lib/cleanup.h"

#define GAP 2u			/* blanks between columns */
#define SHORTEST 8u		/* a column is not cut below this */

void table_add(struct table *t, const char *text)
{
	char *copy;

	if (t->ncells == t->room) {
		size_t room = t->room ? t->room * 2 : 64;
		char **more = realloc(t->cells, room * sizeof(*more));

		if (!more) {
			t->failed = true;
			return;
		}
		t->cells = more;
		t->room = room;
	}
	copy = strdup(text && *text ? text : "-");
	if (!copy) {
		t->failed = true;
		return;
	}
	t->cells[t->ncells++] = text_safe(copy);
}

static void measure(const struct table *t, size_t *widths)
{
	for (size_t c = 0; c < t->ncolumns; c++)
		widths[c] = t->no_header ? 0 : text_width(t->columns[c].header);
	for (size_t i = 0; i < t->ncells; i++) {
		size_t w = text_width(t->cells[i]);

		if (w > widths[i % t->ncolumns])
			widths[i % t->ncolumns] = w;
	}
}

/* Cut the widest of the columns that may be cut, one by one, until the line fits. */
static void fit(const struct table *t, size_t *widths, size_t width)
{
	size_t sum = GAP * (t->ncolumns - 1);

	for (size_t c = 0; c < t->ncolumns; c++)
		sum += widths[c];
	while (sum > width) {
		size_t *widest = NULL;

		for (size_t c = 0; c < t->ncolumns; c++)
			if (t->columns[c].shrinks && widths[c] > SHORTEST &&
			    (!widest || widths[c] > *widest))
				widest = &widths[c];
		if (!widest)
			return;
		--*widest;
		sum--;
	}
}

static void print_cell(FILE *f, const char *text, size_t width, bool right, bool last,
		       const char *cut)
{
	size_t w = text_width(text);

	if (w > width) {
		fprintf(f, "%.*s%s", (int)text_span(text, width - 1), text, cut);
		return;
	}
	if (right)
		fprintf(f, "%*s%s", (int)(width - w), "", text);
	else
		fprintf(f, "%s%*s", text, last ? 0 : (int)(width - w), "");
}

int table_print(struct table *t, FILE *f, size_t width, bool utf8,
		const char *(*paint)(size_t row, size_t column, const char *text))
{
	lg_autofree size_t *widths = calloc(t->ncolumns + 1, sizeof(*widths));
	const char *cut = utf8 ? "\xe2\x80\xa6" : "~";

	if (!widths || t->failed)
		return -ENOMEM;
	measure(t, widths);
	if (width)
		fit(t, widths, width);
	for (size_t c = 0; c < t->ncolumns && !t->no_header; c++) {
		print_cell(f, t->columns[c].header, widths[c], t->columns[c].right,
			   c + 1 == t->ncolumns, cut);
		fputs(c + 1 == t->ncolumns ? "\n" : "  ", f);
	}
	for (size_t i = 0; i < t->ncells; i++) {
		size_t c = i % t->ncolumns;
		const char *colour = paint ? paint(i / t->ncolumns, c, t->cells[i]) : NULL;

		if (colour)
			fputs(colour, f);
		print_cell(f, t->cells[i], widths[c], t->columns[c].right,
			   c + 1 == t->ncolumns, cut);
		fputs(colour ? "\033[0m" : "", f);
		fputs(c + 1 == t->ncolumns ? "\n" : "  ", f);
	}
	return 0;
}

void table_free(struct table *t)
{
	for (size_t i = 0; i < t->ncells; i++)
		free(t->cells[i]);
	free(t->cells);
	t->cells = NULL;
	t->ncells = t->room = 0;
}
