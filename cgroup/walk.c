/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * How it works: the directories below an instance's cgroup are its guest's: he chose how many
 * there are, how deep, and their names. So they are gone through without recursion and one name
 * at a time, from descriptor to descriptor. cgroup.max.depth and cgroup.max.descendants, set
 * when the cgroup was made, bound the descriptors this takes and the time. cgroupfs has no
 * links to follow.
 */

#include "cgroup/host.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "lib/cleanup.h"

struct level {
	DIR *dir;
	char name[NAME_MAX + 1];	/* in the level above */
};

struct walk {
	struct level levels[LG_CG_DEPTH_MAX + 2];
	unsigned int depth;
	int dirfd;
};

static DIR *open_dir(int dirfd, const char *name)
{
	lg_autoclose int fd = openat(dirfd, name,
				     O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (dir)
		lg_take_fd(&fd);
	return dir;
}

static const char *next_child(DIR *dir)
{
	struct dirent *entry;

	while ((entry = readdir(dir)))
		if (entry->d_type == DT_DIR && strcmp(entry->d_name, ".") != 0 &&
		    strcmp(entry->d_name, "..") != 0)
			return entry->d_name;
	return NULL;
}

static int top_fd(const struct walk *walk)
{
	return walk->depth ? dirfd(walk->levels[walk->depth - 1].dir) : walk->dirfd;
}

static int enter(struct walk *walk, const char *name)
{
	struct level *level;

	if (walk->depth == LG_CG_DEPTH_MAX + 2)
		return -ELOOP;
	level = &walk->levels[walk->depth];
	level->dir = open_dir(top_fd(walk), name);
	if (!level->dir)
		return errno == ENOENT ? 0 : -errno;
	memcpy(level->name, name, strlen(name) + 1);
	walk->depth++;
	return 0;
}

int lg_cg_walk(int dirfd, const char *name, int (*fn)(int parent, const char *name, void *arg),
	       void *arg)
{
	struct walk walk = { .dirfd = dirfd };
	int r = enter(&walk, name);

	while (r == 0 && walk.depth > 0) {
		struct level *level = &walk.levels[walk.depth - 1];
		const char *child = next_child(level->dir);

		if (child) {
			r = enter(&walk, child);
			continue;
		}
		closedir(level->dir);
		walk.depth--;
		r = fn(top_fd(&walk), level->name, arg);
	}
	while (walk.depth > 0)
		closedir(walk.levels[--walk.depth].dir);
	return r;
}

int lg_cg_children(int dirfd, int (*fn)(int parent, const char *name, void *arg), void *arg)
{
	lg_autodir DIR *dir = open_dir(dirfd, ".");
	const char *name;
	int r = 0;

	if (!dir)
		return -errno;
	while (r == 0 && (name = next_child(dir)))
		r = fn(dirfd, name, arg);
	return r;
}

static int remove_one(int parent, const char *name, void *arg)
{
	(void)arg;
	if (unlinkat(parent, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
		return 0;
	return errno == ENOTEMPTY ? -EBUSY : -errno;
}

int lg_cg_rmtree(int dirfd, const char *name)
{
	char text[LG_CG_TEXT];
	uint64_t populated;

	/* Most have no child, and an empty one is gone with a single call. */
	if (remove_one(dirfd, name, NULL) == 0)
		return 0;
	/* A cgroup in use keeps all of its tree: half of it gone would help nobody. */
	if (lg_cg_read(dirfd, name, "cgroup.events", text, sizeof(text)) > 0 &&
	    lg_cg_keyed(text, "populated", &populated) == 0 && populated)
		return -EBUSY;
	return lg_cg_walk(dirfd, name, remove_one, NULL);
}
