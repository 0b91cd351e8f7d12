/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Another disk limit. A project's quota is written at once, like any other limit. An image is made
 * larger, or anew, by a worker: that comes first, and when it is done the whole call is gone
 * through again and finds the disk as it is wanted.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cmd/lodged/change.h"
#include "lib/cleanup.h"
#include "lib/exit.h"
#include "lib/json.h"
#include "lib/kind.h"
#include "storage/layer.h"

static int check_disk(struct change *c, struct lg_err *err)
{
	struct lg_disk_limit limit;
	int r;

	if (!c->disk && !c->inodes)
		return 0;
	r = disk_limit(c->conf, &limit, err);
	if (r == 0)
		r = disk_check(c->ct->d, &limit, err);
	return r < 0 ? r : disk_room_check(c->ct->d, c->ct, &limit, err);
}

/* An image's inodes grow with it: a number that was not named now is no reason to make it anew. */
static int plan(const struct change *c, const struct lg_disk_limit *limit, enum lg_disk_change *ret,
		struct lg_err *err)
{
	struct lg_disk_limit any = { .bytes = limit->bytes, .inodes = LG_UNLIMITED, .image = limit->image };
	enum lg_disk_change loose;
	int r = lg_disk_plan(c->ct->d->root.var, c->ct->ctid, limit, ret, err);

	if (r < 0 || *ret != LG_DISK_REMAKE || c->inodes)
		return r;
	r = lg_disk_plan(c->ct->d->root.var, c->ct->ctid, &any, &loose, err);
	if (r == 0 && loose != LG_DISK_REMAKE)
		*ret = loose;
	return r;
}

static int refuse_used(const struct change *c, enum lg_disk_change change, struct lg_err *err)
{
	if (c->ct->state == STATE_MOUNTED)
		return lg_refuse(err, -EBUSY, LG_EXIT_MOUNTED, "its disk: umount it first");
	if (change_suspended(c) && c->ct->vm)
		return lg_refuse(err, -EBUSY, LG_EXIT_RUNNING,
				 "a suspended VM's disk stays as it is: its memory knows what is on it: resume it first");
	if (change_suspended(c) && change == LG_DISK_REMAKE)
		return lg_refuse(err, -EBUSY, LG_EXIT_RUNNING,
				 "a suspended container's disk can only be made larger: its memory knows the files as "
				 "they are");
	if (!change_runs(c))
		return 0;
	if (change == LG_DISK_REMAKE)
		return lg_refuse(err, -EBUSY, LG_EXIT_RUNNING,
				 "a running %s's disk can only be made larger: stop it first",
				 c->ct->vm ? "VM" : "container");
	if (!c->ct->vm && !lg_image_can_grow())
		return lg_refuse(err, -EPERM, LG_EXIT_RUNNING,
				 "this host keeps CAP_SYS_RESOURCE from lodged, which making a "
				 "mounted disk larger needs: stop it first");
	return 0;
}

static int run_job(struct change *c, enum lg_disk_change change, const struct lg_disk_limit *limit,
		   struct lg_vcall *call, const json_t *params,
		   void (*again)(struct lg_vcall *call, const json_t *params, void *ctx),
		   struct lg_err *err)
{
	/* Copying does what growing cannot do here. */
	bool grow = change == LG_DISK_GROW && lg_image_can_grow();
	lg_autoclose int mounted = grow && change_runs(c) ? disk_open_mounted(c->ct) : -1;
	char bytes[24], inodes[24], ctid[16];
	const char *argv[12] = { grow ? "disk-grow" : "disk-remake", "--var", c->ct->d->root.var };
	size_t n = 3;
	int r;

	snprintf(bytes, sizeof(bytes), "%" PRIu64, limit->bytes);
	snprintf(inodes, sizeof(inodes), "%" PRIu64, limit->inodes);
	snprintf(ctid, sizeof(ctid), "%u", c->ct->ctid);
	if (limit->bytes != LG_UNLIMITED) {
		argv[n++] = "--bytes";
		argv[n++] = bytes;
	}
	if (limit->inodes != LG_UNLIMITED) {
		argv[n++] = "--inodes";
		argv[n++] = inodes;
	}
	if (mounted >= 0)
		argv[n++] = "--mounted";
	argv[n] = ctid;
	r = disk_job(c->ct->d, c->ct, argv, mounted, call, params, again, err);
	return r < 0 ? r : 1;
}

int change_disk_first(struct change *c, struct lg_vcall *call, const json_t *params,
		      void (*again)(struct lg_vcall *call, const json_t *params, void *ctx),
		      struct lg_err *err)
{
	struct lg_disk_limit limit;
	enum lg_disk_change change;
	int r;

	if (!c->disk && !c->inodes)
		return 0;
	if (!change_runs(c))
		c->ct->state = instance_rest(c->ct);
	r = disk_limit(c->conf, &limit, err);
	if (r == 0)
		r = plan(c, &limit, &change, err);
	if (r < 0 || change == LG_DISK_SAME || change == LG_DISK_SET)
		return r;
	if (disk_job_done(params, "disk-grow") || disk_job_done(params, "disk-remake"))
		return lg_refuse(err, -EIO, 0, "its disk did not become what was asked for");
	r = refuse_used(c, change, err);
	/* Just a longer file. One that is longer than the conf file says is whole: nothing undoes it. */
	if (r == 0 && limit.image == LG_DISK_OWN_RAW && !change_runs(c)) {
		r = lg_disk_resize_file(c->ct->d->root.var, c->ct->ctid, limit.bytes, err);
		return r < 0 ? r : 0;
	}
	/* A running VM's file just gets longer; what is in it its guest makes larger. */
	if (r == 0 && c->ct->vm && change_runs(c))
		return 0;
	return r < 0 ? r : run_job(c, change, &limit, call, params, again, err);
}

static int write_limit(struct change *c, const struct lg_conf *conf, struct lg_err *err)
{
	struct lg_disk_limit limit;
	enum lg_disk_change change;
	int r;

	if (!c->disk && !c->inodes)
		return 0;
	r = disk_limit(conf, &limit, err);
	if (r == 0)
		r = plan(c, &limit, &change, err);
	return r < 0 || change != LG_DISK_SET ?
		       r : lg_disk_set(c->ct->d->root.var, c->ct->ctid, &limit, err);
}

/* Grown with the disk: the file then says how many there are. */
static int note_inodes(struct change *c, struct lg_err *err)
{
	lg_autoclose int mounted = disk_open_mounted(c->ct);
	struct lg_disk_limit limit;
	enum lg_disk_change change;
	struct lg_fs_usage u;
	char text[48];
	int r = disk_limit(c->conf, &limit, err);

	if (r < 0 || c->inodes || !c->disk || limit.inodes == LG_UNLIMITED)
		return r;
	r = lg_disk_plan(c->ct->d->root.var, c->ct->ctid, &limit, &change, err);
	if (r < 0 || change == LG_DISK_SAME ||
	    lg_disk_usage(c->ct->d->root.var, c->ct->ctid, mounted, &u, err) < 0)
		return r;
	snprintf(text, sizeof(text), "%" PRIu64 ":%" PRIu64, u.inodes, u.inodes);
	json_array_append_new(c->warnings, json_sprintf("its inodes grew with its disk: %" PRIu64
							" now", u.inodes));
	return lg_conf_set(c->conf, "DISKINODES", text, err);
}

/* To @conf's size; @ret_grown: it was another. */
static int resize_file(const struct change *c, const struct lg_conf *conf, bool *ret_grown, struct lg_err *err)
{
	struct lg_disk_limit limit;
	int r = disk_limit(conf, &limit, err);

	if (r == 0)
		r = lg_disk_resize_file(c->ct->d->root.var, c->ct->ctid, limit.bytes, err);
	if (r < 0)
		return r;
	*ret_grown = r > 0;
	return 0;
}

static int change_disk(struct change *c, struct lg_err *err)
{
	bool grown = false;
	int r;

	if (c->ct->vm && change_runs(c)) {
		r = c->disk ? resize_file(c, c->conf, &grown, err) : 0;
		if (grown)
			change_vm_disk(c);
		return r;
	}
	r = write_limit(c, c->conf, err);
	return r < 0 ? r : note_inodes(c, err);
}

static void undo_disk(struct change *c)
{
	struct lg_err ignored = { 0 };
	bool grown;

	/* What may be the guest's is not cut, whatever the conf file says that it had. */
	if (lg_kind_is_foreign(c->ct->conf))
		return;
	/* QEMU was not told yet: to it the disk is as it was. */
	if (c->ct->vm && change_runs(c) && c->disk)
		resize_file(c, c->ct->conf, &grown, &ignored);
	else
		write_limit(c, c->ct->conf, &ignored);
}

const struct applier apply_disk = { check_disk, change_disk, undo_disk };
