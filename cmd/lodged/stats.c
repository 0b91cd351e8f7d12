/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Stats: counters of all running instances, in one call. */

#include <stddef.h>

#include "cmd/lodged/limits.h"
#include "cmd/lodged/look.h"
#include "cmd/lodged/vm.h"
#include "lib/cleanup.h"
#include "lib/json.h"
#include "lib/parse.h"

struct number {
	const char *key;
	size_t offset;		/* of a uint64_t; UINT64_MAX in it: not known */
};

#define USE(name) { #name, offsetof(struct lg_cg_stats, name) }
static const struct number uses[] = {
	USE(cpu_us),	   USE(cpu_user_us), USE(cpu_system_us), USE(periods),
	USE(throttled),	   USE(throttled_us), USE(memory_bytes), USE(swap_bytes),
	USE(tasks),	   USE(oom_kills),   USE(read_bytes),	 USE(write_bytes),
	USE(reads),	   USE(writes),
};

#define NET(name) { #name, offsetof(struct lg_net_stats, name) }
static const struct number nets[] = {
	NET(rx_bytes),	 NET(tx_bytes),	  NET(rx_packets),
	NET(tx_packets), NET(rx_dropped), NET(tx_dropped),
};

#define DISK(key, name) { key, offsetof(struct lg_fs_usage, name) }
static const struct number disks[] = {
	DISK("disk_bytes", bytes_used), DISK("disk_limit", bytes),
	DISK("disk_inodes", inodes_used), DISK("disk_inodes_limit", inodes),
};

#define HOST(name) { #name, offsetof(struct host_look, name) }
static const struct number hosts[] = {
	HOST(at_us),	       HOST(cpu_us),	 HOST(memory_bytes),
	HOST(available_bytes), HOST(swap_bytes), HOST(swap_free_bytes),
};

static const struct {
	const char *key;
	enum lg_limit_id id;
} limits[] = {
	{ "memory_limit", LG_LIMIT_MEMORY },
	{ "swap_limit", LG_LIMIT_SWAP },
	{ "cpu_limit", LG_LIMIT_CPU },
	{ "tasks_limit", LG_LIMIT_TASKS },
};

static void set_number(json_t *obj, const char *key, uint64_t value)
{
	if (value <= INT64_MAX)
		json_object_set_new_nocheck(obj, key, json_integer((json_int_t)value));
}

static void set_numbers(json_t *obj, const void *from, const struct number *rows, size_t n)
{
	for (size_t i = 0; i < n; i++)
		set_number(obj, rows[i].key,
			   *(const uint64_t *)((const char *)from + rows[i].offset));
}

static void set_pressure(json_t *obj, const char *name, const struct lg_cg_pressure *p)
{
	if (p->some_us == UINT64_MAX)
		return;
	json_object_set_new_nocheck(
		obj, name,
		json_pack("{s:f, s:f, s:I, s:I}", "some", (double)p->some_avg10 / 100, "full",
			  (double)p->full_avg10 / 100, "some_us", (json_int_t)p->some_us, "full_us",
			  (json_int_t)p->full_us));
}

static json_t *pressures_json(const struct lg_cg_pressure *cpu,
			      const struct lg_cg_pressure *memory,
			      const struct lg_cg_pressure *io)
{
	json_t *obj = json_object();

	set_pressure(obj, "cpu", cpu);
	set_pressure(obj, "memory", memory);
	set_pressure(obj, "io", io);
	return obj;
}

static void set_limits(json_t *obj, const struct instance *ct)
{
	struct limits has;

	if (limits_of_running(ct, ct->conf, &has, NULL) < 0)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(limits); i++)
		if (has.set.value[limits[i].id] != LG_UNLIMITED)
			set_number(obj, limits[i].key, has.set.value[limits[i].id]);
}

static json_t *stats_json(const struct instance *ct, const struct look *look)
{
	json_t *obj = json_object();

	set_number(obj, "ctid", ct->ctid);
	if (ct->name[0])
		json_object_set_new_nocheck(obj, "name", lg_varlink_text(ct->name));
	json_object_set_new_nocheck(obj, "kind", json_string(ct->vm ? "vm" : "container"));
	set_number(obj, "started_at", (uint64_t)ct->started_at);
	set_number(obj, "at_us", look->at_us);
	set_numbers(obj, &look->use, uses, ARRAY_SIZE(uses));
	if (ct->vm)
		vm_usage_add_stats(ct, look->use.memory_bytes, obj);
	if (look->has_net)
		set_numbers(obj, &look->net, nets, ARRAY_SIZE(nets));
	set_limits(obj, ct);
	set_numbers(obj, &look->disk, disks, ARRAY_SIZE(disks));
	json_object_set_new_nocheck(obj, "pressure",
				    pressures_json(&look->use.cpu, &look->use.memory,
						   &look->use.io));
	return obj;
}

static json_t *host_json(void)
{
	struct host_look host;
	json_t *obj = json_object();

	look_host(&host);
	set_number(obj, "cpus", host.cpus);
	set_numbers(obj, &host, hosts, ARRAY_SIZE(hosts));
	json_object_set_new_nocheck(obj, "pressure",
				    pressures_json(&host.cpu, &host.memory, &host.io));
	return obj;
}

/* All of @ids must be there; those that do not run are left out of the answer. */
static bool all_known(struct lg_vcall *call, struct daemon *d, const json_t *ids)
{
	size_t i;
	json_t *id;

	json_array_foreach(ids, i, id) {
		if (instance_by_id(d, json_string_value(id)))
			continue;
		lg_vcall_error(call, "io.lodge.NoSuchInstance", json_pack("{s:O}", "id", id));
		return false;
	}
	return true;
}

void api_stats(struct lg_vcall *call, const json_t *params, void *ctx)
{
	struct daemon *d = ctx;
	const json_t *ids = json_object_get(params, "ids");
	struct lg_err err = { 0 };
	struct looks looks;
	json_t *list;

	if (!all_known(call, d, ids) || vm_usage_first(d, ids, call, params, api_stats))
		return;
	if (look_all(d, ids, LG_CG_LIGHT, &looks, &err) < 0) {
		lg_vcall_fail(call, &err);
		return;
	}
	list = json_array();
	for (size_t i = 0; i < looks.n; i++)
		json_array_append_new(list, stats_json(instance_by_ctid(d, looks.list[i].ctid),
						       &looks.list[i]));
	look_free(&looks);
	lg_vcall_reply(call, json_pack("{s:o, s:o}", "host", host_json(), "stats", list));
}
