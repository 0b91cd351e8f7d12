/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The driver whose layers live in an image of their own: VAR/ct/ID/disk.img holds upper and work. */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/exit.h"
#include "lib/parse.h"
#include "storage/disk.h"
#include "storage/store.h"

/* What mkfs gives beyond the number it was asked for: it fills whole blocks of every group. */
#define GROUP_BYTES (UINT64_C(32768) * 4096)
#define INODES_A_BLOCK 16u

#define UMOUNT_PATIENCE_MS 5000u

static bool image_probe(const char *var, const struct lg_disk_limit *limit)
{
	(void)var;
	return limit->bytes != LG_UNLIMITED;
}

static int open_image(int layer, int flags)
{
	int fd = openat(layer, LG_DISK_IMAGE, flags | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static bool image_holds(int layer)
{
	return faccessat(layer, LG_DISK_IMAGE, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static int image_make(const char *var, int layer, uint32_t ctid, const struct lg_disk_limit *limit,
		      struct lg_err *err)
{
	(void)ctid;
	return lg_disk_copy_empty(var, limit, layer, LG_DISK_IMAGE, err);
}

static uint64_t groups_of(uint64_t bytes)
{
	return (bytes + GROUP_BYTES - 1) / GROUP_BYTES;
}

/* Is an image of @bytes with @inodes what one made with @limit would be? */
static bool inodes_fit(uint64_t bytes, uint64_t inodes, uint64_t limit)
{
	return limit == LG_UNLIMITED ||
	       (inodes >= limit && inodes <= limit + groups_of(bytes) * INODES_A_BLOCK);
}

/* Each new group of blocks brings as many inodes as the old ones have. */
static uint64_t grown_inodes(const struct lg_fs_usage *now, uint64_t from, uint64_t to)
{
	return now->inodes / groups_of(from) * groups_of(to);
}

static int image_plan(int layer, const struct lg_disk_limit *limit, enum lg_disk_change *ret,
		      struct lg_err *err)
{
	lg_autoclose int image = open_image(layer, O_RDONLY);
	uint64_t wanted = lg_disk_round(limit->bytes), size;
	struct lg_fs_usage used;
	struct stat st;
	int r;

	if (image < 0 || fstat(image, &st) < 0)
		return lg_fail(err, image < 0 ? image : -errno, "open its disk");
	r = lg_image_read(image, &used, err);
	if (r < 0)
		return r;
	size = (uint64_t)st.st_size;
	if (wanted == size && inodes_fit(size, used.inodes, limit->inodes))
		*ret = LG_DISK_SAME;
	else if (wanted != LG_UNLIMITED && wanted > size &&
		 inodes_fit(wanted, grown_inodes(&used, size, wanted), limit->inodes))
		*ret = LG_DISK_GROW;
	else
		*ret = LG_DISK_REMAKE;
	return 0;
}

static int image_usage(int layer, int mounted, struct lg_fs_usage *ret, struct lg_err *err)
{
	lg_autoclose int image = -1;

	if (mounted >= 0)
		return lg_fs_usage(mounted, ret, err);
	image = open_image(layer, O_RDONLY);
	return image < 0 ? lg_fail(err, image, "open its disk") : lg_image_read(image, ret, err);
}

const struct lg_disk_driver lg_disk_image = {
	.name = "image",
	.probe = image_probe,
	.holds = image_holds,
	.make = image_make,
	.plan = image_plan,
	.usage = image_usage,
};

int lg_disk_grow(const char *var, uint32_t ctid, uint64_t bytes, int mounted, struct lg_err *err)
{
	lg_autoclose int image = -1, own = -1;
	char path[LG_STORE_PATH];
	int r = lg_store_path(path, err, "%s/ct/%u/%s", var, ctid, LG_DISK_IMAGE);

	if (r < 0)
		return r;
	image = open(path, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	if (image < 0)
		return lg_fail(err, -errno, "open '%s'", path);
	if (mounted >= 0)
		return lg_image_grow(mounted, image, lg_disk_round(bytes), err);
	own = lg_image_mount(path, UMOUNT_PATIENCE_MS, err);
	return own < 0 ? own : lg_image_grow(own, image, lg_disk_round(bytes), err);
}

int lg_disk_resize_file(const char *var, uint32_t ctid, uint64_t bytes, struct lg_err *err)
{
	lg_autoclose int image = -1;
	char path[LG_STORE_PATH];
	uint64_t size = lg_disk_round(bytes);
	struct stat st;
	int r = lg_store_path(path, err, "%s/ct/%u/%s", var, ctid, LG_DISK_RAW);

	if (r == 0 && access(path, F_OK) < 0)
		r = lg_store_path(path, err, "%s/ct/%u/%s", var, ctid, LG_DISK_IMAGE);
	if (r < 0)
		return r;
	image = open(path, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	if (image < 0 || fstat(image, &st) < 0)
		return lg_fail(err, -errno, "open '%s'", path);
	if ((uint64_t)st.st_size == size)
		return 0;
	return ftruncate(image, (off_t)size) < 0 ? lg_fail(err, -errno, "make '%s' larger", path) : 1;
}
