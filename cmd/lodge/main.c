/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * One binary, several languages: lodge's own, and OpenVZ's under the names vzctl, vzlist and vzmigrate (also as
 * `lodge vzctl ...`).
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/lodge/text.h"
#include "cmd/lodge/verbs.h"
#include "cmd/lodge/vz.h"
#include "lib/exit.h"

/*
 * A descriptor that the caller closed must not be taken by the first file we open: a container
 * would get it as its standard output.
 */
static void fill_standard_fds(void)
{
	for (int fd = 0; fd < 3; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR | O_CLOEXEC) < 0)
			_exit(LG_EXIT_SYSTEM);
}

static int unknown_verb(struct cli *cli, const char *name)
{
	struct suggest s;

	suggest_init(&s, name);
	for (const struct verb *const *v = verbs; *v; v++)
		if ((*v)->group != VERBS_HIDDEN)
			suggest_offer(&s, (*v)->name);
	if (s.best)
		return cli_usage(cli, "unknown command '%s': did you mean '%s'?", name, s.best);
	return cli_usage(cli, "unknown command '%s' (lodge --help lists what there is)", name);
}

/* "template list" is a verb of two words: join them. */
static const struct verb *find_verb(char **words, size_t nwords, size_t *used)
{
	const struct verb *v = verb_find(words[0]);
	char two[64];

	*used = 1;
	if (v || nwords < 2)
		return v;
	snprintf(two, sizeof(two), "%s %s", words[0], words[1]);
	*used = 2;
	return verb_find(two);
}

static bool is_group(const char *word)
{
	size_t len = strlen(word);

	for (const struct verb *const *v = verbs; *v; v++)
		if (strncmp((*v)->name, word, len) == 0 && (*v)->name[len] == ' ')
			return true;
	return false;
}

/* The first word of a verb of two, alone or with a second word that is none. */
static int half_a_verb(struct cli *cli, char **words, size_t nwords)
{
	if (nwords > 1 && strcmp(words[1], "--help") != 0 && strcmp(words[1], "-h") != 0)
		return cli_usage(cli, "unknown command '%s %s' (lodge %s --help lists what "
				 "there is)", words[0], words[1], words[0]);
	help_group(nwords > 1 ? stdout : stderr, words[0]);
	return nwords > 1 ? LG_EXIT_OK : LG_EXIT_BAD_OPTION;
}

static int set_globals(struct cli *cli, const struct args *args)
{
	const char *root = opt_value(args, "root");

	cli->json |= opt_has(args, "json");
	cli->quiet |= opt_has(args, "quiet");
	return root ? lg_root_init(&cli->root, root, &cli->err) : 0;
}

static int check_words(struct cli *cli)
{
	const struct verb *v = cli->verb;

	if (cli->args.nwords < v->min_words)
		return lg_refuse(&cli->err, -EINVAL, LG_EXIT_BAD_VALUE,
				 "%s: %s (usage: lodge %s%s%s)", v->name, v->missing, v->name,
				 v->args ? " " : "", v->args ? v->args : "");
	if (cli->args.nwords > v->max_words)
		return cli_usage(cli, "%s: one word too many: '%s' (usage: lodge %s%s%s)",
				 v->name, cli->args.words[v->max_words], v->name,
				 v->args ? " " : "", v->args ? v->args : "");
	return 0;
}

static int run_verb(struct cli *cli, const struct verb *verb, char **words, size_t nwords)
{
	struct opt_space space = verb_space(verb);
	int r;

	cli->verb = verb;
	r = opt_parse(&space, nwords, words, &cli->args, &cli->err);
	if (r < 0)
		return lg_within(&cli->err, r, "%s", verb->name);
	if (opt_has(&cli->args, "help")) {
		help_verb(stdout, verb);
		return LG_EXIT_OK;
	}
	r = set_globals(cli, &cli->args);
	if (r == 0)
		r = check_words(cli);
	return r < 0 ? r : verb->run(cli);
}

static int help_wanted(struct cli *cli, char **words, size_t nwords)
{
	const struct verb *verb;
	size_t used;

	if (nwords < 2) {
		help_all(stdout);
		return LG_EXIT_OK;
	}
	verb = find_verb(words + 1, nwords - 1, &used);
	if (!verb && is_group(words[1])) {
		help_group(stdout, words[1]);
		return LG_EXIT_OK;
	}
	if (!verb)
		return unknown_verb(cli, words[1]);
	help_verb(stdout, verb);
	return LG_EXIT_OK;
}

/* @args: the words from the verb on, and what global options stood before it. */
static int dispatch(struct cli *cli, struct args *args)
{
	const struct verb *verb;
	size_t used;
	int r = set_globals(cli, args);

	if (r < 0)
		return r;
	if (opt_has(args, "version")) {
		puts("lodge " LODGE_VERSION);
		return LG_EXIT_OK;
	}
	if (opt_has(args, "help") || args->nwords == 0) {
		help_all(opt_has(args, "help") ? stdout : stderr);
		return opt_has(args, "help") ? LG_EXIT_OK : LG_EXIT_BAD_OPTION;
	}
	if (vz_program(args->words[0]))
		return vz_program(args->words[0])(cli, args->nwords, args->words);
	if (strcmp(args->words[0], "help") == 0)
		return help_wanted(cli, args->words, args->nwords);
	verb = find_verb(args->words, args->nwords, &used);
	if (!verb && is_group(args->words[0]))
		return half_a_verb(cli, args->words, args->nwords);
	if (!verb)
		return unknown_verb(cli, args->words[0]);
	return run_verb(cli, verb, args->words + used, args->nwords - used);
}

static int lodge_run(struct cli *cli, size_t argc, char **argv)
{
	static const struct opt version[] = {
		{ "version", 0, NULL, "print the version" },
		{ 0 },
	};
	const struct opt_space space = { .tables = { global_opts, version }, .words_after = 1 };
	struct args args;
	int r = opt_parse(&space, argc - 1, argv + 1, &args, &cli->err);

	if (r == 0)
		r = dispatch(cli, &args);
	opt_free(&args);
	return r;
}

int main(int argc, char **argv)
{
	const char *slash = argc > 0 ? strrchr(argv[0], '/') : NULL;
	const char *name = slash ? slash + 1 : argc > 0 ? argv[0] : "lodge";
	struct cli cli = { .who = "lodge" };
	int r;

	fill_standard_fds();
	if (argc < 1)
		return LG_EXIT_BAD_OPTION;
	r = lg_root_init(&cli.root, getenv("LODGE_ROOT"), &cli.err);
	if (r < 0)
		r = lg_within(&cli.err, r, "LODGE_ROOT");
	else if (vz_program(name))
		r = vz_program(name)(&cli, (size_t)argc, argv);
	else
		r = lodge_run(&cli, (size_t)argc, argv);
	r = cli_status(&cli, r);
	opt_free(&cli.args);
	lg_vclient_free(cli.client);
	if (fflush(stdout) != 0 || ferror(stdout)) {
		fprintf(stderr, "%s: standard output: %s\n", cli.who, strerror(errno));
		return r ? r : LG_EXIT_SYSTEM;
	}
	return r;
}
