/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_CT_FACTS_CHECKS_H
#define LG_CT_FACTS_CHECKS_H

/* The table that lg_facts_compare() walks. Blockers stand before notes. */

#include "lib/json.h"

#define LG_FACTS_WORD 300u
#define LG_FACTS_BLOCKER "blocker"

struct lg_facts_pair {
	const json_t *source, *target, *needs;
	const json_t *here;	/* the target's */
};

/* What stands for {a} and {b}; printable. */
struct lg_facts_words {
	char a[LG_FACTS_WORD], b[LG_FACTS_WORD];
};

struct lg_facts_check {
	const char *what;
	enum { LG_ALWAYS, LG_LIVE, LG_COLD } when;
	const char *level;
	bool (*hurts)(const struct lg_facts_pair *p, const json_t *item, struct lg_facts_words *w);
	const json_t *(*items)(const struct lg_facts_pair *p);	/* NULL: there is one thing to look at */
	const char *why, *remedy;
};

extern const struct lg_facts_check lg_facts_checks[];
extern const size_t lg_facts_nchecks;

#endif
