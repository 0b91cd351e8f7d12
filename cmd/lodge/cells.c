/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Tables of columns, whichever list they are of: cells, the choice of columns, sorting, printing. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cmd/lodge/cli.h"
#include "cmd/lodge/columns.h"
#include "cmd/lodge/table.h"
#include "cmd/lodge/text.h"
#include "lib/cleanup.h"
#include "lib/exit.h"
#include "lib/json.h"
#include "lib/parse.h"

double cell_text(char buf[CELL_MAX], const char *text)
{
	snprintf(buf, CELL_MAX, "%s", text ? text : "");
	return 0;
}

double cell_number(char buf[CELL_MAX], const json_t *obj, const char *key)
{
	int64_t v = lg_json_int(obj, key, -1);

	if (v < 0)
		buf[0] = '\0';
	else
		snprintf(buf, CELL_MAX, "%lld", (long long)v);
	return (double)v;
}

double cell_size(char buf[CELL_MAX], const json_t *obj, const char *key)
{
	int64_t v = lg_json_int(obj, key, -1);

	buf[0] = '\0';
	if (v >= 0)
		lg_format_size((uint64_t)v, buf);
	return (double)v;
}

double cell_uptime(char buf[CELL_MAX], const json_t *obj)
{
	int64_t since = lg_json_int(obj, "started_at", 0), t = time(NULL);

	buf[0] = '\0';
	if (since <= 0 || t < since)
		return 0;
	text_uptime((uint64_t)(t - since), buf);
	return (double)(t - since);
}

const struct column *column_find(const struct column *table, const char *name, size_t len)
{
	/* What JSON calls it. */
	if (len == 4 && strncmp(name, "ctid", len) == 0)
		return column_find(table, "id", 2);
	for (const struct column *c = table; c->name; c++)
		if (strlen(c->name) == len && strncmp(c->name, name, len) == 0)
			return c;
	return NULL;
}

static int unknown(const struct column *table, const char *name, size_t len,
		   struct lg_err *err)
{
	char all[400] = "";
	size_t at = 0;

	for (const struct column *c = table; c->name && at < sizeof(all); c++)
		at += (size_t)snprintf(all + at, sizeof(all) - at, "%s%s", at ? ", " : "",
				       c->name);
	return lg_refuse(err, -EINVAL, LG_EXIT_BAD_OPTION,
			 "no column is called '%.*s'; there are: %s",
			 (int)(len < 40 ? len : 40), name, all);
}

int columns_parse(const struct column *table, const char *list, const struct column **ret,
		  struct lg_err *err)
{
	int n = 0;

	do {
		size_t len = strcspn(list, ",");
		const struct column *c = column_find(table, list, len);

		if (!c)
			return unknown(table, list, len, err);
		if (n == (int)COLUMNS_MAX)
			return lg_refuse(err, -EINVAL, LG_EXIT_BAD_OPTION,
					 "at most %u columns", COLUMNS_MAX);
		ret[n++] = c;
		list += len;
	} while (*list++);
	return n;
}

int columns_sort_key(const struct column *table, const char *text, const struct column **ret,
		     bool *down, struct lg_err *err)
{
	*down = *text == '-';
	text += *down ? 1 : 0;
	*ret = column_find(table, text, strlen(text));
	return *ret ? 0 : unknown(table, text, strlen(text), err);
}

struct key {
	json_t *row;
	size_t at;
	double number;
	char text[CELL_MAX];
};

static int compare(const void *pa, const void *pb, void *arg)
{
	const struct key *a = pa, *b = pb;
	const int *direction = arg;
	int c = a->number < b->number ? -1 : a->number > b->number ? 1 : 0;

	if (c == 0)
		c = strcmp(a->text, b->text);
	if (c == 0)
		return a->at < b->at ? -1 : 1;
	return c * *direction;
}

void columns_sort(json_t **rows, size_t n, const struct column *column, bool down)
{
	lg_autofree struct key *keys = calloc(n + 1, sizeof(*keys));
	int direction = down ? -1 : 1;

	if (!keys)
		return;	/* unsorted is better than nothing */
	for (size_t i = 0; i < n; i++) {
		double v = column->get(rows[i], keys[i].text);

		keys[i].row = rows[i];
		keys[i].at = i;
		keys[i].number = column->number ? v : 0;
		if (column->number)
			keys[i].text[0] = '\0';
	}
	qsort_r(keys, n, sizeof(*keys), compare, &direction);
	for (size_t i = 0; i < n; i++)
		rows[i] = keys[i].row;
}

int columns_print(const struct column *const *shown, size_t nshown, json_t *const *rows, size_t n,
		  const struct columns_how *how, FILE *f)
{
	struct table_column heads[COLUMNS_MAX];
	struct table t = { .columns = heads, .ncolumns = nshown, .no_header = how->no_header };
	int r;

	for (size_t c = 0; c < nshown; c++)
		heads[c] = (struct table_column){ .header = shown[c]->header,
						  .right = shown[c]->right,
						  .shrinks = shown[c]->shrinks };
	for (size_t i = 0; i < n; i++)
		for (size_t c = 0; c < nshown; c++) {
			char cell[CELL_MAX];

			shown[c]->get(rows[i], cell);
			table_add(&t, cell);
		}
	r = table_print(&t, f, how->width, out_utf8(), how->paint);
	table_free(&t);
	return r;
}
