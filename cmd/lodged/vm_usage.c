/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * What guests say that they use. Who wants to know it asks all of them at once and goes on when the last has answered; one that does
 * not answer is left out, and its last answer is soon too old to be told.
 */

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/lodged/vm.h"
#include "lib/cleanup.h"
#include "lib/json.h"

#define ANSWER_S 1u
#define NEW_US 400000u		/* as new as this it need not be asked again */
#define OLD_US 10000000u	/* older than this it says nothing */

#define FIELD(name) { #name, offsetof(struct vm_usage, name) }
static const struct {
	const char *key;
	size_t offset;
} fields[] = {
	FIELD(memory_total), FIELD(memory_available), FIELD(balloon), FIELD(ram), FIELD(disk_total), FIELD(disk_used), FIELD(inodes),
	FIELD(inodes_used),  FIELD(load1),	      FIELD(load5),   FIELD(load15),	 FIELD(processes), FIELD(uptime_ms),
};

/* A call that waits for the answers. */
struct waiting {
	struct daemon *d;
	struct lg_vcall *call;
	json_t *params;
	void (*again)(struct lg_vcall *call, const json_t *params, void *ctx);
	unsigned int open;	/* answers that are not there yet */
};

struct asked {
	struct waiting *w;
	uint32_t ctid;
};

static void take(struct instance *ct, const struct lg_msg *m)
{
	if (!ct->vm_usage)
		ct->vm_usage = calloc(1, sizeof(*ct->vm_usage));
	if (!ct->vm_usage)
		return;
	ct->vm_usage->at_us = now_us();
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		uint64_t v = lg_msg_get_u64(m, fields[i].key, UINT64_MAX);

		memcpy((char *)ct->vm_usage + fields[i].offset, &v, sizeof(v));
	}
}

/* Also of those that could not be asked: @w holds one itself until all are on their way. */
static void one_less(struct waiting *w)
{
	if (--w->open > 0)
		return;
	w->again(w->call, w->params, w->d);
	lg_vcall_unref(w->call);
	json_decref(w->params);
	free(w);
}

static void answered(const struct lg_msg *m, const struct lg_err *err, void *arg)
{
	struct asked *a = arg;
	struct instance *ct = instance_by_ctid(a->w->d, a->ctid);

	(void)err;
	if (ct && m)
		take(ct, m);
	one_less(a->w);
	free(a);
}

static void ask(struct waiting *w, struct instance *ct)
{
	struct asked *a = calloc(1, sizeof(*a));
	struct lg_msg m;

	if (!a)
		return;
	*a = (struct asked){ w, ct->ctid };
	vm_ask_begin(&m, "usage");
	if (vm_ask(ct, &m, ANSWER_S, answered, a, NULL) == 0)
		w->open++;
	else
		free(a);
}

static bool wants(const struct instance *ct, const json_t *ids)
{
	size_t i;
	json_t *id;

	if (!ct->vm || ct->state != STATE_RUNNING || !ct->shim ||
	    (ct->vm_usage && ct->vm_usage->at_us && now_us() - ct->vm_usage->at_us < NEW_US))
		return false;
	if (json_array_size(ids) == 0)
		return true;
	json_array_foreach(ids, i, id)
		if (json_is_string(id) && instance_by_id(ct->d, json_string_value(id)) == ct)
			return true;
	return false;
}

int vm_usage_first(struct daemon *d, const json_t *ids, struct lg_vcall *call, const json_t *params,
		   void (*again)(struct lg_vcall *call, const json_t *params, void *ctx))
{
	struct waiting *w;

	if (lg_json_bool(params, "asked", false))
		return 0;
	w = calloc(1, sizeof(*w));
	if (!w || !(w->params = json_copy((json_t *)(uintptr_t)params))) {
		free(w);
		return 0;
	}
	for (size_t i = 0; i < d->ncts; i++)
		if (wants(d->cts[i], ids))
			ask(w, d->cts[i]);
	if (w->open == 0) {
		json_decref(w->params);
		free(w);
		return 0;
	}
	json_object_set_new(w->params, "asked", json_true());
	w->d = d;
	w->call = lg_vcall_ref(call);
	w->again = again;
	return 1;
}

const struct vm_usage *vm_usage_of(const struct instance *ct)
{
	const struct vm_usage *u = ct->state == STATE_RUNNING ? ct->vm_usage : NULL;

	return u && u->at_us && now_us() - u->at_us < OLD_US ? u : NULL;
}

/* What of the cgroup's memory is not the guest's. */
static uint64_t overhead(const struct vm_usage *u, uint64_t memory_bytes)
{
	if (!u || u->ram == UINT64_MAX || memory_bytes == UINT64_MAX)
		return UINT64_MAX;
	return memory_bytes > u->ram ? memory_bytes - u->ram : 0;
}

static void add(json_t *obj, const char *key, uint64_t v)
{
	if (v <= INT64_MAX)
		json_object_set_new_nocheck(obj, key, json_integer((json_int_t)v));
}

void vm_usage_add(const struct instance *ct, uint64_t memory_bytes, json_t *obj)
{
	const struct vm_usage *u = vm_usage_of(ct);

	add(obj, "overhead_bytes", overhead(u, memory_bytes));
	if (!u)
		return;
	add(obj, "balloon_bytes", u->balloon);
	add(obj, "guest_memory_total", u->memory_total);
	if (u->memory_total != UINT64_MAX && u->memory_total >= u->memory_available)
		add(obj, "guest_memory_bytes", u->memory_total - u->memory_available);
	add(obj, "guest_tasks", u->processes);
}

void vm_usage_add_stats(const struct instance *ct, uint64_t memory_bytes, json_t *obj)
{
	const struct vm_usage *u = vm_usage_of(ct);

	vm_usage_add(ct, memory_bytes, obj);
	if (u && u->load1 != UINT64_MAX)
		json_object_set_new_nocheck(obj, "guest_load", json_real((double)u->load1 / 1000));
}
