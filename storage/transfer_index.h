/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_STORAGE_TRANSFER_INDEX_H
#define LG_STORAGE_TRANSFER_INDEX_H

/*
 * The sender's book of a tree: a node for every name, those of one folder side by side in the order
 * of their names, so that two books are compared by merging. Node 0 is the top.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "lib/err.h"
#include "storage/transfer.h"
#include "storage/transfer_cursor.h"
#include "storage/transfer_stream.h"

#define LG_NODE_NONE UINT32_MAX

enum lg_node_flag {
	LG_NODE_SURE = 1,	/* the other end holds exactly what the node says */
	LG_NODE_SEND = 2,	/* new or changed, or a folder with such in it */
	LG_NODE_GONE = 4,	/* a folder: names in it, or deeper, are to be removed */
};

struct lg_moment {
	int64_t sec;
	uint32_t nsec;
};

struct lg_node {
	uint64_t dev, ino, size, blocks;
	struct lg_moment ctime, mtime;
	size_t name;		/* lg_node_name() */
	uint32_t mode;		/* 0: it vanished before it was looked at */
	uint32_t nlink;
	uint32_t group;		/* of names of one file; 0: no other name is in the tree */
	uint32_t parent;
	uint32_t first, count;	/* a folder's names */
	uint32_t gone, ngone;	/* its names that are to be removed: in gone[] */
	uint32_t old;		/* the same in the book before, as far as it is known there */
	uint8_t flags;		/* enum lg_node_flag */
	uint8_t attributes;	/* immutable or append-only */
};

struct lg_transfer_index {
	struct lg_node *nodes;
	uint32_t n, room;
	char *names;
	size_t names_len, names_room;
	uint32_t *gone;		/* nodes of the book before */
	uint32_t ngone, gone_room;
	struct lg_moment since;	/* what has changed from then on is not known for certain */
	bool still;		/* but of what is no folder, that is: nothing wrote to it then */
	int64_t booted_ns;	/* when the host was booted, by the wall clock as it went then */
	uint8_t digest[32];	/* of the stream that it was sent as */
};

static inline const char *lg_node_name(const struct lg_transfer_index *x, uint32_t node)
{
	return x->names + x->nodes[node].name;
}

static inline bool lg_node_is_dir(const struct lg_node *node)
{
	return S_ISDIR(node->mode);
}

/** lg_index_new() - an empty book with its top. NULL only without memory. */
struct lg_transfer_index *lg_index_new(void);

/** lg_index_add_names() - the entries of the open folder @dir, read once, become those of @folder */
int lg_index_add_names(struct lg_transfer_index *x, uint32_t folder, int dir);

/** lg_index_copy_names() - the names of @old in the book @from become those of @folder. */
int lg_index_copy_names(struct lg_transfer_index *x, uint32_t folder,
			const struct lg_transfer_index *from, uint32_t old);

/** lg_index_add_gone() - @old of the book before is to be removed from @folder. */
int lg_index_add_gone(struct lg_transfer_index *x, uint32_t folder, uint32_t old);

/** lg_index_mark() - set @flag for @node and the folders around it. */
void lg_index_mark(struct lg_transfer_index *x, uint32_t node, enum lg_node_flag flag);

/**
 * lg_node_look() - what @name in @dir is now ("": what @dir is)
 * Return: 0, negative errno.
 */
int lg_node_look(struct lg_node *node, int dir, const char *name);

/** lg_node_same_file() - is it still the same inode, of the same kind? */
bool lg_node_same_file(const struct lg_node *a, const struct lg_node *b);

/* One pass of the sender. */
struct lg_pass {
	enum lg_transfer_kind kind;
	bool frozen, still;
	const struct lg_transfer_index *before;	/* NULL: the first pass */
	struct lg_moment since;	/* before->since, by the clock as it goes now */
	struct lg_transfer_index *now;
	struct lg_cursor at;
	struct lg_err *err;
};

/** lg_pass_content() - is @name at the top of the tree what travels? */
bool lg_pass_content(enum lg_transfer_kind kind, const char *name, bool is_dir);

/** lg_pass_scan() - fill pass->now, whose top pass->at is: what is to be sent and removed. */
int lg_pass_scan(struct lg_pass *pass);

/** lg_pass_stale() - fail: the tree changed under a pass that cannot cope with it. */
int lg_pass_stale(const struct lg_pass *pass, const char *name);

#endif
