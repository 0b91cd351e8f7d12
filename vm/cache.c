/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vm/cache.h"

#include <errno.h>
#include <fcntl.h>
#include <nettle/sha2.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/exit.h"
#include "lib/file.h"
#include "lib/proc.h"
#include "storage/store.h"

#define SAID_MAX 4096u

/* ---- names ---- */

void lg_vm_cache_new(const char *digest, char ret[LG_VM_DIGEST + 24])
{
	snprintf(ret, LG_VM_DIGEST + 24, ".%.64s.%d.new", digest, (int)getpid());
}

int lg_vm_cache_lock(int fd)
{
	return flock(fd, LOCK_EX | LOCK_NB) < 0 ? -errno : 0;
}

int lg_vm_cache_place(int dir, const char *name, const char *final)
{
	if (linkat(dir, name, dir, final, 0) < 0)
		return -errno;
	unlinkat(dir, name, 0);
	return 0;
}

/* ---- a read-only file system ---- */

static const char *find_mkfs(void)
{
	static const char *const paths[] = { "/usr/bin/mkfs.erofs", "/sbin/mkfs.erofs", "/usr/sbin/mkfs.erofs" };

	for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
		if (access(paths[i], X_OK) == 0)
			return paths[i];
	return NULL;
}

/* The last line that is one, of all that it says. */
static void last_line(char *said)
{
	char *line = said;

	for (char *p = said; *p; p++)
		if (*p == '\n' && p[1] && p[1] != '\n')
			line = p + 1;
	line[strcspn(line, "\n")] = '\0';
	memmove(said, line, strlen(line) + 1);
	for (char *p = said; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = ' ';
}

static void hear(int fd, char said[SAID_MAX])
{
	size_t len = 0;
	ssize_t n;

	while ((n = read(fd, said + len, SAID_MAX - 1 - len)) != 0) {
		if (n < 0 && errno != EINTR)
			break;
		len += n < 0 ? 0 : (size_t)n;
		/* Of more than that its end counts. */
		if (len == SAID_MAX - 1) {
			memmove(said, said + len / 2, len - len / 2);
			len -= len / 2;
		}
	}
	said[len] = '\0';
	last_line(said);
}

int lg_vm_erofs(const char *folder, const char *image, struct lg_err *err)
{
	const char *argv[] = { "mkfs.erofs", "--quiet", image, folder, NULL };
	lg_autoclose int out_r = -1, out_w = -1;
	char said[SAID_MAX] = "";
	int fds[3] = { -1 }, ends[2], status = 0;
	struct lg_spawn spawn = { .path = find_mkfs(), .fds = fds, .nfds = 3, .end_signal = SIGKILL,
				  .argv = (char *const *)(uintptr_t)argv };
	pid_t pid;

	if (!spawn.path)
		return lg_refuse(err, -ENOENT, LG_EXIT_RESOURCES,
				 "a microVM needs mkfs.erofs, which is not there: install erofs-utils");
	if (pipe2(ends, O_CLOEXEC) < 0)
		return lg_fail(err, -errno, "make a pipe");
	out_r = ends[0];
	out_w = ends[1];
	fds[1] = fds[2] = out_w;
	pid = lg_spawn(&spawn, NULL, err);
	if (pid < 0)
		return (int)pid;
	out_w = lg_close(out_w);
	hear(out_r, said);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return lg_fail(err, -errno, "wait for mkfs.erofs");
	if (status == 0)
		return 0;
	if (strstr(said, strerror(ENOSPC)))
		return lg_fail(err, -ENOSPC, "make '%s'", image);
	return lg_refuse(err, -EIO, LG_EXIT_RESOURCES, "mkfs.erofs: %s", *said ? said : "it failed and did not say why");
}

/* ---- the digest of a file ---- */

static struct {
	struct stat st;
	char path[LG_VM_PATH], digest[LG_VM_DIGEST];
} known;

static bool is_known(const char *path, const struct stat *st)
{
	return strcmp(known.path, path) == 0 && known.st.st_dev == st->st_dev && known.st.st_ino == st->st_ino &&
	       known.st.st_size == st->st_size && known.st.st_mtim.tv_sec == st->st_mtim.tv_sec &&
	       known.st.st_mtim.tv_nsec == st->st_mtim.tv_nsec;
}

static int sum_up(int fd, char ret[LG_VM_DIGEST])
{
	uint8_t digest[SHA256_DIGEST_SIZE], block[65536];
	struct sha256_ctx sum;
	ssize_t n;

	sha256_init(&sum);
	while ((n = read(fd, block, sizeof(block))) > 0)
		sha256_update(&sum, (size_t)n, block);
	if (n < 0)
		return -errno;
	sha256_digest(&sum, sizeof(digest), digest);
	for (size_t i = 0; i < sizeof(digest); i++)
		snprintf(ret + 2 * i, 3, "%02x", digest[i]);
	return 0;
}

int lg_vm_file_digest(const char *path, char ret[LG_VM_DIGEST], struct lg_err *err)
{
	lg_autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return lg_fail(err, -errno, "open '%s'", path);
	if (!is_known(path, &st)) {
		known.path[0] = '\0';
		r = sum_up(fd, known.digest);
		if (r < 0)
			return lg_fail(err, r, "read '%s'", path);
		known.st = st;
		snprintf(known.path, sizeof(known.path), "%s", path);
	}
	memcpy(ret, known.digest, LG_VM_DIGEST);
	return 0;
}
