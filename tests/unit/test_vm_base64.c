/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What a guest's agent says in base64, and what it may say instead. */

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/cleanup.h"
#include "vm/base64.h"

/* RFC 4648, 10 */
static const struct {
	const char *data, *text;
} pairs[] = {
	{ "", "" }, { "f", "Zg==" }, { "fo", "Zm8=" }, { "foo", "Zm9v" }, { "foob", "Zm9vYg==" }, { "fooba", "Zm9vYmE=" },
	{ "foobar", "Zm9vYmFy" },
};

START_TEST(both_ways)
{
	size_t len = 99, n = strlen(pairs[_i].data);
	lg_autofree char *text = lg_base64_encode(pairs[_i].data, n, &len);
	char back[32];

	ck_assert_uint_eq(len, strlen(pairs[_i].text));
	ck_assert_mem_eq(text, pairs[_i].text, len);
	snprintf(back, sizeof(back), "%s", pairs[_i].text);
	ck_assert_uint_eq(lg_base64_decode(back), n);
	ck_assert_mem_eq(back, pairs[_i].data, n);
}
END_TEST

static const char *const wrong[] = { "Z", "Zg", "Zg=", "Z!==", "Zm9v\1\2", "====" };

START_TEST(what_is_none_is_nothing)
{
	char text[32];

	snprintf(text, sizeof(text), "%s", wrong[_i]);
	ck_assert_uint_eq(lg_base64_decode(text), 0);
}
END_TEST

START_TEST(all_bytes)
{
	unsigned char data[1000];
	lg_autofree char *text = NULL, *copy = NULL;
	size_t len = 0;

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (unsigned char)(i * 7);
	text = lg_base64_encode(data, sizeof(data), &len);
	copy = strndup(text, len);
	ck_assert_uint_eq(lg_base64_decode(copy), sizeof(data));
	ck_assert_mem_eq(copy, data, sizeof(data));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("vm_base64");
	TCase *tc = tcase_create("base64");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_loop_test(tc, both_ways, 0, (int)ARRAY_SIZE(pairs));
	tcase_add_loop_test(tc, what_is_none_is_nothing, 0, (int)ARRAY_SIZE(wrong));
	tcase_add_test(tc, all_bytes);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
