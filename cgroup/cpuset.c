/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * How it works: the CPUs and nodes that instances may have are TOP's. On cgroup2 an empty file means
 * all of these; on v1, where an empty one would take no process, they are written out.
 *
 * Which CPUs an instance was given is told by its cgroup alone. One that may see N of them gets those
 * that the fewest others were given; others that may use all do not count, as the scheduler
 * moves them out of the way.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cgroup/host.h"
#include "cgroup/limits.h"
#include "lib/bits.h"
#include "lib/cleanup.h"

#define SYS_NODE "/sys/devices/system/node"

enum what { CPUS, NODES };

static const struct {
	const char *file, *unified_all, *hybrid_all, *name;
} kinds[] = {
	[CPUS] = { "cpuset.cpus", "cpuset.cpus.effective", "cpuset.cpus", "CPU" },
	[NODES] = { "cpuset.mems", "cpuset.mems.effective", "cpuset.mems", "NUMA node" },
};

static bool is_all(const char *text)
{
	return !text || !*text || strcmp(text, "all") == 0;
}

bool lg_cpuset_is_any(const struct lg_cpuset *want)
{
	return is_all(want->nodes) && !want->seen &&
	       (is_all(want->cpus) || strcmp(want->cpus, "auto") == 0);
}

static int read_bits(int dir, const char *name, const char *file, struct lg_bits *ret)
{
	char text[LG_BITS_TEXT];
	ssize_t n = lg_cg_read(dir, name, file, text, sizeof(text));

	return n < 0 ? (int)n : lg_bits_parse(text, ret);
}

/* What @list names must be there. */
static int parse(const char *list, enum what what, const struct lg_bits *all,
		 struct lg_bits *ret, struct lg_err *err)
{
	char missing[64], have[64];
	struct lg_bits left;
	int r;

	if (is_all(list)) {
		*ret = *all;
		return 0;
	}
	r = lg_bits_parse(list, ret);
	if (r < 0)
		return lg_fail(err, r, "'%.80s' is no list of %ss", list, kinds[what].name);
	left = *ret;
	lg_bits_without(&left, all);
	if (lg_bits_count(&left) == 0)
		return 0;
	if (lg_bits_format(&left, missing, sizeof(missing)) < 0)
		snprintf(missing, sizeof(missing), "...");
	if (lg_bits_format(all, have, sizeof(have)) < 0)
		snprintf(have, sizeof(have), "others");
	return lg_refuse(err, -ERANGE, 0, "this host has no %s %s: containers may use %s",
			 kinds[what].name, missing, have);
}

/* The CPUs of @nodes that are among @all; all of them where the kernel knows no nodes. */
static void cpus_of(const struct lg_bits *nodes, const struct lg_bits *all, struct lg_bits *ret)
{
	lg_autoclose int dir = open(SYS_NODE, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct lg_bits theirs = { { 0 } }, others = *all;

	for (unsigned int i = 0; i < LG_BITS_MAX; i++) {
		struct lg_bits node;
		char name[32];

		if (!lg_bits_has(nodes, i))
			continue;
		snprintf(name, sizeof(name), "node%u", i);
		if (read_bits(dir, name, "cpulist", &node) < 0)
			continue;
		for (size_t k = 0; k < ARRAY_SIZE(theirs.word); k++)
			theirs.word[k] |= node.word[k];
	}
	lg_bits_without(&others, &theirs);
	*ret = *all;
	lg_bits_without(ret, &others);
	if (lg_bits_count(ret) == 0)
		*ret = *all;
}

struct taken {
	const char *except;
	struct lg_bits all;
	unsigned short by[LG_BITS_MAX];	/* how many instances were given this CPU */
};

static int count_taken(int parent, const char *name, void *arg)
{
	struct taken *taken = arg;
	struct lg_bits bits;

	if (strcmp(name, taken->except) == 0 || lg_cg_check_name(name, false, NULL) < 0 ||
	    read_bits(parent, name, kinds[CPUS].file, &bits) < 0 ||
	    lg_bits_equal(&bits, &taken->all))
		return 0;
	for (unsigned int i = 0; i < LG_BITS_MAX; i++)
		if (lg_bits_has(&bits, i) && taken->by[i] < UINT16_MAX)
			taken->by[i]++;
	return 0;
}

static void take_least(const struct taken *taken, struct lg_bits *from, struct lg_bits *to)
{
	unsigned int best = LG_BITS_MAX;
	struct lg_bits one = { { 0 } };

	for (unsigned int i = 0; i < LG_BITS_MAX; i++)
		if (lg_bits_has(from, i) &&
		    (best == LG_BITS_MAX || taken->by[i] < taken->by[best]))
			best = i;
	if (best == LG_BITS_MAX)
		return;
	lg_bits_set(&one, best);
	lg_bits_without(from, &one);
	lg_bits_set(to, best);
}

/* @cpus becomes @n of its members. */
static int choose(int top, const char *name, unsigned int n, const struct lg_bits *all,
		  struct lg_bits *cpus)
{
	lg_autofree struct taken *taken = NULL;
	struct lg_bits now, left, chosen = { { 0 } };

	if (lg_bits_count(cpus) <= n)
		return 0;
	if (read_bits(top, name, kinds[CPUS].file, &now) == 0 && lg_bits_count(&now) == n) {
		left = now;
		lg_bits_without(&left, cpus);
		if (lg_bits_count(&left) == 0) {
			*cpus = now;
			return 0;
		}
	}
	taken = calloc(1, sizeof(*taken));
	if (!taken)
		return -ENOMEM;
	taken->except = name;
	taken->all = *all;
	(void)lg_cg_children(top, count_taken, taken);
	left = *cpus;
	for (unsigned int i = 0; i < n; i++)
		take_least(taken, &left, &chosen);
	*cpus = chosen;
	return 0;
}

/*
 * On cgroup2 an empty list is what the parent has, also what it will have one day; the kernel takes
 * none (ENOSPC) from a cgroup that had a list and has processes.
 */
static int write_list(const struct lg_cg_host *host, const char *name, enum what what,
		      const struct lg_bits *bits, const struct lg_bits *all)
{
	int top = host->ctl[LG_CG_CPUSET].top;
	bool any = !host->ctl[LG_CG_CPUSET].v1 && lg_bits_equal(bits, all);
	int r = any ? lg_cg_write(top, name, kinds[what].file, "\n") : -ENOSPC;
	char text[LG_BITS_TEXT];

	if (r != -ENOSPC)
		return r;
	r = lg_bits_format(bits, text, sizeof(text));
	return r < 0 ? r : lg_cg_write(top, name, kinds[what].file, text);
}

static int write_bits(const struct lg_cg_host *host, const char *name, enum what what,
		      const struct lg_bits *bits, const struct lg_bits *all, struct lg_err *err)
{
	int r = write_list(host, name, what, bits, all);

	if (r == 0)
		return 0;
	return lg_limit_explain(host, name, what == CPUS ? "CPUs" : "NUMA nodes", LG_CG_CPUSET,
				kinds[what].file, r, err);
}

struct plan {
	struct lg_bits all[2], want[2];
};

/* @name: NULL: whoever it is; nothing is chosen. */
static int make_plan(const struct lg_cg_host *host, const char *name,
		     const struct lg_cpuset *want, struct plan *plan, struct lg_err *err)
{
	int top = host->ctl[LG_CG_CPUSET].top;
	bool v1 = host->ctl[LG_CG_CPUSET].v1;
	bool automatic = want->cpus && strcmp(want->cpus, "auto") == 0;
	int r = 0;

	for (int i = CPUS; r == 0 && i <= NODES; i++)
		r = read_bits(top, "", v1 ? kinds[i].hybrid_all : kinds[i].unified_all,
			      &plan->all[i]);
	if (r < 0)
		return lg_fail(err, r, "read which CPUs containers may have");
	r = parse(want->nodes, NODES, &plan->all[NODES], &plan->want[NODES], err);
	if (r < 0)
		return r;
	if (automatic)
		cpus_of(&plan->want[NODES], &plan->all[CPUS], &plan->want[CPUS]);
	else
		r = parse(want->cpus, CPUS, &plan->all[CPUS], &plan->want[CPUS], err);
	if (r < 0 || !want->seen || !name)
		return r;
	r = choose(top, name, want->seen, &plan->all[CPUS], &plan->want[CPUS]);
	return r < 0 ? lg_fail(err, r, "choose CPUs") : 0;
}

int lg_cpuset_check(struct lg_cg_host *host, const char *name, const struct lg_cpuset *want,
		    struct lg_err *err)
{
	lg_autofree struct plan *plan = NULL;

	if (lg_cpuset_is_any(want))
		return 0;
	if (host->ctl[LG_CG_CPUSET].top < 0)
		return lg_limit_no_controller(name, "CPUs", LG_CG_CPUSET, err);
	plan = calloc(1, sizeof(*plan));
	return plan ? make_plan(host, NULL, want, plan, err) : lg_fail(err, -ENOMEM, "choose CPUs");
}

int lg_cpuset_apply(struct lg_cg_host *host, const char *name, const struct lg_cpuset *want,
		    struct lg_err *err)
{
	lg_autofree struct plan *plan = NULL;
	int r = lg_cg_check_name(name, false, err);

	if (r < 0 || (host->ctl[LG_CG_CPUSET].top < 0 && lg_cpuset_is_any(want)))
		return r;
	if (host->ctl[LG_CG_CPUSET].top < 0)
		return lg_limit_no_controller(name, "CPUs", LG_CG_CPUSET, err);
	plan = calloc(1, sizeof(*plan));
	if (!plan)
		return lg_fail(err, -ENOMEM, "choose CPUs");
	r = make_plan(host, name, want, plan, err);
	/* On v1 pages stay where they are unless told to move; cgroup2 moves them. */
	if (r == 0 && host->ctl[LG_CG_CPUSET].v1 && !is_all(want->nodes))
		(void)lg_cg_write(host->ctl[LG_CG_CPUSET].top, name, "cpuset.memory_migrate", "1");
	if (r == 0)
		r = write_bits(host, name, CPUS, &plan->want[CPUS], &plan->all[CPUS], err);
	if (r == 0)
		r = write_bits(host, name, NODES, &plan->want[NODES], &plan->all[NODES], err);
	return r;
}

int lg_cpuset_text(struct lg_cg_host *host, const char *name, char *buf, size_t size)
{
	int top = host->ctl[LG_CG_CPUSET].top;
	bool v1 = host->ctl[LG_CG_CPUSET].v1;
	ssize_t n;

	if (top < 0)
		return -EOPNOTSUPP;
	n = lg_cg_read(top, name, v1 ? kinds[CPUS].hybrid_all : kinds[CPUS].unified_all, buf, size);
	if (n < 0)
		return (int)n;
	buf[strcspn(buf, "\n")] = '\0';
	return 0;
}
