/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What the command prints: safe text, tables, the columns of the list, ssh keys, console keys. */

/* The command is a program and no library: what is tested of it is built in here. */
/* NOLINTBEGIN(bugprone-suspicious-include) */
#include "cmd/lodge/text.c"
#include "cmd/lodge/cells.c"
#include "cmd/lodge/columns.c"
#include "cmd/lodge/escape.c"
#include "cmd/lodge/out.c"
#include "cmd/lodge/table.c"
/* NOLINTEND(bugprone-suspicious-include) */

#include <check.h>

static const struct {
	const char *in, *out;
} unsafe[] = {
	{ "plain text 123 ~", "plain text 123 ~" },
	{ "tab\there", "tab?here" },
	{ "\033[2J\033]0;title\007", "?[2J?]0;title?" },
	{ "line\nbreak\r", "line?break?" },
	{ "del\x7f", "del?" },
	{ "gr\xc3\xbc\xc3\x9f" "e \xe2\x82\xac \xf0\x9f\x90\xa7", "gr\xc3\xbc\xc3\x9f" "e \xe2\x82\xac \xf0\x9f\x90\xa7" },
	{ "c1 \xc2\x9b" "31m", "c1 ??31m" },
	{ "rtl \xe2\x80\xae" "x", "rtl ???x" },
	{ "cut \xe2\x82", "cut ??" },
	{ "bare \xff\xfe", "bare ??" },
	{ "overlong \xc0\xaf", "overlong ??" },
	{ "surrogate \xed\xa0\x80", "surrogate ???" },
	{ "", "" },
};

START_TEST(nothing_that_steers_a_terminal_is_left)
{
	char text[128];

	snprintf(text, sizeof(text), "%s", unsafe[_i].in);
	ck_assert_ptr_eq(text_safe(text), text);
	ck_assert_str_eq(text, unsafe[_i].out);
}
END_TEST

static const struct {
	uint64_t seconds;
	const char *text;
} uptimes[] = {
	{ 0, "0s" }, { 59, "59s" }, { 60, "1m 00s" }, { 3599, "59m 59s" }, { 3600, "1h 00m" },
	{ 86399, "23h 59m" }, { 86400, "1d 00h" }, { 100 * 86400 + 7200, "100d 02h" },
	{ UINT64_MAX, "99999999d 07h" },
};

START_TEST(uptime_has_two_units)
{
	char buf[24];

	text_uptime(uptimes[_i].seconds, buf);
	ck_assert_str_eq(buf, uptimes[_i].text);
}
END_TEST

static char *wrapped(size_t at, size_t indent, const char *text)
{
	static char buf[2048];
	FILE *f = fmemopen(buf, sizeof(buf), "w");

	text_wrap(f, at, indent, text);
	fclose(f);
	return buf;
}

START_TEST(wrapped_lines_are_at_most_80_columns)
{
	char text[1000] = "";
	char *line, *rest;

	for (int i = 0; i < 100; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%sword%d",
			 i ? " " : "", i);
	rest = wrapped(30, 30, text);
	for (int i = 0; (line = strsep(&rest, "\n")); i++)
		ck_assert_uint_le(strlen(line) + (i ? 0 : 30), 80);
	ck_assert_str_eq(wrapped(0, 2, "one\ntwo"), "one\n  two\n");
	ck_assert_str_eq(wrapped(0, 0, ""), "\n");
}
END_TEST

static const struct table_column heads[] = {
	{ "ID", true, false }, { "NAME", false, true }, { "STATE", false, false },
};

static const char *printed(struct table *t, size_t width, bool utf8)
{
	static char buf[2048];
	FILE *f = fmemopen(buf, sizeof(buf), "w");

	ck_assert_int_eq(table_print(t, f, width, utf8, NULL), 0);
	fclose(f);
	table_free(t);
	return buf;
}

static struct table sample(void)
{
	struct table t = { .columns = heads, .ncolumns = 3 };
	static const char *const cells[] = { "101", "a-rather-long-name", "running",
					     "2000000", NULL, "stopped" };

	for (size_t i = 0; i < ARRAY_SIZE(cells); i++)
		table_add(&t, cells[i]);
	return t;
}

START_TEST(table_is_aligned_and_cut_to_fit)
{
	struct table t = sample();

	ck_assert_str_eq(printed(&t, 0, false),
			 "     ID  NAME                STATE\n"
			 "    101  a-rather-long-name  running\n"
			 "2000000  -                   stopped\n");
	t = sample();
	ck_assert_str_eq(printed(&t, 30, false),
			 "     ID  NAME          STATE\n"
			 "    101  a-rather-lo~  running\n"
			 "2000000  -             stopped\n");
	t = sample();
	t.no_header = true;
	/* narrower than it can get: never below eight columns */
	ck_assert_str_eq(printed(&t, 5, true),
			 "    101  a-rathe\xe2\x80\xa6  running\n"
			 "2000000  -         stopped\n");
	t = (struct table){ .columns = heads, .ncolumns = 3 };
	ck_assert_str_eq(printed(&t, 0, false), "ID  NAME  STATE\n");
}
END_TEST

START_TEST(columns_are_found_or_listed)
{
	const struct column *found[COLUMNS_MAX];
	struct lg_err err = { 0 };

	ck_assert_int_eq(columns_parse(columns, "id,memory-max,hostname", found, &err), 3);
	ck_assert_str_eq(found[1]->header, "MEMORY-MAX");
	ck_assert_int_eq(columns_parse(columns, "ctid", found, &err), 1);
	ck_assert_str_eq(found[0]->name, "id");
	ck_assert_int_eq(columns_parse(columns, "id,colour", found, &err), -EINVAL);
	ck_assert_int_eq(err.exit_code, LG_EXIT_BAD_OPTION);
	ck_assert(strstr(err.msg, "'colour'"));
	for (const struct column *c = columns; c->name; c++)
		ck_assert_msg(strstr(err.msg, c->name), "%s is not listed", c->name);
	ck_assert_int_eq(columns_parse(columns, "", found, &err), -EINVAL);
	ck_assert_int_eq(columns_parse(columns, "id,", found, &err), -EINVAL);
	ck_assert_int_eq(columns_parse(columns, "id,id,id,id,id,id,id,id,id,id,id,id,id,id,id,id,id,id,id,"
				       "id,id,id,id,id,id,id,id,id,id,id,id,id,id,id,id,id,id,id,id,id,id,id,id,id,id,id,id,id,id", found, &err),
			 -EINVAL);
}
END_TEST

START_TEST(every_column_survives_an_empty_instance)
{
	lg_autojson json_t *nothing = json_object();
	char cell[CELL_MAX];

	for (const struct column *c = columns; c->name; c++) {
		memset(cell, 'x', sizeof(cell));
		c->get(nothing, cell);
		ck_assert_str_eq(cell, "");
	}
}
END_TEST

static void check_order(const char *column, bool down, const char *want)
{
	lg_autojson json_t *list = json_pack(
		"[{s:i, s:s, s:{s:s}, s:{s:I}}, {s:i, s:s, s:{s:s}, s:{s:I}}, {s:i, s:{}}]",
		"ctid", 9, "name", "b", "settings", "memory", "1.0G", "usage", "memory_bytes",
		(json_int_t)5, "ctid", 10, "name", "a", "settings", "memory", "512.0M", "usage",
		"memory_bytes", (json_int_t)40, "ctid", 11, "settings");
	json_t *rows[3];
	char got[32] = "";

	for (size_t i = 0; i < 3; i++)
		rows[i] = json_array_get(list, i);
	columns_sort(rows, 3, column_find(columns, column, strlen(column)), down);
	for (size_t i = 0; i < 3; i++)
		snprintf(got + strlen(got), sizeof(got) - strlen(got), "%s%d", i ? "," : "",
			 (int)lg_json_int(rows[i], "ctid", 0));
	ck_assert_str_eq(got, want);
}

START_TEST(rows_are_sorted_by_number_or_text)
{
	check_order("id", false, "9,10,11");
	check_order("id", true, "11,10,9");
	check_order("name", false, "11,10,9");
	check_order("memory", true, "10,9,11");
	check_order("memory-max", false, "10,9,11");	/* no limit is the largest */
	check_order("state", true, "9,10,11");		/* equal ones stay */
}
END_TEST

static const struct {
	const char *in;		/* '|' ends a read */
	const char *out;
	bool detach;
} keys[] = {
	{ "ls\r", "ls\r", false },
	{ "abc\x1d" "def", "abc", true },
	{ "\x1d", "", true },
	{ "\033.", "", true },
	{ "\033|.", "", true },
	{ "ls\r\033.", "ls\r", true },
	{ "ls\r|\033|.x", "ls\r", true },
	{ "l\033.", "l\033.", false },		/* not at the beginning of a line */
	{ "\033x\033.", "\033x\033.", false },
	{ "\033\033.", "\033", true },
	{ "\033[A\033.", "\033[A", true },	/* an arrow key is no text */
	{ "\r|\033[24;5R|\033|.", "\r\033[24;5R", true },	/* the terminal's own answer */
	{ "\033OP\033.", "\033OP", true },
	{ "\033[3~x\033.", "\033[3~x\033.", false },
	{ "\033|\x1d", "", true },
	{ "..\033", "..\033", false },
};

START_TEST(keys_that_leave_a_console_are_found)
{
	struct escape e = { .mid_line = false };
	char copy[64], out[256] = "", *rest = copy, *part;
	bool detach = false;
	size_t n = 0;

	snprintf(copy, sizeof(copy), "%s", keys[_i].in);
	while (!detach && (part = strsep(&rest, "|"))) {
		n += escape_filter(&e, part, strlen(part), out + n, &detach);
		ck_assert_uint_lt(n, sizeof(out));
	}
	out[n] = '\0';
	ck_assert_str_eq(out, keys[_i].out);
	ck_assert_int_eq(detach, keys[_i].detach);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("cli_text");
	TCase *tc = tcase_create("text");
	SRunner *sr;
	int failures;

	tcase_add_loop_test(tc, nothing_that_steers_a_terminal_is_left, 0, ARRAY_SIZE(unsafe));
	tcase_add_loop_test(tc, uptime_has_two_units, 0, ARRAY_SIZE(uptimes));
	tcase_add_test(tc, wrapped_lines_are_at_most_80_columns);
	tcase_add_test(tc, table_is_aligned_and_cut_to_fit);
	tcase_add_test(tc, columns_are_found_or_listed);
	tcase_add_test(tc, every_column_survives_an_empty_instance);
	tcase_add_test(tc, rows_are_sorted_by_number_or_text);
	tcase_add_loop_test(tc, keys_that_leave_a_console_are_found, 0, ARRAY_SIZE(keys));
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failures = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failures ? 1 : 0;
}
