/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * How it works: a v1 hierarchy has a limit on memory and one on memory and swap together, and
 * the kernel takes no write that would leave the second below the first. So the sum is written
 * first when it grows and last when it shrinks; both orders keep memory <= sum at every moment.
 * Swap is what the two differ by.
 */

#include "cgroup/host.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "cgroup/limits.h"
#include "lib/parse.h"

#define FILE_MEMORY "memory.limit_in_bytes"
#define FILE_TOTAL "memory.memsw.limit_in_bytes"
#define FILE_USED "memory.usage_in_bytes"

static bool names(const struct lg_limit_set *set, enum lg_limit_id id)
{
	return set->mask & (1u << id);
}

int lg_memsw_plan(const struct lg_memsw *now, const struct lg_limit_set *set,
		  struct lg_memsw *ret, bool *total_first)
{
	uint64_t memory = now->memory;
	uint64_t swap = LG_UNLIMITED;

	if (now->total != LG_UNLIMITED && now->memory != LG_UNLIMITED)
		swap = now->total - now->memory;
	if (names(set, LG_LIMIT_MEMORY))
		memory = set->value[LG_LIMIT_MEMORY];
	if (names(set, LG_LIMIT_SWAP))
		swap = set->value[LG_LIMIT_SWAP];
	if (memory == LG_UNLIMITED && names(set, LG_LIMIT_SWAP) && swap != LG_UNLIMITED)
		return -EOPNOTSUPP;
	ret->memory = memory;
	ret->total = LG_UNLIMITED;
	if (memory < LG_CG_V1_UNLIMITED && swap < LG_CG_V1_UNLIMITED - memory)
		ret->total = memory + swap;
	*total_first = ret->total >= now->total;
	return 0;
}

static int read_limit(int top, const char *name, const char *file, uint64_t *ret)
{
	int r = lg_cg_read_number(top, name, file, ret);

	if (r == 0 && *ret >= LG_CG_V1_UNLIMITED)
		*ret = LG_UNLIMITED;
	return r;
}

int lg_memsw_read(int top, const char *name, struct lg_memsw *ret, bool *ret_has_total)
{
	struct lg_memsw now;
	int r = read_limit(top, name, FILE_MEMORY, &now.memory);
	int q;

	if (r < 0)
		return r;
	q = read_limit(top, name, FILE_TOTAL, &now.total);
	if (q < 0 && q != -ENOENT)
		return q;
	if (q < 0)
		now.total = LG_UNLIMITED;
	if (ret_has_total)
		*ret_has_total = q == 0;
	*ret = now;
	return 0;
}

static int write_limit(int top, const char *name, const char *file, uint64_t value)
{
	char text[32] = "-1";

	if (value != LG_UNLIMITED)
		snprintf(text, sizeof(text), "%" PRIu64, value);
	return lg_cg_write(top, name, file, text);
}

/* EBUSY: the limit is below what is used and the kernel could not free enough. */
static int explain(int top, const char *name, int r, const struct lg_memsw *want,
		   struct lg_err *err)
{
	uint64_t used;
	char limit[16];
	char size[16];

	if (r != -EBUSY || lg_cg_read_number(top, name, FILE_USED, &used) < 0)
		return lg_fail(err, r, "limit the memory of %s", name);
	lg_format_size(want->memory, limit);
	lg_format_size(used, size);
	return lg_refuse(err, r, 0,
			 "the memory of %s cannot be limited to %s: %s are used and the kernel "
			 "could not free enough; stop something in it, or choose more",
			 name, limit, size);
}

/* The two writes in the order of the plan; a failure of the second takes the first one back. */
static int write_both(int top, const char *name, const struct lg_memsw *now,
		      const struct lg_memsw *want, bool total_first, struct lg_err *err)
{
	const char *files[] = { total_first ? FILE_TOTAL : FILE_MEMORY,
				total_first ? FILE_MEMORY : FILE_TOTAL };
	uint64_t values[] = { total_first ? want->total : want->memory,
			      total_first ? want->memory : want->total };
	int r = write_limit(top, name, files[0], values[0]);

	if (r < 0)
		return explain(top, name, r, want, err);
	r = write_limit(top, name, files[1], values[1]);
	if (r == 0)
		return 0;
	r = explain(top, name, r, want, err);
	(void)write_limit(top, name, files[0], total_first ? now->total : now->memory);
	return r;
}

int lg_memsw_apply(int top, const char *name, const struct lg_limit_set *set,
		   struct lg_err *err)
{
	struct lg_memsw now, want;
	bool total_first;
	bool has_total;
	int r = lg_memsw_read(top, name, &now, &has_total);

	if (r < 0)
		return lg_fail(err, r, "read the memory limit of %s", name);
	r = lg_memsw_plan(&now, set, &want, &total_first);
	if (r < 0)
		return lg_refuse(err, r, 0,
				 "the swap of %s cannot be limited while its memory is not: "
				 "cgroup v1 counts both together; limit its memory too",
				 name);
	if (has_total)
		return write_both(top, name, &now, &want, total_first, err);
	if (names(set, LG_LIMIT_SWAP) && set->value[LG_LIMIT_SWAP] != LG_UNLIMITED)
		return lg_refuse(err, -EOPNOTSUPP, 0,
				 "the swap of %s cannot be limited: this kernel does not "
				 "account swap (boot it with swapaccount=1)",
				 name);
	r = write_limit(top, name, FILE_MEMORY, want.memory);
	return r == 0 ? 0 : explain(top, name, r, &want, err);
}
