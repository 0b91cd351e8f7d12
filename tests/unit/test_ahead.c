/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ct/ahead.h"

#include <check.h>
#include <stdlib.h>

#define MIB (UINT64_C(1) << 20)
#define ANY UINT64_MAX

static const struct {
	const char *what;
	struct lg_ahead a;
	bool more;
} cases[] = {
	{ "the first of much memory", { .tracked = true, .wanted = -1, .memory_bytes = 256 * MIB, .room_bytes = ANY }, true },
	{ "the kernel does not tell", { .tracked = false, .wanted = -1, .memory_bytes = 256 * MIB, .room_bytes = ANY }, false },
	{ "little memory", { .tracked = true, .wanted = -1, .memory_bytes = 16 * MIB - 1, .room_bytes = ANY }, false },
	{ "enough of it", { .tracked = true, .wanted = -1, .memory_bytes = 16 * MIB, .room_bytes = ANY }, true },
	{ "just room", { .tracked = true, .wanted = -1, .memory_bytes = 100 * MIB, .room_bytes = 400 * MIB }, true },
	{ "no room", { .tracked = true, .wanted = -1, .memory_bytes = 100 * MIB, .room_bytes = 400 * MIB - 4 }, false },
	{ "not wanted", { .tracked = true, .wanted = 0, .memory_bytes = 256 * MIB, .room_bytes = ANY }, false },
	{ "wanted, whatever there is", { .tracked = false, .wanted = 1, .memory_bytes = 0, .room_bytes = 0 }, true },
	{ "a second one", { .wanted = -1, .rounds = 1, .bytes = 256 * MIB, .us = 1000000 }, true },
	{ "little was left", { .wanted = -1, .rounds = 1, .bytes = 8 * MIB, .us = 1000000 }, false },
	{ "a bit more was", { .wanted = -1, .rounds = 1, .bytes = 8 * MIB + 1, .us = 1000000 }, true },
	{ "it gets smaller", { .wanted = -1, .rounds = 2, .bytes = 74 * MIB, .bytes_before = 100 * MIB, .us = 1 }, true },
	{ "it does not", { .wanted = -1, .rounds = 2, .bytes = 75 * MIB, .bytes_before = 100 * MIB, .us = 1 }, false },
	{ "it grows", { .wanted = 9, .rounds = 2, .bytes = 110 * MIB, .bytes_before = 100 * MIB, .us = 1 }, false },
	{ "often enough", { .wanted = -1, .rounds = 4, .bytes = 20 * MIB, .bytes_before = 100 * MIB, .us = 1 }, false },
	{ "once more than that is wanted", { .wanted = 5, .rounds = 4, .bytes = 20 * MIB, .bytes_before = 100 * MIB, .us = 1 }, true },
	{ "one was wanted", { .wanted = 1, .rounds = 1, .bytes = 100 * MIB, .us = 1 }, false },
	/* 100 MiB a second: in half of 400 ms 20 MiB */
	{ "the time is enough for the rest", { .wanted = -1, .budget_us = 400000, .rounds = 1, .bytes = 20 * MIB, .us = 200000 }, false },
	{ "the time is too short for it", { .wanted = -1, .budget_us = 390000, .rounds = 1, .bytes = 20 * MIB, .us = 200000 }, true },
	{ "no time at all", { .wanted = -1, .budget_us = 1, .rounds = 1, .bytes = MIB, .us = 1000000 }, false },
};

START_TEST(another_round_when_it_is_worth_it)
{
	ck_assert_msg(lg_ahead_more(&cases[_i].a) == cases[_i].more, "%s", cases[_i].what);
}
END_TEST

START_TEST(all_rounds_together_stay_below_what_room_is_asked_for)
{
	struct lg_ahead a = { .wanted = LG_AHEAD_ROUNDS_MAX, .memory_bytes = 1024 * MIB };
	uint64_t sum = 0, bytes = 1024 * MIB;

	while (lg_ahead_more(&a)) {
		lg_ahead_took(&a, bytes, 1000000);
		sum += bytes;
		bytes = bytes / 4 * 3 - 1;	/* the most that still counts as smaller */
	}
	ck_assert_uint_le(a.rounds, LG_AHEAD_ROUNDS_MAX);
	ck_assert_uint_gt(a.rounds, 4);
	ck_assert_uint_lt(sum, 4 * 1024 * MIB);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("rounds");
	Suite *s = suite_create("ahead");
	SRunner *sr;
	int failed;

	tcase_add_loop_test(tc, another_round_when_it_is_worth_it, 0, sizeof(cases) / sizeof(cases[0]));
	tcase_add_test(tc, all_rounds_together_stay_below_what_room_is_asked_for);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
