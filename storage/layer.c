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

/* upper's mode is what the container sees on its root, whatever our umask is. */
static int make_folders(int layers, const char *name)
{
	lg_autoclose int fd = -1;

	if (mkdirat(layers, name, 0700) < 0)
		return -errno;
	fd = openat(layers, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || mkdirat(fd, "upper", 0755) < 0 || fchmodat(fd, "upper", 0755, 0) < 0 ||
	    mkdirat(fd, "work", 0700) < 0)
		return -errno;
	return 0;
}

/* Made under another name and renamed, so that a layer is whole or not there. */
int lg_layer_create(const char *var, uint32_t ctid, struct lg_err *err)
{
	lg_autoclose int layers = lg_store_open(var, "ct", err);
	char name[16], tmp[32];
	int r;

	if (layers < 0)
		return layers;
	snprintf(name, sizeof(name), "%u", ctid);
	snprintf(tmp, sizeof(tmp), ".%u.new", ctid);
	r = make_folders(layers, tmp);
	if (r == -EEXIST) {
		r = lg_remove_tree(layers, tmp, err);
		if (r < 0)
			return r;
		r = make_folders(layers, tmp);
	}
	if (r == 0 && renameat2(layers, tmp, layers, name, RENAME_NOREPLACE) < 0)
		r = -errno;
	if (r == 0)
		return 0;
	lg_remove_tree(layers, tmp, NULL);
	if (r == -EEXIST)
		return lg_refuse(err, r, LG_EXIT_PRIVATE_EXISTS,
				 "files of %u are already there: '%s/ct/%u'", ctid, var, ctid);
	return lg_fail(err, r, "make the layer '%s/ct/%u'", var, ctid);
}

int lg_layer_trash(const char *var, uint32_t ctid, struct lg_err *err)
{
	lg_autoclose int layers = lg_store_open(var, "ct", err);
	char name[16];

	if (layers < 0)
		return layers;
	snprintf(name, sizeof(name), "%u", ctid);
	return lg_trash_put(var, layers, name, name, err);
}

/* Its names there are ID.N; what a removal works on meanwhile is .ID.N.rmM beside them. */
bool lg_layer_in_trash(const char *var, uint32_t ctid)
{
	lg_autodir DIR *dir = NULL;
	int fd = lg_store_open(var, "trash", NULL);
	struct dirent *e;
	char start[16];

	if (fd < 0 || !(dir = fdopendir(fd))) {
		lg_close(fd);
		return false;
	}
	snprintf(start, sizeof(start), "%u.", ctid);
	while ((e = readdir(dir)))
		if (strncmp(e->d_name + (*e->d_name == '.'), start, strlen(start)) == 0)
			return true;
	return false;
}

int lg_layer_exists(const char *var, uint32_t ctid)
{
	char path[LG_STORE_PATH];
	struct stat st;

	return lg_store_path(path, NULL, "%s/ct/%u/upper", var, ctid) == 0 &&
	       lstat(path, &st) == 0 && S_ISDIR(st.st_mode);
}
