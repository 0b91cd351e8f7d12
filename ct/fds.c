/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ct/fds.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "ct/trace.h"

#define FDS_MAX 16
#define FDS_HIGH 64	/* above every place that is given out */

int lg_fds_keep(int *const *keep, size_t n)
{
	int high[FDS_MAX + 1];
	int *const trace = lg_trace_fd();
	size_t used = 0;

	if (n > FDS_MAX)
		return -E2BIG;
	/* First out of the way, then down to its place, so that none overwrites another. */
	for (size_t i = 0; i <= n; i++) {
		int fd = i < n ? *keep[i] : *trace;

		high[i] = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, FDS_HIGH);
		if (fd >= 0 && high[i] < 0)
			return -errno;
	}
	for (size_t i = 0; i <= n; i++) {
		int place = 3 + (int)used;

		if (high[i] < 0)
			continue;
		if (dup3(high[i], place, O_CLOEXEC) < 0)
			return -errno;
		*(i < n ? keep[i] : trace) = place;
		used++;
	}
	return syscall(SYS_close_range, 3 + (unsigned int)used, ~0u, 0) < 0 ? -errno : 0;
}
