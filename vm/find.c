/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What a machine was booted from, found by which making it is: every file that may be it is looked at, and there are few. */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/file.h"
#include "storage/store.h"
#include "vm/qemu.h"
#include "vm/transfer.h"

#define HEX "0123456789abcdef"

bool lg_vm_identity_is_sound(const char *id)
{
	return id && strlen(id) == LG_VM_IDENTITY - 1 && strspn(id, HEX) == LG_VM_IDENTITY - 1;
}

int lg_vm_cache_identity(const char *folder, const char *name, bool kernel, char ret[LG_VM_IDENTITY])
{
	char path[LG_STORE_PATH];
	int r = lg_store_path(path, NULL, "%s/%s%s", folder, name, kernel ? "/modules.img" : "");

	return r < 0 ? r : lg_erofs_identity(path, ret, NULL);
}

/* The name of the entry of @folder that is of that making. */
static int find_in(const char *folder, bool kernel, const char *id, char ret[LG_STORE_PATH], struct lg_err *err)
{
	lg_autodir DIR *dir = NULL;
	struct dirent *e;
	char now[LG_VM_IDENTITY];

	if (!lg_vm_identity_is_sound(id))
		return lg_refuse(err, -EINVAL, 0, "it is not known what it was booted from");
	dir = opendir(folder);
	if (!dir && errno != ENOENT)
		return lg_fail(err, -errno, "read '%s'", folder);
	while (dir && (e = readdir(dir)))
		if (e->d_name[0] != '.' && lg_vm_cache_identity(folder, e->d_name, kernel, now) == 0 && strcmp(now, id) == 0)
			return lg_store_path(ret, err, "%s", e->d_name);
	return lg_refuse(err, -ENOENT, 0, "the %s that is in its memory, which it was booted from (%.8s), is not on this host",
			 kernel ? "kernel" : "disk of a template", id);
}

int lg_vm_base_find(const char *var, const char *id, char path[LG_VM_PATH], struct lg_err *err)
{
	char folder[LG_STORE_PATH], name[LG_STORE_PATH];
	int r = lg_store_path(folder, err, "%s/vm/base", var);

	if (r == 0)
		r = find_in(folder, false, id, name, err);
	if (r == 0 && path && snprintf(path, LG_VM_PATH, "%s/%s", folder, name) >= (int)LG_VM_PATH)
		r = lg_fail(err, -ENAMETOOLONG, "path '%.80s...'", folder);
	return r;
}

int lg_vm_kernel_by_id(const char *var, const char *id, struct lg_vm_kernel *ret, struct lg_err *err)
{
	char folder[LG_STORE_PATH], name[LG_STORE_PATH], path[LG_STORE_PATH];
	struct lg_vm_kernel found = { 0 };
	int r = lg_store_path(folder, err, "%s/vm/kernel", var);

	if (r == 0)
		r = find_in(folder, true, id, name, err);
	if (r == 0)
		r = lg_store_path(path, err, "%s/%s", folder, name);
	if (r == 0)
		r = lg_vm_kernel_describe(path, &found, err);
	if (r == 0 && ret)
		*ret = found;
	return r;
}

int lg_vm_part_where(const char *var, bool kernel, const char *id, char ret[LG_VM_PATH], struct lg_err *err)
{
	struct lg_vm_kernel found;
	int r = kernel ? lg_vm_kernel_by_id(var, id, &found, err) : lg_vm_base_find(var, id, ret, err);

	if (r == 0 && kernel)
		snprintf(ret, LG_VM_PATH, "%.*s", (int)(strrchr(found.modules, '/') - found.modules), found.modules);
	return r;
}

/* Who cleans has it locked for himself, and removes it then. */
static bool is_still_there(int fd, const char *path)
{
	struct stat held, there;

	return flock(fd, LOCK_SH | LOCK_NB) == 0 && fstat(fd, &held) == 0 && lstat(path, &there) == 0 &&
	       held.st_dev == there.st_dev && held.st_ino == there.st_ino;
}

int lg_vm_part_hold(const char *var, const char *role, const char *id, struct lg_err *err)
{
	char path[LG_VM_PATH];
	lg_autoclose int fd = -1;
	int r = lg_vm_part_where(var, strcmp(role, "kernel") == 0, id, path, err);

	if (r < 0)
		return r;
	fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || !is_still_there(fd, path))
		return lg_refuse(err, -ENOENT, 0, "'%s' is being removed", path);
	return lg_take_fd(&fd);
}
