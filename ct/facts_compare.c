/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ct/facts.h"
#include "ct/facts_checks.h"
#include "lib/cleanup.h"

#define SENTENCE_MAX 900u
#define ITEMS_MAX 200u		/* of the other host's lists */

const char *lg_facts_check_name(size_t i)
{
	return i < lg_facts_nchecks ? lg_facts_checks[i].what : NULL;
}

static void say(const char *text, const struct lg_facts_words *w, char ret[SENTENCE_MAX])
{
	size_t n = 0;

	while (*text && n < SENTENCE_MAX - 1) {
		if (strncmp(text, "{a}", 3) == 0 || strncmp(text, "{b}", 3) == 0) {
			int r = snprintf(ret + n, SENTENCE_MAX - n, "%s", text[1] == 'a' ? w->a : w->b);

			n += (size_t)r < SENTENCE_MAX - n ? (size_t)r : SENTENCE_MAX - n - 1;
			text += 3;
		} else {
			ret[n++] = *text++;
		}
	}
	ret[n] = '\0';
}

static int look(const struct lg_facts_check *c, const struct lg_facts_pair *p, const json_t *item, json_t *found)
{
	char why[SENTENCE_MAX], remedy[SENTENCE_MAX];
	struct lg_facts_words w = { "", "" };

	if (!c->hurts(p, item, &w))
		return 0;
	say(c->why, &w, why);
	say(c->remedy, &w, remedy);
	return json_array_append_new(found, json_pack("{s:s, s:s, s:s, s:s}", "level", c->level, "what",
						      c->what, "why", why, "remedy", remedy));
}

static int look_at_all(const struct lg_facts_check *c, const struct lg_facts_pair *p, json_t *found)
{
	const json_t *list = c->items ? c->items(p) : NULL, *item;
	size_t i;
	int r = 0;

	if (!c->items)
		return look(c, p, NULL, found);
	json_array_foreach(list, i, item)
		if (r == 0 && i < ITEMS_MAX)
			r = look(c, p, item, found);
	return r;
}

int lg_facts_compare(const json_t *source, const json_t *target, const json_t *needs, json_t **ret,
		     struct lg_err *err)
{
	struct lg_facts_pair p = { source, target, needs, json_object_get(target, "here") };
	bool live = lg_json_bool(needs, "live", false);
	lg_autojson json_t *found = json_array();

	for (size_t i = 0; found && i < lg_facts_nchecks; i++) {
		if (lg_facts_checks[i].when == (live ? LG_COLD : LG_LIVE))
			continue;
		if (look_at_all(&lg_facts_checks[i], &p, found) < 0)
			return lg_fail(err, -ENOMEM, "compare the hosts");
	}
	if (!found)
		return lg_fail(err, -ENOMEM, "compare the hosts");
	*ret = found;
	found = NULL;
	return 0;
}

bool lg_facts_block(const json_t *found)
{
	const json_t *item;
	size_t i;

	json_array_foreach(found, i, item)
		if (lg_json_str(item, "level") && strcmp(lg_json_str(item, "level"), LG_FACTS_BLOCKER) == 0)
			return true;
	return false;
}
