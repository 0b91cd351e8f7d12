/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Containers in containers: what --feature nesting changes about an instance beside its devices. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "cmd/lodged/features.h"
#include "lib/log.h"
#include "lib/ns.h"
#include "storage/plain.h"
#include "storage/shift.h"

/* Users' own ids inside begin at 100000 and come in 65,536s, and an inner lodge takes the upper half. */
#define NESTING_IDS (16 * LG_ID_COUNT)
#define SHIFT_TIMEOUT_S 1800u	/* for copying a template */

bool nesting_is_on(const struct lg_conf *conf)
{
	return features_has(conf, LG_FEATURE_NESTING);
}

uint32_t nesting_ids(const struct lg_conf *conf)
{
	return nesting_is_on(conf) ? NESTING_IDS : LG_ID_COUNT;
}

/* ---- inside a container: layers that are owned by the instance's ids ---- */

struct shifting {
	struct daemon *d;
	uint32_t ctid;
};

static void shift_over(int r, const struct lg_err *err, void *arg)
{
	struct shifting *s = arg;
	struct instance *ct = instance_by_ctid(s->d, s->ctid);
	struct op *op = ct ? ct->op : NULL;

	free(s);
	/* The start may have run out of time meanwhile. */
	if (!op || !op->shifting)
		return;
	op->shifting = false;
	if (r < 0 && !op->err.code)
		op->err = *err;
	start_event(op);
}

static int run_shift(struct op *op, struct lg_err *err)
{
	struct instance *ct = op->ct;
	struct shifting *s = calloc(1, sizeof(*s));
	char ctid[16], base[16];
	const char *const argv[] = { "shift-layer", "--var", ct->d->root.var, "--ctid", ctid,
				     "--base", base, op->template.rootfs, NULL };
	int r;

	if (!s)
		return lg_fail(err, -ENOMEM, "copy its template");
	s->d = ct->d;
	s->ctid = ct->ctid;
	snprintf(ctid, sizeof(ctid), "%u", ct->ctid);
	snprintf(base, sizeof(base), "%u", ct->id_base);
	r = worker_run(ct->d, argv, NULL, shift_over, s, err);
	if (r < 0)
		free(s);
	return r;
}

int nesting_shift_layer(struct op *op, struct lg_err *err)
{
	struct instance *ct = op->ct;
	int r;

	if (op->err.code) {
		*err = op->err;
		return err->code;
	}
	if (!ct->d->shifts || lg_shift_is_done(ct->d->root.var, ct->ctid, ct->id_base))
		return 0;
	op_progress(op, "copying its template: ids cannot be mapped in here");
	r = run_shift(op, err);
	op->shifting = r == 0;
	if (r == 0)
		start_allow_time(op, SHIFT_TIMEOUT_S);
	return r < 0 ? r : LG_STEP_WAIT;
}

int nesting_lower(const struct instance *ct, const struct lg_template *t, char path[LG_STORE_PATH],
		  struct lg_err *err)
{
	if (ct->d->shifts && lg_shift_is_done(ct->d->root.var, ct->ctid, ct->id_base))
		return lg_shift_lower(path, ct->d->root.var, ct->ctid, ct->id_base, err);
	return lg_store_path(path, err, "%s", t->rootfs);
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

	/* They would have to be shifted, too; three deep is not for everybody. */
	if (!nesting_is_on(ct->conf) || ct->d->shifts)
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
