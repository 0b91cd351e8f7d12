/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * What the container has set in its cgroup2 folders: controllers for those below, and limits. CRIU knows nothing of the limits of
 * cgroup v2; controllers it restores late, when the files that a systemd watches are long missed, and not those of the
 * topmost folder, which lodge makes (and limits).
 *
 * A folder that has processes cannot hand down controllers, and the restored init is in the topmost for a moment, as CRIU makes its
 * cgroup namespace there. When the namespaces are there it has moved on; watches come later.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "cmd/lodge-criu/criu.h"
#include "lib/cleanup.h"
#include "lib/file.h"

#define FILE_NAME "lodge.cgroups"
#define CONTROL "cgroup.subtree_control"
#define TEXT_MAX 1024u
#define FILE_MAX (4u << 20)
#define DEPTH_MAX 64u

/* Alone, or beside the hierarchies of cgroup v1. */
static const char *const mounts[] = { "/sys/fs/cgroup", "/sys/fs/cgroup/unified" };

static int open_folder(const char *cgroup)
{
	char path[PATH_MAX];
	struct statfs fs;

	for (size_t i = 0; i < ARRAY_SIZE(mounts); i++) {
		if (statfs(mounts[i], &fs) < 0 || fs.f_type != CGROUP2_SUPER_MAGIC)
			continue;
		snprintf(path, sizeof(path), "%s%s", mounts[i], cgroup);
		return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	return -1;
}

/* In the order in which they are set. Those of one line only: of what has more, CRIU and we have no use. */
static const char *const files[] = {
	CONTROL, "cpuset.cpus", "cpuset.mems", "cpu.weight", "cpu.idle", "cpu.max", "cpu.max.burst",
	"memory.min", "memory.low", "memory.high", "memory.max", "memory.swap.high", "memory.swap.max",
	"memory.zswap.max", "memory.oom.group", "pids.max", "io.weight",
};

static bool is_known(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		if (strcmp(files[i], name) == 0)
			return true;
	return false;
}

/* "PATH\tFILE\tVALUE\n"; what is not there, or is as in a new folder, is left out. */
static void note_file(int dir, const char *path, const char *name, FILE *f)
{
	lg_autofree char *text = NULL;
	size_t len;

	if (lg_file_read(dir, name, TEXT_MAX, &text, &len, NULL) < 0 || len < 2 || strcmp(text, "max\n") == 0 ||
	    strchr(text, '\n') != text + len - 1)
		return;
	fprintf(f, "%s\t%s\t%s", path, name, text);
}

/* For @dir, which the container calls @path, and for all below it. Its own come first. */
static int note(int dir, const char *path, unsigned int depth, FILE *f, struct lg_err *err)
{
	size_t nfiles = strpbrk(path, "\n\t") ? 0 : depth ? ARRAY_SIZE(files) : 1;
	lg_autodir DIR *entries = NULL;
	char sub[PATH_MAX];
	struct dirent *e;
	int r = 0, fd;

	for (size_t i = 0; i < nfiles; i++)
		note_file(dir, path, files[i], f);
	fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	entries = fd < 0 ? NULL : fdopendir(fd);
	if (!entries || depth == DEPTH_MAX)
		return lg_fail(err, entries ? -ELOOP : -errno, "look at its cgroups");
	while (r == 0 && (e = readdir(entries))) {
		lg_autoclose int child = -1;

		if (e->d_type != DT_DIR || e->d_name[0] == '.')
			continue;
		child = openat(fd, e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (child >= 0 && snprintf(sub, sizeof(sub), "%s/%s", path, e->d_name) < (int)sizeof(sub))
			r = note(child, sub, depth + 1, f, err);
	}
	return r;
}

int controllers_note(const char *cgroup, struct lg_err *err)
{
	lg_autoclose int dir = open_folder(cgroup);
	lg_autofree char *text = NULL;
	size_t len;
	FILE *f;
	int r;

	if (dir < 0)
		return 0;
	f = open_memstream(&text, &len);
	if (!f)
		return lg_fail(err, -errno, "note its controllers");
	r = note(dir, ".", 0, f, err);
	if (fclose(f) != 0 && r == 0)
		r = lg_fail(err, -errno, "note its controllers");
	return r < 0 ? r : lg_file_replace_fast(job.images, FILE_NAME, text, len, 0600, err);
}

/* Where lodge made it here: the field of the request without a controller. */
static const char *new_folder(void)
{
	for (const char *v = lg_msg_get(job.m, "cgroup"); v; v = lg_msg_next(job.m, "cgroup", v))
		if (*v == '\n')
			return v + 1;
	return NULL;
}

/*
 * Each by itself: what this host does not have, or lets nobody have, CRIU says when it counts. The files that a controller brings
 * to the folders below belong to who switches it on, which has to be the container's root: its systemd changes them later.
 */
static void give_controllers(int dir, char *names)
{
	lg_autoclose int fd = openat(dir, CONTROL, O_WRONLY | O_CLOEXEC);
	char *save = NULL, word[64];

	if (fd < 0)
		return;
	setfsgid(job.owner);
	setfsuid(job.owner);
	for (char *name = strtok_r(names, " ", &save); name; name = strtok_r(NULL, " ", &save)) {
		int len = snprintf(word, sizeof(word), "+%s", name);

		if (write(fd, word, (size_t)len) != len)
			continue;	/* as said above */
	}
	setfsuid(0);
	setfsgid(0);
}

/* A line; without its end. The limits of the topmost folder are lodge's. */
static int give(int top, char *line)
{
	char *name = strchr(line, '\t'), *value = name ? strchr(name + 1, '\t') : NULL;
	lg_autoclose int dir = -1;

	if (!value)
		return -EBADMSG;
	*name++ = '\0';
	*value++ = '\0';
	if (!is_known(name) || (strcmp(line, ".") == 0 && strcmp(name, CONTROL) != 0))
		return -EBADMSG;
	dir = lg_open_beneath(top, line, O_RDONLY | O_DIRECTORY, 0);
	if (dir < 0)
		return 0;
	if (strcmp(name, CONTROL) == 0)
		give_controllers(dir, value);
	else
		lg_file_write(dir, name, value, NULL);
	return 0;
}

int controllers_give(struct lg_err *err)
{
	const char *cgroup = new_folder();
	lg_autoclose int dir = cgroup ? open_folder(cgroup) : -1;
	lg_autofree char *text = NULL;
	char *save = NULL;
	int r = 0;

	if (dir < 0 || lg_file_read(job.images, FILE_NAME, FILE_MAX, &text, NULL, NULL) < 0)
		return 0;
	for (char *line = strtok_r(text, "\n", &save); line && r == 0; line = strtok_r(NULL, "\n", &save))
		r = give(dir, line);
	return r < 0 ? lg_refuse(err, r, 0, "'" FILE_NAME "' of the images is damaged") : 0;
}
