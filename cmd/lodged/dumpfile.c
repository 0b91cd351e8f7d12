/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/lodged/dumpfile.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "cgroup/stats.h"
#include "cmd/lodged/criu.h"
#include "cmd/lodged/suspend.h"
#include "lib/cleanup.h"
#include "lib/exit.h"
#include "lib/parse.h"
#include "storage/seal.h"

#define PATH_LEN 1024u
#define ROOM_EXTRA (8u << 20)	/* of what is in images beside memory */

static const char *key_path(const struct daemon *d)
{
	const char *path = daemon_conf(d, "CHECKPOINT_KEY", NULL);

	return path && *path ? path : NULL;
}

static int check_key(const struct daemon *d, struct lg_err *err)
{
	struct lg_seal_key key;
	int r = key_path(d) ? lg_seal_key_load(key_path(d), &key, err) : 0;

	explicit_bzero(&key, sizeof(key));
	return r;
}

static void folder_of(const char *file, char ret[PATH_LEN])
{
	char *slash;

	snprintf(ret, PATH_LEN, "%s", file);
	slash = strrchr(ret, '/');
	if (slash)
		slash[slash == ret ? 1 : 0] = '\0';
}

int dumpfile_check(const struct daemon *d, const char *file, struct lg_err *err)
{
	size_t len = strlen(file);
	char folder[PATH_LEN];
	struct stat st;

	if (file[0] != '/' || file[len - 1] == '/' || len >= PATH_LEN - 8)
		return lg_refuse(err, -EINVAL, 0, "the dump file must be named by an absolute path");
	folder_of(file, folder);
	if (stat(folder, &st) < 0)
		return lg_fail(err, -errno, "the dump file's folder '%s'", folder);
	if (!S_ISDIR(st.st_mode))
		return lg_refuse(err, -ENOTDIR, 0, "'%s' is no folder", folder);
	if (lstat(file, &st) == 0 && !S_ISREG(st.st_mode))
		return lg_refuse(err, -EEXIST, 0, "'%s' is there, and no plain file", file);
	return check_key(d, err);
}

/* ---- room ---- */

/* What has to be written: what is in no file. */
static uint64_t images_size(const struct instance *ct)
{
	struct lg_cg_stats u;
	uint64_t bytes;
	char name[16];

	snprintf(name, sizeof(name), "%u", ct->ctid);
	if (lg_cg_stats(ct->d->cg, name, LG_CG_BASIC | LG_CG_KINDS, &u, NULL) < 0)
		return 0;
	bytes = u.anon_bytes != UINT64_MAX ? u.anon_bytes : u.memory_bytes != UINT64_MAX ? u.memory_bytes : 0;
	bytes += u.anon_bytes != UINT64_MAX && u.shmem_bytes != UINT64_MAX ? u.shmem_bytes : 0;
	return bytes + (u.swap_bytes != UINT64_MAX ? u.swap_bytes : 0) + ROOM_EXTRA;
}

static int room_in(const char *folder, uint64_t wanted, struct lg_err *err)
{
	char want[16], have[16];
	struct statvfs v;
	uint64_t free;

	if (statvfs(folder, &v) < 0)
		return lg_fail(err, -errno, "look at '%s'", folder);
	free = (uint64_t)v.f_bavail * v.f_frsize;
	if (free >= wanted)
		return 0;
	lg_format_size(wanted, want);
	lg_format_size(free, have);
	return lg_refuse(err, -ENOSPC, LG_EXIT_NO_SPACE, "its memory may take %s, and only %s are free below %s",
			 want, have, folder);
}

static bool same_disk(const char *a, const char *b)
{
	struct stat x, y;

	return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev;
}

int dumpfile_room(const struct instance *ct, const char *file, struct lg_err *err)
{
	uint64_t size = images_size(ct);
	char folder[PATH_LEN];
	int r;

	if (!file)
		return room_in(ct->d->root.var, size, err);
	folder_of(file, folder);
	if (same_disk(folder, ct->d->root.var))
		return room_in(folder, 2 * size, err);
	r = room_in(ct->d->root.var, size, err);
	return r < 0 ? r : room_in(folder, size, err);
}

/* ---- the jobs ---- */

static void on_line(const char *line, void *arg)
{
	op_progress(arg, "%s", line);
}

static int run_job(struct op *op, const char *verb, const char *folder, worker_end_fn end, struct lg_err *err)
{
	struct daemon *d = op->ct->d;
	const char *argv[9] = { verb, "--var", d->root.var, "--file", op->file };
	size_t n = 5;

	if (key_path(d)) {
		argv[n++] = "--key";
		argv[n++] = key_path(d);
	}
	argv[n] = folder;
	return worker_run(d, argv, on_line, end, op, err);
}

static void write_failed(struct op *op, struct lg_err *err)
{
	lg_within(err, err->code, "%s is suspended, with its images in %s/checkpoint/%u", instance_label(op->ct),
		  op->ct->d->root.var, op->ct->ctid);
	err->exit_code = LG_EXIT_CHKPNT;
	op_fail(op, err);
}

static void written(int r, const struct lg_err *why, void *arg)
{
	struct op *op = arg;
	struct lg_err err = *why;

	if (r == 0)
		r = checkpoint_moved(op->ct, op->file, &err);
	if (r < 0)
		write_failed(op, &err);
	else
		suspend_answer(op);
}

void dumpfile_write(struct op *op)
{
	struct lg_err err = { 0 };
	char folder[300];

	snprintf(folder, sizeof(folder), "%s/checkpoint/%u", op->ct->d->root.var, op->ct->ctid);
	op_progress(op, "writing the dump file");
	if (run_job(op, "dump-pack", folder, written, &err) < 0)
		write_failed(op, &err);
}

static void read_failed(struct op *op, struct lg_err *err)
{
	checkpoint_drop_unpacked(op->ct);
	lg_within(err, err->code, "resume %s", instance_label(op->ct));
	err->exit_code = LG_EXIT_RESTORE;
	op_fail(op, err);
}

static void unpacked(int r, const struct lg_err *why, void *arg)
{
	struct op *op = arg;
	struct lg_err err = *why;

	if (r == 0 && checkpoint_unpacked(op->ct, &err) < 0)
		r = lg_within(&err, err.code, "dump file '%s'", op->file);
	if (r == 0)
		r = resume_check(op->ct, &err);
	if (r < 0)
		read_failed(op, &err);
	else
		start_begin(op);
}

void dumpfile_read(struct op *op)
{
	struct lg_err err = { 0 };
	char folder[300];
	struct stat st;
	int r = lstat(op->file, &st) < 0 ? lg_fail(&err, -errno, "dump file '%s'", op->file) :
					   room_in(op->ct->d->root.var, (uint64_t)st.st_size, &err);

	if (r == 0)
		r = checkpoint_unpack_path(op->ct, folder, &err);
	op_progress(op, "reading the dump file");
	if (r == 0)
		r = run_job(op, "dump-unpack", folder, unpacked, &err);
	if (r < 0)
		read_failed(op, &err);
}
