/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "cmd/lodged/limits.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysinfo.h>

#include "lib/bits.h"
#include "lib/cleanup.h"
#include "lib/kind.h"
#include "lib/settings.h"
#include "storage/layer.h"

#define OOM_ZERO 1000	/* how the number of oom-priority writes 0 */
#define IO_NORMAL 4u

/* vzctl's eight priorities as weights: each step doubles the share. */
static const unsigned short io_weights[] = { 6, 12, 25, 50, 100, 200, 400, 800 };

/* ---- from the conf file ---- */

/* Several settings may say something about one limit: the lowest counts. */
static const struct {
	const char *setting;
	enum lg_limit_id id;
} lowest[] = {
	{ "memory", LG_LIMIT_MEMORY },
	{ "swap", LG_LIMIT_SWAP },
	{ "memory-high", LG_LIMIT_MEMORY_HIGH },
	{ "cpus", LG_LIMIT_CPU },
	{ "tasks", LG_LIMIT_TASKS },
	{ "io-read", LG_LIMIT_IO_READ },
	{ "io-write", LG_LIMIT_IO_WRITE },
	{ "io-limit", LG_LIMIT_IO_READ },
	{ "io-limit", LG_LIMIT_IO_WRITE },
	{ "iops-read", LG_LIMIT_IOPS_READ },
	{ "iops-write", LG_LIMIT_IOPS_WRITE },
	{ "iops-limit", LG_LIMIT_IOPS_READ },
	{ "iops-limit", LG_LIMIT_IOPS_WRITE },
};

/* Around a VM's guest is QEMU: it has room of its own, and the guest's processes are none of the host's. */
static int read_vm(const struct lg_conf *conf, struct lg_limit_set *set, struct lg_err *err)
{
	uint64_t memory;
	int r = lg_vm_memory(conf, &memory, err);

	if (r < 0)
		return r;
	set->value[LG_LIMIT_MEMORY] = lg_vm_cgroup_memory(memory);
	if (set->value[LG_LIMIT_MEMORY_HIGH] != lg_limit_none(LG_LIMIT_MEMORY_HIGH))
		set->value[LG_LIMIT_MEMORY_HIGH] += set->value[LG_LIMIT_MEMORY] - memory;
	set->value[LG_LIMIT_TASKS] = LG_VM_TASKS;
	return 0;
}

static int read_lowest(const struct lg_conf *conf, struct lg_limit_set *set, struct lg_err *err)
{
	for (int id = 0; id < LG_LIMIT_COUNT_; id++)
		set->value[id] = lg_limit_none((enum lg_limit_id)id);
	for (size_t i = 0; i < ARRAY_SIZE(lowest); i++) {
		uint64_t v = LG_UNLIMITED;
		int r = lg_setting_value(conf, lowest[i].setting, LG_UNLIMITED, &v, err);

		if (r < 0)
			return r;
		if (v < set->value[lowest[i].id])
			set->value[lowest[i].id] = v;
	}
	set->mask = (1u << LG_LIMIT_COUNT_) - 1;
	return lg_kind_is_vm(conf) ? read_vm(conf, set, err) : 0;
}

/* In bytes, or in percent of what it may use: the greater of the two. */
static int read_guarantee(const struct lg_conf *conf, struct lg_limit_set *set,
			  struct lg_err *err)
{
	const char *text = lg_conf_get(conf, "MEMGUARANTEE");
	uint64_t bytes = 0, percent = 0, memory = set->value[LG_LIMIT_MEMORY];
	int r = lg_setting_value(conf, "memory-guarantee", 0, &bytes, err);

	if (r < 0)
		return r;
	if (text && lg_parse_u64(text, 0, 100, &percent, NULL) == 0 && memory != LG_UNLIMITED &&
	    memory / 100 * percent > bytes)
		bytes = memory / 100 * percent;
	set->value[LG_LIMIT_GUARANTEE] = bytes;
	return 0;
}

static int read_oom(const struct lg_conf *conf, int *ret, struct lg_err *err)
{
	uint64_t guarantee = 0, priority = OOM_ZERO, total = 0;
	struct sysinfo si;
	int r = lg_setting_value(conf, "oom-priority", OOM_ZERO, &priority, err);

	if (r == 0)
		r = lg_setting_value(conf, "oom-guarantee", 0, &guarantee, err);
	if (r < 0)
		return r;
	if (sysinfo(&si) == 0)
		total = ((uint64_t)si.totalram + si.totalswap) * si.mem_unit;
	*ret = lg_oom_adj((int)priority - OOM_ZERO, guarantee, total);
	return 0;
}

static int read_weights(const struct lg_conf *conf, struct lg_limit_set *set, struct lg_err *err)
{
	uint64_t priority = IO_NORMAL;
	int r = lg_setting_value(conf, "cpu-weight", 100, &set->value[LG_LIMIT_CPU_WEIGHT], err);

	if (r == 0)
		r = lg_setting_value(conf, "io-priority", IO_NORMAL, &priority, err);
	if (r < 0)
		return r;
	if (priority >= ARRAY_SIZE(io_weights))
		priority = ARRAY_SIZE(io_weights) - 1;
	set->value[LG_LIMIT_IO_WEIGHT] = io_weights[priority];
	return 0;
}

int limits_of(const struct lg_conf *conf, struct limits *ret, struct lg_err *err)
{
	uint64_t seen = 0;
	int r;

	memset(ret, 0, sizeof(*ret));
	r = read_lowest(conf, &ret->set, err);
	if (r == 0)
		r = read_weights(conf, &ret->set, err);
	if (r == 0)
		r = read_guarantee(conf, &ret->set, err);
	if (r == 0)
		r = read_oom(conf, &ret->oom_adj, err);
	if (r == 0)
		r = lg_setting_value(conf, "cpus-seen", 0, &seen, err);
	ret->cpuset.seen = seen > LG_BITS_MAX ? LG_BITS_MAX : (unsigned int)seen;
	ret->cpuset.cpus = lg_conf_get(conf, "CPUMASK");
	ret->cpuset.nodes = lg_conf_get(conf, "NODEMASK");
	ret->hugepages = lg_kind_is_vm(conf) ? NULL : lg_conf_get(conf, "HUGEPAGES");
	return r;
}

/* A balloon that was inflated is the guest's good will: the wall stays where it was built. */
int limits_of_running(const struct instance *ct, const struct lg_conf *conf, struct limits *ret, struct lg_err *err)
{
	uint64_t wall = lg_vm_cgroup_memory(ct->vm_run.memory);
	int r = limits_of(conf, ret, err);

	if (r == 0 && ct->vm && ct->state == STATE_RUNNING && ct->vm_run.memory)
		ret->set.value[LG_LIMIT_MEMORY] = wall;
	return r;
}

/* ---- the disks ---- */

int limits_find_disks(const struct instance *ct, struct limits *limits, struct lg_err *err)
{
	const char *template = lg_conf_get(ct->conf, "OSTEMPLATE");
	const char *var = ct->d->root.var;
	uint32_t io = 0;
	char path[400];
	int r;

	for (int id = 0; id < LG_LIMIT_COUNT_; id++)
		if (lg_limit_is_io((enum lg_limit_id)id) &&
		    limits->set.value[id] != lg_limit_none((enum lg_limit_id)id))
			io |= 1u << id;
	if (io == 0)
		return 0;
	snprintf(path, sizeof(path), "%s/ct/%u", var, ct->ctid);
	/* One that may come here has no layer yet. */
	if (!lg_layer_exists(var, ct->ctid))
		snprintf(path, sizeof(path), "%s", var);
	r = lg_io_find(path, &limits->devs, err);
	/* A weight that nothing weighs is told of when it is set. */
	if (r < 0)
		return io == 1u << LG_LIMIT_IO_WEIGHT ? 0 : lg_within(err, r, "limit its disk");
	snprintf(path, sizeof(path), "%s/templates/%s", var, template ? template : "");
	if (template && *template)
		(void)lg_io_find(path, &limits->devs, NULL);
	limits->set.devs = &limits->devs;
	return 0;
}

/* ---- to the cgroup ---- */

static bool same_text(const char *a, const char *b)
{
	return strcmp(a ? a : "", b ? b : "") == 0;
}

/* Those that @old has as well need no write. */
static void leave_out(const struct limits *old, struct lg_limit_set *set)
{
	for (int id = 0; id < LG_LIMIT_COUNT_; id++) {
		uint64_t is = old ? old->set.value[id] : lg_limit_none((enum lg_limit_id)id);

		if (set->value[id] == is)
			set->mask &= ~(1u << id);
	}
}

static bool same_cpuset(const struct lg_cpuset *a, const struct lg_cpuset *b)
{
	return a->seen == b->seen && same_text(a->cpus, b->cpus) && same_text(a->nodes, b->nodes);
}

int limits_apply(struct instance *ct, const struct limits *old, struct limits *want,
		 struct lg_err *err)
{
	struct lg_cg_host *cg = ct->d->cg;
	bool cpuset = old ? !same_cpuset(&old->cpuset, &want->cpuset) :
			    !lg_cpuset_is_any(&want->cpuset);
	char name[16];
	int r = 0;

	snprintf(name, sizeof(name), "%u", ct->ctid);
	leave_out(old, &want->set);
	if (want->set.mask)
		r = lg_limits_apply(cg, name, &want->set, err);
	if (r == 0 && cpuset)
		r = lg_cpuset_apply(cg, name, &want->cpuset, err);
	if (r == 0 && !same_text(old ? old->hugepages : NULL, want->hugepages))
		r = lg_hugetlb_apply(cg, name, want->hugepages, err);
	return r;
}

int limits_foresee(struct instance *ct, const struct limits *old, struct limits *want,
		   struct lg_err *err)
{
	struct lg_cg_host *cg = ct->d->cg;
	char name[16];
	int r;

	snprintf(name, sizeof(name), "%u", ct->ctid);
	leave_out(old, &want->set);
	r = lg_limits_foresee(cg, name, &want->set, err);
	if (r == 0 && !(old && same_cpuset(&old->cpuset, &want->cpuset)))
		r = lg_cpuset_check(cg, name, &want->cpuset, err);
	if (r == 0 && !(old && same_text(old->hugepages, want->hugepages)))
		r = lg_hugetlb_check(cg, name, want->hugepages, err);
	return r;
}

int limits_apply_oom(struct instance *ct, const struct limits *old, const struct limits *want,
		     struct lg_err *err)
{
	int is = old ? old->oom_adj : 0;
	char name[16];

	snprintf(name, sizeof(name), "%u", ct->ctid);
	if (is == want->oom_adj)
		return 0;
	return lg_oom_apply(ct->d->cg, name, ct->shim ? ct->shim->pid : 0, is, want->oom_adj, err);
}

/* ---- what they come to ---- */

static const struct {
	const char *setting;
	enum lg_limit_id id;
} told[] = {
	{ "memory-high", LG_LIMIT_MEMORY_HIGH },   { "memory-guarantee", LG_LIMIT_GUARANTEE },
	{ "io-priority", LG_LIMIT_IO_WEIGHT },	   { "io-read", LG_LIMIT_IO_READ },
	{ "io-write", LG_LIMIT_IO_WRITE },	   { "io-limit", LG_LIMIT_IO_WRITE },
	{ "iops-read", LG_LIMIT_IOPS_READ },	   { "iops-write", LG_LIMIT_IOPS_WRITE },
	{ "iops-limit", LG_LIMIT_IOPS_WRITE },
};

static bool is_set(const struct instance *ct, const char *setting)
{
	const char *text = lg_conf_get(ct->conf, lg_setting_by_name(setting)->key);

	return text && *text;
}

static void tell_cpus(struct instance *ct, json_t *effects)
{
	static const char *const settings[] = { "cpus-seen", "cpumask", "nodemask" };
	char name[16], cpus[LG_BITS_TEXT];

	snprintf(name, sizeof(name), "%u", ct->ctid);
	if (lg_cpuset_text(ct->d->cg, name, cpus, sizeof(cpus)) < 0)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(settings); i++)
		if (is_set(ct, settings[i])) {
			json_object_set_new(effects, settings[i],
					    json_sprintf("runs on CPU %.200s", cpus));
			return;
		}
}

json_t *limits_effects(struct instance *ct)
{
	json_t *effects = json_object();
	char name[16], text[LG_EFFECT_MAX];
	struct limits limits;

	snprintf(name, sizeof(name), "%u", ct->ctid);
	if (limits_of(ct->conf, &limits, NULL) == 0 &&
	    limits_find_disks(ct, &limits, NULL) == 0) {
		for (size_t i = 0; i < ARRAY_SIZE(told); i++) {
			if (!is_set(ct, told[i].setting))
				continue;
			lg_limit_effect(ct->d->cg, name, &limits.set, told[i].id, text);
			if (*text)
				json_object_set_new(effects, told[i].setting, json_string(text));
		}
	}
	tell_cpus(ct, effects);
	if (json_object_size(effects))
		return effects;
	json_decref(effects);
	return NULL;
}
