/* SPDX-License-Identifier: GPL-2.0-or-later */

/* migrate: to another host. And receive, which the other host's ssh starts. */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/lodge/text.h"
#include "cmd/lodge/verbs.h"
#include "lib/cleanup.h"
#include "lib/exit.h"
#include "lib/json.h"
#include "lib/parse.h"
#include "lib/setting_type.h"

#define ROUNDS_MAX 16u

/* "500ms", "2s", "500": milliseconds. */
static int parse_ms(struct cli *cli, json_int_t *ret)
{
	const char *text = opt_value(&cli->args, "max-downtime");
	uint64_t value;
	char number[24];
	size_t n = text ? strspn(text, "0123456789") : 0;

	*ret = 0;
	if (!text)
		return 0;
	snprintf(number, sizeof(number), "%.*s", (int)(n < 20 ? n : 20), text);
	if (n == 0 || lg_parse_u64(number, 1, 3600000, &value, NULL) < 0 ||
	    (text[n] && strcmp(text + n, "ms") != 0 && strcmp(text + n, "s") != 0))
		return cli_usage(cli, "--max-downtime: '%s' is no time: 500ms, 2s", text);
	*ret = (json_int_t)value * (strcmp(text + n, "s") == 0 ? 1000 : 1);
	return 0;
}

static int put_rounds(struct cli *cli, json_t *params)
{
	const char *text = opt_value(&cli->args, "rounds");
	uint64_t n;

	if (!text)
		return 0;
	if (lg_parse_u64(text, 0, ROUNDS_MAX, &n, NULL) < 0)
		return cli_usage(cli, "--rounds: '%s' is no number from 0 to %u", text, ROUNDS_MAX);
	json_object_set_new(params, "rounds", json_integer((json_int_t)n));
	return 0;
}

/* The command's words, parted by blanks. */
static json_t *words_of(const char *text)
{
	json_t *words = json_array();
	char word[256];
	int at = 0;

	while (text && sscanf(text, " %255s%n", word, &at) == 1) {
		json_array_append_new(words, json_string(word));
		text += at;
	}
	return words;
}

static int make_params(struct cli *cli, json_t **ret)
{
	static const struct {
		const char *option, *name;
	} flags[] = {
		{ "live", "live" }, { "keep-source", "keep_source" }, { "dry-run", "dry_run" },
	};
	lg_autojson json_t *params = json_pack("{s:s, s:s}", "id", cli->args.words[0], "host",
					       cli->args.words[1]);
	const char *new_id = opt_value(&cli->args, "new-id"), *remote = opt_value(&cli->args, "remote");
	json_int_t ms;
	uint32_t ctid;
	int r = parse_ms(cli, &ms);

	if (r < 0)
		return r;
	if (!params)
		return cli_usage(cli, "a name is not UTF-8 text");
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++)
		if (opt_has(&cli->args, flags[i].option))
			json_object_set_new(params, flags[i].name, json_true());
	r = put_rounds(cli, params);
	if (r < 0)
		return r;
	if (ms)
		json_object_set_new(params, "max_downtime_ms", json_integer(ms));
	if (new_id) {
		r = lg_parse_ctid(new_id, &ctid, &cli->err);
		if (r < 0)
			return r;
		json_object_set_new(params, "new_id", json_integer(ctid));
	}
	if (opt_has(&cli->args, "ssh"))
		json_object_set_new(params, "ssh", words_of(opt_value(&cli->args, "ssh")));
	if (remote)
		json_object_set_new(params, "remote", json_string(remote));
	*ret = json_incref(params);
	return 0;
}

static void print_texts(const char *before, const json_t *texts)
{
	json_t *text;
	char safe[600];
	size_t i;

	json_array_foreach((json_t *)(uintptr_t)texts, i, text) {
		snprintf(safe, sizeof(safe), "%s%s", before, json_string_value(text));
		text_wrap(stdout, 0, 2, text_safe(safe));
	}
}

static void print_stages(const struct cli *cli, const json_t *stages)
{
	json_t *stage;
	size_t i;

	json_array_foreach((json_t *)(uintptr_t)stages, i, stage) {
		int64_t us = lg_json_int(stage, "us", 0), bytes = lg_json_int(stage, "bytes", 0);
		const char *name = lg_json_str(stage, "name");
		char size[32] = "";

		if (us < 1000 && !bytes)
			continue;
		if (bytes)
			snprintf(size, sizeof(size), "%.1f MB", (double)bytes / 1e6);
		out_line(cli, "  %-12s %6" PRId64 " ms%s%s", name ? name : "", us / 1000, bytes ? "  " : "",
			 size);
	}
}

static int report(struct cli *cli, const json_t *answer)
{
	const json_t *blockers = json_object_get(answer, "blockers");
	int64_t downtime = lg_json_int(answer, "downtime_us", 0);
	const char *id = cli->args.words[0], *host = cli->args.words[1];

	print_texts("note: ", json_object_get(answer, "notes"));
	if (json_array_size(blockers)) {
		print_texts("in the way: ", blockers);
		return lg_refuse(&cli->err, -EPERM, LG_EXIT_CHKPNT, "%s cannot move to %s: see above", id,
				 host);
	}
	if (!lg_json_bool(answer, "moved", false)) {
		out_line(cli, "%s can move to %s: nothing is in the way", id, host);
		return LG_EXIT_OK;
	}
	if (downtime)
		out_line(cli, "moved %s to %s; it stood still for %" PRId64 " ms", id, host,
			 downtime / 1000);
	else
		out_line(cli, "moved %s to %s", id, host);
	print_stages(cli, json_object_get(answer, "stages"));
	return LG_EXIT_OK;
}

static int run(struct cli *cli)
{
	lg_autojson json_t *answer = NULL;
	json_t *params;
	char what[300], goes_on[400];
	int r = make_params(cli, &params);

	if (r < 0)
		return r;
	snprintf(what, sizeof(what), "moving %s to %s", cli->args.words[0], cli->args.words[1]);
	snprintf(goes_on, sizeof(goes_on), "interrupted; lodged goes on %s (lodge list -a shows how far it is)",
		 what);
	r = cli_call_long(cli, "io.lodge.Migrate", params, what, goes_on, &answer);
	if (r < 0)
		return r;
	if (cli->json) {
		out_json(answer);
		return json_array_size(json_object_get(answer, "blockers")) ? LG_EXIT_CHKPNT : LG_EXIT_OK;
	}
	return report(cli, answer);
}

static const struct opt opts[] = {
	{ "live", 0, NULL, "without stopping it: connections, memory and all move" },
	{ "new-id", 0, "ID", "its number there" },
	{ "max-downtime", 0, "TIME", "with --live: give up, and let it run on here, when it stands still for longer (500ms, 2s)" },
	{ "rounds", 0, "N", "with --live, of a container: copy memory ahead N times at most (0 to 16; as it makes sense)" },
	{ "keep-source", 0, NULL, "keep it here, too, stopped" },
	{ "dry-run", 0, NULL, "only say whether it can move, or what is in the way" },
	{ "ssh", 0, "COMMAND", "the command that makes the connection (ssh with options for no questions)" },
	{ "remote", 0, "COMMAND", "what it starts there (lodge receive)" },
	{ 0 },
};

const struct verb verb_migrate = {
	.name = "migrate",
	.args = "ID [USER@]HOST [OPTION]...",
	.help = "move a container to another host that has lodge",
	.more = "By ssh, as a user there who may use lodge's socket (root). Its files are copied while it runs; with --live its memory, too, "
		"where the kernel here tells what is written meanwhile. It then stands still while the rest of both follows, and goes on there "
		"with its connections. Without --live it is shut down and started there. Whatever fails, it runs on here.",
	.group = VERBS_LIFE,
	.opts = opts,
	.min_words = 2,
	.max_words = 2,
	.missing = "say which container, and to which host",
	.word = WORD_INSTANCE,
	.run = run,
};

/* It becomes the worker: the two sides of a move are one program. */
static int run_receive(struct cli *cli)
{
	const char *libexec = getenv("LODGE_LIBEXECDIR");
	char path[300], socket[108];
	const char *const argv[] = { "lodge-worker", "receive", "--var", cli->root.var, "--socket",
				     socket, "-", NULL };

	lg_root_socket(&cli->root, socket, sizeof(socket));
	snprintf(path, sizeof(path), "%s/lodge-worker", libexec && *libexec ? libexec : LODGE_LIBEXECDIR);
	execv(path, (char *const *)(uintptr_t)argv);	/* it only reads */
	return lg_fail(&cli->err, -errno, "start %s", path);
}

const struct verb verb_receive = {
	.name = "receive",
	.help = "the other side of migrate; started by ssh",
	.group = VERBS_HIDDEN,
	.run = run_receive,
};
