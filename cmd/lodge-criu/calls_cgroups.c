/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Mounts of cgroup hierarchies (part of lodge-criu-calls.so, calls.c). CRIU mounts each of them anew: at a dump once for every folder
 * of the container that has processes, at a restore once. The kernel takes five to ten milliseconds for cgroup2, and takes the
 * options of that mount, which are none, for those of the whole host (nsdelegate would be off from then on). The host has them all
 * mounted already: those are given to CRIU. One that is not there CRIU mounts as before.
 *
 * A dump: fsopen(), fsconfig() with the controllers, one to create, fsmount(), which gives the folder. A restore: mount() into
 * its yard, a tmpfs of its own; what it mounts in the container is none of this.
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/mount.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "cmd/lodge-criu/calls.h"

#define KEYS_MAX 256
#define PATH_MAX_ 512
#define LINE_MAX_ 4096
#define YARD ".criu.cgyard."

/* A hierarchy that is being opened; one at a time. */
static struct {
	int fd;			/* fsopen()'s; 0: none */
	int is_v2;
	char keys[KEYS_MAX];	/* its controllers, or "name=NAME", with a comma behind each */
	char path[PATH_MAX_];	/* where it is mounted; "": it is not known */
} open_one;

/* Is each word of @keys one of @options? */
static int has_all(const char *options, const char *keys)
{
	char word[KEYS_MAX + 2], list[LINE_MAX_ + 2];

	if ((size_t)snprintf(list, sizeof(list), ",%s,", options) >= sizeof(list))
		return 0;
	for (const char *end; (end = strchr(keys, ',')); keys = end + 1) {
		snprintf(word, sizeof(word), ",%.*s,", (int)(end - keys), keys);
		if (!strstr(list, word))
			return 0;
	}
	return 1;
}

static int is_mounted_at(const char *path, int is_v2)
{
	struct statfs fs;

	return statfs(path, &fs) == 0 && fs.f_type == (is_v2 ? CGROUP2_SUPER_MAGIC : CGROUP_SUPER_MAGIC);
}

/* A line of mountinfo (proc(5)): the whole hierarchy, not a folder of it, at a path without blanks. */
static int is_it(const char *line, int is_v2, const char *keys, char path[PATH_MAX_])
{
	const char *dash = strstr(line, " - ");
	char root[PATH_MAX_], type[16], options[LINE_MAX_];

	return dash && sscanf(line, "%*d %*d %*s %511s %511s", root, path) == 2 &&
	       sscanf(dash, " - %15s %*s %4095s", type, options) == 2 && strcmp(root, "/") == 0 &&
	       !strchr(path, '\\') && strcmp(type, is_v2 ? "cgroup2" : "cgroup") == 0 &&
	       (is_v2 || has_all(options, keys)) && is_mounted_at(path, is_v2);
}

static int find(int is_v2, const char *keys, char path[PATH_MAX_])
{
	FILE *f = !is_v2 && !keys[0] ? NULL : fopen("/proc/self/mountinfo", "re");
	char line[LINE_MAX_];
	int found = 0;

	while (f && !found && fgets(line, sizeof(line), f))
		found = is_it(line, is_v2, keys, path);
	if (f)
		fclose(f);
	if (!found)
		path[0] = '\0';
	return found;
}

/* ---- a dump ---- */

static void add_key(const char *prefix, const char *key)
{
	size_t n = strlen(open_one.keys);

	snprintf(open_one.keys + n, sizeof(open_one.keys) - n, "%s%s,", prefix, key);
}

static int configure(const long a[6], long *ret)
{
	switch (a[1]) {
	case FSCONFIG_SET_FLAG:
		if (strcmp((const char *)a[2], "none") != 0)
			add_key("", (const char *)a[2]);
		return 0;
	case FSCONFIG_SET_STRING:
		if (strcmp((const char *)a[2], "name") == 0)
			add_key("name=", (const char *)a[3]);
		return 0;
	case FSCONFIG_CMD_CREATE:
		*ret = 0;
		return find(open_one.is_v2, open_one.keys, open_one.path);
	default:
		return 0;
	}
}

/* CRIU asks without a name, too, to see whether the kernel knows the call. */
static long open_hierarchy(const long a[6])
{
	const char *type = (const char *)a[0];
	long fd = kernel(SYS_fsopen, a);

	memset(&open_one, 0, sizeof(open_one));
	open_one.is_v2 = type && strcmp(type, "cgroup2") == 0;
	if (fd > 0 && (open_one.is_v2 || strcmp(type, "cgroup") == 0))
		open_one.fd = (int)fd;
	return fd;
}

/* Return: 1: @ret is what the call gave; 0: the kernel is to be asked. */
int calls_open_cgroups(long number, const long a[6], long *ret)
{
	if (number == SYS_fsopen) {
		*ret = open_hierarchy(a);
		return 1;
	}
	if (!open_one.fd || a[0] != open_one.fd)
		return 0;
	if (number == SYS_fsconfig)
		return configure(a, ret);
	if (number != SYS_fsmount)
		return 0;
	open_one.fd = 0;
	if (!open_one.path[0])
		return 0;
	*ret = call(SYS_openat, AT_FDCWD, (long)open_one.path, O_PATH | O_DIRECTORY, 0);
	return 1;
}

/* ---- a restore ---- */

static int find_for(const char *type, const char *data, char path[PATH_MAX_])
{
	char keys[KEYS_MAX];
	int is_v2 = type && strcmp(type, "cgroup2") == 0;

	if (!type || (!is_v2 && strcmp(type, "cgroup") != 0))
		return 0;
	if (data && strncmp(data, "none,", strlen("none,")) == 0)
		data += strlen("none,");
	if (snprintf(keys, sizeof(keys), data && *data ? "%s," : "%s", data ? data : "") >= (int)sizeof(keys))
		return 0;
	return find(is_v2, keys, path);
}

/* NOLINTBEGIN(readability-inconsistent-declaration-parameter-name): the names in the C library's headers are reserved */

EXPORTED int mount(const char *source, const char *target, const char *type, unsigned long flags, const void *data)
{
	const long a[6] = { (long)source, (long)target, (long)type, (long)flags, (long)data };
	char path[PATH_MAX_];

	if (!flags && target && strncmp(target, YARD, strlen(YARD)) == 0 && find_for(type, data, path)) {
		const long bind[6] = { (long)path, (long)target, 0, MS_BIND, 0 };

		return (int)result(kernel(SYS_mount, bind));
	}
	return (int)result(kernel(SYS_mount, a));
}

/* NOLINTEND(readability-inconsistent-declaration-parameter-name) */
