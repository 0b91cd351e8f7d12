/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lib/root.h"

#include <check.h>
#include <errno.h>
#include <net/if.h>
#include <string.h>

#include "lib/cleanup.h"
#include "lib/parse.h"

static const char *const defaults[] = { NULL, "", "/", "//" };

START_TEST(the_default_root_has_plain_names)
{
	struct lg_root root;
	char name[32], path[108];

	ck_assert_int_eq(lg_root_init(&root, defaults[_i], NULL), 0);
	ck_assert_str_eq(root.etc, "/etc/lodge");
	ck_assert_str_eq(root.var, "/var/lib/lodge");
	ck_assert_str_eq(root.run, "/run/lodge");
	ck_assert_str_eq(root.tag, "");
	lg_root_socket(&root, path, sizeof(path));
	ck_assert_str_eq(path, "/run/lodge/lodged.sock");
	lg_root_bridge(&root, name);
	ck_assert_str_eq(name, "lodge0");
	lg_root_link(&root, 101, 0, name);
	ck_assert_str_eq(name, "lg101.0");
	lg_root_cgroup(&root, name);
	ck_assert_str_eq(name, "lodge");
	lg_root_table(&root, name);
	ck_assert_str_eq(name, "lodge");
}
END_TEST

START_TEST(another_root_moves_everything)
{
	struct lg_root root;
	char name[32], want[32];

	ck_assert_int_eq(lg_root_init(&root, "/tmp/a", NULL), 0);
	ck_assert_str_eq(root.etc, "/tmp/a/etc/lodge");
	ck_assert_str_eq(root.var, "/tmp/a/var/lib/lodge");
	ck_assert_str_eq(root.run, "/tmp/a/run/lodge");
	ck_assert_uint_eq(strlen(root.tag), 4);
	ck_assert_int_eq(root.tag[0], 'l');
	lg_root_bridge(&root, name);
	snprintf(want, sizeof(want), "%sbr0", root.tag);
	ck_assert_str_eq(name, want);
	lg_root_cgroup(&root, name);
	snprintf(want, sizeof(want), "lodge-%s", root.tag);
	ck_assert_str_eq(name, want);
	lg_root_table(&root, name);
	snprintf(want, sizeof(want), "lodge_%s", root.tag);
	ck_assert_str_eq(name, want);
}
END_TEST

START_TEST(the_same_folder_has_the_same_tag_and_another_another)
{
	struct lg_root a, b, c;

	lg_root_init(&a, "/tmp/a", NULL);
	lg_root_init(&b, "/tmp/a//", NULL);
	lg_root_init(&c, "/tmp/b", NULL);
	ck_assert_str_eq(a.tag, b.tag);
	ck_assert_str_eq(a.run, b.run);
	ck_assert_str_ne(a.tag, c.tag);
}
END_TEST

START_TEST(every_name_fits_where_the_kernel_takes_it)
{
	char dir[80], socket[300], name[32];
	struct lg_root root;

	memset(dir, 'x', sizeof(dir));
	dir[0] = '/';
	dir[70] = '\0';
	ck_assert_int_eq(lg_root_init(&root, dir, NULL), 0);
	snprintf(socket, sizeof(socket), "%s/shim/%u.sock", root.run, LG_CTID_MAX);
	ck_assert_uint_lt(strlen(socket), 108);
	/* under another root lodged gives out no larger numbers */
	lg_root_link(&root, 99999999, 9, name);
	ck_assert_ptr_nonnull(strstr(name, "99999999.9"));	/* not cut */
	ck_assert_uint_lt(strlen(name), IFNAMSIZ);
	lg_root_link(&(struct lg_root){ 0 }, LG_CTID_MAX, 9, name);
	ck_assert_str_eq(name, "lg2147483644.9");
}
END_TEST

START_TEST(a_link_tells_whose_it_is)
{
	static const struct { const char *tag, *name; unsigned int ctid; } rows[] = {
		{ "", "lg101.0", 101 },	   { "", "lg2147483644.9", 2147483644 },
		{ "", "lg101", 0 },	   { "", "lg.0", 0 },
		{ "", "eth0", 0 },	   { "", "lg99999999999.0", 0 },
		{ "lab1", "lab1101.0", 101 }, { "lab1", "lg101.0", 0 },
		{ "lab1", "lab1", 0 },	   { "", "lg4294967296.0", 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct lg_root root = { 0 };

		snprintf(root.tag, sizeof(root.tag), "%s", rows[i].tag);
		ck_assert_uint_eq(lg_root_link_ctid(&root, rows[i].name), rows[i].ctid);
	}
}
END_TEST

START_TEST(a_bad_root_is_refused)
{
	static const struct { const char *dir; int want; } rows[] = {
		{ "relative", -EINVAL },
		{ "./x", -EINVAL },
		{ "/xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", -ENAMETOOLONG },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct lg_root root;
		struct lg_err err = { 0 };

		ck_assert_int_eq(lg_root_init(&root, rows[i].dir, &err), rows[i].want);
		ck_assert_ptr_nonnull(strstr(err.msg, rows[i].dir));
	}
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("root");
	TCase *t = tcase_create("all");

	tcase_add_loop_test(t, the_default_root_has_plain_names, 0, ARRAY_SIZE(defaults));
	tcase_add_test(t, another_root_moves_everything);
	tcase_add_test(t, the_same_folder_has_the_same_tag_and_another_another);
	tcase_add_test(t, every_name_fits_where_the_kernel_takes_it);
	tcase_add_test(t, a_link_tells_whose_it_is);
	tcase_add_test(t, a_bad_root_is_refused);
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
