/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The command line's parser. */

/* The command is a program and no library: what is tested of it is built in here. */
/* NOLINTBEGIN(bugprone-suspicious-include) */
#include "cmd/lodge/opt.c"
#include "cmd/lodge/text.c"
/* NOLINTEND(bugprone-suspicious-include) */

#include <check.h>

static const struct opt first[] = {
	{ "all", 'a', NULL, "" },
	{ "timeout", 't', "SECONDS", "" },
	{ "env", 'e', "K=V", "" },
	{ 0 },
};
static const struct opt second[] = {
	{ "json", 0, NULL, "" },
	{ "all-of-it", 0, NULL, "" },
	{ 0 },
};

static const struct lg_setting *setting(const char *name)
{
	return lg_setting_by_name(name);
}

static struct args args;
static struct lg_err err;

/* @line: words with one blank between; "_" is an empty word. */
static int parse(const char *line, size_t words_after, bool abbreviate)
{
	struct opt_space space = { .tables = { first, second }, .setting = setting,
				   .words_after = words_after, .abbreviate = abbreviate };
	static char copy[256], *argv[32];
	size_t argc = 0;
	char *rest = copy, *word;

	snprintf(copy, sizeof(copy), "%s", line);
	while ((word = strsep(&rest, " ")))
		argv[argc++] = strcmp(word, "_") == 0 ? word + 1 : word;
	err = (struct lg_err){ 0 };
	return opt_parse(&space, *line ? argc : 0, argv, &args, &err);
}

static void teardown(void)
{
	opt_free(&args);
}

static const struct {
	const char *line, *words, *timeout;
	bool all, json;
} good[] = {
	{ "", "", NULL, false, false },
	{ "101", "101", NULL, false, false },
	{ "--all 101", "101", NULL, true, false },
	{ "101 -a", "101", NULL, true, false },
	{ "101 --timeout 5 102", "101 102", "5", false, false },
	{ "--timeout=5", "", "5", false, false },
	{ "--timeout= x", "x", "", false, false },
	{ "-t5 x", "x", "5", false, false },
	{ "-at 5 x", "x", "5", true, false },
	{ "-at5", "", "5", true, false },
	{ "-t -1", "", "-1", false, false },
	{ "-t 1 -t 2", "", "2", false, false },
	{ "-- --all -t", "--all -t", NULL, false, false },
	{ "- --json", "-", NULL, false, true },
	{ "--json -a --timeout 9", "", "9", true, true },
	{ "x _ y", "x  y", NULL, false, false },
};

START_TEST(options_and_words_are_sorted)
{
	char words[256] = "";

	ck_assert_int_eq(parse(good[_i].line, 0, false), 0);
	for (size_t i = 0; i < args.nwords; i++)
		snprintf(words + strlen(words), sizeof(words) - strlen(words), "%s%s",
			 i ? " " : "", args.words[i]);
	ck_assert_str_eq(words, good[_i].words);
	ck_assert_ptr_null(args.words[args.nwords]);
	ck_assert_int_eq(opt_has(&args, "all"), good[_i].all);
	ck_assert_int_eq(opt_has(&args, "json"), good[_i].json);
	ck_assert_pstr_eq(opt_value(&args, "timeout"), good[_i].timeout);
}
END_TEST

static const struct {
	const char *line, *says;
} bad[] = {
	{ "--al", "did you mean --all?" },
	{ "--timeuot 5", "did you mean --timeout?" },
	{ "--memroy 1G", "did you mean --memory?" },
	{ "--zzzzzzzz", "unknown option '--zzzzzzzz' (--help" },
	{ "-x", "unknown option '-x'" },
	{ "-ax", "unknown option '-x'" },
	{ "--timeout", "--timeout needs a value: --timeout SECONDS" },
	{ "-t", "-t needs a value: -t SECONDS" },
	{ "--memory", "--memory needs a value: --memory SIZE" },
	{ "--all=yes", "--all takes no value" },
	{ "--=x", "unknown option '--=x'" },
	{ "--a-name-that-is-much-longer-than-any-option-could-ever-sensibly-be-here", "unknown" },
};

START_TEST(mistakes_are_refused_with_a_hint)
{
	ck_assert_int_eq(parse(bad[_i].line, 0, false), -EINVAL);
	ck_assert_int_eq(err.exit_code, LG_EXIT_BAD_OPTION);
	ck_assert_msg(strstr(err.msg, bad[_i].says), "'%s' does not say '%s'", err.msg,
		      bad[_i].says);
}
END_TEST

START_TEST(settings_are_options)
{
	ck_assert_int_eq(parse("--memory 512M --cpus=2 101", 0, false), 0);
	ck_assert_uint_eq(args.ngiven, 2);
	ck_assert_ptr_null(args.given[0].opt);
	ck_assert_str_eq(args.given[0].setting->key, "PHYSPAGES");
	ck_assert_str_eq(args.given[0].value, "512M");
	ck_assert_str_eq(args.given[1].value, "2");
	ck_assert_str_eq(args.words[0], "101");
}
END_TEST

START_TEST(a_command_keeps_its_own_options)
{
	ck_assert_int_eq(parse("-a 101 ls -a -- --json", 2, false), 0);
	ck_assert_uint_eq(args.nwords, 5);
	ck_assert_str_eq(args.words[1], "ls");
	ck_assert_str_eq(args.words[2], "-a");
	ck_assert_str_eq(args.words[3], "--");
	ck_assert(!opt_has(&args, "json"));
	opt_free(&args);
	ck_assert_int_eq(parse("101 -a -- ls -a", 2, false), 0);
	ck_assert_uint_eq(args.nwords, 3);
	ck_assert_str_eq(args.words[2], "-a");
}
END_TEST

START_TEST(repeated_values_come_in_order)
{
	size_t at = 0;

	ck_assert_int_eq(parse("-e A=1 --json --env B=2 -eC=3", 0, false), 0);
	ck_assert_str_eq(opt_next(&args, "env", &at), "A=1");
	ck_assert_str_eq(opt_next(&args, "env", &at), "B=2");
	ck_assert_str_eq(opt_next(&args, "env", &at), "C=3");
	ck_assert_ptr_null(opt_next(&args, "env", &at));
}
END_TEST

START_TEST(beginnings_count_only_where_asked_and_unique)
{
	ck_assert_int_eq(parse("--timeo 3", 0, true), 0);
	ck_assert_str_eq(opt_value(&args, "timeout"), "3");
	opt_free(&args);
	/* an exact name wins over a longer one */
	ck_assert_int_eq(parse("--all", 0, true), 0);
	ck_assert(opt_has(&args, "all"));
	opt_free(&args);
	ck_assert_int_eq(parse("--al", 0, true), -EINVAL);
}
END_TEST

static const struct {
	const char *a, *b;
	unsigned int distance;
} distances[] = {
	{ "start", "start", 0 }, { "strat", "start", 1 }, { "stat", "start", 1 },
	{ "starts", "start", 1 }, { "sxart", "start", 1 }, { "", "abc", 3 }, { "abc", "", 3 },
	{ "kitten", "sitting", 3 },
};

START_TEST(distance_counts_slips)
{
	ck_assert_uint_eq(text_distance(distances[_i].a, distances[_i].b),
			  distances[_i].distance);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("cli_opt");
	TCase *tc = tcase_create("parse");
	SRunner *sr;
	int failures;

	tcase_add_checked_fixture(tc, NULL, teardown);
	tcase_add_loop_test(tc, options_and_words_are_sorted, 0, ARRAY_SIZE(good));
	tcase_add_loop_test(tc, mistakes_are_refused_with_a_hint, 0, ARRAY_SIZE(bad));
	tcase_add_test(tc, settings_are_options);
	tcase_add_test(tc, a_command_keeps_its_own_options);
	tcase_add_test(tc, repeated_values_come_in_order);
	tcase_add_test(tc, beginnings_count_only_where_asked_and_unique);
	tcase_add_loop_test(tc, distance_counts_slips, 0, ARRAY_SIZE(distances));
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failures = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failures ? 1 : 0;
}
