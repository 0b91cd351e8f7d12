/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Mappings: memory of devices and of kernel objects whose descriptor may be closed by now. */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "ct/blockers_find.h"
#include "lib/cleanup.h"

#define ZERO_DEVICE makedev(1, 5)

struct mapping {
	unsigned long begin, end, inode;
	unsigned int major, minor;
	const char *path;	/* in the line; "" for memory that is in no file */
};

/* "7f0-7f1 rw-p 00000000 08:01 1234      /usr/lib/x.so" */
static bool parse(char *line, struct mapping *m)
{
	int at = 0;

	line[strcspn(line, "\n")] = '\0';
	if (sscanf(line, "%lx-%lx %*s %*x %x:%x %lu %n", &m->begin, &m->end, &m->major, &m->minor,
		   &m->inode, &at) < 5 || at == 0)
		return false;
	m->path = line + at;
	return true;
}

static void look_at_file(struct find *f, int proc, const struct mapping *m)
{
	struct statx st;
	char path[60];

	snprintf(path, sizeof(path), "map_files/%lx-%lx", m->begin, m->end);
	if (statx(proc, path, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, STATX_TYPE, &st) == 0 &&
	    S_ISCHR(st.stx_mode) && makedev(st.stx_rdev_major, st.stx_rdev_minor) != ZERO_DEVICE)
		find_note(f, LG_BLOCKER_DEVICE_MAPPING, "%s (%u:%u)", m->path, st.stx_rdev_major,
			  st.stx_rdev_minor);
}

static void look_at_mapping(struct find *f, int proc, const struct mapping *m)
{
	if (strncmp(m->path, "anon_inode:[io_uring]", 21) == 0)
		find_note(f, LG_BLOCKER_IO_URING, "memory of %s", m->path);
	else if (strncmp(m->path, "anon_inode:[perf_event]", 23) == 0)
		find_note(f, LG_BLOCKER_PERF, "memory of %s", m->path);
	else if (strncmp(m->path, "anon_inode:", 11) == 0)
		find_note(f, LG_BLOCKER_ANON_FILE, "memory of %s", m->path);
	else if (strncmp(m->path, "/secretmem", 10) == 0)
		find_note(f, LG_BLOCKER_SECRET_MEMORY, "memory of %s", m->path);
	else if (m->path[0] == '/')
		look_at_file(f, proc, m);
}

/* A file has several mappings in a row: one look at it will do. */
static bool is_same_file(const struct mapping *a, const struct mapping *b)
{
	return a->inode == b->inode && a->major == b->major && a->minor == b->minor;
}

int find_in_mappings(struct find *f, const struct task *task, int proc)
{
	lg_autoclose int fd = openat(proc, "maps", O_RDONLY | O_CLOEXEC);
	lg_autofile FILE *file = fd < 0 ? NULL : fdopen(fd, "r");
	struct mapping m = { 0 }, last = { 0 };
	lg_autofree char *line = NULL;
	size_t size = 0;

	if (!file)
		return errno == ESRCH || errno == ENOENT ? 0 :
			lg_fail(f->err, -errno, "look at the memory of process %d", (int)task->pid);
	lg_take_fd(&fd);
	while (getline(&line, &size, file) > 0) {
		if (!parse(line, &m) || !m.path[0] || is_same_file(&m, &last))
			continue;
		look_at_mapping(f, proc, &m);
		last = m;
	}
	return 0;
}
