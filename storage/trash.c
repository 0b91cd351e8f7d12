/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "storage/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/file.h"
#include "storage/layer.h"

#define PLACES_MAX 100000u	/* trees of one name that may wait to be deleted */

/* A tree can be renamed within its file system alone, and these folders of VAR may have one of their own. */
static const char *const bins[] = { "trash", "ct/.trash", "templates/.trash" };

/* Return: 1 = it is there now, 0 = it lies on another file system, negative errno. */
static int move_to(int trash, int dirfd, const char *name, const char *label)
{
	char place[128];

	for (unsigned int i = 0; i < PLACES_MAX; i++) {
		snprintf(place, sizeof(place), "%.100s.%u", label, i);
		if (renameat2(dirfd, name, trash, place, RENAME_NOREPLACE) == 0 || errno == ENOENT)
			return 1;
		if (errno == EXDEV)
			return 0;
		if (errno != EEXIST)
			return -errno;
	}
	return -EEXIST;
}

int lg_trash_put(const char *var, int dirfd, const char *name, const char *label,
		 struct lg_err *err)
{
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(bins) && r == 0; i++) {
		lg_autoclose int trash = lg_store_open(var, bins[i], err);

		if (trash < 0)
			return trash;
		r = move_to(trash, dirfd, name, label);
	}
	if (r == 0)
		r = -EXDEV;
	return r < 0 ? lg_fail(err, r, "move '%s' to the trash", name) : 0;
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
static int empty(const char *var, const char *bin, struct lg_err *err)
{
	lg_autoclose int trash = lg_store_open(var, bin, err);
	int first = 0;

	if (trash < 0)
		return trash;
	if (flock(trash, LOCK_EX) < 0)
		return lg_fail(err, -errno, "lock the trash");
	while (remove_entries(trash, err, &first) > 0 && first == 0)
		;
	return first;
}

static bool is_there(const char *var, const char *bin)
{
	char path[LG_STORE_PATH];

	return lg_store_path(path, NULL, "%s/%s", var, bin) == 0 && access(path, F_OK) == 0;
}

int lg_layer_empty_trash(const char *var, struct lg_err *err)
{
	int first = 0;

	for (size_t i = 0; i < ARRAY_SIZE(bins); i++) {
		int r = is_there(var, bins[i]) ? empty(var, bins[i], first ? NULL : err) : 0;

		if (first == 0)
			first = r;
	}
	return first;
}

/* Its names there are ID.N; what a removal works on meanwhile is .ID.N.rmM beside them. */
static bool is_in(const char *var, const char *bin, uint32_t ctid)
{
	lg_autodir DIR *dir = NULL;
	int fd = lg_store_open(var, bin, NULL);
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

bool lg_layer_in_trash(const char *var, uint32_t ctid)
{
	for (size_t i = 0; i < ARRAY_SIZE(bins); i++)
		if (is_there(var, bins[i]) && is_in(var, bins[i], ctid))
			return true;
	return false;
}
