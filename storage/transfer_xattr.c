/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "storage/transfer_xattr.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>

#include "lib/cleanup.h"

#define AT_PATH 320	/* "/proc/self/fd/N/" and a name */

enum travel { TRAVELS, STAYS, LAYER_ONLY };

/*
 * The first row that fits decides. Overlay's file handles (origin, and what is derived from them) name
 * inodes of this host's file systems. Elsewhere they are dead, or, where two hosts are copies of one
 * disk and so share its UUID, those of other files. Templates carry no marks for overlay at all:
 * their digest does not cover them.
 */
static const struct {
	const char *name;
	bool whole;	/* else what starts with it */
	enum travel travel;
} rows[] = {
	/* clang-format off */
	{ "trusted.overlay.origin",	true,	STAYS },
	{ "trusted.overlay.impure",	true,	STAYS },
	{ "trusted.overlay.nlink",	true,	STAYS },
	{ "trusted.overlay.upper",	true,	STAYS },
	{ "user.overlay.origin",	true,	STAYS },
	{ "user.overlay.impure",	true,	STAYS },
	{ "user.overlay.nlink",		true,	STAYS },
	{ "user.overlay.upper",		true,	STAYS },
	{ "security.evm",		true,	STAYS },	/* signs the inode's number */
	{ "trusted.",			false,	LAYER_ONLY },
	{ "user.",			false,	TRAVELS },
	{ "security.",			false,	TRAVELS },
	{ "system.posix_acl_access",	true,	TRAVELS },
	{ "system.posix_acl_default",	true,	TRAVELS },
	/* clang-format on */
};

bool lg_xattr_travels(enum lg_transfer_kind kind, const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		size_t len = strlen(rows[i].name);

		if (strncmp(name, rows[i].name, len) == 0 &&
		    (rows[i].whole ? name[len] == '\0' : name[len] != '\0'))
			return rows[i].travel == TRAVELS ||
			       (rows[i].travel == LAYER_ONLY && kind == LG_TRANSFER_LAYER);
	}
	return false;
}

/* A link, a socket or a fifo cannot be opened for this: it is named in its folder. */
static const char *path_of(const struct lg_xattr_of *of, char path[AT_PATH])
{
	snprintf(path, AT_PATH, "/proc/self/fd/%d/%s", of->fd, of->name);
	return path;
}

ssize_t lg_xattr_list(const struct lg_xattr_of *of, char *list, size_t size)
{
	char path[AT_PATH];
	ssize_t n = of->name ? llistxattr(path_of(of, path), list, size) :
			       flistxattr(of->fd, list, size);

	return n < 0 ? (errno == EOPNOTSUPP ? 0 : -errno) : n;
}

ssize_t lg_xattr_get(const struct lg_xattr_of *of, const char *name, void *value, size_t size)
{
	char path[AT_PATH];
	ssize_t n = of->name ? lgetxattr(path_of(of, path), name, value, size) :
			       fgetxattr(of->fd, name, value, size);

	return n < 0 ? -errno : n;
}

int lg_xattr_set(const struct lg_xattr_of *of, const char *name, const void *value, size_t len)
{
	char path[AT_PATH];
	int r = of->name ? lsetxattr(path_of(of, path), name, value, len, 0) :
			   fsetxattr(of->fd, name, value, len, 0);

	return r < 0 ? -errno : 0;
}

static int remove_one(const struct lg_xattr_of *of, const char *name)
{
	char path[AT_PATH];
	int r = of->name ? lremovexattr(path_of(of, path), name) : fremovexattr(of->fd, name);

	return r < 0 && errno != ENODATA && errno != EOPNOTSUPP ? -errno : 0;
}

static bool is_label(const char *name)
{
	return strncmp(name, "security.", 9) == 0 && strcmp(name, "security.capability") != 0;
}

int lg_xattr_strip(const struct lg_xattr_of *of, char *list)
{
	ssize_t len = lg_xattr_list(of, list, LG_XATTR_MAX);
	int r = 0;

	for (ssize_t i = 0; r == 0 && i < len; i += (ssize_t)strlen(list + i) + 1)
		if (lg_xattr_travels(LG_TRANSFER_LAYER, list + i) && !is_label(list + i))
			r = remove_one(of, list + i);
	return len < 0 ? (int)len : r;
}
