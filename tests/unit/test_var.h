/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_TEST_VAR_H
#define LG_TEST_VAR_H

/* A folder that plays lodge's VAR, new for each test. */

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/file.h"
#include "lib/parse.h"
#include "storage/disk.h"

static char var[64];
static const struct lg_disk_limit no_limit = { .bytes = LG_UNLIMITED, .inodes = LG_UNLIMITED };

static void make_var_in(const char *parent)
{
	snprintf(var, sizeof(var), "%s/lodge-var-XXXXXX", parent);
	ck_assert_ptr_nonnull(mkdtemp(var));
}

static void remove_var(void)
{
	ck_assert_int_eq(lg_remove_tree(AT_FDCWD, var, NULL), 0);
}

/* Valid until the next call. */
static const char *in_var(const char *rest)
{
	static char path[512];

	snprintf(path, sizeof(path), "%s/%s", var, rest);
	return path;
}

#endif
