/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lib/ids.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/exit.h"
#include "lib/file.h"

static char dir[] = "/tmp/test_ids.XXXXXX";
static int etc = -1;

static void put(const char *name, const char *text)
{
	ck_assert_int_eq(lg_file_replace_fast(etc, name, text, strlen(text), 0644, NULL), 0);
}

static void make_etc(void)
{
	ck_assert_ptr_nonnull(mkdtemp(dir));
	etc = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_ge(etc, 0);
}

static void remove_etc(void)
{
	lg_remove_tree(AT_FDCWD, dir, NULL);
	close(etc);
}

/* clang-format off */
static const struct {
	const char *subuid, *subgid;
	int want;
	uint32_t base, count;
	const char *says;
} grants[] = {
	{ "lodge:524288:131072\n", "lodge:524288:131072\n", 0, 524288, 131072, NULL },
	{ "web:100000:65536\n\nlodge:524288:131072", "x\nlodge:524288:131072\nweb:100000:65536\n", 0,
	  524288, 131072, NULL },
	{ "", "", 0, 0, 0, NULL },
	{ NULL, NULL, 0, 0, 0, NULL },
	{ "lodger:524288:131072\n", "lodger:524288:131072\n", 0, 0, 0, NULL },
	{ "#lodge:524288:131072\n", NULL, 0, 0, 0, NULL },
	{ "lodge:524288:131072\n", "", -EINVAL, 0, 0, "/etc/subgid has none" },
	{ NULL, "lodge:524288:131072\n", -EINVAL, 0, 0, "/etc/subuid has none" },
	{ "lodge:524288:131072\n", "lodge:524288:65536\n", -EINVAL, 0, 0, "524288:65536 in /etc/subgid" },
	{ "lodge:524288:131072\n", "lodge:589824:131072\n", -EINVAL, 0, 0, "must be in both" },
	{ "lodge:1000000:65536\nlodge:2000000:65536\n", "lodge:1000000:65536\n", -EINVAL, 0, 0, "2 entries" },
	{ "lodge:524288:1000\n", "lodge:524288:1000\n", -EINVAL, 0, 0, "65536 ids" },
	{ "lodge:0:131072\n", "lodge:0:131072\n", -EINVAL, 0, 0, "above 65535" },
	{ "lodge:4294901760:65536\n", "lodge:4294901760:65536\n", -EINVAL, 0, 0, "below 4294967295" },
	{ "lodge:99999999999999:65536\n", "lodge:99999999999999:65536\n", -EINVAL, 0, 0, "of no use" },
};
/* clang-format on */

START_TEST(one_entry_that_is_the_same_in_both_files_is_granted)
{
	struct lg_err err = { 0 };
	struct lg_id_range range;
	struct lg_ids ids;

	if (grants[_i].subuid)
		put("subuid", grants[_i].subuid);
	if (grants[_i].subgid)
		put("subgid", grants[_i].subgid);
	ck_assert_int_eq(lg_ids_read(etc, "lodge", &ids, &err), 0);
	ck_assert_int_eq(lg_ids_granted(&ids, &range, &err), grants[_i].want);
	ck_assert_uint_eq(range.base, grants[_i].base);
	ck_assert_uint_eq(range.count, grants[_i].count);
	if (grants[_i].says) {
		ck_assert_msg(strstr(err.msg, grants[_i].says), "%s", err.msg);
		ck_assert_int_eq(err.exit_code, LG_EXIT_BAD_CONF);
	}
	lg_ids_finish(&ids);
}
END_TEST

/* clang-format off */
static const struct {
	uint32_t base;
	const char *whose;	/* NULL: free */
} places[] = {
	{ 1000000, NULL },
	{ 165536 - 65536, "the entry of 'web' in /etc/subuid" },
	{ 165536, NULL },
	{ 100000 - 65535, "the entry of 'web' in /etc/subuid" },
	{ 300000, "the entry of 'db' in /etc/subgid" },
	{ 524288, NULL },				/* lodge's own */
	{ 700000, "user 'far' in /etc/passwd" },
	{ 700001, NULL },
	{ 700000 - 65535, "user 'far' in /etc/passwd" },
	{ 700000 - 65536, NULL },
	{ 800000, "group 'staff2' in /etc/group" },
	{ 2000000, "the entry of 'huge' in /etc/subuid" },
	{ 4294901759, "the entry of 'huge' in /etc/subuid" },
};
/* clang-format on */

static struct lg_id_range one_at(uint32_t base)
{
	return (struct lg_id_range){ base, 65536 };
}

START_TEST(what_others_have_is_in_nobodys_range)
{
	const struct lg_id_claim *claim;
	struct lg_ids ids;

	put("subuid", "web:100000:65536\nlodge:524288:65536\nhuge:2000000:9999999999\n");
	put("subgid", "db:300000:1\nlodge:524288:65536\n");
	put("passwd", "root:x:0:0:root:/root:/bin/sh\nfar::700000:700000::/:/bin/sh\nbad line\n"
		      "nobody:x:65534:65534::/:/bin/false\n");
	put("group", "root:x:0:\nstaff2:x:800000:a,b\n");
	ck_assert_int_eq(lg_ids_read(etc, "lodge", &ids, NULL), 0);
	claim = lg_ids_conflict(&ids, one_at(places[_i].base));
	if (places[_i].whose)
		ck_assert_str_eq(claim ? claim->whose : "nobody", places[_i].whose);
	else
		ck_assert_msg(!claim, "%s", claim ? claim->whose : "");
	lg_ids_finish(&ids);
}
END_TEST

START_TEST(lodges_entry_is_somebody_elses_to_a_daemon_under_another_root)
{
	struct lg_id_range range;
	struct lg_ids ids;

	put("subuid", "lodge:524288:65536\n");
	ck_assert_int_eq(lg_ids_read(etc, NULL, &ids, NULL), 0);
	ck_assert_int_eq(lg_ids_granted(&ids, &range, NULL), 0);
	ck_assert_uint_eq(range.count, 0);
	ck_assert_ptr_nonnull(lg_ids_conflict(&ids, one_at(524288)));
	lg_ids_finish(&ids);
}
END_TEST

/* clang-format off */
static const struct {
	const char *base, *count;
	int want;
	uint32_t first, n;
	const char *says;
} configured[] = {
	{ "1000000", "131072", 0, 1000000, 131072, NULL },
	{ "1000000", NULL, 0, 1000000, UINT32_MAX - 1000000, NULL },
	{ "65535", NULL, -ERANGE, 0, 0, "ID_BASE in lodge.conf" },
	{ "many", NULL, -EINVAL, 0, 0, "ID_BASE in lodge.conf" },
	{ "4294967295", NULL, -ERANGE, 0, 0, "ID_BASE in lodge.conf" },
	{ "1000000", "65535", -ERANGE, 0, 0, "ID_COUNT in lodge.conf" },
	{ "1000000", "4294967295", -ERANGE, 0, 0, "ID_COUNT in lodge.conf" },
	{ "1000000", "1x", -EINVAL, 0, 0, "ID_COUNT in lodge.conf" },
};
/* clang-format on */

START_TEST(a_bad_configuration_is_named_not_replaced)
{
	struct lg_id_range range = { 0, 0 };
	struct lg_err err = { 0 };

	ck_assert_int_eq(lg_ids_configured(configured[_i].base, configured[_i].count, &range, &err),
			 configured[_i].want);
	ck_assert_uint_eq(range.base, configured[_i].first);
	ck_assert_uint_eq(range.count, configured[_i].n);
	if (configured[_i].says)
		ck_assert_msg(strstr(err.msg, configured[_i].says), "%s", err.msg);
}
END_TEST

static bool overlap(uint32_t a, uint32_t b)
{
	return lg_ids_overlap(one_at(a), one_at(b));
}

START_TEST(ranges_overlap_when_they_share_an_id)
{
	struct lg_id_range large = { 1048576, 1048576 };

	ck_assert(overlap(100000, 100000));
	ck_assert(overlap(100000, 165535));
	ck_assert(overlap(165535, 100000));
	ck_assert(!overlap(100000, 165536));
	ck_assert(!overlap(165536, 100000));
	ck_assert(overlap(UINT32_MAX - 65535, UINT32_MAX));
	ck_assert(lg_ids_overlap(large, one_at(2097151)));
	ck_assert(lg_ids_overlap(one_at(2097151), large));
	ck_assert(lg_ids_overlap(one_at(983041), large));
	ck_assert(!lg_ids_overlap(one_at(2097152), large));
	ck_assert(!lg_ids_overlap(large, one_at(983040)));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("ids");
	TCase *tc = tcase_create("ids");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tc, make_etc, remove_etc);
	tcase_add_loop_test(tc, one_entry_that_is_the_same_in_both_files_is_granted, 0,
			    ARRAY_SIZE(grants));
	tcase_add_loop_test(tc, what_others_have_is_in_nobodys_range, 0, ARRAY_SIZE(places));
	tcase_add_test(tc, lodges_entry_is_somebody_elses_to_a_daemon_under_another_root);
	tcase_add_loop_test(tc, a_bad_configuration_is_named_not_replaced, 0, ARRAY_SIZE(configured));
	tcase_add_test(tc, ranges_overlap_when_they_share_an_id);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
