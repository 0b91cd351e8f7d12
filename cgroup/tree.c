/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cgroup/host.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "cgroup/limits.h"
#include "lib/cleanup.h"

#define DIR_FLAGS (O_PATH | O_DIRECTORY | O_NOFOLLOW)

/* A spare set's directory: the dot keeps it apart from the instances. */
static int spare_dir(const char *name, char dir[32], struct lg_err *err)
{
	int r = lg_cg_check_name(name, true, err);

	if (r == 0)
		snprintf(dir, 32, ".%.30s", name);
	return r;
}

int lg_cg_spare_make(struct lg_cg_host *host, const char *name, struct lg_err *err)
{
	char dir[32];
	int r = spare_dir(name, dir, err);

	for (unsigned int i = 0; r == 0 && i < host->nv1; i++) {
		if (mkdirat(host->v1[i].top, dir, 0755) == 0 || errno == EEXIST)
			continue;
		r = lg_fail(err, -errno, "make cgroup %s/%s", host->v1[i].path, dir);
		while (i-- > 0)
			unlinkat(host->v1[i].top, dir, AT_REMOVEDIR);
		break;
	}
	return r;
}

int lg_cg_spare_procs(struct lg_cg_host *host, const char *name,
		      int (*fn)(const char *path, void *arg), void *arg)
{
	char path[PATH_MAX + LG_CG_PATH];
	char dir[32];
	int r = spare_dir(name, dir, NULL);

	for (unsigned int i = 0; r == 0 && i < host->nv1; i++) {
		snprintf(path, sizeof(path), "%s/%s/cgroup.procs", host->v1[i].path, dir);
		r = fn(path, arg);
	}
	return r;
}

int lg_cg_spare_remove(struct lg_cg_host *host, const char *name, struct lg_err *err)
{
	char dir[32];
	int r = spare_dir(name, dir, err);

	if (r < 0)
		return r;
	for (unsigned int i = 0; i < host->nv1; i++) {
		int q = lg_cg_rmtree(host->v1[i].top, dir);

		if (q < 0 && r == 0)
			r = lg_fail(err, q, "remove cgroup %s/%s", host->v1[i].path, dir);
	}
	return r;
}

struct each {
	const struct lg_cg_host *host;
	unsigned int tree;	/* of host->v1; what those before it have was told already */
	bool spares;
	int (*fn)(const char *name, void *arg);
	void *arg;
};

static bool is_told(const struct each *each, const char *name)
{
	if (!each->spares && faccessat(each->host->v2.top, name, F_OK, 0) == 0)
		return true;
	for (unsigned int i = 0; i < each->tree; i++)
		if (faccessat(each->host->v1[i].top, name, F_OK, 0) == 0)
			return true;
	return false;
}

static int each_v2(int parent, const char *name, void *arg)
{
	const struct each *each = arg;

	(void)parent;
	return lg_cg_check_name(name, false, NULL) == 0 ? each->fn(name, each->arg) : 0;
}

static int each_v1(int parent, const char *name, void *arg)
{
	const struct each *each = arg;
	const char *told = name;

	(void)parent;
	if (each->spares && *told++ != '.')
		return 0;
	if (lg_cg_check_name(told, each->spares, NULL) < 0 || is_told(each, name))
		return 0;
	return each->fn(told, each->arg);
}

static int each_tree(struct each *each)
{
	int r = each->spares ? 0 : lg_cg_children(each->host->v2.top, each_v2, each);

	for (each->tree = 0; r == 0 && each->tree < each->host->nv1; each->tree++)
		r = lg_cg_children(each->host->v1[each->tree].top, each_v1, each);
	return r;
}

int lg_cg_spare_each(struct lg_cg_host *host, int (*fn)(const char *name, void *arg), void *arg)
{
	return each_tree(&(struct each){ .host = host, .spares = true, .fn = fn, .arg = arg });
}

int lg_cg_each(struct lg_cg_host *host, int (*fn)(const char *name, void *arg), void *arg)
{
	return each_tree(&(struct each){ .host = host, .fn = fn, .arg = arg });
}

/* Give the directory @path and the files that delegation is about to the container's root. */
static int delegate(const struct lg_cg_host *host, const char *path, uid_t owner)
{
	static const char *const files[] = {
		"", "/cgroup.procs", "/cgroup.threads", "/cgroup.subtree_control",
	};
	char file[LG_CG_PATH];

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		snprintf(file, sizeof(file), "%s%s", path, files[i]);
		if (fchownat(host->v2.top, file, owner, (gid_t)owner, AT_SYMLINK_NOFOLLOW) < 0)
			return -errno;
	}
	return 0;
}

/* The guest may remove its leaf, the directory above being its own: made when it is missing. */
static int make_leaf(const struct lg_cg_host *host, const char *name, uid_t owner)
{
	char leaf[LG_CG_PATH];

	snprintf(leaf, sizeof(leaf), "%s/%s", name, LG_CG_LEAF);
	if (mkdirat(host->v2.top, leaf, 0755) < 0)
		return -errno;
	return delegate(host, leaf, owner);
}

static int bound_guest(const struct lg_cg_host *host, const char *name)
{
	char text[16];
	int r;

	snprintf(text, sizeof(text), "%d", LG_CG_DEPTH_MAX);
	r = lg_cg_write(host->v2.top, name, "cgroup.max.depth", text);
	if (r < 0)
		return r;
	snprintf(text, sizeof(text), "%d", LG_CG_CHILDREN_MAX);
	return lg_cg_write(host->v2.top, name, "cgroup.max.descendants", text);
}

static int make_v2(const struct lg_cg_host *host, const char *name, uid_t owner,
		   struct lg_err *err)
{
	int r;

	if (mkdirat(host->v2.top, name, 0755) < 0)
		return lg_fail(err, -errno, "make cgroup %s/%s", host->v2.path, name);
	r = bound_guest(host, name);
	if (r == 0)
		r = make_leaf(host, name, owner);
	if (r == 0)
		r = delegate(host, name, owner);
	if (r == 0)
		return 0;
	lg_cg_rmtree(host->v2.top, name);
	return lg_fail(err, r, "set up cgroup %s/%s", host->v2.path, name);
}

static int make_v1(const struct lg_cg_host *host, const char *name, const char *spare,
		   struct lg_err *err)
{
	for (unsigned int i = 0; i < host->nv1; i++) {
		int top = host->v1[i].top;
		int r = spare ? renameat(top, spare, top, name) : mkdirat(top, name, 0755);

		if (r == 0)
			continue;
		r = lg_fail(err, -errno, "make cgroup %s/%s", host->v1[i].path, name);
		while (i-- > 0) {
			top = host->v1[i].top;
			if (spare)
				(void)renameat(top, name, top, spare);
			else
				unlinkat(top, name, AT_REMOVEDIR);
		}
		return r;
	}
	return 0;
}

int lg_cg_make(struct lg_cg_host *host, const char *name, const char *spare, uid_t owner,
	       struct lg_err *err)
{
	char dir[32];
	int r = lg_cg_check_name(name, false, err);

	if (r == 0 && spare)
		r = spare_dir(spare, dir, err);
	if (r == 0)
		r = make_v2(host, name, owner, err);
	if (r < 0)
		return r;
	r = make_v1(host, name, spare ? dir : NULL, err);
	if (r < 0)
		lg_cg_rmtree(host->v2.top, name);
	return r;
}

int lg_cg_retire(struct lg_cg_host *host, const char *name, const char *spare,
		 struct lg_err *err)
{
	char dir[32];
	int r = lg_cg_check_name(name, false, err);

	if (r == 0)
		r = spare_dir(spare, dir, err);
	for (unsigned int i = 0; r == 0 && i < host->nv1; i++)
		if (renameat(host->v1[i].top, name, host->v1[i].top, dir) < 0 && errno != ENOENT)
			r = lg_fail(err, -errno, "retire cgroup %s/%s", host->v1[i].path, name);
	return r;
}

int lg_cg_remove(struct lg_cg_host *host, const char *name, struct lg_err *err)
{
	int r = lg_cg_check_name(name, false, err);
	uint64_t guaranteed = 0;
	int first = 0;

	if (r < 0)
		return r;
	(void)lg_cg_read_number(host->v2.top, name, "memory.min", &guaranteed);
	r = lg_cg_rmtree(host->v2.top, name);
	if (r < 0)
		return lg_fail(err, r, "remove cgroup %s/%s", host->v2.path, name);
	if (guaranteed)
		lg_guarantees_pass_on(host);
	for (unsigned int i = 0; i < host->nv1; i++) {
		r = lg_cg_rmtree(host->v1[i].top, name);
		if (r < 0 && first == 0)
			first = lg_fail(err, r, "remove cgroup %s/%s", host->v1[i].path, name);
	}
	return first;
}

static int open_at(const struct lg_cg_host *host, const char *path, struct lg_err *err)
{
	int fd = openat(host->v2.top, path, DIR_FLAGS | O_CLOEXEC);

	return fd >= 0 ? fd : lg_fail(err, -errno, "open cgroup %s/%s", host->v2.path, path);
}

int lg_cg_open(struct lg_cg_host *host, const char *name, bool leaf, struct lg_err *err)
{
	char path[LG_CG_PATH];
	struct stat st;
	int fd;
	int r = lg_cg_check_name(name, false, err);

	if (r < 0)
		return r;
	if (!leaf)
		return open_at(host, name, err);
	snprintf(path, sizeof(path), "%s/%s", name, LG_CG_LEAF);
	fd = openat(host->v2.top, path, DIR_FLAGS | O_CLOEXEC);
	if (fd >= 0 || errno != ENOENT)
		return fd >= 0 ? fd : open_at(host, path, err);
	if (fstatat(host->v2.top, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		(void)make_leaf(host, name, st.st_uid);
	return open_at(host, path, err);
}

int lg_cg_open_shims(struct lg_cg_host *host, struct lg_err *err)
{
	if (mkdirat(host->v2.top, LG_CG_SHIMS, 0755) < 0 && errno != EEXIST)
		return lg_fail(err, -errno, "make cgroup %s/%s", host->v2.path, LG_CG_SHIMS);
	return open_at(host, LG_CG_SHIMS, err);
}

static int refuse_any(const char *name, void *arg)
{
	return lg_refuse(arg, -EBUSY, 0, "the cgroup of '%s' is still there", name);
}

static int remove_top(const struct lg_cg_tree *tree, const char *name, struct lg_err *err)
{
	lg_autoclose int parent = openat(tree->top, "..", DIR_FLAGS | O_CLOEXEC);
	int r = parent < 0 ? -errno : lg_cg_rmtree(parent, name);

	/* Opened again it would be another one: gone with its directory is gone. */
	return r == 0 || r == -ENOENT ? 0 : lg_fail(err, r, "remove cgroup %s", tree->path);
}

int lg_cg_host_remove(struct lg_cg_host *host, struct lg_err *err)
{
	int r = lg_cg_each(host, refuse_any, err);

	if (r == 0)
		r = lg_cg_spare_each(host, refuse_any, err);
	for (unsigned int i = 0; r == 0 && i < host->nv1; i++)
		r = remove_top(&host->v1[i], host->name, err);
	return r < 0 ? r : remove_top(&host->v2, host->name, err);
}
