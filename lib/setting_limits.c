/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Types of settings that limits have and others do not. */

#include "lib/setting_type.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lib/bits.h"
#include "lib/cleanup.h"
#include "lib/exit.h"
#include "lib/parse.h"

#define OOM_TOP 1000u	/* the kernel's oom_score_adj; -1000 would make the container unkillable */

static char *text_of(uint64_t v)
{
	char *text;

	return asprintf(&text, "%" PRIu64, v) < 0 ? NULL : text;
}

/* ---- guarantees: the barrier of a pair in pages is what counts ---- */

int lg_guarantee_to_conf(const struct lg_setting *s, const char *value, char **ret,
			 struct lg_err *err)
{
	uint64_t barrier = 0, limit = 0;
	int r = lg_parse_pair(value, strchr(value, ':') ? LG_PAGE : 1, &barrier, &limit, err);

	(void)s;
	if (r < 0)
		return r;
	if (barrier == LG_UNLIMITED)
		return lg_refuse(err, -ERANGE, LG_EXIT_BAD_VALUE,
				 "no host can guarantee without limit: say how much");
	if (asprintf(ret, "%" PRIu64 ":unlimited", barrier / LG_PAGE) < 0)
		*ret = NULL;
	return 0;
}

/* vzctl's own files have LONG_MAX where nothing was meant. */
int lg_guarantee_number(const struct lg_setting *s, const char *conf, uint64_t *ret,
			struct lg_err *err)
{
	uint64_t limit, barrier = 0;
	int r = lg_parse_pair(conf, LG_PAGE, &barrier, &limit, err);

	(void)s;
	if (r == 0)
		*ret = barrier == LG_UNLIMITED ? 0 : barrier;
	return r;
}

int lg_percent_number(const struct lg_setting *s, const char *conf, uint64_t *ret,
		      struct lg_err *err)
{
	if (strcmp(conf, "auto") == 0) {
		*ret = 0;
		return 0;
	}
	return lg_parse_u64(conf, s->min, s->max, ret, err);
}

int lg_percent_to_conf(const struct lg_setting *s, const char *value, char **ret,
		       struct lg_err *err)
{
	uint64_t v;
	int r = lg_percent_number(s, value, &v, err);

	if (r == 0)
		*ret = strdup(value);
	return r;
}

/* ---- rates: the file has 0 for none ---- */

int lg_rate_to_conf(const struct lg_setting *s, const char *value, char **ret,
		    struct lg_err *err)
{
	char text[64];
	uint64_t v = 0;
	size_t len = strlen(value);
	int r;

	if (len > 2 && strcmp(value + len - 2, "/s") == 0)
		len -= 2;
	snprintf(text, sizeof(text), "%.*s", (int)(len < sizeof(text) ? len : 0), value);
	r = lg_parse_size(text, 1, &v, err);
	if (r < 0)
		return r;
	if (v == LG_UNLIMITED)
		v = 0;
	if (v && v < s->min)
		return lg_refuse(err, -ERANGE, LG_EXIT_BAD_VALUE,
				 "less than %" PRIu64 " a second", s->min);
	if (s->max && v > s->max)
		return lg_refuse(err, -ERANGE, LG_EXIT_BAD_VALUE,
				 "more than %" PRIu64 " a second", s->max);
	*ret = text_of(v);
	return 0;
}

int lg_rate_number(const struct lg_setting *s, const char *conf, uint64_t *ret,
		   struct lg_err *err)
{
	uint64_t v = 0;
	int r = lg_parse_size(conf, 1, &v, err);

	if (r < 0)
		return r;
	if (v == 0)
		v = LG_UNLIMITED;
	/* A file edited by hand: the kernel's own bounds. */
	if (v != LG_UNLIMITED && v < s->min)
		v = s->min;
	if (v != LG_UNLIMITED && s->max && v > s->max)
		v = s->max;
	*ret = v;
	return 0;
}

char *lg_rate_text(uint64_t v)
{
	char size[16], *text;

	lg_format_size(v, size);
	return asprintf(&text, "%s/s", size) < 0 ? NULL : text;
}

/* ---- the OOM killer's preference: -999 to 1000, as a number 1 to 2000 ---- */

int lg_oom_number(const struct lg_setting *s, const char *conf, uint64_t *ret,
		  struct lg_err *err)
{
	bool minus = *conf == '-';
	uint64_t v = 0;
	int r = lg_parse_u64(conf + (minus || *conf == '+'), 0, UINT32_MAX, &v, err);

	(void)s;
	if (r < 0)
		return r;
	if (v > (minus ? OOM_TOP - 1u : OOM_TOP))
		return lg_refuse(err, -ERANGE, LG_EXIT_BAD_VALUE, "outside -%u to %u",
				 OOM_TOP - 1, OOM_TOP);
	*ret = minus ? OOM_TOP - v : OOM_TOP + v;
	return 0;
}

char *lg_oom_text(uint64_t v)
{
	char *text;

	return asprintf(&text, "%" PRId64, (int64_t)v - (int64_t)OOM_TOP) < 0 ? NULL : text;
}

int lg_oom_to_conf(const struct lg_setting *s, const char *value, char **ret,
		   struct lg_err *err)
{
	uint64_t v = 0;
	int r = lg_oom_number(s, value, &v, err);

	if (r == 0)
		*ret = lg_oom_text(v);
	return r;
}

/* ---- CPUs and NUMA nodes ---- */

int lg_bits_to_conf(const struct lg_setting *s, const char *value, char **ret,
		    struct lg_err *err)
{
	struct lg_bits bits;
	char text[LG_BITS_TEXT];
	int r;

	if (strcmp(value, "all") == 0 || (strcmp(value, "auto") == 0 && strstr(s->arg, "auto"))) {
		*ret = strdup(value);
		return 0;
	}
	r = lg_bits_parse(value, &bits);
	if (r < 0 || lg_bits_count(&bits) == 0)
		return lg_refuse(err, r < 0 ? r : -EINVAL, LG_EXIT_BAD_VALUE,
				 "'%.80s' is no list of numbers below %u (like 0-2,7)", value,
				 LG_BITS_MAX);
	if (lg_bits_format(&bits, text, sizeof(text)) < 0)
		return lg_refuse(err, -ERANGE, LG_EXIT_BAD_VALUE, "the list is too long");
	*ret = strdup(text);
	return 0;
}

/* ---- huge pages: "64M" of each size, or "2MB:64M,1GB:0" ---- */

int lg_hugepages_next(const char **p, char size[16], uint64_t *ret, struct lg_err *err)
{
	const char *word = *p + strspn(*p, ", ");
	size_t len = strcspn(word, ", ");
	const char *colon = memchr(word, ':', len);
	size_t name = colon ? (size_t)(colon - word) : 0;
	char number[32];
	int r;

	if (len == 0)
		return 0;
	if (name >= 16 || len - name >= sizeof(number) ||
	    (colon && (name < 3 || !isdigit((unsigned char)*word))))
		return lg_refuse(err, -EINVAL, LG_EXIT_BAD_VALUE,
				 "'%.*s' is not SIZE or PAGESIZE:SIZE (like 2MB:64M)", (int)len,
				 word);
	snprintf(size, 16, "%.*s", (int)name, word);
	snprintf(number, sizeof(number), "%.*s", (int)(len - name - (colon ? 1 : 0)),
		 word + name + (colon ? 1 : 0));
	r = lg_parse_size(number, 1, ret, err);
	*p = word + len;
	return r < 0 ? r : 1;
}

int lg_hugepages_to_conf(const struct lg_setting *s, const char *value, char **ret,
			 struct lg_err *err)
{
	char size[16];
	const char *p = value;
	uint64_t bytes = 0;
	int r;

	(void)s;
	if (value[strspn(value, ", ")] == '\0')
		return lg_refuse(err, -EINVAL, LG_EXIT_BAD_VALUE, "'%.80s' is no size", value);
	while ((r = lg_hugepages_next(&p, size, &bytes, err)) == 1)
		;
	if (r < 0)
		return r;
	*ret = strdup(value);
	return 0;
}
