/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The limits of an instance, changed: only what differs is written. */

#include <string.h>

#include "cmd/lodged/change.h"
#include "cmd/lodged/limits.h"

static int check_limits(struct change *c, struct lg_err *err)
{
	struct limits limits;
	int r = limits_of(c->conf, &limits, err);

	/* Also of one that does not run: a limit that its disk cannot have is no limit. */
	return r == 0 ? limits_find_disks(c->ct, &limits, err) : r;
}

static void warn(const char *line, void *arg)
{
	struct change *c = arg;

	json_array_append_new(c->warnings, json_string(line));
}

static int write_limits(struct change *c, const struct lg_conf *from, const struct lg_conf *to,
			bool tell, struct lg_err *err)
{
	struct limits old, want;
	int r = limits_of_running(c->ct, to, &want, err);

	if (r < 0)
		return r;
	if (limits_of_running(c->ct, from, &old, NULL) < 0)
		memset(&old, 0, sizeof(old));
	r = limits_find_disks(c->ct, &want, err);
	if (tell) {
		want.set.note = warn;
		want.set.note_arg = c;
	}
	if (r == 0 && !change_runs(c))
		return limits_foresee(c->ct, &old, &want, err);
	if (r == 0)
		r = limits_apply(c->ct, &old, &want, err);
	return r == 0 ? limits_apply_oom(c->ct, &old, &want, err) : r;
}

static int change_limits(struct change *c, struct lg_err *err)
{
	return write_limits(c, c->ct->conf, c->conf, true, err);
}

static void undo_limits(struct change *c)
{
	struct lg_err ignored = { 0 };

	write_limits(c, c->conf, c->ct->conf, false, &ignored);
}

const struct applier apply_limits = { check_limits, change_limits, undo_limits };
