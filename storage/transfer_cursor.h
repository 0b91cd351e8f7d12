/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_STORAGE_TRANSFER_CURSOR_H
#define LG_STORAGE_TRANSFER_CURSOR_H

/*
 * A place in a tree that a stranger made: the folder in which a walk stands. It goes down by one name
 * at a time, follows no link, and crosses no mount. The uppermost LG_CURSOR_HELD folders are held
 * open; below them one goes up by "..", so that any depth takes a fixed number of descriptors.
 */

#include <stddef.h>

#include "lib/err.h"

#define LG_CURSOR_HELD 128u
#define LG_WHERE_MAX 220

struct lg_cursor {
	int fd;			/* where it stands; the cursor's */
	unsigned int depth;	/* 0: the top */
	int held[LG_CURSOR_HELD];
	char *path;		/* from the top, for messages: "upper/etc" */
	size_t len, room;
};

/** lg_cursor_init() - stand at @top, which the cursor owns from now on. */
void lg_cursor_init(struct lg_cursor *c, int top);
void lg_cursor_finish(struct lg_cursor *c);

/**
 * lg_cursor_down() - into the folder @name
 * Return: 0; -ENOTDIR, -ELOOP, -ENOENT when it is none; -EXDEV for a mount; -ENAMETOOLONG deeper
 * than LG_TRANSFER_DEPTH; other negative errnos. It stands where it stood then.
 */
int lg_cursor_down(struct lg_cursor *c, const char *name);

/** lg_cursor_up() - out again; not at the top. Whoever lets others move folders checks where he is. */
int lg_cursor_up(struct lg_cursor *c);

/** lg_cursor_where() - the path of @name here (NULL: of the folder), its end at least, printable. */
const char *lg_cursor_where(const struct lg_cursor *c, const char *name, char ret[LG_WHERE_MAX]);

#endif
