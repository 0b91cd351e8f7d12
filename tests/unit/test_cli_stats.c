/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The rates and columns of `lodge stats`: what lies between two answers. */

/* The command is a program and no library: what is tested of it is built in here. */
/* NOLINTBEGIN(bugprone-suspicious-include) */
#include "cmd/lodge/cells.c"
#include "cmd/lodge/out.c"
#include "cmd/lodge/stats_view.c"
#include "cmd/lodge/table.c"
#include "cmd/lodge/text.c"
/* NOLINTEND(bugprone-suspicious-include) */

#include <check.h>

int cli_call(struct cli *cli, const char *method, json_t *params, json_t **ret)
{
	(void)cli;
	(void)method;
	(void)params;
	(void)ret;
	abort();
}

bool opt_has(const struct args *args, const char *name)
{
	(void)args;
	(void)name;
	return false;
}

const char *opt_value(const struct args *args, const char *name)
{
	(void)args;
	(void)name;
	return NULL;
}

int cli_usage(struct cli *cli, const char *fmt, ...)
{
	(void)fmt;
	return lg_refuse(&cli->err, -EINVAL, LG_EXIT_BAD_OPTION, "usage");
}

/* Two containers, the second of which was started anew; a third came later. */
static json_t *answer(int64_t second)
{
	json_t *a = json_pack(
		"{s:{s:I, s:I, s:I}, s:[{s:i, s:I, s:I, s:I, s:I, s:I, s:I}, {s:i, s:I, s:I, s:I}]}",
		"host", "cpus", (json_int_t)2, "at_us", (json_int_t)(second * 1000000), "cpu_us",
		(json_int_t)(second * 500000), "stats", "ctid", 101, "started_at", (json_int_t)7,
		"at_us", (json_int_t)(second * 1000000), "cpu_us", (json_int_t)(second * 250000),
		"periods", (json_int_t)(second * 10), "throttled", (json_int_t)(second * 4),
		"read_bytes", (json_int_t)(second * 4096), "ctid", 102, "started_at",
		(json_int_t)second, "at_us", (json_int_t)(second * 1000000), "cpu_us",
		(json_int_t)(second * 250000));

	ck_assert_ptr_nonnull(a);
	return a;
}

static double rate(const json_t *row, const char *name)
{
	return rate_of(row, name);
}

START_TEST(rates_are_of_the_time_between)
{
	lg_autojson json_t *before = answer(10), *now = answer(12);
	const json_t *list, *late;

	json_array_append_new(json_object_get(now, "stats"),
			      json_pack("{s:i, s:I}", "ctid", 103, "at_us", (json_int_t)12000000));
	stats_rates(now, before);
	list = json_object_get(now, "stats");
	ck_assert_double_eq_tol(rate(json_object_get(now, "host"), "cpu_percent"), 50, 0.001);
	ck_assert_double_eq_tol(rate(json_array_get(list, 0), "cpu_percent"), 25, 0.001);
	ck_assert_double_eq_tol(rate(json_array_get(list, 0), "throttled_percent"), 40, 0.001);
	ck_assert_double_eq_tol(rate(json_array_get(list, 0), "read_bps"), 4096, 0.001);
	ck_assert_double_lt(rate(json_array_get(list, 0), "write_bps"), 0);
	ck_assert_ptr_null(json_object_get(json_array_get(list, 1), "rates"));
	late = json_array_get(list, 2);
	ck_assert_ptr_null(json_object_get(late, "rates"));
}
END_TEST

START_TEST(without_an_earlier_answer_there_are_none)
{
	lg_autojson json_t *now = answer(12), *same = answer(12);

	stats_rates(now, NULL);
	ck_assert_ptr_null(json_object_get(json_object_get(now, "host"), "rates"));
	/* No time between: nothing is divided by it. */
	stats_rates(now, same);
	ck_assert_ptr_null(json_object_get(json_object_get(now, "host"), "rates"));
}
END_TEST

static const struct {
	const char *column, *text;
} cells[] = {
	{ "id", "101" },	  { "cpu", "25.0" },	   { "throttled", "40.0" },
	{ "read", "4.0K" },	  { "write", "" },	   { "memory", "" },
	{ "name", "" },		  { "memory-share", "" },  { "cpu-wait", "" },
};

START_TEST(cells_show_rates)
{
	lg_autojson json_t *before = answer(10), *now = answer(12);
	const struct column *c;
	char cell[CELL_MAX];

	stats_rates(now, before);
	c = column_find(stats_columns, cells[_i].column, strlen(cells[_i].column));
	ck_assert_ptr_nonnull(c);
	c->get(json_array_get(json_object_get(now, "stats"), 0), cell);
	ck_assert_str_eq(cell, cells[_i].text);
}
END_TEST

START_TEST(every_column_survives_an_empty_row)
{
	lg_autojson json_t *nothing = json_object();
	char cell[CELL_MAX];

	for (const struct column *c = stats_columns; c->name; c++) {
		memset(cell, 'x', sizeof(cell));
		c->get(nothing, cell);
		ck_assert_str_eq(cell, "");
	}
}
END_TEST

START_TEST(pressure_and_shares)
{
	lg_autojson json_t *row = json_pack("{s:I, s:I, s:{s:{s:f, s:f}}}", "memory_bytes",
					    (json_int_t)50, "memory_limit", (json_int_t)200,
					    "pressure", "io", "some", 12.25, "full", 3.0);
	char cell[CELL_MAX];

	ck_assert_double_eq(get_io_wait(row, cell), 12.25);
	ck_assert_str_eq(cell, "12.2");
	get_memory_share(row, cell);
	ck_assert_str_eq(cell, "25.0");
	get_cpu_wait(row, cell);
	ck_assert_str_eq(cell, "");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("cli stats");
	TCase *tc = tcase_create("all");
	SRunner *sr;
	int failures;

	tcase_add_test(tc, rates_are_of_the_time_between);
	tcase_add_test(tc, without_an_earlier_answer_there_are_none);
	tcase_add_loop_test(tc, cells_show_rates, 0, ARRAY_SIZE(cells));
	tcase_add_test(tc, every_column_survives_an_empty_row);
	tcase_add_test(tc, pressure_and_shares);
	suite_add_tcase(suite, tc);
	sr = srunner_create(suite);
	srunner_run_all(sr, CK_ENV);
	failures = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failures ? 1 : 0;
}
