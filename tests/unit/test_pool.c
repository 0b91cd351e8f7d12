/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <check.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/cleanup.h"
#include "lib/exit.h"
#include "net/pool.h"

static struct lg_addr addr(const char *text)
{
	struct lg_addr a;

	ck_assert_int_eq(lg_parse_addr(text, &a, NULL), 0);
	return a;
}

static struct lg_pool *pool_of(const char *net)
{
	struct lg_addr a = addr(net);
	struct lg_pool *pool = NULL;

	ck_assert_int_eq(lg_pool_new(&a, &pool, NULL), 0);
	return pool;
}

static int take(struct lg_pool *pool, const char *text, uint32_t ctid)
{
	struct lg_addr a = addr(text);

	return lg_pool_take(pool, &a, ctid, NULL);
}

static void give_back(struct lg_pool *pool, const char *text)
{
	struct lg_addr a = addr(text);

	lg_pool_give_back(pool, &a);
}

static void expect_auto(struct lg_pool *pool, uint32_t ctid, const char *want)
{
	struct lg_addr got = { 0 };
	char text[LG_ADDR_TEXT];

	ck_assert_int_eq(lg_pool_auto(pool, ctid, &got, NULL), 0);
	ck_assert(!got.has_prefix);
	lg_format_addr(&got, false, text);
	ck_assert_str_eq(text, want);
	ck_assert_uint_eq(lg_pool_owner(pool, &got), ctid);
}

static const struct {
	const char *net;
	int want;
	const char *gateway, *first;
} nets[] = {
	{ "10.77.0.0/16", 0, "10.77.0.1/16", "10.77.0.2" },
	{ "10.77.200.9/16", 0, "10.77.0.1/16", "10.77.0.2" },	/* host bits do not count */
	{ "10.0.0.0/8", 0, "10.0.0.1/8", "10.0.0.2" },
	{ "192.168.7.128/26", 0, "192.168.7.129/26", "192.168.7.130" },
	{ "10.0.0.0/30", 0, "10.0.0.1/30", "10.0.0.2" },
	{ "fd12:3456::/64", 0, "fd12:3456::1/64", "fd12:3456::2" },
	{ "fd12::ff00/120", 0, "fd12::ff01/120", "fd12::ff02" },
	{ "10.0.0.0/7", -EINVAL, NULL, NULL },
	{ "10.0.0.0/31", -EINVAL, NULL, NULL },
	{ "10.0.0.5", -EINVAL, NULL, NULL },
	{ "fd12::/63", -EINVAL, NULL, NULL },
	{ "fd12::/127", -EINVAL, NULL, NULL },
};

START_TEST(new_gives_gateway_and_first_address)
{
	struct lg_addr net = addr(nets[_i].net), gw;
	struct lg_pool *pool = NULL;
	struct lg_err err = { 0 };
	char text[LG_ADDR_TEXT];

	ck_assert_int_eq(lg_pool_new(&net, &pool, &err), nets[_i].want);
	ck_assert_int_eq(err.code, nets[_i].want);
	if (nets[_i].want < 0) {
		ck_assert_ptr_null(pool);
		return;
	}
	lg_pool_gateway(pool, &gw);
	lg_format_addr(&gw, true, text);
	ck_assert_str_eq(text, nets[_i].gateway);
	expect_auto(pool, 101, nets[_i].first);
	lg_pool_free(pool);
}
END_TEST

START_TEST(smallest_pool_has_one_address)
{
	struct lg_pool *pool = pool_of("10.0.0.0/30");
	struct lg_addr got = { .family = 7 };
	struct lg_err err = { 0 };

	expect_auto(pool, 101, "10.0.0.2");
	ck_assert_int_eq(lg_pool_auto(pool, 102, &got, &err), -ENOSPC);
	ck_assert_int_eq(err.exit_code, LG_EXIT_NO_ADDRESS_FREE);
	ck_assert_ptr_nonnull(strstr(err.msg, "10.0.0.0/30"));
	ck_assert_int_eq(got.family, 7);
	give_back(pool, "10.0.0.2");
	expect_auto(pool, 102, "10.0.0.2");
	lg_pool_free(pool);
}
END_TEST

START_TEST(lowest_free_address_is_given)
{
	struct lg_pool *pool = pool_of("10.1.0.0/16");

	ck_assert_int_eq(take(pool, "10.1.0.3", 7), 0);
	expect_auto(pool, 101, "10.1.0.2");
	expect_auto(pool, 102, "10.1.0.4");
	expect_auto(pool, 103, "10.1.0.5");
	give_back(pool, "10.1.0.4");
	give_back(pool, "10.1.0.2");
	expect_auto(pool, 104, "10.1.0.2");
	expect_auto(pool, 105, "10.1.0.4");
	expect_auto(pool, 106, "10.1.0.6");
	lg_pool_free(pool);
}
END_TEST

START_TEST(taken_address_names_its_owner)
{
	struct lg_pool *pool = pool_of("10.1.0.0/16");
	struct lg_addr a = addr("10.1.5.5/24");
	struct lg_err err = { 0 };

	ck_assert_int_eq(take(pool, "10.1.5.5", 4711), 0);
	ck_assert_int_eq(lg_pool_take(pool, &a, 102, &err), -EEXIST);
	ck_assert_int_eq(err.exit_code, LG_EXIT_IP_IN_USE);
	ck_assert_ptr_nonnull(strstr(err.msg, "4711"));
	ck_assert_uint_eq(lg_pool_owner(pool, &a), 4711);
	ck_assert_int_eq(take(pool, "10.1.5.5", 4711), 0);	/* its own again */
	lg_pool_free(pool);
}
END_TEST

START_TEST(own_addresses_of_the_network_are_never_given)
{
	static const char *const own[] = { "10.1.0.0", "10.1.0.1", "10.1.255.255" };
	struct lg_pool *pool = pool_of("10.1.0.0/16");

	for (size_t i = 0; i < ARRAY_SIZE(own); i++) {
		ck_assert_int_eq(take(pool, own[i], 101), -EEXIST);
		give_back(pool, own[i]);
	}
	expect_auto(pool, 101, "10.1.0.2");
	lg_pool_free(pool);
}
END_TEST

START_TEST(addresses_outside_are_kept_too)
{
	struct lg_pool *pool = pool_of("10.1.0.0/16");

	ck_assert_int_eq(take(pool, "203.0.113.9", 101), 0);
	ck_assert_int_eq(take(pool, "2001:db8::9", 101), 0);
	ck_assert_int_eq(take(pool, "2001:db8::9", 102), -EEXIST);
	ck_assert_int_eq(take(pool, "203.0.113.9", 102), -EEXIST);
	give_back(pool, "203.0.113.9");
	ck_assert_int_eq(take(pool, "203.0.113.9", 102), 0);
	give_back(pool, "198.51.100.1");	/* nobody's */
	expect_auto(pool, 101, "10.1.0.2");
	lg_pool_free(pool);
}
END_TEST

/* An IPv4 address and the IPv6 one with the same first bytes are two. */
START_TEST(families_do_not_meet)
{
	struct lg_pool *pool = pool_of("10.1.0.0/16");
	struct lg_addr v6 = addr("a01:203::");

	ck_assert_int_eq(take(pool, "10.1.2.3", 101), 0);
	ck_assert_uint_eq(lg_pool_owner(pool, &v6), 0);
	ck_assert_int_eq(take(pool, "a01:203::", 102), 0);
	lg_pool_free(pool);
}
END_TEST

/* Random taking and giving back beside the simplest model there is. */
START_TEST(agrees_with_a_plain_array)
{
	static uint32_t model[4096];
	struct lg_pool *pool = pool_of("10.9.0.0/20");
	uint32_t seed = 1;

	model[0] = model[1] = model[4095] = 1;
	for (uint32_t round = 0; round < 40000; round++) {
		struct lg_addr a = addr("10.9.0.0");
		uint32_t off, low = 0;

		seed = seed * 1664525u + 1013904223u;
		off = (seed >> 8) % 4096;
		a.v4.s_addr = htonl(ntohl(a.v4.s_addr) + off);
		ck_assert_uint_eq(lg_pool_owner(pool, &a),
				  model[off] > 1 ? model[off] : 0);
		if (seed >> 30 == 0) {
			lg_pool_give_back(pool, &a);
			if (model[off] > 1)
				model[off] = 0;
		} else if (seed >> 30 == 1) {
			ck_assert_int_eq(lg_pool_take(pool, &a, round + 101, NULL),
					 model[off] ? -EEXIST : 0);
			if (!model[off])
				model[off] = round + 101;
		} else {
			while (low < 4096 && model[low])
				low++;
			if (low == 4096)
				continue;
			ck_assert_int_eq(lg_pool_auto(pool, round + 101, &a, NULL), 0);
			ck_assert_uint_eq(ntohl(a.v4.s_addr) & 0xfff, low);
			model[low] = round + 101;
		}
	}
	lg_pool_free(pool);
}
END_TEST

static const char *const large[] = { "10.0.0.0/8", "10.1.0.0/16", "fd00::/64" };

START_TEST(quick_with_sixty_thousand_taken)
{
	struct lg_pool *pool = pool_of(large[_i]);
	struct timespec a, b;
	struct lg_addr got;
	double us;

	for (uint32_t i = 0; i < 60000; i++)
		ck_assert_int_eq(lg_pool_auto(pool, 101 + i, &got, NULL), 0);
	clock_gettime(CLOCK_MONOTONIC, &a);
	for (uint32_t i = 0; i < 1000; i++) {
		ck_assert_int_eq(lg_pool_auto(pool, 90000 + i, &got, NULL), 0);
		lg_pool_give_back(pool, &got);
	}
	clock_gettime(CLOCK_MONOTONIC, &b);
	us = ((double)(b.tv_sec - a.tv_sec) * 1e9 + (double)(b.tv_nsec - a.tv_nsec)) / 1e6;
	printf("%s, 60000 taken: %.2f us for one more and back\n", large[_i], us);
	ck_assert(us < 100);
	lg_pool_free(pool);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("pool");
	TCase *tc = tcase_create("pool");
	SRunner *sr = srunner_create(s);
	int failures;

	suite_add_tcase(s, tc);
	tcase_add_loop_test(tc, new_gives_gateway_and_first_address, 0, ARRAY_SIZE(nets));
	tcase_add_test(tc, smallest_pool_has_one_address);
	tcase_add_test(tc, lowest_free_address_is_given);
	tcase_add_test(tc, taken_address_names_its_owner);
	tcase_add_test(tc, own_addresses_of_the_network_are_never_given);
	tcase_add_test(tc, addresses_outside_are_kept_too);
	tcase_add_test(tc, families_do_not_meet);
	tcase_add_test(tc, agrees_with_a_plain_array);
	tcase_add_loop_test(tc, quick_with_sixty_thousand_taken, 0, ARRAY_SIZE(large));
	srunner_run_all(sr, CK_ENV);
	failures = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failures ? 1 : 0;
}
