/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Which verb is allowed when: one table for every way in. */

#include <errno.h>

#include "cmd/lodged/criu.h"
#include "cmd/lodged/lodged.h"
#include "cmd/lodged/moving.h"
#include "lib/cleanup.h"
#include "lib/exit.h"

static const char *const names[] = {
	[STATE_STOPPED] = "stopped",
	[STATE_RUNNING] = "running",
	[STATE_MOUNTED] = "mounted",
	[STATE_SUSPENDED] = "suspended",
};
_Static_assert(ARRAY_SIZE(names) == STATE_COUNT_, "a name for every state");

/* What a refusal says and the status that vzctl gives it; "" = the verb is allowed. */
static const struct {
	const char *refusal;
	int exit_code;
} rules[VERB_COUNT_][STATE_COUNT_] = {
	[VERB_START] = {
		[STATE_RUNNING] = { "is already running", LG_EXIT_RUNNING },
		[STATE_SUSPENDED] = { "is suspended: resume it; --force starts it anew, and what was in its "
				      "memory is lost", LG_EXIT_RUNNING },
	},
	[VERB_STOP] = {
		/* not running: nothing to do, which is no failure; the verb says so itself */
		[STATE_STOPPED] = { "", 0 },
		[STATE_SUSPENDED] = { "", 0 },
	},
	[VERB_DESTROY] = {
		[STATE_RUNNING] = { "is running: stop it first, or use --force", LG_EXIT_RUNNING },
		[STATE_MOUNTED] = { "is mounted: umount it first", LG_EXIT_MOUNTED },
		[STATE_SUSPENDED] = { "is suspended, with what was in its memory: use --force to lose that",
				      LG_EXIT_RUNNING },
	},
	[VERB_MOUNT] = {
		[STATE_RUNNING] = { "is running: its files are seen with `lodge exec`",
				    LG_EXIT_RUNNING },
		[STATE_SUSPENDED] = { "is suspended: its files must stay as its memory knows them: resume it",
				      LG_EXIT_RUNNING },
	},
	[VERB_UMOUNT] = {
		[STATE_STOPPED] = { "is not mounted", LG_EXIT_NOT_MOUNTED },
		[STATE_RUNNING] = { "is running: stop it first", LG_EXIT_RUNNING },
		[STATE_SUSPENDED] = { "is not mounted", LG_EXIT_NOT_MOUNTED },
	},
	[VERB_EXEC] = {
		[STATE_STOPPED] = { "is not running: start it first", LG_EXIT_NOT_RUNNING },
		[STATE_MOUNTED] = { "is not running: start it first", LG_EXIT_NOT_RUNNING },
		[STATE_SUSPENDED] = { "is suspended: resume it first", LG_EXIT_NOT_RUNNING },
	},
	[VERB_SUSPEND] = {
		[STATE_STOPPED] = { "is not running: there is nothing to suspend", LG_EXIT_NOT_RUNNING },
		[STATE_MOUNTED] = { "is not running: there is nothing to suspend", LG_EXIT_NOT_RUNNING },
		[STATE_SUSPENDED] = { "is suspended already", LG_EXIT_NOT_RUNNING },
	},
	[VERB_RESUME] = {
		[STATE_STOPPED] = { "is not suspended: start it", LG_EXIT_RESTORE },
		[STATE_MOUNTED] = { "is not suspended: start it", LG_EXIT_RESTORE },
		[STATE_RUNNING] = { "is already running", LG_EXIT_RUNNING },
	},
};

/* Not of one that may be on another host. */
static const bool moves[VERB_COUNT_] = {
	[VERB_START] = true, [VERB_RESUME] = true, [VERB_DESTROY] = true, [VERB_MOUNT] = true,
};

enum state instance_rest(const struct instance *ct)
{
	if (mount_is_there(ct))
		return STATE_MOUNTED;
	return checkpoint_is_there(ct) ? STATE_SUSPENDED : STATE_STOPPED;
}

const char *state_name(enum state state)
{
	return names[state];
}

int state_allows(const struct instance *ct, enum verb verb, struct lg_err *err)
{
	const char *refusal = rules[verb][ct->state].refusal;

	/* Who wants to enter one that is on its way up is told so by its state, not by the lock. */
	if (ct->op && verb != VERB_EXEC)
		return lg_refuse(err, -EBUSY, LG_EXIT_LOCKED,
				 "%s is held by another operation (%s): try again when it is over",
				 instance_label(ct), ct->op->verb);
	if (ct->hangs[0] && verb != VERB_STOP && verb != VERB_SET && verb != VERB_RENAME)
		return stop_hangs(ct, err);
	if (moves[verb] && moving_check(ct, err) < 0)
		return err->code;
	if (refusal && *refusal)
		return lg_refuse(err, -EBUSY, rules[verb][ct->state].exit_code, "%s %s",
				 instance_label(ct), refusal);
	return 0;
}
