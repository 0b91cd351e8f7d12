/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "storage/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/cleanup.h"
#include "lib/file.h"
#include "lib/parse.h"

int lg_store_path(char path[LG_STORE_PATH], struct lg_err *err, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(path, LG_STORE_PATH, fmt, ap);
	va_end(ap);
	if (n < 0 || n >= LG_STORE_PATH)
		return lg_fail(err, -ENAMETOOLONG, "path '%.80s...'", path);
	return 0;
}

int lg_store_open(const char *var, const char *part, struct lg_err *err)
{
	char path[LG_STORE_PATH];
	int r;

	r = lg_store_path(path, err, "%s/%s", var, part);
	if (r < 0)
		return r;
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return lg_fail(err, -errno, "make folder '%s'", path);
	return lg_open_dir(AT_FDCWD, path, err);
}

static int by_name(const void *a, const void *b)
{
	const char *const *x = a, *const *y = b;

	return strcmp(*x, *y);
}

void lg_store_names_free(char **names, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(names[i]);
	free(names);
}

static int add_name(char ***names, size_t *n, const char *name)
{
	char **bigger = realloc(*names, (*n + 1) * sizeof(**names));

	if (!bigger)
		return -ENOMEM;
	*names = bigger;
	bigger[*n] = strdup(name);
	if (!bigger[*n])
		return -ENOMEM;
	(*n)++;
	return 0;
}

int lg_store_names(int dirfd, char ***ret, size_t *ret_n, struct lg_err *err)
{
	lg_autodir DIR *dir = NULL;
	struct dirent *e;
	char **names = NULL;
	size_t n = 0;
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir) {
		int r = lg_fail(err, -errno, "read the folder of templates");

		lg_close(fd);
		return r;
	}
	while ((e = readdir(dir))) {
		if ((e->d_type != DT_DIR && e->d_type != DT_UNKNOWN) ||
		    lg_check_template_name(e->d_name, NULL) < 0)
			continue;
		if (add_name(&names, &n, e->d_name) < 0) {
			lg_store_names_free(names, n);
			return lg_fail(err, -ENOMEM, "read the folder of templates");
		}
	}
	if (n > 1)
		qsort(names, n, sizeof(*names), by_name);
	*ret = names;
	*ret_n = n;
	return 0;
}
