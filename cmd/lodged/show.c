/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Reading: List, Show, Status, Version. */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cgroup/stats.h"
#include "cmd/lodged/criu.h"
#include "cmd/lodged/foreign.h"
#include "cmd/lodged/limits.h"
#include "cmd/lodged/moving.h"
#include "lib/cleanup.h"
#include "lib/exit.h"
#include "lib/json.h"
#include "lib/settings.h"
#include "storage/layer.h"

struct instance *api_instance(struct lg_vcall *call, const json_t *params, struct daemon *d)
{
	const char *id = lg_json_str(params, "id");
	struct instance *ct = id ? instance_by_id(d, id) : NULL;

	if (!ct)
		lg_vcall_error(call, "io.lodge.NoSuchInstance",
			       json_pack("{s:s}", "id", id ? id : ""));
	return ct;
}

static void set_str(json_t *obj, const char *key, const char *value)
{
	if (value && *value)
		json_object_set_new(obj, key, lg_varlink_text(value));
}

static json_t *addresses_json(const struct instance *ct)
{
	struct lg_addr addrs[IPS_MAX];
	unsigned int n = instance_addrs(ct, addrs);
	json_t *list = json_array();
	char text[LG_ADDR_TEXT];

	for (unsigned int i = 0; i < n; i++) {
		lg_format_addr(&addrs[i], false, text);
		json_array_append_new(list, json_string(text));
	}
	return list;
}

static void set_count(json_t *obj, const char *key, uint64_t value)
{
	if (value != UINT64_MAX)
		json_object_set_new(obj, key, json_integer((json_int_t)value));
}

static json_t *usage_json(const struct instance *ct)
{
	struct lg_cg_stats u;
	struct lg_net_stats net;
	json_t *obj;
	char name[16];

	snprintf(name, sizeof(name), "%u", ct->ctid);
	if (lg_cg_stats(ct->d->cg, name, LG_CG_BASIC | LG_CG_PEAKS, &u, NULL) < 0)
		return NULL;
	obj = json_object();
	set_count(obj, "memory_bytes", u.memory_bytes);
	set_count(obj, "memory_peak_bytes", u.memory_peak_bytes);
	set_count(obj, "swap_bytes", u.swap_bytes);
	set_count(obj, "tasks", u.tasks);
	set_count(obj, "cpu_us", u.cpu_us);
	set_count(obj, "oom_kills", u.oom_kills);
	if (ct->vm)
		vm_usage_add(ct, u.memory_bytes, obj);
	lg_root_link(&ct->d->root, ct->ctid, 0, name);
	if (lg_net_stats(name, &net, NULL) == 0) {
		set_count(obj, "rx_bytes", net.rx_bytes);
		set_count(obj, "tx_bytes", net.tx_bytes);
	}
	return obj;
}

struct settings_walk {
	json_t *settings, *conf;
};

static int add_setting(const char *key, const char *value, void *arg)
{
	struct settings_walk *walk = arg;
	const struct lg_setting *s = lg_setting_by_key(key);
	lg_autofree char *text = NULL;

	json_object_set_new(walk->conf, key, lg_varlink_text(value));
	if (s && s->name && *value && lg_setting_from_conf(s, value, &text, NULL) == 0)
		json_object_set_new(walk->settings, s->name, lg_varlink_text(text));
	return 0;
}

static void add_checkpoint(json_t *obj, const struct instance *ct)
{
	lg_autojson json_t *state = checkpoint_state(ct);
	int64_t since = lg_json_int(state, "suspended_at", 0);

	if (!state)
		return;
	if (since > 0)
		json_object_set_new(obj, "suspended_at", json_integer((json_int_t)since));
	set_count(obj, "checkpoint_bytes", checkpoint_bytes(ct, state));
	set_str(obj, "checkpoint_file", lg_json_str(state, "dumpfile"));
}

static void add_machine(json_t *obj, const struct instance *ct)
{
	char path[300];

	set_str(obj, "vnc", foreign_vnc(ct, path) && access(path, F_OK) == 0 ? path : NULL);
	set_str(obj, "machine", ct->vm_run.machine);
	set_str(obj, "accel", ct->vm_run.kvm ? "kvm" : "tcg");
	set_str(obj, "kernel", ct->vm_run.kernel);
}

static void add_details(json_t *obj, struct instance *ct)
{
	struct settings_walk walk = { json_object(), json_object() };
	struct lg_err unsettled = { 0 };
	json_t *effects;
	char path[320];

	lg_conf_each(ct->conf, add_setting, &walk);
	json_object_set_new(obj, "settings", walk.settings);
	json_object_set_new(obj, "conf", walk.conf);
	set_str(obj, "description", lg_conf_get(ct->conf, "DESCRIPTION"));
	set_str(obj, "last_exit", ct->last_exit);
	set_str(obj, "hangs", ct->hangs);
	if (moving_check(ct, &unsettled) < 0)
		set_str(obj, "unsettled", unsettled.msg);
	snprintf(path, sizeof(path), "%s/ct/%u.conf", ct->d->root.etc, ct->ctid);
	set_str(obj, "conf_path", path);
	snprintf(path, sizeof(path), "%s/ct/%u", ct->d->root.var, ct->ctid);
	set_str(obj, "private_path", path);
	json_object_set_new(obj, "created_at", json_integer((json_int_t)ct->created_at));
	if (ct->id_base)
		json_object_set_new(obj, "id_base", json_integer(ct->id_base));
	if (ct->state == STATE_SUSPENDED)
		add_checkpoint(obj, ct);
	if (ct->state == STATE_RUNNING && (effects = limits_effects(ct)))
		json_object_set_new(obj, "effects", effects);
	if (ct->state == STATE_RUNNING && ct->vm)
		add_machine(obj, ct);
	if (ct->state == STATE_RUNNING) {
		snprintf(path, sizeof(path), "/proc/%d/root", (int)ct->init_pid);
		set_str(obj, "root", ct->vm ? NULL : path);
		json_object_set_new(obj, "init_pid", json_integer(ct->init_pid));
		json_object_set_new(obj, "shim_pid", json_integer(ct->shim ? ct->shim->pid : 0));
	} else if (ct->state == STATE_MOUNTED) {
		mount_path(ct, path);
		set_str(obj, "root", path);
	}
}

json_t *instance_json(struct instance *ct, bool brief, bool usage)
{
	json_t *obj = json_object(), *used;

	if (ct->state != STATE_RUNNING)
		ct->state = instance_rest(ct);
	json_object_set_new(obj, "ctid", json_integer(ct->ctid));
	set_str(obj, "name", ct->name);
	json_object_set_new(obj, "kind", json_string(ct->vm ? "vm" : "container"));
	set_str(obj, "state", state_name(ct->state));
	set_str(obj, "busy", ct->op ? ct->op->verb : ct->hangs[0] ? "hangs" : NULL);
	set_str(obj, "hostname", lg_conf_get(ct->conf, "HOSTNAME"));
	set_str(obj, "template", lg_conf_get(ct->conf, "OSTEMPLATE"));
	json_object_set_new(obj, "addresses", addresses_json(ct));
	if (ct->started_at)
		json_object_set_new(obj, "started_at", json_integer((json_int_t)ct->started_at));
	if (!brief)
		add_details(obj, ct);
	if (!usage)
		return obj;
	used = ct->state == STATE_RUNNING ? usage_json(ct) : NULL;
	if (!used)
		used = json_object();
	disk_usage_add(ct, used);
	if (json_object_size(used))
		json_object_set_new(obj, "usage", used);
	else
		json_decref(used);
	return obj;
}

static bool is_wanted(struct instance *ct, const json_t *ids, bool all)
{
	size_t i;
	json_t *id;

	if (!json_is_array(ids) || json_array_size(ids) == 0)
		return all || ct->state == STATE_RUNNING;
	json_array_foreach(ids, i, id)
		if (instance_by_id(ct->d, json_string_value(id)) == ct)
			return true;
	return false;
}

void api_list(struct lg_vcall *call, const json_t *params, void *ctx)
{
	struct daemon *d = ctx;
	const json_t *ids = json_object_get(params, "ids");
	bool all = lg_json_bool(params, "all", false);
	bool brief = lg_json_bool(params, "brief", false);
	bool usage = lg_json_bool(params, "usage", false);
	json_t *list, *id;
	size_t i;

	if (usage && vm_usage_first(d, ids, call, params, api_list))
		return;
	list = json_array();
	json_array_foreach(ids, i, id) {
		if (instance_by_id(d, json_string_value(id)))
			continue;
		lg_vcall_error(call, "io.lodge.NoSuchInstance",
			       json_pack("{s:O}", "id", id));
		json_decref(list);
		return;
	}
	for (i = 0; i < d->ncts; i++)
		if (is_wanted(d->cts[i], ids, all))
			json_array_append_new(list, instance_json(d->cts[i], brief, usage));
	lg_vcall_reply(call, json_pack("{s:o}", "instances", list));
}

void api_show(struct lg_vcall *call, const json_t *params, void *ctx)
{
	struct instance *ct = api_instance(call, params, ctx);
	lg_autojson json_t *ids = NULL;

	if (!ct)
		return;
	ids = json_pack("[O]", json_object_get(params, "id"));
	if (!vm_usage_first(ctx, ids, call, params, api_show))
		lg_vcall_reply(call, json_pack("{s:o}", "instance", instance_json(ct, false, true)));
}

void api_status(struct lg_vcall *call, const json_t *params, void *ctx)
{
	struct daemon *d = ctx;
	const char *id = lg_json_str(params, "id");
	struct instance *ct = instance_by_id(d, id);
	uint32_t ctid = 0;
	bool running = ct && ct->state == STATE_RUNNING;

	if (ct)
		ctid = ct->ctid;
	else
		lg_parse_ctid(id, &ctid, NULL);
	lg_vcall_reply(call, json_pack("{s:i, s:b, s:b, s:b, s:b}", "ctid", (int)ctid, "exists",
				       ct && lg_layer_exists(d->root.var, ctid), "mounted",
				       running || (ct && mount_is_there(ct)), "running", running,
				       "suspended",
				       ct && !running && checkpoint_is_there(ct)));
}

void api_version(struct lg_vcall *call, const json_t *params, void *ctx)
{
	struct daemon *d = ctx;
	int running = 0;
	size_t own = strlen(d->root.run) - strlen("/run/lodge");
	char root[256];

	(void)params;
	for (size_t i = 0; i < d->ncts; i++)
		running += d->cts[i]->state == STATE_RUNNING;
	snprintf(root, sizeof(root), "%.*s", own ? (int)own : 1, own ? d->root.run : "/");
	lg_vcall_reply(call, json_pack("{s:s, s:s, s:I, s:i, s:i}", "version", LODGE_VERSION, "root",
				       root, "uptime_us",
				       (json_int_t)(now_us() - d->started_us), "instances",
				       (int)d->ncts, "running", running));
}
