/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cgroup/host.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "lib/cleanup.h"

/*
 * One row per number. CPU time is always cgroup2's: cpu.stat is there without any controller,
 * and a hybrid host then needs no cpuacct cgroup. A row without a key is a file of one number.
 */
static const struct source {
	size_t offset;
	enum lg_cg_ctl ctl;
	const char *unified, *hybrid;
	const char *unified_key, *hybrid_key;
} sources[] = {
	{ offsetof(struct lg_cg_usage, memory_bytes), LG_CG_MEMORY,
	  "memory.current", "memory.usage_in_bytes", NULL, NULL },
	{ offsetof(struct lg_cg_usage, memory_peak_bytes), LG_CG_MEMORY,
	  "memory.peak", "memory.max_usage_in_bytes", NULL, NULL },
	{ offsetof(struct lg_cg_usage, swap_bytes), LG_CG_MEMORY,
	  "memory.swap.current", "memory.memsw.usage_in_bytes", NULL, NULL },
	{ offsetof(struct lg_cg_usage, tasks), LG_CG_PIDS,
	  "pids.current", "pids.current", NULL, NULL },
	{ offsetof(struct lg_cg_usage, oom_kills), LG_CG_MEMORY,
	  "memory.events", "memory.oom_control", "oom_kill", "oom_kill" },
};

static uint64_t read_value(int top, const char *name, const char *file, const char *key)
{
	char text[LG_CG_TEXT];
	uint64_t value;

	if (lg_cg_read(top, name, file, text, sizeof(text)) < 0)
		return UINT64_MAX;
	if (key ? lg_cg_keyed(text, key, &value) : lg_cg_number(text, &value))
		return UINT64_MAX;
	return value;
}

static uint64_t read_source(const struct lg_cg_host *host, const char *name,
			    const struct source *source)
{
	int top = host->ctl[source->ctl].top;

	if (top < 0)
		return UINT64_MAX;
	if (host->ctl[source->ctl].v1)
		return read_value(top, name, source->hybrid, source->hybrid_key);
	return read_value(top, name, source->unified, source->unified_key);
}

int lg_cg_usage(struct lg_cg_host *host, const char *name, struct lg_cg_usage *ret,
		struct lg_err *err)
{
	struct lg_cg_usage usage;
	int r = lg_cg_check_name(name, false, err);

	if (r < 0)
		return r;
	if (faccessat(host->v2.top, name, F_OK, 0) < 0)
		return lg_fail(err, -errno, "cgroup %s/%s", host->v2.path, name);
	for (size_t i = 0; i < ARRAY_SIZE(sources); i++) {
		uint64_t value = read_source(host, name, &sources[i]);

		memcpy((char *)&usage + sources[i].offset, &value, sizeof(value));
	}
	/* v1 counts memory and swap together, a moment later than memory alone. */
	if (host->ctl[LG_CG_MEMORY].v1 && usage.swap_bytes != UINT64_MAX)
		usage.swap_bytes -= usage.swap_bytes < usage.memory_bytes ? usage.swap_bytes :
								      usage.memory_bytes;
	usage.cpu_us = read_value(host->v2.top, name, "cpu.stat", "usage_usec");
	*ret = usage;
	return 0;
}
