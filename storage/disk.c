/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "storage/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "lib/cleanup.h"
#include "lib/file.h"
#include "lib/parse.h"
#include "storage/store.h"

/* The first that can do it has it. */
static const struct lg_disk_driver *const drivers[] = {
	&lg_disk_raw,
	&lg_disk_project,
	&lg_disk_image,
	&lg_disk_none,
};

const struct lg_disk_driver *lg_disk_for_new(const char *var, const struct lg_disk_limit *limit)
{
	size_t i = 0;

	while (i < ARRAY_SIZE(drivers) - 1 && !drivers[i]->probe(var, limit))
		i++;
	return drivers[i];
}

const struct lg_disk_driver *lg_disk_of(int layer)
{
	size_t i = 0;

	while (i < ARRAY_SIZE(drivers) - 1 && !drivers[i]->holds(layer))
		i++;
	return drivers[i];
}

static int open_layer(const char *var, uint32_t ctid, struct lg_err *err)
{
	char path[LG_STORE_PATH];
	int r = lg_store_path(path, err, "%s/ct/%u", var, ctid);

	return r < 0 ? r : lg_open_dir(AT_FDCWD, path, err);
}

int lg_disk_plan(const char *var, uint32_t ctid, const struct lg_disk_limit *limit,
		 enum lg_disk_change *ret, struct lg_err *err)
{
	lg_autoclose int layer = open_layer(var, ctid, err);

	return layer < 0 ? layer : lg_disk_of(layer)->plan(layer, limit, ret, err);
}

int lg_disk_set(const char *var, uint32_t ctid, const struct lg_disk_limit *limit,
		struct lg_err *err)
{
	lg_autoclose int layer = open_layer(var, ctid, err);
	const struct lg_disk_driver *driver;

	if (layer < 0)
		return layer;
	driver = lg_disk_of(layer);
	return driver->set ? driver->set(layer, limit, err) :
			     lg_fail(err, -EOPNOTSUPP, "change its disk limit at once");
}

int lg_disk_usage(const char *var, uint32_t ctid, int mounted, struct lg_fs_usage *ret,
		  struct lg_err *err)
{
	lg_autoclose int layer = open_layer(var, ctid, err);

	return layer < 0 ? layer : lg_disk_of(layer)->usage(layer, mounted, ret, err);
}

/* ---- no limit ---- */

static bool none_probe(const char *var, const struct lg_disk_limit *limit)
{
	(void)var;
	(void)limit;
	return true;
}

static bool none_holds(int layer)
{
	(void)layer;
	return true;
}

static int none_make(const char *var, int layer, uint32_t ctid, const struct lg_disk_limit *limit,
		     struct lg_err *err)
{
	(void)var;
	(void)layer;
	(void)ctid;
	(void)limit;
	(void)err;
	return 0;
}

static int none_plan(int layer, const struct lg_disk_limit *limit, enum lg_disk_change *ret,
		     struct lg_err *err)
{
	(void)layer;
	(void)err;
	*ret = limit->bytes == LG_UNLIMITED ? LG_DISK_SAME : LG_DISK_REMAKE;
	return 0;
}

static int none_usage(int layer, int mounted, struct lg_fs_usage *ret, struct lg_err *err)
{
	(void)layer;
	(void)mounted;
	(void)ret;
	return lg_fail(err, -ENODATA, "use of a disk without limit");
}

const struct lg_disk_driver lg_disk_none = {
	.name = "none",
	.probe = none_probe,
	.holds = none_holds,
	.make = none_make,
	.plan = none_plan,
	.usage = none_usage,
};
