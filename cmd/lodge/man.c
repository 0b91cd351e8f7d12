/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The parts of the manual that are tables: `lodge __man PART` prints them as mdoc. */

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cmd/lodge/columns.h"
#include "cmd/lodge/verbs.h"
#include "lib/cleanup.h"
#include "lib/exit.h"
#include "lib/features.h"
#include "lib/hostlimits.h"

/* Text as roff wants it: no line begins with a dot or quote, a backslash is one. */
static void put(const char *text, bool fresh)
{
	for (const char *p = text; *p; p++) {
		if (fresh && (*p == '.' || *p == '\''))
			fputs("\\&", stdout);
		if (*p == '\\')
			fputs("\\e", stdout);
		else if (*p == '-' && p[1] == '-')
			fputs("\\-", stdout);
		else
			putchar(*p);
		fresh = false;
	}
}

/* Sentences each begin a line, as mdoc wants them, and no line is longer than 79 columns. */
static void put_sentences(const char *text)
{
	size_t at = 0;
	char word[80];

	while (*text) {
		size_t len = strcspn(text, " ");
		bool ends = len > 0 && text[len - 1] == '.' && text[len] == ' ' &&
			    isupper((unsigned char)text[len + 1]);

		snprintf(word, sizeof(word), "%.*s", (int)len, text);
		if (at && at + 1 + len > 79) {
			putchar('\n');
			at = 0;
		}
		if (at)
			putchar(' ');
		put(word, at == 0);
		at += len + (at ? 1 : 0);
		text += len + strspn(text + len, " ");
		if (ends) {
			putchar('\n');
			at = 0;
		}
	}
	putchar('\n');
}

/* "one line, lower case" becomes a sentence. */
static void put_help(const char *help)
{
	char line[400];
	size_t len = strlen(help);

	snprintf(line, sizeof(line), "%c%s%s", toupper((unsigned char)help[0]), help + 1,
		 help[len - 1] == '.' ? "" : ".");
	put_sentences(line);
}

static void put_arg(const char *arg)
{
	if (arg)
		printf(" Ar \"%s\"", arg);
}

static void option(char letter, const char *name, const char *arg, const char *help)
{
	fputs(".It ", stdout);
	if (letter)
		printf("Fl %c , ", letter);
	printf("Fl \\-%s", name);
	put_arg(arg);
	putchar('\n');
	put_help(help);
}

static void options(const struct opt *opts)
{
	if (!opts)
		return;
	puts(".Bl -tag -width Ds -compact");
	for (const struct opt *o = opts; o->name; o++)
		option(o->letter, o->name, o->arg, o->help);
	puts(".El");
}

static void verb(const struct verb *v)
{
	printf(".It Ic %s", v->name);
	put_arg(v->args);
	putchar('\n');
	put_help(v->help);
	if (v->alias)
		printf("Also:\n.Ic %s .\n", v->alias);
	if (v->settings)
		puts("Every setting of\n.Sx SETTINGS\nis an option, too.");
	if (v->more)
		put_sentences(v->more);
	options(v->opts);
}

static void verbs_part(void)
{
	static const struct {
		enum verb_group group;
		const char *title;
	} groups[] = {
		{ VERBS_LIFE, "Make, run, remove" }, { VERBS_LOOK, "Look" },
		{ VERBS_INSIDE, "Go inside" },	     { VERBS_CHANGE, "Change" },
		{ VERBS_TEMPLATES, "Templates" },    { VERBS_HOST, "The host" },
	};

	for (size_t g = 0; g < ARRAY_SIZE(groups); g++) {
		printf(".Ss %s\n.Bl -tag -width Ds\n", groups[g].title);
		for (const struct verb *const *v = verbs; *v; v++)
			if ((*v)->group == groups[g].group)
				verb(*v);
		puts(".El");
	}
}

static void globals_part(void)
{
	puts(".Bl -tag -width Ds");
	for (const struct opt *o = global_opts; o->name; o++)
		option(o->letter, o->name, o->arg, o->help);
	puts(".El");
}

static void settings_part(void)
{
	puts(".Bl -tag -width Ds");
	for (size_t i = 0; i < lg_nsettings; i++) {
		const struct lg_setting *s = &lg_settings[i];

		if (!s->name)
			continue;
		option(0, s->name, s->arg, s->help);
		printf("Key:\n.Ev %s .\n", s->key);
		if (s->flags & LG_SF_LIST)
			puts("May be given more than once.");
		if (s->flags & LG_SF_CREATE_ONLY)
			puts("With create only.");
		else if (!(s->flags & LG_SF_LIVE))
			puts("Takes effect at the next start.");
	}
	puts(".El");
}

/* Has the key a row of its own, or does vzctl's option only say another way what one of ours does? */
static bool is_own_key(const struct lg_setting *s)
{
	return s->name || (s->type != LG_SET_KEPT && lg_setting_by_key(s->key) == s);
}

/* The settings by key, for the manual of the file. */
static void keys_part(void)
{
	puts(".Bl -tag -width Ds");
	for (size_t i = 0; i < lg_nsettings; i++) {
		const struct lg_setting *s = &lg_settings[i];

		if (!is_own_key(s))
			continue;
		printf(".It Ev %s\n", s->key);
		put_help(s->help);
		if (s->name)
			printf("Option:\n.Fl \\-%s", s->name);
		if (s->vz_opt && (!s->name || strcmp(s->vz_opt, s->name) != 0))
			printf("%svzctl's:\n.Fl \\-%s", s->name ? " ;\n" : "", s->vz_opt);
		puts(" .");
	}
	puts(".El");
}

static void kept_part(void)
{
	puts(".Bl -tag -width QUOTAUGIDLIMIT -compact");
	for (size_t i = 0; i < lg_nsettings; i++) {
		const struct lg_setting *s = &lg_settings[i];

		if (s->name || s->type != LG_SET_KEPT)
			continue;
		printf(".It Ev %s\n", s->key);
		put_help(s->help);
	}
	puts(".El");
}

/* Those with a meaning, then those of vzctl that are kept. */
static void features_part(void)
{
	puts(".Bl -tag -width userfaultfd -compact");
	for (int granted = 1; granted >= 0; granted--)
		for (size_t i = 0; i < LG_FEATURE_COUNT_; i++) {
			const struct lg_feature *f = &lg_features[i];

			if ((f->kind == LG_FEATURE_GRANTS) != granted)
				continue;
			printf(".It Cm %s\n", f->name);
			put_help(f->help);
		}
	puts(".El");
}

static void hostlimits_part(void)
{
	puts(".Bl -tag -width Ds -compact");
	for (size_t i = 0; i < lg_nhostlimits; i++) {
		const struct lg_hostlimit *lim = &lg_hostlimits[i];
		char text[200];

		printf(".It Va %s\n", lim->name);
		if (lim->each)
			snprintf(text, sizeof(text), "%" PRIu64 " and %" PRIu64
				 " for each container: %s", lim->base, lim->each, lim->what);
		else
			snprintf(text, sizeof(text), "%" PRIu64 ": %s", lim->base, lim->what);
		put_help(text);
	}
	puts(".El");
}

static void put_columns(const struct column *table)
{
	puts(".Bl -tag -width memory-peak -compact");
	for (const struct column *c = table; c->name; c++) {
		printf(".It Cm %s\n", c->name);
		put_help(c->help);
	}
	puts(".El");
}

static void columns_part(void)
{
	put_columns(columns);
}

static void stats_columns_part(void)
{
	put_columns(stats_columns);
}

static int run(struct cli *cli)
{
	static const struct {
		const char *name;
		void (*print)(void);
	} parts[] = {
		{ "verbs", verbs_part },       { "globals", globals_part },
		{ "settings", settings_part }, { "keys", keys_part },
		{ "kept", kept_part },	       { "columns", columns_part },
		{ "features", features_part },   { "hostlimits", hostlimits_part },
		{ "stats-columns", stats_columns_part },
	};

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		if (strcmp(parts[i].name, cli->args.words[0]) == 0) {
			parts[i].print();
			return LG_EXIT_OK;
		}
	return cli_usage(cli, "__man: no part is called '%s'", cli->args.words[0]);
}

const struct verb verb_man = {
	.name = "__man",
	.args = "PART",
	.help = "print a part of the manual",
	.group = VERBS_HIDDEN,
	.min_words = 1,
	.max_words = 1,
	.missing = "say which part",
	.run = run,
};
