/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lib/parse.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/cleanup.h"
#include "lib/exit.h"

#define SECONDS_MAX UINT64_C(1000000000)	/* thirty years: in bounds wherever it is multiplied */

static int bad(struct lg_err *err, int code, const char *what, const char *text)
{
	return lg_refuse(err, code, LG_EXIT_BAD_VALUE, "'%.80s' is not %s", text, what);
}

/* LONG_MAX is how OpenVZ's own files spell it. */
static bool is_unlimited(const char *text)
{
	return strcasecmp(text, "unlimited") == 0 || strcasecmp(text, "max") == 0 ||
	       strcmp(text, "9223372036854775807") == 0;
}

/* Digits only: no sign, no blanks, no hexadecimal. Gives how many were read through @end. */
static int read_digits(const char *text, uint64_t *ret, const char **end)
{
	uint64_t v = 0;
	const char *p = text;

	for (; isdigit((unsigned char)*p); p++) {
		unsigned int d = (unsigned int)(*p - '0');

		if (v > (UINT64_MAX - d) / 10)
			return -ERANGE;
		v = v * 10 + d;
	}
	if (p == text)
		return -EINVAL;
	*ret = v;
	*end = p;
	return 0;
}

int lg_parse_u64(const char *text, uint64_t min, uint64_t max, uint64_t *ret,
		 struct lg_err *err)
{
	const char *end;
	uint64_t v = 0;
	int r = read_digits(text, &v, &end);

	if (r == -EINVAL || (r == 0 && *end))
		return bad(err, -EINVAL, "a number", text);
	if (r < 0 || v < min || v > max)
		return lg_refuse(err, -ERANGE, LG_EXIT_BAD_VALUE,
				 "'%.80s' is outside %" PRIu64 " to %" PRIu64, text, min, max);
	*ret = v;
	return 0;
}

static int suffix_factor(const char *s, uint64_t unit, uint64_t *factor)
{
	static const struct {
		char letter;
		uint64_t factor;
	} suffixes[] = {
		{ 'T', UINT64_C(1) << 40 }, { 'G', UINT64_C(1) << 30 },
		{ 'M', UINT64_C(1) << 20 }, { 'K', UINT64_C(1) << 10 },
		{ 'P', LG_PAGE },	    { 'B', 1 },
	};

	if (!*s) {
		*factor = unit;
		return 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
		if (toupper((unsigned char)*s) != suffixes[i].letter)
			continue;
		*factor = suffixes[i].factor;
		s++;
		if (suffixes[i].letter == 'P' || suffixes[i].letter == 'B')
			return *s ? -EINVAL : 0;
		return !*s || !strcasecmp(s, "B") || !strcasecmp(s, "iB") ? 0 : -EINVAL;
	}
	return -EINVAL;
}

/* ".25" behind a whole number: thousandths, at most three digits. */
static int read_fraction(const char **p, uint64_t *milli)
{
	uint64_t scale = 100;

	*milli = 0;
	if (**p != '.')
		return 0;
	(*p)++;
	if (!isdigit((unsigned char)**p))
		return -EINVAL;
	for (; isdigit((unsigned char)**p); (*p)++, scale /= 10) {
		if (scale == 0)
			return -EINVAL;
		*milli += (uint64_t)(**p - '0') * scale;
	}
	return 0;
}

int lg_parse_size(const char *text, uint64_t unit, uint64_t *ret, struct lg_err *err)
{
	static const char what[] = "a size (like 512M, 1.5G, 4096)";
	uint64_t whole = 0, milli = 0, factor = 1;
	const char *p;
	int r;

	if (is_unlimited(text)) {
		*ret = LG_UNLIMITED;
		return 0;
	}
	r = read_digits(text, &whole, &p);
	if (r == 0)
		r = read_fraction(&p, &milli);
	if (r == 0)
		r = suffix_factor(p, unit, &factor);
	if (r == 0 && milli && factor == 1)
		r = -EINVAL;
	if (r == -EINVAL)
		return bad(err, r, what, text);
	if (r < 0 || whole > ((uint64_t)INT64_MAX / factor) - 1)
		return bad(err, -ERANGE, "a size that fits 63 bits", text);
	*ret = whole * factor + (factor / 1000) * milli + (factor % 1000) * milli / 1000;
	return 0;
}

int lg_parse_pair(const char *text, uint64_t unit, uint64_t *barrier, uint64_t *limit,
		  struct lg_err *err)
{
	const char *colon = strchr(text, ':');
	char first[64];
	uint64_t b, l;
	int r;

	if (!colon) {
		r = lg_parse_size(text, unit, &b, err);
		if (r < 0)
			return r;
		*barrier = *limit = b;
		return 0;
	}
	if ((size_t)(colon - text) >= sizeof(first))
		return bad(err, -EINVAL, "barrier:limit", text);
	snprintf(first, sizeof(first), "%.*s", (int)(colon - text), text);
	r = lg_parse_size(first, unit, &b, err);
	if (r == 0)
		r = lg_parse_size(colon + 1, unit, &l, err);
	if (r < 0)
		return r;
	*barrier = b;
	*limit = l;
	return 0;
}

int lg_parse_cpus(const char *text, uint64_t *ret, struct lg_err *err)
{
	static const char what[] = "a number of CPUs (like 2, 0.5, 150%)";
	uint64_t whole = 0, milli = 0, percent;
	const char *p;
	int r;

	if (is_unlimited(text)) {
		*ret = LG_UNLIMITED;
		return 0;
	}
	r = read_digits(text, &whole, &p);
	if (r == 0)
		r = read_fraction(&p, &milli);
	if (r == -EINVAL)
		return bad(err, r, what, text);
	if (r < 0 || whole > 1000000)
		return bad(err, -ERANGE, what, text);
	if (strcmp(p, "%") == 0 && milli == 0)
		percent = whole;
	else if (!*p && milli % 10 == 0)
		percent = whole * 100 + milli / 10;
	else
		return bad(err, -EINVAL, what, text);
	*ret = percent ? percent : LG_UNLIMITED;
	return 0;
}

int lg_parse_seconds(const char *text, uint64_t *ret, struct lg_err *err)
{
	static const struct {
		const char *suffix;
		uint64_t factor;
	} units[] = { { "", 1 }, { "s", 1 }, { "m", 60 }, { "h", 3600 } };
	const char *end;
	uint64_t v = 0;
	int r = read_digits(text, &v, &end);

	if (r == -ERANGE)
		return bad(err, r, "a time that makes sense", text);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(units); i++) {
		if (strcmp(end, units[i].suffix) != 0)
			continue;
		if (v > SECONDS_MAX / units[i].factor)
			return bad(err, -ERANGE, "a time that makes sense", text);
		*ret = v * units[i].factor;
		return 0;
	}
	return bad(err, -EINVAL, "a time (like 30, 30s, 5m, 1h)", text);
}

int lg_parse_bool(const char *text, bool *ret, struct lg_err *err)
{
	static const struct {
		const char *text;
		bool value;
	} words[] = { { "yes", true }, { "on", true },	 { "true", true },   { "1", true },
		      { "no", false }, { "off", false }, { "false", false }, { "0", false } };

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (strcasecmp(text, words[i].text) == 0) {
			*ret = words[i].value;
			return 0;
		}
	return bad(err, -EINVAL, "yes or no", text);
}

int lg_parse_ctid(const char *text, uint32_t *ret, struct lg_err *err)
{
	const char *end;
	uint64_t v = 0;
	int r = read_digits(text, &v, &end);

	if (r == -EINVAL || (r == 0 && *end))
		return bad(err, -EINVAL, "a container's number", text);
	if (r < 0 || v < LG_CTID_MIN || v > LG_CTID_MAX)
		return lg_refuse(err, -ERANGE, LG_EXIT_BAD_VALUE,
				 "container numbers go from %u to %u (1 to 100 are reserved), "
				 "not '%.20s'", LG_CTID_MIN, LG_CTID_MAX, text);
	*ret = (uint32_t)v;
	return 0;
}

int lg_check_name(const char *text, struct lg_err *err)
{
	size_t len = strlen(text), digits = strspn(text, "0123456789");

	if (len == 0 || len > LG_NAME_MAX)
		return lg_refuse(err, -EINVAL, LG_EXIT_NAME,
				 "a name has 1 to %u characters", LG_NAME_MAX);
	if (digits == len)
		return lg_refuse(err, -EINVAL, LG_EXIT_NAME,
				 "name '%s' is only digits: it would be taken for a number", text);
	for (const char *p = text; *p; p++)
		if (!isascii((unsigned char)*p) ||
		    (!isalnum((unsigned char)*p) && !strchr(" -+_.", *p)))
			return lg_refuse(err, -EINVAL, LG_EXIT_NAME,
					 "name '%s' may hold letters, digits and \" -+_.\" only",
					 text);
	if (strchr("-. ", text[0]) || text[len - 1] == ' ')
		return lg_refuse(err, -EINVAL, LG_EXIT_NAME,
				 "name '%s' must start with a letter or digit and not end in a "
				 "blank", text);
	return 0;
}

int lg_check_hostname(const char *text, struct lg_err *err)
{
	size_t len = strlen(text);
	bool ok = len > 0 && len <= LG_HOSTNAME_MAX;
	char before = '.';

	for (size_t i = 0; ok && i < len; i++) {
		char c = text[i];
		bool alnum = isascii((unsigned char)c) && isalnum((unsigned char)c);

		if (c == '.')
			ok = before != '.' && before != '-';
		else if (c == '-')
			ok = before != '.';
		else
			ok = alnum;
		before = c;
	}
	if (!ok || before == '.' || before == '-')
		return lg_refuse(err, -EINVAL, LG_EXIT_HOSTNAME,
				 "'%.80s' is not a host name (letters, digits and hyphens "
				 "between dots, at most %u bytes)", text, LG_HOSTNAME_MAX);
	return 0;
}

int lg_check_template_name(const char *text, struct lg_err *err)
{
	size_t len = strlen(text);

	if (len == 0 || len > LG_NAME_MAX || !isalnum((unsigned char)text[0]) ||
	    strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") !=
		    len)
		return bad(err, -EINVAL, "a template's name (letters, digits, '-', '_', '.')",
			   text);
	return 0;
}

static int mask_to_prefix(const char *text, uint8_t *ret)
{
	struct in_addr mask;
	uint32_t m;

	if (inet_pton(AF_INET, text, &mask) != 1)
		return -EINVAL;
	m = ntohl(mask.s_addr);
	if ((~m & (~m + 1)) != 0)
		return -EINVAL;
	*ret = (uint8_t)__builtin_popcount(m);
	return 0;
}

int lg_parse_addr(const char *text, struct lg_addr *ret, struct lg_err *err)
{
	static const char what[] = "an address (like 10.1.2.3, 10.1.2.3/24, fd00::5/64)";
	struct lg_addr a = { 0 };
	const char *slash = strchr(text, '/');
	char host[INET6_ADDRSTRLEN];
	size_t len = slash ? (size_t)(slash - text) : strlen(text);
	uint64_t prefix = 0;

	if (len >= sizeof(host))
		return bad(err, -EINVAL, what, text);
	snprintf(host, sizeof(host), "%.*s", (int)len, text);
	if (inet_pton(AF_INET, host, &a.v4) == 1)
		a.family = AF_INET;
	else if (inet_pton(AF_INET6, host, &a.v6) == 1)
		a.family = AF_INET6;
	else
		return bad(err, -EINVAL, what, text);
	a.prefix = a.family == AF_INET ? 32 : 128;
	if (slash) {
		a.has_prefix = true;
		if (lg_parse_u64(slash + 1, 0, a.prefix, &prefix, NULL) == 0)
			a.prefix = (uint8_t)prefix;
		else if (a.family != AF_INET || mask_to_prefix(slash + 1, &a.prefix) < 0)
			return bad(err, -EINVAL, what, text);
	}
	*ret = a;
	return 0;
}

void lg_format_addr(const struct lg_addr *addr, bool with_prefix, char buf[LG_ADDR_TEXT])
{
	char host[INET6_ADDRSTRLEN] = "";

	inet_ntop(addr->family, &addr->v4, host, sizeof(host));
	if (with_prefix)
		snprintf(buf, LG_ADDR_TEXT, "%s/%u", host, addr->prefix);
	else
		snprintf(buf, LG_ADDR_TEXT, "%s", host);
}

bool lg_addr_equal(const struct lg_addr *a, const struct lg_addr *b)
{
	return a->family == b->family &&
	       memcmp(&a->v4, &b->v4, a->family == AF_INET ? 4 : 16) == 0;
}

bool lg_addr_inside(const struct lg_addr *addr, const struct lg_addr *net)
{
	const uint8_t *a = (const uint8_t *)&addr->v4, *n = (const uint8_t *)&net->v4;
	unsigned int whole = net->prefix / 8, rest = net->prefix % 8;

	if (addr->family != net->family || memcmp(a, n, whole) != 0)
		return false;
	return rest == 0 || (a[whole] >> (8 - rest)) == (n[whole] >> (8 - rest));
}

void lg_format_size(uint64_t bytes, char buf[16])
{
	/* No further than lg_parse_size() understands: its P are pages. */
	static const char suffixes[] = "BKMGT";
	double v = (double)bytes;
	int i = 0;

	if (bytes == LG_UNLIMITED) {
		snprintf(buf, 16, "unlimited");
		return;
	}
	/* What would be rounded to "1024.0" belongs to the next unit. */
	while (v >= (i == 0 ? 1024 : 1023.95) && suffixes[i + 1]) {
		v /= 1024;
		i++;
	}
	snprintf(buf, 16, i == 0 ? "%.0f%c" : "%.1f%c", v, suffixes[i]);
}
