/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * What CRIU leaves in a container when it is killed in the middle of a dump.
 *
 * The processes themselves are calls_trace.c's, which holds them meanwhile. Where that was killed, too, the kernel has let go of them:
 * they are no longer traced, seccomp filters count again, and parasite code whose connection ends returns to what it interrupted.
 * What stays is undone here, in this order: packets flow again before the connections are told to go on, so that what they send
 * first arrives.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cmd/lodge-criu/criu.h"
#include "ct/checkpoint.h"
#include "lib/cleanup.h"
#include "lib/ns.h"
#include "lib/proc.h"
#include "net/nft.h"

#define LOCK_PREFIX "table inet CRIU-"
#define LINK_PREFIX "link_remap."
#define ID DIGITS "abcdefABCDEF-"	/* the number of a process, or of the run */
#define DIGITS "0123456789"
#define DEPTH_MAX 64

/* ---- the lock of the network: a table that drops everything ---- */

static int drop_table(struct lg_nft *nft, const char *line, struct lg_err *err)
{
	const char *name = line + strlen("table inet ");
	char command[128];

	if ((size_t)snprintf(command, sizeof(command), "delete table inet %s\n", name) >= sizeof(command))
		return lg_refuse(err, -E2BIG, 0, "the table '%.40s...' is none of CRIU's", name);
	return lg_nft_run(nft, command, "unlock its network", err);
}

static bool is_lock(const char *line)
{
	const char *id = line + strlen(LOCK_PREFIX);

	return strncmp(line, LOCK_PREFIX, strlen(LOCK_PREFIX)) == 0 && *id && id[strspn(id, ID)] == '\0';
}

static int drop_tables(struct lg_err *err)
{
	lg_autofree char *text = NULL;
	struct lg_nft *nft = NULL;
	char *save = NULL;
	int r = lg_nft_new(&nft, err);

	if (r == 0)
		r = lg_nft_ask(nft, "list tables", &text, err);
	for (char *l = r < 0 ? NULL : strtok_r(text, "\n", &save); r == 0 && l;
	     l = strtok_r(NULL, "\n", &save))
		if (is_lock(l))
			r = drop_table(nft, l, err);
	lg_nft_free(nft);
	return r;
}

/* We are one thread: it goes there and comes back. */
static int unlock_network(struct lg_err *err)
{
	lg_autoclose int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	lg_autoclose int there = lg_ns_open(job.pid, "net", err);
	int r;

	if (there < 0)
		return there;
	if (home < 0 || setns(there, CLONE_NEWNET) < 0)
		return lg_fail(err, -errno, "enter its network namespace");
	r = drop_tables(err);
	if (setns(home, CLONE_NEWNET) < 0)
		abort();
	return r;
}

/* ---- connections ---- */

static bool is_socket(int fds, const char *name)
{
	char target[16];

	return readlinkat(fds, name, target, sizeof(target)) > 7 && strncmp(target, "socket:", 7) == 0;
}

/*
 * In repair mode nothing is sent, and what was asked for when it is left says nothing to the peer. The ordinary end of the mode
 * probes the peer's window at once: it answers, and both sides go on from there.
 */
static void leave_repair_of(int sock)
{
	int protocol = 0, repair = 0, off = 0;
	socklen_t len = sizeof(int);

	if (getsockopt(sock, SOL_SOCKET, SO_PROTOCOL, &protocol, &len) < 0 || protocol != IPPROTO_TCP)
		return;
	len = sizeof(int);
	if (getsockopt(sock, IPPROTO_TCP, TCP_REPAIR, &repair, &len) == 0 && repair)
		setsockopt(sock, IPPROTO_TCP, TCP_REPAIR, &off, sizeof(off));
}

static int leave_repair_of_descriptor(pid_t pid, int fds, const char *name, void *arg)
{
	const int *pidfd = arg;
	lg_autoclose int sock = -1;

	(void)pid;
	if (is_socket(fds, name))
		sock = (int)syscall(SYS_pidfd_getfd, *pidfd, (int)strtol(name, NULL, 10), 0);
	if (sock >= 0)
		leave_repair_of(sock);
	return 0;
}

static int leave_repair_in(pid_t pid, void *arg)
{
	lg_autoclose int pidfd = lg_pidfd_open(pid);

	(void)arg;
	return tree_each_descriptor(pid, leave_repair_of_descriptor, &pidfd);
}

static int leave_repair(struct lg_err *err)
{
	int r = tree_each(job.pid, leave_repair_in, NULL);

	return r < 0 ? lg_fail(err, r, "let its connections go on") : 0;
}

/* ---- names that CRIU gave to files that are open and had lost theirs ---- */

struct walk {
	struct timespec began;
	int failed;
};

/* Only file systems that keep files; what lies behind the others may be the host's, or hang. */
static bool keeps_files(int fd)
{
	static const __fsword_t kinds[] = { OVERLAYFS_SUPER_MAGIC, TMPFS_MAGIC, EXT4_SUPER_MAGIC,
					    XFS_SUPER_MAGIC, BTRFS_SUPER_MAGIC };
	struct statfs fs;

	if (fstatfs(fd, &fs) < 0)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (fs.f_type == kinds[i])
			return true;
	return false;
}

/* Made in this dump: a link changes the time of its file. */
static bool is_remap(const struct walk *w, int dir, const char *name)
{
	size_t skip = strlen(LINK_PREFIX);
	struct stat st;

	if (strncmp(name, LINK_PREFIX, skip) != 0 || !name[skip] ||
	    name[skip + strspn(name + skip, DIGITS)])
		return false;
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || S_ISDIR(st.st_mode))
		return false;
	return st.st_ctim.tv_sec > w->began.tv_sec ||
	       (st.st_ctim.tv_sec == w->began.tv_sec && st.st_ctim.tv_nsec >= w->began.tv_nsec);
}

static void walk(struct walk *w, int parent, const char *name, int depth)
{
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	lg_autodir DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	if (!dir)
		lg_close(fd);
	if (!dir || depth > DEPTH_MAX || !keeps_files(fd))
		return;
	while ((e = readdir(dir))) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		if (e->d_type == DT_DIR)
			walk(w, fd, e->d_name, depth + 1);
		else if (is_remap(w, fd, e->d_name) && unlinkat(fd, e->d_name, 0) < 0)
			w->failed = errno;
	}
}

static int walk_inside(int mount_ns, const struct timespec *began)
{
	struct walk w = { .began = *began };

	if (setns(mount_ns, CLONE_NEWNS) < 0)
		return errno;
	walk(&w, AT_FDCWD, "/", 0);
	return w.failed;
}

/* A child's: whoever goes there does not find back as easily. The list of its mounts was written when the dump began. */
static int remove_links(struct lg_err *err)
{
	lg_autoclose int ns = lg_ns_open(job.pid, "mnt", err);
	struct stat st;
	int status = 0;
	pid_t pid;

	if (ns < 0)
		return ns;
	if (fstatat(job.images, LG_CHECKPOINT_KEYS, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;	/* CRIU had not been started */
	pid = fork();
	if (pid == 0)
		_exit(walk_inside(ns, &st.st_mtim) & 0xff);
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		return lg_fail(err, -errno, "look for what CRIU linked");
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		return lg_fail(err, WIFEXITED(status) ? -WEXITSTATUS(status) : -EIO,
			       "remove what CRIU linked");
	return 0;
}

/* clang-format off */
static int (*const steps[])(struct lg_err *err) = {
	unlock_network,
	leave_repair,
	settings_return,
	remove_links,
};
/* clang-format on */

int heal(struct lg_err *err)
{
	int first = 0;

	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		struct lg_err why = { 0 };
		int r = steps[i](&why);

		if (r < 0 && first == 0) {
			first = r;
			if (err)
				*err = why;
		}
	}
	return first;
}
