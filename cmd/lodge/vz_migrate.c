/* SPDX-License-Identifier: GPL-2.0-or-later */

/* vzmigrate: OpenVZ's words and statuses over lodge's migrate. */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cmd/lodge/text.h"
#include "cmd/lodge/vz.h"
#include "lib/cleanup.h"
#include "lib/exit.h"
#include "lib/json.h"
#include "lib/parse.h"

/* One container's move. */
struct going {
	struct cli *cli;
	const struct vz_move *m;
	char id[64];
	uint32_t there;		/* 0: the same number */
	bool running;
	char stage[160];	/* what was said last */
};

/* What vzmigrate says when lodge's worker says something; NULL: only with -v, in lodge's words. */
static const struct {
	const char *told, *live, *offline;
} lines[] = {
	{ "asking", "Preparing remote node", "Preparing remote node" },
	{ "sending its files", "Syncing private", "Syncing private" },
	{ "freezing", "Live migrating container...", NULL },
	{ "shutting", NULL, "Stopping container" },
	{ "sending its memory", NULL, NULL },
	{ "restoring", "Resuming container", NULL },
};

static const struct {
	const char *name, *shown;
} times[] = {
	{ "freeze", "Suspend + Dump" },
	{ "last files", "Pcopy after suspend" },
	{ "memory", "Copy dump file" },
	{ "restore", "Undump" },
	{ "go", "Resume" },
};

static void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static void say(const char *fmt, ...)
{
	char text[600];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	puts(text_safe(text));
	fflush(stdout);
}

static void told(const char *text, void *arg)
{
	struct going *g = arg;
	const char *line = NULL;

	snprintf(g->stage, sizeof(g->stage), "%s", text);
	for (size_t i = 0; !line && i < ARRAY_SIZE(lines); i++)
		if (strncmp(text, lines[i].told, strlen(lines[i].told)) == 0)
			line = g->m->live ? lines[i].live : lines[i].offline;
	if (line)
		say("%s", line);
	else if (g->m->verbose)
		say("%s", text);
}

static void print_times(const json_t *answer)
{
	const json_t *stages = json_object_get(answer, "stages");
	json_t *stage;
	size_t i;

	json_array_foreach((json_t *)(uintptr_t)stages, i, stage) {
		const char *name = lg_json_str(stage, "name");

		for (size_t k = 0; name && k < ARRAY_SIZE(times); k++)
			if (strcmp(times[k].name, name) == 0)
				say("\t%-20s %.2f", times[k].shown,
				    (double)lg_json_int(stage, "us", 0) / 1e6);
	}
	say("\t%-20s %.2f", "Total suspended time",
	    (double)lg_json_int(answer, "downtime_us", 0) / 1e6);
}

/* Each on a line of its own; the status is the first one's. */
static int blocked(const json_t *blockers)
{
	json_t *text;
	size_t i;
	int status = 0;

	fflush(stdout);
	json_array_foreach((json_t *)(uintptr_t)blockers, i, text) {
		char safe[600];

		snprintf(safe, sizeof(safe), "%s", json_string_value(text));
		fprintf(stderr, "Error: %s\n", text_safe(safe));
		if (i == 0)
			status = vz_move_blocked(safe);
	}
	return status;
}

static json_t *make_params(const struct going *g)
{
	json_t *params = json_pack("{s:s, s:s, s:b, s:b, s:b}", "id", g->id, "host", g->m->host, "live",
				   g->m->live, "keep_source", g->m->keep_source, "dry_run", g->m->dry_run);

	if (params && g->there)
		json_object_set_new(params, "new_id", json_integer(g->there));
	if (params && g->m->ssh)
		json_object_set_new(params, "ssh", vz_move_ssh(g->m->ssh));
	return params;
}

static int look_up(struct going *g)
{
	lg_autojson json_t *answer = NULL;
	json_t *params = json_pack("{s:s}", "id", g->id);
	int r = params ? cli_call(g->cli, "io.lodge.Status", params, &answer) :
			 lg_refuse(&g->cli->err, -EINVAL, VZ_MIGRATE_USAGE, "Invalid CT ID");

	if (r < 0)
		return r;
	g->running = lg_json_bool(answer, "running", false);
	if (!lg_json_bool(answer, "exists", false))
		return lg_refuse(&g->cli->err, -ENOENT, LG_EXIT_NO_CONF, "CT %s does not exist", g->id);
	return 0;
}

static int move_one(struct going *g)
{
	lg_autojson json_t *answer = NULL;
	const json_t *blockers;
	json_t *params;
	char what[400], goes_on[500];
	int r = look_up(g);

	if (r < 0)
		return r;
	if (g->m->live && !g->running) {
		fprintf(stderr, "Error: CT %s is not running, it cannot be migrated live\n", g->id);
		return VZ_MIGRATE_STOPPED;
	}
	params = make_params(g);
	if (!params)
		return lg_refuse(&g->cli->err, -EINVAL, LG_EXIT_BAD_VALUE, "a name is not UTF-8 text");
	say("Starting %smigration of CT %s to %s", g->m->live ? "live " : "", g->id, g->m->host);
	snprintf(what, sizeof(what), "moving %s to %.200s", g->id, g->m->host);
	snprintf(goes_on, sizeof(goes_on), "interrupted; lodged goes on %s", what);
	r = cli_call_told(g->cli, "io.lodge.Migrate", params, what, goes_on, told, g, &answer);
	if (r < 0)
		return r;
	blockers = json_object_get(answer, "blockers");
	if (json_array_size(blockers))
		return blocked(blockers);
	if (!g->m->dry_run && g->running && !g->m->live)
		say("Starting container");
	if (!g->m->dry_run)
		say("Cleanup");
	if (g->m->times && g->m->live && !g->m->dry_run)
		print_times(answer);
	return VZ_MIGRATE_OK;
}

/* Each container's failure is printed here, as the next one is tried all the same. */
static int move_pair(struct cli *cli, const struct vz_move *m, const char *pair)
{
	struct going g = { .cli = cli, .m = m };
	int r = vz_move_pair(pair, g.id, &g.there, &cli->err);
	bool usage = r < 0;

	if (r == 0 && m->new_id && lg_parse_ctid(m->new_id, &g.there, &cli->err) < 0)
		usage = true;
	if (!usage)
		r = move_one(&g);
	else
		r = -EINVAL;
	if (r >= 0)
		return r;
	r = usage ? VZ_MIGRATE_USAGE : vz_move_failed(cli->err.exit_code, g.stage);
	cli->err.exit_code = r;
	r = cli_status(cli, -EINVAL);
	cli->err = (struct lg_err){ 0 };
	return r;
}

static void usage(FILE *f)
{
	fputs("vzmigrate, spoken by lodge " LODGE_VERSION "\n"
	      "Usage: vzmigrate [-r yes|no] [--live|--online] [--check-only|--dry-run] [--ssh=OPTIONS]\n"
	      "                 [-t] [-v] [--new-id=CTID] [USER@]HOST CTID[:NEW]...\n\n"
	      "  -r yes|no             remove it here when it is there (yes)\n"
	      "  --live, --online      without stopping it\n"
	      "  --check-only, --dry-run\n"
	      "                        only say what is in the way\n"
	      "  --ssh=OPTIONS         options for ssh\n"
	      "  -t, --times           print how long each stage took\n"
	      "  -v, --verbose         print more\n\n"
	      "Its other options are accepted with a warning; lodge.8 has the exit statuses.\n", f);
}

int vzmigrate_run(struct cli *cli, size_t nwords, char **words)
{
	struct vz_move m;
	int r, status = VZ_MIGRATE_OK;

	cli->who = "Error";
	cli->quiet = true;	/* its own lines say what goes on */
	r = vz_move_parse(&m, nwords - 1, words + 1, &cli->err);
	if (r == 0 && m.help)
		usage(stdout);
	for (size_t i = 0; r == 0 && i < m.npairs; i++) {
		int one = move_pair(cli, &m, m.pairs[i]);

		status = status ? status : one;
	}
	vz_move_free(&m);
	return r < 0 ? r : status;
}
