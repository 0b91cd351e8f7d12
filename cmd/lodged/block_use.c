/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Is a block device the host's own: mounted, swapped on, part of something? */

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "cmd/lodged/devices.h"
#include "lib/cleanup.h"
#include "lib/file.h"

#define TABLE_MAX (16u << 20)

/* Its folder in sysfs; a partition's is in its disk's. */
static bool folder_of(dev_t dev, char path[PATH_MAX])
{
	char link[64];

	snprintf(link, sizeof(link), "/sys/dev/block/%u:%u", major(dev), minor(dev));
	return realpath(link, path) != NULL;
}

static bool is_within(const char *path, const char *top)
{
	size_t n = strlen(top);

	return strncmp(path, top, n) == 0 && (path[n] == '\0' || path[n] == '/');
}

static bool overlap(dev_t a, dev_t b)
{
	char pa[PATH_MAX], pb[PATH_MAX];

	if (a == b)
		return true;
	return folder_of(a, pa) && folder_of(b, pb) && (is_within(pa, pb) || is_within(pb, pa));
}

static bool source_overlaps(const char *source, dev_t dev)
{
	struct stat st;

	return strncmp(source, "/dev/", 5) == 0 && stat(source, &st) == 0 &&
	       S_ISBLK(st.st_mode) && overlap(st.st_rdev, dev);
}

/* "36 35 98:0 /root /mount/point options ... - type source superoptions" */
static bool line_uses(char *line, dev_t dev, const char **point)
{
	char *word[5], *save = NULL, *dash, *source;
	unsigned int maj, min;

	dash = strstr(line, " - ");
	if (!dash)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(word); i++) {
		word[i] = strtok_r(i ? NULL : line, " ", &save);
		if (!word[i])
			return false;
	}
	*point = word[4];
	if (sscanf(word[2], "%u:%u", &maj, &min) == 2 && maj && overlap(makedev(maj, min), dev))
		return true;
	/* btrfs and others have numbers of their own, but name their device. */
	strtok_r(dash + 3, " ", &save);
	source = strtok_r(NULL, " ", &save);
	return source && source_overlaps(source, dev);
}

static bool is_mounted(dev_t dev, char *what, size_t size)
{
	lg_autofree char *text = NULL;
	const char *point;
	char *rest;

	if (lg_file_read(AT_FDCWD, "/proc/self/mountinfo", TABLE_MAX, &text, NULL, NULL) < 0)
		return false;
	rest = text;
	for (char *line; (line = strsep(&rest, "\n"));)
		if (line_uses(line, dev, &point)) {
			snprintf(what, size, "mounted on %s", point);
			return true;
		}
	return false;
}

static bool is_swap(dev_t dev, char *what, size_t size)
{
	lg_autofree char *text = NULL;
	char *rest;

	if (lg_file_read(AT_FDCWD, "/proc/swaps", TABLE_MAX, &text, NULL, NULL) < 0)
		return false;
	rest = text;
	for (char *line; (line = strsep(&rest, "\n"));) {
		line[strcspn(line, " \t")] = '\0';
		if (source_overlaps(line, dev)) {
			snprintf(what, size, "the host's swap");
			return true;
		}
	}
	return false;
}

/* Device mapper, RAID and bcache are its holders. */
static bool is_held(dev_t dev, char *what, size_t size)
{
	char path[PATH_MAX + 16], folder[PATH_MAX];
	lg_autodir DIR *dir = NULL;
	const struct dirent *e;

	if (!folder_of(dev, folder))
		return false;
	snprintf(path, sizeof(path), "%s/holders", folder);
	dir = opendir(path);
	while (dir && (e = readdir(dir)))
		if (e->d_name[0] != '.') {
			snprintf(what, size, "part of %s", e->d_name);
			return true;
		}
	return false;
}

bool block_in_use(dev_t dev, char *what, size_t size)
{
	return is_mounted(dev, what, size) || is_swap(dev, what, size) || is_held(dev, what, size);
}
