/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/lodge-worker/vm_disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/file.h"
#include "vm/convert.h"

#define LIFELINE 3
#define PATIENCE_MS 1000u

static void print_progress(const char *line, void *arg)
{
	(void)arg;
	printf("P %s\n", line);
}

int vm_disk(const struct job *job, struct lg_err *err)
{
	lg_autoclose int disk = -1, folder = -1;
	struct lg_convert c = {
		.image = STDIN_FILENO,
		.id = job->base,
		.scratch = job->file,
		.lifeline = LIFELINE,
		.progress = print_progress,
	};
	char path[300];

	if (job->ctid == 0 || job->base == 0 || !job->file || fcntl(LIFELINE, F_SETFD, FD_CLOEXEC) < 0)
		return lg_refuse(err, -EINVAL, 0, "vm-disk wants --ctid, --base, --file and a descriptor 3");
	snprintf(path, sizeof(path), "%s/ct/%u", job->var, job->ctid);
	folder = lg_open_dir(AT_FDCWD, path, err);
	if (folder < 0)
		return folder;
	disk = lg_disk_open_raw(job->var, job->ctid, PATIENCE_MS, err);
	if (disk < 0)
		return disk;
	c.disk = disk;
	c.folder = folder;
	return lg_convert(&c, err);
}
