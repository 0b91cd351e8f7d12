/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/lodge/stats.h"

#include <stdlib.h>
#include <time.h>

#include "cmd/lodge/verbs.h"
#include "lib/cleanup.h"
#include "lib/exit.h"
#include "lib/json.h"

static void pause_for(double seconds)
{
	struct timespec ts = { .tv_sec = (time_t)seconds };

	ts.tv_nsec = (long)((seconds - (double)ts.tv_sec) * 1e9);
	nanosleep(&ts, NULL);
}

static int print(struct cli *cli, const struct stats_view *view, const json_t *answer, bool again)
{
	int r = 0;

	if (cli->json && again) {
		json_dumpf(answer, stdout, JSON_COMPACT | JSON_REAL_PRECISION(9));
		putchar('\n');
	} else if (cli->json) {
		out_json(answer);
	} else {
		r = stats_print(cli, view, answer, 0, out_width(), stdout);
		if (again)
			putchar('\n');
	}
	return fflush(stdout) != 0 ? LG_EXIT_SYSTEM : r;
}

static int run(struct cli *cli)
{
	struct stats_view view = { .nshown = 0 };
	bool again = opt_has(&cli->args, "watch");
	lg_autojson json_t *last = NULL;
	int r = stats_choose(cli, &view);

	/* Rates need two looks. */
	if (r >= 0)
		r = stats_ask(cli, &last);
	if (r >= 0 && view.interval == 0)
		return print(cli, &view, last, false);
	while (r == 0) {
		pause_for(view.interval);
		r = stats_ask(cli, &last);
		if (r == 0)
			r = print(cli, &view, last, again);
		if (!again)
			break;
	}
	return r;
}

static const struct opt opts[] = {
	{ "watch", 'w', NULL, "go on until interrupted" },
	{ "interval", 'i', "SECONDS", "time between two looks (0.3, with --watch 2); 0: no rates" },
	{ "output", 'o', "COLUMN,...", "print these columns" },
	{ "sort", 's', "[-]COLUMN", "sort by it, with - backwards" },
	{ "no-header", 'H', NULL, "leave out the line of headers" },
	{ 0 },
};

const struct verb verb_stats = {
	.name = "stats",
	.args = "[ID]...",
	.help = "print what the running containers use",
	.more = "Rates are of the time between two looks. With --json the answer has all counters "
		"since each start, too; with --watch it is one line a look.",
	.group = VERBS_LOOK,
	.opts = opts,
	.max_words = 100000,
	.word = WORD_INSTANCE,
	.columns = stats_columns,
	.run = run,
};
