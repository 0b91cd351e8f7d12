/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * How it works: where TOP is on each hierarchy. The first place of these where it can be made:
 *
 * 1. The subtree that systemd keeps for lodge: the cgroup of lodge-containers.service, a unit
 *    with Delegate=yes whose only process sleeps. It writes its /proc/self/cgroup to
 *    LG_CG_TREE_FILE, as systemd does not promise how a unit's name becomes a path. The cgroup
 *    of lodged.service itself will not do, delegated or not: on a restart systemd puts the new
 *    daemon into the unit's own directory, and cgroup2 refuses that (EBUSY, "219/CGROUP"; seen
 *    with systemd 252 and 257) while controllers are enabled below it for containers that still
 *    run. A slice cannot be delegated, and a scope or an exited service loses its directory
 *    with its last process. Nor may that unit's directory have processes of its own once
 *    controllers are on: the sleeper is moved to a leaf, .holder.
 *
 * 2. The root of the hierarchy as it is mounted: hosts without systemd as process 1, and
 *    systemd hosts on which that unit does not run (systemd leaves names without a unit's
 *    suffix alone).
 *
 * 3. Below the cgroup that the daemon is in, where the root cannot be written.
 *
 * In a container of its own the daemon may sit in the very cgroup (the root of its namespace)
 * that is to get controllers; then it moves itself to the leaf.
 *
 * On cgroup2, TOP then has all controllers but hugetlb enabled for its children: one directory per instance
 * and .shims, which takes the shims so that none of them is in the daemon's service.
 */

#include "cgroup/host.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cgroup/limits.h"
#include "lib/cleanup.h"
#include "lib/file.h"

#define HOLDER ".holder"
#define LEVELS_MAX 16	/* of cgroups above TOP */
#define CGROUP_TEXT_MAX 65536u
#define DIR_FLAGS (O_PATH | O_DIRECTORY | O_NOFOLLOW)

struct where {
	char *delegated;	/* texts in /proc/PID/cgroup's form; NULL: nothing known */
	char *own;
};

static void cleanup_where(struct where *where)
{
	free(where->delegated);
	free(where->own);
}

static void cleanup_mounts(struct lg_cg_mounts **mounts)
{
	if (*mounts)
		lg_cg_mounts_finish(*mounts);
	free(*mounts);
}

/* Is @ctl in the list "cpu,cpuacct" of @len bytes? */
static bool in_list(const char *list, size_t len, const char *ctl)
{
	size_t want = strlen(ctl);

	for (size_t i = 0; i < len; i += strcspn(list + i, ",:") + 1)
		if (len - i >= want && strncmp(list + i, ctl, want) == 0 &&
		    strchr(",:", list[i + want]))
			return true;
	return false;
}

static int take_path(const char *path, size_t len, char ret[PATH_MAX])
{
	static const char control[] = "/.control";	/* where systemd runs ExecStop= */

	if (len >= sizeof(control) - 1 &&
	    memcmp(path + len - (sizeof(control) - 1), control, sizeof(control) - 1) == 0)
		len -= sizeof(control) - 1;
	if (len == 0 || len >= PATH_MAX || memmem(path, len, "/..", 3))
		return -EINVAL;
	memcpy(ret, path + 1, len - 1);
	ret[len - 1] = '\0';
	return 0;
}

int lg_cg_path_of(const char *text, const char *ctl, char ret[PATH_MAX])
{
	for (const char *line = text; *line;
	     line += strcspn(line, "\n"), line += *line == '\n') {
		size_t len = strcspn(line, "\n");
		const char *list = memchr(line, ':', len);
		const char *path =
			list ? memchr(list + 1, ':', len - (size_t)(list + 1 - line)) : NULL;
		size_t list_len;

		if (!path || path[1] != '/')
			continue;
		list++;
		list_len = (size_t)(path - list);
		path++;
		if (ctl ? in_list(list, list_len, ctl) : list_len == 0)
			return take_path(path, len - (size_t)(path - line), ret);
	}
	return -ENOENT;
}

/* Make and open TOP in the directory @base of @mount. */
static int make_top(struct lg_cg_tree *tree, const char *name, const struct lg_cg_mount *mount,
		    const char *base)
{
	lg_autoclose int dir = openat(mount->fd, *base ? base : ".", DIR_FLAGS | O_CLOEXEC);
	struct stat st;
	int n;

	if (dir < 0)
		return -errno;
	n = snprintf(tree->path, sizeof(tree->path), "%s%s%s/%s", mount->path, *base ? "/" : "",
		     base, name);
	if (n < 0 || (size_t)n >= sizeof(tree->path))
		return -ENAMETOOLONG;
	if (mkdirat(dir, name, 0755) < 0 && errno != EEXIST)
		return -errno;
	tree->top = openat(dir, name, DIR_FLAGS | O_CLOEXEC);
	if (tree->top < 0)
		return -errno;
	if (fstat(tree->top, &st) < 0) {
		tree->top = lg_close(tree->top);
		return -errno;
	}
	tree->dev = st.st_dev;
	return 0;
}

/* @ctl: NULL for cgroup2. @delegated: set when it is in systemd's subtree for lodge. */
static int place_top(struct lg_cg_tree *tree, const char *name, const struct lg_cg_mount *mount,
		     const char *ctl, const struct where *where, bool *delegated)
{
	char base[PATH_MAX];
	int first = 0;
	int r;

	*delegated = where->delegated && lg_cg_path_of(where->delegated, ctl, base) == 0 &&
		     *base && make_top(tree, name, mount, base) == 0;
	if (*delegated)
		return 0;
	first = make_top(tree, name, mount, "");
	if (first == 0)
		return 0;
	r = where->own ? lg_cg_path_of(where->own, ctl, base) : -ENOENT;
	if (r == 0 && *base && make_top(tree, name, mount, base) == 0)
		return 0;
	return first;
}

/*
 * A v1 cpuset takes no process before it is told its CPUs and memory nodes. TOP gets those of the cgroup
 * above it, and the directories made in it get TOP's.
 */
static int ready_cpuset(int top)
{
	static const char *const files[] = { "cpuset.cpus", "cpuset.mems" };
	char text[LG_CG_TEXT];

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		int r = (int)lg_cg_read(top, "", files[i], text, sizeof(text));

		if (r < 0)
			return r;
		if (text[0] != '\n' && text[0] != '\0')
			continue;	/* an earlier daemon's, or an administrator's */
		r = (int)lg_cg_read(top, "..", files[i], text, sizeof(text));
		if (r >= 0)
			r = lg_cg_write(top, "", files[i], text);
		if (r < 0)
			return r;
	}
	return lg_cg_write(top, "", "cgroup.clone_children", "1");
}

/* Nothing can live in it: containers go without this controller. */
static void give_up(struct lg_cg_tree *tree, const char *name)
{
	lg_autoclose int above = openat(tree->top, "..", DIR_FLAGS | O_CLOEXEC);

	if (above >= 0)
		unlinkat(above, name, AT_REMOVEDIR);
	tree->top = lg_close(tree->top);
}

static int place_v1(struct lg_cg_host *host, const struct lg_cg_mounts *mounts,
		    const struct where *where, struct lg_err *err)
{
	for (size_t i = 0; i < LG_CG_CTL_COUNT_; i++) {
		struct lg_cg_tree *tree = &host->v1[host->nv1];
		unsigned int k = 0;
		bool delegated;
		int r;

		if (mounts->v1[i].fd < 0)
			continue;
		r = place_top(tree, host->name, &mounts->v1[i], lg_cg_ctls[i].v1_name, where,
			      &delegated);
		if (r < 0)
			return lg_fail(err, r, "make cgroup %s/%s", mounts->v1[i].path,
				       host->name);
		if (i == LG_CG_CPUSET && ready_cpuset(tree->top) < 0) {
			give_up(tree, host->name);
			continue;
		}
		while (host->v1[k].dev != tree->dev)
			k++;
		if (k < host->nv1)	/* mounted together: "cpu,memory" is one hierarchy */
			tree->top = lg_close(tree->top);
		else
			host->nv1++;
		host->ctl[i].top = host->v1[k].top;
		host->ctl[i].v1 = true;
	}
	/* Before Linux 5.11 a v1 memory cgroup does not count its children unless told to. */
	if (host->ctl[LG_CG_MEMORY].v1)
		(void)lg_cg_write(host->ctl[LG_CG_MEMORY].top, "", "memory.use_hierarchy", "1");
	return 0;
}

/* Move the processes of @base (only the caller where not @all) to a leaf of it. */
static int clear_base(int base, bool all)
{
	char text[LG_CG_TEXT];
	int r = 0;

	if (mkdirat(base, HOLDER, 0755) < 0 && errno != EEXIST)
		return -errno;
	if (!all)
		return lg_cg_write(base, HOLDER, "cgroup.procs", "0");
	if (lg_cg_read(base, "", "cgroup.procs", text, sizeof(text)) < 0)
		return 0;
	for (char *save, *pid = strtok_r(text, "\n", &save); pid && r == 0;
	     pid = strtok_r(NULL, "\n", &save)) {
		r = lg_cg_write(base, HOLDER, "cgroup.procs", pid);
		if (r == -ESRCH)
			r = 0;
	}
	return r;
}

/*
 * Enable the controllers that @dir has for its children. One that cannot be had is not an
 * error: what ends up in cgroup.subtree_control counts. Return: -EBUSY if @dir's own processes
 * forbid it.
 */
static int enable(const struct lg_cg_host *host, int dir)
{
	char have[LG_CG_TEXT];
	char on[LG_CG_TEXT];
	int busy = 0;

	if (lg_cg_read(dir, "", "cgroup.controllers", have, sizeof(have)) < 0 ||
	    lg_cg_read(dir, "", "cgroup.subtree_control", on, sizeof(on)) < 0)
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(lg_cg_ctls); i++) {
		const char *name = lg_cg_ctls[i].name;
		char text[32];

		if (host->ctl[i].v1 || i == LG_CG_HUGETLB || !lg_cg_has_word(have, name) ||
		    lg_cg_has_word(on, name))
			continue;
		snprintf(text, sizeof(text), "+%s", name);
		if (lg_cg_write(dir, "", "cgroup.subtree_control", text) == -EBUSY)
			busy = -EBUSY;
	}
	return busy;
}

/* Is @ctl on for the children of @dir, or can it be switched on? */
static bool switch_on(int dir, const char *ctl)
{
	char text[LG_CG_TEXT];

	if (lg_cg_read(dir, "", "cgroup.subtree_control", text, sizeof(text)) < 0)
		return false;
	if (lg_cg_has_word(text, ctl))
		return true;
	snprintf(text, sizeof(text), "+%s", ctl);
	return lg_cg_write(dir, "", "cgroup.subtree_control", text) == 0;
}

bool lg_cg_enable_late(struct lg_cg_host *host, enum lg_cg_ctl ctl)
{
	int dirs[LEVELS_MAX], n = 0, dir;
	bool on = true;

	if (host->ctl[ctl].top >= 0)
		return true;
	dir = openat(host->v2.top, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	/* Up to the hierarchy's root, then down again: a cgroup can only hand on what it has. */
	while (dir >= 0 && faccessat(dir, "cgroup.subtree_control", F_OK, 0) == 0 &&
	       n < LEVELS_MAX) {
		dirs[n++] = dir;
		dir = openat(dir, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
	}
	lg_close(dir);
	for (int i = n; i-- > 0; lg_close(dirs[i]))
		on = on && switch_on(dirs[i], lg_cg_ctls[ctl].name);
	if (n == 0 || !on)
		return false;
	host->ctl[ctl].top = host->v2.top;
	return true;
}

static int enable_v2(struct lg_cg_host *host, struct lg_err *err)
{
	lg_autoclose int base = openat(host->v2.top, "..", DIR_FLAGS | O_CLOEXEC);
	char on[LG_CG_TEXT];
	ssize_t n;
	int r;

	if (base < 0)
		return lg_fail(err, -errno, "open the cgroup above %s", host->v2.path);
	if (host->delegated && (r = clear_base(base, true)) < 0)
		return lg_fail(err, r, "move the processes beside %s to %s", host->v2.path,
			       HOLDER);
	if (enable(host, base) == -EBUSY && clear_base(base, false) == 0)
		(void)enable(host, base);
	(void)enable(host, host->v2.top);
	n = lg_cg_read(host->v2.top, "", "cgroup.subtree_control", on, sizeof(on));
	if (n < 0)
		return lg_fail(err, (int)n, "read cgroup.subtree_control of %s", host->v2.path);
	for (size_t i = 0; i < ARRAY_SIZE(lg_cg_ctls); i++)
		if (!host->ctl[i].v1 && lg_cg_has_word(on, lg_cg_ctls[i].name))
			host->ctl[i].top = host->v2.top;
	return 0;
}

static int place_v2(struct lg_cg_host *host, const struct lg_cg_mounts *mounts,
		    const struct where *where, struct lg_err *err)
{
	int r = place_top(&host->v2, host->name, &mounts->v2, NULL, where, &host->delegated);

	if (r < 0)
		return lg_fail(err, r, "make cgroup %s/%s", mounts->v2.path, host->name);
	if (faccessat(host->v2.top, "cgroup.kill", F_OK, 0) < 0)
		return lg_refuse(err, -EOPNOTSUPP, 0,
				 "%s has no cgroup.kill: Linux 5.14 or newer is needed",
				 host->v2.path);
	r = enable_v2(host, err);
	if (r < 0)
		return r;
	if (mkdirat(host->v2.top, LG_CG_SHIMS, 0755) < 0 && errno != EEXIST)
		return lg_fail(err, -errno, "make cgroup %s/%s", host->v2.path, LG_CG_SHIMS);
	return 0;
}

static void cleanup_host(struct lg_cg_host **host)
{
	lg_cg_host_free(*host);
}

static struct lg_cg_host *new_host(const char *top)
{
	struct lg_cg_host *host = calloc(1, sizeof(*host));

	if (!host)
		return NULL;
	snprintf(host->name, sizeof(host->name), "%s", top);
	host->v2.top = -1;
	for (size_t i = 0; i < LG_CG_CTL_COUNT_; i++) {
		host->v1[i].top = -1;
		host->ctl[i].top = -1;
	}
	return host;
}

int lg_cg_host_new(const char *top, struct lg_cg_host **ret, struct lg_err *err)
{
	__attribute__((cleanup(cleanup_mounts))) struct lg_cg_mounts *mounts = NULL;
	__attribute__((cleanup(cleanup_host))) struct lg_cg_host *host = NULL;
	__attribute__((cleanup(cleanup_where))) struct where where = { 0 };
	int r;

	if (!*top || *top == '.' || strchr(top, '/') || strlen(top) >= sizeof(host->name))
		return lg_refuse(err, -EINVAL, 0, "'%s' cannot be the name of a cgroup", top);
	mounts = malloc(sizeof(*mounts));
	host = new_host(top);
	if (!mounts || !host) {
		free(mounts);
		mounts = NULL;
		return lg_fail(err, -ENOMEM, "find cgroups");
	}
	r = lg_cg_discover(mounts, err);
	if (r < 0)
		return r;
	(void)lg_file_read(AT_FDCWD, LG_CG_TREE_FILE, CGROUP_TEXT_MAX, &where.delegated, NULL,
			   NULL);
	(void)lg_file_read(AT_FDCWD, "/proc/self/cgroup", CGROUP_TEXT_MAX, &where.own, NULL,
			   NULL);
	r = place_v1(host, mounts, &where, err);
	if (r == 0)
		r = place_v2(host, mounts, &where, err);
	if (r < 0)
		return r;
	lg_guarantees_pass_on(host);
	*ret = lg_take_ptr(&host);
	return 0;
}

void lg_cg_host_free(struct lg_cg_host *host)
{
	if (!host)
		return;
	lg_close(host->v2.top);
	for (unsigned int i = 0; i < host->nv1; i++)
		lg_close(host->v1[i].top);
	free(host);
}

int lg_cg_open_own_procs(struct lg_err *err)
{
	__attribute__((cleanup(cleanup_mounts))) struct lg_cg_mounts *mounts = malloc(sizeof(*mounts));
	lg_autofree char *text = NULL;
	char path[PATH_MAX], procs[PATH_MAX + 16];
	int fd, r;

	if (!mounts)
		return lg_fail(err, -ENOMEM, "find the own cgroup");
	r = lg_cg_discover(mounts, err);
	if (r < 0) {
		free(mounts);
		mounts = NULL;
		return r;
	}
	r = lg_file_read(AT_FDCWD, "/proc/self/cgroup", CGROUP_TEXT_MAX, &text, NULL, err);
	if (r == 0)
		r = lg_cg_path_of(text, NULL, path);
	if (r < 0)
		return lg_fail(err, r, "find the own cgroup");
	snprintf(procs, sizeof(procs), "%s%scgroup.procs", path, *path ? "/" : "");
	fd = openat(mounts->v2.fd, procs, O_WRONLY | O_CLOEXEC);
	return fd < 0 ? lg_fail(err, -errno, "open '%s'", procs) : fd;
}
