/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ct/clocks.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/cleanup.h"

#define OWN "/proc/self/ns/time"
#define OFFSETS "/proc/self/timens_offsets"
#define NS_PER_S 1000000000L

static const struct {
	const char *name;	/* in the kernel's file */
	clockid_t id;
} clocks[] = {
	{ "monotonic", CLOCK_MONOTONIC },
	{ "boottime", CLOCK_BOOTTIME },
};

/* The kernel wants 0 <= nanoseconds, and refuses a clock below 0. */
static int write_offsets(void)
{
	lg_autoclose int fd = open(OFFSETS, O_WRONLY | O_CLOEXEC);
	char text[160];
	int n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(clocks); i++) {
		struct timespec now;

		clock_gettime(clocks[i].id, &now);
		n += snprintf(text + n, sizeof(text) - (size_t)n, "%s %lld %ld\n", clocks[i].name,
			      -(long long)now.tv_sec - (now.tv_nsec > 0),
			      now.tv_nsec > 0 ? NS_PER_S - now.tv_nsec : 0);
	}
	return fd >= 0 && write(fd, text, (size_t)n) == n ? 0 : -1;
}

/* Going home is tried first: in a container our own namespace is the host's, which lets nobody in. */
int lg_clocks_begin(void)
{
	lg_autoclose int home = open(OWN, O_RDONLY | O_CLOEXEC);

	if (home < 0 || setns(home, CLONE_NEWTIME) < 0 || unshare(CLONE_NEWTIME) < 0)
		return -1;
	if (write_offsets() < 0) {
		lg_clocks_end(lg_take_fd(&home));
		return -1;
	}
	return lg_take_fd(&home);
}

void lg_clocks_end(int home)
{
	if (home < 0)
		return;
	/* The next container would begin with the clocks of this one. */
	if (setns(home, CLONE_NEWTIME) < 0)
		abort();
	close(home);
}

bool lg_clocks_differ(pid_t pid)
{
	struct stat own, its;
	char path[40];

	snprintf(path, sizeof(path), "/proc/%d/ns/time", (int)pid);
	return stat(OWN, &own) == 0 && stat(path, &its) == 0 && own.st_ino != its.st_ino;
}
