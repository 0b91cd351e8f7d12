/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lib/features.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/cleanup.h"

START_TEST(every_row_can_be_named_and_says_what_for)
{
	const struct lg_feature *f = &lg_features[_i];
	uint32_t on = 0;

	ck_assert_ptr_nonnull(f->name);
	ck_assert_msg(f->help && strlen(f->help) > 5, "%s", f->name);
	ck_assert_int_eq(lg_features_parse(f->name, &on, NULL, NULL), 0);
	ck_assert_uint_eq(on, LG_FEATURE_BIT(_i));
	if (f->kind == LG_FEATURE_GRANTS)
		ck_assert_msg(f->calls || f->caps || f->devices[0] || f->sysctls[0],
			      "%s grants nothing", f->name);
	else
		ck_assert_msg(!f->calls && !f->caps && !f->devices[0] && !f->sysctls[0],
			      "%s grants something", f->name);
	ck_assert_uint_lt(f->calls, LG_CALLS_SETS);
}
END_TEST

static const struct {
	const char *in, *out;	/* NULL: refused */
} texts[] = {
	{ "fuse", "fuse:on" },
	{ "fuse,tun", "fuse:on tun:on" },
	{ " tun:on  fuse:off,", "fuse:off tun:on" },
	{ "fuse fuse:off", "fuse:off" },
	{ "nfs:on sysfs:off", "sysfs:off nfs:on" },
	{ "", "" },
	{ "fuse:maybe", NULL },
	{ "fuse:", NULL },
	{ "fus", NULL },
	{ "fusex", NULL },
	{ ":on", NULL },
};

START_TEST(a_list_reads_back_as_the_conf_file_has_it)
{
	lg_autofree char *text = NULL;
	struct lg_err err = { 0 };
	uint32_t on = 77, off = 77;
	int r = lg_features_parse(texts[_i].in, &on, &off, &err);

	if (!texts[_i].out) {
		ck_assert_int_eq(r, -EINVAL);
		ck_assert_int_eq(err.code, -EINVAL);
		ck_assert_uint_eq(on, 77);
		return;
	}
	ck_assert_msg(r == 0, "%s", err.msg);
	text = lg_features_format(on, off);
	ck_assert_str_eq(text, texts[_i].out);
}
END_TEST

START_TEST(an_unknown_name_is_answered_with_those_that_are)
{
	struct lg_err err = { 0 };
	uint32_t on;

	ck_assert_int_eq(lg_features_parse("fuse,warp:on", &on, NULL, &err), -EINVAL);
	ck_assert_ptr_nonnull(strstr(err.msg, "'warp'"));
	for (size_t i = 0; i < LG_FEATURE_COUNT_; i++)
		ck_assert_ptr_nonnull(strstr(err.msg, lg_features[i].name));
}
END_TEST

START_TEST(features_that_exclude_each_other_are_refused_by_name)
{
	static const char *const with[] = { "nesting", "io_uring", "userfaultfd", "kvm" };
	struct lg_err err = { 0 };
	uint32_t on = 77;
	char text[80];

	for (size_t i = 0; i < ARRAY_SIZE(with); i++) {
		snprintf(text, sizeof(text), "%s,checkpointable", with[i]);
		ck_assert_int_eq(lg_features_parse(text, &on, NULL, &err), -EINVAL);
		ck_assert_uint_eq(on, 77);
		snprintf(text, sizeof(text), "the features checkpointable and %s exclude", with[i]);
		ck_assert_msg(strstr(err.msg, text), "%s", err.msg);
		snprintf(text, sizeof(text), "%s:off checkpointable", with[i]);
		ck_assert_int_eq(lg_features_parse(text, &on, NULL, &err), 0);
		on = 77;
	}
	ck_assert_int_eq(lg_features_parse("checkpointable,fuse,tun,keyctl", &on, NULL, &err), 0);
}
END_TEST

START_TEST(defaults_give_way_to_what_was_said)
{
	const uint32_t dump = LG_FEATURE_BIT(LG_FEATURE_CHECKPOINTABLE),
		       nest = LG_FEATURE_BIT(LG_FEATURE_NESTING), fuse = LG_FEATURE_BIT(LG_FEATURE_FUSE);

	ck_assert_uint_eq(lg_features_add(0, 0, dump), dump);
	ck_assert_uint_eq(lg_features_add(fuse, 0, dump), fuse | dump);
	ck_assert_uint_eq(lg_features_add(0, dump, dump | fuse), fuse);
	ck_assert_uint_eq(lg_features_add(nest, 0, dump | fuse), nest | fuse);
	ck_assert_uint_eq(lg_features_add(dump, 0, nest), dump);
	ck_assert_uint_eq(lg_features_add(fuse, 0, 0), fuse);
}
END_TEST

static int count(const struct lg_feature *f, void *arg)
{
	(void)f;
	return ++*(int *)arg == 2 ? 9 : 0;
}

START_TEST(what_a_set_grants_is_the_sum)
{
	uint32_t set = LG_FEATURE_BIT(LG_FEATURE_IO_URING) | LG_FEATURE_BIT(LG_FEATURE_KEYCTL) |
		       LG_FEATURE_BIT(LG_FEATURE_NFS);
	int n = 0;

	ck_assert_uint_eq(lg_features_calls(set), LG_CALLS_IO_URING | LG_CALLS_KEYS);
	ck_assert_uint_eq(lg_features_calls(0), 0);
	ck_assert_uint_eq(lg_features_caps(0), 0);
	ck_assert_int_eq(lg_features_each(set, count, &n), 9);	/* nfs grants nothing: two */
	ck_assert_int_eq(n, 2);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("features");
	TCase *tc = tcase_create("features");
	SRunner *sr;
	int failures;

	tcase_add_loop_test(tc, every_row_can_be_named_and_says_what_for, 0, LG_FEATURE_COUNT_);
	tcase_add_loop_test(tc, a_list_reads_back_as_the_conf_file_has_it, 0, ARRAY_SIZE(texts));
	tcase_add_test(tc, an_unknown_name_is_answered_with_those_that_are);
	tcase_add_test(tc, features_that_exclude_each_other_are_refused_by_name);
	tcase_add_test(tc, defaults_give_way_to_what_was_said);
	tcase_add_test(tc, what_a_set_grants_is_the_sum);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failures = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failures ? 1 : 0;
}
