/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_CMD_LODGE_OPT_H
#define LG_CMD_LODGE_OPT_H

/*
 * The command line's parser. What options there are is said by tables (and by the settings, whose
 * rows are options too); options may come before, between and behind the positional words.
 */

#include <stdbool.h>
#include <stddef.h>

#include "lib/err.h"
#include "lib/settings.h"

struct opt {
	const char *name;	/* "timeout": --timeout; NULL ends a table */
	char letter;		/* 't': -t; 0: none */
	const char *arg;	/* what the help calls its value; NULL: it takes none */
	const char *help;	/* one line, lower case, no full stop */
};

/* One option as it was given. */
struct arg {
	const struct opt *opt;			/* NULL: it is a setting */
	const struct lg_setting *setting;	/* NULL: it is an option */
	const char *value;			/* NULL for an option without one */
};

struct args {
	struct arg *given;
	size_t ngiven;
	char **words;		/* the rest, in order; ends with NULL */
	size_t nwords;
};

struct opt_space {
	const struct opt *tables[3];	/* looked through in order; NULLs are skipped */
	/* the setting that is called this here, or NULL; may itself be NULL */
	const struct lg_setting *(*setting)(const char *name);
	size_t words_after;	/* so many words and nothing more is an option; 0: never */
	bool abbreviate;	/* the unique beginning of an option will do, as with getopt_long() */
};

/**
 * opt_parse() - sort @argc words (without the program's and the verb's name)
 * @ret:	give it to opt_free(), also after a failure
 *
 * Return: 0; -EINVAL with exit code LG_EXIT_BAD_OPTION and a line that suggests what may have
 * been meant; -ENOMEM.
 */
int opt_parse(const struct opt_space *space, size_t argc, char **argv, struct args *ret,
	      struct lg_err *err);
void opt_free(struct args *args);

/** opt_has() - was the option --@name given? */
bool opt_has(const struct args *args, const char *name);

/** opt_value() - the last value that --@name was given; NULL. */
const char *opt_value(const struct args *args, const char *name);

/** opt_next() - the value of --@name at or behind @*at, which goes past it; NULL at the end. */
const char *opt_next(const struct args *args, const char *name, size_t *at);

#endif
