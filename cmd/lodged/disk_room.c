/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Disk limits promise space. An image is a sparse file, a quota reserves nothing: what instances were
 * promised together may be more than the host has. By default that is so, as with memory, and
 * doctor tells; DISK_OVERCOMMIT="no" refuses it, and DISK_RESERVE keeps some for the host.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "cmd/lodged/doctor.h"
#include "lib/exit.h"
#include "lib/parse.h"
#include "storage/layer.h"

struct room {
	uint64_t free;		/* for lodge: what the host has, without the reserve */
	uint64_t host_free, reserve;
	bool overcommit;
};

static int read_room(struct daemon *d, struct room *ret, struct lg_err *err)
{
	const char *overcommit = daemon_conf(d, "DISK_OVERCOMMIT", "yes");
	const char *reserve = daemon_conf(d, "DISK_RESERVE", "0");
	struct statvfs v;

	if (lg_parse_bool(overcommit, &ret->overcommit, err) < 0)
		return lg_within(err, err->code, "DISK_OVERCOMMIT in lodge.conf");
	if (lg_parse_size(reserve, 1, &ret->reserve, err) < 0)
		return lg_within(err, err->code, "DISK_RESERVE in lodge.conf");
	if (statvfs(d->root.var, &v) < 0)
		return lg_fail(err, -errno, "look at '%s'", d->root.var);
	ret->host_free = (uint64_t)v.f_bavail * v.f_frsize;
	ret->free = ret->host_free > ret->reserve ? ret->host_free - ret->reserve : 0;
	return 0;
}

/* What the instance may still take of the host, when it may have @bytes in all. */
static uint64_t outstanding(const struct instance *ct, uint64_t bytes)
{
	struct lg_fs_usage u;
	struct stat st;
	char path[LG_LAYER_PATH];
	uint64_t has = 0;

	if (bytes == LG_UNLIMITED)
		return 0;
	if (lg_layer_image(ct->d->root.var, ct->ctid, path) && stat(path, &st) == 0)
		has = (uint64_t)st.st_blocks * 512;
	else if (lg_disk_usage(ct->d->root.var, ct->ctid, -1, &u, NULL) == 0)
		has = u.bytes_used;
	return bytes > has ? bytes - has : 0;
}

static uint64_t promised(const struct daemon *d, const struct instance *except)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < d->ncts; i++) {
		struct lg_disk_limit limit;

		if (d->cts[i] != except && disk_limit(d->cts[i]->conf, &limit, NULL) == 0)
			sum += outstanding(d->cts[i], limit.bytes);
	}
	return sum;
}

int disk_reserve_check(struct daemon *d, struct lg_err *err)
{
	struct room room;
	char free[16], reserve[16];
	int r = read_room(d, &room, err);

	if (r < 0 || room.host_free >= room.reserve)
		return r;
	lg_format_size(room.host_free, free);
	lg_format_size(room.reserve, reserve);
	return lg_refuse(err, -ENOSPC, LG_EXIT_NO_SPACE,
			 "the host's disk has %s free, less than DISK_RESERVE=\"%s\" of lodge.conf",
			 free, reserve);
}

int disk_room_check(struct daemon *d, const struct instance *self,
		    const struct lg_disk_limit *limit, struct lg_err *err)
{
	char wanted[16], free[16];
	uint64_t more, others;
	struct room room;
	int r = read_room(d, &room, err);

	if (r < 0 || room.overcommit)
		return r;
	if (limit->bytes == LG_UNLIMITED)
		return lg_refuse(err, -ENOSPC, LG_EXIT_NO_SPACE,
				 "DISK_OVERCOMMIT in lodge.conf is no: give it a --disk SIZE");
	more = self ? outstanding(self, limit->bytes) : limit->bytes;
	others = promised(d, self);
	if (more <= room.free && others <= room.free - more)
		return 0;
	lg_format_size(more, wanted);
	lg_format_size(others < room.free ? room.free - others : 0, free);
	return lg_refuse(err, -ENOSPC, LG_EXIT_NO_SPACE,
			 "%s more are wanted, and %s are free and not promised to others "
			 "(DISK_OVERCOMMIT in lodge.conf is no)", wanted, free);
}

/* ---- doctor ---- */

static void say_promised(struct report *r)
{
	uint64_t all = promised(r->d, NULL);
	char sum[16], free[16];
	struct lg_err err = { 0 };
	struct room room;

	if (read_room(r->d, &room, &err) < 0) {
		say(r, "disk", "bad", "%s", err.msg);
		return;
	}
	lg_format_size(all, sum);
	lg_format_size(room.free, free);
	if (all > room.free)
		say(r, "disk", "off",
		    "containers may still take %s and %s are free: when the host is full they "
		    "get errors (DISK_OVERCOMMIT in lodge.conf)", sum, free);
	else if (all)
		say(r, "disk", "ok", "containers may still take %s of them", sum);
}

void doctor_disk(struct report *r)
{
	const struct lg_disk_limit some = { .bytes = LG_DISK_MIN, .inodes = LG_UNLIMITED };

	if (lg_disk_for_new(r->d->root.var, &some) == &lg_disk_project)
		say(r, "disk limits", "ok", "project quotas of %s", r->d->root.var);
	else if (access("/sbin/mke2fs", X_OK) < 0 && access("/usr/sbin/mke2fs", X_OK) < 0)
		say(r, "disk limits", "off", "no mke2fs: install e2fsprogs");
	else if (access("/dev/loop-control", R_OK | W_OK) < 0)
		say(r, "disk limits", "off", "no /dev/loop-control: the loop driver is missing");
	else if (!lg_image_can_grow())
		say(r, "disk limits", "ok",
		    "an image for each; without CAP_SYS_RESOURCE they grow only while stopped");
	else
		say(r, "disk limits", "ok", "an image for each");
	say_promised(r);
}
