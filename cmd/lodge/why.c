/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cmd/lodge/text.h"
#include "cmd/lodge/verbs.h"
#include "lib/cleanup.h"
#include "lib/exit.h"
#include "lib/json.h"
#include "lib/parse.h"

static void put_text(size_t at, size_t indent, const char *text)
{
	char safe[700];

	snprintf(safe, sizeof(safe), "%s", text ? text : "");
	text_wrap(stdout, at, indent, text_safe(safe));
}

static void print_findings(const json_t *findings)
{
	size_t n = json_array_size(findings);

	for (size_t i = 0; i < n; i++) {
		const json_t *f = json_array_get(findings, i);
		const char *remedy = lg_json_str(f, "remedy");

		printf("%2zu. ", i + 1);
		put_text(4, 4, lg_json_str(f, "text"));
		if (remedy) {
			fputs("    -> ", stdout);
			put_text(7, 7, remedy);
		}
	}
	if (n == 0)
		puts("Nothing holds it back.");
}

/* "CPU: 102 (db) 140%, ..." for one of what others use. */
static void print_others(const json_t *others, const char *what, const char *title)
{
	char line[400] = "";
	size_t at = 0;

	for (size_t i = 0; i < json_array_size(others) && at < sizeof(line); i++) {
		const json_t *o = json_array_get(others, i);
		const char *is = lg_json_str(o, "what"), *label = lg_json_str(o, "label");
		uint64_t amount = (uint64_t)lg_json_int(o, "amount", 0);
		char text[24];

		if (!is || !label || strcmp(is, what) != 0)
			continue;
		if (strcmp(what, "cpu") == 0)
			snprintf(text, sizeof(text), "%llu%%", (unsigned long long)amount);
		else
			lg_format_size(amount, text);
		at += (size_t)snprintf(line + at, sizeof(line) - at, "%s%s %s%s", at ? ", " : "",
				       label, text, strcmp(what, "io") == 0 ? "/s" : "");
	}
	if (!line[0])
		return;
	printf("  %-7s", title);
	put_text(9, 9, line);
}

static void print(const json_t *answer)
{
	const json_t *others = json_object_get(answer, "others");
	const char *now = lg_json_str(answer, "now");
	double watched = (double)lg_json_int(answer, "watched_us", 0) / 1e6;
	char label[LABEL_MAX];

	fputs(text_safe((char *)(uintptr_t)out_label(answer, label)), stdout);
	if (watched > 0)
		printf(", watched for %.1f s", watched);
	puts("\n");
	print_findings(json_object_get(answer, "findings"));
	if (now) {
		fputs("\nNow: ", stdout);
		put_text(5, 5, now);
	}
	if (json_array_size(others) == 0)
		return;
	puts("Who else uses the host most:");
	print_others(others, "cpu", "CPU");
	print_others(others, "memory", "memory");
	print_others(others, "io", "disks");
}

static int given_sample(struct cli *cli, json_t *params)
{
	const char *text = opt_value(&cli->args, "watch");
	char *end;
	double v;

	if (!text)
		return 0;
	v = strtod(text, &end);
	if (end == text || *end || !(v >= 0.01) || v > 60)
		return cli_usage(cli, "--watch '%s' is not a number of seconds from 0.01 to 60", text);
	json_object_set_new(params, "sample_ms", json_integer((json_int_t)(v * 1000)));
	return 0;
}

static int run(struct cli *cli)
{
	lg_autojson json_t *answer = NULL;
	json_t *params = json_object();
	int r = given_sample(cli, params);

	json_object_set_new(params, "id", lg_varlink_text(cli->args.words[0]));
	if (r < 0) {
		json_decref(params);
		return r;
	}
	r = cli_call(cli, "io.lodge.Why", params, &answer);
	if (r < 0)
		return r;
	if (cli->json)
		out_json(answer);
	else
		print(answer);
	return LG_EXIT_OK;
}

static const struct opt opts[] = {
	{ "watch", 'w', "SECONDS", "how long to look (0.5)" },
	{ 0 },
};

const struct verb verb_why = {
	.name = "why",
	.args = "ID",
	.help = "say what holds a container back now, the worst first",
	.more = "It looks for a moment at what the container waits for: its CPU limit, other containers "
		"on the same CPUs and disks, memory and processes that were killed for want of it, "
		"swap, tasks, disk space, lost packets, a full table of connections. Behind each "
		"finding stands what may be done, and below them who else uses the host most.",
	.group = VERBS_LOOK,
	.opts = opts,
	.min_words = 1,
	.max_words = 1,
	.missing = "say which by number or name",
	.word = WORD_INSTANCE,
	.run = run,
};
