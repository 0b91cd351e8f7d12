/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Destroy: the layer is marked, the conf file is kept as ID.conf.destroyed (as vzctl does), the layer goes to
 * the trash by one rename, and a worker deletes it later. A daemon that was killed in between
 * finds the mark: with the conf file still there nothing was lost and the mark goes; without it the
 * layer goes (recover.c).
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cmd/lodged/account.h"
#include "cmd/lodged/criu.h"
#include "cmd/lodged/lodged.h"
#include "cmd/lodged/migrate.h"
#include "cmd/lodged/moving.h"
#include "lib/cleanup.h"
#include "lib/file.h"
#include "lib/json.h"
#include "lib/proc.h"
#include "storage/layer.h"

static int mark(void *ctx, struct lg_err *err)
{
	struct instance *ct = ctx;
	char path[64];

	if (!lg_layer_exists(ct->d->root.var, ct->ctid))
		return 0;
	snprintf(path, sizeof(path), "ct/%u/destroying", ct->ctid);
	return lg_file_replace_fast(ct->d->var_fd, path, "", 0, 0600, err);
}

static void unmark(void *ctx)
{
	struct instance *ct = ctx;
	char path[64];

	snprintf(path, sizeof(path), "ct/%u/destroying", ct->ctid);
	unlinkat(ct->d->var_fd, path, 0);
}

static void conf_names(const struct instance *ct, char name[32], char kept[48])
{
	instance_conf_name(ct->ctid, name);
	snprintf(kept, 48, "%s.destroyed", name);
}

static int keep_conf(void *ctx, struct lg_err *err)
{
	struct instance *ct = ctx;
	char name[32], kept[48];

	conf_names(ct, name, kept);
	if (renameat(ct->d->ct_fd, name, ct->d->ct_fd, kept) < 0 && errno != ENOENT)
		return lg_fail(err, -errno, "rename '%s'", name);
	fsync(ct->d->ct_fd);
	return 0;
}

static void restore_conf(void *ctx)
{
	struct instance *ct = ctx;
	char name[32], kept[48];

	conf_names(ct, name, kept);
	renameat(ct->d->ct_fd, kept, ct->d->ct_fd, name);
}

static int trash_layer(void *ctx, struct lg_err *err)
{
	struct instance *ct = ctx;

	return lg_layer_trash(ct->d->root.var, ct->ctid, err);
}

static const struct lg_step steps[] = {
	{ "mark its layer", mark, unmark },
	{ "keep its configuration", keep_conf, restore_conf },
	{ "move its layer to the trash", trash_layer, NULL },
};

void destroy_console_logs(struct daemon *d, uint32_t ctid)
{
	char name[48];

	snprintf(name, sizeof(name), "log/console/%u.log", ctid);
	unlinkat(d->var_fd, name, 0);
	snprintf(name, sizeof(name), "log/console/%u.log.1", ctid);
	unlinkat(d->var_fd, name, 0);
}

static void forget(struct instance *ct)
{
	struct daemon *d = ct->d;
	char name[48];

	instance_link_name(ct, ct->name, NULL);
	lg_root_link(&d->root, ct->ctid, 0, name);
	lg_net_unpin(d->net, name, NULL);
	alloc_give_back_addrs(ct);
	destroy_console_logs(d, ct->ctid);
	snprintf(name, sizeof(name), "log/criu-%u.log", ct->ctid);
	unlinkat(d->var_fd, name, 0);
	account_remove(ct);
	checkpoint_remove(ct);
	moving_forget(ct);
	emit_event(d, "destroyed", ct, NULL);
	ids_hold(ct);
	instance_remove(ct);
	empty_trash(d);
}

static int destroy(struct instance *ct, char kept_path[320], struct lg_err *err)
{
	struct lg_run run;
	char name[32], kept[48];
	int r;

	lg_run_init(&run, steps, ARRAY_SIZE(steps), ct);
	run.fail_at = ct->d->fail_step;
	r = lg_run_continue(&run, err);
	if (r < 0)
		return lg_within(err, r, "destroy %s", instance_label(ct));
	conf_names(ct, name, kept);
	snprintf(kept_path, 320, "%s/ct/%s", ct->d->root.etc, kept);
	return 0;
}

static void destroy_and_end(struct op *op)
{
	struct instance *ct = op->ct;
	struct lg_err err = { 0 };
	char kept[320];

	if (destroy(ct, kept, &err) < 0) {
		op_fail(op, &err);
		return;
	}
	op_end(op, json_pack("{s:s}", "conf_kept", kept));
	forget(ct);
}

void api_destroy(struct lg_vcall *call, const json_t *params, void *ctx)
{
	struct instance *ct = api_instance(call, params, ctx);
	bool force = lg_json_bool(params, "force", false);
	struct lg_err err = { 0 };
	struct op *op;

	if (!ct)
		return;
	if (ct->state != STATE_RUNNING)
		ct->state = instance_rest(ct);
	if (force)
		moving_override(ct);
	if (force && ct->state == STATE_MOUNTED && umount_root(ct, &err) < 0) {
		lg_vcall_fail(call, &err);
		return;
	}
	if (state_allows(ct, force && (ct->state == STATE_RUNNING || ct->state == STATE_SUSPENDED) ?
				     VERB_STOP : VERB_DESTROY, &err) <
	    0) {
		lg_vcall_fail(call, &err);
		return;
	}
	op = op_new(ct, "destroy", call);
	if (!op)
		return;
	if (ct->state == STATE_RUNNING || ct->shim || ct->sweep) {
		op->fast = true;
		op->then = destroy_and_end;
		stop_begin(op, 0);
	} else {
		destroy_and_end(op);
	}
}

void migrate_destroy(struct op *op, json_t *report)
{
	struct instance *ct = op->ct;
	struct lg_err err = { 0 };
	char kept[320];

	if (destroy(ct, kept, &err) < 0) {
		json_decref(report);
		op_fail(op, &err);
		return;
	}
	op_end(op, report);
	forget(ct);
}
