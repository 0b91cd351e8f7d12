/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Kernel settings that CRIU cannot carry over. It reads net.ipv4.ping_group_range with the eyes of the host, whose group ids do not exist
 * inside, and then fails to write them there. So the setting is put away while the container is frozen: what the dump sees is
 * the kernel's default, and what it was stands beside the images as the container sees it. It is put back on whatever side
 * runs on.
 */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/lodge-criu/criu.h"
#include "lib/cleanup.h"
#include "lib/file.h"
#include "lib/ns.h"

#define PING "/proc/sys/net/ipv4/ping_group_range"
#define PING_DEFAULT "1 0"	/* nobody */
#define FILE_NAME "lodge.ping"

static char taken[64];

/* We are one thread: it goes there and comes back. */
static int read_in(pid_t pid, char **ret, struct lg_err *err)
{
	lg_autoclose int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	lg_autoclose int there = lg_ns_open(pid, "net", err);
	int r;

	if (there < 0)
		return there;
	if (home < 0 || setns(there, CLONE_NEWNET) < 0)
		return lg_fail(err, -errno, "enter its network namespace");
	r = lg_file_read(AT_FDCWD, PING, sizeof(taken), ret, NULL, err);
	if (setns(home, CLONE_NEWNET) < 0)
		abort();
	return r;
}

int settings_take(struct lg_err *err)
{
	lg_autofree char *text = NULL;
	uint64_t low, high;
	int r = read_in(job.pid, &text, err);

	if (r < 0)
		return r;
	if (sscanf(text, "%" SCNu64 " %" SCNu64, &low, &high) != 2 || low > high || low < job.owner)
		return 0;
	snprintf(taken, sizeof(taken), "%" PRIu64 " %" PRIu64, low - job.owner, high - job.owner);
	r = lg_file_replace_fast(job.images, FILE_NAME, taken, strlen(taken), 0600, err);
	return r < 0 ? r : lg_ns_write(job.pid, PING, PING_DEFAULT, err);
}

/* Two numbers, and nothing else: it may come from another host. 0: none were put away. */
static int read_taken(struct lg_err *err)
{
	lg_autofree char *text = NULL;
	unsigned int low, high;

	if (lg_file_read(job.images, FILE_NAME, sizeof(taken), &text, NULL, NULL) < 0)
		return 0;
	if (sscanf(text, "%u %u", &low, &high) != 2)
		return lg_refuse(err, -EBADMSG, 0, "'" FILE_NAME "' of the images is damaged");
	snprintf(taken, sizeof(taken), "%u %u", low, high);
	return 1;
}

int settings_return(struct lg_err *err)
{
	int r = read_taken(err);

	if (r == 1)
		r = lg_ns_write(job.pid, PING, taken, err);
	if (r == 0)
		unlinkat(job.images, FILE_NAME, 0);
	return r;
}

int settings_give(struct lg_err *err)
{
	int r = read_taken(err);

	return r == 1 ? lg_ns_write(job.pid, PING, taken, err) : r;
}
