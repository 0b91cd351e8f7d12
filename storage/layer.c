/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "storage/layer.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/cleanup.h"
#include "lib/exit.h"
#include "lib/file.h"
#include "storage/store.h"

#define OPEN_PATIENCE_MS 1000u

/* A folder @name of ours, empty; what a killed create left there goes. Return: descriptor. */
static int make_folder(int layers, const char *name, struct lg_err *err)
{
	if (mkdirat(layers, name, 0700) < 0) {
		if (errno != EEXIST)
			return lg_fail(err, -errno, "make the folder '%s'", name);
		if (lg_remove_tree(layers, name, err) < 0 || mkdirat(layers, name, 0700) < 0)
			return lg_fail(err, -errno, "make the folder '%s'", name);
	}
	return lg_open_dir(layers, name, err);
}

/* upper's mode is what the container sees on its root, whatever our umask is. */
static int make_content(int layer)
{
	if (mkdirat(layer, "upper", 0755) < 0 || fchmodat(layer, "upper", 0755, 0) < 0 ||
	    mkdirat(layer, "work", 0700) < 0)
		return -errno;
	return 0;
}

static int fill(const char *var, int layer, uint32_t ctid, const struct lg_disk_limit *limit,
		struct lg_err *err)
{
	const struct lg_disk_driver *driver = lg_disk_for_new(var, limit);
	int r = driver->make(var, layer, ctid, limit, err);

	if (r < 0 || lg_disk_image.holds(layer) || lg_disk_raw.holds(layer))
		return r;
	r = make_content(layer);
	return r < 0 ? lg_fail(err, r, "make the layer's folders") : 0;
}

/* Made under another name and renamed, so that a layer is whole or not there. */
int lg_layer_create(const char *var, uint32_t ctid, const struct lg_disk_limit *limit,
		    struct lg_err *err)
{
	lg_autoclose int layers = lg_store_open(var, "ct", err), layer = -1;
	char name[16], tmp[32];
	int r;

	if (layers < 0)
		return layers;
	snprintf(name, sizeof(name), "%u", ctid);
	snprintf(tmp, sizeof(tmp), ".%u.new", ctid);
	layer = make_folder(layers, tmp, err);
	if (layer < 0)
		return layer;
	r = fill(var, layer, ctid, limit, err);
	if (r < 0) {
		lg_remove_tree(layers, tmp, NULL);
		return r;
	}
	if (renameat2(layers, tmp, layers, name, RENAME_NOREPLACE) == 0)
		return 0;
	r = -errno;
	lg_remove_tree(layers, tmp, NULL);
	if (r == -EEXIST)
		return lg_refuse(err, r, LG_EXIT_PRIVATE_EXISTS,
				 "files of %u are already there: '%s/ct/%u'", ctid, var, ctid);
	return lg_fail(err, r, "make the layer '%s/ct/%u'", var, ctid);
}

/* What limited it goes with it: it is not used any more. */
static void forget_limit(int layers, const char *name)
{
	lg_autoclose int layer = lg_open_dir(layers, name, NULL);
	const struct lg_disk_driver *driver = layer < 0 ? NULL : lg_disk_of(layer);

	if (driver && driver->remove)
		driver->remove(layer);
}

int lg_layer_trash(const char *var, uint32_t ctid, struct lg_err *err)
{
	lg_autoclose int layers = lg_store_open(var, "ct", err);
	char name[16];

	if (layers < 0)
		return layers;
	snprintf(name, sizeof(name), "%u", ctid);
	forget_limit(layers, name);
	return lg_trash_put(var, layers, name, name, err);
}

int lg_layer_exists(const char *var, uint32_t ctid)
{
	static const char *const parts[] = { "upper", LG_DISK_IMAGE, LG_DISK_RAW };
	char path[LG_STORE_PATH];
	struct stat st;

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		if (lg_store_path(path, NULL, "%s/ct/%u/%s", var, ctid, parts[i]) == 0 &&
		    lstat(path, &st) == 0)
			return 1;
	return 0;
}

static bool is_in(const char *var, uint32_t ctid, const char *name, char path[LG_LAYER_PATH])
{
	struct stat st;
	int n = snprintf(path, LG_LAYER_PATH, "%s/ct/%u/%s", var, ctid, name);

	return n > 0 && n < (int)LG_LAYER_PATH && lstat(path, &st) == 0 && S_ISREG(st.st_mode);
}

int lg_layer_image(const char *var, uint32_t ctid, char path[LG_LAYER_PATH])
{
	return is_in(var, ctid, LG_DISK_IMAGE, path);
}

int lg_layer_disk(const char *var, uint32_t ctid, char path[LG_LAYER_PATH])
{
	return is_in(var, ctid, LG_DISK_IMAGE, path) || is_in(var, ctid, LG_DISK_RAW, path);
}

int lg_layer_open(const char *var, uint32_t ctid, struct lg_err *err)
{
	char path[LG_LAYER_PATH];
	int n;

	if (lg_layer_image(var, ctid, path))
		return lg_image_mount(path, OPEN_PATIENCE_MS, err);
	n = snprintf(path, sizeof(path), "%s/ct/%u", var, ctid);
	return n < 0 || n >= (int)sizeof(path) ? lg_fail(err, -ENAMETOOLONG, "the layer of %u", ctid) :
						 lg_open_dir(AT_FDCWD, path, err);
}
