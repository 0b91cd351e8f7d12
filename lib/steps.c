/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lib/steps.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

void lg_run_init(struct lg_run *run, const struct lg_step *steps, size_t n, void *ctx)
{
	memset(run, 0, sizeof(*run));
	run->steps = steps;
	run->n = n;
	run->ctx = ctx;
	run->fail_at = -1;
	run->crash_at = -1;
}

void lg_run_undo(struct lg_run *run)
{
	size_t i = run->at + (run->begun ? 1 : 0);

	while (i-- > 0)
		if (run->steps[i].down)
			run->steps[i].down(run->ctx);
	run->at = 0;
	run->begun = false;
}

static int enter_step(struct lg_run *run, struct lg_err *err)
{
	if (run->fail_at == (int)run->at)
		return lg_refuse(err, -ECANCELED, 0, "made to fail here");
	if (run->crash_at == (int)run->at)
		raise(SIGKILL);
	return run->steps[run->at].up(run->ctx, err);
}

int lg_run_continue(struct lg_run *run, struct lg_err *err)
{
	while (run->at < run->n) {
		const char *name = run->steps[run->at].name;
		int r = enter_step(run, err);

		if (r == LG_STEP_WAIT) {
			run->begun = true;
			return r;
		}
		if (r < 0) {
			lg_run_undo(run);
			return lg_within(err, r, "%s", name);
		}
		run->begun = false;
		run->at++;
		if (run->on_done)
			run->on_done(name);
	}
	return 0;
}

const char *lg_run_step_name(const struct lg_run *run)
{
	return run->at < run->n ? run->steps[run->at].name : "done";
}
