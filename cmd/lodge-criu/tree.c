/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The processes of the container, as the kernel lists them: init, its children, and theirs. */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/lodge-criu/criu.h"
#include "lib/cleanup.h"
#include "lib/file.h"

#define PROCESSES_MAX 65536u
#define STATUS_MAX 16384u

struct tree {
	tree_fn fn;
	void *arg;
	unsigned int n;
};

static int visit(struct tree *t, pid_t pid);

static int visit_children(struct tree *t, pid_t pid, const char *thread)
{
	lg_autofile FILE *f = NULL;
	char path[300];
	int child, r = 0;

	snprintf(path, sizeof(path), "/proc/%d/task/%s/children", (int)pid, thread);
	f = fopen(path, "re");
	while (r == 0 && f && fscanf(f, "%d", &child) == 1)
		r = visit(t, child);
	return r;
}

static int visit(struct tree *t, pid_t pid)
{
	int tasks = tree_open(pid, "task");
	lg_autodir DIR *dir = tasks < 0 ? NULL : fdopendir(tasks);
	struct dirent *e;
	int r;

	if (!dir) {
		lg_close(tasks);
		return 0;	/* it has ended */
	}
	if (t->n++ == PROCESSES_MAX)
		return -E2BIG;
	r = t->fn(pid, t->arg);
	while (r == 0 && (e = readdir(dir)))
		if (e->d_name[0] != '.')
			r = visit_children(t, pid, e->d_name);
	return r;
}

int tree_open(pid_t pid, const char *what)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, what);
	return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

int tree_each_descriptor(pid_t pid, descriptor_fn fn, void *arg)
{
	int fds = tree_open(pid, "fd"), r = 0;
	lg_autodir DIR *dir = fds < 0 ? NULL : fdopendir(fds);
	struct dirent *e;

	if (!dir)
		lg_close(fds);
	while (dir && r == 0 && (e = readdir(dir)))
		if (e->d_name[0] != '.')
			r = fn(pid, fds, e->d_name, arg);
	return r;
}

int tree_each(pid_t pid, tree_fn fn, void *arg)
{
	struct tree t = { .fn = fn, .arg = arg };

	return visit(&t, pid);
}

/* "NSpid:\t29469\t1": the last one. */
pid_t tree_number_in(const char *path)
{
	lg_autofree char *text = NULL;
	char *line, *last;

	if (lg_file_read(AT_FDCWD, path, STATUS_MAX, &text, NULL, NULL) < 0 || !(line = strstr(text, "\nNSpid:")))
		return 0;
	line++;
	line[strcspn(line, "\n")] = '\0';
	last = strrchr(line, '\t');
	return last ? (pid_t)strtol(last, NULL, 10) : 0;
}

pid_t tree_inside(pid_t pid)
{
	char path[40];

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	return tree_number_in(path);
}
