/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The limits of an instance, changed: only what differs is written. */

#include <stdio.h>

#include "cmd/lodged/change.h"

static int check_limits(struct change *c, struct lg_err *err)
{
	struct lg_limit_set limits;

	return instance_limits(c->conf, &limits, err);
}

static int write_limits(struct change *c, const struct lg_conf *conf, struct lg_err *err)
{
	struct lg_limit_set old, set;
	char name[16];
	int r = instance_limits(conf, &set, err);

	if (r < 0 || !change_runs(c))
		return r;
	if (conf != c->ct->conf && instance_limits(c->ct->conf, &old, NULL) == 0)
		for (int i = 0; i < LG_LIMIT_COUNT_; i++)
			if (set.value[i] == old.value[i])
				set.mask &= ~(1u << i);
	snprintf(name, sizeof(name), "%u", c->ct->ctid);
	return set.mask ? lg_limits_apply(c->ct->d->cg, name, &set, err) : 0;
}

static int change_limits(struct change *c, struct lg_err *err)
{
	return write_limits(c, c->conf, err);
}

static void undo_limits(struct change *c)
{
	struct lg_err ignored = { 0 };

	write_limits(c, c->ct->conf, &ignored);
}

const struct applier apply_limits = { check_limits, change_limits, undo_limits };
