/* SPDX-License-Identifier: GPL-2.0-or-later */

/* set, rename */

#include <string.h>

#include "cmd/lodge/verbs.h"
#include "lib/exit.h"
#include "lib/json.h"

static json_t *values_of(const struct cli *cli, const char *option)
{
	json_t *list = json_array();
	const char *value;
	size_t at = 0;

	while ((value = opt_next(&cli->args, option, &at)))
		json_array_append_new(list, json_string(value));
	return list;
}

/* What no option name is known for: --unset NAME removes it, as an empty value does. */
static int unset(struct cli *cli, json_t *settings)
{
	const char *name;
	size_t at = 0;

	while ((name = opt_next(&cli->args, "unset", &at))) {
		if (!verb_setting(SET_SETTINGS)(name))
			return cli_usage(cli, "set: no setting is called '%s' (lodge set --help "
					 "lists them)", name);
		json_object_set_new(settings, name, json_string(""));
	}
	return 0;
}

/* --ip replaces all addresses: take every one away, then add. */
static void replace_ip(json_t *settings, json_t *add, json_t *del)
{
	char list[1024], *rest = list, *word;
	const char *ip = lg_json_str(settings, "ip");

	if (!ip)
		return;
	snprintf(list, sizeof(list), "%s", ip);
	while ((word = strsep(&rest, " ")))
		if (*word)
			json_array_append_new(add, json_string(word));
	json_array_append_new(del, json_string("all"));
	json_object_del(settings, "ip");
}

static void list_words(char *buf, size_t size, const json_t *words)
{
	size_t at = 0;

	buf[0] = '\0';
	for (size_t i = 0; i < json_array_size(words) && at < size; i++) {
		const char *w = json_string_value(json_array_get(words, i));
		int n = w ? snprintf(buf + at, size - at, "%s%s", at ? ", " : "", w) : 0;

		at += n > 0 ? (size_t)n : 0;
	}
}

static void report(const struct cli *cli, const json_t *answer)
{
	const json_t *instance = json_object_get(answer, "instance");
	const json_t *later = json_object_get(answer, "needs_restart");
	char label[LABEL_MAX], words[400];

	out_warnings(cli, json_object_get(answer, "warnings"));
	if (cli->json) {
		out_json(answer);
		return;
	}
	list_words(words, sizeof(words), json_object_get(answer, "applied"));
	out_line(cli, "changed %s%s%s", out_label(instance, label), words[0] ? ": " : "", words);
	list_words(words, sizeof(words), later);
	if (words[0])
		out_line(cli, "takes effect at the next start: %s", words);
}

static int run_set(struct cli *cli)
{
	lg_autojson json_t *settings = NULL, *answer = NULL;
	lg_autojson json_t *add = values_of(cli, "ip-add"), *del = values_of(cli, "ip-del");
	int r = given_settings(cli, &settings);

	if (r == 0)
		r = unset(cli, settings);
	if (r < 0)
		return r;
	replace_ip(settings, add, del);
	if (json_object_size(settings) + json_array_size(add) + json_array_size(del) == 0)
		return cli_usage(cli, "set: nothing to change (lodge set --help lists what can "
				 "be)");
	r = cli_call(cli, "io.lodge.Set",
		     json_pack("{s:s, s:O, s:O, s:O, s:b}", "id", cli->args.words[0], "set",
			       settings, "add_ip", add, "del_ip", del, "save",
			       !opt_has(&cli->args, "no-save")), &answer);
	if (r < 0)
		return r;
	report(cli, answer);
	return LG_EXIT_OK;
}

static const struct opt set_opts[] = {
	{ "ip-add", 0, "auto|ADDR[/MASK]", "add an address; repeatable" },
	{ "ip-del", 0, "ADDR|all", "take an address away; repeatable" },
	{ "unset", 0, "SETTING", "remove a setting; repeatable" },
	{ "no-save", 0, NULL, "change the running container only, not its conf file" },
	{ 0 },
};

const struct verb verb_set = {
	.name = "set",
	.args = "ID OPTION...",
	.help = "change settings of a container",
	.more = "What can be is changed while it runs, the rest at the next start (the answer "
		"says so). Values are written to the container's conf file.",
	.group = VERBS_CHANGE,
	.opts = set_opts,
	.settings = SET_SETTINGS,
	.min_words = 1,
	.max_words = 1,
	.missing = "say which by number or name",
	.word = WORD_INSTANCE,
	.run = run_set,
};

static int run_rename(struct cli *cli)
{
	lg_autojson json_t *answer = NULL;
	char label[LABEL_MAX];
	json_t *params = json_pack("{s:s, s:s}", "id", cli->args.words[0], "name",
				   cli->args.words[1]);
	int r;

	if (!params)
		return cli_usage(cli, "rename: not UTF-8 text");
	r = cli_call(cli, "io.lodge.Rename", params, &answer);
	if (r < 0)
		return r;
	if (cli->json)
		out_json(json_object_get(answer, "instance"));
	else
		out_line(cli, "renamed to %s",
			 out_label(json_object_get(answer, "instance"), label));
	return LG_EXIT_OK;
}

const struct verb verb_rename = {
	.name = "rename",
	.args = "ID NAME",
	.help = "give a container another name",
	.more = "An empty NAME ('') takes the name away; the number stays.",
	.group = VERBS_CHANGE,
	.min_words = 2,
	.max_words = 2,
	.missing = "say which, and the new name",
	.word = WORD_INSTANCE,
	.run = run_rename,
};
