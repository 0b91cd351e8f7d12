/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The images are sent. */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd/lodge-worker/job.h"
#include "cmd/lodge-worker/move.h"
#include "lib/cleanup.h"
#include "lib/json.h"

static bool is_image(const char *name)
{
	size_t n = strlen(name);

	return strncmp(name, "lodge.", 6) == 0 || (n > 4 && strcmp(name + n - 4, ".img") == 0);
}

static int send_image(struct move *m, int dir, const char *name, struct lg_err *err)
{
	lg_autoclose int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return lg_fail(err, -errno, "open the image '%s'", name);
	if (!S_ISREG(st.st_mode))
		return 0;
	r = wire_send(&m->ssh.wire, json_pack("{s:s, s:s, s:I}", "op", "image", "name", name, "size",
					      (json_int_t)st.st_size), err);
	return r < 0 ? r : wire_send_file(&m->ssh.wire, fd, (uint64_t)st.st_size, &m->stage_bytes, err);
}

static int send_folder(struct move *m, int folder, struct lg_err *err)
{
	int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	lg_autodir DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	if (!dir)
		return lg_fail(err, -errno, "look at the images");
	while (r == 0 && (e = readdir(dir)))
		if (is_image(e->d_name)) {
			r = move_check_time(m, err);
			if (r == 0)
				r = send_image(m, fd, e->d_name, err);
		}
	return r;
}

static int open_suspended(struct move *m, struct lg_err *err)
{
	char path[300];

	snprintf(path, sizeof(path), "%s/checkpoint/%" PRId64, m->job->var, lg_json_int(m->request, "ctid", 0));
	m->images = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return m->images < 0 ? lg_fail(err, -errno, "open '%s'", path) : 0;
}

int move_images(struct move *m, struct lg_err *err)
{
	int r = m->suspended ? open_suspended(m, err) : 0;

	if (r < 0 || m->images < 0)
		return r;
	r = send_folder(m, m->images, err);
	return r < 0 ? r : wire_ask(&m->ssh.wire, json_pack("{s:s}", "op", "images"), NULL, err);
}
