/* SPDX-License-Identifier: GPL-2.0-or-later */

/* template list, show, build, remove */

#include "cmd/lodge/table.h"
#include "cmd/lodge/text.h"
#include "cmd/lodge/verbs.h"
#include "lib/cleanup.h"
#include "lib/exit.h"
#include "lib/json.h"
#include "lib/parse.h"

static void size_text(const json_t *t, char buf[16])
{
	int64_t v = lg_json_int(t, "size_bytes", -1);

	buf[0] = '\0';
	if (v >= 0)
		lg_format_size((uint64_t)v, buf);
}

static void add_row(struct table *table, const json_t *t)
{
	bool built = lg_json_bool(t, "built", false);
	int64_t at = lg_json_int(t, "built_at", 0);
	char size[16], when[24] = "", used[24] = "";

	size_text(t, size);
	if (built && at > 0)
		text_time(at, when);
	if (built)
		snprintf(used, sizeof(used), "%zu",
			 json_array_size(json_object_get(t, "used_by")));
	table_add(table, lg_json_str(t, "name"));
	table_add(table, built ? "yes" : "no");
	table_add(table, built ? size : NULL);
	table_add(table, used);
	table_add(table, when);
	table_add(table, lg_json_str(t, "description"));
}

static int run_list(struct cli *cli)
{
	static const struct table_column heads[] = {
		{ "NAME", false, true }, { "BUILT", false, false },  { "SIZE", true, false },
		{ "USED", true, false }, { "BUILT AT", false, false }, { "DESCRIPTION", false, true },
	};
	struct table table = { .columns = heads, .ncolumns = ARRAY_SIZE(heads),
			       .no_header = opt_has(&cli->args, "no-header") };
	lg_autojson json_t *answer = NULL;
	const json_t *all;
	int r = cli_call(cli, "io.lodge.TemplateList", NULL, &answer);

	if (r < 0)
		return r;
	all = json_object_get(answer, "templates");
	if (cli->json) {
		out_json(all);
		return LG_EXIT_OK;
	}
	for (size_t i = 0; i < json_array_size(all); i++)
		add_row(&table, json_array_get(all, i));
	r = table_print(&table, stdout, out_width(), out_utf8(), NULL);
	table_free(&table);
	return r < 0 ? lg_fail(&cli->err, r, "template list") : LG_EXIT_OK;
}

static void show_line(const char *label, const char *value)
{
	char safe[400];

	if (!value || !*value)
		return;
	snprintf(safe, sizeof(safe), "%s", value);
	printf("  %-12s %s\n", label, text_safe(safe));
}

static void show(const json_t *t)
{
	static const char *const texts[] = { "description", "version", "os", "arch", "init",
					     "digest" };
	const json_t *used = json_object_get(t, "used_by");
	int64_t at = lg_json_int(t, "built_at", 0);
	char size[16], when[24] = "";

	printf("%s: %s\n", lg_json_str(t, "name"),
	       lg_json_bool(t, "built", false) ? "built" : "not built (lodge template build)");
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		show_line(texts[i], lg_json_str(t, texts[i]));
	size_text(t, size);
	show_line("size", size);
	if (at > 0)
		text_time(at, when);
	show_line("built at", when);
	if (json_array_size(used))
		printf("  %-12s", "used by");
	for (size_t i = 0; i < json_array_size(used); i++)
		printf(" %lld", (long long)json_integer_value(json_array_get(used, i)));
	if (json_array_size(used))
		putchar('\n');
}

static int run_show(struct cli *cli)
{
	lg_autojson json_t *answer = NULL;
	json_t *params = json_pack("{s:s}", "name", cli->args.words[0]);
	int r;

	if (!params)
		return cli_usage(cli, "template show: not UTF-8 text");
	r = cli_call(cli, "io.lodge.TemplateShow", params, &answer);
	if (r < 0)
		return r;
	if (cli->json)
		out_json(json_object_get(answer, "template"));
	else
		show(json_object_get(answer, "template"));
	return LG_EXIT_OK;
}

static int run_build(struct cli *cli)
{
	lg_autojson json_t *answer = NULL;
	const char *name = cli->args.words[0];
	json_t *params = json_pack("{s:s, s:b}", "name", name, "force",
				   opt_has(&cli->args, "force"));
	char what[160], goes_on[240], size[16];
	const json_t *t;
	int r;

	if (!params)
		return cli_usage(cli, "template build: not UTF-8 text");
	snprintf(what, sizeof(what), "building template %s", name);
	snprintf(goes_on, sizeof(goes_on),
		 "interrupted; lodged goes on building %s (lodge template list shows when it is "
		 "there)", name);
	r = cli_call_long(cli, "io.lodge.TemplateBuild", params, what, goes_on, &answer);
	if (r < 0)
		return r;
	t = json_object_get(answer, "template");
	size_text(t, size);
	if (cli->json)
		out_json(t);
	else
		out_line(cli, "built %s%s%s", name, size[0] ? ", " : "", size);
	return LG_EXIT_OK;
}

static int run_remove(struct cli *cli)
{
	json_t *params = json_pack("{s:s}", "name", cli->args.words[0]);
	int r;

	if (!params)
		return cli_usage(cli, "template remove: not UTF-8 text");
	r = cli_call(cli, "io.lodge.TemplateRemove", params, NULL);
	if (r < 0)
		return r;
	if (cli->json)
		puts("{}");
	else
		out_line(cli, "removed %s", cli->args.words[0]);
	return LG_EXIT_OK;
}

static const struct opt list_opts[] = {
	{ "no-header", 'H', NULL, "leave out the line of headers" },
	{ 0 },
};

const struct verb verb_template_list = {
	.name = "template list",
	.help = "list the OS templates, and those that can be built",
	.group = VERBS_TEMPLATES,
	.opts = list_opts,
	.run = run_list,
};

#define ONE .args = "NAME", .missing = "say which template", .min_words = 1, .max_words = 1, \
	    .word = WORD_TEMPLATE, .group = VERBS_TEMPLATES

const struct verb verb_template_show = {
	ONE,
	.name = "template show",
	.help = "print all that is known of a template",
	.run = run_show,
};

static const struct opt build_opts[] = {
	{ "force", 'f', NULL, "build it again, even if it is there" },
	{ 0 },
};

const struct verb verb_template_build = {
	ONE,
	.name = "template build",
	.help = "make a template from its recipe",
	.more = "Takes seconds for busybox and minutes for a distribution. Containers made from "
		"the old one keep it.",
	.opts = build_opts,
	.run = run_build,
};

const struct verb verb_template_remove = {
	ONE,
	.name = "template remove",
	.help = "remove a template that no container uses",
	.run = run_remove,
};
