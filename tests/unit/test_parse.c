/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lib/parse.h"

#include <check.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/cleanup.h"
#include "lib/exit.h"

#define UNTOUCHED 77
#define KiB UINT64_C(1024)
#define MiB (KiB * KiB)
#define GiB (MiB * KiB)

static const struct { const char *text; uint64_t min, max; int want; uint64_t value; } numbers[] = {
	{ "0", 0, 10, 0, 0 },
	{ "007", 0, 10, 0, 7 },
	{ "10", 0, 10, 0, 10 },
	{ "18446744073709551615", 0, UINT64_MAX, 0, UINT64_MAX },
	{ "11", 0, 10, -ERANGE, 0 },
	{ "1", 2, 10, -ERANGE, 0 },
	{ "18446744073709551616", 0, UINT64_MAX, -ERANGE, 0 },
	{ "99999999999999999999999999999999", 0, UINT64_MAX, -ERANGE, 0 },
	{ "", 0, 10, -EINVAL, 0 },
	{ "-1", 0, 10, -EINVAL, 0 },
	{ "+1", 0, 10, -EINVAL, 0 },
	{ " 1", 0, 10, -EINVAL, 0 },
	{ "1 ", 0, 10, -EINVAL, 0 },
	{ "1x", 0, 10, -EINVAL, 0 },
	{ "0x1", 0, 10, -EINVAL, 0 },
	{ "1.0", 0, 10, -EINVAL, 0 },
	{ "\xd9\xa1", 0, 10, -EINVAL, 0 },
};

START_TEST(u64_is_digits_in_range_and_nothing_else)
{
	struct lg_err err = { 0 };
	uint64_t got = UNTOUCHED;
	int r = lg_parse_u64(numbers[_i].text, numbers[_i].min, numbers[_i].max, &got, &err);

	ck_assert_int_eq(r, numbers[_i].want);
	ck_assert_uint_eq(got, r == 0 ? numbers[_i].value : UNTOUCHED);
	ck_assert_int_eq(err.code, r);
	ck_assert_int_eq(err.exit_code, r ? LG_EXIT_BAD_VALUE : 0);
}
END_TEST

static const struct { const char *text; uint64_t unit; int want; uint64_t value; } sizes[] = {
	{ "4096", 1, 0, 4096 },
	{ "1", 1024, 0, 1024 },
	{ "3", LG_PAGE, 0, 3 * 4096 },
	{ "512M", 1, 0, 512 * MiB },
	{ "512m", LG_PAGE, 0, 512 * MiB },
	{ "512MB", 1, 0, 512 * MiB },
	{ "512MiB", 1, 0, 512 * MiB },
	{ "1K", 1, 0, KiB },
	{ "1G", 1, 0, GiB },
	{ "2T", 1, 0, 2048 * GiB },
	{ "100P", 1, 0, 100 * 4096 },
	{ "100p", 1024, 0, 100 * 4096 },
	{ "7B", 1024, 0, 7 },
	{ "1.5G", 1, 0, 3 * GiB / 2 },
	{ "0.25K", 1, 0, 256 },
	{ "0.125M", 1, 0, MiB / 8 },
	{ "0", 1, 0, 0 },
	{ "unlimited", 1, 0, LG_UNLIMITED },
	{ "MAX", 1, 0, LG_UNLIMITED },
	{ "9223372036854775806", 1, 0, INT64_MAX - 1 },
	{ "9223372036854775807", 1, 0, LG_UNLIMITED },	/* OpenVZ's spelling */
	{ "9223372036854775808", 1, -ERANGE, 0 },
	{ "8388607T", 1, -ERANGE, 0 },
	{ "8388606T", 1, 0, UINT64_C(8388606) << 40 },
	{ "99999999999999999999999", 1, -ERANGE, 0 },
	{ "99999999999999999999999M", 1, -ERANGE, 0 },
	{ "9223372036854775807", LG_PAGE, 0, LG_UNLIMITED },
	{ "9223372036854775806", LG_PAGE, -ERANGE, 0 },
	{ "", 1, -EINVAL, 0 },
	{ "M", 1, -EINVAL, 0 },
	{ "-1", 1, -EINVAL, 0 },
	{ "1.", 1, -EINVAL, 0 },
	{ ".5G", 1, -EINVAL, 0 },
	{ "1.5", 1, -EINVAL, 0 },
	{ "1.5B", 1, -EINVAL, 0 },
	{ "1.0005G", 1, -EINVAL, 0 },
	{ "1 G", 1, -EINVAL, 0 },
	{ "1GG", 1, -EINVAL, 0 },
	{ "1Gi", 1, -EINVAL, 0 },
	{ "1PB", 1, -EINVAL, 0 },
	{ "1BB", 1, -EINVAL, 0 },
	{ "1E", 1, -EINVAL, 0 },
	{ "1e3", 1, -EINVAL, 0 },
	{ "unlimitedx", 1, -EINVAL, 0 },
};

START_TEST(size_gives_documented_result)
{
	struct lg_err err = { 0 };
	uint64_t got = UNTOUCHED;
	int r = lg_parse_size(sizes[_i].text, sizes[_i].unit, &got, &err);

	ck_assert_int_eq(r, sizes[_i].want);
	ck_assert_uint_eq(got, r == 0 ? sizes[_i].value : UNTOUCHED);
	ck_assert_int_eq(err.code, r);
}
END_TEST

static const struct { const char *text; int want; uint64_t barrier, limit; } pairs[] = {
	{ "10:20", 0, 10 * 4096, 20 * 4096 },
	{ "10", 0, 10 * 4096, 10 * 4096 },
	{ "0:65536", 0, 0, 65536 * 4096 },
	{ "1M:unlimited", 0, MiB, LG_UNLIMITED },
	{ "unlimited", 0, LG_UNLIMITED, LG_UNLIMITED },
	{ ":", -EINVAL, 0, 0 },
	{ "10:", -EINVAL, 0, 0 },
	{ ":10", -EINVAL, 0, 0 },
	{ "1:2:3", -EINVAL, 0, 0 },
	{ "00000000000000000000000000000000000000000000000000000000000000001:2", -EINVAL, 0, 0 },
};

START_TEST(pair_is_barrier_and_limit_in_the_unit)
{
	uint64_t b = UNTOUCHED, l = UNTOUCHED;
	int r = lg_parse_pair(pairs[_i].text, LG_PAGE, &b, &l, NULL);

	ck_assert_int_eq(r, pairs[_i].want);
	ck_assert_uint_eq(b, r == 0 ? pairs[_i].barrier : UNTOUCHED);
	ck_assert_uint_eq(l, r == 0 ? pairs[_i].limit : UNTOUCHED);
}
END_TEST

struct text_row { const char *text; int want; uint64_t value; };

static const struct text_row cpus[] = {
	{ "1", 0, 100 }, { "1.5", 0, 150 }, { "0.25", 0, 25 }, { "150%", 0, 150 }, { "1%", 0, 1 },
	{ "2.00", 0, 200 }, { "1.500", 0, 150 },
	{ "0", 0, LG_UNLIMITED }, { "0%", 0, LG_UNLIMITED }, { "unlimited", 0, LG_UNLIMITED },
	{ "max", 0, LG_UNLIMITED }, { "1000000", 0, 100000000 },
	{ "1000001", -ERANGE, 0 }, { "99999999999999999999999", -ERANGE, 0 },
	{ "", -EINVAL, 0 }, { "%", -EINVAL, 0 }, { "1.5%", -EINVAL, 0 }, { "1.255", -EINVAL, 0 },
	{ "-1", -EINVAL, 0 }, { "1 %", -EINVAL, 0 }, { "1%%", -EINVAL, 0 }, { "two", -EINVAL, 0 },
	{ ".5", -EINVAL, 0 }, { "1.", -EINVAL, 0 },
};

static const struct text_row seconds[] = {
	{ "0", 0, 0 }, { "30", 0, 30 }, { "30s", 0, 30 }, { "5m", 0, 300 }, { "1h", 0, 3600 },
	{ "1000000000", 0, 1000000000 }, { "277777h", 0, UINT64_C(999997200) },
	{ "1000000001", -ERANGE, 0 }, { "277778h", -ERANGE, 0 }, { "18446744073709551615h", -ERANGE, 0 }, { "99999999999999999999999s", -ERANGE, 0 },
	{ "", -EINVAL, 0 }, { "s", -EINVAL, 0 }, { "1d", -EINVAL, 0 }, { "1.5h", -EINVAL, 0 },
	{ "-1", -EINVAL, 0 }, { "1 s", -EINVAL, 0 }, { "1S", -EINVAL, 0 }, { "1ms", -EINVAL, 0 },
};

static const struct text_row ctids[] = {
	{ "101", 0, 101 }, { "0101", 0, 101 }, { "2147483644", 0, 2147483644 },
	{ "0", -ERANGE, 0 }, { "1", -ERANGE, 0 }, { "100", -ERANGE, 0 }, { "2147483645", -ERANGE, 0 },
	{ "4294967397", -ERANGE, 0 }, { "99999999999999999999999", -ERANGE, 0 },
	{ "", -EINVAL, 0 }, { "web1", -EINVAL, 0 }, { "101x", -EINVAL, 0 }, { "-101", -EINVAL, 0 },
};

static int parse_ctid(const char *text, uint64_t *ret, struct lg_err *err)
{
	uint32_t v = UNTOUCHED;
	int r = lg_parse_ctid(text, &v, err);

	*ret = v;
	return r;
}

static void check_rows(const struct text_row *row,
		       int (*parse)(const char *text, uint64_t *ret, struct lg_err *err))
{
	struct lg_err err = { 0 };
	uint64_t got = UNTOUCHED;
	int r = parse(row->text, &got, &err);

	ck_assert_msg(r == row->want, "'%s' gives %d", row->text, r);
	ck_assert_uint_eq(got, r == 0 ? row->value : UNTOUCHED);
	ck_assert_int_eq(err.code, r);
	ck_assert(r == 0 || err.exit_code == LG_EXIT_BAD_VALUE);
}

START_TEST(cpus_are_cores_or_percent)
{
	check_rows(&cpus[_i], lg_parse_cpus);
}
END_TEST

START_TEST(seconds_have_a_unit_or_none)
{
	check_rows(&seconds[_i], lg_parse_seconds);
}
END_TEST

START_TEST(ctid_tells_a_name_from_a_number_nobody_can_have)
{
	check_rows(&ctids[_i], parse_ctid);
}
END_TEST

static const struct { const char *text; int want; bool value; } bools[] = {
	{ "yes", 0, true }, { "on", 0, true }, { "True", 0, true }, { "1", 0, true },
	{ "no", 0, false }, { "OFF", 0, false }, { "false", 0, false }, { "0", 0, false },
	{ "", -EINVAL, true }, { "2", -EINVAL, true }, { "yess", -EINVAL, true },
	{ "y", -EINVAL, true }, { " yes", -EINVAL, true },
};

START_TEST(bool_is_one_of_eight_words)
{
	bool got = true;

	ck_assert_int_eq(lg_parse_bool(bools[_i].text, &got, NULL), bools[_i].want);
	ck_assert_int_eq(got, bools[_i].value);
}
END_TEST

#define TEN "abcdefghij"
#define SIXTY TEN TEN TEN TEN TEN TEN

static const struct { const char *text; bool name, host, template; } words[] = {
	{ "web1", true, true, true },
	{ "a", true, true, true },
	{ "debian-13", true, true, true },
	{ "web.example.org", true, true, true },
	{ "my web+server_1", true, false, false },
	{ "1web", true, true, true },
	{ "101", false, true, true },
	{ "1.5", true, true, true },
	{ "a_b", true, false, true },
	{ SIXTY "abcd", true, true, true },
	{ SIXTY "abcde", false, false, false },
	{ "", false, false, false },
	{ "-a", false, false, false },
	{ ".a", false, false, false },
	{ " a", false, false, false },
	{ "a ", false, false, false },
	{ "a-", true, false, true },
	{ "a.", true, false, true },
	{ "a..b", true, false, true },
	{ "a.-b", true, false, true },
	{ "a-.b", true, false, true },
	{ "..", false, false, false },
	{ "../a", false, false, false },
	{ "a/b", false, false, false },
	{ "a\tb", false, false, false },
	{ "a\nb", false, false, false },
	{ "a\"b", false, false, false },
	{ "a$b", false, false, false },
	{ "caf\xc3\xa9", false, false, false },
	{ "\xe9t\xe9", false, false, false },
};

START_TEST(names_hostnames_and_templates_hold_what_is_allowed)
{
	struct lg_err err = { 0 };

	ck_assert_int_eq(lg_check_name(words[_i].text, &err), words[_i].name ? 0 : -EINVAL);
	ck_assert_int_eq(err.exit_code, words[_i].name ? 0 : LG_EXIT_NAME);
	err = (struct lg_err){ 0 };
	ck_assert_int_eq(lg_check_hostname(words[_i].text, &err), words[_i].host ? 0 : -EINVAL);
	ck_assert_int_eq(err.exit_code, words[_i].host ? 0 : LG_EXIT_HOSTNAME);
	ck_assert_int_eq(lg_check_template_name(words[_i].text, &err),
			 words[_i].template ? 0 : -EINVAL);
}
END_TEST

static const struct { const char *text; int family; unsigned int prefix; const char *plain, *full; } addrs[] = {
	{ "10.1.2.3", AF_INET, 32, "10.1.2.3", "10.1.2.3/32" },
	{ "10.1.2.3/24", AF_INET, 24, "10.1.2.3", "10.1.2.3/24" },
	{ "10.1.2.3/0", AF_INET, 0, "10.1.2.3", "10.1.2.3/0" },
	{ "10.1.2.3/255.255.255.0", AF_INET, 24, "10.1.2.3", "10.1.2.3/24" },
	{ "10.1.2.3/255.255.255.255", AF_INET, 32, "10.1.2.3", "10.1.2.3/32" },
	{ "10.1.2.3/0.0.0.0", AF_INET, 0, "10.1.2.3", "10.1.2.3/0" },
	{ "fd00::5", AF_INET6, 128, "fd00::5", "fd00::5/128" },
	{ "FD00:0:0::5/64", AF_INET6, 64, "fd00::5", "fd00::5/64" },
	{ "::ffff:1.2.3.4", AF_INET6, 128, "::ffff:1.2.3.4", "::ffff:1.2.3.4/128" },
	{ "", 0, 0, NULL, NULL },
	{ "/", 0, 0, NULL, NULL },
	{ "/24", 0, 0, NULL, NULL },
	{ "10.1.2", 0, 0, NULL, NULL },
	{ "10.1.2.3.4", 0, 0, NULL, NULL },
	{ "10.1.2.256", 0, 0, NULL, NULL },
	{ " 10.1.2.3", 0, 0, NULL, NULL },
	{ "10.1.2.3 ", 0, 0, NULL, NULL },
	{ "10.1.2.3/", 0, 0, NULL, NULL },
	{ "10.1.2.3/33", 0, 0, NULL, NULL },
	{ "10.1.2.3/-1", 0, 0, NULL, NULL },
	{ "10.1.2.3/24/24", 0, 0, NULL, NULL },
	{ "10.1.2.3/255.0.255.0", 0, 0, NULL, NULL },
	{ "10.1.2.3/0.0.0.255", 0, 0, NULL, NULL },
	{ "fd00::5/129", 0, 0, NULL, NULL },
	{ "fd00::5/255.255.255.0", 0, 0, NULL, NULL },
	{ "fd00:::5", 0, 0, NULL, NULL },
	{ "fe80::1%eth0", 0, 0, NULL, NULL },
	{ "0000:0000:0000:0000:0000:ffff:255.255.255.2555555", 0, 0, NULL, NULL },
};

START_TEST(addresses_come_back_as_they_were_meant)
{
	struct lg_addr a = { .family = UNTOUCHED };
	struct lg_err err = { 0 };
	char text[LG_ADDR_TEXT];
	int r = lg_parse_addr(addrs[_i].text, &a, &err);

	ck_assert_int_eq(r, addrs[_i].plain ? 0 : -EINVAL);
	ck_assert_int_eq(err.code, r);
	if (r < 0) {
		ck_assert_int_eq(a.family, UNTOUCHED);
		return;
	}
	ck_assert_int_eq(a.family, addrs[_i].family);
	ck_assert_uint_eq(a.prefix, addrs[_i].prefix);
	ck_assert_int_eq(a.has_prefix, strchr(addrs[_i].text, '/') != NULL);
	lg_format_addr(&a, false, text);
	ck_assert_str_eq(text, addrs[_i].plain);
	lg_format_addr(&a, true, text);
	ck_assert_str_eq(text, addrs[_i].full);
}
END_TEST

static const struct { const char *addr, *net; bool inside, equal; } nets[] = {
	{ "10.1.2.3", "10.1.2.0/24", true, false },
	{ "10.1.3.3", "10.1.2.0/24", false, false },
	{ "10.1.2.3", "10.1.2.3", true, true },
	{ "10.1.2.3/8", "10.1.2.3/24", true, true },
	{ "10.1.2.4", "10.1.2.3", false, false },
	{ "200.1.2.3", "0.0.0.0/0", true, false },
	{ "10.1.2.127", "10.1.2.0/25", true, false },
	{ "10.1.2.128", "10.1.2.0/25", false, false },
	{ "10.1.2.3", "::/0", false, false },
	{ "fd00::5", "fd00::/64", true, false },
	{ "fd00:0:0:1::5", "fd00::/64", false, false },
	{ "fd00::8000", "fd00::/113", false, false },
	{ "fd00::7fff", "fd00::/113", true, false },
	{ "fd00::5", "fd00::5", true, true },
	{ "fd00::5", "0.0.0.0/0", false, false },
};

START_TEST(an_address_is_inside_its_network_only)
{
	struct lg_addr a, n;

	ck_assert_int_eq(lg_parse_addr(nets[_i].addr, &a, NULL), 0);
	ck_assert_int_eq(lg_parse_addr(nets[_i].net, &n, NULL), 0);
	ck_assert_int_eq(lg_addr_inside(&a, &n), nets[_i].inside);
	ck_assert_int_eq(lg_addr_equal(&a, &n), nets[_i].equal);
	ck_assert_int_eq(lg_addr_equal(&n, &a), nets[_i].equal);
}
END_TEST

static const struct { uint64_t bytes; const char *text; } shown[] = {
	{ 0, "0B" }, { 1, "1B" }, { 1023, "1023B" }, { 1024, "1.0K" }, { 1536, "1.5K" },
	{ 512 * MiB, "512.0M" }, { 3 * GiB / 2, "1.5G" }, { 2048 * GiB, "2.0T" },
	/* T is the last: P would be read as pages */
	{ UINT64_C(1) << 50, "1024.0T" }, { UINT64_MAX - 1, "16777216.0T" }, { LG_UNLIMITED, "unlimited" },
	/* never "1024.0": the next unit takes over */
	{ MiB - 1, "1.0M" }, { GiB - 1, "1.0G" },
};

START_TEST(sizes_are_shown_for_people)
{
	char text[16];

	lg_format_size(shown[_i].bytes, text);
	ck_assert_str_eq(text, shown[_i].text);
}
END_TEST

START_TEST(what_is_refused_is_quoted_but_not_at_any_length)
{
	char text[2000];
	struct lg_err err = { 0 };
	uint64_t v;

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	ck_assert_int_eq(lg_parse_u64(text, 0, 1, &v, &err), -EINVAL);
	ck_assert_uint_lt(strlen(err.msg), 200);
	ck_assert_int_eq(lg_parse_size(text, 1, &v, &err), -EINVAL);
	ck_assert_uint_lt(strlen(err.msg), 200);
	ck_assert_int_eq(lg_check_hostname(text, &err), -EINVAL);
	ck_assert_uint_lt(strlen(err.msg), 200);
	ck_assert_int_eq(lg_check_name(text, &err), -EINVAL);
	ck_assert_uint_lt(strlen(err.msg), 200);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("parse");
	TCase *t = tcase_create("all");

	tcase_add_loop_test(t, u64_is_digits_in_range_and_nothing_else, 0, ARRAY_SIZE(numbers));
	tcase_add_loop_test(t, size_gives_documented_result, 0, ARRAY_SIZE(sizes));
	tcase_add_loop_test(t, pair_is_barrier_and_limit_in_the_unit, 0, ARRAY_SIZE(pairs));
	tcase_add_loop_test(t, cpus_are_cores_or_percent, 0, ARRAY_SIZE(cpus));
	tcase_add_loop_test(t, seconds_have_a_unit_or_none, 0, ARRAY_SIZE(seconds));
	tcase_add_loop_test(t, ctid_tells_a_name_from_a_number_nobody_can_have, 0, ARRAY_SIZE(ctids));
	tcase_add_loop_test(t, bool_is_one_of_eight_words, 0, ARRAY_SIZE(bools));
	tcase_add_loop_test(t, names_hostnames_and_templates_hold_what_is_allowed, 0, ARRAY_SIZE(words));
	tcase_add_loop_test(t, addresses_come_back_as_they_were_meant, 0, ARRAY_SIZE(addrs));
	tcase_add_loop_test(t, an_address_is_inside_its_network_only, 0, ARRAY_SIZE(nets));
	tcase_add_loop_test(t, sizes_are_shown_for_people, 0, ARRAY_SIZE(shown));
	tcase_add_test(t, what_is_refused_is_quoted_but_not_at_any_length);
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
