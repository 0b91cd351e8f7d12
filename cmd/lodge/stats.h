/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_CMD_LODGE_STATS_H
#define LG_CMD_LODGE_STATS_H

/* What `lodge stats` and `lodge top` share: two answers of io.lodge.Stats, and what lies between them. */

#include <jansson.h>
#include <stdio.h>

#include "cmd/lodge/cli.h"
#include "cmd/lodge/columns.h"

/**
 * stats_rates() - add "rates" to the host and to each member of @now's "stats"
 * @before:	an earlier answer; NULL: nothing is added
 *
 * Percent of one CPU, percent of the CPU limit's periods, bytes and operations a second. One
 * that was not in @before, or was started anew since, gets none.
 */
void stats_rates(json_t *now, const json_t *before);

struct stats_view {
	const struct column *shown[COLUMNS_MAX];
	size_t nshown;
	bool usual;		/* no others were asked for */
	const struct column *sort;
	bool down;
	double interval;	/* seconds between two looks */
};

/** stats_choose() - columns, order and interval from the options. 0, or negative with cli->err. */
int stats_choose(struct cli *cli, struct stats_view *view);

/** stats_ask() - the next answer, with rates against *@last, which it replaces. */
int stats_ask(struct cli *cli, json_t **last);

/** stats_print() - the rows of @answer, at most @nrows of them (0: all), as a table. */
int stats_print(struct cli *cli, const struct stats_view *view, const json_t *answer,
		size_t nrows, size_t width, FILE *f);

/** stats_host_line() - "12 run; CPU 34% of 2, memory 3.1G of 24.0G, ..." */
void stats_host_line(const json_t *answer, char *buf, size_t size);

#endif
