/* SPDX-License-Identifier: GPL-2.0-or-later */

/* How a move from here ends: the container is taken away, runs on, is made to run again, or stays as it is (migrate.c). */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "cmd/lodged/migrate.h"
#include "cmd/lodged/migrate_job.h"
#include "cmd/lodged/moving.h"
#include "lib/cleanup.h"
#include "lib/exit.h"
#include "lib/json.h"
#include "lib/log.h"

void migrate_quiet(const struct instance *ct, bool on)
{
	struct lg_addr addrs[IPS_MAX];
	struct lg_net_if ifc;

	instance_net_if(ct, &ifc, addrs);
	lg_net_quiet(ct->d->net, &ifc, on);
}

void migrate_be_heard(const struct instance *ct)
{
	struct lg_addr addrs[IPS_MAX];
	struct lg_net_if ifc;
	char path[40];
	lg_autoclose int ns = -1;

	migrate_quiet(ct, false);
	instance_net_if(ct, &ifc, addrs);
	if (ct->state != STATE_RUNNING || !ifc.naddrs)
		return;
	snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)ct->init_pid);
	ns = open(path, O_RDONLY | O_CLOEXEC);
	if (ns >= 0)
		lg_net_announce(ct->d->net, &ifc, ns, NULL);
}

/* The last of what refers to it has ended. */
void migrate_release(struct migrate *m)
{
	if (m->op || m->job || m->asks || !m->worker_ended)
		return;
	sd_event_source_disable_unref(m->io);
	lg_close(m->sock);
	lg_close(m->images);
	lg_close(m->disk);
	lg_close(m->written);
	ahead_drop(m);
	json_decref(m->note);
	json_decref(m->report);
	free(m);
}

/* Its op ends. Where the container hangs others end it, and the worker is yet to notice. */
void migrate_dropped(struct op *op, const struct lg_err *err)
{
	struct migrate *m = op->arg;

	(void)err;
	op->arg = NULL;
	op->done = NULL;
	if (!m)
		return;
	m->io = sd_event_source_disable_unref(m->io);
	m->sock = lg_close(m->sock);
	m->op = NULL;
	migrate_release(m);
}

static void fail_here(struct op *op, struct lg_err *err, bool come_back)
{
	struct instance *ct = op->ct;
	struct lg_vcall *call = op->call;

	lg_within(err, err->code, "migrate %s", instance_label(ct));
	if (!come_back) {
		op_fail(op, err);
		return;
	}
	lg_log(LG_LOG_WARN, "%s", err->msg);
	op->call = NULL;	/* answered when it runs again */
	op_end(op, NULL);
	moving_come_back(ct, call, err);
	if (call)
		lg_vcall_unref(call);
}

static void left(struct op *op, bool keep, json_t *report)
{
	if (!keep) {
		migrate_destroy(op, report);
		return;
	}
	checkpoint_remove(op->ct);
	moving_forget(op->ct);
	op_end(op, report);
}

void migrate_finish(struct migrate *m)
{
	struct op *op = m->op;
	struct instance *ct = op->ct;
	json_t *report = m->report ? json_incref(m->report) : json_pack("{s:b}", "moved", m->moved);
	struct lg_err err = m->err;
	bool moved = m->moved, keep = m->keep_source;
	bool ended = m->was_running && ct->state != STATE_RUNNING;
	bool come_back = ended && (m->back || op->rebooted || (m->stopping && !m->unknown));

	if (ct->state != STATE_RUNNING)
		ct->state = instance_rest(ct);
	if (m->unknown)
		moving_unsettled(ct, m->note);
	else if (!moved)
		moving_forget(ct);
	if (m->noted && !lg_json_bool(report, "forgotten", false))
		moving_tell(ct->d, m->note);
	json_object_del(report, "forgotten");
	migrate_dropped(op, NULL);
	if (moved) {
		left(op, keep, report);
	} else if (err.code) {
		json_decref(report);
		fail_here(op, &err, come_back);
	} else {
		op_end(op, report);
	}
}

/* The worker has ended, and what it asked for is done. */
void migrate_finish_if_over(struct migrate *m)
{
	struct instance *ct = m->op->ct;
	bool runs = ct->state == STATE_RUNNING;

	if (!m->worker_ended || m->job || m->asks || (!runs && (ct->shim || ct->sweep)))
		return;
	/* Its last process is yet to end. */
	if (runs && !m->gone && (m->moved || m->unknown || m->stopping))
		return;
	/* Images that were made for this, of one that runs, or that do not count. What had been suspended before stays so. */
	if (m->images >= 0 && !m->moved && (runs || !checkpoint_is_there(ct))) {
		checkpoint_remove(ct);
		if (runs)
			runtime_save(ct, NULL, NULL);
	}
	migrate_finish(m);
}

void migrate_gone(struct op *op)
{
	struct migrate *m = op->arg;
	struct lg_err err = { 0 };

	m->gone = true;
	if (m->stopping && !m->committed)
		migrate_stopped(op);
	if (m->lending) {
		m->lending = false;
		lg_refuse(&err, -ESRCH, LG_EXIT_NOT_RUNNING, "it has ended by itself");
		migrate_answer_failure(m, &err);
	}
	migrate_finish_if_over(m);
}

static void gone_for_good(struct op *op)
{
	bool keep = op->force;

	left(op, keep, NULL);
}

void migrate_leave(struct op *op, const json_t *note)
{
	struct instance *ct = op->ct;

	op->force = lg_json_bool(note, "keep_source", false);
	op->then = gone_for_good;
	if (ct->state != STATE_RUNNING && !ct->shim && !ct->sweep) {
		gone_for_good(op);
		return;
	}
	ct->moving = true;
	op->fast = true;
	stop_begin(op, 0);
}
