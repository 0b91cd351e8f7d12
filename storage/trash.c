/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "storage/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>

#include "lib/cleanup.h"
#include "lib/file.h"
#include "storage/layer.h"

#define PLACES_MAX 100000u	/* trees of one name that may wait to be deleted */

int lg_trash_put(const char *var, int dirfd, const char *name, const char *label,
		 struct lg_err *err)
{
	lg_autoclose int trash = lg_store_open(var, "trash", err);
	char place[128];

	if (trash < 0)
		return trash;
	for (unsigned int i = 0; i < PLACES_MAX; i++) {
		snprintf(place, sizeof(place), "%.100s.%u", label, i);
		if (renameat2(dirfd, name, trash, place, RENAME_NOREPLACE) == 0)
			return 0;
		if (errno == ENOENT)
			return 0;
		if (errno != EEXIST)
			return lg_fail(err, -errno, "move '%s' to the trash", name);
	}
	return lg_fail(err, -EEXIST, "move '%s' to the trash", name);
}

/* Return: entries seen. What cannot be removed is left; the first error is kept. */
static unsigned int remove_entries(int trash, struct lg_err *err, int *first)
{
	lg_autodir DIR *dir = NULL;
	struct dirent *e;
	unsigned int seen = 0;
	int fd = openat(trash, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir) {
		*first = lg_fail(err, -errno, "read the trash");
		lg_close(fd);
		return 0;
	}
	while ((e = readdir(dir))) {
		int r;

		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		seen++;
		r = lg_remove_tree(trash, e->d_name, *first ? NULL : err);
		if (*first == 0)
			*first = r;
	}
	return seen;
}

/* One at a time; the one that waited looks again, so that nothing put there before is left. */
int lg_layer_empty_trash(const char *var, struct lg_err *err)
{
	lg_autoclose int trash = lg_store_open(var, "trash", err);
	int first = 0;

	if (trash < 0)
		return trash;
	if (flock(trash, LOCK_EX) < 0)
		return lg_fail(err, -errno, "lock the trash");
	while (remove_entries(trash, err, &first) > 0 && first == 0)
		;
	return first;
}
