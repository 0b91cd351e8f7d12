/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cgroup/limits.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cgroup/host.h"
#include "lib/cleanup.h"
#include "lib/parse.h"

#define PERIOD_US 100000u	/* CPU quotas are per this; the kernel's default */
#define SHARES_NORMAL 1024u	/* v1's cpu.shares for a weight of 100 */
#define SHARES_MIN 2u
#define SHARES_MAX 262144u
#define CPU_MAX (UINT64_C(100) * 65536)

enum unit { BYTES, COUNT, PERCENT, WEIGHT };

static const struct limit {
	const char *name;
	enum lg_cg_ctl ctl;
	enum unit unit;
	const char *unified;
	const char *hybrid;
	const char *hybrid_period;	/* a second file: the period that a quota is of */
} limits[] = {
	[LG_LIMIT_MEMORY] = { "memory", LG_CG_MEMORY, BYTES,
			      "memory.max", "memory.limit_in_bytes", NULL },
	[LG_LIMIT_SWAP] = { "swap", LG_CG_MEMORY, BYTES,
			    "memory.swap.max", "memory.memsw.limit_in_bytes", NULL },
	[LG_LIMIT_CPU] = { "cpu", LG_CG_CPU, PERCENT,
			   "cpu.max", "cpu.cfs_quota_us", "cpu.cfs_period_us" },
	[LG_LIMIT_CPU_WEIGHT] = { "cpu-weight", LG_CG_CPU, WEIGHT,
				  "cpu.weight", "cpu.shares", NULL },
	[LG_LIMIT_TASKS] = { "tasks", LG_CG_PIDS, COUNT, "pids.max", "pids.max", NULL },
};
_Static_assert(ARRAY_SIZE(limits) == LG_LIMIT_COUNT_, "one row per limit");

static uint64_t clamp(uint64_t value, uint64_t min, uint64_t max)
{
	return value < min ? min : value > max ? max : value;
}

static uint64_t shares_of(uint64_t weight)
{
	return clamp((weight * SHARES_NORMAL + 50) / 100, SHARES_MIN, SHARES_MAX);
}

static uint64_t weight_of(uint64_t shares)
{
	return clamp((shares * 100 + SHARES_NORMAL / 2) / SHARES_NORMAL, 1, 10000);
}

/* What the kernel is to be told; @value is in the row's unit. */
static void format(const struct limit *limit, bool v1, uint64_t value, char text[48])
{
	const char *unlimited = v1 && limit->unit != COUNT ? "-1" : "max";

	switch (limit->unit) {
	case PERCENT:
		if (value == LG_UNLIMITED)
			snprintf(text, 48, v1 ? "%s" : "%s %u", unlimited, PERIOD_US);
		else
			snprintf(text, 48, v1 ? "%" PRIu64 : "%" PRIu64 " %u",
				 clamp(value, 1, CPU_MAX) * PERIOD_US / 100, PERIOD_US);
		break;
	case WEIGHT:
		value = value == LG_UNLIMITED ? 100 : clamp(value, 1, 10000);
		snprintf(text, 48, "%" PRIu64, v1 ? shares_of(value) : value);
		break;
	case BYTES:
	case COUNT:
		if (value == LG_UNLIMITED)
			snprintf(text, 48, "%s", unlimited);
		else
			snprintf(text, 48, "%" PRIu64, value);
		break;
	}
}

static bool is_no_limit(const struct limit *limit, uint64_t value)
{
	return value == LG_UNLIMITED || (limit->unit == WEIGHT && value == 100);
}

/* ENOENT is either of two things: the instance has no cgroup, or the kernel no such file. */
static int explain(int top, const char *name, const struct limit *limit, const char *file,
		   int r, struct lg_err *err)
{
	if (r != -ENOENT)
		return lg_fail(err, r, "limit the %s of %s", limit->name, name);
	if (faccessat(top, name, F_OK, 0) < 0)
		return lg_refuse(err, r, 0, "%s has no cgroup: it is not running", name);
	return lg_refuse(err, -EOPNOTSUPP, 0,
			 "the %s of %s cannot be limited: this kernel has no %s", limit->name,
			 name, file);
}

static int apply_one(const struct lg_cg_host *host, const char *name, const struct limit *limit,
		     uint64_t value, struct lg_err *err)
{
	int top = host->ctl[limit->ctl].top;
	bool v1 = host->ctl[limit->ctl].v1;
	const char *file = v1 ? limit->hybrid : limit->unified;
	char text[48];
	int r = 0;

	format(limit, v1, value, text);
	if (v1 && limit->hybrid_period) {
		char period[16];

		snprintf(period, sizeof(period), "%u", PERIOD_US);
		r = lg_cg_write(top, name, limit->hybrid_period, period);
	}
	if (r == 0)
		r = lg_cg_write(top, name, file, text);
	if (r == 0)
		return 0;
	r = explain(top, name, limit, file, r, err);
	return r == -EOPNOTSUPP && is_no_limit(limit, value) ? 0 : r;
}

static int apply(const struct lg_cg_host *host, const char *name, enum lg_limit_id id,
		 const struct lg_limit_set *set, struct lg_err *err)
{
	const struct limit *limit = &limits[id];
	int top = host->ctl[limit->ctl].top;

	if (top < 0 && is_no_limit(limit, set->value[id]))
		return 0;
	if (top < 0)
		return lg_refuse(err, -EOPNOTSUPP, 0,
				 "the %s of %s cannot be limited: this host gives lodge no %s "
				 "controller", limit->name, name, lg_cg_ctls[limit->ctl].name);
	if (!host->ctl[limit->ctl].v1 || limit->ctl != LG_CG_MEMORY)
		return apply_one(host, name, limit, set->value[id], err);
	if (id == LG_LIMIT_SWAP && set->mask & (1u << LG_LIMIT_MEMORY))
		return 0;	/* went with the memory */
	return lg_memsw_apply(top, name, set, err);
}

int lg_limits_apply(struct lg_cg_host *host, const char *name, const struct lg_limit_set *set,
		    struct lg_err *err)
{
	struct lg_err why = { 0 };
	int r = lg_cg_check_name(name, false, err);

	for (unsigned int id = 0; r == 0 && id < LG_LIMIT_COUNT_; id++) {
		if (!(set->mask & (1u << id)))
			continue;
		/* Of its own: what is neither had nor wanted leaves no trace in @err. */
		r = apply(host, name, (enum lg_limit_id)id, set, &why);
		if (r < 0 && err)
			*err = why;
	}
	return r;
}

/* cpu.max is "QUOTA PERIOD" or "max PERIOD"; v1 keeps them in two files, no limit being -1. */
static int read_cpu(int top, const char *name, const struct limit *limit, bool v1,
		    uint64_t *ret)
{
	char text[LG_CG_TEXT];
	uint64_t quota, period;
	const char *second;
	const char *file = v1 ? limit->hybrid : limit->unified;
	ssize_t n = lg_cg_read(top, name, file, text, sizeof(text));
	int r = n < 0 ? (int)n : lg_cg_number(text, &quota);

	if (r < 0)
		return r;
	second = strchr(text, ' ');
	if (v1)
		r = lg_cg_read_number(top, name, limit->hybrid_period, &period);
	else
		r = second ? lg_cg_number(second + 1, &period) : -EINVAL;
	if (r < 0)
		return r;
	if (period == 0 || (quota != UINT64_MAX && quota > UINT64_MAX / 200))
		return -ERANGE;
	*ret = quota == UINT64_MAX ? LG_UNLIMITED : (quota * 100 + period / 2) / period;
	return 0;
}

static int read_memsw(int top, const char *name, enum lg_limit_id id, uint64_t *ret)
{
	struct lg_memsw now;
	int r = lg_memsw_read(top, name, &now, NULL);

	if (r < 0)
		return r;
	if (id == LG_LIMIT_MEMORY)
		*ret = now.memory;
	else
		*ret = now.total == LG_UNLIMITED ? LG_UNLIMITED : now.total - now.memory;
	return 0;
}

static int read_one(int top, const char *name, enum lg_limit_id id, bool v1, uint64_t *ret)
{
	const struct limit *limit = &limits[id];
	uint64_t value;
	int r;

	if (limit->unit == PERCENT)
		return read_cpu(top, name, limit, v1, ret);
	if (v1 && limit->unit == BYTES)
		return read_memsw(top, name, id, ret);
	r = lg_cg_read_number(top, name, v1 ? limit->hybrid : limit->unified, &value);
	if (r == 0)
		*ret = v1 && limit->unit == WEIGHT ? weight_of(value) : value;
	return r;
}

int lg_limit_read(struct lg_cg_host *host, const char *name, enum lg_limit_id id, uint64_t *ret,
		  struct lg_err *err)
{
	int r = lg_cg_check_name(name, false, err);
	int top;

	if (r < 0)
		return r;
	top = host->ctl[limits[id].ctl].top;
	r = top < 0 ? -EOPNOTSUPP : read_one(top, name, id, host->ctl[limits[id].ctl].v1, ret);
	return r < 0 ? lg_fail(err, r, "read the %s limit of %s", limits[id].name, name) : 0;
}
