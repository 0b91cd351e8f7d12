/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <string.h>

#include "cmd/lodge/columns.h"
#include "cmd/lodge/verbs.h"
#include "lib/cleanup.h"
#include "lib/exit.h"
#include "lib/json.h"

#define SHORT_LIST "id,name,state,address,template,hostname"
#define LONG_LIST "id,name,kind,state,address,template,memory,memory-max,cpu,tasks,uptime,hostname"

struct listing {
	const struct column *shown[COLUMNS_MAX];
	size_t nshown;
	const struct column *sort;	/* NULL: as lodged has them, by number */
	bool down;
};

static int choose(struct cli *cli, struct listing *l)
{
	const char *list = opt_value(&cli->args, "output"), *sort = opt_value(&cli->args, "sort");
	int n;

	if (!list)
		list = opt_has(&cli->args, "long") ? LONG_LIST : SHORT_LIST;
	n = columns_parse(columns, list, l->shown, &cli->err);
	if (n < 0)
		return n;
	l->nshown = (size_t)n;
	return sort ? columns_sort_key(columns, sort, &l->sort, &l->down, &cli->err) : 0;
}

static enum column_need cost(const struct listing *l)
{
	enum column_need need = l->sort ? l->sort->need : NEED_BRIEF;

	for (size_t i = 0; i < l->nshown; i++)
		if (l->shown[i]->need > need)
			need = l->shown[i]->need;
	return need;
}

static json_t *make_params(const struct cli *cli, const struct listing *l)
{
	enum column_need need = cli->json ? NEED_USAGE : cost(l);
	json_t *params = json_pack("{s:b, s:b, s:b}", "all",
				   opt_has(&cli->args, "all") || cli->args.nwords > 0, "usage",
				   need == NEED_USAGE, "brief", need == NEED_BRIEF);

	if (cli->args.nwords)
		json_object_set_new(params, "ids", json_array());
	for (size_t i = 0; i < cli->args.nwords; i++)
		if (json_array_append_new(json_object_get(params, "ids"),
					  json_string(cli->args.words[i])) < 0) {
			json_decref(params);
			return NULL;
		}
	return params;
}

static const char *paint_state(size_t row, size_t column, const char *text)
{
	(void)row;
	(void)column;
	return strcmp(text, "running") == 0 ? "\033[32m" :
	       strchr(text, '(') ? "\033[33m" : NULL;
}

static int print_table(struct cli *cli, const struct listing *l, json_t *const *rows, size_t n)
{
	const struct columns_how how = {
		.width = out_width(),
		.no_header = opt_has(&cli->args, "no-header"),
		.paint = out_colour(STDOUT_FILENO) ? paint_state : NULL,
	};
	int r = columns_print(l->shown, l->nshown, rows, n, &how, stdout);

	return r < 0 ? lg_fail(&cli->err, r, "list") : LG_EXIT_OK;
}

static int print_rows(struct cli *cli, const struct listing *l, json_t *instances)
{
	size_t n = json_array_size(instances);
	lg_autofree json_t **rows = calloc(n + 1, sizeof(*rows));

	if (!rows)
		return lg_fail(&cli->err, -ENOMEM, "list");
	for (size_t i = 0; i < n; i++)
		rows[i] = json_array_get(instances, i);
	if (l->sort)
		columns_sort(rows, n, l->sort, l->down);
	if (cli->json) {
		lg_autojson json_t *sorted = json_array();

		for (size_t i = 0; i < n; i++)
			json_array_append(sorted, rows[i]);
		out_json(sorted);
		return LG_EXIT_OK;
	}
	if (n == 0 && !opt_has(&cli->args, "all") && !cli->quiet && isatty(STDERR_FILENO))
		fputs("no container runs; -a lists the stopped ones, too\n", stderr);
	return print_table(cli, l, rows, n);
}

static int run(struct cli *cli)
{
	lg_autojson json_t *answer = NULL;
	struct listing l = { .nshown = 0 };
	json_t *params;
	int r = choose(cli, &l);

	if (r < 0)
		return r;
	params = make_params(cli, &l);
	if (!params)
		return cli_usage(cli, "list: a name is not UTF-8 text");
	r = cli_call(cli, "io.lodge.List", params, &answer);
	return r < 0 ? r : print_rows(cli, &l, json_object_get(answer, "instances"));
}

static const struct opt opts[] = {
	{ "all", 'a', NULL, "stopped ones, too" },
	{ "long", 'l', NULL, "with memory, CPU time, tasks and uptime" },
	{ "output", 'o', "COLUMN,...", "print these columns" },
	{ "sort", 's', "[-]COLUMN", "sort by it, with - backwards" },
	{ "no-header", 'H', NULL, "leave out the line of headers" },
	{ 0 },
};

const struct verb verb_list = {
	.name = "list",
	.alias = "ls",
	.args = "[ID]...",
	.help = "list the running containers, or those that are named",
	.group = VERBS_LOOK,
	.opts = opts,
	.max_words = 100000,
	.word = WORD_INSTANCE,
	.columns = columns,
	.run = run,
};
