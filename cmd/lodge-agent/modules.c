/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The initrd's modules: their order was worked out when it was made (vm/initrd.c), and they are not packed any more. */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cmd/lodge-agent/agent.h"
#include "lib/cleanup.h"
#include "lib/file.h"

#define FOLDER "/modules"
#define ORDER_MAX 65536u

/* The file is memory of the machine: it goes as soon as it is loaded. */
static int load(const char *name)
{
	char path[300];
	lg_autoclose int fd = -1;

	if ((size_t)snprintf(path, sizeof(path), FOLDER "/%s", name) >= sizeof(path))
		return -ENAMETOOLONG;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	unlink(path);
	return syscall(SYS_finit_module, fd, "", 0) < 0 && errno != EEXIST ? -errno : 0;
}

int modules_load(struct lg_err *err)
{
	lg_autofree char *order = NULL;
	char *rest = NULL;
	int r = lg_file_read(AT_FDCWD, FOLDER "/order", ORDER_MAX, &order, NULL, err);

	if (r < 0)
		return r;
	for (char *name = strtok_r(order, "\n", &rest); name; name = strtok_r(NULL, "\n", &rest)) {
		r = load(name);
		/* A driver of a device that this machine has not. */
		if (r < 0 && r != -ENODEV)
			return lg_fail(err, r, "load the module '%s'", name);
	}
	return 0;
}
