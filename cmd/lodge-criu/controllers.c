/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * The controllers that the container has switched on in its cgroup2 folders, each for those below. CRIU restores the settings of the
 * folders that it makes, but late, and not those of the topmost, which lodge makes; and without controllers the ones below
 * lack the files that a systemd watches.
 *
 * A folder that has processes cannot hand down controllers, and the restored init is in this one for a moment, as CRIU makes its
 * cgroup namespace there. When the namespaces are there it has moved on; limits and watches come later.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/vfs.h>

#include "cmd/lodge-criu/criu.h"
#include "lib/cleanup.h"
#include "lib/file.h"

#define FILE_NAME "lodge.controllers"
#define CONTROL "cgroup.subtree_control"
#define TEXT_MAX 512u
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

/* A line for @dir, which the container calls @path, and one for each below it: "PATH\tCONTROLLERS\n". Its own come first. */
static int note(int dir, const char *path, unsigned int depth, FILE *f, struct lg_err *err)
{
	lg_autofree char *text = NULL;
	lg_autodir DIR *entries = NULL;
	char sub[PATH_MAX];
	struct dirent *e;
	int r = lg_file_read(dir, CONTROL, TEXT_MAX, &text, NULL, err), fd;

	if (r < 0)
		return r;
	text[strcspn(text, "\n")] = '\0';
	if (*text && !strpbrk(path, "\n\t"))
		fprintf(f, "%s\t%s\n", path, text);
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

/* Each by itself: what this host does not have, or lets nobody have, CRIU says when it counts. */
static int give(int top, const char *path, char *controllers)
{
	lg_autoclose int dir = lg_open_beneath(top, path, O_RDONLY | O_DIRECTORY, 0);
	char *save = NULL, word[64];

	if (dir < 0)
		return 0;
	for (char *name = strtok_r(controllers, " ", &save); name; name = strtok_r(NULL, " ", &save)) {
		if (strspn(name, "abcdefghijklmnopqrstuvwxyz_") != strlen(name))
			return -EBADMSG;
		snprintf(word, sizeof(word), "+%s", name);
		lg_file_write(dir, CONTROL, word, NULL);
	}
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
	for (char *line = strtok_r(text, "\n", &save); line && r == 0; line = strtok_r(NULL, "\n", &save)) {
		char *tab = strchr(line, '\t');

		if (tab)
			*tab = '\0';
		r = tab ? give(dir, line, tab + 1) : -EBADMSG;
	}
	return r < 0 ? lg_refuse(err, r, 0, "'" FILE_NAME "' of the images is damaged") : 0;
}
