/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Completion: the shells' own files only hand over the words of the line, and the command answers
 * with what may stand at its end, one candidate a line, a tab and its help behind it. "!file" asks
 * the shell to complete a file's name.
 */

#include <stdio.h>
#include <string.h>

#include "cmd/lodge/columns.h"
#include "cmd/lodge/text.h"
#include "cmd/lodge/verbs.h"
#include "lib/cleanup.h"
#include "lib/exit.h"
#include "lib/features.h"
#include "lib/json.h"

struct completing {
	struct cli *cli;
	const char *begun;	/* the word at the end, maybe empty */
	const struct column *columns;	/* of the verb, when it has any */
};

static void offer(const struct completing *c, const char *word, const char *help)
{
	if (strncmp(word, c->begun, strlen(c->begun)) == 0)
		printf("%s%s%s\n", word, help && *help ? "\t" : "", help ? help : "");
}

static void offer_verbs(const struct completing *c, const char *before)
{
	size_t len = before ? strlen(before) : 0;
	const char *last = "";

	for (const struct verb *const *v = verbs; *v; v++) {
		const char *name = (*v)->name, *blank = strchr(name, ' ');
		char first[32];

		if ((*v)->group == VERBS_HIDDEN)
			continue;
		if (before) {
			if (blank && (size_t)(blank - name) == len && !strncmp(name, before, len))
				offer(c, blank + 1, (*v)->help);
			continue;
		}
		snprintf(first, sizeof(first), "%.*s", (int)strcspn(name, " "), name);
		if (!blank || strncmp(last, name, strlen(first) + 1) != 0)
			offer(c, first, blank ? "OS templates" : (*v)->help);
		last = name;
	}
}

static void offer_instances(const struct completing *c)
{
	lg_autojson json_t *answer = NULL;
	const json_t *list;

	if (cli_call(c->cli, "io.lodge.List", json_pack("{s:b, s:b}", "all", 1, "brief", 1),
		     &answer) < 0)
		return;
	list = json_object_get(answer, "instances");
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *instance = json_array_get(list, i);
		const char *name = lg_json_str(instance, "name");
		const char *state = lg_json_str(instance, "state");
		char number[24];

		snprintf(number, sizeof(number), "%lld",
			 (long long)lg_json_int(instance, "ctid", 0));
		offer(c, number, name ? name : state);
		if (name && !strchr(name, ' '))
			offer(c, name, state);
	}
}

static void offer_templates(const struct completing *c)
{
	lg_autojson json_t *answer = NULL;
	const json_t *list;

	if (cli_call(c->cli, "io.lodge.TemplateList", NULL, &answer) < 0)
		return;
	list = json_object_get(answer, "templates");
	for (size_t i = 0; i < json_array_size(list); i++)
		offer(c, lg_json_str(json_array_get(list, i), "name"),
		      lg_json_str(json_array_get(list, i), "description"));
}

/* "yes|no", "auto|ADDR[/MASK]": the small words are values, the capitals say what else goes. */
static void offer_alternatives(const struct completing *c, const char *arg)
{
	while (*arg) {
		size_t len = strcspn(arg, "|");
		char word[64];

		snprintf(word, sizeof(word), "%.*s", (int)len, arg);
		if (strspn(word, "abcdefghijklmnopqrstuvwxyz") == strlen(word))
			offer(c, word, NULL);
		arg += len + (arg[len] ? 1 : 0);
	}
}

static void offer_columns(const struct completing *c)
{
	const char *comma = strrchr(c->begun, ',');
	int head = comma ? (int)(comma - c->begun) + 1 : *c->begun == '-';
	char word[CELL_MAX];

	for (const struct column *col = c->columns; col && col->name; col++) {
		snprintf(word, sizeof(word), "%.*s%s", head, c->begun, col->name);
		offer(c, word, col->help);
	}
}

static void offer_features(const struct completing *c)
{
	const char *comma = strrchr(c->begun, ',');
	int head = comma ? (int)(comma - c->begun) + 1 : 0;
	char word[CELL_MAX];

	for (size_t i = 0; i < LG_FEATURE_COUNT_; i++) {
		snprintf(word, sizeof(word), "%.*s%s", head, c->begun, lg_features[i].name);
		if (lg_features[i].kind == LG_FEATURE_GRANTS)
			offer(c, word, lg_features[i].help);
	}
}

static void offer_value(const struct completing *c, const struct opt *o,
			const struct lg_setting *s)
{
	const char *arg = s ? s->arg : o->arg;

	if (s && s->type == LG_SET_TEMPLATE)
		offer_templates(c);
	else if (s && s->type == LG_SET_FEATURES)
		offer_features(c);
	else if (strcmp(arg, "FILE") == 0 || strcmp(arg, "DIR") == 0)
		puts("!file");
	else if (strstr(arg, "COLUMN"))
		offer_columns(c);
	else if (strcmp(arg, "SETTING") == 0)
		for (size_t i = 0; i < lg_nsettings; i++)
			offer(c, lg_settings[i].name ? lg_settings[i].name : "",
			      lg_settings[i].help);
	else
		offer_alternatives(c, arg);
}

static void offer_option(const struct completing *c, const char *name, const char *help)
{
	char word[64];

	snprintf(word, sizeof(word), "--%s", name);
	offer(c, word, help);
}

static void offer_options(const struct completing *c, const struct opt_space *space)
{
	for (size_t t = 0; t < ARRAY_SIZE(space->tables); t++)
		for (const struct opt *o = space->tables[t]; o && o->name; o++)
			offer_option(c, o->name, o->help);
	for (size_t i = 0; space->setting && i < lg_nsettings; i++)
		if (lg_settings[i].name && space->setting(lg_settings[i].name))
			offer_option(c, lg_settings[i].name, lg_settings[i].help);
}

/* Does @word want a value, so that the next word is one? */
static bool wants_value(const struct opt_space *space, const char *word, const struct opt **o,
			const struct lg_setting **s)
{
	*s = NULL;
	for (size_t t = 0; t < ARRAY_SIZE(space->tables); t++)
		for (*o = space->tables[t]; *o && (*o)->name; (*o)++)
			if ((*o)->arg && word[0] == '-' &&
			    ((word[1] == '-' && strcmp(word + 2, (*o)->name) == 0) ||
			     (word[1] == (*o)->letter && word[1] && !word[2])))
				return true;
	*o = NULL;
	if (space->setting && strncmp(word, "--", 2) == 0)
		*s = space->setting(word + 2);
	return *s;
}

static void offer_words(const struct completing *c, const struct verb *verb, size_t nbefore)
{
	bool many = verb->max_words > 10 && !verb->words_after;

	if (nbefore >= verb->max_words || (nbefore > 0 && !many))
		return;
	if (verb->word == WORD_INSTANCE)
		offer_instances(c);
	else if (verb->word == WORD_TEMPLATE)
		offer_templates(c);
}

/* @words: all behind "lodge", the one that is being typed last. */
static void complete(struct completing *c, char **words, size_t nwords)
{
	static const struct opt none[] = { { 0 } };
	const struct verb *verb = NULL;
	struct opt_space space = { .tables = { global_opts, none } };
	const char *first = NULL;
	size_t nbefore = 0;

	for (size_t i = 0; i + 1 < nwords; i++) {
		const struct lg_setting *s;
		const struct opt *o;
		char two[64];

		if (wants_value(&space, words[i], &o, &s)) {
			if (i + 2 == nwords) {
				offer_value(c, o, s);
				return;
			}
			i++;
		} else if (words[i][0] == '-') {
			continue;
		} else if (verb) {
			nbefore++;
		} else {
			snprintf(two, sizeof(two), "%s%s%s", first ? first : "",
				 first ? " " : "", words[i]);
			verb = verb_find(two);
			first = words[i];
			if (verb)
				space = verb_space(verb);
			c->columns = verb ? verb->columns : NULL;
		}
	}
	if (*c->begun == '-')
		offer_options(c, &space);
	else if (!verb)
		offer_verbs(c, first);
	else
		offer_words(c, verb, nbefore);
}

static int run_complete(struct cli *cli)
{
	struct completing c = { .cli = cli, .begun = "" };

	if (cli->args.nwords == 0)
		return LG_EXIT_OK;
	c.begun = cli->args.words[cli->args.nwords - 1];
	complete(&c, cli->args.words, cli->args.nwords);
	return LG_EXIT_OK;
}

const struct verb verb_complete = {
	.name = "__complete",
	.args = "-- WORD...",
	.help = "print what may stand at the end of the words of a line",
	.group = VERBS_HIDDEN,
	.max_words = 100000,
	.words_after = 1,
	.run = run_complete,
};
