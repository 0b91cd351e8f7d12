/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/lodge/text.h"
#include "cmd/lodge/vz.h"
#include "lib/cleanup.h"
#include "lib/exit.h"
#include "lib/json.h"

#define FIELDS_MAX 128u
#define DEFAULT_FIELDS "ctid,numproc,status,ip,hostname"
#define NAME_FIELDS "ctid,numproc,status,ip,name"
#define EXIT_NOTHING_FOUND 1

struct vzlist {
	const struct vz_field *fields[FIELDS_MAX];
	char subs[FIELDS_MAX];
	size_t nfields;
	const struct vz_field *sort;
	char sort_sub;
	bool down;
	struct args args;
};

static const struct opt opts[] = {
	{ "all", 'a', NULL, "list stopped containers, too" },
	{ "stopped", 'S', NULL, "list stopped containers only" },
	{ "name", 'n', NULL, "show names instead of host names" },
	{ "no-header", 'H', NULL, "leave out the line of headers" },
	{ "no-trim", 't', NULL, "do not cut long values" },
	{ "json", 'j', NULL, "print JSON" },
	{ "output", 'o', "FIELD[,FIELD...]", "print these fields" },
	{ "1", '1', NULL, "the same as -H -octid" },
	{ "sort", 's', "[-]FIELD", "sort by this field, with - backwards" },
	{ "hostname", 'h', "PATTERN", "only host names that match" },
	{ "name_filter", 'N', "PATTERN", "only names that match" },
	{ "description", 'd', "PATTERN", "only descriptions that match" },
	{ "list", 'L', NULL, "list the fields there are" },
	{ "help", 0, NULL, "print this help" },
	{ 0 },
};

static int choose_fields(struct cli *cli, struct vzlist *l, const char *list)
{
	do {
		size_t len = strcspn(list, ",");

		if (l->nfields == FIELDS_MAX)
			return cli_usage(cli, "Too many fields");
		l->fields[l->nfields] = vz_field_find(list, len, &l->subs[l->nfields]);
		if (!l->fields[l->nfields++])
			return cli_usage(cli, "Unknown field: %.*s", (int)len, list);
		list += len;
	} while (*list++);
	return 0;
}

static int choose(struct cli *cli, struct vzlist *l)
{
	const char *list = opt_value(&l->args, "output"), *sort = opt_value(&l->args, "sort");
	int r = 0;

	if (opt_has(&l->args, "1"))
		list = "ctid";
	if (list || !opt_has(&l->args, "json"))
		r = choose_fields(cli, l, list ? list : opt_has(&l->args, "name") ? NAME_FIELDS :
										   DEFAULT_FIELDS);
	if (r < 0)
		return r;
	l->down = sort && *sort == '-';
	sort = sort ? sort + (l->down ? 1 : 0) : "ctid";
	l->sort = vz_field_find(sort, strlen(sort), &l->sort_sub);
	return l->sort ? 0 : cli_usage(cli, "Unknown field: %s", sort);
}

static bool need_usage(const struct vzlist *l)
{
	if (l->nfields == 0 || l->sort->usage)
		return true;
	for (size_t i = 0; i < l->nfields; i++)
		if (l->fields[i]->usage)
			return true;
	return false;
}

static bool matches(const struct vzlist *l, const char *option, const json_t *instance,
		    const char *key)
{
	const char *pattern = opt_value(&l->args, option), *text = lg_json_str(instance, key);

	return !pattern || fnmatch(pattern, text ? text : "", 0) == 0;
}

static bool is_named(const struct vzlist *l, const json_t *instance)
{
	const char *name = lg_json_str(instance, "name");
	char number[24];

	snprintf(number, sizeof(number), "%lld", (long long)lg_json_int(instance, "ctid", 0));
	for (size_t i = 0; i < l->args.nwords; i++)
		if (strcmp(l->args.words[i], number) == 0 ||
		    (name && strcmp(l->args.words[i], name) == 0))
			return true;
	return l->args.nwords == 0;
}

static bool is_listed(const struct vzlist *l, const json_t *instance)
{
	const char *state = lg_json_str(instance, "state");
	bool running = state && (strcmp(state, "running") == 0 || strcmp(state, "paused") == 0);

	if (opt_has(&l->args, "stopped") ? running :
	    !running && !opt_has(&l->args, "all") && l->args.nwords == 0)
		return false;
	return is_named(l, instance) && matches(l, "hostname", instance, "hostname") &&
	       matches(l, "name_filter", instance, "name") &&
	       matches(l, "description", instance, "description");
}

struct row {
	json_t *instance;
	size_t at;
	char key[VZ_CELL];
};

static int compare(const void *pa, const void *pb, void *arg)
{
	const struct row *a = pa, *b = pb;
	const struct vzlist *l = arg;
	char *ea, *eb;
	long long na = strtoll(a->key, &ea, 10), nb = strtoll(b->key, &eb, 10);
	int c = strcmp(a->key, b->key);

	/* Numbers by their size; what is no number ("-") goes in front of them. */
	if (l->sort->width > 0)
		c = *ea || *eb ? (*eb != 0) - (*ea != 0) : na < nb ? -1 : na > nb;
	if (c == 0)
		return a->at < b->at ? -1 : 1;
	return l->down ? -c : c;
}

static void print_cell(const struct vzlist *l, size_t i, const char *text, bool trim)
{
	bool last = i + 1 == l->nfields;
	int width = l->fields[i]->width, wide = width < 0 ? -width : width;
	size_t len = text_span(text, (size_t)wide), shown = text_width(text);
	int pad = wide - (int)(shown < (size_t)wide ? shown : (size_t)wide);

	if (!trim || last || width > 0)
		len = strlen(text);
	if (width > 0)
		printf("%*s%.*s", pad, "", (int)len, text);
	else
		printf("%.*s%*s", (int)len, text, last ? 0 : pad, "");
	putchar(last ? '\n' : ' ');
}

static void print_rows(const struct vzlist *l, const struct row *rows, size_t n)
{
	bool trim = !opt_has(&l->args, "no-trim");

	if (!opt_has(&l->args, "no-header") && !opt_has(&l->args, "1"))
		for (size_t i = 0; i < l->nfields; i++)
			print_cell(l, i, l->fields[i]->header, false);
	for (size_t k = 0; k < n; k++)
		for (size_t i = 0; i < l->nfields; i++) {
			char cell[VZ_CELL];

			vz_field_text(l->fields[i], rows[k].instance, l->subs[i], cell);
			print_cell(l, i, text_safe(cell), trim);
		}
}

/* With -j and no -o all fields, without -o's suffixes. */
static json_t *row_json(const struct vzlist *l, const json_t *instance)
{
	json_t *obj = json_object();

	if (l->nfields)
		for (size_t i = 0; i < l->nfields; i++)
			json_object_set_new(obj, l->fields[i]->name,
					    vz_field_json(l->fields[i], instance));
	else
		for (const struct vz_field *f = vz_fields; f->name; f++)
			if (strcmp(f->name, "veid") != 0 && strcmp(f->name, "vpsid") != 0)
				json_object_set_new(obj, f->name, vz_field_json(f, instance));
	return obj;
}

static void print_json(const struct vzlist *l, const struct row *rows, size_t n)
{
	lg_autojson json_t *list = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, row_json(l, rows[i].instance));
	out_json(list);
}

static int print_all(struct cli *cli, struct vzlist *l, const json_t *instances)
{
	size_t all = json_array_size(instances), n = 0;
	lg_autofree struct row *rows = calloc(all + 1, sizeof(*rows));

	if (!rows)
		return lg_fail(&cli->err, -ENOMEM, "vzlist");
	for (size_t i = 0; i < all; i++) {
		json_t *instance = json_array_get(instances, i);

		if (!is_listed(l, instance))
			continue;
		rows[n] = (struct row){ .instance = instance, .at = n };
		vz_field_text(l->sort, instance, l->sort_sub, rows[n++].key);
	}
	if (n == 0) {
		fputs("Container(s) not found\n", stderr);
		return EXIT_NOTHING_FOUND;
	}
	qsort_r(rows, n, sizeof(*rows), compare, l);
	if (opt_has(&l->args, "json"))
		print_json(l, rows, n);
	else
		print_rows(l, rows, n);
	return LG_EXIT_OK;
}

/* {resource: counter} of an account. */
static json_t *by_resource(const json_t *account)
{
	const json_t *list = json_object_get(account, "counters");
	json_t *obj = json_object();

	for (size_t i = 0; i < json_array_size(list); i++) {
		json_t *counter = json_array_get(list, i);
		const char *name = lg_json_str(counter, "resource");

		if (name)
			json_object_set(obj, name, counter);
	}
	return obj;
}

/* Puts each account beside its instance; both lists are in the order of their numbers. */
static void add_accounts(const json_t *instances, const json_t *accounts)
{
	size_t at = 0, n = json_array_size(accounts);

	for (size_t i = 0; i < json_array_size(instances); i++) {
		json_t *instance = json_array_get(instances, i);
		int64_t ctid = lg_json_int(instance, "ctid", 0);

		while (at < n && lg_json_int(json_array_get(accounts, at), "ctid", 0) < ctid)
			at++;
		if (at < n && lg_json_int(json_array_get(accounts, at), "ctid", 0) == ctid)
			json_object_set_new(instance, "ubc",
					    by_resource(json_array_get(accounts, at)));
	}
}

static int ask(struct cli *cli, struct vzlist *l)
{
	lg_autojson json_t *answer = NULL, *ubc = NULL;
	int r = cli_call(cli, "io.lodge.List", json_pack("{s:b}", "all", 1), &answer);

	if (r == 0 && need_usage(l))
		r = cli_call(cli, "io.lodge.Ubc", NULL, &ubc);
	if (r < 0)
		return r;
	add_accounts(json_object_get(answer, "instances"), json_object_get(ubc, "accounts"));
	return print_all(cli, l, json_object_get(answer, "instances"));
}

static int help(void)
{
	puts("vzlist, spoken by lodge " LODGE_VERSION "\n"
	     "Usage: vzlist [-a | -S] [-n] [-H] [-t] [-j] [-o FIELD[,FIELD...] | -1]\n"
	     "              [-s [-]FIELD] [-h PATTERN] [-N PATTERN] [-d PATTERN] [CTID ...]\n"
	     "       vzlist -L\n");
	for (const struct opt *o = opts; o->name; o++) {
		char left[64], letter[8] = "   ";

		if (o->letter)
			snprintf(letter, sizeof(letter), "-%c,", o->letter);
		snprintf(left, sizeof(left), "%s --%s %s", letter, o->name, o->arg ? o->arg : "");
		printf("  %-34s %s\n", left, o->help);
	}
	return LG_EXIT_OK;
}

static int list_fields(void)
{
	for (const struct vz_field *f = vz_fields; f->name; f++)
		printf("%-15s %s\n", f->name, f->header);
	return LG_EXIT_OK;
}

int vzlist_run(struct cli *cli, size_t nwords, char **words)
{
	const struct opt_space space = { .tables = { opts }, .abbreviate = true };
	struct vzlist l = { .nfields = 0 };
	int r;

	cli->who = "";
	r = opt_parse(&space, nwords - 1, words + 1, &l.args, &cli->err);
	if (r == 0 && opt_has(&l.args, "help"))
		r = help();
	else if (r == 0 && opt_has(&l.args, "list"))
		r = list_fields();
	else if (r == 0)
		r = choose(cli, &l) < 0 ? -EINVAL : ask(cli, &l);
	opt_free(&l.args);
	return r;
}
