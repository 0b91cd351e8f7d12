/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * How it works: on cgroup2 an instance's memory.min protects it only as far as every cgroup above it
 * is protected. So TOP, and what is above it up to the hierarchy's root, get the sum of what
 * the instances were guaranteed; again when one goes, and when the daemon starts. Cgroups that are not
 * lodge's own (system.slice) are only raised, as others may have said something there.
 */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysinfo.h>

#include "cgroup/host.h"
#include "cgroup/limits.h"
#include "lib/cleanup.h"
#include "lib/parse.h"

#define FILE_MIN "memory.min"
#define UP_MAX 16		/* levels above TOP */
#define HOST_KEEPS 10u		/* percent of the memory that cannot be given away */

struct sum {
	uint64_t bytes;
	const char *except;
};

static int add(int parent, const char *name, void *arg)
{
	struct sum *sum = arg;
	uint64_t bytes;

	if (sum->except && strcmp(name, sum->except) == 0)
		return 0;
	if (lg_cg_read_number(parent, name, FILE_MIN, &bytes) == 0)
		sum->bytes = bytes > UINT64_MAX - sum->bytes ? UINT64_MAX : sum->bytes + bytes;
	return 0;
}

static uint64_t guaranteed_in(int dir, const char *except)
{
	struct sum sum = { .except = except };

	(void)lg_cg_children(dir, add, &sum);
	return sum.bytes;
}

static int raise_to(int dir, uint64_t want, bool ours)
{
	char text[24];
	uint64_t now;
	int r = lg_cg_read_number(dir, "", FILE_MIN, &now);

	if (r < 0)
		return r;	/* the root has no such file */
	if (now == want || (now > want && !ours))
		return 0;
	snprintf(text, sizeof(text), "%" PRIu64, want);
	return lg_cg_write(dir, "", FILE_MIN, text);
}

/* TOP, and above it what bears our name: nobody else has a say in lodge-containers.service. */
static bool is_ours(const struct lg_cg_host *host, int up)
{
	const char *end = host->v2.path + strlen(host->v2.path), *at = end;

	for (; up >= 0; up--) {
		end = at;
		while (at > host->v2.path && at[-1] != '/')
			at--;
		if (at == end)
			return false;
		if (up > 0)
			at--;
	}
	return strncmp(at, "lodge", 5) == 0;
}

void lg_guarantees_pass_on(struct lg_cg_host *host)
{
	lg_autoclose int dir = -1;

	if (host->ctl[LG_CG_MEMORY].top < 0 || host->ctl[LG_CG_MEMORY].v1)
		return;
	dir = openat(host->v2.top, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	for (int up = 0; dir >= 0 && up <= UP_MAX; up++) {
		int above;

		if (raise_to(dir, guaranteed_in(dir, NULL), up == 0 || is_ours(host, up)) < 0)
			return;
		above = openat(dir, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
		lg_close(dir);
		dir = above;
	}
}

int lg_guarantee_check(struct lg_cg_host *host, const char *name, uint64_t bytes,
		       struct lg_err *err)
{
	uint64_t others, room;
	char want[16], given[16], have[16];
	struct sysinfo si;

	if (bytes == 0 || sysinfo(&si) < 0)
		return 0;
	others = guaranteed_in(host->ctl[LG_CG_MEMORY].top, name);
	room = (uint64_t)si.totalram * si.mem_unit / 100 * (100 - HOST_KEEPS);
	if (others <= room && bytes <= room - others)
		return 0;
	lg_format_size(bytes, want);
	lg_format_size(others, given);
	lg_format_size(room, have);
	return lg_refuse(err, -ERANGE, 0,
			 "%s cannot be guaranteed %s: others are guaranteed %s, and all together may "
			 "have %s (%u %% of the host's memory)", name, want, given, have,
			 100 - HOST_KEEPS);
}
