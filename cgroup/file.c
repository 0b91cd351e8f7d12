/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cgroup/host.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/cleanup.h"

int lg_cg_check_name(const char *name, bool spare, struct lg_err *err)
{
	size_t len = strlen(name);
	size_t i = 0;

	while (i < len && (isdigit((unsigned char)name[i]) ||
			   (spare && (isalpha((unsigned char)name[i]) || name[i] == '-'))))
		i++;
	if (len > 0 && len <= 30 && i == len)
		return 0;
	return lg_refuse(err, -EINVAL, 0, "'%s' cannot be the name of a cgroup", name);
}

static int file_path(const char *name, const char *file, char path[NAME_MAX + LG_CG_PATH])
{
	int n = snprintf(path, NAME_MAX + LG_CG_PATH, "%s%s%s", name, *name ? "/" : "", file);

	return n > 0 && n < NAME_MAX + LG_CG_PATH ? 0 : -ENAMETOOLONG;
}

ssize_t lg_cg_read(int dirfd, const char *name, const char *file, char *buf, size_t size)
{
	char path[NAME_MAX + LG_CG_PATH];
	lg_autoclose int fd = -1;
	ssize_t n;
	int r = file_path(name, file, path);

	if (r < 0)
		return r;
	fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return -errno;
	n = read(fd, buf, size - 1);
	if (n < 0)
		return -errno;
	buf[n] = '\0';
	return n;
}

/*
 * O_NONBLOCK: since Linux 6.16 it keeps a write to memory.max from reclaiming, or killing, in
 * the writer's time when the new limit is below what is used; the container then pays itself.
 * Other files and older kernels do not look at it.
 */
int lg_cg_write(int dirfd, const char *name, const char *file, const char *text)
{
	char path[NAME_MAX + LG_CG_PATH];
	lg_autoclose int fd = -1;
	int r = file_path(name, file, path);
	size_t len = strlen(text);
	ssize_t n;

	if (r < 0)
		return r;
	fd = openat(dirfd, path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return -errno;
	n = write(fd, text, len);
	if (n < 0)
		return -errno;
	return (size_t)n == len ? 0 : -EIO;
}

int lg_cg_number(const char *text, uint64_t *ret)
{
	unsigned long long value;
	char *end;

	if (strncmp(text, "max", 3) == 0 || strncmp(text, "-1", 2) == 0) {
		*ret = UINT64_MAX;
		return 0;
	}
	if (!isdigit((unsigned char)*text))
		return -EINVAL;
	errno = 0;
	value = strtoull(text, &end, 10);
	if (errno)
		return -errno;
	*ret = value;
	return 0;
}

int lg_cg_read_number(int dirfd, const char *name, const char *file, uint64_t *ret)
{
	char text[64] = "";
	ssize_t n = lg_cg_read(dirfd, name, file, text, sizeof(text));

	return n < 0 ? (int)n : lg_cg_number(text, ret);
}

int lg_cg_keyed(const char *text, const char *key, uint64_t *ret)
{
	size_t len = strlen(key);

	for (const char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, key, len) == 0 && line[len] == ' ')
			return lg_cg_number(line + len + 1, ret);
	}
	return -ENOENT;
}

bool lg_cg_has_word(const char *text, const char *word)
{
	size_t len = strlen(word);

	for (const char *p = text; *p; p += strcspn(p, " \n")) {
		p += strspn(p, " \n");
		if (strncmp(p, word, len) == 0 && (!p[len] || strchr(" \n", p[len])))
			return true;
	}
	return false;
}
