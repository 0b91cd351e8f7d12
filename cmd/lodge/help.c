/* SPDX-License-Identifier: GPL-2.0-or-later */

/* --help, made from the verbs' rows; at most 80 columns. */

#include <stdio.h>
#include <string.h>

#include "cmd/lodge/text.h"
#include "cmd/lodge/verbs.h"
#include "lib/cleanup.h"
#include "lib/features.h"

#define HELP_AT 30u	/* column of an option's help */

static const struct {
	enum verb_group group;
	const char *title;
} groups[] = {
	{ VERBS_LIFE, "Make, run, remove" }, { VERBS_LOOK, "Look" },
	{ VERBS_INSIDE, "Go inside" },	     { VERBS_CHANGE, "Change" },
	{ VERBS_TEMPLATES, "Templates" },    { VERBS_HOST, "The host" },
};

static void row(FILE *f, const char *left, const char *right)
{
	size_t width = text_width(left);

	if (width + 2 > HELP_AT) {
		fprintf(f, "%s\n", left);
		width = 0;
		left = "";
	}
	fprintf(f, "%s%*s", left, (int)(HELP_AT - width), "");
	text_wrap(f, HELP_AT, HELP_AT, right);
}

static void option_row(FILE *f, char letter, const char *name, const char *arg,
		       const char *help)
{
	char left[100], flag[5] = "    ";

	if (letter)
		snprintf(flag, sizeof(flag), "-%c, ", letter);
	snprintf(left, sizeof(left), "  %s--%s%s%s", flag, name, arg ? " " : "", arg ? arg : "");
	row(f, left, help);
}

static void option_value(FILE *f, const char *name, const char *help)
{
	char left[80];

	snprintf(left, sizeof(left), "  %s", name);
	row(f, left, help);
}

static void options(FILE *f, const struct opt *opts)
{
	for (const struct opt *o = opts; o && o->name; o++)
		option_row(f, o->letter, o->name, o->arg, o->help);
}

static void verb_row(FILE *f, const struct verb *v)
{
	char left[80];

	snprintf(left, sizeof(left), "  %s", v->name);
	row(f, left, v->help);
}

void help_all(FILE *f)
{
	fputs("Usage: lodge [OPTION]... COMMAND [ARGUMENT]...\n\n"
	      "Runs many Linux servers inside one. ID is a container's number or its name.\n", f);
	for (size_t g = 0; g < ARRAY_SIZE(groups); g++) {
		fprintf(f, "\n%s:\n", groups[g].title);
		for (const struct verb *const *v = verbs; *v; v++)
			if ((*v)->group == groups[g].group)
				verb_row(f, *v);
	}
	fputs("\nOptions of every command:\n", f);
	options(f, global_opts);
	fputs("\nlodge COMMAND --help says more; so does the manual: man lodge.\n"
	      "Called vzctl, vzlist or vzmigrate, it speaks OpenVZ's language.\n", f);
}

static void settings(FILE *f, const struct verb *verb)
{
	const struct lg_setting *(*find)(const char *) = verb_setting(verb->settings);

	if (!find)
		return;
	fputs("\nSettings:\n", f);
	for (size_t i = 0; i < lg_nsettings; i++)
		if (lg_settings[i].name && find(lg_settings[i].name))
			option_row(f, 0, lg_settings[i].name, lg_settings[i].arg,
				   lg_settings[i].help);
	fputs("\nFeatures:\n", f);
	for (size_t i = 0; i < LG_FEATURE_COUNT_; i++)
		if (lg_features[i].kind == LG_FEATURE_GRANTS)
			option_value(f, lg_features[i].name, lg_features[i].help);
}

void help_verb(FILE *f, const struct verb *verb)
{
	fprintf(f, "Usage: lodge %s%s%s\n\n", verb->name, verb->args ? " " : "",
		verb->args ? verb->args : "");
	text_wrap(f, 0, 0, verb->help);
	if (verb->alias)
		fprintf(f, "Also: lodge %s\n", verb->alias);
	if (verb->more) {
		fputc('\n', f);
		text_wrap(f, 0, 0, verb->more);
	}
	if (verb->opts) {
		fputs("\nOptions:\n", f);
		options(f, verb->opts);
	}
	settings(f, verb);
	fputs("\nOptions of every command:\n", f);
	options(f, global_opts);
}

void help_group(FILE *f, const char *prefix)
{
	size_t len = strlen(prefix);

	fprintf(f, "Usage: lodge %s COMMAND [ARGUMENT]...\n\n", prefix);
	for (const struct verb *const *v = verbs; *v; v++)
		if (strncmp((*v)->name, prefix, len) == 0 && (*v)->name[len] == ' ')
			verb_row(f, *v);
}
