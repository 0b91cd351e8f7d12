/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What people type. The first byte says which parser gets the rest. */

#include <errno.h>

#include "lib/parse.h"
#include "lib/settings.h"
#include "tests/fuzz/fuzz.h"

#define UNTOUCHED UINT64_C(0x7777777777777777)

static void check_number(int r, uint64_t got, uint64_t max, const struct lg_err *err)
{
	promise(r == 0 || err->msg[0], "a refusal has a reason");
	promise(r == 0 ? got <= max || got == LG_UNLIMITED : got == UNTOUCHED,
		"a result is in range, or untouched");
}

static void check_addr(const char *text)
{
	struct lg_addr a, b;
	char buf[LG_ADDR_TEXT];

	if (lg_parse_addr(text, &a, NULL) < 0)
		return;
	lg_format_addr(&a, true, buf);
	promise(lg_parse_addr(buf, &b, NULL) == 0, "a formatted address parses");
	promise(lg_addr_equal(&a, &b) && a.prefix == b.prefix, "and is the same");
	promise(lg_addr_inside(&a, &b), "an address is inside its own network");
}

/* Every value that is taken comes back for people, and can be typed again. */
static void check_setting(const struct lg_setting *s, const char *text)
{
	char *conf = NULL, *shown = NULL, *again = NULL;
	struct lg_err err = { 0 };

	if (lg_setting_to_conf(s, text, &conf, &err) < 0) {
		promise(err.code < 0 && err.msg[0] && !conf, "a refusal has a reason");
		return;
	}
	promise(!strpbrk(conf, "\r\n"), "no line break gets into the file");
	promise(lg_setting_from_conf(s, conf, &shown, &err) == 0, "what was written is read");
	promise(lg_setting_to_conf(s, shown, &again, &err) == 0 || err.code == -ERANGE,
		"what is shown can be typed");
	free(conf);
	free(shown);
	free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = size > 0 ? text_of(data + 1, size - 1) : NULL;
	uint64_t v = UNTOUCHED, limit = UNTOUCHED;
	struct lg_err err = { 0 };
	uint32_t ctid;
	bool yes;
	int r;

	if (!text)
		return 0;
	switch (data[0]) {
	case 'n':
		r = lg_parse_u64(text, 0, 1000, &v, &err);
		check_number(r, v, 1000, &err);
		break;
	case 's':
		r = lg_parse_size(text, LG_PAGE, &v, &err);
		check_number(r, v, INT64_MAX, &err);
		break;
	case 'p':
		if (lg_parse_pair(text, 1, &v, &limit, &err) < 0)
			promise(v == UNTOUCHED && limit == UNTOUCHED, "a result is untouched");
		break;
	case 'c':
		r = lg_parse_cpus(text, &v, &err);
		check_number(r, v, 100000000, &err);
		break;
	case 't':
		r = lg_parse_seconds(text, &v, &err);
		check_number(r, v, 1000000000, &err);
		break;
	case 'i':
		if (lg_parse_ctid(text, &ctid, &err) == 0)
			promise(ctid >= LG_CTID_MIN && ctid <= LG_CTID_MAX, "a number is in range");
		break;
	case 'w':
		lg_parse_bool(text, &yes, &err);
		lg_check_name(text, &err);
		if (lg_check_hostname(text, &err) == 0 || lg_check_template_name(text, &err) == 0)
			promise(!strpbrk(text, "/ \n\"'\\$`") && strlen(text) <= 64,
				"a name holds nothing that means something elsewhere");
		break;
	case 'a':
		check_addr(text);
		break;
	default:
		check_setting(&lg_settings[data[0] % lg_nsettings], text);
		break;
	}
	free(text);
	return 0;
}
