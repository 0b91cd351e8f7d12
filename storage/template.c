/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "storage/template.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>

#include "lib/cleanup.h"
#include "lib/exit.h"
#include "lib/file.h"
#include "lib/log.h"
#include "lib/parse.h"
#include "storage/manifest.h"
#include "storage/store.h"

static int no_template(const char *name, struct lg_err *err)
{
	return lg_refuse(err, -ENOENT, LG_EXIT_NO_TEMPLATE,
			 "there is no template '%.64s': see `lodge template list`", name);
}

static int load(int store, const char *var, const char *name, struct lg_template *ret,
		struct lg_err *err)
{
	struct lg_template t;
	lg_autoclose int dir =
		openat(store, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int r;

	if (dir < 0)
		return errno == ENOENT ? no_template(name, err) :
					 lg_fail(err, -errno, "open template '%s'", name);
	r = lg_manifest_load(dir, name, 1, &t, err);
	if (r < 0)
		return lg_within(err, r, "template '%s'", name);
	if ((size_t)snprintf(t.rootfs, sizeof(t.rootfs), "%s/templates/%s/rootfs", var, name) >=
	    sizeof(t.rootfs))
		return lg_fail(err, -ENAMETOOLONG, "template '%s'", name);
	*ret = t;
	return 0;
}

int lg_template_load(const char *var, const char *name, struct lg_template *ret,
		     struct lg_err *err)
{
	lg_autoclose int store = -1;
	int r;

	r = lg_check_template_name(name, err);
	if (r < 0)
		return r;
	store = lg_store_open(var, "templates", err);
	return store < 0 ? store : load(store, var, name, ret, err);
}

int lg_template_each(const char *var, int (*fn)(const struct lg_template *t, void *arg),
		     void *arg, struct lg_err *err)
{
	lg_autoclose int store = lg_store_open(var, "templates", err);
	struct lg_template t;
	struct lg_err broken;
	char **names;
	size_t n;
	int r;

	if (store < 0)
		return store;
	r = lg_store_names(store, &names, &n, err);
	if (r < 0)
		return r;
	for (size_t i = 0; r == 0 && i < n; i++) {
		/* One that is broken hides none of the others. */
		if (load(store, var, names[i], &t, &broken) == 0)
			r = fn(&t, arg);
		else
			lg_log(LG_LOG_DEBUG, "%s", broken.msg);
	}
	lg_store_names_free(names, n);
	return r;
}

int lg_template_remove(const char *var, const char *name, struct lg_err *err)
{
	lg_autoclose int store = -1;
	int r;

	r = lg_check_template_name(name, err);
	if (r < 0)
		return r;
	store = lg_store_open(var, "templates", err);
	if (store < 0)
		return store;
	if (faccessat(store, name, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		return no_template(name, err);
	return lg_trash_put(var, store, name, name, err);
}

static int is_leftover(const char *name)
{
	const char *end = strrchr(name, '.');

	return name[0] == '.' && end && end > name && strcmp(end, ".new") == 0;
}

/* A build that runs holds a lock on its folder; a killed one has none any more. */
static int trash_leftover(const char *var, int store, const char *name, struct lg_err *err)
{
	lg_autoclose int dir =
		openat(store, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (dir >= 0 && flock(dir, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK)
		return 0;
	return lg_trash_put(var, store, name, name + 1, err);
}

int lg_template_cleanup(const char *var, struct lg_err *err)
{
	lg_autoclose int store = lg_store_open(var, "templates", err);
	lg_autodir DIR *dir = NULL;
	struct dirent *e;
	int fd, first = 0;

	if (store < 0)
		return store;
	fd = openat(store, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir) {
		first = lg_fail(err, -errno, "read the templates");
		lg_close(fd);
		return first;
	}
	while ((e = readdir(dir))) {
		int r = is_leftover(e->d_name) ?
				trash_leftover(var, store, e->d_name, first ? NULL : err) : 0;

		if (first == 0)
			first = r;
	}
	return first;
}
