/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_STORAGE_TRANSFER_APPLY_H
#define LG_STORAGE_TRANSFER_APPLY_H

/*
 * What a received stream does to the tree, one object at a time. Nobody else writes to the tree, and
 * every name was checked: it is one part of a path, and at the top one that the kind allows.
 *
 * In the folder ".transfer" beside the content are, while a pass is received, the first names of
 * files that have several, under their group's number, and what is being removed.
 */

#include <stdint.h>
#include <sys/stat.h>

#include "lib/err.h"
#include "storage/transfer_cursor.h"
#include "storage/transfer_stream.h"
#include "storage/transfer_xattr.h"

#define LG_STAGING ".transfer"

/* The one that is being made: a file by its descriptor, other kinds by name, a folder as at.fd. */
struct lg_object {
	int fd;
	mode_t type;
	uint64_t size, next;	/* a file's: what it will have, and where its next bytes may be */
	char name[256];		/* "": a folder, in which the cursor stands */
};

struct lg_apply {
	struct lg_cursor at;
	int top, staging;	/* the first is the cursor's */
	struct lg_object object;
	char *list;		/* LG_XATTR_MAX bytes */
	struct lg_err *err;
};

/** lg_apply_start() - make the staging folder in @fd, borrowed, and stand there. */
int lg_apply_start(struct lg_apply *a, int fd, struct lg_err *err);

/** lg_apply_finish() - remove it; also after a start that failed. Return: 0, negative errno. */
int lg_apply_finish(struct lg_apply *a);

/** lg_apply_fail() - record that @verb failed for @name (NULL: the folder). */
int lg_apply_fail(const struct lg_apply *a, int code, const char *verb, const char *name);

/** lg_apply_remove() - @name with all that is in it; may be missing. */
int lg_apply_remove(struct lg_apply *a, const char *name);

/** lg_apply_enter() - into the folder @name, made where it is missing or another kind is. */
int lg_apply_enter(struct lg_apply *a, const char *name);

/** lg_apply_file(), lg_apply_node(), lg_apply_symlink() - a new one instead of what is there. */
int lg_apply_file(struct lg_apply *a, const char *name, uint32_t group, uint64_t size);
int lg_apply_node(struct lg_apply *a, const char *name, uint32_t group, mode_t type, dev_t dev);
int lg_apply_symlink(struct lg_apply *a, const char *name, uint32_t group, const char *target);

/** lg_apply_link() - another name of the first object of @group. */
int lg_apply_link(struct lg_apply *a, const char *name, uint32_t group);

/** lg_apply_data() - @len bytes for the file, at its next offset. */
int lg_apply_data(struct lg_apply *a, const uint8_t *data, size_t len);

/** lg_apply_owner() - the object's owner and mode; what it inherited goes. */
int lg_apply_owner(struct lg_apply *a, mode_t mode, uid_t uid, gid_t gid);

/** lg_apply_xattr() - after that. */
int lg_apply_xattr(struct lg_apply *a, const char *name, const void *value, size_t len);

/** lg_apply_close() - its times; of a folder also the way out. */
int lg_apply_close(struct lg_apply *a, const struct timespec times[2]);

#endif
