/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Before a container is restored, the kernel is kept ready to move processes from one cgroup to another: CRIU moves the first one, and
 * everything waits for that. The lock that it is done under is had at once by whoever comes shortly after another; the first one waits
 * until no reader can be left (a grace period of RCU, 6 to 18 ms). So somebody does it all the time meanwhile: this process goes to
 * the cgroup that it is in. Where that cannot be done the restore takes that much longer.
 */

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#include "cgroup/cgroup.h"
#include "cmd/lodge-worker/migrate.h"
#include "lib/cleanup.h"

#define BETWEEN_NS 5000000	/* the kernel is ready for as long as a grace period, at least */
#define TIMES_MAX 2000		/* 10 s */

static pthread_t thread;
static atomic_bool runs;

static void *keep_ready(void *arg)
{
	const struct timespec between = { .tv_nsec = BETWEEN_NS };
	lg_autoclose int fd = lg_cg_open_own_procs(NULL);

	(void)arg;
	for (unsigned int i = 0; fd >= 0 && i < TIMES_MAX && runs; i++) {
		if (write(fd, "0", 1) < 0)
			break;
		nanosleep(&between, NULL);
	}
	return NULL;
}

void warm_begin(void)
{
	if (runs)
		return;
	runs = true;
	runs = pthread_create(&thread, NULL, keep_ready, NULL) == 0;
}

void warm_end(void)
{
	if (!runs)
		return;
	runs = false;
	pthread_join(thread, NULL);
}
