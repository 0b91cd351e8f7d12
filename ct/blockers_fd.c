/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Descriptors: what they are by their links, which name a kind and open nothing. */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/major.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "ct/blockers_find.h"
#include "lib/cleanup.h"
#include "lib/file.h"

#define FDINFO_MAX 65536u
#define LINK_MAX 256
#define BLOCK 512u
#define TUN_MINOR 200

/* What is in no file system, by the begin of its link. */
static const struct {
	const char *begin;
	enum lg_blocker_kind kind;	/* COUNT_: can be dumped */
} objects[] = {
	{ "anon_inode:[eventpoll]", LG_BLOCKER_COUNT_ },
	{ "anon_inode:[signalfd]", LG_BLOCKER_COUNT_ },
	{ "anon_inode:[timerfd]", LG_BLOCKER_COUNT_ },
	{ "anon_inode:inotify", LG_BLOCKER_COUNT_ },
	{ "anon_inode:[fanotify]", LG_BLOCKER_COUNT_ },
	{ "anon_inode:[io_uring]", LG_BLOCKER_IO_URING },
	{ "anon_inode:[userfaultfd]", LG_BLOCKER_USERFAULTFD },
	{ "anon_inode:bpf", LG_BLOCKER_BPF },
	{ "anon_inode:btf", LG_BLOCKER_BPF },
	{ "anon_inode:[perf_event]", LG_BLOCKER_PERF },
	{ "anon_inode:seccomp notify", LG_BLOCKER_LISTENER },
	{ "anon_inode:", LG_BLOCKER_ANON_FILE },
	{ "/dmabuf:", LG_BLOCKER_ANON_FILE },
	{ "/secretmem", LG_BLOCKER_SECRET_MEMORY },
	{ "/memfd:", LG_BLOCKER_COUNT_ },
};

static int classify(const char *link)
{
	for (size_t i = 0; i < ARRAY_SIZE(objects); i++)
		if (strncmp(link, objects[i].begin, strlen(objects[i].begin)) == 0)
			return (int)i;
	return -1;
}

static bool begins(const char *link, const char *with)
{
	return strncmp(link, with, strlen(with)) == 0;
}

/* ---- fdinfo ---- */

struct fdinfo {
	unsigned long flags;
	pid_t pid;		/* of a pidfd; -1: it has ended */
	bool semaphore;		/* of an eventfd; since Linux 6.5 it says so */
};

static bool read_fdinfo(int proc, int fd, struct fdinfo *ret)
{
	lg_autofree char *text = NULL;
	const char *pid;
	char path[40];

	snprintf(path, sizeof(path), "fdinfo/%d", fd);
	if (lg_file_read(proc, path, FDINFO_MAX, &text, NULL, NULL) < 0 ||
	    sscanf(text, "pos: %*s flags: %lo", &ret->flags) != 1)
		return false;
	pid = strstr(text, "\nPid:");
	ret->pid = pid ? (pid_t)strtol(pid + strlen("\nPid:"), NULL, 10) : -1;
	ret->semaphore = strstr(text, "\neventfd-semaphore: 1") != NULL;
	return true;
}

static void look_at_pipe(struct find *f, int proc, int fd)
{
	struct fdinfo info;

	if (read_fdinfo(proc, fd, &info) && info.flags & O_DIRECT)
		find_note(f, LG_BLOCKER_PACKET_PIPE, "descriptor %d", fd);
}

static void look_at_pidfd(struct find *f, int proc, int fd)
{
	struct fdinfo info;

	if (!read_fdinfo(proc, fd, &info))
		return;
	if (info.flags & O_EXCL)	/* PIDFD_THREAD */
		find_note(f, LG_BLOCKER_THREAD_PIDFD, "descriptor %d", fd);
	else if (info.pid > 0 && !find_task(f, info.pid))
		find_note(f, LG_BLOCKER_FOREIGN_PIDFD, "descriptor %d", fd);
}

static void look_at_eventfd(struct find *f, int proc, int fd)
{
	struct fdinfo info;

	if (read_fdinfo(proc, fd, &info) && info.semaphore)
		find_note(f, LG_BLOCKER_SEMAPHORE, "descriptor %d", fd);
}

/* "net:[4026531840]" */
static void look_at_namespace(struct find *f, int fd, const char *link)
{
	ino_t inode = strtoul(strchr(link, '[') + 1, NULL, 10);

	for (size_t i = 0; i < f->ntasks; i++)
		for (size_t k = 0; k < NS_COUNT; k++)
			if (f->tasks[i].ns[k] == inode && !f->tasks[i].ends)
				return;
	find_note(f, LG_BLOCKER_NS_FD, "descriptor %d: %s", fd, link);
}

/* ---- files ---- */

/* Character devices that are more than a place in a file: terminals, and those that have no state. */
static bool is_known_device(dev_t dev)
{
	unsigned int nr = major(dev);

	return nr == MEM_MAJOR || nr == TTY_MAJOR || nr == TTYAUX_MAJOR ||
	       (nr >= UNIX98_PTY_MASTER_MAJOR &&
		nr < UNIX98_PTY_SLAVE_MAJOR + UNIX98_PTY_MAJOR_COUNT) ||
	       (nr == MISC_MAJOR && minor(dev) == TUN_MINOR);
}

static void look_at_file(struct find *f, int proc, int fd, const char *link)
{
	struct statx st;
	char path[40];
	dev_t dev;

	/* Without asking who keeps the files, which may be a program of the guest's. */
	snprintf(path, sizeof(path), "fd/%d", fd);
	if (statx(proc, path, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT,
		  STATX_TYPE | STATX_NLINK | STATX_BLOCKS, &st) < 0)
		return;
	dev = makedev(st.stx_rdev_major, st.stx_rdev_minor);
	if (S_ISBLK(st.stx_mode) || (S_ISCHR(st.stx_mode) && !is_known_device(dev)))
		find_note(f, LG_BLOCKER_DEVICE, "descriptor %d: %s (%u:%u)", fd, link, major(dev),
			  minor(dev));
	else if (S_ISSOCK(st.stx_mode))
		find_note(f, LG_BLOCKER_PATH_SOCKET, "descriptor %d: %s", fd, link);
	else if (S_ISREG(st.stx_mode) && st.stx_nlink == 0 &&
		 st.stx_blocks > f->of->ghost_limit / BLOCK)
		find_note(f, LG_BLOCKER_DELETED_FILE, "descriptor %d: %s, %" PRIu64 " MiB", fd, link,
			  (uint64_t)st.stx_blocks * BLOCK >> 20);
}

/* ---- one process ---- */

static bool is_namespace(const char *link)
{
	const char *colon = strchr(link, ':');

	return *link != '/' && colon && colon[1] == '[';
}

static void note_object(struct find *f, int known, int fd, const char *link)
{
	if (objects[known].kind != LG_BLOCKER_COUNT_)
		find_note(f, objects[known].kind, "descriptor %d: %s", fd, link);
}

static int look_at_fd(struct find *f, const struct task *task, int proc, int fd)
{
	char path[40], link[LINK_MAX];
	ssize_t n;
	int known;

	snprintf(path, sizeof(path), "fd/%d", fd);
	n = readlinkat(proc, path, link, sizeof(link) - 1);
	if (n < 0)
		return 0;	/* closed meanwhile */
	link[n] = '\0';
	known = classify(link);
	if (begins(link, "socket:"))
		return find_socket(f, task, fd);
	if (begins(link, "pipe:"))
		look_at_pipe(f, proc, fd);
	else if (begins(link, "anon_inode:[pidfd]") || begins(link, "pidfd:"))
		look_at_pidfd(f, proc, fd);
	else if (begins(link, "anon_inode:[eventfd]"))
		look_at_eventfd(f, proc, fd);
	else if (known >= 0)
		note_object(f, known, fd, link);
	else if (is_namespace(link))
		look_at_namespace(f, fd, link);
	else if (link[0] == '/')
		look_at_file(f, proc, fd, link);
	return 0;
}

int find_in_descriptors(struct find *f, const struct task *task, int proc)
{
	lg_autodir DIR *dir = NULL;
	int fd = openat(proc, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	struct dirent *e;

	if (fd < 0 || !(dir = fdopendir(fd))) {
		lg_close(fd);
		return errno == ESRCH || errno == ENOENT ? 0 :
			lg_fail(f->err, -errno, "look at the descriptors of process %d",
				(int)task->pid);
	}
	while (r == 0 && (e = readdir(dir)))
		if (e->d_name[0] != '.')
			r = look_at_fd(f, task, proc, (int)strtol(e->d_name, NULL, 10));
	return r;
}
