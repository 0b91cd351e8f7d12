/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cmd/lodged/look.h"
#include "lib/cleanup.h"
#include "lib/file.h"

#define PROC_MAX (1u << 20)	/* /proc/stat has a line for every CPU, and all interrupts */

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
