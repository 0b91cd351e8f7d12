/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lib/bits.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lib/cleanup.h"

bool lg_bits_has(const struct lg_bits *bits, unsigned int i)
{
	return i < LG_BITS_MAX && bits->word[i / 64] >> i % 64 & 1;
}

void lg_bits_set(struct lg_bits *bits, unsigned int i)
{
	if (i < LG_BITS_MAX)
		bits->word[i / 64] |= UINT64_C(1) << i % 64;
}

unsigned int lg_bits_count(const struct lg_bits *bits)
{
	unsigned int n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(bits->word); i++)
		n += (unsigned int)__builtin_popcountll(bits->word[i]);
	return n;
}

void lg_bits_without(struct lg_bits *bits, const struct lg_bits *other)
{
	for (size_t i = 0; i < ARRAY_SIZE(bits->word); i++)
		bits->word[i] &= ~other->word[i];
}

bool lg_bits_equal(const struct lg_bits *a, const struct lg_bits *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

static int number(const char **p, unsigned int *ret)
{
	unsigned int v = 0;

	if (!isdigit((unsigned char)**p))
		return -EINVAL;
	for (; isdigit((unsigned char)**p); (*p)++) {
		v = v * 10 + (unsigned int)(**p - '0');
		if (v >= LG_BITS_MAX)
			return -ERANGE;
	}
	*ret = v;
	return 0;
}

/* "2" or "2-5" */
static int range(const char **p, struct lg_bits *bits)
{
	unsigned int first, last;
	int r = number(p, &first);

	last = first;
	if (r == 0 && **p == '-') {
		(*p)++;
		r = number(p, &last);
	}
	if (r == 0 && last < first)
		r = -EINVAL;
	for (unsigned int i = first; r == 0 && i <= last; i++)
		lg_bits_set(bits, i);
	return r;
}

int lg_bits_parse(const char *text, struct lg_bits *ret)
{
	struct lg_bits bits = { { 0 } };
	const char *p = text;

	while (*p && *p != '\n') {
		int r = range(&p, &bits);

		if (r < 0)
			return r;
		if (*p == ',' && p[1] && p[1] != '\n')
			p++;
		else if (*p && *p != '\n')
			return -EINVAL;
	}
	if (*p && p[1])
		return -EINVAL;
	*ret = bits;
	return 0;
}

int lg_bits_format(const struct lg_bits *bits, char *buf, size_t size)
{
	size_t at = 0;

	buf[0] = '\0';
	for (unsigned int i = 0, last; i < LG_BITS_MAX; i = last + 1) {
		int n;

		last = i;
		if (!lg_bits_has(bits, i))
			continue;
		while (lg_bits_has(bits, last + 1))
			last++;
		n = snprintf(buf + at, size - at, last > i ? "%s%u-%u" : "%s%u", at ? "," : "", i,
			     last);
		if (n < 0 || (size_t)n >= size - at)
			return -ENOSPC;
		at += (size_t)n;
	}
	return 0;
}
