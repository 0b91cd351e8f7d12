/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/lodged/facts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cgroup/stats.h"
#include "cmd/lodged/criu.h"
#include "cmd/lodged/devices.h"
#include "cmd/lodged/features.h"
#include "cmd/lodged/limits.h"
#include "cmd/lodged/lxcfs.h"
#include "cmd/lodged/vm.h"
#include "ct/clocks.h"
#include "ct/facts.h"
#include "ct/inside.h"
#include "lib/cleanup.h"
#include "lib/exit.h"
#include "lib/file.h"
#include "lib/ns.h"
#include "storage/layer.h"

/* ---- this host ---- */

struct asking {
	json_t *facts;
	facts_fn then;
	void *arg;
};

static void take_line(const char *line, void *arg)
{
	struct asking *a = arg;

	if (!a->facts)
		a->facts = json_loads(line, 0, NULL);
}

static void answered(int r, const struct lg_err *err, void *arg)
{
	struct asking *a = arg;
	struct lg_err none = { 0 };

	if (r == 0 && a->facts) {
		a->then(a->facts, NULL, a->arg);
	} else {
		json_decref(a->facts);
		lg_refuse(&none, -EIO, 0, "the worker said nothing about this host");
		a->then(NULL, r < 0 ? err : &none, a->arg);
	}
	free(a);
}

int facts_ask(struct daemon *d, const struct instance *layer_of, facts_fn then, void *arg,
	      struct lg_err *err)
{
	struct asking *a = calloc(1, sizeof(*a));
	const char *criu = NULL, *argv[12] = { "facts", "--var", d->root.var };
	struct lg_err why = { 0 };
	char ctid[16], mount[300];
	size_t n = 3;
	int r;

	if (!a)
		return lg_fail(err, -ENOMEM, "ask what this host is");
	*a = (struct asking){ .then = then, .arg = arg };
	argv[n++] = criu_program(d, &criu, &why) < 0 ? "--no-criu" : "--criu";
	argv[n++] = criu ? criu : why.msg;
	if (lxcfs_where(d, mount))
		argv[n++] = "--lxcfs";
	if (layer_of) {
		snprintf(ctid, sizeof(ctid), "%u", layer_of->ctid);
		argv[n++] = "--ctid";
		argv[n++] = ctid;
	}
	r = worker_run(d, argv, take_line, answered, a, err);
	if (r < 0)
		free(a);
	return r;
}

/* ---- what a container needs ---- */

static json_t *feature_names(const struct lg_conf *conf)
{
	json_t *list = json_array();
	uint32_t on = 0;

	features_of(conf, &on, NULL);
	for (size_t i = 0; i < LG_FEATURE_COUNT_; i++)
		if (on & LG_FEATURE_BIT(i))
			json_array_append_new(list, json_string(lg_features[i].name));
	return list;
}

static json_t *address_texts(const struct instance *ct)
{
	struct lg_addr addrs[IPS_MAX];
	unsigned int n = instance_addrs(ct, addrs);
	json_t *list = json_array();

	for (unsigned int i = 0; i < n; i++) {
		char text[LG_ADDR_TEXT];

		lg_format_addr(&addrs[i], false, text);
		json_array_append_new(list, json_string(text));
	}
	return list;
}

static int put_setting(const char *key, const char *value, void *arg)
{
	return json_object_set_new(arg, key, json_string(value)) < 0 ? -EINVAL : 0;
}

static json_t *conf_json(const struct lg_conf *conf)
{
	json_t *o = json_object();

	lg_conf_each(conf, put_setting, o);
	return o;
}

static json_t *template_json(const struct instance *ct)
{
	const char *name = lg_conf_get(ct->conf, "OSTEMPLATE");
	struct lg_template t;

	if (!name || lg_template_load(ct->d->root.var, name, &t, NULL) < 0)
		return json_pack("{s:s}", "name", name ? name : "");
	return json_pack("{s:s, s:s, s:I}", "name", t.name, "digest", t.digest, "bytes",
			 (json_int_t)t.size_bytes);
}

static bool is_confined(const struct instance *ct)
{
	lg_autofree char *text = NULL;
	char path[40];

	snprintf(path, sizeof(path), "/proc/%d/attr/current", (int)ct->init_pid);
	return ct->init_pid > 0 && lg_file_read(AT_FDCWD, path, 4096, &text, NULL, NULL) == 0 &&
	       strncmp(text, LG_APPARMOR_PROFILE, strlen(LG_APPARMOR_PROFILE)) == 0;
}

/* Not of files: where the host does not tell it apart, all of it. */
static void put_memory(const struct lg_cg_stats *s, json_t *needs)
{
	uint64_t own = s->anon_bytes == UINT64_MAX || s->shmem_bytes == UINT64_MAX ? s->memory_bytes :
										s->anon_bytes + s->shmem_bytes;

	if (s->memory_bytes != UINT64_MAX)
		json_object_set_new(needs, "memory_bytes", json_integer((json_int_t)s->memory_bytes));
	if (own != UINT64_MAX)
		json_object_set_new(needs, "resident_bytes", json_integer((json_int_t)own));
}

static void put_sizes(const struct instance *ct, json_t *needs)
{
	struct lg_disk_limit limit;
	struct lg_cg_stats stats;
	struct lg_fs_usage disk;
	char name[16];

	snprintf(name, sizeof(name), "%u", ct->ctid);
	if (lg_cg_stats(ct->d->cg, name, LG_CG_BASIC | LG_CG_KINDS, &stats, NULL) == 0)
		put_memory(&stats, needs);
	if (disk_usage(ct, &disk) == 0) {
		json_object_set_new(needs, "bytes", json_integer((json_int_t)disk.bytes_used));
		json_object_set_new(needs, "inodes", json_integer((json_int_t)disk.inodes_used));
	}
	json_object_set_new(needs, "disk_limited",
			    json_boolean(disk_limit(ct->conf, &limit, NULL) == 0 &&
					 limit.bytes != LG_UNLIMITED));
}

json_t *facts_needs(const struct instance *ct, bool live)
{
	/* QEMU has its own way with a VM's memory, and its own conditions (ImportOffer); room it takes as well. */
	json_t *needs = json_pack("{s:i, s:s, s:b, s:b, s:b, s:b, s:i, s:o, s:o, s:o, s:o}", "ctid",
				  (int)ct->ctid, "name", ct->name, "live", live && !ct->vm, "keeps_memory", live, "own_clocks",
				  live && !ct->vm && ct->init_pid > 0 && lg_clocks_differ(ct->init_pid), "apparmor",
				  is_confined(ct), "ids", (int)nesting_ids(ct->conf), "features",
				  feature_names(ct->conf), "addresses", address_texts(ct), "conf",
				  conf_json(ct->conf), "template", template_json(ct));

	if (needs)
		put_sizes(ct, needs);
	return needs;
}

/* ---- what the target says about it ---- */

static const char *template_state(struct daemon *d, const json_t *needs)
{
	const json_t *wanted = json_object_get(needs, "template");
	const char *name = lg_json_str(wanted, "name"), *digest = lg_json_str(wanted, "digest");
	struct lg_template t;

	/* A VM may boot what is on its own disk. */
	if (name && !*name)
		return "same";
	if (!name || lg_template_load(d->root.var, name, &t, NULL) < 0)
		return "missing";
	return digest && strcmp(digest, t.digest) == 0 ? "same" : "other";
}

static json_t *address_state(struct daemon *d, const char *text)
{
	struct lg_addr addr, net;
	struct lg_pool *pool;

	if (!text || lg_parse_addr(text, &addr, NULL) < 0)
		return NULL;
	pool = alloc_pool(d, addr.family);
	if (!pool)
		return json_pack("{s:s, s:b}", "address", text, "known", 0);
	lg_pool_gateway(pool, &net);
	return json_pack("{s:s, s:i, s:b}", "address", text, "taken_by", (int)lg_pool_owner(pool, &addr),
			 "known", lg_addr_inside(&addr, &net));
}

static json_t *address_states(struct daemon *d, const json_t *needs)
{
	json_t *list = json_array();
	const json_t *item;
	size_t i;

	json_array_foreach(json_object_get(needs, "addresses"), i, item) {
		json_t *state = i < IPS_MAX ? address_state(d, json_string_value(item)) : NULL;

		if (state)
			json_array_append_new(list, state);
	}
	return list;
}

/* Each says why this host would refuse @ct, an instance that is not there. */
static int refuse_limits(struct instance *ct, struct lg_err *err)
{
	struct limits limits;
	int r = limits_of(ct->conf, &limits, err);

	if (r == 0)
		r = limits_find_disks(ct, &limits, err);
	return r == 0 ? limits_foresee(ct, NULL, &limits, err) : r;
}

static int refuse_disk(struct instance *ct, struct lg_err *err)
{
	struct lg_disk_limit limit;
	int r = disk_limit(ct->conf, &limit, err);

	if (r == 0)
		r = disk_check(ct->d, &limit, err);
	return r == 0 ? disk_room_check(ct->d, NULL, &limit, err) : r;
}

static int refuse_room(struct instance *ct, struct lg_err *err)
{
	return disk_reserve_check(ct->d, err);
}

/* Features have a check of their own. */
static int refuse_devices(struct instance *ct, struct lg_err *err)
{
	static struct device_set set;

	lg_conf_set(ct->conf, "FEATURES", NULL, NULL);
	return devices_of(ct->conf, &set, NULL, err);
}

static int (*const refusals[])(struct instance *ct, struct lg_err *err) = {
	refuse_limits, refuse_disk, refuse_room, refuse_devices,
};

/* A setting that cannot be in a conf file here is one that is refused. */
static void read_conf(const json_t *needs, struct lg_conf *conf, json_t *refused)
{
	json_t *settings = json_object_get(needs, "conf"), *value;
	const char *key;

	json_object_foreach(settings, key, value) {
		struct lg_err err = { 0 };

		if (!json_is_string(value))
			lg_refuse(&err, -EINVAL, 0, "its value is no text");
		else
			lg_conf_set(conf, key, json_string_value(value), &err);
		if (err.code)
			json_array_append_new(refused, json_sprintf("setting %.80s: %.200s", key, err.msg));
	}
}

static json_t *refused(struct daemon *d, const json_t *needs)
{
	struct instance ct = { .d = d, .ctid = (uint32_t)lg_json_int(needs, "ctid", 0),
			       .conf = lg_conf_new(), .console_wait = { -1, -1, -1, -1 } };
	json_t *list = json_array();

	if (!ct.conf || !list) {
		lg_conf_free(ct.conf);
		json_decref(list);
		return NULL;
	}
	read_conf(needs, ct.conf, list);
	for (size_t i = 0; i < ARRAY_SIZE(refusals); i++) {
		struct lg_err err = { 0 };

		if (refusals[i](&ct, &err) < 0)
			json_array_append_new(list, json_string(err.msg));
	}
	lg_conf_free(ct.conf);
	return list;
}

json_t *facts_here(struct daemon *d, const json_t *needs)
{
	int64_t ctid = lg_json_int(needs, "ctid", 0), ids = lg_json_int(needs, "ids", LG_ID_COUNT);
	const char *name = lg_json_str(needs, "name");
	const struct instance *called = name && *name ? instance_by_id(d, name) : NULL;
	bool taken = ctid > 0 && ctid <= UINT32_MAX &&
		     (instance_by_ctid(d, (uint32_t)ctid) || lg_layer_exists(d->root.var, (uint32_t)ctid));

	return json_pack("{s:b, s:i, s:b, s:s, s:o, s:o}", "ctid_taken", taken, "name_taken_by",
			 called ? (int)called->ctid : 0, "ids",
			 ids >= LG_ID_COUNT && ids <= INT32_MAX && ids_foresee(d, (uint32_t)ids) == 0, "template",
			 template_state(d, needs), "addresses", address_states(d, needs), "refused",
			 refused(d, needs));
}

/* ---- the API ---- */

struct question {
	struct daemon *d;
	struct lg_vcall *call;
	json_t *needs;		/* of an instance here */
	json_t *others;		/* of one elsewhere, who asks whether it could come */
};

static void free_question(struct question *q)
{
	lg_vcall_unref(q->call);
	json_decref(q->needs);
	json_decref(q->others);
	free(q);
}

/* The worker has measured the layer; what its file system counts is truer, where it is limited. */
static void move_layer(json_t *facts, json_t *needs)
{
	json_t *layer = json_object_get(facts, "layer");

	if (layer && needs)
		json_object_update_missing(needs, layer);
	json_object_del(facts, "layer");
}

static void reply(json_t *facts, const struct lg_err *err, void *arg)
{
	struct question *q = arg;

	if (!facts) {
		lg_vcall_fail(q->call, err);
		free_question(q);
		return;
	}
	move_layer(facts, q->needs);
	if (q->others)
		json_object_set_new(facts, "here", facts_here(q->d, q->others));
	lg_vcall_reply(q->call, json_pack("{s:o, s:O*}", "facts", facts, "needs", q->needs));
	free_question(q);
}

void api_facts(struct lg_vcall *call, const json_t *params, void *ctx)
{
	struct daemon *d = ctx;
	struct instance *ct = NULL;
	struct lg_err err = { 0 };
	struct question *q;

	if (lg_json_str(params, "id")) {
		ct = api_instance(call, params, ctx);
		if (!ct)
			return;
	}
	q = calloc(1, sizeof(*q));
	if (!q)
		return;
	*q = (struct question){ .d = d, .call = lg_vcall_ref(call) };
	if (ct)
		q->needs = facts_needs(ct, lg_json_bool(params, "live", false));
	q->others = json_incref(json_object_get(params, "needs"));
	if (facts_ask(d, ct, reply, q, &err) < 0) {
		lg_vcall_fail(call, &err);
		free_question(q);
	}
}
