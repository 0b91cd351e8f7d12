/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lib/varlink_idl.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "lib/cleanup.h"
#include "lib/file.h"
#include "lib/json.h"

static const struct { const char *text; int want; const char *why; } interfaces[] = {
	{ "interface a.b", 0, NULL },
	{ "interface a.b # end", 0, NULL },
	{ "# first\n\n  interface\ta.b-c.d1\n", 0, NULL },
	{ "interface a.b\nmethod M()->()", 0, NULL },
	{ "interface a.b\nmethod M(a:int,b_c:?[]string)->(x:[string]?bool)", 0, NULL },
	{ "interface a.b\nmethod M(e: (one, two), s: (x: int)) -> ()", 0, NULL },
	{ "interface a.b\nmethod M(t: T) -> ()\ntype T (a: ?T)", 0, NULL },
	{ "interface a.b\ntype E (one, two)\nerror F ()\nerror G (e: E)", 0, NULL },
	{ "interface a.b\ntype stringy (a: int)", -EINVAL, "line 2: a name with a capital letter first expected" },
	{ "", -EINVAL, "line 1: 'interface' expected first" },
	{ "interfacea.b", -EINVAL, "line 1: 'interface' expected first" },
	{ "interface", -EINVAL, "line 1: an interface's name (like io.lodge) expected" },
	{ "interface lodge", -EINVAL, "line 1: an interface's name (like io.lodge) expected" },
	{ "interface io.", -EINVAL, "line 1: an interface's name (like io.lodge) expected" },
	{ "interface .io", -EINVAL, "line 1: an interface's name (like io.lodge) expected" },
	{ "interface i..o", -EINVAL, "line 1: an interface's name (like io.lodge) expected" },
	{ "interface 1.2", -EINVAL, "line 1: an interface's name (like io.lodge) expected" },
	{ "interface a.b\nmethod", -EINVAL, "line 2: a name with a capital letter first expected" },
	{ "interface a.b\n\nfunction F()", -EINVAL, "line 3: 'type', 'method' or 'error' expected" },
	{ "interface a.b\nmethod M()", -EINVAL, "line 2: '->' expected, the text ends" },
	{ "interface a.b\nmethod M(\n", -EINVAL, "line 3: a field's name expected" },
	{ "interface a.b\nmethod M(a)->()", -EINVAL, "line 2: M: fields with types expected" },
	{ "interface a.b\nmethod M()->(a)", -EINVAL, "line 2: M: fields with types expected" },
	{ "interface a.b\nerror E (a)", -EINVAL, "line 2: E: fields with types expected" },
	{ "interface a.b\nmethod M(a: int,)->()", -EINVAL, "line 2: a field's name expected" },
	{ "interface a.b\nmethod M(a: int b: int)->()", -EINVAL, "line 2: ')' expected before 'b'" },
	{ "interface a.b\nmethod M(a: int, a: int)->()", -EINVAL, "line 2: 'a' is there twice" },
	{ "interface a.b\ntype E (a, a)", -EINVAL, "line 2: 'a' is there twice" },
	{ "interface a.b\ntype E (a, b: int)", -EINVAL, "line 2: ')' expected before ':'" },
	{ "interface a.b\nmethod M()->()\nerror M ()", -EINVAL, "line 3: 'M' is there twice" },
	{ "interface a.b\nmethod M(a_: int)->()", -EINVAL, "line 2: a field's name expected" },
	{ "interface a.b\nmethod M(a__b: int)->()", -EINVAL, "line 2: a field's name expected" },
	{ "interface a.b\nmethod M(a: integer)->()", -EINVAL, "line 2: a type expected, not 'integer'" },
	{ "interface a.b\nmethod M(a: ??int)->()", -EINVAL, "line 2: a type expected, not ''" },
	{ "interface a.b\nmethod M(a: [int]bool)->()", -EINVAL, "line 2: ']' expected before 'i'" },
	{ "interface a.b\nmethod M(a: T)->()", -EINVAL, "M: there is no type 'T'" },
	{ "interface a.b\nmethod M(a: [][string]?(b: T))->()", -EINVAL, "M: there is no type 'T'" },
	{ "interface a.b\nmethod M(a: M)->()", -EINVAL, "M: there is no type 'M'" },
	{ "interface a.b\nmethod M(a: [][][][][][][][][][][][][][][][][]int)->()", -EINVAL,
	  "line 2: types lie within each other more than 16 deep" },
	{ "interface a.b\nmethod M() -> () \xff", -EINVAL, "line 2: 'type', 'method' or 'error' expected" },
};

START_TEST(a_description_parses_or_says_where_it_is_wrong)
{
	const char *text = interfaces[_i].text;
	struct lg_vidl *idl = NULL;
	struct lg_err err = { 0 };
	size_t len = strlen(text);
	/* exactly its size, so that a byte read too far is seen */
	lg_autofree char *exact = malloc(len ? len : 1);

	memcpy(exact, text, len);
	ck_assert_int_eq(lg_vidl_parse(exact, len, &idl, &err), interfaces[_i].want);
	ck_assert_str_eq(err.msg, interfaces[_i].why ? interfaces[_i].why : "");
	ck_assert_int_eq(idl != NULL, interfaces[_i].want == 0);
	lg_vidl_free(idl);
}
END_TEST

START_TEST(a_nul_byte_ends_no_description)
{
	static const char text[] = "interface a.b\n\0method M()->()";
	struct lg_vidl *idl = NULL;

	ck_assert_int_eq(lg_vidl_parse(text, sizeof(text) - 1, &idl, NULL), -EINVAL);
	ck_assert_ptr_null(idl);
}
END_TEST

START_TEST(a_description_has_a_largest_size)
{
	lg_autofree char *text = malloc(LG_VIDL_MAX + 1);
	struct lg_vidl *idl = NULL;

	memset(text, '#', LG_VIDL_MAX + 1);
	memcpy(text, "interface a.b\n", 14);
	ck_assert_int_eq(lg_vidl_parse(text, LG_VIDL_MAX + 1, &idl, NULL), -E2BIG);
	ck_assert_int_eq(lg_vidl_parse(text, LG_VIDL_MAX, &idl, NULL), 0);
	lg_vidl_free(idl);
}
END_TEST

START_TEST(every_beginning_of_lodges_interface_parses_or_is_refused)
{
	lg_autofree char *text = NULL;
	size_t len = 0;

	ck_assert_int_eq(lg_file_read(AT_FDCWD, LODGE_SOURCE_DIR "/lib/io.lodge.varlink", LG_VIDL_MAX,
				      &text, &len, NULL), 0);
	for (size_t n = 0; n <= len; n++) {
		struct lg_vidl *idl = NULL;
		lg_autofree char *exact = malloc(n ? n : 1);
		int r;

		memcpy(exact, text, n);
		r = lg_vidl_parse(exact, n, &idl, NULL);
		ck_assert_int_eq(idl != NULL, r == 0);
		lg_vidl_free(idl);
	}
}
END_TEST

static struct lg_vidl *lodges_own(void)
{
	lg_autofree char *text = NULL;
	struct lg_vidl *idl = NULL;
	struct lg_err err = { 0 };
	size_t len = 0;

	ck_assert_int_eq(lg_file_read(AT_FDCWD, LODGE_SOURCE_DIR "/lib/io.lodge.varlink", LG_VIDL_MAX,
				      &text, &len, NULL), 0);
	ck_assert_msg(lg_vidl_parse(text, len, &idl, &err) == 0, "%s", err.msg);
	return idl;
}

static const struct { const char *method, *params, *wrong; } lodge_calls[] = {
	{ "Start", "{\"id\":\"101\"}", NULL },
	{ "Start", "{\"id\":\"101\",\"wait\":true,\"timeout\":null}", NULL },
	{ "Start", "{}", "id" },
	{ "Start", "{\"id\":101}", "id" },
	{ "Start", "{\"id\":\"101\",\"now\":true}", "now" },
	{ "Create", "{\"settings\":{\"template\":\"busybox\"},\"ssh_keys\":[]}", NULL },
	{ "Create", "{\"settings\":{\"memory\":512},\"ssh_keys\":[]}", "settings.memory" },
	{ "Create", "{\"settings\":{},\"ssh_keys\":[\"a\",\"b\",null]}", "ssh_keys[2]" },
	{ "Version", "{}", NULL },
	{ "Version", "{\"\":0}", "" },
};

START_TEST(lodges_interface_says_what_a_call_may_hold)
{
	struct lg_vidl *idl = lodges_own();
	const struct lg_vmember *m = lg_vidl_find(idl, LG_VM_METHOD, lodge_calls[_i].method);
	lg_autojson json_t *params = json_loads(lodge_calls[_i].params, 0, NULL);
	char path[LG_VPATH_MAX] = "before";
	int r;

	ck_assert_ptr_nonnull(m);
	ck_assert_ptr_nonnull(params);
	r = lg_vtype_check(m->in, params, path);
	ck_assert_int_eq(r, lodge_calls[_i].wrong ? -EINVAL : 0);
	ck_assert_str_eq(path, lodge_calls[_i].wrong ? lodge_calls[_i].wrong : "");
	lg_vidl_free(idl);
}
END_TEST

START_TEST(members_are_found_by_kind_and_whole_name)
{
	struct lg_vidl *idl = lodges_own();

	ck_assert_str_eq(idl->name, "io.lodge");
	ck_assert_ptr_nonnull(lg_vidl_find(idl, LG_VM_ERROR, "Failed"));
	ck_assert_ptr_nonnull(lg_vidl_find(idl, LG_VM_TYPE, "Instance"));
	ck_assert_ptr_null(lg_vidl_find(idl, LG_VM_METHOD, "Failed"));
	ck_assert_ptr_null(lg_vidl_find(idl, LG_VM_METHOD, "Star"));
	ck_assert_ptr_null(lg_vidl_find(idl, LG_VM_METHOD, "Startt"));
	ck_assert_ptr_null(lg_vidl_find(idl, LG_VM_METHOD, ""));
	lg_vidl_free(idl);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("varlink_idl");
	TCase *t = tcase_create("all");

	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, a_description_parses_or_says_where_it_is_wrong, 0, ARRAY_SIZE(interfaces));
	tcase_add_test(t, a_nul_byte_ends_no_description);
	tcase_add_test(t, a_description_has_a_largest_size);
	tcase_add_test(t, every_beginning_of_lodges_interface_parses_or_is_refused);
	tcase_add_loop_test(t, lodges_interface_says_what_a_call_may_hold, 0, ARRAY_SIZE(lodge_calls));
	tcase_add_test(t, members_are_found_by_kind_and_whole_name);
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
