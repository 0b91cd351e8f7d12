/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/lodge/text.h"

#include <inttypes.h>
#include <limits.h>
#include <string.h>
#include <time.h>

#define WORD_TOP 32u	/* longer words are not compared */
#define LINE_TOP 80u

static unsigned int least(unsigned int a, unsigned int b)
{
	return a < b ? a : b;
}

/* Three rows of the table of distances are enough: a swap looks two rows back. */
unsigned int text_distance(const char *a, const char *b)
{
	unsigned int rows[3][WORD_TOP + 1] = { { 0 } };
	size_t la = strlen(a), lb = strlen(b);

	if (la > WORD_TOP || lb > WORD_TOP)
		return UINT_MAX;
	for (size_t j = 0; j <= lb; j++)
		rows[0][j] = (unsigned int)j;
	for (size_t i = 1; i <= la; i++) {
		unsigned int *now = rows[i % 3], *before = rows[(i + 2) % 3];
		const unsigned int *two_back = rows[(i + 1) % 3];

		now[0] = (unsigned int)i;
		for (size_t j = 1; j <= lb; j++) {
			unsigned int cost = a[i - 1] == b[j - 1] ? 0 : 1;

			now[j] = least(before[j - 1] + cost, least(before[j], now[j - 1]) + 1);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				now[j] = least(now[j], two_back[j - 2] + 1);
		}
	}
	return rows[la % 3][lb];
}

void suggest_init(struct suggest *s, const char *typed)
{
	/* One slip in a short word, two in a longer one. */
	*s = (struct suggest){ .typed = typed, .distance = strlen(typed) < 5 ? 2 : 3 };
}

void suggest_offer(struct suggest *s, const char *known)
{
	size_t len = strlen(s->typed);
	unsigned int d;

	if (len == 0)
		return;
	/* "temp" for "template": the beginning of a word is as near as one slip. */
	d = len >= 3 && strncmp(known, s->typed, len) == 0 ? 1 : text_distance(s->typed, known);
	if (d < s->distance) {
		s->distance = d;
		s->best = known;
	}
}

/* Bytes of the UTF-8 character at @p; 0 when it is none (overlong forms and surrogates too). */
static size_t utf8_len(const unsigned char *p, uint32_t *ret)
{
	static const uint32_t least_of[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t len = p[0] < 0x80 ? 1 : (p[0] >> 5) == 6 ? 2 : (p[0] >> 4) == 14 ? 3 :
		     (p[0] >> 3) == 30 ? 4 : 0;
	uint32_t c;

	if (len == 0)
		return 0;
	c = len == 1 ? p[0] : p[0] & (0x7fu >> len);
	for (size_t i = 1; i < len; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		c = (c << 6) | (p[i] & 0x3fu);
	}
	if (c < least_of[len] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
		return 0;
	*ret = c;
	return len;
}

/* Controls, and the characters that turn the direction of writing or break lines. */
static bool steers(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c < 0xa0) || (c >= 0x200b && c <= 0x200f) ||
	       (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) || c == 0xfeff;
}

char *text_safe(char *text)
{
	unsigned char *p = (unsigned char *)text;

	while (*p) {
		uint32_t c = 0;
		size_t len = utf8_len(p, &c);

		if (len == 0 || steers(c)) {
			memset(p, '?', len ? len : 1);
			len = len ? len : 1;
		}
		p += len;
	}
	return text;
}

size_t text_width(const char *text)
{
	size_t n = 0;

	for (const char *p = text; *p; p++)
		n += ((unsigned char)*p & 0xc0) != 0x80;
	return n;
}

size_t text_span(const char *text, size_t wide)
{
	const char *p = text;

	for (; *p; p++) {
		if (((unsigned char)*p & 0xc0) == 0x80)
			continue;
		if (wide-- == 0)
			break;
	}
	return (size_t)(p - text);
}

void text_uptime(uint64_t seconds, char buf[24])
{
	uint64_t m = seconds / 60, h = m / 60, d = h / 24;

	if (d > 99999999)
		d = 99999999;
	if (d)
		snprintf(buf, 24, "%" PRIu64 "d %02ih", d, (int)(h % 24));
	else if (h)
		snprintf(buf, 24, "%ih %02im", (int)h, (int)(m % 60));
	else if (m)
		snprintf(buf, 24, "%im %02is", (int)m, (int)(seconds % 60));
	else
		snprintf(buf, 24, "%is", (int)seconds);
}

void text_time(int64_t seconds, char buf[24])
{
	time_t t = (time_t)seconds;
	struct tm tm;

	if (!localtime_r(&t, &tm) || !strftime(buf, 24, "%Y-%m-%d %H:%M:%S", &tm))
		snprintf(buf, 24, "-");
}

void text_wrap(FILE *f, size_t at, size_t indent, const char *text)
{
	bool fresh = true;	/* nothing of this line is written yet */

	while (*text) {
		size_t len = strcspn(text, " \n"), width;
		char end = text[len];
		char word[LINE_TOP];

		snprintf(word, sizeof(word), "%.*s", (int)len, text);
		width = text_width(word);
		if (!fresh && at + 1 + width > LINE_TOP) {
			fprintf(f, "\n%*s", (int)indent, "");
			at = indent;
			fresh = true;
		}
		fprintf(f, "%s%.*s", fresh ? "" : " ", (int)len, text);
		at += width + (fresh ? 0 : 1);
		fresh = false;
		text += len + (end ? 1 : 0);
		if (end == '\n') {
			fprintf(f, "\n%*s", *text && *text != '\n' ? (int)indent : 0, "");
			at = indent;
			fresh = true;
		}
	}
	fputc('\n', f);
}
