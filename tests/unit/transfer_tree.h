/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_TESTS_TRANSFER_TREE_H
#define LG_TESTS_TRANSFER_TREE_H

/* What the tests of transfers share: making trees, comparing them, and sending one to the other. */

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/file.h"
#include "storage/transfer.h"
#include "storage/transfer_xattr.h"

/* TOP/from and TOP/to are two layers' folders, TOP/outside is nobody's business. */
static char top[64];
static int from = -1, to = -1;
static struct lg_transfer_mark *mark;	/* shared with the receiving child */
static lg_transfer_progress *meanwhile;	/* what happens while a pass sends; NULL: nothing */

static const char *at(const char *rest)
{
	static char path[4][512];
	static unsigned int turn;
	char *p = path[turn++ % 4];

	snprintf(p, sizeof(path[0]), "%s/%s", top, rest);
	return p;
}

static int open_folder(const char *rest)
{
	int fd = open(at(rest), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	ck_assert_msg(fd >= 0, "%s: %s", rest, strerror(errno));
	return fd;
}

static void make_folder(const char *rest)
{
	ck_assert_msg(mkdir(at(rest), 0755) == 0, "%s: %s", rest, strerror(errno));
}

static void put(const char *rest, const char *text)
{
	lg_autoclose int fd = open(at(rest), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	ck_assert_msg(fd >= 0, "%s: %s", rest, strerror(errno));
	ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}

/* @len bytes that are none of a pattern's. */
static inline void put_bytes(const char *rest, size_t len, unsigned int seed)
{
	lg_autofree char *bytes = malloc(len);
	lg_autoclose int fd = open(at(rest), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	ck_assert(bytes && fd >= 0);
	for (size_t i = 0; i < len; i++)
		bytes[i] = (char)(rand_r(&seed) >> 7);
	ck_assert_int_eq(write(fd, bytes, len), (ssize_t)len);
}

static void make_top(void)
{
	/* A tmpfs writes nothing back, so that all of it is sent in every pass; /tmp may be one. */
	snprintf(top, sizeof(top), "/var/tmp/lodge-transfer-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(top));
	make_folder("from");
	make_folder("from/upper");
	make_folder("from/work");
	make_folder("to");
	make_folder("to/upper");
	make_folder("to/work");
	put("outside", "nobody's");
	from = open_folder("from");
	to = open_folder("to");
	mark = mmap(NULL, sizeof(*mark), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(mark, MAP_FAILED);
}

static void remove_top(void)
{
	from = lg_close(from);
	to = lg_close(to);
	munmap(mark, sizeof(*mark));
	ck_assert_int_eq(lg_remove_tree(AT_FDCWD, top, NULL), 0);
}

/* What changed just before a pass is sent again in the next one; wait until that is over. */
static inline void settle(void)
{
	const struct timespec t = { .tv_sec = 2, .tv_nsec = 300000000 };

	nanosleep(&t, NULL);
}

/* ---- sending ---- */

/* Receive in a child. Return: its process. */
static pid_t start_receiver(int in)
{
	pid_t pid = fork();
	struct lg_err err = { 0 };

	ck_assert_int_ge(pid, 0);
	if (pid > 0)
		return pid;
	if (lg_transfer_receive(in, to, NULL, mark, &err) < 0) {
		fprintf(stderr, "receive: %s\n", err.msg);
		_exit(1);
	}
	_exit(0);
}

/* One pass through a pipe. Return: its book, the caller's. */
static inline struct lg_transfer_index *pass_by(const struct lg_transfer_index *before,
						const struct lg_transfer_send *how, struct lg_transfer_sent *sent)
{
	struct lg_transfer_index *now = NULL;
	struct lg_err err = { 0 };
	int ends[2], status = -1;
	pid_t pid;

	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		close(ends[1]);
		pid = start_receiver(ends[0]);
		waitpid(pid, &status, 0);
		_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 2);
	}
	close(ends[0]);
	ck_assert_msg(lg_transfer_send(from, before, ends[1], how, sent, &now, &err) == 0, "%s",
		      err.msg);
	close(ends[1]);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	return now;
}

static inline struct lg_transfer_index *pass(const struct lg_transfer_index *before,
					     bool frozen, struct lg_transfer_sent *sent)
{
	const struct lg_transfer_send how = { .frozen = frozen, .progress = meanwhile };

	return pass_by(before, &how, sent);
}

/* ---- comparing ---- */

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The names in @dir, sorted. */
static size_t names_in(int dir, char ***ret)
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	lg_autodir DIR *d = fdopendir(fd);
	char **names = NULL;
	struct dirent *e;
	size_t n = 0;

	ck_assert_ptr_nonnull(d);
	while ((e = readdir(d)))
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0) {
			names = realloc(names, (n + 1) * sizeof(*names));
			names[n++] = strdup(e->d_name);
		}
	if (n > 1)
		qsort(names, n, sizeof(*names), by_text);
	*ret = names;
	return n;
}

static size_t xattrs_of(int dir, const char *name, char *list, size_t size)
{
	const struct lg_xattr_of of = { dir, name };
	ssize_t n = lg_xattr_list(&of, list, size), kept = 0;

	ck_assert_int_ge(n, 0);
	for (ssize_t i = 0, len; i < n; i += len) {
		len = (ssize_t)strlen(list + i) + 1;
		if (!lg_xattr_travels(LG_TRANSFER_LAYER, list + i))
			continue;
		memmove(list + kept, list + i, (size_t)len);
		kept += len;
	}
	return (size_t)kept;
}

static void compare_xattrs(int a, int b, const char *name)
{
	static char mine[65536], theirs[65536], value[65536], other[65536];
	const struct lg_xattr_of of_a = { a, name }, of_b = { b, name };
	size_t n = xattrs_of(a, name, mine, sizeof(mine)), count = 0, others = 0;
	size_t m = xattrs_of(b, name, theirs, sizeof(theirs));

	for (size_t i = 0; i < m; i += strlen(theirs + i) + 1)
		others++;
	for (size_t i = 0; i < n; i += strlen(mine + i) + 1) {
		ssize_t len = lg_xattr_get(&of_a, mine + i, value, sizeof(value));

		count++;
		ck_assert_int_ge(len, 0);
		ck_assert_msg(lg_xattr_get(&of_b, mine + i, other, sizeof(other)) == len, "%s of %s",
			      mine + i, name);
		ck_assert_mem_eq(value, other, (size_t)len);
	}
	ck_assert_msg(count == others, "%s has %zu attributes and %zu came", name, count, others);
}

static void compare_content(int a, int b, const char *name)
{
	lg_autoclose int x = openat(a, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	lg_autoclose int y = openat(b, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	static char mine[65536], theirs[65536];
	ssize_t n;

	ck_assert(x >= 0 && y >= 0);
	do {
		n = read(x, mine, sizeof(mine));
		ck_assert_int_eq(read(y, theirs, sizeof(theirs)), n);
		ck_assert_msg(n <= 0 || memcmp(mine, theirs, (size_t)n) == 0, "content of %s", name);
	} while (n > 0);
}

static void compare_targets(int a, int b, const char *name)
{
	static char mine[4096], theirs[4096];
	ssize_t n = readlinkat(a, name, mine, sizeof(mine));

	ck_assert_int_gt(n, 0);
	ck_assert_int_eq(readlinkat(b, name, theirs, sizeof(theirs)), n);
	ck_assert_mem_eq(mine, theirs, (size_t)n);
}

static void compare_trees(int a, int b, unsigned int *entries);

static void compare_one(int a, int b, const char *name, unsigned int *entries)
{
	struct stat x, y;

	ck_assert_int_eq(fstatat(a, name, &x, AT_SYMLINK_NOFOLLOW), 0);
	ck_assert_int_eq(fstatat(b, name, &y, AT_SYMLINK_NOFOLLOW), 0);
	ck_assert_msg(x.st_mode == y.st_mode, "mode of %s: %o, came %o", name, x.st_mode, y.st_mode);
	ck_assert_msg(x.st_uid == y.st_uid && x.st_gid == y.st_gid, "owner of %s", name);
	ck_assert_msg(x.st_mtim.tv_sec == y.st_mtim.tv_sec && x.st_mtim.tv_nsec == y.st_mtim.tv_nsec,
		      "time of %s", name);
	ck_assert_msg(x.st_rdev == y.st_rdev, "number of %s", name);
	ck_assert_msg(S_ISDIR(x.st_mode) || x.st_size == y.st_size, "size of %s", name);
	ck_assert_msg(S_ISDIR(x.st_mode) || x.st_nlink == y.st_nlink, "names of %s", name);
	(*entries)++;
	if (S_ISREG(x.st_mode))
		compare_content(a, b, name);
	if (S_ISLNK(x.st_mode))
		compare_targets(a, b, name);
	if (S_ISDIR(x.st_mode)) {
		lg_autoclose int c = openat(a, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		lg_autoclose int d = openat(b, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		ck_assert(c >= 0 && d >= 0);
		compare_trees(c, d, entries);
	}
	compare_xattrs(a, b, name);
}

static void compare_trees(int a, int b, unsigned int *entries)
{
	char **mine, **theirs;
	size_t n = names_in(a, &mine), m = names_in(b, &theirs);

	for (size_t i = 0; i < n && i < m; i++)
		ck_assert_msg(strcmp(mine[i], theirs[i]) == 0, "'%s' is there, '%s' came", mine[i],
			      theirs[i]);
	ck_assert_msg(n == m, "%zu names in a folder are %zu: %s", n, m,
		      n < m ? theirs[n] : n > m ? mine[m] : "");
	for (size_t i = 0; i < n; i++) {
		compare_one(a, b, mine[i], entries);
		free(mine[i]);
		free(theirs[i]);
	}
	free(mine);
	free(theirs);
}

/* The two layers are equal, and nothing of the transfer is left. Return: how many entries. */
static inline unsigned int equal(void)
{
	static const char *const parts[] = { "upper", "plain" };
	unsigned int entries = 0;
	struct stat st;

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		if (fstatat(from, parts[i], &st, AT_SYMLINK_NOFOLLOW) == 0)
			compare_one(from, to, parts[i], &entries);
		else
			ck_assert_int_ne(fstatat(to, parts[i], &st, AT_SYMLINK_NOFOLLOW), 0);
	ck_assert_int_ne(fstatat(to, ".transfer", &st, AT_SYMLINK_NOFOLLOW), 0);
	return entries;
}

#endif
