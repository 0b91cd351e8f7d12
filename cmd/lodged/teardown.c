/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Teardown: everything that lodged put on the host goes; the instances' files stay. */

#include <errno.h>
#include <stdlib.h>

#include "cmd/lodged/hostlimits.h"
#include "cmd/lodged/lodged.h"
#include "cmd/lodged/lxcfs.h"
#include "lib/exit.h"

static int check_idle(const struct daemon *d, struct lg_err *err)
{
	for (size_t i = 0; i < d->ncts; i++) {
		struct instance *ct = d->cts[i];

		if (ct->state == STATE_RUNNING || ct->op || ct->shim || mount_is_there(ct))
			return lg_refuse(err, -EBUSY, LG_EXIT_RUNNING,
					 "%s is running, mounted or busy: stop it first",
					 instance_label(ct));
	}
	return 0;
}

static void drop_spare(struct daemon *d)
{
	struct shim *spare = d->spare;

	d->spare_timer = sd_event_source_disable_unref(d->spare_timer);
	/* Its end, seen by the event loop, removes its cgroups; none is made anew. */
	if (spare)
		shim_kill(spare);
}

struct teardown {
	struct daemon *d;
	struct lg_vcall *call;
	unsigned int tries;
};

static int finish(sd_event_source *s, uint64_t usec, void *arg);

static void try_again(struct teardown *t)
{
	sd_event_add_time_relative(t->d->event, NULL, CLOCK_MONOTONIC, 20000, 0, finish, t);
}

static int finish(sd_event_source *s, uint64_t usec, void *arg)
{
	struct teardown *t = arg;
	struct lg_err err = { 0 };
	int r = -EBUSY;

	(void)s;
	(void)usec;
	sweep_orphans(t->d);
	if (lxcfs_end(t->d) && !t->d->spare)
		r = lg_cg_host_remove(t->d->cg, &err);
	if (r == -EBUSY && t->tries++ < 500) {
		try_again(t);
		return 0;
	}
	if (r == 0)
		hostlimits_end(t->d);
	if (r < 0)
		lg_vcall_fail(t->call, &err);
	else
		lg_vcall_reply(t->call, NULL);
	lg_vcall_unref(t->call);
	/* There is no bridge and no cgroup any more: this daemon is of no more use. */
	if (r == 0)
		sd_event_exit(t->d->event, 0);
	free(t);
	return 0;
}

void api_teardown(struct lg_vcall *call, const json_t *params, void *ctx)
{
	struct daemon *d = ctx;
	struct lg_err err = { 0 };
	struct teardown *t;

	(void)params;
	if (check_idle(d, &err) < 0 || lg_net_remove(d->net, &err) < 0) {
		lg_vcall_fail(call, &err);
		return;
	}
	t = calloc(1, sizeof(*t));
	if (!t)
		return;
	t->d = d;
	t->call = lg_vcall_ref(call);
	drop_spare(d);
	try_again(t);
}
