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

/* ---- cleaning ---- */

/* Digests of what is in the store. */
struct wanted {
	char (*list)[LG_VM_DIGEST];
	size_t n;
};

static int add_wanted(const struct lg_template *t, void *arg)
{
	struct wanted *w = arg;
	void *bigger = realloc(w->list, (w->n + 1) * sizeof(*w->list));
	const char *hex = strchr(t->digest, ':');

	if (!bigger)
		return -ENOMEM;
	w->list = bigger;
	snprintf(w->list[w->n++], LG_VM_DIGEST, "%.64s", hex ? hex + 1 : t->digest);
	return 0;
}

static bool is_wanted(const struct wanted *w, const char *digest, size_t len)
{
	for (size_t i = 0; i < w->n; i++)
		if (strlen(w->list[i]) == len && strncmp(w->list[i], digest, len) == 0)
			return true;
	return false;
}

/* The folder's name is of the kernel's and the agent's digests; which kernel's it is stands in it. */
static bool kernel_is_wanted(const struct wanted *w, int dir, const char *name)
{
	lg_autofree char *text = NULL;
	char path[300];

	snprintf(path, sizeof(path), "%s/of", name);
	if (lg_file_read(dir, path, 256, &text, NULL, NULL) < 0)
		return false;
	return is_wanted(w, text, strcspn(text, "\n"));
}

static bool is_being_made(int dir, const char *name)
{
	lg_autoclose int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	return fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK;
}

static bool stays(const struct wanted *w, int dir, const char *name, bool kernels)
{
	if (name[0] == '.')
		return strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || is_being_made(dir, name);
	return kernels ? kernel_is_wanted(w, dir, name) : is_wanted(w, name, strcspn(name, "."));
}

static int clean_folder(const char *var, const char *part, const struct wanted *w, bool kernels, struct lg_err *err)
{
	char path[LG_STORE_PATH];
	lg_autodir DIR *dir = NULL;
	struct dirent *e;
	int first = 0, r = lg_store_path(path, err, "%s/vm/%s", var, part);

	if (r < 0)
		return r;
	dir = opendir(path);
	if (!dir)
		return errno == ENOENT ? 0 : lg_fail(err, -errno, "read '%s'", path);
	while ((e = readdir(dir)))
		if (!stays(w, dirfd(dir), e->d_name, kernels)) {
			r = lg_remove_tree(dirfd(dir), e->d_name, first ? NULL : err);
			first = first ? first : r;
		}
	return first;
}

int lg_vm_cache_clean(const char *var, struct lg_err *err)
{
	struct wanted w = { 0 };
	int r = lg_template_each(var, add_wanted, &w, err);

	if (r == 0)
		r = clean_folder(var, "base", &w, false, err);
	if (r == 0)
		r = clean_folder(var, "kernel", &w, true, err);
	free(w.list);
	return r;
}
