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
#include "storage/layer.h"
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

/* Is there anything at @target that a mount would hide? A guest made what is below @root, borrowed. */
static bool is_used(int root, const char *target)
{
	int at = lg_open_beneath(root, target, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);

	if (at == -ENOENT)
		return false;
	/* ENOTDIR may be a whiteout: it was deleted. */
	if (at == -ENOTDIR) {
		struct stat st;
		lg_autoclose int node = lg_open_beneath(root, target, O_PATH | O_NOFOLLOW, 0);

		return node < 0 || fstat(node, &st) < 0 || !S_ISCHR(st.st_mode);
	}
	return at < 0 || !is_empty(at);
}

/* In an image it may be there, when the folder that says so could not be made. */
static int make_one(int plain, const struct lg_plain *p, struct lg_err *err)
{
	if ((mkdirat(plain, p->name, p->mode) < 0 && errno != EEXIST) ||
	    fchmodat(plain, p->name, p->mode, 0) < 0)
		return lg_fail(err, -errno, "make the plain folder '%s'", p->name);
	return 0;
}

static int open_plain(int layer, struct lg_err *err)
{
	if (mkdirat(layer, "plain", 0700) < 0 && errno != EEXIST)
		return lg_fail(err, -errno, "make the folder of plain folders");
	return lg_open_dir(layer, "plain", err);
}

struct places {
	int upper, lower;	/* the two roots of the overlay */
	int inside, outside;	/* folders of plain folders: of the layer, and beside its image */
};

static int open_places(struct places *at, int folder, int layer, const char *rootfs,
		       struct lg_err *err)
{
	at->upper = lg_open_dir(layer, "upper", err);
	if (at->upper < 0)
		return at->upper;
	at->lower = lg_open_dir(AT_FDCWD, rootfs, err);
	if (at->lower < 0)
		return at->lower;
	at->inside = open_plain(layer, err);
	if (at->inside < 0)
		return at->inside;
	at->outside = open_plain(folder, err);
	return at->outside < 0 ? at->outside : 0;
}

static int make_missing(const struct places *at, unsigned int there, unsigned int *ret_kept,
			struct lg_err *err)
{
	for (size_t i = 0; i < lg_nplains; i++) {
		const struct lg_plain *p = &lg_plains[i];
		int r;

		if (there & (1u << i))
			continue;
		if (is_used(at->upper, p->target) || is_used(at->lower, p->target)) {
			*ret_kept |= 1u << i;
			continue;
		}
		r = make_one(at->inside, p, err);
		if (r == 0)
			r = make_one(at->outside, p, err);
		if (r < 0)
			return r;
	}
	return 0;
}

int lg_plain_make(const char *var, uint32_t ctid, const char *rootfs, unsigned int *ret_kept,
		  struct lg_err *err)
{
	struct places at = { -1, -1, -1, -1 };
	unsigned int there = lg_plain_find(var, ctid);
	lg_autoclose int folder = -1, layer = -1;
	char path[LG_STORE_PATH];
	int r;

	*ret_kept = 0;
	if (there == (1u << lg_nplains) - 1)
		return 0;
	r = lg_store_path(path, err, "%s/ct/%u", var, ctid);
	if (r < 0)
		return r;
	folder = lg_open_dir(AT_FDCWD, path, err);
	if (folder < 0)
		return folder;
	layer = lg_layer_open(var, ctid, err);
	if (layer < 0)
		return layer;
	r = open_places(&at, folder, layer, rootfs, err);
	if (r == 0)
		r = make_missing(&at, there, ret_kept, err);
	lg_close(at.upper);
	lg_close(at.lower);
	lg_close(at.inside);
	lg_close(at.outside);
	return r;
}

int lg_plain_mark(const char *var, uint32_t ctid, int layer, struct lg_err *err)
{
	lg_autoclose int inside = openat(layer, "plain", O_RDONLY | O_DIRECTORY | O_NOFOLLOW |
					 O_CLOEXEC);
	lg_autoclose int folder = -1, outside = -1;
	char path[LG_STORE_PATH];
	struct stat st;
	int r;

	if (inside < 0)
		return errno == ENOENT ? 0 : lg_fail(err, -errno, "open the plain folders");
	if (!lg_layer_image(var, ctid, path))
		return 0;
	r = lg_store_path(path, err, "%s/ct/%u", var, ctid);
	folder = r < 0 ? r : lg_open_dir(AT_FDCWD, path, err);
	outside = folder < 0 ? folder : open_plain(folder, err);
	r = outside < 0 ? outside : 0;
	for (size_t i = 0; r == 0 && i < lg_nplains; i++)
		if (fstatat(inside, lg_plains[i].name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		    S_ISDIR(st.st_mode))
			r = make_one(outside, &lg_plains[i], err);
	return r;
}

int lg_plain_empty(const char *var, int layer, const char *label, struct lg_err *err)
{
	lg_autoclose int plain = openat(layer, "plain", O_RDONLY | O_DIRECTORY | O_NOFOLLOW |
					O_CLOEXEC);

	for (size_t i = 0; plain >= 0 && i < lg_nplains; i++) {
		const struct lg_plain *p = &lg_plains[i];

		if (unlinkat(plain, p->name, AT_REMOVEDIR) < 0) {
			if (errno == ENOENT)
				continue;
			if (lg_trash_put(var, plain, p->name, label, err) < 0)
				return err->code;
		}
		if (make_one(plain, p, err) < 0)
			return err->code;
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
