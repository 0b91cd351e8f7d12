/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lib/ns.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/file.h"

int lg_ns_map_ids(pid_t pid, uint32_t base, uint32_t count, struct lg_err *err)
{
	static const char *const files[] = { "uid_map", "gid_map" };
	char path[64], text[64];

	snprintf(text, sizeof(text), "0 %u %u\n", base, count);
	for (int i = 0; i < 2; i++) {
		int r;

		snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, files[i]);
		r = lg_file_write(AT_FDCWD, path, text, err);
		if (r < 0)
			return r;
	}
	return 0;
}

int lg_ns_mapped_ids(pid_t pid, uint32_t *ret)
{
	lg_autofree char *text = NULL;
	unsigned int inside, outside;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/uid_map", (int)pid);
	if (lg_file_read(AT_FDCWD, path, 4096, &text, NULL, NULL) < 0)
		return -ESRCH;
	if (sscanf(text, "%u %u", &inside, &outside) != 2 || inside != 0)
		return -ESRCH;
	*ret = outside;
	return 0;
}

int lg_ns_open(pid_t pid, const char *name, struct lg_err *err)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/ns/%s", (int)pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? lg_fail(err, -errno, "open '%s'", path) : fd;
}

int lg_ns_set_hostname(pid_t pid, const char *name, struct lg_err *err)
{
	lg_autoclose int own = open("/proc/self/ns/uts", O_RDONLY | O_CLOEXEC);
	lg_autoclose int theirs = lg_ns_open(pid, "uts", err);
	int r = 0;

	if (theirs < 0)
		return theirs;
	if (own < 0 || setns(theirs, CLONE_NEWUTS) < 0)
		return lg_fail(err, -errno, "enter the uts namespace of %d", (int)pid);
	if (sethostname(name, strlen(name)) < 0)
		r = lg_fail(err, -errno, "set host name '%s'", name);
	/* A daemon left in a guest's namespace would be wrong in everything it does from here on. */
	if (setns(own, CLONE_NEWUTS) < 0)
		abort();
	return r;
}
