/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * How it works: removing a tree that a stranger made. He chose its depth and its names, so there is no
 * recursion and no path: a folder that is not empty is moved up beside the tree's top under a
 * name of ours and taken in turn, so that one descriptor and one loop do for any depth. Links are
 * removed, not followed; a mount point answers EBUSY and is left.
 */

#include "lib/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "lib/cleanup.h"

#define SIDE_NAME_MAX 64

struct removal {
	int parent;		/* folder that holds the tree, and the folders moved up meanwhile */
	dev_t dev;
	unsigned int pending;	/* folders moved up and not yet removed: numbers 0 .. pending-1 */
	const char *tag;	/* of the side names: the tree's own name, shortened */
	int first_error;
};

static void side_name(const struct removal *rm, unsigned int nr, char buf[SIDE_NAME_MAX])
{
	snprintf(buf, SIDE_NAME_MAX, ".%.40s.rm%u", rm->tag, nr);
}

static void note_error(struct removal *rm, int error)
{
	if (rm->first_error == 0 && error != -ENOENT)
		rm->first_error = error;
}

/* Move the folder @name of @dir up; it will be emptied in its turn. */
static void move_up(struct removal *rm, int dir, const char *name)
{
	char side[SIDE_NAME_MAX];

	for (;;) {
		int r;

		side_name(rm, rm->pending, side);
		r = renameat(dir, name, rm->parent, side) < 0 ? -errno : 0;
		if (r < 0 && r != -ENOTEMPTY && r != -EEXIST) {
			note_error(rm, r);
			return;
		}
		/* A removal that was killed left one of that name: it is emptied in its turn too. */
		rm->pending++;
		if (r == 0)
			return;
	}
}

static void remove_entry(struct removal *rm, int dir, const struct dirent *e)
{
	if (e->d_type != DT_DIR && unlinkat(dir, e->d_name, 0) == 0)
		return;
	if (e->d_type != DT_DIR && errno != EISDIR && errno != EPERM) {
		note_error(rm, -errno);
		return;
	}
	if (unlinkat(dir, e->d_name, AT_REMOVEDIR) == 0)
		return;
	if (errno == ENOTEMPTY || errno == EEXIST)
		move_up(rm, dir, e->d_name);
	else
		note_error(rm, -errno);
}

/* Empty the folder @name beside the top and remove it. Gives whether it is gone. */
static bool empty_folder(struct removal *rm, const char *name)
{
	lg_autodir DIR *dir = NULL;
	struct dirent *e;
	struct stat st;
	int fd = openat(rm->parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &st) < 0 || !(dir = fdopendir(fd))) {
		note_error(rm, -errno);
		lg_close(fd);
		return false;
	}
	if (st.st_dev != rm->dev) {
		note_error(rm, -EXDEV);
		return false;
	}
	while ((e = readdir(dir)))
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			remove_entry(rm, fd, e);
	if (unlinkat(rm->parent, name, AT_REMOVEDIR) == 0)
		return true;
	note_error(rm, -errno);
	return false;
}

static void empty_pending(struct removal *rm)
{
	char side[SIDE_NAME_MAX];

	/* Each folder may add others behind itself, and is gone when its own turn is over. */
	for (unsigned int next = 0; next < rm->pending; next++) {
		side_name(rm, next, side);
		empty_folder(rm, side);
	}
}

static bool is_side_name(const struct removal *rm, const char *name)
{
	char start[SIDE_NAME_MAX];
	int len = snprintf(start, sizeof(start), ".%.40s.rm", rm->tag);

	return strncmp(name, start, (size_t)len) == 0 && name[len] >= '0' && name[len] <= '9';
}

/* What a removal of this name left that was killed. Gives whether any of it went away. */
static bool empty_left_over(struct removal *rm)
{
	int fd = openat(rm->parent, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	lg_autodir DIR *dir = NULL;
	struct dirent *e;
	bool any = false;

	if (fd < 0 || !(dir = fdopendir(fd))) {
		note_error(rm, -errno);
		lg_close(fd);
		return false;
	}
	while ((e = readdir(dir)))
		if (is_side_name(rm, e->d_name))
			any |= empty_folder(rm, e->d_name);
	return any;
}

int lg_remove_tree(int dirfd, const char *name, struct lg_err *err)
{
	const char *base = strrchr(name, '/');
	lg_autoclose int parent = -1;
	struct removal rm = { 0 };
	char folder[4096];
	struct stat st;

	base = base ? base + 1 : name;
	snprintf(folder, sizeof(folder), "%.*s", (int)(base - name), name);
	parent = openat(dirfd, folder[0] ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (parent < 0)
		return errno == ENOENT ? 0 : lg_fail(err, -errno, "remove '%s'", name);
	if (fstat(parent, &st) < 0)
		return lg_fail(err, -errno, "remove '%s'", name);
	rm.parent = parent;
	rm.dev = st.st_dev;
	rm.tag = base;
	if (fstatat(parent, base, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		note_error(&rm, -errno);
	} else if (S_ISDIR(st.st_mode)) {
		empty_folder(&rm, base);
		empty_pending(&rm);
	} else if (unlinkat(parent, base, 0) < 0) {
		note_error(&rm, -errno);
	}
	while (empty_left_over(&rm))
		continue;
	return rm.first_error ? lg_fail(err, rm.first_error, "remove '%s'", name) : 0;
}
