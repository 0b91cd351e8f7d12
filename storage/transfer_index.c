/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "storage/transfer_index.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/stat.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include "lib/cleanup.h"

#define DENTS (32u * 1024u)

/* As the kernel writes it. */
struct dent {
	uint64_t ino;
	int64_t off;
	unsigned short reclen;
	unsigned char type;
	char name[];
};

/* Room for @n items of @size more behind @used. */
static int grow(void **items, size_t *room, size_t used, size_t n, size_t size)
{
	size_t want = *room ? *room : 256;
	void *bigger;

	while (want - used < n)
		want *= 2;
	if (want == *room)
		return 0;
	bigger = reallocarray(*items, want, size);
	if (!bigger)
		return -ENOMEM;
	*items = bigger;
	*room = want;
	return 0;
}

static int add_node(struct lg_transfer_index *x, uint32_t parent, const char *name)
{
	size_t room = x->room, len = strlen(name) + 1;
	int r;

	if (x->n >= LG_NODE_NONE / 4)
		return -E2BIG;
	r = grow((void **)&x->nodes, &room, x->n, 1, sizeof(*x->nodes));
	x->room = (uint32_t)room;
	if (r == 0)
		r = grow((void **)&x->names, &x->names_room, x->names_len, len, 1);
	if (r < 0)
		return r;
	memcpy(x->names + x->names_len, name, len);
	x->nodes[x->n++] = (struct lg_node){ .parent = parent, .name = x->names_len,
					     .old = LG_NODE_NONE };
	x->names_len += len;
	return 0;
}

struct lg_transfer_index *lg_index_new(void)
{
	struct lg_transfer_index *x = calloc(1, sizeof(*x));

	if (!x || add_node(x, 0, "") < 0) {
		lg_transfer_index_free(x);
		return NULL;
	}
	x->nodes[0].mode = S_IFDIR;
	return x;
}

void lg_transfer_index_used(struct lg_transfer_index *index)
{
	if (index)
		index->still = false;
}

void lg_transfer_index_free(struct lg_transfer_index *x)
{
	if (!x)
		return;
	free(x->nodes);
	free(x->names);
	free(x->gone);
	free(x);
}

static int by_name(const void *a, const void *b, void *names)
{
	const struct lg_node *x = a, *y = b;

	return strcmp((const char *)names + x->name, (const char *)names + y->name);
}

static bool is_dots(const char *name)
{
	return name[0] == '.' && (name[1] == '\0' || (name[1] == '.' && name[2] == '\0'));
}

static int add_dents(struct lg_transfer_index *x, uint32_t folder, const char *dents, size_t len)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < len;) {
		const struct dent *d = (const void *)(dents + i);

		if (!is_dots(d->name))
			r = add_node(x, folder, d->name);
		i += d->reclen;
	}
	return r;
}

int lg_index_add_names(struct lg_transfer_index *x, uint32_t folder, int dir)
{
	uint32_t first = x->n;
	_Alignas(struct dent) char dents[DENTS];
	long n;

	while ((n = syscall(SYS_getdents64, dir, dents, sizeof(dents))) > 0) {
		int r = add_dents(x, folder, dents, (size_t)n);

		if (r < 0)
			return r;
	}
	if (n < 0 && errno != ENOENT)
		return -errno;
	x->nodes[folder].first = first;
	x->nodes[folder].count = x->n - first;
	qsort_r(x->nodes + first, x->n - first, sizeof(*x->nodes), by_name, x->names);
	return 0;
}

int lg_index_copy_names(struct lg_transfer_index *x, uint32_t folder,
			const struct lg_transfer_index *from, uint32_t old)
{
	const struct lg_node *o = &from->nodes[old];
	uint32_t first = x->n;
	int r = 0;

	for (uint32_t i = o->first; r == 0 && i < o->first + o->count; i++)
		r = add_node(x, folder, lg_node_name(from, i));
	x->nodes[folder].first = first;
	x->nodes[folder].count = x->n - first;
	return r;
}

int lg_index_add_gone(struct lg_transfer_index *x, uint32_t folder, uint32_t old)
{
	struct lg_node *node = &x->nodes[folder];
	size_t room = x->gone_room;
	int r = grow((void **)&x->gone, &room, x->ngone, 1, sizeof(*x->gone));

	if (r < 0)
		return r;
	x->gone_room = (uint32_t)room;
	if (node->ngone == 0)
		node->gone = x->ngone;
	node->ngone++;
	x->gone[x->ngone++] = old;
	return 0;
}

void lg_index_mark(struct lg_transfer_index *x, uint32_t node, enum lg_node_flag flag)
{
	while (!(x->nodes[node].flags & flag)) {
		x->nodes[node].flags |= (uint8_t)flag;
		node = x->nodes[node].parent;
	}
}

static struct lg_moment moment(struct statx_timestamp t)
{
	return (struct lg_moment){ .sec = t.tv_sec, .nsec = t.tv_nsec };
}

int lg_node_look(struct lg_node *node, int dir, const char *name)
{
	struct statx st;

	if (statx(dir, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | (*name ? 0 : AT_EMPTY_PATH),
		  STATX_BASIC_STATS, &st) < 0)
		return -errno;
	node->dev = makedev(st.stx_dev_major, st.stx_dev_minor);
	node->ino = st.stx_ino;
	node->size = st.stx_size;
	node->blocks = st.stx_blocks;
	node->ctime = moment(st.stx_ctime);
	node->mtime = moment(st.stx_mtime);
	node->mode = st.stx_mode;
	node->nlink = st.stx_nlink;
	node->attributes = (st.stx_attributes & (STATX_ATTR_IMMUTABLE | STATX_ATTR_APPEND)) != 0;
	return 0;
}

bool lg_node_same_file(const struct lg_node *a, const struct lg_node *b)
{
	return a->dev == b->dev && a->ino == b->ino && (a->mode & S_IFMT) == (b->mode & S_IFMT);
}
