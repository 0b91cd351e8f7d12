/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_TEST_CGROUP_FOLDERS_H
#define LG_TEST_CGROUP_FOLDERS_H

/* Folders that play the cgroups of containers 101 to 103, as top/101 and so on in "folder", and a host that has them. */

#include <check.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cgroup/host.h"
#include "lib/cleanup.h"
#include "lib/file.h"

static char folder[] = "/tmp/lgtest-cgroup-XXXXXX";
static struct lg_cg_host host;

static void run(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* A shell's line, in the folder. */
static void run(const char *fmt, ...)
{
	char command[1024];
	int n = snprintf(command, sizeof(command), "cd %s && ", folder);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(command + n, sizeof(command) - (size_t)n, fmt, ap);
	va_end(ap);
	ck_assert_msg(system(command) == 0, "%s", command);
}

static void make_folders(void)
{
	lg_autoclose int dir = -1;

	memcpy(folder + strlen(folder) - 6, "XXXXXX", 6);
	ck_assert_ptr_nonnull(mkdtemp(folder));
	run("mkdir -p top/101 top/102 top/103");
	dir = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	memset(&host, 0, sizeof(host));
	snprintf(host.name, sizeof(host.name), "top");
	host.v2.top = openat(dir, "top", O_PATH | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_ge(host.v2.top, 0);
	for (size_t i = 0; i < LG_CG_CTL_COUNT_; i++)
		host.ctl[i].top = host.v2.top;
}

static void make_folders_v1(void)
{
	make_folders();
	for (size_t i = 0; i < LG_CG_CTL_COUNT_; i++)
		host.ctl[i].v1 = true;
}

static void remove_folders(void)
{
	lg_close(host.v2.top);
	ck_assert_int_eq(lg_remove_tree(AT_FDCWD, folder, NULL), 0);
}

#endif
