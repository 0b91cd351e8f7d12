/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_CMD_LODGE_CLI_H
#define LG_CMD_LODGE_CLI_H

/*
 * What the verbs of the command share. A verb is a row (struct verb, defined in the verb's own
 * file and listed in verbs.c) and a function that asks lodged and prints the answer.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "cmd/lodge/opt.h"
#include "lib/err.h"
#include "lib/root.h"
#include "lib/varlink.h"

enum verb_group {
	VERBS_LIFE,
	VERBS_LOOK,
	VERBS_INSIDE,
	VERBS_CHANGE,
	VERBS_TEMPLATES,
	VERBS_HOST,
	VERBS_HIDDEN,
};

/* What a positional word is, for completion. */
enum word_kind { WORD_NONE, WORD_INSTANCE, WORD_TEMPLATE };

enum verb_settings { NO_SETTINGS, CREATE_SETTINGS, SET_SETTINGS };

struct cli;
struct column;

struct verb {
	const char *name;		/* "start", "template list" */
	const char *alias;		/* NULL */
	const char *args;		/* "ID [-- COMMAND]": behind the name in the usage line */
	const char *help;		/* one line, lower case, no full stop */
	const char *more;		/* sentences for --help and the man page; NULL */
	enum verb_group group;
	const struct opt *opts;		/* ends with an empty row; NULL: none of its own */
	enum verb_settings settings;	/* settings that are options of it */
	size_t min_words, max_words;
	const char *missing;		/* says what is missing when there are too few */
	size_t words_after;		/* see struct opt_space */
	enum word_kind word;		/* what the first word is; the others, where many may stand */
	const struct column *columns;	/* what its options' COLUMNs are; NULL */
	int (*run)(struct cli *cli);	/* exit status, or negative errno with cli->err */
};

extern const struct verb *const verbs[];	/* ends with NULL */
extern const struct opt global_opts[];

struct cli {
	const char *who;	/* in front of messages: "lodge" */
	const struct verb *verb;
	struct args args;
	struct lg_root root;
	bool json, quiet;
	int send_fd;		/* goes with the next long call; 0: none */
	struct lg_vclient *client;
	struct lg_err err;
};

/* ---- verbs.c ---- */

/** verb_find() - by name or alias; NULL. */
const struct verb *verb_find(const char *name);

/** verb_setting() - the lookup of settings for @kind, NULL for none (struct opt_space). */
const struct lg_setting *(*verb_setting(enum verb_settings kind))(const char *name);

/** verb_space() - the options that may stand with @verb. */
struct opt_space verb_space(const struct verb *verb);

/* ---- client.c ---- */

/** cli_call() - one question, one answer. @params: stolen. @ret: may be NULL. */
int cli_call(struct cli *cli, const char *method, json_t *params, json_t **ret);

/** cli_call_fds() - the same, with descriptors (lent). */
int cli_call_fds(struct cli *cli, const char *method, json_t *params, const int *fds,
		 unsigned int nfds, json_t **ret);

/**
 * cli_call_long() - the same for what may take long: shows progress on stderr
 * @what:	"starting 101"
 * @goes_on:	printed when the user interrupts the wait: what lodged goes on doing
 */
int cli_call_long(struct cli *cli, const char *method, json_t *params, const char *what,
		  const char *goes_on, json_t **ret);

/** cli_call_told() - the same, and @told(TEXT, @arg) hears what is shown; with --quiet nothing else does */
int cli_call_told(struct cli *cli, const char *method, json_t *params, const char *what,
		  const char *goes_on, void (*told)(const char *text, void *arg), void *arg, json_t **ret);

/** cli_open() - connect (the calls above do it by themselves). 0, or negative with cli->err. */
int cli_open(struct cli *cli);

/** cli_status() - make an exit status of what a verb's function returned; prints the error. */
int cli_status(struct cli *cli, int r);

/** cli_usage() - refuse the command line: text in cli->err, LG_EXIT_BAD_OPTION. */
int cli_usage(struct cli *cli, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* ---- out.c ---- */

/** out_json() - @value on stdout, indented, a new line behind it. */
void out_json(const json_t *value);

/** out_line() - "FORMAT\n" on stdout, made safe for a terminal; nothing when --quiet. */
void out_line(const struct cli *cli, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/** out_warn() - "lodge: warning: ..." on stderr. */
void out_warn(const struct cli *cli, const char *text);

/** out_warnings() - each text of the array (NULL will do). */
void out_warnings(const struct cli *cli, const json_t *texts);

/** out_colour() - may @fd (1 or 2) be painted on? */
bool out_colour(int fd);

/** out_width() - columns of the terminal that stdout is; 0: it is none. */
size_t out_width(void);

/** out_utf8() - does the user's locale say UTF-8? */
bool out_utf8(void);

#define LABEL_MAX 96u

/** out_label() - "101 (web1)" or "101" of an Instance. Return: @buf. */
const char *out_label(const json_t *instance, char buf[LABEL_MAX]);

/** out_addresses() - the addresses of an Instance, blank between them. @buf may be short. */
void out_addresses(const json_t *instance, char *buf, size_t size);

/* ---- help.c ---- */

void help_all(FILE *f);
void help_verb(FILE *f, const struct verb *verb);
void help_group(FILE *f, const char *prefix);	/* verbs whose names begin with "PREFIX " */

/* ---- settings that were given as options: given.c ---- */

/**
 * given_settings() - an object {name: value} of the settings on the command line
 *
 * A repeated list setting gathers its values; of any other the last counts. Values are checked
 * here already, so that a slip costs no round trip. Return: 0; -EINVAL and others in cli->err.
 */
int given_settings(struct cli *cli, json_t **ret);

/** given_ssh_keys() - the lines of the files of --ssh-key; an array. */
int given_ssh_keys(struct cli *cli, json_t **ret);

/** ssh_key_lines() - append the key lines of @text (from the file @name) to @keys. */
int ssh_key_lines(const char *name, char *text, json_t *keys, struct lg_err *err);

/** given_path() - @file as lodged finds it, from where this command was called. -ENAMETOOLONG, negative errno. */
#define GIVEN_PATH 4096u
int given_path(const char *file, char ret[GIVEN_PATH]);

/** given_seconds() - the value of option @name in seconds, or 0 when it was not given. */
int given_seconds(struct cli *cli, const char *name, json_int_t *ret);

#endif
