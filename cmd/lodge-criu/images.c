/* SPDX-License-Identifier: GPL-2.0-or-later */

/* CRIU's images, by name: KIND-NUMBER.img. */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "cmd/lodge-criu/criu.h"
#include "lib/cleanup.h"

static bool is_image(const char *name, const char *prefix)
{
	size_t len = strlen(name);

	return strncmp(name, prefix, strlen(prefix)) == 0 && len > 4 && strcmp(name + len - 4, ".img") == 0;
}

int images_each(const char *prefix, image_fn fn, void *arg, struct lg_err *err)
{
	int fd = openat(job.images, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	lg_autodir DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	if (!dir)
		return lg_fail(err, -errno, "look at the images");
	while (r == 0 && (e = readdir(dir)))
		if (is_image(e->d_name, prefix))
			r = fn(e->d_name, arg, err);
	return r;
}
