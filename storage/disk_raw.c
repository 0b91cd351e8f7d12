/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * The driver whose layers are the disk of a machine that boots from it: VAR/ct/ID/disk.raw. What is in it is the guest's, and
 * nothing on the host reads it as anything but bytes. It grows by getting longer and is never cut.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/exit.h"
#include "lib/parse.h"
#include "storage/disk.h"
#include "storage/store.h"

static bool raw_probe(const char *var, const struct lg_disk_limit *limit)
{
	(void)var;
	return limit->image == LG_DISK_OWN_RAW;
}

static bool raw_holds(int layer)
{
	return faccessat(layer, LG_DISK_RAW, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static int raw_make(const char *var, int layer, uint32_t ctid, const struct lg_disk_limit *limit, struct lg_err *err)
{
	lg_autoclose int fd = openat(layer, LG_DISK_RAW, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

	(void)var;
	(void)ctid;
	if (fd < 0)
		return lg_fail(err, -errno, "make its disk");
	return ftruncate(fd, (off_t)lg_disk_round(limit->bytes)) < 0 ? lg_fail(err, -errno, "make its disk") : 0;
}

static int look(int layer, struct stat *st, struct lg_err *err)
{
	return fstatat(layer, LG_DISK_RAW, st, AT_SYMLINK_NOFOLLOW) < 0 ? lg_fail(err, -errno, "look at its disk") : 0;
}

static int raw_plan(int layer, const struct lg_disk_limit *limit, enum lg_disk_change *ret, struct lg_err *err)
{
	uint64_t wanted = lg_disk_round(limit->bytes);
	char size[16];
	struct stat st;

	if (look(layer, &st, err) < 0)
		return err->code;
	lg_format_size((uint64_t)st.st_size, size);
	if (wanted == LG_UNLIMITED || wanted < (uint64_t)st.st_size)
		return lg_refuse(err, -EINVAL, LG_EXIT_BAD_VALUE,
				 "disk: it has %s, which is the guest's: it can only be made larger", size);
	*ret = wanted == (uint64_t)st.st_size ? LG_DISK_SAME : LG_DISK_GROW;
	return 0;
}

static int raw_usage(int layer, int mounted, struct lg_fs_usage *ret, struct lg_err *err)
{
	struct stat st;

	(void)mounted;
	if (look(layer, &st, err) < 0)
		return err->code;
	*ret = (struct lg_fs_usage){ (uint64_t)st.st_size, (uint64_t)st.st_blocks * 512, LG_UNLIMITED, LG_UNLIMITED };
	return 0;
}

const struct lg_disk_driver lg_disk_raw = {
	.name = "raw",
	.probe = raw_probe,
	.holds = raw_holds,
	.make = raw_make,
	.plan = raw_plan,
	.usage = raw_usage,
};

int lg_disk_open_raw(const char *var, uint32_t ctid, unsigned int patience_ms, struct lg_err *err)
{
	char path[LG_STORE_PATH];
	int r = lg_store_path(path, err, "%s/ct/%u/%s", var, ctid, LG_DISK_RAW);

	return r < 0 ? r : lg_image_open(path, patience_ms, err);
}
