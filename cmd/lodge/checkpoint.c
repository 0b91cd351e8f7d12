/* SPDX-License-Identifier: GPL-2.0-or-later */

/* checkpoint --check: what of a container cannot be suspended or moved. */

#include <stdio.h>
#include <string.h>

#include "cmd/lodge/text.h"
#include "cmd/lodge/verbs.h"
#include "lib/cleanup.h"
#include "lib/exit.h"
#include "lib/json.h"

/* "nginx (87 inside, 29469 here) of nginx.service" */
static void who(const json_t *b, char *buf, size_t size)
{
	const char *process = lg_json_str(b, "process"), *unit = lg_json_str(b, "unit");

	if (!process)
		snprintf(buf, size, "the container");
	else
		snprintf(buf, size, "%s (process %d, here %d)%s%s", process,
			 (int)lg_json_int(b, "inside_pid", 0), (int)lg_json_int(b, "pid", 0),
			 unit ? " of " : "", unit ? unit : "");
}

static void print_one(size_t nr, const json_t *b)
{
	const char *what = lg_json_str(b, "what");
	int64_t more = lg_json_int(b, "count", 1) - 1;
	char label[200], line[700], others[40] = "";
	int at = nr ? printf("%2zu. ", nr) : printf("  - ");

	who(b, label, sizeof(label));
	if (more > 0)
		snprintf(others, sizeof(others), ", and %lld more", (long long)more);
	snprintf(line, sizeof(line), "%s: %s%s%s%s%s", label, lg_json_str(b, "reason"),
		 what ? " (" : "", what ? what : "", what ? others : "", what ? ")" : "");
	text_wrap(stdout, (size_t)at, 4, text_safe(line));
	snprintf(line, sizeof(line), "%s", lg_json_str(b, "remedy"));
	fputs("    -> ", stdout);
	text_wrap(stdout, 7, 7, text_safe(line));
}

/* Those that are @lost, or the others. */
static void print_notes(const json_t *notes, bool lost, const char *title)
{
	bool any = false;

	for (size_t i = 0; i < json_array_size(notes); i++) {
		const json_t *note = json_array_get(notes, i);

		if (lg_json_bool(note, "lost", false) != lost)
			continue;
		if (!any)
			puts(title);
		any = true;
		print_one(0, note);
	}
}

static void print(const json_t *answer)
{
	const json_t *blockers = json_object_get(answer, "blockers");
	size_t n = json_array_size(blockers);
	char label[LABEL_MAX];

	out_label(answer, label);
	text_safe(label);
	if (n == 0)
		printf("%s can be checkpointed.\n", label);
	else
		printf("%s cannot be checkpointed:\n\n", label);
	for (size_t i = 0; i < n; i++)
		print_one(i + 1, json_array_get(blockers, i));
	print_notes(json_object_get(answer, "notes"), true, "\nWill not come back:");
	print_notes(json_object_get(answer, "notes"), false, "\nTo be known:");
}

static int run(struct cli *cli)
{
	lg_autojson json_t *answer = NULL;
	int r;

	if (!opt_has(&cli->args, "check"))
		return cli_usage(cli, "checkpoint: say --check; `lodge suspend` and `lodge migrate` "
				 "take checkpoints");
	r = cli_call(cli, "io.lodge.CheckpointCheck",
		     json_pack("{s:o}", "id", lg_varlink_text(cli->args.words[0])), &answer);
	if (r < 0)
		return r;
	if (cli->json)
		out_json(answer);
	else
		print(answer);
	return lg_json_bool(answer, "possible", false) ? LG_EXIT_OK : LG_EXIT_CHKPNT;
}

static const struct opt opts[] = {
	{ "check", 0, NULL, "look, and touch nothing" },
	{ 0 },
};

const struct verb verb_checkpoint = {
	.name = "checkpoint",
	.args = "--check ID",
	.help = "say what in a container cannot be suspended or moved",
	.more = "Each process that CRIU cannot dump is named, with its systemd unit, the reason and what may "
		"be done; nothing is touched. The exit status is 16 where there is one. What is "
		"only to be known, like sessions from outside that will be ended, stands below, and so does "
		"what will not come back as it is, which CRIU itself would not say. "
		"Containers with --feature checkpointable have few of them.",
	.group = VERBS_LOOK,
	.opts = opts,
	.min_words = 1,
	.max_words = 1,
	.missing = "say which by number or name",
	.word = WORD_INSTANCE,
	.run = run,
};
