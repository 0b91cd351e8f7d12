/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Mounts in the container whose file system is outside: the host's harmless devices, its own device nodes, and lxcfs's
 * files. CRIU has to be told a name for each, and at the restore what stands for that name on this host.
 *
 * How it works: of each thing that comes from outside the first mount in init's list is named; others of the same thing (the
 * guest may bind /dev/null wherever it likes) are found by CRIU as binds of it. The names are written beside the images, and may
 * come back from another host: only names that this table knows lead anywhere.
 */

#include <criu/criu.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd/lodge-criu/criu.h"
#include "ct/checkpoint.h"
#include "lib/cleanup.h"
#include "lib/file.h"

#define TABLE_MAX (1u << 20)
#define KEYS_MAX 64u
#define KEY_MAX 128u

enum source { HOST_DEVICE, OWN_DEVICE, LXCFS, HOST_FILE };

/* clang-format off */
static const struct {
	const char *fs;
	enum source source;
	const char *prefix;	/* of the name */
} sources[] = {
	{ "devtmpfs",	HOST_DEVICE,	"dev:" },
	{ "fuse.lxcfs",	LXCFS,		"lxcfs:" },
	{ "tmpfs",	OWN_DEVICE,	"node:" },
	/* What a resume without lxcfs mounted in place of its files. */
	{ "proc",	HOST_FILE,	"lxcfs:proc/" },
	{ "sysfs",	HOST_FILE,	"lxcfs:sys/" },
};
/* clang-format on */

/* What containers get of the host's /dev (ct/devices.c), and of lxcfs (ct/procfs.c). */
static const char *const host_devices[] = { "null", "zero", "full", "random", "urandom", "tty" };
static const char *const lxcfs_files[] = {
	"proc/meminfo", "proc/cpuinfo", "proc/stat", "proc/uptime", "proc/loadavg", "proc/swaps",
	"proc/diskstats", "sys/devices/system/cpu/online",
};

struct mount_line {
	unsigned int dev_major, dev_minor;
	char root[PATH_MAX], point[PATH_MAX], fs[64];
};

static struct mount_line seen[KEYS_MAX];
static size_t nseen;

static int parse_line(const char *line, struct mount_line *ret)
{
	const char *dash = strstr(line, " - ");

	if (!dash || sscanf(line, "%*d %*d %u:%u %4095s %4095s", &ret->dev_major, &ret->dev_minor,
			    ret->root, ret->point) != 4 ||
	    sscanf(dash, " - %63s", ret->fs) != 1)
		return -EINVAL;
	return 0;
}

static bool was_seen(const struct mount_line *m)
{
	for (size_t i = 0; i < nseen; i++)
		if (seen[i].dev_major == m->dev_major && seen[i].dev_minor == m->dev_minor &&
		    strcmp(seen[i].root, m->root) == 0)
			return true;
	return false;
}

/* Nodes of its own stand as "0", "1", ... in a tmpfs that is mounted nowhere inside. */
static bool is_own_node(const struct mount_line *m)
{
	return strspn(m->root + 1, "0123456789") == strlen(m->root + 1) && m->root[1] &&
	       strncmp(m->point, "/dev/", 5) == 0;
}

static bool is_hosts_file(const char *fs, const char *what)
{
	const char *top = strcmp(fs, "proc") == 0 ? "proc/" : "sys/";

	for (size_t i = 0; i < ARRAY_SIZE(lxcfs_files); i++)
		if (strncmp(lxcfs_files[i], top, strlen(top)) == 0 &&
		    strcmp(lxcfs_files[i] + strlen(top), what) == 0)
			return true;
	return false;
}

/* The name of what is mounted there; false: it is the container's own. */
static bool name_of(const struct mount_line *m, char key[KEY_MAX])
{
	for (size_t i = 0; i < ARRAY_SIZE(sources); i++) {
		const char *what = m->root + 1;

		if (strcmp(m->fs, sources[i].fs) != 0)
			continue;
		if (sources[i].source == OWN_DEVICE && !is_own_node(m))
			return false;
		if (sources[i].source == HOST_FILE && !is_hosts_file(m->fs, what))
			return false;
		if (sources[i].source == OWN_DEVICE)
			what = m->point + 5;
		return (size_t)snprintf(key, KEY_MAX, "%s%s", sources[i].prefix, what) < KEY_MAX;
	}
	return false;
}

static int take_line(const char *line, FILE *keys)
{
	struct mount_line *m = &seen[nseen];
	char key[KEY_MAX];

	if (parse_line(line, m) < 0 || !name_of(m, key) || was_seen(m))
		return 0;
	if (nseen + 1 == KEYS_MAX)
		return -E2BIG;
	nseen++;
	fprintf(keys, "%s\n", key);
	return criu_add_ext_mount(m->point, key);
}

static int find(char *table, FILE *keys)
{
	char *save = NULL;
	int r = 0;

	for (char *l = strtok_r(table, "\n", &save); r >= 0 && l; l = strtok_r(NULL, "\n", &save))
		r = take_line(l, keys);
	return r < 0 ? r : 0;
}

int external_find(struct lg_err *err)
{
	lg_autofree char *table = NULL;
	lg_autofree char *text = NULL;
	size_t len = 0;
	FILE *keys;
	char path[40];
	int r;

	nseen = 0;
	snprintf(path, sizeof(path), "/proc/%d/mountinfo", (int)job.pid);
	r = lg_file_read(AT_FDCWD, path, TABLE_MAX, &table, NULL, err);
	if (r < 0)
		return r;
	keys = open_memstream(&text, &len);
	if (!keys)
		return lg_fail(err, -errno, "name its mounts");
	r = find(table, keys);
	fclose(keys);
	if (r < 0)
		return lg_fail(err, r, "name its mounts");
	return lg_file_replace_fast(job.images, LG_CHECKPOINT_KEYS, text, len, 0600, err);
}

/* ---- restore ---- */

static bool is_one_of(const char *what, const char *const *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(list[i], what) == 0)
			return true;
	return false;
}

/*
 * CRIU opens these by path in a process that has the container's ids, which do not get into lodge's own folders. So they are
 * bound to where everybody gets, in our mount namespace that nobody else sees.
 */
static const char *const stages[] = { "/mnt", "/media", "/srv", "/opt" };
static const char *stage;

static int make_stage(struct lg_err *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(stages); i++)
		if (mount("lodge", stages[i], "tmpfs", MS_NOSUID | MS_NOEXEC, "mode=0755,size=64k") == 0) {
			stage = stages[i];
			return 0;
		}
	return lg_fail(err, -errno, "mount a tmpfs on %s", stages[0]);
}

static int own_device(const char *name, char path[PATH_MAX])
{
	unsigned int i = 0;

	for (const char *v = lg_msg_get(job.m, "node"); v; v = lg_msg_next(job.m, "node", v), i++)
		if (strcmp(v, name) == 0) {
			snprintf(path, PATH_MAX, "%s/nodes/%u", stage, i);
			return 0;
		}
	return -ENOENT;
}

/* Where there is no lxcfs the kernel's own file tells what it tells. */
static void lxcfs_file(const char *name, char path[PATH_MAX])
{
	bool there = lg_msg_get(job.m, "lxcfs") != NULL;

	snprintf(path, PATH_MAX, "%s%s/%s", there ? stage : "", there ? "/lxcfs" : "", name);
}

static int resolve(const char *key, char path[PATH_MAX])
{
	for (size_t i = 0; i < ARRAY_SIZE(sources); i++) {
		const char *what = key + strlen(sources[i].prefix);

		if (strncmp(key, sources[i].prefix, strlen(sources[i].prefix)) != 0)
			continue;
		switch (sources[i].source) {
		case HOST_DEVICE:
			snprintf(path, PATH_MAX, "/dev/%s", what);
			return is_one_of(what, host_devices, ARRAY_SIZE(host_devices)) ? 0 : -ENOENT;
		case LXCFS:
			lxcfs_file(what, path);
			return is_one_of(what, lxcfs_files, ARRAY_SIZE(lxcfs_files)) ? 0 : -ENOENT;
		case OWN_DEVICE:
			return own_device(what, path);
		case HOST_FILE:	/* of lxcfs's name, which comes first */
			break;
		}
	}
	return -ENOENT;
}

static int make_folder(const char *name, char path[PATH_MAX], struct lg_err *err)
{
	snprintf(path, PATH_MAX, "%s/%s", stage, name);
	return mkdir(path, 0755) < 0 ? lg_fail(err, -errno, "make '%s'", path) : 0;
}

static int attach_nodes(struct lg_err *err)
{
	char path[PATH_MAX];
	int r = job.nodes < 0 ? 0 : make_folder("nodes", path, err);

	if (job.nodes < 0 || r < 0)
		return r;
	if (move_mount(job.nodes, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return lg_fail(err, -errno, "attach the device nodes");
	job.nodes = lg_close(job.nodes);
	return 0;
}

static int attach_lxcfs(struct lg_err *err)
{
	const char *at = lg_msg_get(job.m, "lxcfs");
	char path[PATH_MAX];
	int r = at ? make_folder("lxcfs", path, err) : 0;

	if (!at || r < 0)
		return r;
	return mount(at, path, NULL, MS_BIND, NULL) < 0 ? lg_fail(err, -errno, "bind '%s'", at) : 0;
}

int external_give(struct lg_err *err)
{
	lg_autofree char *text = NULL;
	char path[PATH_MAX], *save = NULL;
	int r = make_stage(err);

	if (r == 0)
		r = attach_nodes(err);
	if (r == 0)
		r = attach_lxcfs(err);
	if (r == 0)
		r = lg_file_read(job.images, LG_CHECKPOINT_KEYS, KEYS_MAX * KEY_MAX, &text, NULL,
				 err);
	if (r < 0)
		return r;
	for (char *key = strtok_r(text, "\n", &save); key; key = strtok_r(NULL, "\n", &save)) {
		if (resolve(key, path) < 0)
			return lg_refuse(err, -ENOENT, 0,
					 "it had '%s' from outside, which it does not have here", key);
		r = criu_add_ext_mount(key, path);
		if (r < 0)
			return lg_fail(err, r, "give it '%s'", key);
	}
	return 0;
}
