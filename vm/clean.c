/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * What VMs boot from is removed when nobody has use for it. It stays
 *
 *	under its plain name	as long as its template is in the store
 *	under any name		as long as a machine runs on it, or will go on with it
 *				while somebody has a lock on it, who makes it, or is about to need it
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/file.h"
#include "storage/store.h"
#include "vm/cache.h"
#include "vm/transfer.h"

/* Digests of what is in the store, and which makings are in use. */
struct wanted {
	char (*list)[LG_VM_DIGEST];
	size_t n;
	const char *used;
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

static bool is_used(const struct wanted *w, const char *folder, const char *name, bool kernels)
{
	char id[LG_VM_IDENTITY];

	return lg_vm_cache_identity(folder, name, kernels, id) == 0 && strstr(w->used, id);
}

static bool stays(const struct wanted *w, const char *folder, int dir, const char *name, bool kernels)
{
	if (name[0] == '.')
		return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
	if (is_used(w, folder, name, kernels))
		return true;
	if (strchr(name, '+'))
		return false;
	return kernels ? kernel_is_wanted(w, dir, name) : is_wanted(w, name, strcspn(name, "."));
}

/* Whoever wants it now, by a lock, finds that it goes (lg_vm_part_hold()). */
static int remove_it(int dir, const char *name, struct lg_err *err)
{
	lg_autoclose int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK)
		return 0;
	return lg_remove_tree(dir, name, err);
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
		if (!stays(w, path, dirfd(dir), e->d_name, kernels)) {
			r = remove_it(dirfd(dir), e->d_name, first ? NULL : err);
			first = first ? first : r;
		}
	return first;
}

int lg_vm_cache_clean(const char *var, const char *used, struct lg_err *err)
{
	struct wanted w = { .used = used };
	int r = lg_template_each(var, add_wanted, &w, err);

	if (r == 0)
		r = clean_folder(var, "base", &w, false, err);
	if (r == 0)
		r = clean_folder(var, "kernel", &w, true, err);
	free(w.list);
	return r;
}
