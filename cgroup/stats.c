/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cgroup/stats.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cgroup/host.h"
#include "lib/cleanup.h"

#define TEXT_MAX 16384u		/* memory.stat of v1 has each line twice */
#define V2 (-1)			/* not of a controller: always cgroup2's */

/* How a number stands in its file. */
enum form {
	ALONE,		/* the file is one number */
	LINE,		/* "KEY number" */
	PER_DEVICE,	/* "8:0 KEY=number ..." for each device: their sum */
	PER_DEVICE_V1,	/* "8:0 KEY number" for each device: their sum */
};

struct place {
	const char *file;	/* NULL: that kind of hierarchy does not have it */
	const char *key;
	enum form form;
};

/*
 * One row per number. CPU time is always cgroup2's: cpu.stat is there without any controller, and
 * a hybrid host then needs no cpuacct cgroup. Rows of one file stand together: it is read once.
 *
 * What the limits of the guest's own cgroups did is not counted as ours (memory.events.local);
 * kills are, wherever they were.
 */
#define FIELD(name) offsetof(struct lg_cg_stats, name)
/* clang-format off */
static const struct source {
	size_t offset;
	unsigned int part;
	int ctl;
	struct place unified, hybrid;
} sources[] = {
	{ FIELD(cpu_us), LG_CG_BASIC, V2, { "cpu.stat", "usage_usec", LINE }, { "cpu.stat", "usage_usec", LINE } },
	{ FIELD(cpu_user_us), LG_CG_BASIC, V2, { "cpu.stat", "user_usec", LINE }, { "cpu.stat", "user_usec", LINE } },
	{ FIELD(cpu_system_us), LG_CG_BASIC, V2, { "cpu.stat", "system_usec", LINE }, { "cpu.stat", "system_usec", LINE } },
	{ FIELD(periods), LG_CG_CPU_WAIT, LG_CG_CPU, { "cpu.stat", "nr_periods", LINE }, { "cpu.stat", "nr_periods", LINE } },
	{ FIELD(throttled), LG_CG_CPU_WAIT, LG_CG_CPU, { "cpu.stat", "nr_throttled", LINE }, { "cpu.stat", "nr_throttled", LINE } },
	{ FIELD(throttled_us), LG_CG_CPU_WAIT, LG_CG_CPU, { "cpu.stat", "throttled_usec", LINE }, { "cpu.stat", "throttled_time", LINE } },
	{ FIELD(memory_bytes), LG_CG_BASIC, LG_CG_MEMORY, { "memory.current", NULL, ALONE }, { "memory.usage_in_bytes", NULL, ALONE } },
	{ FIELD(swap_bytes), LG_CG_BASIC, LG_CG_MEMORY, { "memory.swap.current", NULL, ALONE }, { "memory.memsw.usage_in_bytes", NULL, ALONE } },
	{ FIELD(oom_kills), LG_CG_BASIC, LG_CG_MEMORY, { "memory.events", "oom_kill", LINE }, { "memory.oom_control", "oom_kill", LINE } },
	{ FIELD(tasks), LG_CG_BASIC, LG_CG_PIDS, { "pids.current", NULL, ALONE }, { "pids.current", NULL, ALONE } },
	{ FIELD(read_bytes), LG_CG_DISK, LG_CG_IO, { "io.stat", "rbytes", PER_DEVICE }, { "blkio.throttle.io_service_bytes", "Read", PER_DEVICE_V1 } },
	{ FIELD(write_bytes), LG_CG_DISK, LG_CG_IO, { "io.stat", "wbytes", PER_DEVICE }, { "blkio.throttle.io_service_bytes", "Write", PER_DEVICE_V1 } },
	{ FIELD(reads), LG_CG_DISK, LG_CG_IO, { "io.stat", "rios", PER_DEVICE }, { "blkio.throttle.io_serviced", "Read", PER_DEVICE_V1 } },
	{ FIELD(writes), LG_CG_DISK, LG_CG_IO, { "io.stat", "wios", PER_DEVICE }, { "blkio.throttle.io_serviced", "Write", PER_DEVICE_V1 } },
	{ FIELD(memory_peak_bytes), LG_CG_PEAKS, LG_CG_MEMORY, { "memory.peak", NULL, ALONE }, { "memory.max_usage_in_bytes", NULL, ALONE } },
	{ FIELD(swap_peak_bytes), LG_CG_PEAKS, LG_CG_MEMORY, { "memory.swap.peak", NULL, ALONE }, { NULL, NULL, ALONE } },
	{ FIELD(tasks_peak), LG_CG_PEAKS, LG_CG_PIDS, { "pids.peak", NULL, ALONE }, { "pids.peak", NULL, ALONE } },
	{ FIELD(memory_high_hits), LG_CG_DENIED, LG_CG_MEMORY, { "memory.events.local", "high", LINE }, { NULL, NULL, ALONE } },
	{ FIELD(memory_max_hits), LG_CG_DENIED, LG_CG_MEMORY, { "memory.events.local", "max", LINE }, { "memory.failcnt", NULL, ALONE } },
	{ FIELD(swap_hits), LG_CG_DENIED, LG_CG_MEMORY, { "memory.swap.events", "max", LINE }, { "memory.memsw.failcnt", NULL, ALONE } },
	{ FIELD(tasks_hits), LG_CG_DENIED, LG_CG_PIDS, { "pids.events", "max", LINE }, { "pids.events", "max", LINE } },
	{ FIELD(anon_bytes), LG_CG_KINDS, LG_CG_MEMORY, { "memory.stat", "anon", LINE }, { "memory.stat", "rss", LINE } },
	{ FIELD(file_bytes), LG_CG_KINDS, LG_CG_MEMORY, { "memory.stat", "file", LINE }, { "memory.stat", "cache", LINE } },
	{ FIELD(shmem_bytes), LG_CG_KINDS, LG_CG_MEMORY, { "memory.stat", "shmem", LINE }, { "memory.stat", "shmem", LINE } },
	{ FIELD(locked_bytes), LG_CG_KINDS, LG_CG_MEMORY, { "memory.stat", "unevictable", LINE }, { "memory.stat", "unevictable", LINE } },
	{ FIELD(refaults), LG_CG_KINDS, LG_CG_MEMORY, { "memory.stat", "workingset_refault_file", LINE }, { "memory.stat", "workingset_refault_file", LINE } },
	{ FIELD(major_faults), LG_CG_KINDS, LG_CG_MEMORY, { "memory.stat", "pgmajfault", LINE }, { "memory.stat", "pgmajfault", LINE } },
	{ FIELD(kernel_bytes), LG_CG_KINDS, LG_CG_MEMORY, { "memory.stat", "kernel", LINE }, { "memory.kmem.usage_in_bytes", NULL, ALONE } },
	{ FIELD(socket_bytes), LG_CG_KINDS, LG_CG_MEMORY, { "memory.stat", "sock", LINE }, { "memory.kmem.tcp.usage_in_bytes", NULL, ALONE } },
	{ FIELD(kernel_peak_bytes), LG_CG_KINDS, LG_CG_MEMORY, { NULL, NULL, ALONE }, { "memory.kmem.max_usage_in_bytes", NULL, ALONE } },
	{ FIELD(kernel_hits), LG_CG_KINDS, LG_CG_MEMORY, { NULL, NULL, ALONE }, { "memory.kmem.failcnt", NULL, ALONE } },
};

static const struct {
	size_t offset;
	const char *file;
} pressures[] = {
	{ FIELD(cpu), "cpu.pressure" },
	{ FIELD(memory), "memory.pressure" },
	{ FIELD(io), "io.pressure" },
};
/* clang-format on */

/* ---- numbers in texts ---- */

/* Adds up what @key has on the lines of all devices; a line without it counts as none. */
static int sum_devices(const char *text, const char *key, char between, uint64_t *ret)
{
	size_t len = strlen(key);
	uint64_t sum = 0, value;

	for (const char *p = text; *p; p += strcspn(p, " \n")) {
		p += strspn(p, " \n");
		if (strncmp(p, key, len) == 0 && p[len] == between &&
		    lg_cg_number(p + len + 1, &value) == 0 && value < UINT64_MAX - sum)
			sum += value;
	}
	*ret = sum;
	return 0;
}

static uint64_t take(const char *text, const struct place *place)
{
	uint64_t value = UINT64_MAX;
	int r = -EINVAL;

	switch (place->form) {
	case ALONE:
		r = lg_cg_number(text, &value);
		break;
	case LINE:
		r = lg_cg_keyed(text, place->key, &value);
		break;
	case PER_DEVICE:
		r = sum_devices(text, place->key, '=', &value);
		break;
	case PER_DEVICE_V1:
		/* "Total 0" alone: the kernel counts here only once a disk has a limit. */
		r = strchr(text, ':') ? sum_devices(text, place->key, ' ', &value) : -ENODATA;
		break;
	}
	return r < 0 ? UINT64_MAX : value;
}

/* "12.34" in hundredths; what is behind the second decimal is not looked at. */
static uint64_t hundredths(const char *text)
{
	char *end;
	unsigned long long whole = strtoull(text, &end, 10), part = 0;

	if (end[0] == '.' && isdigit((unsigned char)end[1]) && isdigit((unsigned char)end[2]))
		part = (unsigned long long)(end[1] - '0') * 10 + (unsigned long long)(end[2] - '0');
	return whole * 100 + part;
}

static int pressure_line(const char *text, const char *word, uint64_t *avg10, uint64_t *total)
{
	const char *line = strstr(text, word), *avg, *sum;

	avg = line ? strstr(line, " avg10=") : NULL;
	sum = avg ? strstr(avg, " total=") : NULL;
	if (!sum)
		return -EINVAL;
	*avg10 = hundredths(avg + strlen(" avg10="));
	return lg_cg_number(sum + strlen(" total="), total);
}

int lg_cg_pressure_read(const char *text, struct lg_cg_pressure *ret)
{
	struct lg_cg_pressure p = { 0 };
	int r = pressure_line(text, "some ", &p.some_avg10, &p.some_us);

	/* Older kernels have no "full" line for the CPU. */
	if (r == 0 && strstr(text, "full "))
		r = pressure_line(text, "full ", &p.full_avg10, &p.full_us);
	if (r == 0)
		*ret = p;
	return r;
}

/* ---- files ---- */

/* The file that was read last, and from where. */
struct reading {
	int top;
	const char *file;	/* NULL: none yet */
	bool there;
	char text[TEXT_MAX];
};

static void set(struct lg_cg_stats *stats, size_t offset, uint64_t value)
{
	memcpy((char *)stats + offset, &value, sizeof(value));
}

/* Return: false when there is no such file. */
static bool read_source(const struct lg_cg_host *host, const char *name,
			const struct source *source, struct reading *now,
			struct lg_cg_stats *stats)
{
	bool v1 = source->ctl != V2 && host->ctl[source->ctl].v1;
	int top = source->ctl == V2 ? host->v2.top : host->ctl[source->ctl].top;
	const struct place *place = v1 ? &source->hybrid : &source->unified;

	if (top < 0 || !place->file)
		return false;
	if (!now->file || now->top != top || strcmp(now->file, place->file) != 0) {
		now->top = top;
		now->file = place->file;
		now->there = lg_cg_read(top, name, place->file, now->text,
					sizeof(now->text)) >= 0;
	}
	if (now->there)
		set(stats, source->offset, take(now->text, place));
	return now->there;
}

static void read_pressures(const struct lg_cg_host *host, const char *name,
			   struct lg_cg_stats *stats)
{
	for (size_t i = 0; i < ARRAY_SIZE(pressures); i++) {
		struct lg_cg_pressure p;
		char text[LG_CG_TEXT];

		/* A kernel that was started with psi=0 has the files and refuses to read them. */
		if (lg_cg_read(host->v2.top, name, pressures[i].file, text, sizeof(text)) < 0 ||
		    lg_cg_pressure_read(text, &p) < 0)
			continue;
		memcpy((char *)stats + pressures[i].offset, &p, sizeof(p));
	}
}

/* The two hierarchies count a few things differently. */
static void mend(const struct lg_cg_host *host, struct lg_cg_stats *s)
{
	/* v1 counts memory and swap together, a moment later than memory alone. */
	if (host->ctl[LG_CG_MEMORY].v1 && s->swap_bytes != UINT64_MAX)
		s->swap_bytes -= s->swap_bytes < s->memory_bytes ? s->swap_bytes :
								   s->memory_bytes;
	/* Newer kernels never raise v1's memory.failcnt; a kill was a denial in any case. */
	if (host->ctl[LG_CG_MEMORY].v1 && s->memory_max_hits != UINT64_MAX &&
	    s->oom_kills != UINT64_MAX && s->memory_max_hits < s->oom_kills)
		s->memory_max_hits = s->oom_kills;
	if (host->ctl[LG_CG_CPU].v1 && s->throttled_us != UINT64_MAX)
		s->throttled_us /= 1000;
}

int lg_cg_stats(struct lg_cg_host *host, const char *name, unsigned int parts,
		struct lg_cg_stats *ret, struct lg_err *err)
{
	struct reading now = { .file = NULL };
	struct lg_cg_stats stats;
	bool there = false;
	int r = lg_cg_check_name(name, false, err);

	if (r < 0)
		return r;
	memset(&stats, 0xff, sizeof(stats));
	for (size_t i = 0; i < ARRAY_SIZE(sources); i++)
		if (sources[i].part & parts)
			there |= read_source(host, name, &sources[i], &now, &stats);
	/* Asked only when nothing could be read: each look at a file costs. */
	if (!there && faccessat(host->v2.top, name, F_OK, 0) < 0)
		return lg_fail(err, -errno, "cgroup %s/%s", host->v2.path, name);
	if (parts & LG_CG_PSI)
		read_pressures(host, name, &stats);
	mend(host, &stats);
	*ret = stats;
	return 0;
}

int lg_cg_identity(struct lg_cg_host *host, const char *name, uint64_t *ret)
{
	struct stat st;
	int r = lg_cg_check_name(name, false, NULL);

	if (r < 0)
		return r;
	if (fstatat(host->v2.top, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	*ret = st.st_ino;
	return 0;
}

/* ---- paths in the kernel's log ---- */

/* @path below the tree at @tree: its first bytes are the tree's path without where it is mounted. */
static bool is_below(const char *tree, const char *path, char name[32])
{
	size_t len = strlen(tree);

	for (const char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		size_t head = (size_t)(slash - path), digits = strspn(slash + 1, "0123456789");

		if (head > len || strncmp(tree + len - head, path, head) != 0)
			continue;
		if (digits == 0 || digits > 30 || (slash[1 + digits] && slash[1 + digits] != '/'))
			return false;
		snprintf(name, 32, "%.*s", (int)digits, slash + 1);
		return true;
	}
	return false;
}

int lg_cg_of_path(const struct lg_cg_host *host, const char *path, char name[32])
{
	if (path[0] != '/')
		return -ENOENT;
	if (is_below(host->v2.path, path, name))
		return 0;
	for (unsigned int i = 0; i < host->nv1; i++)
		if (is_below(host->v1[i].path, path, name))
			return 0;
	return -ENOENT;
}
