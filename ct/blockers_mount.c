/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Mounts: of each mount namespace, as its processes see them. */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ct/blockers_find.h"
#include "lib/cleanup.h"

/* A guest may make as many namespaces with as many mounts as it has memory for. */
#define DISTINCT_MAX 8192u
#define LINES_MAX 1000000u

struct mount {
	unsigned int major, minor;
	const struct task *task;	/* the first that sees it */
	char *line;			/* owns the texts */
	char *root, *point, *type, *source;
};

/* What is mounted in many places, and seen from many namespaces, is in it once. */
struct mounts {
	struct mount *list;
	size_t n, room, lines;
};

/* What CRIU mounts anew, by the kernel's name for it. */
static const char *const known[] = {
	"autofs", "binfmt_misc", "cgroup", "cgroup2", "debugfs", "devpts", "devtmpfs", "fusectl",
	"hugetlbfs", "mqueue", "overlay", "proc", "pstore", "ramfs", "securityfs", "sysfs", "tmpfs",
	"tracefs",
};

static void mounts_free(struct mounts *m)
{
	for (size_t i = 0; i < m->n; i++)
		free(m->list[i].line);
	free(m->list);
}

/* "36 35 98:0 /root /point opts shared:1 - type source super-opts" */
static bool parse(char *line, struct mount *m)
{
	char *save = NULL, *word = strtok_r(line, " \n", &save);
	bool optional = true;

	for (int i = 0; word; word = strtok_r(NULL, " \n", &save), i++) {
		if (i == 2 && sscanf(word, "%u:%u", &m->major, &m->minor) != 2)
			return false;
		if (i == 3)
			m->root = word;
		if (i == 4)
			m->point = word;
		if (i > 5 && optional && strcmp(word, "-") == 0) {
			m->type = strtok_r(NULL, " \n", &save);
			m->source = strtok_r(NULL, " \n", &save);
			optional = false;
		}
	}
	return m->root && m->point && m->type;
}

static bool is_there(const struct mounts *ms, const struct mount *m)
{
	for (size_t i = 0; i < ms->n; i++)
		if (ms->list[i].major == m->major && ms->list[i].minor == m->minor &&
		    strcmp(ms->list[i].root, m->root) == 0)
			return true;
	return false;
}

static int make_room(struct mounts *ms)
{
	size_t room = ms->room ? 2 * ms->room : 64;
	struct mount *list;

	if (ms->n < ms->room)
		return 0;
	if (ms->n >= DISTINCT_MAX)
		return -E2BIG;
	list = reallocarray(ms->list, room, sizeof(*list));
	if (!list)
		return -ENOMEM;
	ms->list = list;
	ms->room = room;
	return 0;
}

static int add(struct mounts *ms, const char *line, const struct task *task)
{
	struct mount m = { .task = task, .line = strdup(line) };
	int r = m.line ? make_room(ms) : -ENOMEM;

	if (r == 0 && ++ms->lines > LINES_MAX)
		r = -E2BIG;
	if (r < 0 || !parse(m.line, &m) || is_there(ms, &m)) {
		free(m.line);
		return r;
	}
	ms->list[ms->n++] = m;
	return 0;
}

static int read_mounts(struct mounts *ms, int proc, const struct task *task)
{
	lg_autoclose int fd = openat(proc, "mountinfo", O_RDONLY | O_CLOEXEC);
	lg_autofile FILE *file = fd < 0 ? NULL : fdopen(fd, "r");
	lg_autofree char *line = NULL;
	size_t size = 0;
	int r = 0;

	if (!file)
		return errno == ESRCH || errno == ENOENT || errno == EINVAL ? 0 : -errno;
	lg_take_fd(&fd);
	while (r == 0 && getline(&line, &size, file) > 0)
		r = add(ms, line, task);
	return r;
}

/* Those of @pid, which is not the container's: nothing if it is gone. */
static int read_outside(struct mounts *ms, const char *pid)
{
	char path[40];
	lg_autoclose int proc = -1;

	snprintf(path, sizeof(path), "/proc/%s", pid);
	proc = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return proc < 0 ? 0 : read_mounts(ms, proc, NULL);
}

static bool is_first_in_namespace(const struct find *f, size_t i)
{
	const struct task *t = &f->tasks[i];

	if (t->ends || !t->ns[NS_MNT] || t->ns[NS_MNT] == f->init->ns[NS_MNT])
		return false;
	for (size_t k = 0; k < i; k++)
		if (!f->tasks[k].ends && f->tasks[k].ns[NS_MNT] == t->ns[NS_MNT])
			return false;
	return true;
}

/* Init's first: what others have from it is said of it. */
static int read_inside(struct find *f, struct mounts *ms)
{
	lg_autoclose int init = find_open(f->init);
	int r = init < 0 ? 0 : read_mounts(ms, init, f->init);

	for (size_t i = 0; r == 0 && i < f->ntasks; i++) {
		lg_autoclose int proc = -1;

		if (!is_first_in_namespace(f, i))
			continue;
		proc = find_open(&f->tasks[i]);
		r = proc < 0 ? 0 : read_mounts(ms, proc, &f->tasks[i]);
	}
	return r;
}

static bool has_file_system(const struct mounts *ms, const struct mount *of, const char *root)
{
	for (size_t i = 0; i < ms->n; i++)
		if (ms->list[i].major == of->major && ms->list[i].minor == of->minor &&
		    (!root || strcmp(ms->list[i].root, root) == 0))
			return true;
	return false;
}

/*
 * What lodge itself mounted is its own business at a dump: lxcfs's files, device nodes (a tmpfs without a source,
 * ct/devices_live.c), and what is of a file system that is mounted outside as well. All kept namespaces of a kernel are
 * in one file system, whoever keeps them.
 */
static bool is_lodges(const struct mounts *outside, const struct mount *m)
{
	if (strcmp(m->type, "nsfs") == 0)
		return false;
	return strcmp(m->type, "fuse.lxcfs") == 0 || has_file_system(outside, m, NULL) ||
	       (strcmp(m->type, "tmpfs") == 0 && m->source && strcmp(m->source, "none") == 0 &&
		strncmp(m->point, "/dev/", 5) == 0 && strcmp(m->root, "/") != 0);
}

static bool is_known(const char *type)
{
	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (strcmp(known[i], type) == 0)
			return true;
	return false;
}

static void judge(struct find *f, const struct mounts *inside, const struct mount *m)
{
	if (strcmp(m->type, "nsfs") == 0)
		find_note(f, LG_BLOCKER_NS_MOUNT, "%s", m->point);
	else if (!is_known(m->type))
		find_note(f, LG_BLOCKER_FILE_SYSTEM, "%s on %s", m->type, m->point);
	else if (strcmp(m->type, "ramfs") == 0)
		find_note(f, LG_BLOCKER_RAMFS, "%s", m->point);
	/* The root of a cgroup namespace is a folder of the file system's. */
	else if (strcmp(m->root, "/") != 0 && strncmp(m->type, "cgroup", 6) != 0 &&
		 !has_file_system(inside, m, "/"))
		find_note(f, LG_BLOCKER_BIND, "%s on %s", m->type, m->point);
}

static int judge_all(struct find *f, const struct mounts *inside, const struct mounts *outside)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < inside->n; i++) {
		const struct mount *m = &inside->list[i];

		if (!is_lodges(outside, m))
			judge(f, inside, m);
		if (i + 1 == inside->n || inside->list[i + 1].task != m->task)
			r = find_tell(f, m->task == f->init ? NULL : m->task);
	}
	return r;
}

int find_in_mounts(struct find *f)
{
	struct mounts inside = { 0 }, outside = { 0 };
	char shim[16];
	int r;

	snprintf(shim, sizeof(shim), "%d", (int)f->init->parent);
	r = read_outside(&outside, "self");
	if (r == 0 && f->init->parent > 0)
		r = read_outside(&outside, shim);
	if (r == 0)
		r = read_inside(f, &inside);
	if (r == -E2BIG)
		lg_refuse(f->err, r, 0, "it has more mounts than are looked at");
	else
		r = r < 0 ? lg_fail(f->err, r, "look at its mounts") : judge_all(f, &inside, &outside);
	mounts_free(&inside);
	mounts_free(&outside);
	return r;
}
