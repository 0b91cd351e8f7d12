/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The accounts of instances: what is read of each, when it is written, and the call Ubc. */

#include "cmd/lodged/account.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cmd/lodged/limits.h"
#include "cmd/lodged/look.h"
#include "cmd/lodged/lodged.h"
#include "lib/cleanup.h"
#include "lib/file.h"
#include "lib/json.h"
#include "lib/log.h"
#include "lib/parse.h"

#define WRITE_EVERY_S 10	/* at most, while it runs */
#define RATE_US 200000u		/* a rate of less time than this says little */
#define NO_LIMIT (-1)

/* What is kept of an instance at one moment: the cgroup's numbers, and what is made of them. */
struct seen {
	struct lg_cg_stats use;
	uint64_t private_bytes;		/* in memory or swap, and of no file */
	uint64_t both_bytes;		/* memory and swap */
	uint64_t tcp_sockets, other_sockets;
	uint64_t cpu_percent, io_bps, iops;
	struct lg_fs_usage disk;
	uint64_t none;
};

#define AT(name) offsetof(struct seen, name)
#define NONE AT(none)

/* One row per counter: where its numbers are, in what they are given, and which limit is its own. */
/* clang-format off */
static const struct counter {
	const char *unit;
	unsigned int divisor;		/* of bytes */
	size_t held, peak, fails;
	int limit, barrier;		/* enum lg_limit_id */
	const char *key;		/* of the conf file, for limits that are only kept; NULL */
} counters[] = {
	[COUNT_KMEMSIZE] =	{ "bytes", 1, AT(use.kernel_bytes), AT(use.kernel_peak_bytes), AT(use.kernel_hits), NO_LIMIT, NO_LIMIT, "KMEMSIZE" },
	[COUNT_LOCKEDPAGES] =	{ "pages", LG_PAGE, AT(use.locked_bytes), NONE, NONE, NO_LIMIT, NO_LIMIT, "LOCKEDPAGES" },
	[COUNT_PRIVVMPAGES] =	{ "pages", LG_PAGE, AT(private_bytes), NONE, NONE, NO_LIMIT, NO_LIMIT, "PRIVVMPAGES" },
	[COUNT_SHMPAGES] =	{ "pages", LG_PAGE, AT(use.shmem_bytes), NONE, NONE, NO_LIMIT, NO_LIMIT, "SHMPAGES" },
	[COUNT_NUMPROC] =	{ "count", 1, AT(use.tasks), AT(use.tasks_peak), AT(use.tasks_hits), LG_LIMIT_TASKS, LG_LIMIT_TASKS, "NUMPROC" },
	[COUNT_PHYSPAGES] =	{ "pages", LG_PAGE, AT(use.memory_bytes), AT(use.memory_peak_bytes), AT(use.memory_max_hits), LG_LIMIT_MEMORY, LG_LIMIT_MEMORY_HIGH, "PHYSPAGES" },
	[COUNT_VMGUARPAGES] =	{ "pages", LG_PAGE, NONE, NONE, NONE, NO_LIMIT, LG_LIMIT_GUARANTEE, "VMGUARPAGES" },
	[COUNT_OOMGUARPAGES] =	{ "pages", LG_PAGE, AT(both_bytes), NONE, AT(use.oom_kills), NO_LIMIT, NO_LIMIT, "OOMGUARPAGES" },
	[COUNT_NUMTCPSOCK] =	{ "count", 1, AT(tcp_sockets), NONE, NONE, NO_LIMIT, NO_LIMIT, "NUMTCPSOCK" },
	[COUNT_NUMOTHERSOCK] =	{ "count", 1, AT(other_sockets), NONE, NONE, NO_LIMIT, NO_LIMIT, "NUMOTHERSOCK" },
	[COUNT_SWAPPAGES] =	{ "pages", LG_PAGE, AT(use.swap_bytes), AT(use.swap_peak_bytes), AT(use.swap_hits), LG_LIMIT_SWAP, LG_LIMIT_SWAP, "SWAPPAGES" },
	[COUNT_DISKSPACE] =	{ "KiB", 1024, AT(disk.bytes_used), NONE, NONE, NO_LIMIT, NO_LIMIT, "DISKSPACE" },
	[COUNT_DISKINODES] =	{ "count", 1, AT(disk.inodes_used), NONE, NONE, NO_LIMIT, NO_LIMIT, "DISKINODES" },
	[COUNT_CPULIMIT] =	{ "percent", 1, AT(cpu_percent), NONE, AT(use.throttled), LG_LIMIT_CPU, LG_LIMIT_CPU, NULL },
	[COUNT_IOLIMIT] =	{ "bytes_s", 1, AT(io_bps), NONE, NONE, LG_LIMIT_IO_READ, LG_LIMIT_IO_WRITE, NULL },
	[COUNT_IOPSLIMIT] =	{ "ops_s", 1, AT(iops), NONE, NONE, LG_LIMIT_IOPS_READ, LG_LIMIT_IOPS_WRITE, NULL },
	[COUNT_SOCKBUF] =	{ "bytes", 1, AT(use.socket_bytes), NONE, NONE, NO_LIMIT, NO_LIMIT, NULL },
};
/* clang-format on */
_Static_assert(ARRAY_SIZE(counters) == COUNT_COUNT_, "a row for every counter");

/* ---- the file ---- */

static void file_name(const struct instance *ct, char buf[40])
{
	snprintf(buf, 40, "account/%u.json", ct->ctid);
}

struct account *account_of(struct instance *ct)
{
	lg_autojson json_t *obj = NULL;
	char name[40];

	if (ct->account)
		return ct->account;
	ct->account = calloc(1, sizeof(*ct->account));
	if (!ct->account)
		return NULL;
	file_name(ct, name);
	if (lg_json_load(ct->d->var_fd, name, &obj, NULL) == 0)
		account_from_json(obj, ct->account);
	if (!ct->account->since)
		ct->account->since = time(NULL);
	return ct->account;
}

void account_save(struct instance *ct)
{
	lg_autojson json_t *obj = NULL;
	struct lg_err err = { 0 };
	char name[40];

	if (!ct->account || !ct->account->dirty)
		return;
	obj = account_to_json(ct->account);
	file_name(ct, name);
	/* Not durable: at worst, after a power cut, it is the account of a few seconds before. */
	if (lg_json_save(ct->d->var_fd, name, obj, false, &err) < 0)
		lg_log(LG_LOG_WARN, "%s: its account: %s", instance_label(ct), err.msg);
	ct->account->dirty = false;
	ct->account->written_at = time(NULL);
}

void account_drop(struct instance *ct)
{
	free(ct->account);
	ct->account = NULL;
}

void account_remove(struct instance *ct)
{
	char name[40];

	account_drop(ct);
	file_name(ct, name);
	unlinkat(ct->d->var_fd, name, 0);
}

void accounts_save(struct daemon *d)
{
	for (size_t i = 0; i < d->ncts; i++) {
		if (d->cts[i]->state != STATE_RUNNING)
			continue;
		if (account_look(d->cts[i], NULL, NULL))
			d->cts[i]->account->dirty = true;
		account_save(d->cts[i]);
	}
}

/* ---- looking ---- */

/* This boot, and the cgroup in it. Return: false when there is none. */
static bool run_id(const struct instance *ct, char id[64])
{
	static char boot[40];
	char name[16];
	uint64_t cgroup;

	if (!boot[0]) {
		lg_autofree char *text = NULL;

		if (lg_file_read(AT_FDCWD, "/proc/sys/kernel/random/boot_id", 64, &text, NULL,
				 NULL) < 0)
			return false;
		snprintf(boot, sizeof(boot), "%.36s", text);
	}
	snprintf(name, sizeof(name), "%u", ct->ctid);
	if (lg_cg_identity(ct->d->cg, name, &cgroup) < 0)
		return false;
	snprintf(id, 64, "%s:%" PRIu64, boot, cgroup);
	return true;
}

/* The container's own: /proc/PID/net is what that process sees. */
static void read_sockets(const struct instance *ct, struct seen *seen)
{
	lg_autofree char *text = NULL, *text6 = NULL;
	unsigned long long used = 0, tcp = 0, tcp6 = 0;
	const char *line;
	char path[48];

	snprintf(path, sizeof(path), "/proc/%d/net/sockstat", (int)ct->init_pid);
	if (ct->init_pid <= 0 || lg_file_read(AT_FDCWD, path, 4096, &text, NULL, NULL) < 0)
		return;
	line = strstr(text, "TCP: inuse ");
	if (sscanf(text, "sockets: used %llu", &used) != 1 || !line ||
	    sscanf(line, "TCP: inuse %llu", &tcp) != 1)
		return;
	snprintf(path, sizeof(path), "/proc/%d/net/sockstat6", (int)ct->init_pid);
	if (lg_file_read(AT_FDCWD, path, 4096, &text6, NULL, NULL) == 0)
		sscanf(text6, "TCP6: inuse %llu", &tcp6);
	seen->tcp_sockets = tcp + tcp6;
	seen->other_sockets = used > tcp + tcp6 ? used - tcp - tcp6 : 0;
}

static uint64_t per_second(uint64_t now, uint64_t before, uint64_t us)
{
	return now == UINT64_MAX || now < before || us == 0 ?
		       UINT64_MAX : (uint64_t)((double)(now - before) * 1e6 / (double)us);
}

static uint64_t sum(uint64_t a, uint64_t b)
{
	return a == UINT64_MAX || b == UINT64_MAX ? UINT64_MAX : a + b;
}

/* Since the last look, or since the start; a look right behind another repeats what that one said. */
static void make_rates(const struct instance *ct, struct account *a, struct seen *seen)
{
	uint64_t at = now_us(), us = at - a->rate.at_us;
	uint64_t bytes = sum(seen->use.read_bytes, seen->use.write_bytes);
	uint64_t ios = sum(seen->use.reads, seen->use.writes);
	int64_t up = time(NULL) - ct->started_at;

	if (a->rate.at_us == 0)
		us = up > 0 && ct->started_at ? (uint64_t)up * 1000000 : 0;
	if (a->rate.at_us == 0 || us >= RATE_US) {
		uint64_t cpu = per_second(seen->use.cpu_us, a->rate.cpu_us, us);

		a->rate.cpu_percent = cpu == UINT64_MAX ? cpu : (cpu + 5000) / 10000;
		a->rate.io_bps = per_second(bytes, a->rate.io_bytes, us);
		a->rate.iops = per_second(ios, a->rate.ios, us);
		a->rate.at_us = at;
		a->rate.cpu_us = seen->use.cpu_us;
		a->rate.io_bytes = bytes;
		a->rate.ios = ios;
	}
	seen->cpu_percent = a->rate.cpu_percent;
	seen->io_bps = a->rate.io_bps;
	seen->iops = a->rate.iops;
}

static uint64_t value_at(const struct seen *seen, size_t offset, unsigned int divisor)
{
	uint64_t v = *(const uint64_t *)((const char *)seen + offset);

	return v == UINT64_MAX ? v : v / divisor;
}

static struct reading reading_of(const struct seen *seen, const struct counter *c)
{
	return (struct reading){
		.held = value_at(seen, c->held, c->divisor),
		.peak = value_at(seen, c->peak, c->divisor),
		.fails = value_at(seen, c->fails, 1),
	};
}

static struct account *look(struct instance *ct, struct lg_cg_stats *use, struct reading *now)
{
	struct account *a = account_of(ct);
	int64_t at = time(NULL);
	struct seen seen;
	char id[64], name[16];

	memset(&seen, 0xff, sizeof(seen));
	snprintf(name, sizeof(name), "%u", ct->ctid);
	if (!a || !run_id(ct, id) || lg_cg_stats(ct->d->cg, name, LG_CG_ALL, &seen.use, NULL) < 0)
		return NULL;
	account_run(a, id);
	read_sockets(ct, &seen);
	look_disk(ct, &seen.disk);
	seen.private_bytes = seen.use.swap_bytes == UINT64_MAX ?
				     seen.use.anon_bytes : sum(seen.use.anon_bytes, seen.use.swap_bytes);
	seen.both_bytes = seen.use.swap_bytes == UINT64_MAX ?
				  seen.use.memory_bytes : sum(seen.use.memory_bytes, seen.use.swap_bytes);
	make_rates(ct, a, &seen);
	for (size_t i = 0; i < COUNT_COUNT_; i++) {
		struct reading r = reading_of(&seen, &counters[i]);

		account_note(a, (enum counter_id)i, &r, at);
		if (now)
			now[i] = r;
	}
	a->looked_at = at;
	if (use)
		*use = seen.use;
	return a;
}

struct account *account_look(struct instance *ct, struct lg_cg_stats *use, struct reading *now)
{
	struct account *a = look(ct, use, now);

	if (a && a->dirty && a->looked_at >= a->written_at + WRITE_EVERY_S)
		account_save(ct);
	return a;
}

/* A stop waits for this: written once. */
void account_close(struct instance *ct)
{
	struct account *a = look(ct, NULL, NULL);

	if (a)
		a->dirty = true;
	account_save(ct);
	account_drop(ct);
}

/* ---- Ubc ---- */

static void set_number(json_t *obj, const char *key, uint64_t value)
{
	if (value <= INT64_MAX)
		json_object_set_new(obj, key, json_integer((json_int_t)value));
}

static bool limit_value(const struct lg_limit_set *set, int id, uint64_t *ret)
{
	if (id == NO_LIMIT || set->value[id] == lg_limit_none((enum lg_limit_id)id))
		return false;
	*ret = set->value[id];
	return true;
}

/* What enforces, where something does; else the pair that the conf file keeps for vzctl's sake. */
static void set_limits(json_t *obj, const struct instance *ct, const struct counter *c,
		       const struct lg_limit_set *set)
{
	const char *text = c->key ? lg_conf_get(ct->conf, c->key) : NULL;
	uint64_t barrier = LG_UNLIMITED, limit = LG_UNLIMITED;

	if (c->limit != NO_LIMIT || c->barrier != NO_LIMIT) {
		if (limit_value(set, c->limit, &limit))
			barrier = limit;
		limit_value(set, c->barrier, &barrier);
	} else if (!text || lg_parse_pair(text, c->divisor, &barrier, &limit, NULL) < 0) {
		return;
	}
	set_number(obj, "barrier", barrier == LG_UNLIMITED ? barrier : barrier / c->divisor);
	set_number(obj, "limit", limit == LG_UNLIMITED ? limit : limit / c->divisor);
}

static json_t *counter_json(const struct instance *ct, const struct account *a, enum counter_id id,
			    const struct reading *now, const struct lg_limit_set *limits)
{
	json_t *obj = json_pack("{s:s, s:s}", "resource", counter_names[id], "unit",
				counters[id].unit);

	set_number(obj, "held", now->held);
	if (now->held != UINT64_MAX)
		set_number(obj, "maxheld", account_max(a, id));
	else if (account_max(a, id))
		set_number(obj, "maxheld", account_max(a, id));
	set_limits(obj, ct, &counters[id], limits);
	set_number(obj, "failcnt", account_fails(a, id));
	if (a->counts[id].last_hit)
		set_number(obj, "last_hit", (uint64_t)a->counts[id].last_hit);
	if (id == COUNT_OOMGUARPAGES && a->oom.at) {
		json_object_set_new(obj, "process", lg_varlink_text(a->oom.name));
		set_number(obj, "pid", (uint64_t)a->oom.pid);
	}
	return obj;
}

/* One that does not run holds nothing but its files. */
static void read_stopped(const struct instance *ct, struct reading now[COUNT_COUNT_])
{
	struct seen seen;

	memset(&seen, 0xff, sizeof(seen));
	look_disk(ct, &seen.disk);
	for (size_t i = 0; i < COUNT_COUNT_; i++)
		now[i] = reading_of(&seen, &counters[i]);
}

static json_t *account_json(struct instance *ct)
{
	struct reading now[COUNT_COUNT_];
	struct limits limits;
	bool runs = ct->state == STATE_RUNNING && account_look(ct, NULL, now);
	const struct account *a = account_of(ct);
	json_t *obj = json_pack("{s:I, s:b}", "ctid", (json_int_t)ct->ctid, "running", runs);
	json_t *list = json_array();

	if (ct->name[0])
		json_object_set_new(obj, "name", lg_varlink_text(ct->name));
	if (!runs)
		read_stopped(ct, now);
	if (a && limits_of(ct->conf, &limits, NULL) == 0) {
		set_number(obj, "since", (uint64_t)a->since);
		for (size_t i = 0; i < COUNT_COUNT_; i++)
			json_array_append_new(list, counter_json(ct, a, (enum counter_id)i, &now[i],
							     &limits.set));
	}
	json_object_set_new(obj, "counters", list);
	if (!runs)
		account_drop(ct);
	return obj;
}

void api_ubc(struct lg_vcall *call, const json_t *params, void *ctx)
{
	struct daemon *d = ctx;
	const json_t *ids = json_object_get(params, "ids");
	json_t *list = json_array(), *id;
	size_t i;

	json_array_foreach(ids, i, id) {
		struct instance *ct = instance_by_id(d, json_string_value(id));

		if (!ct) {
			lg_vcall_error(call, "io.lodge.NoSuchInstance", json_pack("{s:O}", "id", id));
			json_decref(list);
			return;
		}
		json_array_append_new(list, account_json(ct));
	}
	for (i = 0; json_array_size(ids) == 0 && i < d->ncts; i++)
		json_array_append_new(list, account_json(d->cts[i]));
	lg_vcall_reply(call, json_pack("{s:o}", "accounts", list));
}
