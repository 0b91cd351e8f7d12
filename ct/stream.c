/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ct/stream.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

int lg_stream_check(int fd, struct lg_err *err)
{
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return lg_fail(err, -EBADF, "stream of the session");
	if (S_ISDIR(st.st_mode) || S_ISBLK(st.st_mode) || (S_ISCHR(st.st_mode) && isatty(fd)))
		return lg_refuse(err, -EINVAL, 0, "a stream of a session cannot be a folder, a disk "
				 "or a terminal");
	return 0;
}
