/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * How it works: a table says which operation may come in which state, and what is its state then.
 * What the stream says is a stranger's; every number and name is looked at here, before it gets to
 * storage/transfer_apply.c.
 *
 *	state		what may come
 *	removals	DOWN UP REMOVE, and outside of all DOWNs what tree may
 *	tree		ENTER FILE NODE SYMLINK LINK; OWNER of the folder; END at the top
 *	content		DATA of the file; OWNER
 *	made		OWNER of the node or link
 *	owned		XATTR; CLOSE
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "lib/cleanup.h"
#include "storage/transfer.h"
#include "storage/transfer_apply.h"
#include "storage/transfer_index.h"
#include "storage/transfer_stream.h"
#include "storage/transfer_tree.h"

enum state {
	REMOVALS = 1,
	TREE = 2,
	CONTENT = 4,
	MADE = 8,
	OWNED = 16,
};

struct receiver {
	enum lg_transfer_kind kind;
	enum state state;
	bool ended;
	struct lg_in *in;
	struct lg_apply apply;
	const struct lg_transfer_receive *how;
	struct lg_transfer_count total, done;
	uint64_t told;
	char name[256];		/* of the operation */
	uint8_t *value;		/* LG_XATTR_MAX bytes */
};

static void tell(struct receiver *rc, bool end)
{
	uint64_t now = rc->done.bytes + rc->done.files * 512;

	if (!rc->how->progress || (!end && now - rc->told < LG_FRAME_MAX))
		return;
	rc->told = now;
	rc->how->progress(&rc->done, &rc->total, rc->how->arg);
}

static int count(struct receiver *rc, uint64_t bytes, uint64_t files)
{
	const struct lg_transfer_receive *how = rc->how;

	rc->done.bytes += bytes;
	rc->done.files += files;
	if ((how->max_bytes && rc->done.bytes > how->max_bytes) ||
	    (how->max_files && rc->done.files > how->max_files))
		return lg_refuse(rc->apply.err, -EFBIG, 0, "the stream has more than is allowed");
	tell(rc, false);
	return 0;
}

static bool at_top(const struct receiver *rc)
{
	return rc->apply.at.depth == 0;
}

/* The operation's NAME. @dir, @other: what it may be at the top. Return: 0, negative errno. */
static int read_name(struct receiver *rc, bool dir, bool other)
{
	const char *name = rc->name;

	lg_in_name(rc->in, rc->name);
	if (rc->in->failed)
		return rc->in->failed;
	if (strchr(name, '/') || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return lg_in_broken(rc->in, "a name leads elsewhere");
	if (at_top(rc) && !(dir && lg_pass_content(rc->kind, name, true)) &&
	    !(other && lg_pass_content(rc->kind, name, false)))
		return lg_in_broken(rc->in, "a name at the top is none of a layer or template");
	return 0;
}

/* ---- removals ---- */

static int do_down(struct receiver *rc)
{
	int r = read_name(rc, true, false);

	if (r < 0)
		return r;
	r = lg_cursor_down(&rc->apply.at, rc->name);
	return r < 0 ? lg_apply_fail(&rc->apply, r, "open", rc->name) : 0;
}

static int do_up(struct receiver *rc)
{
	int r;

	if (at_top(rc))
		return lg_in_broken(rc->in, "it leaves the top");
	r = lg_cursor_up(&rc->apply.at);
	return r < 0 ? lg_apply_fail(&rc->apply, r, "leave", NULL) : 0;
}

static int do_remove(struct receiver *rc)
{
	int r = read_name(rc, true, true);

	return r < 0 ? r : lg_apply_remove(&rc->apply, rc->name);
}

/* ---- objects ---- */

/* The removals are over when something is made, and then one stands at the top again. */
static int end_removals(struct receiver *rc)
{
	if (rc->state == REMOVALS && !at_top(rc))
		return lg_in_broken(rc->in, "something is made among the removals");
	return 0;
}

static int do_enter(struct receiver *rc)
{
	int r = end_removals(rc);

	if (r == 0)
		r = read_name(rc, true, false);
	return r < 0 ? r : lg_apply_enter(&rc->apply, rc->name);
}

/* NAME and group. @file: may it be at the top? */
static int read_head(struct receiver *rc, bool file, uint32_t *group)
{
	int r = end_removals(rc);

	if (r == 0)
		r = read_name(rc, false, file);
	*group = lg_in_u32(rc->in);
	return r < 0 ? r : rc->in->failed;
}

static int do_file(struct receiver *rc)
{
	uint32_t group;
	int r = read_head(rc, true, &group);
	uint64_t size = lg_in_u64(rc->in);

	if (r == 0)
		r = rc->in->failed;
	if (r == 0 && size > INT64_MAX)
		r = lg_in_broken(rc->in, "a file is larger than any can be");
	return r < 0 ? r : lg_apply_file(&rc->apply, rc->name, group, size);
}

static int do_node(struct receiver *rc)
{
	uint32_t group, type, maj, min;
	int r = read_head(rc, false, &group);

	type = lg_in_u32(rc->in);
	maj = lg_in_u32(rc->in);
	min = lg_in_u32(rc->in);
	if (r == 0)
		r = rc->in->failed;
	if (r == 0 && type != S_IFCHR && type != S_IFBLK && type != S_IFIFO && type != S_IFSOCK)
		r = lg_in_broken(rc->in, "a node is of no kind");
	return r < 0 ? r : lg_apply_node(&rc->apply, rc->name, group, type, makedev(maj, min));
}

static int do_symlink(struct receiver *rc)
{
	char target[LG_TARGET_MAX + 1];
	uint32_t group, len;
	int r = read_head(rc, false, &group);

	len = lg_in_u32(rc->in);
	if (r == 0)
		r = rc->in->failed;
	if (r == 0 && (len == 0 || len > LG_TARGET_MAX))
		r = lg_in_broken(rc->in, "a link is too long");
	if (r < 0)
		return r;
	lg_in_bytes(rc->in, target, len);
	target[len] = '\0';
	if (rc->in->failed == 0 && strlen(target) != len)
		lg_in_broken(rc->in, "a link has a zero byte in it");
	return rc->in->failed ? rc->in->failed :
				lg_apply_symlink(&rc->apply, rc->name, group, target);
}

static int do_link(struct receiver *rc)
{
	uint32_t group;
	int r = read_head(rc, false, &group);

	if (r == 0)
		r = lg_apply_link(&rc->apply, rc->name, group);
	return r < 0 ? r : count(rc, 0, 1);
}

static int do_data(struct receiver *rc)
{
	struct lg_object *o = &rc->apply.object;
	uint64_t at = lg_in_u64(rc->in);
	uint32_t left = lg_in_u32(rc->in);
	int r = rc->in->failed;

	if (r == 0 && (left == 0 || left > LG_DATA_MAX || at < o->next || at > o->size ||
		       left > o->size - at))
		r = lg_in_broken(rc->in, "data lies outside of its file");
	if (r == 0)
		r = count(rc, left, 0);
	o->next = r < 0 ? o->next : at;
	while (r == 0 && left > 0) {
		size_t n;
		const uint8_t *some = lg_in_some(rc->in, left, &n);

		r = some ? lg_apply_data(&rc->apply, some, n) : rc->in->failed;
		left -= some ? (uint32_t)n : 0;
	}
	return r;
}

static int do_owner(struct receiver *rc)
{
	uint32_t mode = lg_in_u32(rc->in), uid = lg_in_u32(rc->in), gid = lg_in_u32(rc->in);

	if (rc->state == TREE && at_top(rc))
		lg_in_broken(rc->in, "the top gets an owner");
	else if (mode > 07777 || uid == UINT32_MAX || gid == UINT32_MAX)
		lg_in_broken(rc->in, "an owner or a mode is none");
	return rc->in->failed ? rc->in->failed : lg_apply_owner(&rc->apply, mode, uid, gid);
}

static int do_xattr(struct receiver *rc)
{
	char name[256];
	uint32_t len;

	lg_in_name(rc->in, name);
	len = lg_in_u32(rc->in);
	if (rc->in->failed == 0 && (len > LG_XATTR_MAX || !lg_xattr_travels(rc->kind, name)))
		lg_in_broken(rc->in, "an attribute is none that travels");
	if (rc->in->failed)
		return rc->in->failed;
	lg_in_bytes(rc->in, rc->value, len);
	return rc->in->failed ? rc->in->failed :
				lg_apply_xattr(&rc->apply, name, rc->value, len);
}

static int do_close(struct receiver *rc)
{
	struct timespec times[2];
	int r;

	lg_in_time(rc->in, &times[0]);
	lg_in_time(rc->in, &times[1]);
	if (rc->in->failed)
		return rc->in->failed;
	r = lg_apply_close(&rc->apply, times);
	return r < 0 ? r : count(rc, 0, 1);
}

static int do_end(struct receiver *rc)
{
	if (!at_top(rc))
		return lg_in_broken(rc->in, "it ends inside of a folder");
	rc->ended = true;
	return 0;
}

static const struct {
	int (*run)(struct receiver *rc);
	unsigned int when;	/* states in which it may come */
	enum state then;
} ops[] = {
	/* clang-format off */
	[LG_OP_DOWN] =	  { do_down,	REMOVALS,		REMOVALS },
	[LG_OP_UP] =	  { do_up,	REMOVALS,		REMOVALS },
	[LG_OP_REMOVE] =  { do_remove,	REMOVALS,		REMOVALS },
	[LG_OP_ENTER] =	  { do_enter,	REMOVALS | TREE,	TREE },
	[LG_OP_FILE] =	  { do_file,	REMOVALS | TREE,	CONTENT },
	[LG_OP_NODE] =	  { do_node,	TREE,			MADE },
	[LG_OP_SYMLINK] = { do_symlink, TREE,			MADE },
	[LG_OP_LINK] =	  { do_link,	TREE,			TREE },
	[LG_OP_DATA] =	  { do_data,	CONTENT,		CONTENT },
	[LG_OP_OWNER] =	  { do_owner,	TREE | CONTENT | MADE,	OWNED },
	[LG_OP_XATTR] =	  { do_xattr,	OWNED,			OWNED },
	[LG_OP_CLOSE] =	  { do_close,	OWNED,			TREE },
	[LG_OP_END] =	  { do_end,	REMOVALS | TREE,	TREE },
	/* clang-format on */
};

static int receive_records(struct receiver *rc)
{
	int r = 0;

	while (r == 0 && !rc->ended) {
		uint8_t op = lg_in_u8(rc->in);

		if (rc->in->failed)
			return rc->in->failed;
		if (op >= ARRAY_SIZE(ops) || !ops[op].run)
			return lg_in_broken(rc->in, "it asks for what there is not");
		if (!(ops[op].when & rc->state))
			return lg_in_broken(rc->in, "its parts are in no order");
		r = ops[op].run(rc);
		rc->state = ops[op].then;
	}
	return r;
}

/* ---- a pass ---- */

static int receive_head(struct receiver *rc, const struct lg_transfer_mark *mark)
{
	char magic[8];
	uint8_t kind, before[32];

	lg_in_bytes(rc->in, magic, sizeof(magic));
	kind = lg_in_u8(rc->in);
	lg_in_bytes(rc->in, before, sizeof(before));
	rc->total.bytes = lg_in_u64(rc->in);
	rc->total.files = lg_in_u64(rc->in);
	if (rc->in->failed)
		return rc->in->failed;
	if (memcmp(magic, LG_TRANSFER_MAGIC, sizeof(magic)) != 0)
		return lg_in_broken(rc->in, "it is none of lodge's, or of another version");
	if (kind != rc->kind)
		return lg_in_broken(rc->in, "a template and a layer are not the same");
	if (memcmp(before, mark->digest, sizeof(before)) != 0)
		return lg_in_broken(rc->in, "it follows on another than was received here");
	return 0;
}

static int empty_content(struct receiver *rc)
{
	static const char *const names[] = { "upper", "plain", "rootfs", "manifest" };
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(names); i++)
		if (lg_pass_content(rc->kind, names[i], true) ||
		    lg_pass_content(rc->kind, names[i], false))
			r = lg_apply_remove(&rc->apply, names[i]);
	return r;
}

static int receive(struct receiver *rc, struct lg_transfer_mark *mark)
{
	static const struct lg_transfer_mark none;
	struct lg_transfer_mark got;
	int r = receive_head(rc, mark);

	if (r == 0 && memcmp(mark, &none, sizeof(none)) == 0)
		r = empty_content(rc);
	if (r == 0)
		r = receive_records(rc);
	if (r == 0)
		r = lg_in_finish(rc->in, got.digest);
	if (r < 0)
		return r;
	*mark = got;
	tell(rc, true);
	return 0;
}

int lg_receive_tree(const struct lg_receive_tree *what, const struct lg_transfer_receive *how,
		    struct lg_transfer_mark *mark, struct lg_err *err)
{
	static const struct lg_transfer_receive plainly;
	lg_autofree struct lg_in *in = malloc(sizeof(*in));
	lg_autofree uint8_t *value = malloc(LG_XATTR_MAX);
	struct receiver rc = {
		.kind = what->kind,
		.state = REMOVALS,
		.in = in,
		.how = how ? how : &plainly,
		.value = value,
	};
	struct lg_transfer_mark got = *mark;
	int r, done;

	if (!in || !value)
		return lg_fail(err, -ENOMEM, "receive the layer");
	lg_in_start(in, what->in_fd, err);
	r = lg_apply_start(&rc.apply, what->fd, err);
	if (r == 0)
		r = receive(&rc, &got);
	if (r < 0)
		rc.apply.err = NULL;	/* the first failure is told */
	done = lg_apply_finish(&rc.apply);
	if (r == 0)
		r = done;
	if (r == 0)
		*mark = got;
	return r;
}

int lg_transfer_receive(int in_fd, int layer_fd, const struct lg_transfer_receive *how,
			struct lg_transfer_mark *mark, struct lg_err *err)
{
	const struct lg_receive_tree what = { LG_TRANSFER_LAYER, layer_fd, in_fd };

	return lg_receive_tree(&what, how, mark, err);
}
