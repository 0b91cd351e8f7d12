/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lib/rlimits.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "lib/cleanup.h"
#include "lib/exit.h"
#include "lib/parse.h"

#define BETWEEN ", \t"
#define LIST_MAX 1024u

/* clang-format off */
static const struct kind {
	const char *name;
	int resource;
	bool is_size;
} kinds[] = {
	{ "as",		RLIMIT_AS,	   true },
	{ "core",	RLIMIT_CORE,	   true },
	{ "cpu",	RLIMIT_CPU,	   false },	/* seconds */
	{ "data",	RLIMIT_DATA,	   true },
	{ "fsize",	RLIMIT_FSIZE,	   true },
	{ "locks",	RLIMIT_LOCKS,	   false },
	{ "memlock",	RLIMIT_MEMLOCK,	   true },
	{ "msgqueue",	RLIMIT_MSGQUEUE,   true },
	{ "nice",	RLIMIT_NICE,	   false },
	{ "nofile",	RLIMIT_NOFILE,	   false },
	{ "nproc",	RLIMIT_NPROC,	   false },
	{ "rss",	RLIMIT_RSS,	   true },
	{ "rtprio",	RLIMIT_RTPRIO,	   false },
	{ "rttime",	RLIMIT_RTTIME,	   false },	/* microseconds */
	{ "sigpending",	RLIMIT_SIGPENDING, false },
	{ "stack",	RLIMIT_STACK,	   true },
};
/* clang-format on */

static const struct kind *find(const char *name, size_t len)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (strlen(kinds[i].name) == len && memcmp(kinds[i].name, name, len) == 0)
			return &kinds[i];
	return NULL;
}

static int refuse_name(const char *word, size_t len, struct lg_err *err)
{
	char all[200];
	size_t at = 0;

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		at += (size_t)snprintf(all + at, sizeof(all) - at, "%s%s", i ? ", " : "",
				       kinds[i].name);
	return lg_refuse(err, -EINVAL, LG_EXIT_BAD_VALUE,
			 "'%.*s' is no resource limit; there are %s", (int)len, word, all);
}

static int parse_value(const struct kind *kind, const char *text, size_t len, uint64_t *ret,
		       struct lg_err *err)
{
	char buf[40];

	snprintf(buf, sizeof(buf), "%.*s", (int)len, text);
	if (kind->is_size)
		return lg_parse_size(buf, 1, ret, err);
	if (strcmp(buf, "unlimited") == 0 || strcmp(buf, "max") == 0) {
		*ret = LG_UNLIMITED;
		return 0;
	}
	return lg_parse_u64(buf, 0, INT64_MAX, ret, err);
}

static int parse_word(const char *word, size_t len, struct lg_rlimit *ret, struct lg_err *err)
{
	const char *equal = memchr(word, '=', len), *value, *colon;
	const struct kind *kind;
	size_t rest;
	int r;

	if (!equal || equal + 1 == word + len)
		return lg_refuse(err, -EINVAL, LG_EXIT_BAD_VALUE, "'%.*s' is not NAME=SOFT[:HARD]",
				 (int)len, word);
	kind = find(word, (size_t)(equal - word));
	if (!kind)
		return refuse_name(word, (size_t)(equal - word), err);
	value = equal + 1;
	rest = len - (size_t)(value - word);
	colon = memchr(value, ':', rest);
	r = parse_value(kind, value, colon ? (size_t)(colon - value) : rest, &ret->soft, err);
	ret->hard = ret->soft;
	if (r == 0 && colon)
		r = parse_value(kind, colon + 1, rest - (size_t)(colon + 1 - value), &ret->hard,
				err);
	if (r < 0)
		return lg_within(err, r, "%s", kind->name);
	if (ret->soft > ret->hard)
		return lg_refuse(err, -EINVAL, LG_EXIT_BAD_VALUE,
				 "%s: the soft limit is above the hard one", kind->name);
	ret->name = kind->name;
	ret->resource = kind->resource;
	return 0;
}

int lg_rlimits_each(const char *text, int (*fn)(const struct lg_rlimit *l, void *arg), void *arg,
		    struct lg_err *err)
{
	for (text += strspn(text, BETWEEN); *text; text += strspn(text, BETWEEN)) {
		size_t len = strcspn(text, BETWEEN);
		struct lg_rlimit l;
		int r = parse_word(text, len, &l, err);

		if (r == 0)
			r = fn(&l, arg);
		if (r != 0)
			return r;
		text += len;
	}
	return 0;
}

/* ---- as the conf file has them: the last word on a name, in the order of the table ---- */

static int take(const struct lg_rlimit *l, void *arg)
{
	struct lg_rlimit *all = arg;

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (kinds[i].resource == l->resource)
			all[i] = *l;
	return 0;
}

static void format_value(uint64_t v, char buf[24])
{
	if (v == LG_UNLIMITED)
		snprintf(buf, 24, "unlimited");
	else
		snprintf(buf, 24, "%" PRIu64, v);
}

int lg_rlimits_format(const char *text, char **ret, struct lg_err *err)
{
	struct lg_rlimit all[ARRAY_SIZE(kinds)] = { { 0 } };
	char list[LIST_MAX] = "";
	size_t at = 0;
	int r = lg_rlimits_each(text, take, all, err);

	if (r < 0)
		return r;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		char soft[24], hard[24];

		if (!all[i].name)
			continue;
		format_value(all[i].soft, soft);
		format_value(all[i].hard, hard);
		at += (size_t)snprintf(list + at, sizeof(list) - at, "%s%s=%s:%s", at ? " " : "",
				       all[i].name, soft, hard);
	}
	*ret = strdup(list);
	return *ret ? 0 : lg_fail(err, -ENOMEM, "resource limits");
}
