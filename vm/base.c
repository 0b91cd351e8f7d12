/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * How it works: erofs, uncompressed. It holds a template's files in as many bytes as they have, needs no guess at its size, is
 * made in half a second, and cannot be written to.
 */

#include "vm/boot.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/file.h"
#include "storage/store.h"
#include "vm/cache.h"

static const char *digits_of(const struct lg_template *t)
{
	const char *colon = strchr(t->digest, ':');

	return colon ? colon + 1 : t->digest;
}

void lg_vm_base_path(const char *var, const struct lg_template *t, char path[LG_VM_PATH])
{
	snprintf(path, LG_VM_PATH, "%s/vm/base/%s.img", var, digits_of(t));
}

int lg_vm_base_ready(const char *var, const struct lg_template *t)
{
	char path[LG_VM_PATH];

	lg_vm_base_path(var, t, path);
	return access(path, R_OK) == 0;
}

static int make_folder(const char *var, char ret[LG_STORE_PATH], struct lg_err *err)
{
	int r = lg_store_path(ret, err, "%s/vm/base", var);

	return r < 0 ? r : lg_mkdir_all(ret, 0700, err);
}

static int make_image(const struct lg_template *t, int dir, const char *folder, const char *name, struct lg_err *err)
{
	lg_autoclose int fd = openat(dir, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	char image[LG_STORE_PATH];
	int r;

	if (fd < 0)
		return lg_fail(err, -errno, "make '%s' in '%s'", name, folder);
	r = lg_vm_cache_lock(fd);
	if (r < 0)
		return lg_fail(err, r, "lock '%s'", name);
	r = lg_store_path(image, err, "%s/%s", folder, name);
	if (r == 0)
		r = lg_vm_erofs(t->rootfs, image, err);
	if (r == 0 && fsync(fd) < 0)
		r = lg_fail(err, -errno, "write '%s'", image);
	return r;
}

/* Another one may have been faster, or has come from another host: that stays, as a machine may run on it. */
static int keep(int dir, const char *name, const char *final, struct lg_err *err)
{
	int r = lg_vm_cache_place(dir, name, final);

	if (r == -EEXIST)
		r = unlinkat(dir, name, 0) < 0 ? -errno : 0;
	return r < 0 ? lg_fail(err, r, "rename '%s'", name) : 0;
}

int lg_vm_base_make(const char *var, const struct lg_template *t, void (*progress)(const char *line, void *arg), void *arg,
		    struct lg_err *err)
{
	char folder[LG_STORE_PATH], name[LG_VM_DIGEST + 24], path[LG_VM_PATH];
	lg_autoclose int dir = -1;
	int r;

	if (lg_vm_base_ready(var, t))
		return 0;
	if (progress)
		progress("making a disk of the template", arg);
	r = make_folder(var, folder, err);
	if (r < 0)
		return r;
	dir = lg_open_dir(AT_FDCWD, folder, err);
	if (dir < 0)
		return dir;
	lg_vm_cache_new(digits_of(t), name);
	unlinkat(dir, name, 0);
	r = make_image(t, dir, folder, name, err);
	lg_vm_base_path(var, t, path);
	if (r == 0)
		r = keep(dir, name, strrchr(path, '/') + 1, err);
	if (r == 0 && fsync(dir) < 0)
		r = lg_fail(err, -errno, "sync '%s'", folder);
	if (r < 0)
		unlinkat(dir, name, 0);
	return r < 0 ? lg_within(err, r, "disk of the template '%s'", t->name) : 0;
}
