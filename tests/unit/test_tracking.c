/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Of the kernel that runs the tests: it either marks and watches, or says why not. */

#include "ct/tracking.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "lib/cleanup.h"

START_TEST(the_answer_is_the_same_every_time)
{
	struct lg_err first = { 0 }, again = { 0 };
	int r = lg_tracking_check(&first);

	ck_assert(r == 0 || r == -EOPNOTSUPP);
	ck_assert_int_eq(r == 0, first.msg[0] == '\0');
	ck_assert_int_eq(lg_tracking_check(&again), r);
	ck_assert_str_eq(first.msg, again.msg);
}
END_TEST

START_TEST(what_is_no_cgroup_is_not_watched)
{
	lg_autoclose int folder = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct lg_moves *moves = NULL;
	struct lg_err err = { 0 };

	ck_assert_int_lt(lg_moves_watch(folder, &moves, &err), 0);
	ck_assert_ptr_null(moves);
	ck_assert_ptr_nonnull(strstr(err.msg, "mremap()"));
	lg_moves_free(moves);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("tracking");
	Suite *s = suite_create("tracking");
	SRunner *sr;
	int failed;

	tcase_add_test(tc, the_answer_is_the_same_every_time);
	tcase_add_test(tc, what_is_no_cgroup_is_not_watched);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
