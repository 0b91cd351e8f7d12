/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lib/ids.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/cleanup.h"
#include "lib/exit.h"
#include "lib/file.h"
#include "lib/ns.h"
#include "lib/parse.h"

#define FILE_MAX (8u << 20)
#define FIELD_MAX 64

struct line {
	char name[FIELD_MAX];
	uint64_t base, count;
};

bool lg_ids_overlap(struct lg_id_range a, struct lg_id_range b)
{
	return a.base < (uint64_t)b.base + b.count && b.base < (uint64_t)a.base + a.count;
}

static uint32_t mapped_by(const char *path)
{
	lg_autofree char *text = NULL;
	unsigned int inside, outside, count;

	if (lg_file_read(AT_FDCWD, path, FILE_MAX, &text, NULL, NULL) < 0)
		return UINT32_MAX;
	return sscanf(text, "%u %u %u", &inside, &outside, &count) == 3 && inside == 0 ? count : 0;
}

uint32_t lg_ids_mapped(void)
{
	uint32_t uids = mapped_by("/proc/self/uid_map"), gids = mapped_by("/proc/self/gid_map");

	return uids < gids ? uids : gids;
}

/* ---- lines of the files ---- */

/* NAME:BASE:COUNT */
static bool parse_sub(const char *text, struct line *ret)
{
	unsigned long long base, count;
	int end = 0;

	if (sscanf(text, "%63[^:#\n]:%llu:%llu%n", ret->name, &base, &count, &end) != 3 ||
	    (text[end] && text[end] != '\n') || count == 0)
		return false;
	ret->base = base;
	ret->count = count;
	return true;
}

/* NAME:PASSWORD:ID and what follows; an empty password is nothing to sscanf(). */
static bool parse_id(const char *text, struct line *ret)
{
	const char *colon = strchr(text, ':');
	unsigned long long id;

	if (!colon || colon == text || *text == '#' || !(colon = strchr(colon + 1, ':')) ||
	    sscanf(colon, ":%llu", &id) != 1)
		return false;
	snprintf(ret->name, sizeof(ret->name), "%.*s", (int)strcspn(text, ":"), text);
	ret->base = id;
	ret->count = 1;
	return true;
}

/* clang-format off */
static const struct source {
	const char *file;
	bool (*parse)(const char *text, struct line *ret);
	const char *what;
	bool grants;
} sources[] = {
	{ "subuid", parse_sub, "the entry of",	true },
	{ "subgid", parse_sub, "the entry of",	true },
	{ "passwd", parse_id,  "user",		false },
	{ "group",  parse_id,  "group",		false },
};
/* clang-format on */

static int add_claim(struct lg_ids *ids, const struct source *s, const struct line *line)
{
	struct lg_id_claim *bigger;

	/* The host's own ids are below every container's. */
	if (line->base + line->count <= LG_ID_COUNT)
		return 0;
	if ((ids->nclaims & (ids->nclaims - 1)) == 0) {
		bigger = reallocarray(ids->claims, ids->nclaims ? ids->nclaims * 2 : 1,
				      sizeof(*bigger));
		if (!bigger)
			return -ENOMEM;
		ids->claims = bigger;
	}
	ids->claims[ids->nclaims].base = line->base;
	ids->claims[ids->nclaims].count = line->count;
	snprintf(ids->claims[ids->nclaims].whose, sizeof(ids->claims->whose), "%s '%.30s' in /etc/%s",
		 s->what, line->name, s->file);
	ids->nclaims++;
	return 0;
}

/* ---- what is granted ---- */

static int read_source(int etc, const struct source *s, struct lg_id_grant *grant,
		       struct lg_ids *ids, struct lg_err *err)
{
	lg_autofree char *text = NULL;
	struct line line;
	int r = lg_file_read(etc, s->file, FILE_MAX, &text, NULL, NULL);

	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return lg_fail(err, r, "read '/etc/%s'", s->file);
	for (const char *p = text; *p; p += strcspn(p, "\n"), p += *p == '\n') {
		if (!s->parse(p, &line))
			continue;
		if (grant && strcmp(line.name, ids->owner) == 0) {
			grant->base = line.base;
			grant->count = line.count;
			grant->n++;
		} else if (add_claim(ids, s, &line) < 0) {
			return lg_fail(err, -ENOMEM, "read '/etc/%s'", s->file);
		}
	}
	return 0;
}

int lg_ids_read(int etc, const char *owner, struct lg_ids *ret, struct lg_err *err)
{
	struct lg_id_grant *const grants[] = { &ret->uid, &ret->gid, NULL, NULL };

	_Static_assert(ARRAY_SIZE(grants) == ARRAY_SIZE(sources), "one for each file");
	memset(ret, 0, sizeof(*ret));
	snprintf(ret->owner, sizeof(ret->owner), "%s", owner ? owner : "");
	for (size_t i = 0; i < ARRAY_SIZE(sources); i++) {
		int r = read_source(etc, &sources[i], grants[i], ret, err);

		if (r < 0)
			return r;
	}
	return 0;
}

static bool is_useful(const struct lg_id_grant *g)
{
	return g->count >= LG_ID_COUNT && g->base >= LG_ID_COUNT && g->base <= UINT32_MAX &&
	       g->count <= UINT32_MAX - g->base;
}

/* One entry and the same in both: a container's group ids are the numbers of its user ids. */
int lg_ids_granted(const struct lg_ids *ids, struct lg_id_range *ret, struct lg_err *err)
{
	const struct lg_id_grant *u = &ids->uid, *g = &ids->gid;

	memset(ret, 0, sizeof(*ret));
	if (u->n == 0 && g->n == 0)
		return 0;
	if (u->n > 1 || g->n > 1)
		return lg_refuse(err, -EINVAL, LG_EXIT_BAD_CONF,
				 "/etc/%s has %u entries of '%s': leave one",
				 u->n > 1 ? "subuid" : "subgid", u->n > 1 ? u->n : g->n, ids->owner);
	if (u->n != g->n)
		return lg_refuse(err, -EINVAL, LG_EXIT_BAD_CONF,
				 "/etc/%s has an entry of '%s' and /etc/%s has none: the same line "
				 "must be in both", u->n ? "subuid" : "subgid", ids->owner,
				 u->n ? "subgid" : "subuid");
	if (u->base != g->base || u->count != g->count)
		return lg_refuse(err, -EINVAL, LG_EXIT_BAD_CONF,
				 "'%s' has %" PRIu64 ":%" PRIu64 " in /etc/subuid and %" PRIu64
				 ":%" PRIu64 " in /etc/subgid: the same line must be in both",
				 ids->owner, u->base, u->count, g->base, g->count);
	if (!is_useful(u))
		return lg_refuse(err, -EINVAL, LG_EXIT_BAD_CONF,
				 "the entry %s:%" PRIu64 ":%" PRIu64 " of /etc/subuid is of no use: "
				 "a container takes 65536 ids, above 65535 and below 4294967295",
				 ids->owner, u->base, u->count);
	*ret = (struct lg_id_range){ (uint32_t)u->base, (uint32_t)u->count };
	return 0;
}

void lg_ids_finish(struct lg_ids *ids)
{
	free(ids->claims);
	ids->claims = NULL;
	ids->nclaims = 0;
}

/* ---- lodge.conf ---- */

int lg_ids_configured(const char *base, const char *count, struct lg_id_range *ret,
		      struct lg_err *err)
{
	uint64_t b, n;
	int r = lg_parse_u64(base, LG_ID_COUNT, UINT32_MAX - LG_ID_COUNT, &b, err);

	if (r < 0)
		return lg_within(err, r, "ID_BASE in lodge.conf");
	n = UINT32_MAX - b;
	if (count) {
		r = lg_parse_u64(count, LG_ID_COUNT, n, &n, err);
		if (r < 0)
			return lg_within(err, r, "ID_COUNT in lodge.conf");
	}
	*ret = (struct lg_id_range){ (uint32_t)b, (uint32_t)n };
	return 0;
}

const struct lg_id_claim *lg_ids_conflict(const struct lg_ids *ids, struct lg_id_range range)
{
	for (size_t i = 0; i < ids->nclaims; i++) {
		const struct lg_id_claim *c = &ids->claims[i];

		if (c->base < (uint64_t)range.base + range.count && range.base < c->base + c->count)
			return c;
	}
	return NULL;
}
