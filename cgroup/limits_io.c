/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * How it works: limits of a disk are lines "MAJOR:MINOR ..." of a file, one per device. The kernel
 * takes such a line for devices that it then never throttles, so each is read back; and a limit that
 * is lifted is lifted on every device that the file names, whichever disk the container was on
 * when it was set.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cgroup/host.h"
#include "cgroup/limits.h"
#include "lib/cleanup.h"
#include "lib/parse.h"

#define LINES_MAX 64u	/* devices in one file; a container is on one or two */
#define UP_MAX 16	/* levels to the root of a hierarchy */

static const struct row {
	const char *name, *hybrid, *key;
	bool writes;
} rows[LG_LIMIT_COUNT_] = {
	[LG_LIMIT_IO_READ] = { "io-read", "blkio.throttle.read_bps_device", "rbps", false },
	[LG_LIMIT_IO_WRITE] = { "io-write", "blkio.throttle.write_bps_device", "wbps", true },
	[LG_LIMIT_IOPS_READ] = { "iops-read", "blkio.throttle.read_iops_device", "riops", false },
	[LG_LIMIT_IOPS_WRITE] = { "iops-write", "blkio.throttle.write_iops_device", "wiops", true },
};

/* What the line at @line has for @row; a line of v1 is "8:0 NUMBER". */
static uint64_t value_of(const char *line, const struct row *row, bool v1)
{
	size_t len = strcspn(line, "\n"), key = strlen(row->key);
	uint64_t value = UINT64_MAX;

	for (const char *p = line; p < line + len; p += strcspn(p, " \n") + 1) {
		const char *at = p;

		if (p == line)
			continue;	/* the device */
		if (!v1 && (strncmp(p, row->key, key) != 0 || p[key] != '='))
			continue;
		at += v1 ? 0 : key + 1;
		if (lg_cg_number(at, &value) == 0)
			return value;
	}
	return UINT64_MAX;
}

struct line {
	unsigned int major, minor;
	uint64_t value;
};

/* Return: how many lines of @row's file limit something; negative errno. */
static int read_lines(int top, const char *name, const struct row *row, bool v1,
		      struct line lines[LINES_MAX])
{
	char text[LG_CG_TEXT];
	ssize_t n = lg_cg_read(top, name, v1 ? row->hybrid : "io.max", text, sizeof(text));
	unsigned int count = 0;

	if (n < 0)
		return (int)n;
	for (const char *p = text; *p && count < LINES_MAX; p += strcspn(p, "\n"), p += *p == '\n') {
		struct line *line = &lines[count];

		if (sscanf(p, "%u:%u", &line->major, &line->minor) != 2)
			continue;
		line->value = value_of(p, row, v1);
		count += line->value != UINT64_MAX;
	}
	return (int)count;
}

static int write_line(int top, const char *name, const struct row *row, bool v1,
		      unsigned int major, unsigned int minor, uint64_t value)
{
	char text[64], number[24] = "max";

	if (value != LG_UNLIMITED || v1)
		snprintf(number, sizeof(number), "%" PRIu64, value == LG_UNLIMITED ? 0 : value);
	if (v1)
		snprintf(text, sizeof(text), "%u:%u %s", major, minor, number);
	else
		snprintf(text, sizeof(text), "%u:%u %s=%s", major, minor, row->key, number);
	return lg_cg_write(top, name, v1 ? row->hybrid : "io.max", text);
}

/* Take it from every device that has it and is not to. */
static int lift(int top, const char *name, const struct row *row, bool v1,
		const struct lg_io_devs *keep)
{
	struct line lines[LINES_MAX];
	int n = read_lines(top, name, row, v1, lines);
	int r = n < 0 ? n : 0;

	for (int i = 0; r == 0 && i < n; i++)
		if (!keep || !lg_io_is(keep, lines[i].major, lines[i].minor))
			r = write_line(top, name, row, v1, lines[i].major, lines[i].minor,
				       LG_UNLIMITED);
	return r;
}

static int impose(int top, const char *name, const struct row *row, bool v1,
		  const struct lg_io_dev *dev, uint64_t value, struct lg_err *err)
{
	struct line lines[LINES_MAX];
	int n, r = write_line(top, name, row, v1, dev->major, dev->minor, value);

	if (r == -ENODEV || r == -EINVAL || r == -ENXIO)
		return lg_refuse(err, -EOPNOTSUPP, 0,
				 "%s of %s: the kernel does not limit device %u:%u (%s): %s",
				 row->name, name, dev->major, dev->minor, dev->name, strerror(-r));
	if (r < 0)
		return r;
	n = read_lines(top, name, row, v1, lines);
	for (int i = 0; i < n; i++)
		if (lines[i].major == dev->major && lines[i].minor == dev->minor &&
		    lines[i].value == value)
			return 0;
	return lg_refuse(err, -EOPNOTSUPP, 0,
			 "%s of %s: the kernel took the limit for device %u:%u (%s) and does not "
			 "show it", row->name, name, dev->major, dev->minor, dev->name);
}

static int throttle(struct lg_cg_host *host, const char *name, const struct row *row,
		    const struct lg_limit_set *set, uint64_t value, struct lg_err *err)
{
	int top = host->ctl[LG_CG_IO].top;
	bool v1 = host->ctl[LG_CG_IO].v1;
	const char *file = v1 ? row->hybrid : "io.max";
	struct lg_err why = { 0 };
	int r;

	if (value != LG_UNLIMITED && (!set->devs || set->devs->n == 0))
		return lg_refuse(err, -EINVAL, 0, "%s of %s: it is not known on which disk it is",
				 row->name, name);
	r = lift(top, name, row, v1, value == LG_UNLIMITED ? NULL : set->devs);
	for (unsigned int i = 0; r == 0 && value != LG_UNLIMITED && i < set->devs->n; i++)
		r = impose(top, name, row, v1, &set->devs->dev[i], value, &why);
	if (r == 0)
		return 0;
	if (why.code) {
		if (err)
			*err = why;
		return r;
	}
	r = lg_limit_explain(host, name, row->name, LG_CG_IO, file, r, err);
	return r == -EOPNOTSUPP && value == LG_UNLIMITED ? 0 : r;
}

/* ---- weights: files of two schedulers' policies ---- */

static const char *const weights[2][2] = {
	{ "io.bfq.weight", "io.weight" },
	{ "blkio.bfq.weight", "blkio.weight" },
};

static int weigh(struct lg_cg_host *host, const char *name, uint64_t value, struct lg_err *err)
{
	const struct lg_cg_host *h = host;
	bool v1 = h->ctl[LG_CG_IO].v1;
	char text[24];
	int found = -ENOENT;

	snprintf(text, sizeof(text), "%" PRIu64, value == LG_UNLIMITED ? 100 : value);
	for (size_t i = 0; i < 2; i++) {
		int r = lg_cg_write(h->ctl[LG_CG_IO].top, name, weights[v1][i], text);

		if (r == 0)
			found = 0;
		else if (r != -ENOENT)
			return lg_fail(err, r, "write %s of %s", weights[v1][i], name);
	}
	if (found == 0)
		return 0;
	return lg_limit_explain(host, name, "io-priority", LG_CG_IO, weights[v1][0], found, err);
}

/* The scheduler in brackets of "none [mq-deadline] bfq". */
static void scheduler_of(int sys, const struct lg_io_dev *dev, char ret[32])
{
	char path[64], text[256];
	const char *at;

	snprintf(path, sizeof(path), "%u:%u/queue/scheduler", dev->major, dev->minor);
	snprintf(ret, 32, "none");
	if (lg_cg_read(sys, "", path, text, sizeof(text)) > 0 && (at = strchr(text, '[')))
		snprintf(ret, 32, "%.*s", (int)strcspn(at + 1, "]\n") & 31, at + 1);
}

/* Is io.cost, the weights' other home on cgroup2, switched on for @dev? Its file is at the root. */
static bool has_iocost(const struct lg_cg_host *host, const struct lg_io_dev *dev)
{
	lg_autoclose int dir = openat(host->v2.top, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
	char text[LG_CG_TEXT], want[32];
	const char *at;

	snprintf(want, sizeof(want), "%u:%u enable=1", dev->major, dev->minor);
	for (int up = 0; dir >= 0 && up < UP_MAX; up++) {
		int above;

		if (lg_cg_read(dir, "", "io.cost.qos", text, sizeof(text)) > 0) {
			at = strstr(text, want);
			return at && (at == text || at[-1] == '\n');
		}
		above = openat(dir, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
		lg_close(dir);
		dir = above;
	}
	return false;
}

/* A disk on which a weight decides nothing: its name and scheduler to @text. */
static bool is_unweighed(const struct lg_cg_host *host, const struct lg_limit_set *set,
			 char *text, size_t size)
{
	lg_autoclose int sys = open("/sys/dev/block", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct lg_io_dev disks[LG_IO_DEVS_MAX];
	char scheduler[32];

	for (unsigned int i = 0; sys >= 0 && set->devs && i < set->devs->n; i++) {
		unsigned int n = lg_io_leaves(sys, &set->devs->dev[i], disks, LG_IO_DEVS_MAX);

		for (unsigned int k = 0; k < n; k++) {
			scheduler_of(sys, &disks[k], scheduler);
			if (strcmp(scheduler, "bfq") == 0 ||
			    (!host->ctl[LG_CG_IO].v1 && has_iocost(host, &disks[k])))
				continue;
			snprintf(text, size,
				 "disks are shared by weight where their scheduler is bfq, and that "
				 "of %s is %s (/sys/block/%s/queue/scheduler)",
				 disks[k].name, scheduler, disks[k].name);
			return true;
		}
	}
	return false;
}

/* ---- all of them ---- */

int lg_io_limit_apply(struct lg_cg_host *host, const char *name, int id,
		      const struct lg_limit_set *set, struct lg_err *err)
{
	if (id == LG_LIMIT_IO_WEIGHT)
		return weigh(host, name, set->value[id], err);
	return throttle(host, name, &rows[id], set, set->value[id], err);
}

static int read_weight(int top, const char *name, bool v1, uint64_t *ret)
{
	char text[LG_CG_TEXT];

	for (size_t i = 0; i < 2; i++) {
		ssize_t n = lg_cg_read(top, name, weights[v1][i], text, sizeof(text));

		if (n == -ENOENT)
			continue;
		if (n < 0)
			return (int)n;
		return strncmp(text, "default ", 8) == 0 ? lg_cg_number(text + 8, ret) :
							   lg_cg_number(text, ret);
	}
	return -EOPNOTSUPP;
}

int lg_io_limit_read(int top, const char *name, int id, bool v1, uint64_t *ret)
{
	struct line lines[LINES_MAX];
	uint64_t least = LG_UNLIMITED;
	int n;

	if (id == LG_LIMIT_IO_WEIGHT)
		return read_weight(top, name, v1, ret);
	n = read_lines(top, name, &rows[id], v1, lines);
	if (n < 0)
		return n;
	for (int i = 0; i < n; i++)
		if (lines[i].value < least)
			least = lines[i].value;
	*ret = least;
	return 0;
}

/* What a limit of writes does not count on this host; NULL: it counts all. */
static const char *uncounted(const struct lg_cg_host *host, const struct lg_limit_set *set)
{
	if (host->ctl[LG_CG_IO].v1)
		return "direct and synced writes only (O_DIRECT, O_SYNC, fsync): cgroup v1 does not "
		       "count what the kernel writes back later";
	if (host->ctl[LG_CG_MEMORY].v1 || host->ctl[LG_CG_MEMORY].top < 0)
		return "direct and synced writes only (O_DIRECT, O_SYNC, fsync): what is written back "
		       "later is counted where io and memory are both on cgroup2";
	if (set->devs && !set->devs->writeback)
		return "direct and synced writes only (O_DIRECT, O_SYNC, fsync): its file system does "
		       "not tell whose data it writes back later";
	return NULL;
}

void lg_io_note(const struct lg_cg_host *host, const struct lg_limit_set *set)
{
	const uint32_t writes = 1u << LG_LIMIT_IO_WRITE | 1u << LG_LIMIT_IOPS_WRITE;
	const char *missed = host->ctl[LG_CG_IO].top >= 0 ? uncounted(host, set) : NULL;
	char text[LG_EFFECT_MAX];
	bool limited = false;

	for (int id = 0; id < LG_LIMIT_COUNT_; id++)
		if (set->mask & writes & (1u << id) && set->value[id] != LG_UNLIMITED)
			limited = true;
	if (limited && missed)
		lg_limit_note(set, "the limit holds for %s", missed);
	if (set->mask & (1u << LG_LIMIT_IO_WEIGHT) && host->ctl[LG_CG_IO].top >= 0 &&
	    set->value[LG_LIMIT_IO_WEIGHT] != 100 &&
	    is_unweighed(host, set, text, sizeof(text)))
		lg_limit_note(set, "io-priority has no effect yet: %s", text);
}

static void effect_of_throttle(const struct lg_cg_host *host, const char *name,
			       const struct lg_limit_set *set, int id, char *ret)
{
	struct line lines[LINES_MAX];
	int n = read_lines(host->ctl[LG_CG_IO].top, name, &rows[id], host->ctl[LG_CG_IO].v1, lines);
	struct lg_io_devs held = { .n = 0 };
	const char *missed = rows[id].writes ? uncounted(host, set) : NULL;
	char where[LG_EFFECT_MAX - 160];

	for (unsigned int k = 0; set->devs && k < set->devs->n; k++)
		for (int i = 0; i < n; i++)
			if (lines[i].major == set->devs->dev[k].major &&
			    lines[i].minor == set->devs->dev[k].minor &&
			    lines[i].value == set->value[id])
				held.dev[held.n++] = set->devs->dev[k];
	if (!set->devs || held.n == 0 || held.n < set->devs->n) {
		snprintf(ret, LG_EFFECT_MAX, "NOT enforced: set it again");
		return;
	}
	lg_io_describe(&held, where, sizeof(where));
	snprintf(ret, LG_EFFECT_MAX, "enforced on %s%s%.*s", where, missed ? "; " : "",
		 missed ? (int)strcspn(missed, ":") : 0, missed ? missed : "");
}

void lg_io_effect(const struct lg_cg_host *host, const char *name,
		  const struct lg_limit_set *set, int id, char *ret)
{
	char text[LG_EFFECT_MAX - 32];

	if (id != LG_LIMIT_IO_WEIGHT) {
		effect_of_throttle(host, name, set, id, ret);
		return;
	}
	if (is_unweighed(host, set, text, sizeof(text)))
		snprintf(ret, LG_EFFECT_MAX, "no effect yet: %s", text);
}
