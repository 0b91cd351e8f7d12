/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The counters of what each container has, had at most, may have, and was denied. */

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/lodge/columns.h"
#include "cmd/lodge/text.h"
#include "cmd/lodge/verbs.h"
#include "lib/cleanup.h"
#include "lib/exit.h"
#include "lib/json.h"
#include "lib/parse.h"

/* How a unit of the answer is shown: sizes with their suffix, the rest with what they are. */
static const struct {
	const char *unit;
	uint64_t bytes;		/* 0: it is no size */
	const char *behind;
} units[] = {
	{ "bytes", 1, "" },    { "pages", LG_PAGE, "" },  { "KiB", 1024, "" },
	{ "bytes_s", 1, "/s" }, { "percent", 0, "%" },	  { "ops_s", 0, "/s" },
	{ "count", 0, "" },
};

static bool raw;		/* numbers in the units of the answer */

static double cell_amount(char *buf, const json_t *row, const char *key)
{
	const char *unit = lg_json_str(row, "unit");
	int64_t v = lg_json_int(row, key, -1);
	char size[16];

	cell_number(buf, row, key);
	for (size_t i = 0; v >= 0 && !raw && unit && i < ARRAY_SIZE(units); i++) {
		if (strcmp(units[i].unit, unit) != 0)
			continue;
		if (units[i].bytes) {
			lg_format_size((uint64_t)v * units[i].bytes, size);
			snprintf(buf, CELL_MAX, "%s%s", size, units[i].behind);
		} else {
			snprintf(buf, CELL_MAX, "%" PRId64 "%s", v, units[i].behind);
		}
	}
	return (double)v;
}

static double get_resource(const json_t *row, char *buf)
{
	return cell_text(buf, lg_json_str(row, "resource"));
}

static double get_held(const json_t *row, char *buf)
{
	return cell_amount(buf, row, "held");
}

static double get_maxheld(const json_t *row, char *buf)
{
	return cell_amount(buf, row, "maxheld");
}

static double get_barrier(const json_t *row, char *buf)
{
	return cell_amount(buf, row, "barrier");
}

static double get_limit(const json_t *row, char *buf)
{
	return cell_amount(buf, row, "limit");
}

static double get_failcnt(const json_t *row, char *buf)
{
	return cell_number(buf, row, "failcnt");
}

static double get_last_hit(const json_t *row, char *buf)
{
	int64_t at = lg_json_int(row, "last_hit", 0);
	const char *process = lg_json_str(row, "process");
	char when[24];

	buf[0] = '\0';
	if (at <= 0)
		return 0;
	text_time(at, when);
	if (process)
		snprintf(buf, CELL_MAX, "%s, killed %s (%lld)", when, process,
			 (long long)lg_json_int(row, "pid", 0));
	else
		snprintf(buf, CELL_MAX, "%s", when);
	return (double)at;
}

/* clang-format off */
static const struct column ubc_columns[] = {
	{ "resource",	"RESOURCE",	"what is counted",	0, false, false, get_resource,	false },
	{ "held",	"HELD",		"in use",		0, true, false, get_held,	true },
	{ "maxheld",	"MAXHELD",	"the most there was",	0, true, false, get_maxheld,	true },
	{ "barrier",	"BARRIER",	"what it is promised",	0, true, false, get_barrier,	true },
	{ "limit",	"LIMIT",	"what it may have",	0, true, false, get_limit,	true },
	{ "failcnt",	"FAILCNT",	"times it was denied",	0, true, false, get_failcnt,	true },
	{ "last-hit",	"LAST HIT",	"when last, and who",	0, false, true, get_last_hit,	true },
	{ 0 },
};
/* clang-format on */

/* Nothing is known of it: neither use, nor limit, nor a failure. */
static bool is_blank(const json_t *row)
{
	static const char *const keys[] = { "held", "maxheld", "barrier", "limit", "failcnt" };

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (json_object_get(row, keys[i]))
			return false;
	return true;
}

static bool is_wanted(const struct cli *cli, const json_t *row)
{
	if (opt_has(&cli->args, "failed"))
		return lg_json_int(row, "failcnt", 0) > 0;
	return opt_has(&cli->args, "all") || !is_blank(row);
}

static int print_account(struct cli *cli, const json_t *account, bool titled)
{
	const struct column *shown[ARRAY_SIZE(ubc_columns)];
	const struct columns_how how = { .width = out_width() };
	const json_t *list = json_object_get(account, "counters");
	size_t all = json_array_size(list), n = 0, ncolumns = 0;
	lg_autofree json_t **rows = calloc(all + 1, sizeof(*rows));
	char label[LABEL_MAX];

	if (!rows)
		return lg_fail(&cli->err, -ENOMEM, "ubc");
	for (size_t i = 0; i < all; i++)
		if (is_wanted(cli, json_array_get(list, i)))
			rows[n++] = json_array_get(list, i);
	if (n == 0 && titled)
		return 0;
	if (titled)
		printf("%s%s\n", text_safe((char *)(uintptr_t)out_label(account, label)),
		       lg_json_bool(account, "running", false) ? "" : ", stopped");
	for (const struct column *c = ubc_columns; c->name; c++)
		shown[ncolumns++] = c;
	if (n == 0)
		out_line(cli, "nothing was denied");
	return n ? columns_print(shown, ncolumns, rows, n, &how, stdout) : 0;
}

static int run(struct cli *cli)
{
	lg_autojson json_t *answer = NULL;
	json_t *ids = json_array(), *accounts;
	int r;

	for (size_t i = 0; i < cli->args.nwords; i++)
		json_array_append_new(ids, lg_varlink_text(cli->args.words[i]));
	r = cli_call(cli, "io.lodge.Ubc", json_pack("{s:o}", "ids", ids), &answer);
	accounts = json_object_get(answer, "accounts");
	if (r == 0 && cli->json) {
		out_json(accounts);
		return LG_EXIT_OK;
	}
	raw = opt_has(&cli->args, "raw");
	for (size_t i = 0; r == 0 && i < json_array_size(accounts); i++)
		r = print_account(cli, json_array_get(accounts, i), cli->args.nwords != 1);
	return r < 0 ? r : LG_EXIT_OK;
}

static const struct opt opts[] = {
	{ "failed", 'f', NULL, "only what was denied something" },
	{ "all", 'a', NULL, "what nothing is known of, too" },
	{ "raw", 0, NULL, "plain numbers, in OpenVZ's units" },
	{ 0 },
};

const struct verb verb_ubc = {
	.name = "ubc",
	.alias = "beancounters",
	.args = "[ID]...",
	.help = "print what containers have, had at most, may have and were denied",
	.more = "The names are OpenVZ's where these have a meaning: physpages is memory, "
		"oomguarpages counts the processes that were killed for want of it, numproc is "
		"tasks; cpulimit counts the slices of time in which the CPU limit was used up. "
		"failcnt and maxheld go on over restarts of the container and of lodged. The time of "
		"the last hit is when it was seen, and for a killed process when it happened.",
	.group = VERBS_LOOK,
	.opts = opts,
	.max_words = 100000,
	.word = WORD_INSTANCE,
	.run = run,
};
