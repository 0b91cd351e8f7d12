/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "storage/plain.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/file.h"
#include "storage/store.h"

/* Engines that are run by users keep theirs in the users' homes. */
const struct lg_plain lg_plains[] = {
	{ "containers",	"/var/lib/containers",	0755 },
	{ "docker",	"/var/lib/docker",	0710 },
	{ "containerd",	"/var/lib/containerd",	0711 },
	{ "lodge",	"/var/lib/lodge",	0700 },
	{ "home",	"/home",		0755 },
};
const size_t lg_nplains = ARRAY_SIZE(lg_plains);

static bool is_empty(int fd)
{
	lg_autodir DIR *dir = fdopendir(fd);
	struct dirent *e;

	if (!dir) {
		lg_close(fd);
		return false;
	}
	while ((e = readdir(dir)))
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			return false;
	return true;
}

/* Is there anything at @target that a mount would hide? A guest made one of the two roots. */
static bool is_used(const char *root, const char *target)
{
	lg_autoclose int fd = open(root, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int at;

	if (fd < 0)
		return true;
	at = lg_open_beneath(fd, target, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	if (at == -ENOENT)
		return false;
	/* ENOTDIR may be a whiteout: it was deleted. */
	if (at == -ENOTDIR) {
		struct stat st;
		lg_autoclose int node = lg_open_beneath(fd, target, O_PATH | O_NOFOLLOW, 0);

		return node < 0 || fstat(node, &st) < 0 || !S_ISCHR(st.st_mode);
	}
	return at < 0 || !is_empty(at);
}

static int make_one(int plain, const struct lg_plain *p, struct lg_err *err)
{
	if (mkdirat(plain, p->name, p->mode) < 0 || fchmodat(plain, p->name, p->mode, 0) < 0)
		return lg_fail(err, -errno, "make the plain folder '%s'", p->name);
	return 0;
}

int lg_plain_make(const char *var, uint32_t ctid, const char *rootfs, unsigned int *ret_kept,
		  struct lg_err *err)
{
	char path[LG_STORE_PATH], upper[LG_STORE_PATH];
	unsigned int there = lg_plain_find(var, ctid);
	lg_autoclose int plain = -1;
	int r;

	*ret_kept = 0;
	if (there == (1u << lg_nplains) - 1)
		return 0;
	r = lg_store_path(path, err, "%s/ct/%u/plain", var, ctid);
	if (r == 0)
		r = lg_store_path(upper, err, "%s/ct/%u/upper", var, ctid);
	if (r < 0)
		return r;
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return lg_fail(err, -errno, "make '%s'", path);
	plain = lg_open_dir(AT_FDCWD, path, err);
	if (plain < 0)
		return plain;
	for (size_t i = 0; i < lg_nplains; i++) {
		if (there & (1u << i))
			continue;
		if (is_used(upper, lg_plains[i].target) || is_used(rootfs, lg_plains[i].target)) {
			*ret_kept |= 1u << i;
			continue;
		}
		r = make_one(plain, &lg_plains[i], err);
		if (r < 0)
			return r;
	}
	return 0;
}

unsigned int lg_plain_find(const char *var, uint32_t ctid)
{
	lg_autoclose int plain = -1;
	char path[LG_STORE_PATH];
	unsigned int there = 0;
	struct stat st;

	if (lg_store_path(path, NULL, "%s/ct/%u/plain", var, ctid) < 0)
		return 0;
	plain = open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (plain < 0)
		return 0;
	for (size_t i = 0; i < lg_nplains; i++)
		if (fstatat(plain, lg_plains[i].name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		    S_ISDIR(st.st_mode))
			there |= 1u << i;
	return there;
}
