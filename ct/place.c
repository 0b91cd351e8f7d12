/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ct/mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "ct/user.h"
#include "lib/cleanup.h"
#include "lib/file.h"

/*
 * How it works: it runs inside the container, with nothing of the host left in its mount namespace,
 * before any process of the container. What is hostile is the image: a link may stand anywhere. Links
 * on the way to a file are followed inside the root, never through /proc's links to open files
 * (lg_open_beneath); the file itself is made anew and takes the place of whatever was there.
 */

#define BLOCK_FILE_MAX 65536u
#define BLOCK_BEGIN "# lodge: begin\n"
#define BLOCK_END "# lodge: end\n"

struct place {
	int parent;		/* folder, opened */
	const char *name;	/* in it */
};

/* Open the folder that @path[0..len) names, making what is missing. */
static int open_folder(const char *path, size_t len)
{
	char part[PATH_MAX];
	int fd;

	if (len == 0)
		return open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (len >= sizeof(part))
		return -ENAMETOOLONG;
	memcpy(part, path, len);
	part[len] = '\0';
	fd = lg_open_beneath(AT_FDCWD, part, O_PATH | O_DIRECTORY, 0);
	for (char *p = part + 1; fd == -ENOENT; p++) {
		lg_autoclose int above = -1;
		char *slash, *end = strchrnul(p, '/');
		char after = *end;

		*end = '\0';
		slash = strrchr(part, '/');
		*slash = '\0';
		above = lg_open_beneath(AT_FDCWD, *part ? part : "/", O_PATH | O_DIRECTORY, 0);
		*slash = '/';
		if (above < 0)
			return above;
		if (mkdirat(above, slash + 1, 0755) < 0 && errno != EEXIST)
			return -errno;
		*end = after;
		p = end;
		if (!after)
			return lg_open_beneath(AT_FDCWD, part, O_PATH | O_DIRECTORY, 0);
	}
	return fd;
}

static int find_place(const char *path, struct place *ret)
{
	const char *slash = strrchr(path, '/');

	if (*path != '/' || !slash[1] || strstr(path, "/../"))
		return -EINVAL;
	ret->name = slash + 1;
	if (strcmp(ret->name, "..") == 0 || strcmp(ret->name, ".") == 0)
		return -EINVAL;
	ret->parent = open_folder(path, (size_t)(slash - path));
	return ret->parent < 0 ? ret->parent : 0;
}

/* A regular file's bytes, however hostile the thing at its place; 0 for anything else. */
static size_t read_regular(const struct place *at, char *buf, size_t size)
{
	lg_autoclose int fd = openat(at->parent, at->name,
				     O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct stat st;
	ssize_t n;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size >= (off_t)size)
		return 0;
	n = read(fd, buf, size - 1);
	return n < 0 ? 0 : (size_t)n;
}

static int write_to(int fd, const char *text, size_t len, mode_t mode)
{
	ssize_t n = len ? write(fd, text, len) : 0;

	if (n < 0)
		return -errno;
	if ((size_t)n != len)
		return -ENOSPC;
	return fchmod(fd, mode) < 0 ? -errno : 0;
}

static int write_new(const struct place *at, const char *name, const char *text, size_t len,
		     mode_t mode)
{
	lg_autoclose int fd = openat(at->parent, name,
				     O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

	return fd < 0 ? -errno : write_to(fd, text, len, mode);
}

static char old_text[BLOCK_FILE_MAX + 1], new_text[BLOCK_FILE_MAX * 2];

static bool is_same(const struct place *at, const char *text, size_t len, mode_t mode)
{
	struct stat st;

	return fstatat(at->parent, at->name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       (st.st_mode & 07777) == mode && st.st_size == (off_t)len &&
	       read_regular(at, old_text, sizeof(old_text)) == len &&
	       memcmp(old_text, text, len) == 0;
}

static int put_file(const struct place *at, const char *text, size_t len, mode_t mode)
{
	static const char tmp[] = ".lodge.new";
	int r = write_new(at, at->name, text, len, mode);

	if (r != -EEXIST || is_same(at, text, len, mode))
		return r == -EEXIST ? 0 : r;
	if (unlinkat(at->parent, tmp, 0) < 0 && errno != ENOENT)
		return -errno;
	r = write_new(at, tmp, text, len, mode);
	if (r == 0 && renameat(at->parent, tmp, at->parent, at->name) < 0)
		r = -errno;
	if (r < 0)
		unlinkat(at->parent, tmp, 0);
	return r;
}

int lg_place_block(const char *old, const char *block, char *out, size_t size)
{
	const char *begin = strstr(old, BLOCK_BEGIN);
	const char *end = begin ? strstr(begin, BLOCK_END) : NULL;
	size_t head = end ? (size_t)(begin - old) : 0;
	const char *tail = end ? end + strlen(BLOCK_END) : old;
	int n = snprintf(out, size, "%.*s" BLOCK_BEGIN "%s" BLOCK_END "%s", (int)head, old, block,
			 tail);

	return n < 0 || (size_t)n >= size ? -E2BIG : n;
}

static int place_dir(const struct place *at, mode_t mode, const char *text)
{
	(void)text;
	if (mkdirat(at->parent, at->name, 0700) < 0)
		return errno == EEXIST ? 0 : -errno;
	return fchmodat(at->parent, at->name, mode, 0) < 0 ? -errno : 0;
}

static int place_file(const struct place *at, mode_t mode, const char *text)
{
	return put_file(at, text, strlen(text), mode);
}

static int place_block(const struct place *at, mode_t mode, const char *text)
{
	int n;

	old_text[read_regular(at, old_text, sizeof(old_text))] = '\0';
	n = lg_place_block(old_text, text, new_text, sizeof(new_text));
	return n < 0 ? n : put_file(at, new_text, (size_t)n, mode);
}

static int place_link(const struct place *at, mode_t mode, const char *text)
{
	(void)mode;
	if (symlinkat(text, at->parent, at->name) == 0)
		return 0;
	if (errno != EEXIST)
		return -errno;
	if (unlinkat(at->parent, at->name, 0) < 0 ||
	    symlinkat(text, at->parent, at->name) < 0)
		return -errno;
	return 0;
}

/* clang-format off */
static const struct kind {
	const char *key;
	bool has_mode, has_text;
	int (*put)(const struct place *at, mode_t mode, const char *text);
} kinds[] = {
	{ "dir",   true,  false, place_dir },
	{ "file",  true,  true,	 place_file },
	{ "block", true,  true,	 place_block },
	{ "link",  false, true,	 place_link },
};
/* clang-format on */

static int place_one(const struct kind *kind, const char *value, struct lg_err *err)
{
	const char *p = value, *text;
	char path[PATH_MAX];
	struct place at;
	mode_t mode = 0;
	char *end;
	int r;

	if (kind->has_mode) {
		mode = (mode_t)strtoul(p, &end, 8) & 07777;
		p = *end == ' ' ? end + 1 : "";
	}
	text = strchrnul(p, '\n');
	if ((size_t)(text - p) >= sizeof(path) || (kind->has_text && !*text))
		return lg_refuse(err, -EINVAL, 0, "START has a bad '%s'", kind->key);
	memcpy(path, p, (size_t)(text - p));
	path[text - p] = '\0';
	r = find_place(path, &at);
	if (r == 0) {
		r = kind->put(&at, mode, kind->has_text ? text + 1 : text);
		close(at.parent);
	}
	return r < 0 ? lg_fail(err, r, "put %s into the " LG_INSIDE, path) : 0;
}

int lg_place_fields(const struct lg_msg *m, struct lg_err *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		for (const char *v = lg_msg_get(m, kinds[i].key); v;
		     v = lg_msg_next(m, kinds[i].key, v)) {
			int r = place_one(&kinds[i], v, err);

			if (r < 0)
				return r;
		}
	return 0;
}

int lg_place_sysctls(const struct lg_msg *m, struct lg_err *err)
{
	for (const char *v = lg_msg_get(m, "sysctl"); v; v = lg_msg_next(m, "sysctl", v)) {
		const char *value = strchr(v, '\n');
		char path[300];

		if (!value || strncmp(v, "/proc/sys/", 10) != 0)
			return lg_refuse(err, -EINVAL, 0, "START has a bad 'sysctl'");
		snprintf(path, sizeof(path), "%.*s", (int)(value - v), v);
		if (lg_file_write(AT_FDCWD, path, value + 1, err) < 0)
			return err->code;
	}
	return 0;
}
