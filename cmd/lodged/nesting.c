/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Containers in containers: what --feature nesting changes about an instance beside its devices. */

#include <stdio.h>

#include "cmd/lodged/features.h"
#include "lib/log.h"
#include "lib/ns.h"
#include "storage/plain.h"

/* Users' own ids inside begin at 100000 and come in 65,536s, and an inner lodge takes the upper half. */
#define NESTING_IDS (16 * LG_ID_COUNT)

bool nesting_is_on(const struct lg_conf *conf)
{
	uint32_t on;

	return features_of(conf, &on, NULL) == 0 && (on & LG_FEATURE_BIT(LG_FEATURE_NESTING));
}

uint32_t nesting_ids(const struct lg_conf *conf)
{
	return nesting_is_on(conf) ? NESTING_IDS : LG_ID_COUNT;
}

/*
 * Folders stay when the feature goes: what is in them is the container's. Those that could not be made
 * are said once per start, as they are why an engine inside finds no overlay.
 */
int nesting_make_folders(struct op *op, struct lg_err *err)
{
	struct instance *ct = op->ct;
	unsigned int kept = 0;
	int r;

	if (!nesting_is_on(ct->conf))
		return 0;
	r = lg_plain_make(ct->d->root.var, ct->ctid, op->template.rootfs, &kept, err);
	for (size_t i = 0; r == 0 && i < lg_nplains; i++)
		if (kept & (1u << i))
			lg_log(LG_LOG_INFO, "%s: %s has files and stays on the overlay, where engines "
			       "inside cannot use overlay themselves", instance_label(ct),
			       lg_plains[i].target);
	return r;
}

int nesting_put_folders(const struct instance *ct, struct lg_msg *m)
{
	unsigned int there = lg_plain_find(ct->d->root.var, ct->ctid);
	char field[400];
	int r = 0;

	for (size_t i = 0; r == 0 && i < lg_nplains; i++) {
		if (!(there & (1u << i)))
			continue;
		snprintf(field, sizeof(field), "%s/ct/%u/plain/%s\n%s", ct->d->root.var, ct->ctid,
			 lg_plains[i].name, lg_plains[i].target);
		r = lg_msg_put(m, "plain", field);
	}
	return r;
}
