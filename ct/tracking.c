/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ct/tracking.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/file.h"

#define MARK 55u		/* bit of an entry of pagemap: written since the marks were taken off */
#define CLEAR_MARKS "4"
#define KSM "/sys/kernel/mm/ksm/run"
#define EVENT "/events/syscalls/sys_enter_mremap/id"
#define FILTER "old_len >= 2097152 && flags != 0"	/* without a flag it grows or shrinks where it is */

/* ---- does it mark ---- */

static int is_marked(int pagemap, const volatile char *page)
{
	uint64_t entry;
	size_t size = (size_t)sysconf(_SC_PAGESIZE);

	if (pread(pagemap, &entry, sizeof(entry), (off_t)((uintptr_t)page / size * sizeof(entry))) !=
	    sizeof(entry))
		return -EIO;
	return entry >> MARK & 1;
}

/* A page of our own: written, cleared of its mark, and written again. */
static bool marks(volatile char *page)
{
	lg_autoclose int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);

	*page = 1;
	if (pagemap < 0 || lg_file_write(AT_FDCWD, "/proc/self/clear_refs", CLEAR_MARKS, NULL) < 0 ||
	    is_marked(pagemap, page) != 0)
		return false;
	*page = 2;
	return is_marked(pagemap, page) == 1;
}

static bool kernel_marks(void)
{
	size_t size = (size_t)sysconf(_SC_PAGESIZE);
	char *page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	bool r;

	if (page == MAP_FAILED)
		return false;
	r = marks(page);
	munmap(page, size);
	return r;
}

static bool has_ksm(void)
{
	lg_autofree char *text = NULL;

	return lg_file_read(AT_FDCWD, KSM, 16, &text, NULL, NULL) == 0 && *text == '1';
}

/* The kernel's number of the event; 0: it has none, or its file system is not mounted. */
static uint64_t event_number(void)
{
	static const char *const places[] = { "/sys/kernel/tracing" EVENT, "/sys/kernel/debug/tracing" EVENT };

	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		lg_autofree char *text = NULL;

		if (lg_file_read(AT_FDCWD, places[i], 32, &text, NULL, NULL) == 0)
			return strtoull(text, NULL, 10);
	}
	return 0;
}

int lg_tracking_check(struct lg_err *err)
{
	if (!kernel_marks())
		return lg_refuse(err, -EOPNOTSUPP, 0, "it does not mark what is written (CONFIG_MEM_SOFT_DIRTY)");
	if (has_ksm())
		return lg_refuse(err, -EOPNOTSUPP, 0, "it merges equal pages (" KSM "), whose marks get lost");
	if (event_number() == 0)
		return lg_refuse(err, -EOPNOTSUPP, 0,
				 "calls of mremap() cannot be watched: no /sys/kernel/tracing" EVENT);
	return 0;
}

/* ---- calls that move memory ---- */

struct lg_moves {
	size_t n;
	int fds[];	/* one for each CPU; -1: it is offline */
};

void lg_moves_free(struct lg_moves *m)
{
	for (size_t i = 0; m && i < m->n; i++)
		lg_close(m->fds[i]);
	free(m);
}

static int watch_cpu(int cgroup, int cpu, uint64_t event)
{
	struct perf_event_attr attr = { .type = PERF_TYPE_TRACEPOINT, .size = sizeof(attr), .config = event };
	lg_autoclose int fd = (int)syscall(SYS_perf_event_open, &attr, cgroup, cpu, -1,
					   PERF_FLAG_PID_CGROUP | PERF_FLAG_FD_CLOEXEC);

	if (fd < 0 || ioctl(fd, PERF_EVENT_IOC_SET_FILTER, FILTER) < 0)
		return -errno;
	return lg_take_fd(&fd);
}

int lg_moves_watch(int cgroup, struct lg_moves **ret, struct lg_err *err)
{
	long cpus = sysconf(_SC_NPROCESSORS_CONF);
	/* The caller's may only name it, and that is not enough. */
	lg_autoclose int folder = openat(cgroup, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int failed = errno;
	struct lg_moves *m = cpus > 0 ? malloc(sizeof(*m) + (size_t)cpus * sizeof(int)) : NULL;
	uint64_t event = event_number();
	int r = m ? 0 : -ENOMEM;

	if (m)
		m->n = 0;
	if (r == 0 && folder < 0)
		r = -failed;
	if (r == 0 && event == 0)
		r = -EOPNOTSUPP;
	for (int cpu = 0; r == 0 && cpu < cpus; cpu++) {
		int fd = watch_cpu(folder, cpu, event);

		r = fd < 0 && fd != -ENODEV ? fd : 0;
		m->fds[m->n++] = fd < 0 ? -1 : fd;
	}
	if (r < 0) {
		lg_moves_free(m);
		return lg_fail(err, r, "watch its calls of mremap()");
	}
	*ret = m;
	return 0;
}

bool lg_moves_seen(const struct lg_moves *m)
{
	for (size_t i = 0; i < m->n; i++) {
		uint64_t count;

		if (m->fds[i] >= 0 &&
		    (read(m->fds[i], &count, sizeof(count)) != sizeof(count) || count > 0))
			return true;
	}
	return false;
}
