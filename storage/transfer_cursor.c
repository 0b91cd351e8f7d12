/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "storage/transfer_cursor.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "lib/cleanup.h"
#include "lib/file.h"
#include "storage/transfer.h"

void lg_cursor_init(struct lg_cursor *c, int top)
{
	memset(c, 0, sizeof(*c));
	c->fd = top;
	c->held[0] = top;
}

void lg_cursor_finish(struct lg_cursor *c)
{
	if (c->depth >= LG_CURSOR_HELD)
		lg_close(c->fd);
	for (unsigned int i = 0; i < LG_CURSOR_HELD && i <= c->depth; i++)
		lg_close(c->held[i]);
	free(c->path);
	c->path = NULL;
	c->fd = -1;
	c->depth = 0;
	c->held[0] = -1;
}

static int add_path(struct lg_cursor *c, const char *name)
{
	size_t len = strlen(name);

	if (c->room < c->len + len + 2) {
		size_t room = (c->len + len + 2) * 2;
		char *bigger = realloc(c->path, room);

		if (!bigger)
			return -ENOMEM;
		c->path = bigger;
		c->room = room;
	}
	c->len += (size_t)snprintf(c->path + c->len, c->room - c->len, "%s%s",
				   c->len ? "/" : "", name);
	return 0;
}

static int open_folder(int dir, const char *name)
{
	struct open_how how = {
		.flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC,
		.resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV | RESOLVE_BENEATH,
	};

	return lg_openat2(dir, name, &how);
}

int lg_cursor_down(struct lg_cursor *c, const char *name)
{
	int fd, r;

	if (c->depth >= LG_TRANSFER_DEPTH)
		return -ENAMETOOLONG;
	fd = open_folder(c->fd, name);
	if (fd < 0)
		return fd;
	r = add_path(c, name);
	if (r < 0) {
		lg_close(fd);
		return r;
	}
	if (c->depth >= LG_CURSOR_HELD)
		lg_close(c->fd);
	c->depth++;
	if (c->depth < LG_CURSOR_HELD)
		c->held[c->depth] = fd;
	c->fd = fd;
	return 0;
}

static void cut_path(struct lg_cursor *c)
{
	const char *slash = memrchr(c->path, '/', c->len);

	c->len = slash ? (size_t)(slash - c->path) : 0;
	c->path[c->len] = '\0';
}

int lg_cursor_up(struct lg_cursor *c)
{
	int fd = c->depth <= LG_CURSOR_HELD ?
			 c->held[c->depth - 1] :
			 openat(c->fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	lg_close(c->fd);
	c->fd = fd;
	c->depth--;
	cut_path(c);
	return 0;
}

const char *lg_cursor_where(const struct lg_cursor *c, const char *name, char ret[LG_WHERE_MAX])
{
	size_t name_len = name ? strlen(name) : 0, room = LG_WHERE_MAX - 8, keep = c->len;
	const char *path = c->len ? c->path : "";

	if (name_len > room)
		name_len = room;
	if (keep > room - name_len)
		keep = room - name_len;
	snprintf(ret, LG_WHERE_MAX, "%s%.*s%s%.*s", keep < c->len ? "..." : "", (int)keep,
		 path + c->len - keep, keep && name_len ? "/" : "", (int)name_len,
		 name ? name : "");
	for (char *p = ret; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = '?';
	return *ret ? ret : ".";
}
