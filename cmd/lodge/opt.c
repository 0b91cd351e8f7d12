/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/lodge/opt.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/lodge/text.h"
#include "lib/cleanup.h"
#include "lib/exit.h"

#define NAME_MAX_ 64u	/* of an option, in what people type */

struct parse {
	const struct opt_space *space;
	size_t argc, at;
	char **argv;
	struct args *ret;
	struct lg_err *err;
};

static const struct opt *find_exact(const struct opt_space *space, const char *name)
{
	for (size_t t = 0; t < ARRAY_SIZE(space->tables); t++)
		for (const struct opt *o = space->tables[t]; o && o->name; o++)
			if (strcmp(o->name, name) == 0)
				return o;
	return NULL;
}

static const struct opt *find_letter(const struct opt_space *space, char letter)
{
	for (size_t t = 0; t < ARRAY_SIZE(space->tables); t++)
		for (const struct opt *o = space->tables[t]; o && o->name; o++)
			if (o->letter == letter)
				return o;
	return NULL;
}

/* The one option that begins with @name; NULL if there is none or more than one. */
static const struct opt *find_beginning(const struct opt_space *space, const char *name)
{
	const struct opt *found = NULL;
	size_t len = strlen(name);

	for (size_t t = 0; t < ARRAY_SIZE(space->tables); t++)
		for (const struct opt *o = space->tables[t]; o && o->name; o++) {
			if (strncmp(o->name, name, len) != 0)
				continue;
			if (found)
				return NULL;
			found = o;
		}
	return found;
}

static int unknown(const struct parse *p, const char *shown, const char *name)
{
	struct suggest s;

	suggest_init(&s, name);
	for (size_t t = 0; t < ARRAY_SIZE(p->space->tables); t++)
		for (const struct opt *o = p->space->tables[t]; o && o->name; o++)
			suggest_offer(&s, o->name);
	for (size_t i = 0; p->space->setting && i < lg_nsettings; i++)
		if (lg_settings[i].name && p->space->setting(lg_settings[i].name))
			suggest_offer(&s, lg_settings[i].name);
	if (s.best)
		return lg_refuse(p->err, -EINVAL, LG_EXIT_BAD_OPTION,
				 "unknown option '%s': did you mean --%s?", shown, s.best);
	return lg_refuse(p->err, -EINVAL, LG_EXIT_BAD_OPTION,
			 "unknown option '%s' (--help lists what there is)", shown);
}

static int add(struct parse *p, const struct opt *opt, const struct lg_setting *setting,
	       const char *value)
{
	struct args *a = p->ret;
	struct arg *more = realloc(a->given, (a->ngiven + 1) * sizeof(*more));

	if (!more)
		return lg_fail(p->err, -ENOMEM, "read the command line");
	a->given = more;
	a->given[a->ngiven++] = (struct arg){ .opt = opt, .setting = setting, .value = value };
	return 0;
}

static const char *next_word(struct parse *p)
{
	return p->at < p->argc ? p->argv[p->at++] : NULL;
}

/* "--name", "--name=value", "--name value"; @text is what stands behind the two dashes. */
static int parse_long(struct parse *p, const char *text)
{
	const char *equals = strchr(text, '='), *value = equals ? equals + 1 : NULL;
	size_t len = equals ? (size_t)(equals - text) : strlen(text);
	const struct lg_setting *setting = NULL;
	const struct opt *o;
	char name[NAME_MAX_];

	if (len == 0 || len >= sizeof(name))
		return unknown(p, text - 2, "");
	snprintf(name, sizeof(name), "%.*s", (int)len, text);
	o = find_exact(p->space, name);
	if (!o && p->space->setting)
		setting = p->space->setting(name);
	if (!o && !setting && p->space->abbreviate)
		o = find_beginning(p->space, name);
	if (!o && !setting)
		return unknown(p, text - 2, name);
	if (o && !o->arg && value)
		return lg_refuse(p->err, -EINVAL, LG_EXIT_BAD_OPTION, "--%s takes no value", name);
	if (!(o && !o->arg) && !value)
		value = next_word(p);
	if (!(o && !o->arg) && !value)
		return lg_refuse(p->err, -EINVAL, LG_EXIT_BAD_OPTION,
				 "--%s needs a value: --%s %s", name, name,
				 setting ? setting->arg : o->arg);
	return add(p, o, setting, value);
}

/* "-a", "-at", "-o value", "-ovalue"; @text is what stands behind the dash. */
static int parse_letters(struct parse *p, const char *text)
{
	for (const char *c = text; *c; c++) {
		const struct opt *o = find_letter(p->space, *c);
		char shown[] = { '-', *c, '\0' };
		const char *value = NULL;
		int r;

		if (!o)
			return unknown(p, shown, c == text && c[1] ? text : "");
		if (o->arg) {
			value = c[1] ? c + 1 : next_word(p);
			if (!value)
				return lg_refuse(p->err, -EINVAL, LG_EXIT_BAD_OPTION,
						 "-%c needs a value: -%c %s", *c, *c, o->arg);
		}
		r = add(p, o, NULL, value);
		if (r < 0 || value)
			return r;
	}
	return 0;
}

int opt_parse(const struct opt_space *space, size_t argc, char **argv, struct args *ret,
	      struct lg_err *err)
{
	struct parse p = { .space = space, .argc = argc, .argv = argv, .ret = ret, .err = err };
	bool only_words = false;
	int r = 0;

	*ret = (struct args){ .words = calloc(argc + 1, sizeof(*ret->words)) };
	if (!ret->words)
		return lg_fail(err, -ENOMEM, "read the command line");
	while (r == 0 && p.at < argc) {
		char *word = argv[p.at++];

		if (only_words || word[0] != '-' || !word[1]) {
			ret->words[ret->nwords++] = word;
			if (space->words_after && ret->nwords >= space->words_after)
				only_words = true;
		} else if (strcmp(word, "--") == 0) {
			only_words = true;
		} else {
			r = word[1] == '-' ? parse_long(&p, word + 2) :
					     parse_letters(&p, word + 1);
		}
	}
	return r;
}

void opt_free(struct args *args)
{
	free(args->given);
	free(args->words);
	*args = (struct args){ 0 };
}

static bool is(const struct arg *a, const char *name)
{
	return a->opt && strcmp(a->opt->name, name) == 0;
}

bool opt_has(const struct args *args, const char *name)
{
	for (size_t i = 0; i < args->ngiven; i++)
		if (is(&args->given[i], name))
			return true;
	return false;
}

const char *opt_value(const struct args *args, const char *name)
{
	for (size_t i = args->ngiven; i-- > 0;)
		if (is(&args->given[i], name))
			return args->given[i].value;
	return NULL;
}

const char *opt_next(const struct args *args, const char *name, size_t *at)
{
	while (*at < args->ngiven) {
		const struct arg *a = &args->given[(*at)++];

		if (is(a, name))
			return a->value;
	}
	return NULL;
}
