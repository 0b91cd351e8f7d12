/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/lodge-shim/namespaces.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/cleanup.h"

#define DEPTH_MAX 16

struct gathered {
	int *fds;
	ino_t inodes[256];
	size_t n, max;
};

static bool is_new(const struct gathered *g, ino_t inode)
{
	for (size_t i = 0; i < g->n; i++)
		if (g->inodes[i] == inode)
			return false;
	return true;
}

/* A process that ended meanwhile, or whose number is another's by now: who uses @fds looks before it acts. */
static void add_process(struct gathered *g, int pid)
{
	char path[32];
	lg_autoclose int fd = -1;
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%d/ns/mnt", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0 || !is_new(g, st.st_ino) || g->n == g->max)
		return;
	g->inodes[g->n] = st.st_ino;
	g->fds[g->n++] = lg_take_fd(&fd);
}

static void add_processes(struct gathered *g, int dir)
{
	lg_autoclose int fd = openat(dir, "cgroup.procs", O_RDONLY | O_CLOEXEC);
	lg_autofile FILE *f = fd < 0 ? NULL : fdopen(fd, "r");
	int pid;

	if (!f)
		return;
	lg_take_fd(&fd);
	while (g->n < g->max && fscanf(f, "%d", &pid) == 1)
		if (pid > 0)
			add_process(g, pid);
}

static void walk(struct gathered *g, int parent, const char *name, int depth)
{
	lg_autoclose int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	lg_autodir DIR *dir = NULL;
	struct dirent *e;

	if (fd < 0)
		return;
	add_processes(g, fd);
	dir = fdopendir(fd);
	if (!dir)
		return;
	lg_take_fd(&fd);
	while (depth < DEPTH_MAX && g->n < g->max && (e = readdir(dir)))
		if (e->d_type == DT_DIR && e->d_name[0] != '.')
			walk(g, dirfd(dir), e->d_name, depth + 1);
}

size_t namespaces_gather(int cgroup_fd, ino_t but, int *fds, size_t max)
{
	struct gathered g = { .fds = fds, .max = max };

	if (g.max > ARRAY_SIZE(g.inodes))
		g.max = ARRAY_SIZE(g.inodes);
	/* The one that is not wanted takes the first place meanwhile. */
	fds[0] = -1;
	g.inodes[0] = but;
	g.n = 1;
	walk(&g, cgroup_fd, ".", 0);
	memmove(&fds[0], &fds[1], (g.n - 1) * sizeof(fds[0]));
	return g.n - 1;
}
