/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cgroup/limits.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
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

enum unit { BYTES, COUNT, PERCENT, WEIGHT, IO };

static const struct limit {
	const char *name;
	enum lg_cg_ctl ctl;
	enum unit unit;
	uint64_t none;			/* the value that limits nothing */
	const char *unified;
	const char *hybrid;		/* NULL: v1 has no such thing */
	const char *hybrid_period;	/* a second file: the period that a quota is of */
	const char *promise;		/* what it is where the kernel does not have it; NULL: refused */
	const char *hybrid_note;	/* how v1's differs */
} limits[] = {
	[LG_LIMIT_MEMORY] = { "memory", LG_CG_MEMORY, BYTES, LG_UNLIMITED,
			      "memory.max", "memory.limit_in_bytes", NULL, NULL, NULL },
	[LG_LIMIT_SWAP] = { "swap", LG_CG_MEMORY, BYTES, LG_UNLIMITED,
			    "memory.swap.max", "memory.memsw.limit_in_bytes", NULL, NULL, NULL },
	[LG_LIMIT_MEMORY_HIGH] = { "memory-high", LG_CG_MEMORY, BYTES, LG_UNLIMITED,
				   "memory.high", "memory.soft_limit_in_bytes", NULL, NULL,
				   "a soft limit on cgroup v1: what is above it is taken first when "
				   "the host runs short, and nothing is slowed down" },
	[LG_LIMIT_GUARANTEE] = { "memory-guarantee", LG_CG_MEMORY, BYTES, 0,
				 "memory.min", NULL, NULL,
				 "cgroup v1 has no guarantee of memory", NULL },
	[LG_LIMIT_CPU] = { "cpu", LG_CG_CPU, PERCENT, LG_UNLIMITED,
			   "cpu.max", "cpu.cfs_quota_us", "cpu.cfs_period_us", NULL, NULL },
	[LG_LIMIT_CPU_WEIGHT] = { "cpu-weight", LG_CG_CPU, WEIGHT, 100,
				  "cpu.weight", "cpu.shares", NULL, NULL, NULL },
	[LG_LIMIT_TASKS] = { "tasks", LG_CG_PIDS, COUNT, LG_UNLIMITED,
			     "pids.max", "pids.max", NULL, NULL, NULL },
	[LG_LIMIT_IO_WEIGHT] = { "io-priority", LG_CG_IO, IO, 100, "io.weight", "blkio.weight",
				 NULL, "this kernel has no weights of disks", NULL },
	[LG_LIMIT_IO_READ] = { "io-read", LG_CG_IO, IO, LG_UNLIMITED, "io.max",
			       "blkio.throttle.read_bps_device", NULL, NULL, NULL },
	[LG_LIMIT_IO_WRITE] = { "io-write", LG_CG_IO, IO, LG_UNLIMITED, "io.max",
				"blkio.throttle.write_bps_device", NULL, NULL, NULL },
	[LG_LIMIT_IOPS_READ] = { "iops-read", LG_CG_IO, IO, LG_UNLIMITED, "io.max",
				 "blkio.throttle.read_iops_device", NULL, NULL, NULL },
	[LG_LIMIT_IOPS_WRITE] = { "iops-write", LG_CG_IO, IO, LG_UNLIMITED, "io.max",
				  "blkio.throttle.write_iops_device", NULL, NULL, NULL },
};
_Static_assert(ARRAY_SIZE(limits) == LG_LIMIT_COUNT_, "one row per limit");

uint64_t lg_limit_none(enum lg_limit_id id)
{
	return limits[id].none;
}

bool lg_limit_is_io(enum lg_limit_id id)
{
	return limits[id].unit == IO;
}

void lg_limit_note(const struct lg_limit_set *set, const char *fmt, ...)
{
	char line[LG_EFFECT_MAX];
	va_list ap;

	if (!set->note)
		return;
	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	set->note(line, set->note_arg);
}

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
	case IO:	/* limits_io.c */
		if (value == LG_UNLIMITED)
			snprintf(text, 48, "%s", unlimited);
		else
			snprintf(text, 48, "%" PRIu64, value);
		break;
	}
}

static bool is_no_limit(const struct limit *limit, uint64_t value)
{
	return value == LG_UNLIMITED || value == limit->none;
}

int lg_limit_explain(const struct lg_cg_host *host, const char *name, const char *what,
		     enum lg_cg_ctl ctl, const char *file, int r, struct lg_err *err)
{
	if (r != -ENOENT)
		return lg_fail(err, r, "limit the %s of %s", what, name);
	/* It is one of three things. */
	if (faccessat(host->v2.top, name, F_OK, 0) < 0)
		return lg_refuse(err, r, 0, "%s has no cgroup: it is not running", name);
	if (faccessat(host->ctl[ctl].top, name, F_OK, 0) < 0)
		return lg_refuse(err, r, 0,
				 "the %s of %s cannot be limited before its next start: an earlier "
				 "release of lodge started it without %s", what, name,
				 lg_cg_ctls[ctl].name);
	return lg_refuse(err, -EOPNOTSUPP, 0,
			 "the %s of %s cannot be limited: this kernel has no %s", what, name, file);
}

int lg_limit_no_controller(const char *name, const char *what, enum lg_cg_ctl ctl,
			   struct lg_err *err)
{
	return lg_refuse(err, -EOPNOTSUPP, 0,
			 "the %s of %s cannot be limited: this host gives lodge no %s controller",
			 what, name, lg_cg_ctls[ctl].name);
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
	r = lg_limit_explain(host, name, limit->name, limit->ctl, file, r, err);
	return r == -EOPNOTSUPP && is_no_limit(limit, value) ? 0 : r;
}

static bool is_memsw(const struct lg_cg_host *host, enum lg_limit_id id)
{
	return host->ctl[LG_CG_MEMORY].v1 && (id == LG_LIMIT_MEMORY || id == LG_LIMIT_SWAP);
}

static int write_limit(struct lg_cg_host *host, const char *name, enum lg_limit_id id,
		       const struct lg_limit_set *set, struct lg_err *err)
{
	const struct limit *limit = &limits[id];
	int r;

	if (limit->unit == IO)
		return lg_io_limit_apply(host, name, id, set, err);
	if (is_memsw(host, id) && id == LG_LIMIT_SWAP && set->mask & (1u << LG_LIMIT_MEMORY))
		return 0;	/* went with the memory */
	if (is_memsw(host, id))
		return lg_memsw_apply(host->ctl[LG_CG_MEMORY].top, name, set, err);
	if (id == LG_LIMIT_GUARANTEE) {
		r = lg_guarantee_check(host, name, set->value[id], err);
		if (r < 0)
			return r;
	}
	r = apply_one(host, name, limit, set->value[id], err);
	if (r == 0 && id == LG_LIMIT_GUARANTEE)
		lg_guarantees_pass_on(host);
	return r;
}

/* A promise that cannot be kept; NULL: it can, or it is none. */
static const char *broken_promise(const struct lg_cg_host *host, const struct limit *limit,
				  char buf[64])
{
	if (!limit->promise)
		return NULL;
	if (host->ctl[limit->ctl].top < 0) {
		snprintf(buf, 64, "this host gives lodge no %s controller",
			 lg_cg_ctls[limit->ctl].name);
		return buf;
	}
	return host->ctl[limit->ctl].v1 && !limit->hybrid ? limit->promise : NULL;
}

static void note_difference(const struct lg_cg_host *host, const struct lg_limit_set *set,
			    const struct limit *limit, const char *broken)
{
	if (broken)
		lg_limit_note(set, "%s is kept and has no effect on this host: %s", limit->name,
			      broken);
	else if (host->ctl[limit->ctl].v1 && limit->hybrid_note)
		lg_limit_note(set, "%s is %s", limit->name, limit->hybrid_note);
}

static int apply(struct lg_cg_host *host, const char *name, enum lg_limit_id id,
		 const struct lg_limit_set *set, struct lg_err *err)
{
	const struct limit *limit = &limits[id];
	bool none = is_no_limit(limit, set->value[id]);
	char buf[64];
	const char *broken = broken_promise(host, limit, buf);
	int r;

	if (none && (broken || host->ctl[limit->ctl].top < 0))
		return 0;
	if (!broken && host->ctl[limit->ctl].top < 0)
		return lg_limit_no_controller(name, limit->name, limit->ctl, err);
	r = broken ? 0 : write_limit(host, name, id, set, err);
	if (r == -EOPNOTSUPP && limit->promise) {
		broken = limit->promise;
		r = 0;
	}
	if (r == 0 && !none)
		note_difference(host, set, limit, broken);
	return r;
}

int lg_limits_foresee(struct lg_cg_host *host, const char *name, const struct lg_limit_set *set,
		      struct lg_err *err)
{
	for (unsigned int id = 0; id < LG_LIMIT_COUNT_; id++) {
		const struct limit *limit = &limits[id];
		char buf[64];
		const char *broken = broken_promise(host, limit, buf);

		if (!(set->mask & (1u << id)) || is_no_limit(limit, set->value[id]))
			continue;
		if (!broken && host->ctl[limit->ctl].top < 0)
			return lg_limit_no_controller(name, limit->name, limit->ctl, err);
		note_difference(host, set, limit, broken);
	}
	lg_io_note(host, set);
	return 0;
}

int lg_limits_apply(struct lg_cg_host *host, const char *name, const struct lg_limit_set *set,
		    struct lg_err *err)
{
	int r = lg_cg_check_name(name, false, err);

	for (unsigned int id = 0; r == 0 && id < LG_LIMIT_COUNT_; id++) {
		struct lg_err why = { 0 };

		if (!(set->mask & (1u << id)))
			continue;
		/* Of its own: what is neither had nor wanted leaves no trace in @err. */
		r = apply(host, name, (enum lg_limit_id)id, set, &why);
		if (r < 0 && err)
			*err = why;
	}
	if (r == 0)
		lg_io_note(host, set);
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
	const char *file = v1 ? limit->hybrid : limit->unified;
	uint64_t value;
	int r;

	if (!file)
		return -EOPNOTSUPP;
	if (limit->unit == IO)
		return lg_io_limit_read(top, name, id, v1, ret);

	if (limit->unit == PERCENT)
		return read_cpu(top, name, limit, v1, ret);
	if (v1 && (id == LG_LIMIT_MEMORY || id == LG_LIMIT_SWAP))
		return read_memsw(top, name, id, ret);
	r = lg_cg_read_number(top, name, file, &value);
	if (r == 0 && v1 && limit->unit == BYTES && value >= LG_CG_V1_UNLIMITED)
		value = LG_UNLIMITED;
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

void lg_limit_effect(struct lg_cg_host *host, const char *name, const struct lg_limit_set *set,
		     enum lg_limit_id id, char ret[LG_EFFECT_MAX])
{
	const struct limit *limit = &limits[id];
	char buf[64];
	const char *broken = broken_promise(host, limit, buf);

	ret[0] = '\0';
	if (is_no_limit(limit, set->value[id]))
		return;
	if (broken)
		snprintf(ret, LG_EFFECT_MAX, "no effect here: %s", broken);
	else if (limit->unit == IO)
		lg_io_effect(host, name, set, id, ret);
	else if (host->ctl[limit->ctl].v1 && limit->hybrid_note)
		snprintf(ret, LG_EFFECT_MAX, "%s", limit->hybrid_note);
}
