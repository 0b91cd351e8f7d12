/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/lodged/look.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/file.h"

#define PROC_MAX (1u << 20)	/* /proc/stat has a line for every CPU, and all interrupts */

/* ---- the instances ---- */

static int by_ctid(const void *a, const void *b)
{
	const struct look *x = a, *y = b;

	return x->ctid < y->ctid ? -1 : x->ctid > y->ctid;
}

const struct look *look_find(const struct looks *looks, uint32_t ctid)
{
	struct look key = { .ctid = ctid };

	return looks->n ? bsearch(&key, looks->list, looks->n, sizeof(key), by_ctid) : NULL;
}

static void look_at(const struct instance *ct, unsigned int parts, struct looks *looks)
{
	struct look *look = &looks->list[looks->n];
	char name[16];

	if (ct->state != STATE_RUNNING)
		return;
	snprintf(name, sizeof(name), "%u", ct->ctid);
	look->ctid = ct->ctid;
	look->at_us = now_us();
	/* One that is just ending has no cgroup any more. */
	if (lg_cg_stats(ct->d->cg, name, parts, &look->use, NULL) == 0)
		looks->n++;
}

/* In the order of the numbers, and each only once, however they were named. */
static void look_at_these(struct daemon *d, const json_t *ids, unsigned int parts,
			  struct looks *looks)
{
	size_t i, n = 0;
	json_t *id;

	json_array_foreach(ids, i, id) {
		const struct instance *ct = instance_by_id(d, json_string_value(id));

		if (ct)
			look_at(ct, parts, looks);
	}
	qsort(looks->list, looks->n, sizeof(struct look), by_ctid);
	for (i = 0; i < looks->n; i++)
		if (n == 0 || looks->list[n - 1].ctid != looks->list[i].ctid)
			looks->list[n++] = looks->list[i];
	looks->n = n;
}

struct links {
	const struct lg_root *root;
	const struct looks *looks;
};

static void take_link(const char *name, const struct lg_net_stats *stats, void *arg)
{
	const struct links *links = arg;
	struct look *look = (struct look *)(uintptr_t)look_find(
		links->looks, lg_root_link_ctid(links->root, name));

	if (!look)
		return;
	look->has_net = true;
	look->net = *stats;
}

int look_all(struct daemon *d, const json_t *ids, unsigned int parts, struct looks *ret,
	     struct lg_err *err)
{
	size_t nids = json_array_size(ids), room = nids ? nids : d->ncts;
	struct looks looks = { .list = calloc(room + 1, sizeof(struct look)) };
	struct links links = { &d->root, &looks };

	if (!looks.list)
		return lg_fail(err, -ENOMEM, "read what the containers use");
	if (nids)
		look_at_these(d, ids, parts, &looks);
	for (size_t i = 0; !nids && i < d->ncts; i++)
		look_at(d->cts[i], parts, &looks);
	/* Without counters of links everything else is still worth knowing. */
	if (looks.n)
		lg_net_stats_each(d->net, take_link, &links, NULL);
	*ret = looks;
	return 0;
}

void look_free(struct looks *looks)
{
	free(looks->list);
	looks->list = NULL;
	looks->n = 0;
}

/* ---- the host ---- */

uint64_t host_stat_read(const char *text, long hz)
{
	unsigned long long t[8] = { 0 };

	/* user nice system idle iowait irq softirq steal; guest time is in user already. */
	if (hz <= 0 || sscanf(text, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &t[0], &t[1],
			      &t[2], &t[3], &t[4], &t[5], &t[6], &t[7]) < 4)
		return UINT64_MAX;
	return (t[0] + t[1] + t[2] + t[5] + t[6]) * (1000000 / (unsigned long long)hz);
}

void host_meminfo_read(const char *text, struct host_look *ret)
{
	const struct {
		const char *key;
		uint64_t *value;
	} rows[] = {
		{ "MemTotal:", &ret->memory_bytes },	{ "MemAvailable:", &ret->available_bytes },
		{ "SwapTotal:", &ret->swap_bytes },	{ "SwapFree:", &ret->swap_free_bytes },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const char *line = strstr(text, rows[i].key);
		unsigned long long kib;

		*rows[i].value = UINT64_MAX;
		if (line && sscanf(line + strlen(rows[i].key), "%llu", &kib) == 1)
			*rows[i].value = kib * 1024;
	}
}

static void read_pressure(const char *path, struct lg_cg_pressure *ret)
{
	lg_autofree char *text = NULL;

	memset(ret, 0, sizeof(*ret));
	if (lg_file_read(AT_FDCWD, path, 4096, &text, NULL, NULL) == 0)
		lg_cg_pressure_read(text, ret);
}

void look_host(struct host_look *ret)
{
	lg_autofree char *stat = NULL, *meminfo = NULL;
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	memset(ret, 0, sizeof(*ret));
	ret->at_us = now_us();
	ret->cpus = cpus > 0 ? (unsigned int)cpus : 1;
	ret->cpu_us = UINT64_MAX;
	if (lg_file_read(AT_FDCWD, "/proc/stat", PROC_MAX, &stat, NULL, NULL) == 0)
		ret->cpu_us = host_stat_read(stat, sysconf(_SC_CLK_TCK));
	if (lg_file_read(AT_FDCWD, "/proc/meminfo", PROC_MAX, &meminfo, NULL, NULL) == 0)
		host_meminfo_read(meminfo, ret);
	read_pressure("/proc/pressure/cpu", &ret->cpu);
	read_pressure("/proc/pressure/memory", &ret->memory);
	read_pressure("/proc/pressure/io", &ret->io);
}
