/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Processes that work on an instance from outside, CRIU above all: TOP/.shims/CTID. They are none of the instance's and take
 * nothing from its limits, and yet all of them can be ended at once, whoever their parent is by then.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cgroup/host.h"
#include "lib/cleanup.h"

static int path_of(const char *name, char ret[LG_CG_PATH], struct lg_err *err)
{
	int r = lg_cg_check_name(name, false, err);

	if (r == 0)
		snprintf(ret, LG_CG_PATH, LG_CG_SHIMS "/%s", name);
	return r;
}

int lg_cg_open_helpers(struct lg_cg_host *host, const char *name, struct lg_err *err)
{
	lg_autoclose int shims = lg_cg_open_shims(host, err);
	char path[LG_CG_PATH];
	int fd, r = shims < 0 ? shims : path_of(name, path, err);

	if (r < 0)
		return r;
	if (mkdirat(host->v2.top, path, 0755) < 0 && errno != EEXIST)
		return lg_fail(err, -errno, "make cgroup %s/%s", host->v2.path, path);
	fd = openat(host->v2.top, path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? lg_fail(err, -errno, "open cgroup %s/%s", host->v2.path, path) : fd;
}

bool lg_cg_helpers_run(struct lg_cg_host *host, const char *name)
{
	char path[LG_CG_PATH], text[LG_CG_TEXT];
	uint64_t value;

	return path_of(name, path, NULL) == 0 &&
	       lg_cg_read(host->v2.top, path, "cgroup.events", text, sizeof(text)) > 0 &&
	       lg_cg_keyed(text, "populated", &value) == 0 && value;
}

int lg_cg_end_helpers(struct lg_cg_host *host, const char *name, struct lg_err *err)
{
	char path[LG_CG_PATH];
	int r = path_of(name, path, err);

	if (r < 0)
		return r;
	(void)lg_cg_write(host->v2.top, path, "cgroup.kill", "1");
	r = lg_cg_rmtree(host->v2.top, path);
	return r == 0 || r == -ENOENT ? 0 :
					lg_fail(err, r, "remove cgroup %s/%s", host->v2.path, path);
}
