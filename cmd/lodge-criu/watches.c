/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Paths of what is watched with inotify. The kernel tells a watch's inode, and no way back from it: overlay does not open
 * what it says by a handle, and on another host the inode is another one. CRIU looks at a few usual places; the rest is found here,
 * before anything is frozen: the inodes that are watched, then one walk over the root, by names alone, for those.
 *
 * A watch that comes between this and the freeze makes the dump fail, and it is tried again (main.c).
 */

#include <criu/criu.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "cmd/lodge-criu/criu.h"
#include "lib/cleanup.h"

#define INODES_MAX 65536u
#define DEPTH_MAX 64

struct watches {
	uint64_t *inodes;	/* sorted once they are all there */
	size_t n, room, found;
	unsigned int dev;	/* of the root, as the kernel writes it */
	dev_t root_dev;
	char path[PATH_MAX];
};

static int add(struct watches *w, uint64_t inode)
{
	if (w->n == INODES_MAX)
		return -E2BIG;
	if (w->n == w->room) {
		size_t room = w->room ? w->room * 2 : 64;
		uint64_t *more = realloc(w->inodes, room * sizeof(*more));

		if (!more)
			return -ENOMEM;
		w->inodes = more;
		w->room = room;
	}
	w->inodes[w->n++] = inode;
	return 0;
}

/* ---- what is watched ---- */

static int read_info(struct watches *w, int infos, const char *name)
{
	lg_autoclose int fd = openat(infos, name, O_RDONLY | O_CLOEXEC);
	lg_autofile FILE *f = fd < 0 ? NULL : fdopen(fd, "r");
	char line[512];
	int r = 0;

	if (!f)
		return 0;	/* closed meanwhile */
	lg_take_fd(&fd);
	while (r == 0 && fgets(line, sizeof(line), f)) {
		unsigned int dev;
		uint64_t inode;

		if (sscanf(line, "inotify wd:%*x ino:%" SCNx64 " sdev:%x", &inode, &dev) == 2 &&
		    dev == w->dev)
			r = add(w, inode);
	}
	return r;
}

static bool is_inotify(int fds, const char *name)
{
	char target[32];
	ssize_t n = readlinkat(fds, name, target, sizeof(target) - 1);

	if (n < 0)
		return false;
	target[n] = '\0';
	return strcmp(target, "anon_inode:inotify") == 0;
}

struct process {
	struct watches *w;
	int infos;
};

static int read_descriptor(pid_t pid, int fds, const char *name, void *arg)
{
	const struct process *p = arg;

	(void)pid;
	return is_inotify(fds, name) ? read_info(p->w, p->infos, name) : 0;
}

static int read_process(pid_t pid, void *arg)
{
	lg_autoclose int infos = tree_open(pid, "fdinfo");
	struct process p = { arg, infos };

	return infos < 0 ? 0 : tree_each_descriptor(pid, read_descriptor, &p);
}

/* ---- where it is ---- */

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void sort_once(struct watches *w)
{
	size_t n = 0;

	qsort(w->inodes, w->n, sizeof(*w->inodes), compare);
	for (size_t i = 0; i < w->n; i++)
		if (n == 0 || w->inodes[n - 1] != w->inodes[i])
			w->inodes[n++] = w->inodes[i];
	w->n = n;
}

static bool is_watched(const struct watches *w, uint64_t inode)
{
	return bsearch(&inode, w->inodes, w->n, sizeof(inode), compare) != NULL;
}

static int walk(struct watches *w, int parent, const char *name, size_t at, int depth);

/*
 * Of an inode whose name it has forgotten, to have memory for something else, the kernel's overlay cannot say a handle, and CRIU
 * fails at a watch without one. So the name is looked up, and kept by an open descriptor until this process ends.
 */
static void keep_known(int dir, const char *name)
{
	static bool raised;
	struct rlimit files;

	if (!raised && getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
		raised = true;
	}
	(void)openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
}

static int look_at(struct watches *w, int dir, const struct dirent *e, size_t at, int depth)
{
	int n = snprintf(w->path + at, sizeof(w->path) - at, "/%s", e->d_name);
	int r = 0;

	if (n < 0 || (size_t)n >= sizeof(w->path) - at)
		return 0;
	if (is_watched(w, e->d_ino)) {
		w->found++;
		keep_known(dir, e->d_name);
		r = criu_add_irmap_path(w->path);
	}
	if (r == 0 && e->d_type == DT_DIR)
		r = walk(w, dir, e->d_name, at + (size_t)n, depth + 1);
	w->path[at] = '\0';
	return r;
}

static int walk(struct watches *w, int parent, const char *name, size_t at, int depth)
{
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	lg_autodir DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	struct stat st;
	int r = 0;

	if (!dir) {
		if (fd >= 0)
			close(fd);
		return 0;
	}
	if (depth > DEPTH_MAX || fstat(fd, &st) < 0 || st.st_dev != w->root_dev)
		return 0;
	while (r == 0 && w->found < w->n && (e = readdir(dir)))
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			r = look_at(w, fd, e, at, depth);
	return r;
}

int watches_find(struct lg_err *err)
{
	struct watches w = { 0 };
	struct stat st;
	int r;

	if (stat(job.root, &st) < 0)
		return lg_fail(err, -errno, "look at '%s'", job.root);
	w.root_dev = st.st_dev;
	w.dev = major(st.st_dev) << 20 | minor(st.st_dev);
	r = tree_each(job.pid, read_process, &w);
	if (r == 0 && w.n > 0) {
		sort_once(&w);
		r = walk(&w, AT_FDCWD, job.root, 0, 0);
	}
	free(w.inodes);
	return r < 0 ? lg_fail(err, r, "find what is watched") : 0;
}
