/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lib/json.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/cleanup.h"
#include "lib/file.h"

static char folder[64];
static int where;

static void setup(void)
{
	strcpy(folder, "/tmp/test-json-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	where = lg_open_dir(AT_FDCWD, folder, NULL);
	ck_assert_int_ge(where, 0);
}

static void teardown(void)
{
	close(where);
	lg_remove_tree(AT_FDCWD, folder, NULL);
}

START_TEST(what_is_saved_is_loaded_and_private)
{
	lg_autojson json_t *a = json_pack("{s:s, s:[i,i], s:b}", "name", "caf\xc3\xa9", "ids", 1, 2, "on", 1);
	lg_autojson json_t *b = NULL;
	struct stat st;

	ck_assert_int_eq(lg_json_save(where, "f.json", a, _i, NULL), 0);
	ck_assert_int_eq(fstatat(where, "f.json", &st, 0), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0600);
	ck_assert_int_eq(lg_json_load(where, "f.json", &b, NULL), 0);
	ck_assert(json_equal(a, b));
}
END_TEST

static const struct { const char *text; size_t len; } bad[] = {
#define BYTES(s) s, sizeof(s) - 1
	{ BYTES("") }, { BYTES("{") }, { BYTES("{}x") }, { BYTES("{\"a\":1,\"a\":2}") }, { BYTES("{\"a\":\"\\u0000\"}") },
	{ BYTES("{\"a\":\"\xff\"}") }, { BYTES("{\"a\":1}\0") }, { BYTES("7") },
};

START_TEST(a_broken_file_is_refused_with_its_name_and_line)
{
	struct lg_err err = { 0 };
	json_t *got = NULL;

	ck_assert_int_eq(lg_file_replace_fast(where, "f.json", bad[_i].text, bad[_i].len, 0600, NULL), 0);
	ck_assert_int_eq(lg_json_load(where, "f.json", &got, &err), -EINVAL);
	ck_assert_ptr_nonnull(strstr(err.msg, "'f.json' line "));
	ck_assert_ptr_null(got);
}
END_TEST

START_TEST(nesting_and_size_have_an_end)
{
	size_t len = (4u << 20) + 1;
	lg_autofree char *text = malloc(len);
	struct lg_err err = { 0 };
	json_t *got = NULL;

	memset(text, '[', len);
	ck_assert_int_eq(lg_file_replace_fast(where, "f.json", text, len, 0600, NULL), 0);
	ck_assert_int_eq(lg_json_load(where, "f.json", &got, &err), -E2BIG);
	ck_assert_int_eq(lg_file_replace_fast(where, "f.json", text, len - 1, 0600, NULL), 0);
	ck_assert_int_eq(lg_json_load(where, "f.json", &got, &err), -EINVAL);
	ck_assert_int_eq(lg_json_load(where, "none", &got, &err), -ENOENT);
	ck_assert_ptr_null(got);
}
END_TEST

START_TEST(members_of_another_kind_are_as_missing)
{
	lg_autojson json_t *o = json_pack("{s:s, s:i, s:b, s:n, s:f}", "s", "text", "i", -7, "b", 1, "n", "f", 1.5);

	ck_assert_str_eq(lg_json_str(o, "s"), "text");
	ck_assert_ptr_null(lg_json_str(o, "i"));
	ck_assert_ptr_null(lg_json_str(o, "none"));
	ck_assert_int_eq(lg_json_int(o, "i", 9), -7);
	ck_assert_int_eq(lg_json_int(o, "s", 9), 9);
	ck_assert_int_eq(lg_json_int(o, "f", 9), 9);
	ck_assert_int_eq(lg_json_int(o, "n", 9), 9);
	ck_assert(lg_json_bool(o, "b", false));
	ck_assert(lg_json_bool(o, "i", true));
	ck_assert(!lg_json_bool(o, "i", false));
	ck_assert_ptr_null(lg_json_str(NULL, "s"));
	ck_assert_int_eq(lg_json_int(json_object_get(o, "s"), "i", 9), 9);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("json");
	TCase *t = tcase_create("all");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, what_is_saved_is_loaded_and_private, 0, 2);
	tcase_add_loop_test(t, a_broken_file_is_refused_with_its_name_and_line, 0, ARRAY_SIZE(bad));
	tcase_add_test(t, nesting_and_size_have_an_end);
	tcase_add_test(t, members_of_another_kind_are_as_missing);
	suite_add_tcase(s, t);
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
