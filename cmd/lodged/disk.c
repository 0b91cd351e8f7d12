/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Disk limits: what the conf files say, whether it holds, and the jobs that make it so. */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cmd/lodged/vm.h"
#include "lib/cleanup.h"
#include "lib/exit.h"
#include "lib/json.h"
#include "lib/log.h"
#include "lib/settings.h"
#include "storage/layer.h"

int disk_limit(const struct lg_conf *conf, struct lg_disk_limit *ret, struct lg_err *err)
{
	int r = lg_setting_value(conf, "disk", LG_UNLIMITED, &ret->bytes, err);

	ret->image = lg_kind_is_foreign(conf) ? LG_DISK_OWN_RAW : lg_kind_is_vm(conf) ? LG_DISK_OWN_IMAGE : LG_DISK_OWN_NONE;
	return r < 0 ? r : lg_setting_value(conf, "inodes", LG_UNLIMITED, &ret->inodes, err);
}

/* In the form that a setting of the instance's own would have. */
static int set_default(struct lg_conf *conf, const char *name, const char *value, struct lg_err *err)
{
	const struct lg_setting *s = lg_setting_by_name(name);
	lg_autofree char *text = NULL;
	char number[24] = "unlimited";
	uint64_t v;
	int r = lg_conf_set(conf, s->key, value, err);

	if (r == 0)
		r = lg_setting_value(conf, name, LG_UNLIMITED, &v, err);
	if (r == 0 && v != LG_UNLIMITED)
		snprintf(number, sizeof(number), "%" PRIu64, v);
	if (r == 0)
		r = lg_setting_to_conf(s, number, &text, err);
	return r < 0 ? lg_within(err, r, "lodge.conf") : lg_conf_set(conf, s->key, text, err);
}

int disk_defaults(struct daemon *d, struct lg_conf *conf, struct lg_err *err)
{
	static const char *const names[] = { "disk", "inodes" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		const char *key = lg_setting_by_name(names[i])->key;
		const char *value = daemon_conf(d, key, NULL);

		if (value && *value && !lg_conf_get(conf, key) &&
		    set_default(conf, names[i], value, err) < 0)
			return err->code;
	}
	return 0;
}

int disk_check(struct daemon *d, const struct lg_disk_limit *limit, struct lg_err *err)
{
	const struct lg_disk_driver *driver = lg_disk_for_new(d->root.var, limit);

	if (limit->image && limit->bytes == LG_UNLIMITED)
		return lg_refuse(err, -EINVAL, LG_EXIT_BAD_VALUE, "disk: a VM's has a size: there is no unlimited one");
	if (limit->bytes != LG_UNLIMITED && limit->bytes < LG_DISK_MIN)
		return lg_refuse(err, -ERANGE, LG_EXIT_BAD_VALUE, "disk: less than %" PRIu64 " KiB",
				 (uint64_t)LG_DISK_MIN >> 10);
	if (driver == &lg_disk_image && access("/dev/loop-control", F_OK) < 0)
		return lg_refuse(err, -ENODEV, LG_EXIT_RESOURCES,
				 "a disk limit needs project quotas on '%s' or loop devices, and "
				 "there is neither (inside a container there cannot be)",
				 d->root.var);
	if (limit->inodes != LG_UNLIMITED && driver == &lg_disk_none)
		return lg_refuse(err, -EINVAL, LG_EXIT_BAD_VALUE,
				 "inodes can be limited only together with the disk here: give a "
				 "--disk SIZE, too");
	return 0;
}

/* The limit is another than the layer's. Looser ones that the file asks for can wait. */
static int judge(struct instance *ct, const struct lg_disk_limit *limit, enum lg_disk_change change,
		 struct lg_err *err)
{
	char size[16];

	lg_format_size(limit->bytes, size);
	if (change == LG_DISK_SET)
		return lg_disk_set(ct->d->root.var, ct->ctid, limit, err);
	if (change == LG_DISK_GROW || limit->bytes == LG_UNLIMITED) {
		lg_log(LG_LOG_WARN, "%s: its disk is smaller than DISKSPACE says: `lodge set %u "
		       "--disk %s` makes it larger", instance_label(ct), ct->ctid, size);
		return 0;
	}
	return lg_refuse(err, -EINVAL, LG_EXIT_BAD_CONF,
			 "its disk limit of %s does not hold yet: `lodge set %u --disk %s` brings its "
			 "files below it", size, ct->ctid, size);
}

/* A machine's whole disk has the size that it has; less in the conf file cuts nothing off. */
static bool is_larger(const struct instance *ct, const struct lg_disk_limit *limit)
{
	struct lg_fs_usage u;

	if (limit->image != LG_DISK_OWN_RAW || lg_disk_usage(ct->d->root.var, ct->ctid, -1, &u, NULL) < 0 ||
	    u.bytes <= lg_disk_round(limit->bytes))
		return false;
	lg_log(LG_LOG_WARN, "%s: its disk is larger than DISKSPACE says", instance_label(ct));
	return true;
}

int disk_hold(struct instance *ct, struct lg_err *err)
{
	struct lg_disk_limit limit;
	enum lg_disk_change change;
	int r = disk_limit(ct->conf, &limit, err);

	if (r == 0)
		r = disk_reserve_check(ct->d, err);
	/* How many inodes an image has was settled when it was made. */
	if (r == 0 && lg_disk_for_new(ct->d->root.var, &limit) != &lg_disk_project)
		limit.inodes = LG_UNLIMITED;
	if (r == 0 && is_larger(ct, &limit))
		return 0;
	if (r == 0)
		r = lg_disk_plan(ct->d->root.var, ct->ctid, &limit, &change, err);
	if (r < 0 || change == LG_DISK_SAME)
		return r;
	return judge(ct, &limit, change, err);
}

/* ---- what is in use ---- */

/*
 * In the shim's mount namespace, where no guest can make a path lead elsewhere. A shim that still
 * writes back what its container wrote has it mounted, too.
 */
int disk_open_mounted(const struct instance *ct)
{
	const struct shim *shim = ct->shim ? ct->shim : ct->old_shim;
	char path[360];

	if (!shim)
		return -1;
	snprintf(path, sizeof(path), "/proc/%d/root%s/scratch/layer", (int)shim->pid,
		 ct->d->root.run);
	return open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static void add(json_t *usage, const char *key, uint64_t v)
{
	if (v != LG_UNLIMITED)
		json_object_set_new(usage, key, json_integer((json_int_t)v));
}

int disk_usage(const struct instance *ct, struct lg_fs_usage *ret)
{
	const struct vm_usage *u = vm_usage_of(ct);
	lg_autoclose int mounted = -1;

	/* What its file says of itself is what the guest had written back at some time. */
	if (ct->vm && ct->state == STATE_RUNNING) {
		if (!u || u->disk_total == UINT64_MAX)
			return -ENODATA;
		*ret = (struct lg_fs_usage){ u->disk_total, u->disk_used, u->inodes, u->inodes_used };
		return 0;
	}
	mounted = disk_open_mounted(ct);
	return lg_disk_usage(ct->d->root.var, ct->ctid, mounted, ret, NULL);
}

void disk_usage_add(const struct instance *ct, json_t *usage)
{
	struct lg_fs_usage u;

	if (disk_usage(ct, &u) < 0)
		return;
	add(usage, "disk_bytes", u.bytes_used);
	add(usage, "disk_bytes_max", u.bytes);
	add(usage, "disk_inodes", u.inodes_used);
	add(usage, "disk_inodes_max", u.inodes);
}

/* ---- jobs ---- */

#define JOB_KEY 40

struct job {
	struct daemon *d;
	struct op *op;		/* NULL: it is for no instance yet */
	struct lg_vcall *call;
	json_t *params;
	void (*again)(struct lg_vcall *call, const json_t *params, void *ctx);
};

static void job_free(struct job *job)
{
	if (job->call)
		lg_vcall_unref(job->call);
	json_decref(job->params);
	free(job);
}

/* The instance is free again; the call goes on without the operation. */
static void let_go(struct op *op)
{
	if (op->call)
		lg_vcall_unref(op->call);
	op->call = NULL;
	op_end(op, NULL);
}

static void job_line(const char *line, void *arg)
{
	struct job *job = arg;

	if (job->op)
		op_progress(job->op, "%s", line);
	else if (lg_vcall_more(job->call) && !lg_vcall_gone(job->call))
		lg_vcall_notify(job->call, json_pack("{s:o}", "progress", lg_varlink_text(line)));
}

static void job_ended(int r, const struct lg_err *err, void *arg)
{
	struct job *job = arg;

	if (job->op)
		let_go(job->op);
	if (r < 0)
		lg_vcall_fail(job->call, err);
	else
		job->again(job->call, job->params, job->d);
	job_free(job);
}

static void job_key(const char *verb, char key[JOB_KEY])
{
	snprintf(key, JOB_KEY, "done:%s", verb);
}

bool disk_job_done(const json_t *params, const char *verb)
{
	char key[JOB_KEY];

	job_key(verb, key);
	return lg_json_bool(params, key, false);
}

int disk_job(struct daemon *d, struct instance *ct, const char *const *argv, int stdin_fd,
	     struct lg_vcall *call, const json_t *params,
	     void (*again)(struct lg_vcall *call, const json_t *params, void *ctx),
	     struct lg_err *err)
{
	struct job *job = calloc(1, sizeof(*job));
	char key[JOB_KEY];
	int r;

	if (!job || !(job->params = json_copy((json_t *)(uintptr_t)params)) ||
	    (ct && !(job->op = op_new(ct, "disk", call)))) {
		if (job)
			json_decref(job->params);
		free(job);
		return lg_fail(err, -ENOMEM, "change its disk");
	}
	job_key(argv[0], key);
	json_object_set_new(job->params, key, json_true());
	job->d = d;
	job->call = lg_vcall_ref(call);
	job->again = again;
	r = worker_run_on(d, argv, stdin_fd, job_line, job_ended, job, err);
	if (r < 0) {
		if (job->op)
			let_go(job->op);
		job_free(job);
	}
	return r;
}

int disk_prepare(struct daemon *d, const struct lg_disk_limit *limit, struct lg_vcall *call,
		 const json_t *params,
		 void (*again)(struct lg_vcall *call, const json_t *params, void *ctx), struct lg_err *err)
{
	char bytes[24], inodes[24];
	const char *argv[] = { "disk-prepare", "--var", d->root.var, "--bytes", bytes,
			       NULL, NULL, NULL };
	int r;

	if (lg_disk_for_new(d->root.var, limit) != &lg_disk_image ||
	    lg_disk_prepared(d->root.var, limit))
		return 0;
	if (disk_job_done(params, argv[0]))
		return lg_refuse(err, -EIO, 0, "the empty disk that was made is gone");
	snprintf(bytes, sizeof(bytes), "%" PRIu64, limit->bytes);
	snprintf(inodes, sizeof(inodes), "%" PRIu64, limit->inodes);
	if (limit->inodes != LG_UNLIMITED) {
		argv[5] = "--inodes";
		argv[6] = inodes;
	}
	r = disk_job(d, NULL, argv, -1, call, params, again, err);
	return r < 0 ? r : 1;
}
