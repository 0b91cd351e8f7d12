/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "storage/transfer_apply.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "lib/cleanup.h"
#include "lib/exit.h"
#include "lib/file.h"

#define DOOMED "gone"

int lg_apply_fail(const struct lg_apply *a, int code, const char *verb, const char *name)
{
	char where[LG_WHERE_MAX];

	lg_cursor_where(&a->at, name, where);
	if (code == -ENOSPC || code == -EDQUOT)
		return lg_refuse(a->err, -ENOSPC, LG_EXIT_NO_SPACE, "%s '%s': no room is left",
				 verb, where);
	return lg_fail(a->err, code, "%s '%s'", verb, where);
}

int lg_apply_start(struct lg_apply *a, int fd, struct lg_err *err)
{
	memset(a, 0, sizeof(*a));
	a->err = err;
	a->staging = a->object.fd = -1;
	a->top = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	lg_cursor_init(&a->at, a->top);
	if (a->top < 0)
		return lg_fail(err, -errno, "open the layer");
	a->list = malloc(LG_XATTR_MAX);
	if (!a->list)
		return lg_fail(err, -ENOMEM, "receive the layer");
	if (lg_remove_tree(a->top, LG_STAGING, err) < 0)
		return err ? err->code : -EIO;
	if (mkdirat(a->top, LG_STAGING, 0700) < 0)
		return lg_apply_fail(a, -errno, "make", LG_STAGING);
	a->staging = lg_open_dir(a->top, LG_STAGING, err);
	return a->staging < 0 ? a->staging : 0;
}

int lg_apply_finish(struct lg_apply *a)
{
	int r = a->staging < 0 ? 0 : lg_remove_tree(a->top, LG_STAGING, NULL);

	lg_close(a->object.fd);
	lg_close(a->staging);
	lg_cursor_finish(&a->at);
	free(a->list);
	return r < 0 ? lg_fail(a->err, r, "remove '%s'", LG_STAGING) : 0;
}

/*
 * A folder is moved away first: removing it in place would put others beside it for a while, under
 * names that its neighbours may have.
 */
static int doom_folder(struct lg_apply *a, const char *name)
{
	if (renameat(a->at.fd, name, a->staging, DOOMED) < 0)
		return -errno;
	return lg_remove_tree(a->staging, DOOMED, NULL);
}

static int clear_name(struct lg_apply *a, const char *name)
{
	if (unlinkat(a->at.fd, name, 0) == 0 || errno == ENOENT)
		return 0;
	return errno == EISDIR || errno == EPERM ? doom_folder(a, name) : -errno;
}

int lg_apply_remove(struct lg_apply *a, const char *name)
{
	int r = clear_name(a, name);

	return r < 0 ? lg_apply_fail(a, r, "remove", name) : 0;
}

/* ---- making ---- */

static int enter(struct lg_apply *a, const char *name)
{
	if (mkdirat(a->at.fd, name, 0700) < 0 && errno != EEXIST)
		return -errno;
	return lg_cursor_down(&a->at, name);
}

int lg_apply_enter(struct lg_apply *a, const char *name)
{
	int r = enter(a, name);

	if (r == -ENOTDIR || r == -ELOOP) {
		r = clear_name(a, name);
		if (r == 0)
			r = enter(a, name);
	}
	return r < 0 ? lg_apply_fail(a, r, "make", name) : 0;
}

/* Later ones of its group are linked to it, wherever the first name is by then. */
static int stage(struct lg_apply *a, const char *name, uint32_t group)
{
	char number[16];

	if (group == 0)
		return 0;
	snprintf(number, sizeof(number), "%u", group);
	return linkat(a->at.fd, name, a->staging, number, 0) < 0 ? -errno : 0;
}

static int begin(struct lg_apply *a, const char *name, mode_t type, uint32_t group)
{
	int r = stage(a, name, group);

	if (r < 0)
		return lg_apply_fail(a, r, "link", name);
	a->object.type = type;
	memcpy(a->object.name, name, strlen(name) + 1);
	return 0;
}

static int create_file(const struct lg_apply *a, const char *name)
{
	int fd = openat(a->at.fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

	return fd < 0 ? -errno : fd;
}

int lg_apply_file(struct lg_apply *a, const char *name, uint32_t group, uint64_t size)
{
	int fd = create_file(a, name), r;

	if (fd == -EEXIST) {
		r = clear_name(a, name);
		fd = r < 0 ? r : create_file(a, name);
	}
	if (fd < 0)
		return lg_apply_fail(a, fd, "make", name);
	a->object.fd = fd;
	a->object.size = size;
	a->object.next = 0;
	return begin(a, name, S_IFREG, group);
}

int lg_apply_node(struct lg_apply *a, const char *name, uint32_t group, mode_t type, dev_t dev)
{
	int r = clear_name(a, name);

	if (r == 0 && mknodat(a->at.fd, name, type | 0600, dev) < 0)
		r = -errno;
	return r < 0 ? lg_apply_fail(a, r, "make", name) : begin(a, name, type, group);
}

int lg_apply_symlink(struct lg_apply *a, const char *name, uint32_t group, const char *target)
{
	int r = clear_name(a, name);

	if (r == 0 && symlinkat(target, a->at.fd, name) < 0)
		r = -errno;
	return r < 0 ? lg_apply_fail(a, r, "make", name) : begin(a, name, S_IFLNK, group);
}

int lg_apply_link(struct lg_apply *a, const char *name, uint32_t group)
{
	char number[16];
	int r = clear_name(a, name);

	snprintf(number, sizeof(number), "%u", group);
	if (r == 0 && linkat(a->staging, number, a->at.fd, name, 0) < 0)
		r = -errno;
	return r < 0 ? lg_apply_fail(a, r, "link", name) : 0;
}

/* ---- filling ---- */

int lg_apply_data(struct lg_apply *a, const uint8_t *data, size_t len)
{
	while (len > 0) {
		ssize_t n = pwrite(a->object.fd, data, len, (off_t)a->object.next);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return lg_apply_fail(a, -errno, "write", a->object.name);
		data += n;
		len -= (size_t)n;
		a->object.next += (uint64_t)n;
	}
	return 0;
}

/* The object that has no name of its own is the folder. */
static struct lg_xattr_of of_object(const struct lg_apply *a)
{
	if (a->object.fd >= 0)
		return (struct lg_xattr_of){ .fd = a->object.fd };
	return (struct lg_xattr_of){ .fd = a->at.fd,
				     .name = a->object.name[0] ? a->object.name : NULL };
}

/* A change of owner takes set-uid bits and capabilities away, so it comes first. */
static int set_owner(const struct lg_apply *a, const struct lg_xattr_of *of, mode_t mode, uid_t uid,
		     gid_t gid)
{
	if (!of->name)
		return fchown(of->fd, uid, gid) < 0 || fchmod(of->fd, mode) < 0 ? -errno : 0;
	if (fchownat(of->fd, of->name, uid, gid, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	/* The only one that could be followed has no mode. */
	if (a->object.type != S_IFLNK && fchmodat(of->fd, of->name, mode, 0) < 0)
		return -errno;
	return 0;
}

static const char *name_or_folder(const struct lg_apply *a)
{
	return a->object.name[0] ? a->object.name : NULL;
}

int lg_apply_owner(struct lg_apply *a, mode_t mode, uid_t uid, gid_t gid)
{
	struct lg_xattr_of of = of_object(a);
	int r = 0;

	/* It ends in a hole. */
	if (a->object.fd >= 0 && a->object.next < a->object.size &&
	    ftruncate(a->object.fd, (off_t)a->object.size) < 0)
		return lg_apply_fail(a, -errno, "write", a->object.name);
	if (a->object.type != S_IFLNK)
		r = lg_xattr_strip(&of, a->list);
	if (r == 0)
		r = set_owner(a, &of, mode, uid, gid);
	return r < 0 ? lg_apply_fail(a, r, "set the owner of", name_or_folder(a)) : 0;
}

int lg_apply_xattr(struct lg_apply *a, const char *name, const void *value, size_t len)
{
	struct lg_xattr_of of = of_object(a);
	int r = lg_xattr_set(&of, name, value, len);

	return r < 0 ? lg_apply_fail(a, r, "set attributes of", name_or_folder(a)) : 0;
}

int lg_apply_close(struct lg_apply *a, const struct timespec times[2])
{
	struct lg_xattr_of of = of_object(a);
	int r = of.name ? utimensat(of.fd, of.name, times, AT_SYMLINK_NOFOLLOW) :
			  futimens(of.fd, times);

	if (r < 0)
		return lg_apply_fail(a, -errno, "set the times of", name_or_folder(a));
	a->object.fd = lg_close(a->object.fd);
	if (a->object.name[0] == '\0') {
		r = lg_cursor_up(&a->at);
		return r < 0 ? lg_apply_fail(a, r, "leave", NULL) : 0;
	}
	a->object.name[0] = '\0';
	a->object.type = 0;
	return 0;
}
