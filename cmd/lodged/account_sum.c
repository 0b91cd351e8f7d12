/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The arithmetic and the file of accounts; account.h tells how they work. */

#include <stdio.h>
#include <string.h>

#include "cmd/lodged/account.h"
#include "lib/cleanup.h"
#include "lib/json.h"

#define VERSION 1

const char *const counter_names[] = {
	[COUNT_KMEMSIZE] = "kmemsize",
	[COUNT_LOCKEDPAGES] = "lockedpages",
	[COUNT_PRIVVMPAGES] = "privvmpages",
	[COUNT_SHMPAGES] = "shmpages",
	[COUNT_NUMPROC] = "numproc",
	[COUNT_PHYSPAGES] = "physpages",
	[COUNT_VMGUARPAGES] = "vmguarpages",
	[COUNT_OOMGUARPAGES] = "oomguarpages",
	[COUNT_NUMTCPSOCK] = "numtcpsock",
	[COUNT_NUMOTHERSOCK] = "numothersock",
	[COUNT_SWAPPAGES] = "swappages",
	[COUNT_DISKSPACE] = "diskspace",
	[COUNT_DISKINODES] = "diskinodes",
	[COUNT_CPULIMIT] = "cpulimit",
	[COUNT_IOLIMIT] = "iolimit",
	[COUNT_IOPSLIMIT] = "iopslimit",
	[COUNT_SOCKBUF] = "sockbuf",
};
_Static_assert(ARRAY_SIZE(counter_names) == COUNT_COUNT_, "a name for every counter");

void account_run(struct account *a, const char *run_id)
{
	if (strcmp(a->run_id, run_id) == 0)
		return;
	for (size_t i = 0; i < COUNT_COUNT_; i++) {
		struct count *c = &a->counts[i];

		c->fails_before += c->fails_run;
		if (c->max_run > c->max_before)
			c->max_before = c->max_run;
		c->fails_run = c->max_run = 0;
	}
	snprintf(a->run_id, sizeof(a->run_id), "%s", run_id);
	memset(&a->rate, 0, sizeof(a->rate));
	a->dirty = true;
}

void account_note(struct account *a, enum counter_id id, const struct reading *r, int64_t now)
{
	struct count *c = &a->counts[id];
	uint64_t most = r->peak;

	/* What has no mark of its own is the most that was ever seen. */
	if (r->held != UINT64_MAX && (most == UINT64_MAX || r->held > most))
		most = r->held;
	if (most != UINT64_MAX && most > c->max_run) {
		c->max_run = most;
	}
	if (r->fails == UINT64_MAX)
		return;
	c->has_fails = true;
	/* Somebody may have reset the kernel's counter: ours only grow. */
	if (r->fails <= c->fails_run)
		return;
	c->fails_run = r->fails;
	a->dirty = true;
	/* The kernel's log knows better than we do when. */
	if (c->last_hit <= a->looked_at)
		c->last_hit = now;
}

void account_killed(struct account *a, pid_t pid, const char *name, int64_t at)
{
	if (at < a->oom.at)
		return;
	a->oom.at = at;
	a->oom.pid = pid;
	snprintf(a->oom.name, sizeof(a->oom.name), "%s", name);
	a->counts[COUNT_OOMGUARPAGES].last_hit = at;
	a->dirty = true;
}

uint64_t account_fails(const struct account *a, enum counter_id id)
{
	const struct count *c = &a->counts[id];

	return c->has_fails ? c->fails_before + c->fails_run : UINT64_MAX;
}

uint64_t account_max(const struct account *a, enum counter_id id)
{
	const struct count *c = &a->counts[id];

	return c->max_run > c->max_before ? c->max_run : c->max_before;
}

/* ---- the file ---- */

static json_t *count_json(const struct count *c)
{
	json_t *obj = json_pack("{s:I, s:I}", "maxheld", (json_int_t)c->max_before, "run_maxheld",
				(json_int_t)c->max_run);

	if (c->has_fails) {
		json_object_set_new(obj, "failcnt", json_integer((json_int_t)c->fails_before));
		json_object_set_new(obj, "run_failcnt", json_integer((json_int_t)c->fails_run));
	}
	if (c->last_hit)
		json_object_set_new(obj, "last_hit", json_integer(c->last_hit));
	return obj;
}

json_t *account_to_json(const struct account *a)
{
	json_t *counters = json_object();
	json_t *obj = json_pack("{s:i, s:s, s:I, s:I}", "version", VERSION, "run", a->run_id, "since",
				(json_int_t)a->since, "looked_at", (json_int_t)a->looked_at);

	for (size_t i = 0; i < COUNT_COUNT_; i++)
		if (a->counts[i].has_fails || account_max(a, (enum counter_id)i))
			json_object_set_new(counters, counter_names[i], count_json(&a->counts[i]));
	json_object_set_new(obj, "counters", counters);
	if (a->oom.at)
		json_object_set_new(obj, "oom",
				    json_pack("{s:I, s:i, s:s*}", "at", (json_int_t)a->oom.at, "pid",
					      (int)a->oom.pid, "name", a->oom.name));
	return obj;
}

static uint64_t positive(const json_t *obj, const char *key)
{
	int64_t v = lg_json_int(obj, key, 0);

	return v > 0 ? (uint64_t)v : 0;
}

void account_from_json(const json_t *obj, struct account *ret)
{
	const json_t *counters = json_object_get(obj, "counters"), *oom = json_object_get(obj, "oom");
	const char *run = lg_json_str(obj, "run"), *name = lg_json_str(oom, "name");

	memset(ret, 0, sizeof(*ret));
	snprintf(ret->run_id, sizeof(ret->run_id), "%s", run ? run : "");
	ret->since = (int64_t)positive(obj, "since");
	ret->looked_at = (int64_t)positive(obj, "looked_at");
	ret->oom.at = (int64_t)positive(oom, "at");
	ret->oom.pid = (pid_t)positive(oom, "pid");
	snprintf(ret->oom.name, sizeof(ret->oom.name), "%s", name ? name : "");
	for (size_t i = 0; i < COUNT_COUNT_; i++) {
		const json_t *c = json_object_get(counters, counter_names[i]);

		ret->counts[i] = (struct count){
			.fails_before = positive(c, "failcnt"),
			.fails_run = positive(c, "run_failcnt"),
			.max_before = positive(c, "maxheld"),
			.max_run = positive(c, "run_maxheld"),
			.has_fails = json_is_integer(json_object_get(c, "failcnt")),
			.last_hit = (int64_t)positive(c, "last_hit"),
		};
	}
}
