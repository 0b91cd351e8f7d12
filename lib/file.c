/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lib/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "lib/cleanup.h"

#define OPEN_TRIES 1000u /* by then something does nothing else than to rename */

ssize_t lg_read_all(int fd, void *data, size_t len)
{
	uint8_t *p = data;
	size_t got = 0;

	while (got < len) {
		ssize_t n = read(fd, p + got, len - got);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		got += (size_t)n;
	}
	return (ssize_t)got;
}

/* Files of /proc and cgroups say that they are empty, so the size is no guide: grow until the end. */
static int read_growing(int fd, size_t max, char **ret, size_t *ret_len)
{
	lg_autofree char *buf = NULL;
	size_t room = 4096, len = 0;

	for (;;) {
		char *bigger;
		ssize_t n;

		if (room > max + 1)
			room = max + 1;
		bigger = realloc(buf, room + 1);
		if (!bigger)
			return -ENOMEM;
		buf = bigger;
		n = lg_read_all(fd, buf + len, room - len);
		if (n < 0)
			return (int)n;
		len += (size_t)n;
		if (len > max)
			return -E2BIG;
		if (len < room)
			break;
		room *= 2;
	}
	buf[len] = '\0';
	*ret = lg_take_ptr(&buf);
	if (ret_len)
		*ret_len = len;
	return 0;
}

int lg_file_read(int dirfd, const char *name, size_t max, char **ret, size_t *ret_len,
		 struct lg_err *err)
{
	lg_autoclose int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	int r;

	if (fd < 0)
		return lg_fail(err, -errno, "open '%s'", name);
	r = read_growing(fd, max, ret, ret_len);
	return r < 0 ? lg_fail(err, r, "read '%s'", name) : 0;
}

int lg_write_all(int fd, const void *data, size_t len)
{
	const uint8_t *p = data;

	while (len > 0) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

static int write_new(int dirfd, const char *tmp, const void *data, size_t len, mode_t mode,
		     bool durable)
{
	lg_autoclose int fd = openat(dirfd, tmp,
				     O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);
	int r;

	if (fd < 0)
		return -errno;
	r = lg_write_all(fd, data, len);
	if (r == 0 && fchmod(fd, mode) < 0)
		r = -errno;
	if (r == 0 && durable && fsync(fd) < 0)
		r = -errno;
	return r;
}

static int sync_parent(int dirfd, const char *name)
{
	const char *slash = strrchr(name, '/');
	char parent[PATH_MAX];
	lg_autoclose int fd = -1;

	if (slash)
		snprintf(parent, sizeof(parent), "%.*s", slash == name ? 1 : (int)(slash - name),
			 name);
	else
		snprintf(parent, sizeof(parent), ".");
	fd = openat(dirfd, parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fsync(fd) < 0)
		return -errno;
	return 0;
}

static int replace(int dirfd, const char *name, const void *data, size_t len, mode_t mode,
		   bool durable, struct lg_err *err)
{
	char tmp[PATH_MAX];
	int r;

	if ((size_t)snprintf(tmp, sizeof(tmp), "%s.new", name) >= sizeof(tmp))
		return lg_fail(err, -ENAMETOOLONG, "write '%s'", name);
	r = write_new(dirfd, tmp, data, len, mode, durable);
	if (r == 0 && renameat(dirfd, tmp, dirfd, name) < 0)
		r = -errno;
	if (r < 0) {
		unlinkat(dirfd, tmp, 0);
		return lg_fail(err, r, "write '%s'", name);
	}
	if (durable) {
		r = sync_parent(dirfd, name);
		if (r < 0)
			return lg_fail(err, r, "sync the folder of '%s'", name);
	}
	return 0;
}

int lg_file_replace(int dirfd, const char *name, const void *data, size_t len, mode_t mode,
		    struct lg_err *err)
{
	return replace(dirfd, name, data, len, mode, true, err);
}

int lg_file_replace_fast(int dirfd, const char *name, const void *data, size_t len, mode_t mode,
			 struct lg_err *err)
{
	return replace(dirfd, name, data, len, mode, false, err);
}

int lg_file_write(int dirfd, const char *name, const char *text, struct lg_err *err)
{
	lg_autoclose int fd = openat(dirfd, name, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
	size_t len = strlen(text);
	ssize_t n;

	if (fd < 0)
		return lg_fail(err, -errno, "open '%s'", name);
	n = write(fd, text, len);
	if (n < 0)
		return lg_fail(err, -errno, "write '%.*s' to '%s'", (int)strcspn(text, "\n"), text,
			       name);
	return (size_t)n == len ? 0 : lg_fail(err, -EIO, "write to '%s'", name);
}

int lg_openat2(int dirfd, const char *path, const struct open_how *how)
{
	for (unsigned int tries = 0;; tries++) {
		int fd = (int)syscall(SYS_openat2, dirfd, path, how, sizeof(*how));

		if (fd >= 0)
			return fd;
		if (errno != EAGAIN || tries == OPEN_TRIES)
			return -errno;
		sched_yield();
	}
}

int lg_open_beneath(int dirfd, const char *path, int flags, mode_t mode)
{
	struct open_how how = {
		.flags = (uint64_t)(flags | O_CLOEXEC),
		.mode = flags & (O_CREAT | __O_TMPFILE) ? mode : 0,
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
	};

	return lg_openat2(dirfd, path, &how);
}

/* A link to a folder is one too: an administrator may have moved a part elsewhere. */
static int make_folder(const char *path, mode_t mode, struct lg_err *err)
{
	struct stat st;

	if (mkdir(path, mode) == 0)
		return 0;
	if (errno != EEXIST || stat(path, &st) < 0)
		return lg_fail(err, -errno, "make folder '%s'", path);
	return S_ISDIR(st.st_mode) ? 0 : lg_fail(err, -ENOTDIR, "make folder '%s'", path);
}

int lg_mkdir_all(const char *path, mode_t mode, struct lg_err *err)
{
	char part[PATH_MAX];
	size_t len = strlen(path);

	if (len >= sizeof(part))
		return lg_fail(err, -ENAMETOOLONG, "make folder '%s'", path);
	memcpy(part, path, len + 1);
	for (char *p = part + 1; *p; p++) {
		int r;

		if (*p != '/')
			continue;
		*p = '\0';
		r = make_folder(part, mode, err);
		if (r < 0)
			return r;
		*p = '/';
	}
	return make_folder(part, mode, err);
}

int lg_open_dir(int dirfd, const char *name, struct lg_err *err)
{
	int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? lg_fail(err, -errno, "open folder '%s'", name) : fd;
}
