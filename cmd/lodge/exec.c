/* SPDX-License-Identifier: GPL-2.0-or-later */

/* exec, enter */

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "cmd/lodge/session.h"
#include "cmd/lodge/verbs.h"
#include "lib/exit.h"
#include "lib/json.h"

/* The guest is told what kind of terminal it writes to, if the name looks like one. */
static void add_term(json_t *env)
{
	const char *term = getenv("TERM");

	if (!term || !*term || strlen(term) > 64)
		return;
	for (const char *p = term; *p; p++)
		if (!isalnum((unsigned char)*p) && !strchr("-+._", *p))
			return;
	json_array_append_new(env, json_sprintf("TERM=%s", term));
}

static int given_env(struct cli *cli, json_t *env)
{
	const char *pair;
	size_t at = 0;

	while ((pair = opt_next(&cli->args, "env", &at))) {
		if (!strchr(pair, '=') || *pair == '=')
			return lg_refuse(&cli->err, -EINVAL, LG_EXIT_BAD_VALUE,
					 "exec: --env takes NAME=VALUE, not '%s'", pair);
		if (json_array_append_new(env, json_string(pair)) < 0)
			return cli_usage(cli, "exec: '%s' is not UTF-8 text", pair);
	}
	return 0;
}

static int run_exec(struct cli *cli)
{
	lg_autojson json_t *argv = json_array(), *env = json_array();
	struct session s = {
		.id = cli->args.words[0],
		.argv = argv,
		.env = env,
		.user = opt_value(&cli->args, "user"),
		.cwd = opt_value(&cli->args, "workdir"),
		.tty = opt_has(&cli->args, "tty"),
		.no_stdin = opt_has(&cli->args, "no-stdin"),
	};
	int r;

	for (size_t i = 1; i < cli->args.nwords; i++)
		if (json_array_append_new(argv, json_string(cli->args.words[i])) < 0)
			return cli_usage(cli, "exec: '%s' is not UTF-8 text", cli->args.words[i]);
	if (s.tty && !isatty(STDIN_FILENO))
		return lg_refuse(&cli->err, -ENOTTY, LG_EXIT_BAD_OPTION,
				 "exec: -t needs a terminal on standard input; leave it out to "
				 "run the command with pipes");
	if (s.tty)
		add_term(env);
	r = given_env(cli, env);
	return r < 0 ? r : session_run(cli, &s);
}

static const struct opt exec_opts[] = {
	{ "tty", 't', NULL, "run it on a terminal of its own" },
	{ "user", 'u', "USER", "as this user of the container: name or number (root)" },
	{ "env", 'e', "NAME=VALUE", "put this into its environment; repeatable" },
	{ "workdir", 'w', "DIR", "start it in this folder of the container" },
	{ "no-stdin", 'n', NULL, "do not read standard input" },
	{ 0 },
};

const struct verb verb_exec = {
	.name = "exec",
	.args = "ID [OPTION]... [--] COMMAND [ARGUMENT]...",
	.help = "run a command inside a running container",
	.more = "Standard input, output and error pass through, and so do the signals INT, TERM, "
		"HUP, QUIT, USR1, USR2 and WINCH. The exit status is the command's; 128 + N when "
		"signal N ended it; 127 when there is no such command and 126 when it cannot be "
		"run. A restart of lodged does not touch a session.",
	.group = VERBS_INSIDE,
	.opts = exec_opts,
	.min_words = 2,
	.max_words = 100000,
	.words_after = 2,
	.missing = "say which container, and what to run",
	.word = WORD_INSTANCE,
	.run = run_exec,
};

static int run_enter(struct cli *cli)
{
	/* The shim sets SHELL from the guest's own list of users. */
	lg_autojson json_t *argv = json_pack("[s, s, s]", "/bin/sh", "-c",
					     "exec \"${SHELL:-/bin/sh}\" -l");
	lg_autojson json_t *env = json_array();
	struct session s = {
		.id = cli->args.words[0],
		.argv = argv,
		.env = env,
		.user = opt_value(&cli->args, "user"),
		.tty = isatty(STDIN_FILENO),
	};

	if (s.tty)
		add_term(env);
	return session_run(cli, &s);
}

static const struct opt enter_opts[] = {
	{ "user", 'u', "USER", "as this user of the container: name or number (root)" },
	{ 0 },
};

const struct verb verb_enter = {
	.name = "enter",
	.alias = "shell",
	.args = "ID",
	.help = "log into a running container with a shell",
	.more = "The shell runs on a terminal of its own; without a terminal on standard input "
		"it reads its commands from there.",
	.group = VERBS_INSIDE,
	.opts = enter_opts,
	.min_words = 1,
	.max_words = 1,
	.missing = "say which by number or name",
	.word = WORD_INSTANCE,
	.run = run_enter,
};
