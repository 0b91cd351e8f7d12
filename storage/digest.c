/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "storage/digest.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <limits.h>
#include <nettle/sha2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "lib/cleanup.h"

#define BLOCK (256u * 1024u)
#define XATTR_MAX 65536u	/* the kernel's own limit for one value */

struct walk {
	struct sha256_ctx sum;
	size_t top_len;		/* of the tree's own path: what follows is the entry's */
	uint64_t size;
	uint8_t *block;		/* BLOCK bytes */
};

static const char *const rights_xattrs[] = {
	"security.capability", "system.posix_acl_access", "system.posix_acl_default",
};

static void add(struct walk *w, const void *data, size_t len)
{
	sha256_update(&w->sum, len, data);
}

static char type_letter(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFDIR:
		return 'd';
	case S_IFREG:
		return 'f';
	case S_IFLNK:
		return 'l';
	case S_IFCHR:
		return 'c';
	case S_IFBLK:
		return 'b';
	case S_IFIFO:
		return 'p';
	default:
		return 's';
	}
}

static int add_file(struct walk *w, const char *path)
{
	lg_autoclose int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	uint8_t digest[SHA256_DIGEST_SIZE];
	struct sha256_ctx sum;
	ssize_t n;

	if (fd < 0)
		return -errno;
	sha256_init(&sum);
	while ((n = read(fd, w->block, BLOCK)) > 0)
		sha256_update(&sum, (size_t)n, w->block);
	if (n < 0)
		return -errno;
	sha256_digest(&sum, sizeof(digest), digest);
	add(w, digest, sizeof(digest));
	return 0;
}

static int add_link(struct walk *w, const char *path)
{
	char target[PATH_MAX];
	ssize_t n = readlink(path, target, sizeof(target));

	if (n < 0)
		return -errno;
	add(w, target, (size_t)n);
	add(w, "", 1);
	return 0;
}

static int add_xattrs(struct walk *w, const char *path)
{
	for (size_t i = 0; i < ARRAY_SIZE(rights_xattrs); i++) {
		ssize_t n = lgetxattr(path, rights_xattrs[i], w->block, XATTR_MAX);
		char head[64];

		if (n < 0 && (errno == ENODATA || errno == EOPNOTSUPP))
			continue;
		if (n < 0)
			return -errno;
		snprintf(head, sizeof(head), "%s %zd", rights_xattrs[i], n);
		add(w, head, strlen(head) + 1);
		add(w, w->block, (size_t)n);
	}
	return 0;
}

static int add_entry(struct walk *w, const FTSENT *e)
{
	const struct stat *st = e->fts_statp;
	const char *path = e->fts_path + w->top_len;
	char head[96];
	int r = 0;

	snprintf(head, sizeof(head), "%c %o %u %u ", type_letter(st->st_mode),
		 st->st_mode & 07777u, st->st_uid, st->st_gid);
	add(w, head, strlen(head));
	add(w, path, strlen(path) + 1);
	/* A file of several names is met as often: each name bears its share. */
	w->size += (uint64_t)st->st_blocks * 512u / (S_ISDIR(st->st_mode) ? 1 : st->st_nlink);

	if (S_ISREG(st->st_mode)) {
		r = add_file(w, e->fts_path);
	} else if (S_ISLNK(st->st_mode)) {
		return add_link(w, e->fts_path);
	} else if (S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode)) {
		snprintf(head, sizeof(head), "%u:%u", major(st->st_rdev), minor(st->st_rdev));
		add(w, head, strlen(head) + 1);
	}
	return r < 0 ? r : add_xattrs(w, e->fts_path);
}

static int by_name(const FTSENT **a, const FTSENT **b)
{
	return strcmp((*a)->fts_name, (*b)->fts_name);
}

static int walk_tree(struct walk *w, FTS *fts, struct lg_err *err)
{
	FTSENT *e;
	int r;

	for (errno = 0; (e = fts_read(fts)); errno = 0) {
		if (e->fts_info == FTS_DP)
			continue;
		if (e->fts_info == FTS_DNR || e->fts_info == FTS_ERR || e->fts_info == FTS_NS)
			return lg_fail(err, -e->fts_errno, "read '%s'", e->fts_path);
		r = add_entry(w, e);
		if (r < 0)
			return lg_fail(err, r, "read '%s'", e->fts_path);
	}
	return errno ? lg_fail(err, -errno, "read the tree") : 0;
}

static void format_digest(const uint8_t *digest, char ret[LG_DIGEST_TEXT])
{
	int len = snprintf(ret, LG_DIGEST_TEXT, "sha256:");

	for (int i = 0; i < SHA256_DIGEST_SIZE; i++)
		snprintf(ret + len + 2 * i, 3, "%02x", digest[i]);
}

int lg_tree_digest(const char *path, const char *preface, char ret[LG_DIGEST_TEXT],
		   uint64_t *ret_size, struct lg_err *err)
{
	lg_autofree uint8_t *block = malloc(BLOCK);
	lg_autofree char *top = strdup(path);
	struct walk w = { .top_len = strlen(path), .block = block };
	uint8_t digest[SHA256_DIGEST_SIZE];
	char *paths[] = { top, NULL };
	FTS *fts;
	int r;

	if (!block || !top)
		return lg_fail(err, -ENOMEM, "read '%s'", path);
	sha256_init(&w.sum);
	add(&w, preface, strlen(preface) + 1);
	fts = fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR | FTS_XDEV, by_name);
	if (!fts)
		return lg_fail(err, -errno, "read '%s'", path);
	r = walk_tree(&w, fts, err);
	fts_close(fts);
	if (r < 0)
		return r;
	sha256_digest(&w.sum, sizeof(digest), digest);
	format_digest(digest, ret);
	*ret_size = w.size;
	return 0;
}
