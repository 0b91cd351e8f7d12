/* SPDX-License-Identifier: GPL-2.0-or-later */

/* vzmigrate's command line and exit statuses. */

/* The command is a program and no library: what is tested of it is built in here. */
/* NOLINTBEGIN(bugprone-suspicious-include) */
#include "cmd/lodge/vz_migrate_opts.c"
#include "cmd/lodge/opt.c"
#include "cmd/lodge/text.c"
/* NOLINTEND(bugprone-suspicious-include) */

#include <check.h>
#include <stdarg.h>

#include "lib/json.h"

static char warnings[2000];

void vz_warn(const char *fmt, ...)
{
	size_t at = strlen(warnings);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(warnings + at, sizeof(warnings) - at, fmt, ap);
	va_end(ap);
}

static struct vz_move move;
static struct lg_err err;

static int parse(const char *line)
{
	static char copy[500], *argv[64];
	char *rest = copy, *word;
	size_t argc = 0;

	snprintf(copy, sizeof(copy), "%s", line);
	while ((word = strsep(&rest, " ")))
		argv[argc++] = word;
	warnings[0] = '\0';
	err = (struct lg_err){ 0 };
	return vz_move_parse(&move, argc, argv, &err);
}

static void teardown(void)
{
	vz_move_free(&move);
}

START_TEST(a_plain_line_stops_and_removes)
{
	ck_assert_int_eq(parse("host2.example.com 101"), 0);
	ck_assert_str_eq(move.host, "host2.example.com");
	ck_assert_uint_eq(move.npairs, 1);
	ck_assert_str_eq(move.pairs[0], "101");
	ck_assert(!move.live && !move.keep_source && !move.dry_run && !move.times && !move.verbose);
	ck_assert_str_eq(warnings, "");
}
END_TEST

static const struct {
	const char *line;
	bool live, keep, dry, times, verbose;
	const char *ssh;
} lines[] = {
	{ "-r no --live -t -v --ssh=-p22 h 101", true, true, false, true, true, "-p22" },
	{ "-r yes --online h 101", true, false, false, false, false, NULL },
	{ "h 101 --check-only", false, false, true, false, false, NULL },
	{ "--dry-run --times h 101", false, false, true, true, false, NULL },
	{ "--remove-area no --verbose h 101", false, true, false, false, true, NULL },
	{ "-rno h 101", false, true, false, false, false, NULL },
	{ "--onl h 101", true, false, false, false, false, NULL },
};

START_TEST(options_mean_what_they_did)
{
	ck_assert_msg(parse(lines[_i].line) == 0, "%s: %s", lines[_i].line, err.msg);
	ck_assert_int_eq(move.live, lines[_i].live);
	ck_assert_int_eq(move.keep_source, lines[_i].keep);
	ck_assert_int_eq(move.dry_run, lines[_i].dry);
	ck_assert_int_eq(move.times, lines[_i].times);
	ck_assert_int_eq(move.verbose, lines[_i].verbose);
	ck_assert_pstr_eq(move.ssh, lines[_i].ssh);
	ck_assert_str_eq(warnings, "");
}
END_TEST

static const struct {
	const char *line, *option;
} ignored[] = {
	{ "-c h 101", "--compact" },	    { "-s h 101", "--snapshot" },
	{ "-f h 101", "--nodeps" },	    { "--nodeps h 101", "--nodeps" },
	{ "--nodeps=cpu,ipv6 h 101", "--nodeps" }, { "--keep-dst h 101", "--keep-dst" },
	{ "--ssh-mux h 101", "--ssh-mux" }, { "--rsync=-z h 101", "--rsync" },
	{ "--keeper h 101", "--keeper" },   { "--keeper=7 h 101", "--keeper" },
	{ "--noiter h 101", "--noiter" },   { "--compress h 101", "--compress" },
	{ "--new-private=/x h 101", "--new-private" }, { "-W h 101", "--whole-file" },
};

START_TEST(what_has_no_meaning_is_accepted_with_one_line)
{
	char want[200];

	ck_assert_msg(parse(ignored[_i].line) == 0, "%s: %s", ignored[_i].line, err.msg);
	snprintf(want, sizeof(want), "%s has no meaning here; ignored", ignored[_i].option);
	ck_assert_str_eq(warnings, want);
	ck_assert_str_eq(move.pairs[0], "101");
}
END_TEST

static const char *const wrong[] = {
	"",	     "h",	      "-r perhaps h 101",	 "--nosuch h 101", "-r",
	"-z h 101",  "--live=x h 101", "--new-id=5 h 101 102",
};

START_TEST(a_bad_line_is_status_1_and_one_line)
{
	ck_assert_int_lt(parse(wrong[_i]), 0);
	ck_assert_int_eq(err.exit_code, VZ_MIGRATE_USAGE);
	ck_assert(err.msg[0] && !strchr(err.msg, '\n'));
}
END_TEST

static const struct {
	const char *pair;
	int want;
	const char *src;
	uint32_t dst;
	bool warns;
} pairs[] = {
	{ "101", 0, "101", 0, false },
	{ "101:202", 0, "101", 202, false },
	{ "web:202", 0, "web", 202, false },
	{ "101:", 0, "101", 0, false },
	{ "101:202:/vz/private/202:/vz/root/202", 0, "101", 202, true },
	{ "101::/x", 0, "101", 0, true },
	{ "101:web", -EINVAL, NULL, 0, false },
	{ ":202", -EINVAL, NULL, 0, false },
	{ "101:99999999999999999999", -EINVAL, NULL, 0, false },
};

START_TEST(a_pair_names_both_numbers)
{
	char src[64] = "";
	uint32_t dst = 7;

	warnings[0] = '\0';
	err = (struct lg_err){ 0 };
	ck_assert_int_eq(vz_move_pair(pairs[_i].pair, src, &dst, &err), pairs[_i].want);
	ck_assert_int_eq(warnings[0] != '\0', pairs[_i].warns);
	if (pairs[_i].want == 0) {
		ck_assert_str_eq(src, pairs[_i].src);
		ck_assert_uint_eq(dst, pairs[_i].dst);
	} else {
		ck_assert_int_eq(err.exit_code, VZ_MIGRATE_USAGE);
	}
}
END_TEST

START_TEST(several_containers_are_several_pairs)
{
	ck_assert_int_eq(parse("--online root@h 101:201 102 web:203"), 0);
	ck_assert_str_eq(move.host, "root@h");
	ck_assert_uint_eq(move.npairs, 3);
	ck_assert_str_eq(move.pairs[2], "web:203");
}
END_TEST

START_TEST(options_of_ssh_stand_behind_those_that_ask_no_questions)
{
	lg_autojson json_t *words = vz_move_ssh("-p 2222  -i /root/key");
	size_t n = json_array_size(words);

	ck_assert_uint_eq(n, 8);
	ck_assert_str_eq(json_string_value(json_array_get(words, 0)), "ssh");
	ck_assert_str_eq(json_string_value(json_array_get(words, n - 4)), "-p");
	ck_assert_str_eq(json_string_value(json_array_get(words, n - 1)), "/root/key");
}
END_TEST

static const struct {
	int exit_code;
	const char *stage;
	int want;
} failures[] = {
	{ LG_EXIT_NO_DAEMON, "", VZ_MIGRATE_NO_DAEMON },
	{ LG_EXIT_NO_CONF, "", VZ_MIGRATE_NO_CT },
	{ LG_EXIT_LOCKED, "", VZ_MIGRATE_LOCKED },
	{ LG_EXIT_BAD_VALUE, "", VZ_MIGRATE_USAGE },
	{ 0, "connecting to h", VZ_MIGRATE_CONNECT },
	{ 0, "sending the template busybox", VZ_MIGRATE_COPY },
	{ 0, "sending its files", VZ_MIGRATE_COPY },
	{ 0, "sending its memory", VZ_MIGRATE_COPY },
	{ 0, "freezing it", VZ_MIGRATE_STOP },
	{ LG_EXIT_CANNOT_STOP, "shutting it down", VZ_MIGRATE_STOP },
	{ 0, "restoring it there", VZ_MIGRATE_START },
	{ LG_EXIT_LOCKED, "restoring it there", VZ_MIGRATE_LOCKED },
};

START_TEST(a_failure_has_the_status_of_its_stage)
{
	ck_assert_int_eq(vz_move_failed(failures[_i].exit_code, failures[_i].stage), failures[_i].want);
}
END_TEST

static const struct {
	const char *text;
	int want;
} blockers[] = {
	{ "101 exists there already: name another number with --new-id", VZ_MIGRATE_EXISTS },
	{ "the name web is taken there", VZ_MIGRATE_NAME },
	{ "its MAC 02:00:00:00:00:01 is that of 102 there: give one of them another", VZ_MIGRATE_IP_IN_USE },
	{ "this host has no CRIU that works: install one", VZ_MIGRATE_CPT },
	{ "there is another template debian-13 on that host: remove one of them", VZ_MIGRATE_CONFIG },
};

START_TEST(what_is_in_the_way_has_a_status)
{
	ck_assert_int_eq(vz_move_blocked(blockers[_i].text), blockers[_i].want);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("cli_vzmigrate");
	TCase *line = tcase_create("line"), *status = tcase_create("status");
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(line, NULL, teardown);
	tcase_add_test(line, a_plain_line_stops_and_removes);
	tcase_add_loop_test(line, options_mean_what_they_did, 0, ARRAY_SIZE(lines));
	tcase_add_loop_test(line, what_has_no_meaning_is_accepted_with_one_line, 0, ARRAY_SIZE(ignored));
	tcase_add_loop_test(line, a_bad_line_is_status_1_and_one_line, 0, ARRAY_SIZE(wrong));
	tcase_add_test(line, several_containers_are_several_pairs);
	tcase_add_loop_test(status, a_pair_names_both_numbers, 0, ARRAY_SIZE(pairs));
	tcase_add_test(status, options_of_ssh_stand_behind_those_that_ask_no_questions);
	tcase_add_loop_test(status, a_failure_has_the_status_of_its_stage, 0, ARRAY_SIZE(failures));
	tcase_add_loop_test(status, what_is_in_the_way_has_a_status, 0, ARRAY_SIZE(blockers));
	suite_add_tcase(s, line);
	suite_add_tcase(s, status);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
