/* SPDX-License-Identifier: GPL-2.0-or-later */

/* doctor, version, events, teardown: the host and its daemon */

#include <string.h>

#include "cmd/lodge/text.h"
#include "cmd/lodge/verbs.h"
#include "lib/cleanup.h"
#include "lib/exit.h"
#include "lib/json.h"

static const char *level_colour(const char *level)
{
	return strcmp(level, "ok") == 0 ? "\033[32m" : strcmp(level, "bad") == 0 ? "\033[31m" :
										   "\033[33m";
}

static size_t area_width(const json_t *checks)
{
	size_t width = 0;

	for (size_t i = 0; i < json_array_size(checks); i++) {
		const char *area = lg_json_str(json_array_get(checks, i), "area");
		size_t w = area ? text_width(area) : 0;

		width = w > width ? w : width;
	}
	return width < 30 ? width : 30;
}

static void print_check(const json_t *check, size_t width, bool colour)
{
	const char *level = lg_json_str(check, "level"), *area = lg_json_str(check, "area");
	const char *text = lg_json_str(check, "text");
	char safe[700];

	if (!level || !area)
		return;
	snprintf(safe, sizeof(safe), "%s", text ? text : "");
	printf("%s%-3s%s  %-*s  ", colour ? level_colour(level) : "", level,
	       colour ? "\033[0m" : "", (int)width, area);
	text_wrap(stdout, width + 7, width + 7, text_safe(safe));
}

static int run_doctor(struct cli *cli)
{
	lg_autojson json_t *answer = NULL;
	bool colour = out_colour(STDOUT_FILENO), bad = false;
	const json_t *checks;
	size_t width;
	int r = cli_call(cli, "io.lodge.Doctor", NULL, &answer);

	if (r < 0)
		return r;
	checks = json_object_get(answer, "checks");
	width = area_width(checks);
	for (size_t i = 0; i < json_array_size(checks); i++) {
		const json_t *check = json_array_get(checks, i);
		const char *level = lg_json_str(check, "level");

		bad |= level && strcmp(level, "bad") == 0;
		if (!cli->json)
			print_check(check, width, colour);
	}
	if (cli->json)
		out_json(checks);
	return bad ? LG_EXIT_DOCTOR : LG_EXIT_OK;
}

const struct verb verb_doctor = {
	.name = "doctor",
	.help = "check the host: what works, what does not, and why",
	.more = "ok: it works. off: it does not, and lodge does without. bad: lodge cannot do "
		"its work; the exit status is then 203.",
	.group = VERBS_HOST,
	.run = run_doctor,
};

static int run_version(struct cli *cli)
{
	lg_autojson json_t *answer = NULL;
	char up[24];
	int r = cli_call(cli, "io.lodge.Version", NULL, &answer);

	if (cli->json && r == 0) {
		json_object_set_new(answer, "client", json_string(LODGE_VERSION));
		out_json(answer);
		return LG_EXIT_OK;
	}
	printf("lodge %s\n", LODGE_VERSION);
	if (r < 0)
		return r;
	text_uptime((uint64_t)lg_json_int(answer, "uptime_us", 0) / 1000000, up);
	printf("lodged %s, root %s, up %s, %lld of %lld containers run\n",
	       lg_json_str(answer, "version"), lg_json_str(answer, "root"), up,
	       (long long)lg_json_int(answer, "running", 0),
	       (long long)lg_json_int(answer, "instances", 0));
	return LG_EXIT_OK;
}

const struct verb verb_version = {
	.name = "version",
	.help = "print the versions of the command and the daemon",
	.group = VERBS_HOST,
	.run = run_version,
};

static void print_event(const json_t *e)
{
	int64_t us = lg_json_int(e, "time_us", 0);
	const char *text = lg_json_str(e, "text");
	const char *event = lg_json_str(e, "event");
	char when[24], out[900], label[LABEL_MAX] = "";

	text_time(us / 1000000, when);
	if (lg_json_int(e, "ctid", 0))
		out_label(e, label);
	snprintf(out, sizeof(out), "%s.%03d %s%s%s%s%s", when, (int)(us / 1000 % 1000), label,
		 label[0] ? " " : "", event ? event : "?", text && *text ? ": " : "",
		 text ? text : "");
	puts(text_safe(out));
}

static int run_events(struct cli *cli)
{
	int r = cli_open(cli);

	if (r == 0)
		r = lg_vclient_send(cli->client, "io.lodge.Events", NULL, true, NULL, 0,
				    &cli->err);
	while (r >= 0) {
		lg_autojson json_t *answer = NULL;
		const json_t *event;

		r = lg_vclient_recv(cli->client, &answer, &cli->err);
		if (r < 0)
			break;
		event = json_object_get(answer, "event");
		if (event && cli->json) {
			json_dumpf(event, stdout, JSON_COMPACT);
			putchar('\n');
		} else if (event) {
			print_event(event);
		}
		if (fflush(stdout) != 0 || r == 0)
			return LG_EXIT_OK;
	}
	return lg_within(&cli->err, r, "events");
}

const struct verb verb_events = {
	.name = "events",
	.help = "print what happens, as it happens, until interrupted",
	.group = VERBS_LOOK,
	.run = run_events,
};

static int run_teardown(struct cli *cli)
{
	int r = cli_call(cli, "io.lodge.Teardown", NULL, NULL);

	if (r < 0)
		return r;
	if (cli->json)
		puts("{}");
	else
		out_line(cli, "the host's bridge, packet filter tables and cgroups of lodge are "
			      "gone");
	return LG_EXIT_OK;
}

const struct verb verb_teardown = {
	.name = "teardown",
	.help = "take away what lodge put on the host: bridge, tables, cgroups",
	.more = "Refused while anything runs. Containers, templates and settings stay on disk; "
		"the next start of lodged puts everything back.",
	.group = VERBS_HOST,
	.run = run_teardown,
};
