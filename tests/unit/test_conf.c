/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lib/conf.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/cleanup.h"
#include "lib/exit.h"
#include "lib/file.h"

static struct lg_conf *parsed(const char *text)
{
	struct lg_conf *conf = NULL;
	struct lg_err err = { 0 };

	ck_assert_msg(lg_conf_parse(text, strlen(text), &conf, &err) == 0, "%s", err.msg);
	return conf;
}

/* What a shell that sources the line would have in K. */
static const struct { const char *line, *value; } lines[] = {
	{ "K=\"value\"", "value" },
	{ "K=\"\"", "" },
	{ "K=", "" },
	{ "K=bare", "bare" },
	{ "K=bare word", "bare" },
	{ "K='single \\ $x \"'", "single \\ $x \"" },
	{ "K=\"two words\"", "two words" },
	{ "K=\"a\\\"b\\\\c\\$d\\`e\"", "a\"b\\c$d`e" },
	{ "K=\"back\\slash\"", "back\\slash" },
	{ "K=bare\\ word", "bare word" },
	{ "K=a\"b c\"d'e f'", "ab cde f" },
	{ "  K=\"indented\"", "indented" },
	{ "\tK=\"tab\"", "tab" },
	{ "K=\"value\"   ", "value" },
	{ "K=\"value\" # comment", "value" },
	{ "K=\"value\"\r", "value" },
	{ "K=\"# none\"", "# none" },
	{ "K=\"a=b\"", "a=b" },
	{ "K=a=b", "a=b" },
	{ "K=\"caf\xc3\xa9\"", "caf\xc3\xa9" },
	{ "K=\\", "\\" },
	{ "K=a\\", "a\\" },
	{ "#K=\"no\"", NULL },
	{ "K =\"no\"", NULL },
	{ "K", NULL },
	{ "=x", NULL },
	{ "1K=x", NULL },
	{ "K-X=x", NULL },
	{ "export K=x", NULL },
	{ "KK=x", NULL },
	{ "k=x", NULL },
	{ "", NULL },
	{ "   ", NULL },
};

START_TEST(a_line_is_read_as_a_shell_reads_it)
{
	struct lg_conf *conf = parsed(lines[_i].line);
	const char *value = lg_conf_get(conf, "K");

	if (lines[_i].value)
		ck_assert_pstr_eq(value, lines[_i].value);
	else
		ck_assert_ptr_null(value);
	lg_conf_free(conf);
}
END_TEST

START_TEST(a_line_without_its_new_line_needs_no_byte_behind_it)
{
	size_t len = strlen(lines[_i].line);
	lg_autofree char *exact = malloc(len ? len : 1);
	struct lg_conf *conf = NULL;

	memcpy(exact, lines[_i].line, len);
	ck_assert_int_eq(lg_conf_parse(exact, len, &conf, NULL), 0);
	lg_conf_free(conf);
}
END_TEST

static const struct { const char *text; size_t len; int want; const char *msg; } refused[] = {
#define BYTES(s) s, sizeof(s) - 1
	{ BYTES("K=\"open"), -EINVAL, "line 1: a quote does not end" },
	{ BYTES("A=1\n\nK='open\nB=2"), -EINVAL, "line 3: a quote does not end" },
	{ BYTES("K=\"end\\\""), -EINVAL, "line 1: a quote does not end" },
	{ BYTES("K=x\"y"), -EINVAL, "line 1: a quote does not end" },
	{ BYTES("K=1\n\0"), -EINVAL, "a NUL byte is in it" },
	{ BYTES("\0"), -EINVAL, "a NUL byte is in it" },
};

START_TEST(a_broken_file_is_refused_with_its_line)
{
	struct lg_conf *conf = NULL;
	struct lg_err err = { 0 };

	ck_assert_int_eq(lg_conf_parse(refused[_i].text, refused[_i].len, &conf, &err),
			 refused[_i].want);
	ck_assert_str_eq(err.msg, refused[_i].msg);
	ck_assert_int_eq(err.exit_code, LG_EXIT_BAD_CONF);
	ck_assert_ptr_null(conf);
}
END_TEST

START_TEST(a_file_has_a_largest_size)
{
	lg_autofree char *text = malloc(LG_CONF_MAX + 1);
	struct lg_conf *conf = NULL;

	memset(text, '#', LG_CONF_MAX + 1);
	ck_assert_int_eq(lg_conf_parse(text, LG_CONF_MAX + 1, &conf, NULL), -E2BIG);
	ck_assert_int_eq(lg_conf_parse(text, LG_CONF_MAX, &conf, NULL), 0);
	lg_conf_free(conf);
}
END_TEST

static const char file[] =
	"# made by hand\n"
	"\n"
	"ONBOOT=yes\n"
	"  HOSTNAME='web1'   # why\n"
	"something odd\n"
	"FUTURE_KEY=\"kept\"\n"
	"ONBOOT=\"no\"\n"
	"# last";

START_TEST(what_is_not_changed_comes_back_byte_for_byte)
{
	struct lg_conf *conf = parsed(file);
	lg_autofree char *text = lg_conf_format(conf);

	ck_assert_int_eq(strncmp(text, file, sizeof(file) - 1), 0);
	ck_assert_str_eq(text + sizeof(file) - 1, "\n");	/* the last line is ended */
	lg_conf_free(conf);
}
END_TEST

START_TEST(a_change_touches_one_line)
{
	struct lg_conf *conf = parsed(file);
	lg_autofree char *text = NULL;

	ck_assert_int_eq(lg_conf_set(conf, "HOSTNAME", "a\"b\\c$d`e", NULL), 0);
	ck_assert_int_eq(lg_conf_set(conf, "ONBOOT", "yes", NULL), 0);
	ck_assert_int_eq(lg_conf_set(conf, "FUTURE_KEY", "kept", NULL), 0);
	ck_assert_int_eq(lg_conf_set(conf, "NAME", "", NULL), 0);
	text = lg_conf_format(conf);
	ck_assert_str_eq(text,
			 "# made by hand\n"
			 "\n"
			 "ONBOOT=yes\n"
			 "HOSTNAME=\"a\\\"b\\\\c\\$d\\`e\"\n"
			 "something odd\n"
			 "FUTURE_KEY=\"kept\"\n"
			 "ONBOOT=\"yes\"\n"
			 "# last\n"
			 "NAME=\"\"\n");
	lg_conf_free(conf);
}
END_TEST

START_TEST(of_a_key_that_is_twice_the_last_counts_and_all_are_removed)
{
	struct lg_conf *conf = parsed(file);
	lg_autofree char *text = NULL;

	ck_assert_str_eq(lg_conf_get(conf, "ONBOOT"), "no");
	ck_assert_int_eq(lg_conf_set(conf, "ONBOOT", NULL, NULL), 0);
	ck_assert_ptr_null(lg_conf_get(conf, "ONBOOT"));
	ck_assert_int_eq(lg_conf_set(conf, "ONBOOT", NULL, NULL), 0);
	text = lg_conf_format(conf);
	ck_assert_ptr_null(strstr(text, "ONBOOT"));
	ck_assert_ptr_nonnull(strstr(text, "something odd\nFUTURE_KEY=\"kept\"\n# last\n"));
	lg_conf_free(conf);
}
END_TEST

static int gather(const char *key, const char *value, void *arg)
{
	char *text = arg;

	sprintf(text + strlen(text), "%s=%s;", key, value);
	return strcmp(key, "FUTURE_KEY") == 0 ? 5 : 0;
}

START_TEST(each_tells_every_key_once_and_stops_when_told)
{
	struct lg_conf *conf = parsed(file), *two = parsed("A=1\nB=2\nA=3\n");
	char text[256] = "";

	ck_assert_int_eq(lg_conf_each(conf, gather, text), 5);
	ck_assert_str_eq(text, "HOSTNAME=web1;FUTURE_KEY=kept;");
	text[0] = '\0';
	ck_assert_int_eq(lg_conf_each(two, gather, text), 0);
	ck_assert_str_eq(text, "B=2;A=3;");
	lg_conf_free(conf);
	lg_conf_free(two);
}
END_TEST

START_TEST(bad_keys_and_values_are_refused_and_change_nothing)
{
	static const struct { const char *key, *value; int exit_code; } rows[] = {
		{ "", "x", LG_EXIT_BAD_CONF },	    { "A B", "x", LG_EXIT_BAD_CONF },
		{ "1A", "x", LG_EXIT_BAD_CONF },    { "A=", "x", LG_EXIT_BAD_CONF },
		{ "A\n", "x", LG_EXIT_BAD_CONF },   { "A-B", NULL, LG_EXIT_BAD_CONF },
		{ "A", "x\ny", LG_EXIT_BAD_VALUE }, { "A", "x\ry", LG_EXIT_BAD_VALUE },
	};
	struct lg_conf *conf = parsed("A=\"1\"\n");
	lg_autofree char *text = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct lg_err err = { 0 };

		ck_assert_int_eq(lg_conf_set(conf, rows[i].key, rows[i].value, &err), -EINVAL);
		ck_assert_int_eq(err.exit_code, rows[i].exit_code);
	}
	text = lg_conf_format(conf);
	ck_assert_str_eq(text, "A=\"1\"\n");
	lg_conf_free(conf);
}
END_TEST

START_TEST(every_value_survives_being_written_and_read)
{
	struct lg_conf *conf = lg_conf_new(), *again = NULL;
	lg_autofree char *text = NULL;
	char value[3] = "";
	char key[16];

	/* every pair of the bytes that mean something, and every single byte */
	static const char special[] = "\"'\\$`# =\ta;&|<>()*?~!";

	for (size_t i = 0; i < strlen(special); i++)
		for (size_t j = 0; j < strlen(special); j++) {
			snprintf(key, sizeof(key), "P%zu_%zu", i, j);
			snprintf(value, sizeof(value), "%c%c", special[i], special[j]);
			ck_assert_int_eq(lg_conf_set(conf, key, value, NULL), 0);
		}
	text = lg_conf_format(conf);
	again = parsed(text);
	for (size_t i = 0; i < strlen(special); i++)
		for (size_t j = 0; j < strlen(special); j++) {
			snprintf(key, sizeof(key), "P%zu_%zu", i, j);
			snprintf(value, sizeof(value), "%c%c", special[i], special[j]);
			ck_assert_str_eq(lg_conf_get(again, key), value);
		}
	lg_conf_free(conf);
	lg_conf_free(again);
}
END_TEST

START_TEST(a_copy_is_equal_and_apart)
{
	struct lg_conf *conf = parsed(file), *copy = lg_conf_copy(conf);
	lg_autofree char *a = lg_conf_format(conf), *b = lg_conf_format(copy);

	ck_assert_str_eq(a, b);
	lg_conf_set(copy, "HOSTNAME", "other", NULL);
	ck_assert_str_eq(lg_conf_get(conf, "HOSTNAME"), "web1");
	ck_assert_str_eq(lg_conf_get(copy, "HOSTNAME"), "other");
	lg_conf_free(conf);
	lg_conf_free(copy);
	lg_conf_free(NULL);
}
END_TEST

static char folder[64];
static int where;

static void setup(void)
{
	strcpy(folder, "/tmp/test-conf-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	where = lg_open_dir(AT_FDCWD, folder, NULL);
	ck_assert_int_ge(where, 0);
}

static void teardown(void)
{
	close(where);
	lg_remove_tree(AT_FDCWD, folder, NULL);
}

START_TEST(what_is_saved_is_loaded)
{
	struct lg_conf *conf = parsed(file), *again = NULL;
	lg_autofree char *a = lg_conf_format(conf), *b = NULL;
	struct stat st;

	ck_assert_int_eq(lg_conf_save(conf, where, "101.conf", NULL), 0);
	ck_assert_int_eq(fstatat(where, "101.conf", &st, 0), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0644);
	ck_assert_int_eq(lg_conf_load(where, "101.conf", &again, NULL), 0);
	b = lg_conf_format(again);
	ck_assert_str_eq(a, b);
	lg_conf_free(conf);
	lg_conf_free(again);
}
END_TEST

START_TEST(loading_says_which_file_and_line)
{
	struct lg_conf *conf = NULL;
	struct lg_err err = { 0 };

	ck_assert_int_eq(lg_conf_load(where, "101.conf", &conf, &err), -ENOENT);
	ck_assert_ptr_nonnull(strstr(err.msg, "101.conf"));
	ck_assert_int_eq(lg_file_replace_fast(where, "101.conf", "A=1\nB=\"\n", 8, 0644, NULL), 0);
	ck_assert_int_eq(lg_conf_load(where, "101.conf", &conf, &err), -EINVAL);
	ck_assert_str_eq(err.msg, "101.conf: line 2: a quote does not end");
	ck_assert_int_eq(err.exit_code, LG_EXIT_BAD_CONF);
	ck_assert_ptr_null(conf);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("conf");
	TCase *t = tcase_create("text"), *f = tcase_create("file");

	tcase_add_loop_test(t, a_line_is_read_as_a_shell_reads_it, 0, ARRAY_SIZE(lines));
	tcase_add_loop_test(t, a_line_without_its_new_line_needs_no_byte_behind_it, 0, ARRAY_SIZE(lines));
	tcase_add_loop_test(t, a_broken_file_is_refused_with_its_line, 0, ARRAY_SIZE(refused));
	tcase_add_test(t, a_file_has_a_largest_size);
	tcase_add_test(t, what_is_not_changed_comes_back_byte_for_byte);
	tcase_add_test(t, a_change_touches_one_line);
	tcase_add_test(t, of_a_key_that_is_twice_the_last_counts_and_all_are_removed);
	tcase_add_test(t, each_tells_every_key_once_and_stops_when_told);
	tcase_add_test(t, bad_keys_and_values_are_refused_and_change_nothing);
	tcase_add_test(t, every_value_survives_being_written_and_read);
	tcase_add_test(t, a_copy_is_equal_and_apart);
	suite_add_tcase(s, t);
	tcase_add_checked_fixture(f, setup, teardown);
	tcase_add_test(f, what_is_saved_is_loaded);
	tcase_add_test(f, loading_says_which_file_and_line);
	suite_add_tcase(s, f);
	return s;
}

int main(void)
{
	SRunner *sr = srunner_create(suite());
	int failures;

	srunner_run_all(sr, CK_ENV);
	failures = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failures ? 1 : 0;
}
