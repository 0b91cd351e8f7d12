/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * The controllers that the container has switched on in its own cgroup2 folder for those below. CRIU restores the settings of the
 * folders that it makes; this one is made by lodge, and without it the ones below lack their limits, and the files that a
 * systemd watches.
 *
 * A folder that has processes cannot hand down controllers, and the restored init is in this one for a moment, as CRIU makes its
 * cgroup namespace there. When the namespaces are there it has moved on; limits and watches come later.
 */

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

int controllers_note(const char *cgroup, struct lg_err *err)
{
	lg_autoclose int dir = open_folder(cgroup);
	lg_autofree char *text = NULL;
	int r;

	if (dir < 0)
		return 0;
	r = lg_file_read(dir, CONTROL, TEXT_MAX, &text, NULL, err);
	return r < 0 ? r : lg_file_replace_fast(job.images, FILE_NAME, text, strlen(text), 0600, err);
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
int controllers_give(struct lg_err *err)
{
	const char *cgroup = new_folder();
	lg_autoclose int dir = cgroup ? open_folder(cgroup) : -1;
	lg_autofree char *text = NULL;
	char *save = NULL, word[64];

	if (dir < 0 || lg_file_read(job.images, FILE_NAME, TEXT_MAX, &text, NULL, NULL) < 0)
		return 0;
	for (char *name = strtok_r(text, " \n", &save); name; name = strtok_r(NULL, " \n", &save)) {
		if (strspn(name, "abcdefghijklmnopqrstuvwxyz_") != strlen(name))
			return lg_refuse(err, -EBADMSG, 0, "'" FILE_NAME "' of the images is damaged");
		snprintf(word, sizeof(word), "+%s", name);
		lg_file_write(dir, CONTROL, word, NULL);
	}
	return 0;
}
