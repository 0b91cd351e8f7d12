/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * How it works: the scan (storage/transfer_scan.c) has said what to send. This walks the book, not the
 * tree, and enters only folders in which there is something. All is read through a mount of our own,
 * without devices, so that opening what a guest has put in a file's place has no effect.
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>

#include "lib/cleanup.h"
#include "storage/transfer_object.h"
#include "storage/transfer_tree.h"

#define SECOND_NS INT64_C(1000000000)
#define GRANULARITY_S 2		/* twice that of the coarsest file system that can hold a layer */

/* Return: 1; 0 when it is not the folder any more that was scanned; negative errno. */
static int enter(struct lg_sender *s, uint32_t i, enum lg_transfer_op op)
{
	const char *name = lg_node_name(s->pass.now, i);
	struct lg_node seen;
	int r;

	/* The removals are of the book alone: where they happen is the other end's tree. */
	if (op == LG_OP_DOWN) {
		lg_out_op(s->out, op, name);
		return 1;
	}
	r = lg_cursor_down(&s->pass.at, name);
	if (lg_is_gone(r))
		return lg_sender_gone(s, name);
	if (r < 0)
		return lg_sender_fail(s, r, "open", name);
	r = lg_node_look(&seen, s->pass.at.fd, "");
	if (r < 0)
		return lg_sender_fail(s, r, "look at", NULL);
	if (!lg_node_same_file(&seen, &s->pass.now->nodes[i])) {
		r = lg_cursor_up(&s->pass.at);
		return r < 0 ? lg_sender_fail(s, r, "leave", NULL) : lg_sender_gone(s, name);
	}
	lg_out_op(s->out, op, name);
	return 1;
}

static int close_folder(struct lg_sender *s, uint32_t i)
{
	struct lg_node *node = &s->pass.now->nodes[i], seen = *node;
	const struct lg_node *parent = &s->pass.now->nodes[node->parent];
	const struct lg_xattr_of of = { .fd = s->pass.at.fd };
	struct stat st;
	int r = lg_node_look(&seen, s->pass.at.fd, "");

	if (r == 0 && fstat(s->pass.at.fd, &st) < 0)
		r = -errno;
	if (r == 0)
		r = lg_object_meta(s, &of, &st);
	if (r < 0)
		return lg_sender_fail(s, r, "read", NULL);
	*node = seen;
	node->flags |= LG_NODE_SURE;
	s->sent.flagged += node->attributes;
	if (lg_cursor_up(&s->pass.at) < 0 ||
	    (s->pass.at.depth >= LG_CURSOR_HELD &&
	     (lg_node_look(&seen, s->pass.at.fd, "") < 0 || !lg_node_same_file(&seen, parent))))
		return lg_pass_stale(&s->pass, NULL);
	return 0;
}

static void send_removals(struct lg_sender *s, uint32_t folder)
{
	const struct lg_node *node = &s->pass.now->nodes[folder];

	for (uint32_t i = 0; i < node->ngone; i++)
		lg_out_op(s->out, LG_OP_REMOVE,
			  lg_node_name(s->pass.before, s->pass.now->gone[node->gone + i]));
	s->sent.removed += node->ngone;
}

static int leave(struct lg_sender *s, uint32_t folder, enum lg_transfer_op op)
{
	if (op == LG_OP_ENTER)
		return close_folder(s, folder);
	lg_out_u8(s->out, LG_OP_UP);
	return 0;
}

/* One name of the book, in the walk that enters folders by @op. Return: 1: entered; 0; errno. */
static int visit(struct lg_sender *s, uint32_t i, enum lg_transfer_op op)
{
	struct lg_node *node = &s->pass.now->nodes[i];
	int r;

	if (!(node->flags & (op == LG_OP_DOWN ? LG_NODE_GONE : LG_NODE_SEND)) || !node->mode)
		return 0;
	if (lg_node_is_dir(node)) {
		r = enter(s, i, op);
		if (r > 0 && op == LG_OP_DOWN)
			send_removals(s, i);
		return r;
	}
	r = lg_object_send(s, i);
	if (r > 0)
		node->flags |= LG_NODE_SURE;
	lg_sender_tell(s, false);
	return r < 0 ? r : lg_sender_lost(s);
}

static int walk(struct lg_sender *s, enum lg_transfer_op op)
{
	const struct lg_node *nodes = s->pass.now->nodes;
	uint32_t folder = 0, at = nodes[0].first;
	int r = 0;

	if (op == LG_OP_DOWN)
		send_removals(s, 0);
	while (r >= 0) {
		if (at == nodes[folder].first + nodes[folder].count) {
			if (folder == 0)
				break;
			r = leave(s, folder, op);
			at = folder + 1;
			folder = nodes[folder].parent;
			continue;
		}
		r = visit(s, at, op);
		if (r > 0)
			folder = at;
		at = r > 0 ? nodes[at].first : at + 1;
	}
	return r < 0 ? r : lg_sender_lost(s);
}

/* ---- a pass ---- */

static void count(struct lg_sender *s)
{
	const struct lg_transfer_index *now = s->pass.now;

	for (uint32_t i = 1; i < now->n; i++) {
		const struct lg_node *node = &now->nodes[i];
		uint64_t on_disk = node->blocks * 512;

		if (!node->mode || !(node->flags & LG_NODE_SEND))
			continue;
		s->total.files++;
		if (S_ISREG(node->mode))
			s->total.bytes += node->size < on_disk ? node->size : on_disk;
	}
}

/* Of what was not sent, because it is the same, the other end is as sure as it was. */
static void keep_sure(struct lg_transfer_index *now)
{
	for (uint32_t i = 0; i < now->n; i++)
		if (now->nodes[i].mode && !(now->nodes[i].flags & LG_NODE_SEND))
			now->nodes[i].flags |= LG_NODE_SURE;
}

static int send_stream(struct lg_sender *s)
{
	static const uint8_t none[32];
	int r;

	lg_out_bytes(s->out, LG_TRANSFER_MAGIC, 8);
	lg_out_u8(s->out, (uint8_t)s->pass.kind);
	lg_out_bytes(s->out, s->pass.before ? s->pass.before->digest : none, sizeof(none));
	lg_out_u64(s->out, s->total.bytes);
	lg_out_u64(s->out, s->total.files);
	r = walk(s, LG_OP_DOWN);
	if (r == 0)
		r = walk(s, LG_OP_ENTER);
	if (r < 0)
		return r;
	lg_out_u8(s->out, LG_OP_END);
	if (lg_out_finish(s->out, s->pass.now->digest) < 0)
		return lg_sender_lost(s);
	keep_sure(s->pass.now);
	lg_sender_tell(s, true);
	return 0;
}

/* By the clock of the stamps that file systems give. */
static void read_clocks(struct lg_transfer_index *now)
{
	struct timespec wall, boot;

	clock_gettime(CLOCK_REALTIME_COARSE, &wall);
	clock_gettime(CLOCK_BOOTTIME, &boot);
	now->since.sec = wall.tv_sec - GRANULARITY_S;
	now->since.nsec = (uint32_t)wall.tv_nsec;
	now->booted_ns = (wall.tv_sec - boot.tv_sec) * SECOND_NS + wall.tv_nsec - boot.tv_nsec;
}

static int take_moment(struct lg_pass *pass)
{
	struct lg_transfer_index *now = pass->now;
	struct statfs fs;

	read_clocks(now);
	if (pass->before) {
		int64_t back = pass->before->booted_ns - now->booted_ns;

		pass->since = pass->before->since;
		/* The clock was set back: what has changed since then has earlier stamps. */
		if (back > SECOND_NS)
			pass->since.sec -= back / SECOND_NS + 1;
	}
	if (pass->still && pass->before) {
		now->since = pass->since;
		now->still = true;
	}
	if (pass->frozen || now->still)
		return 0;
	if (fstatfs(pass->at.fd, &fs) < 0 || syncfs(pass->at.fd) < 0)
		return lg_fail(pass->err, -errno, "write the layer to the disk");
	if (fs.f_type == TMPFS_MAGIC)
		now->since = (struct lg_moment){ .sec = INT64_MIN };
	return 0;
}

/* The folder @fd on a mount of our own, without devices and without leaving traces of reading. */
static int open_view(int fd, struct lg_err *err)
{
	struct mount_attr attr = {
		.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOATIME,
		.attr_clr = MOUNT_ATTR__ATIME,
	};
	lg_autoclose int tree = open_tree(fd, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC |
					  AT_EMPTY_PATH);
	struct statvfs v;
	int r;

	if (tree >= 0 && mount_setattr(tree, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0)
		tree = lg_close(tree);
	/* Mounts of other namespaces, and detached ones, cannot be copied; an image's has no devices. */
	if (tree < 0 && (fstatvfs(fd, &v) < 0 || !(v.f_flag & ST_NODEV)))
		return lg_refuse(err, -EINVAL, 0, "the layer's mount lets devices be opened");
	r = openat(tree < 0 ? fd : tree, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return r < 0 ? lg_fail(err, -errno, "open the layer") : r;
}

static int run(struct lg_sender *s)
{
	const struct lg_transfer_index *now = s->pass.now;
	lg_autofree bool *groups = NULL;
	lg_autofree char *list = malloc(LG_XATTR_MAX), *value = malloc(LG_XATTR_MAX);
	lg_autofree struct lg_out *out = malloc(sizeof(*out));
	int r = take_moment(&s->pass);

	if (r == 0)
		r = lg_pass_scan(&s->pass);
	if (r < 0)
		return r;
	groups = calloc(now->n, sizeof(*groups));
	if (!list || !value || !out || !groups)
		return lg_fail(s->pass.err, -ENOMEM, "send the layer");
	s->list = list;
	s->value = value;
	s->groups = groups;
	s->out = out;
	count(s);
	lg_out_start(out, s->out_fd);
	return send_stream(s);
}

int lg_send_tree(const struct lg_send_tree *what, const struct lg_transfer_send *how,
		 struct lg_transfer_sent *ret, struct lg_transfer_index **ret_index,
		 struct lg_err *err)
{
	static const struct lg_transfer_send plainly;
	struct lg_transfer_index *now = lg_index_new();
	struct lg_sender s = {
		.pass = { .kind = what->kind, .before = what->before, .now = now, .err = err },
		.how = how ? how : &plainly,
		.out_fd = what->out_fd,
	};
	int top, r;

	if (!now)
		return lg_fail(err, -ENOMEM, "send the layer");
	s.pass.frozen = s.how->frozen;
	s.pass.still = s.how->still;
	top = open_view(what->fd, err);
	if (top < 0) {
		lg_transfer_index_free(now);
		return top;
	}
	lg_cursor_init(&s.pass.at, top);
	r = run(&s);
	lg_cursor_finish(&s.pass.at);
	if (r == 0 && ret)
		*ret = s.sent;
	if (r == 0 && ret_index)
		*ret_index = now;
	else
		lg_transfer_index_free(now);
	return r;
}

int lg_transfer_send(int layer_fd, const struct lg_transfer_index *before, int out_fd,
		     const struct lg_transfer_send *how, struct lg_transfer_sent *ret,
		     struct lg_transfer_index **ret_index, struct lg_err *err)
{
	const struct lg_send_tree what = { LG_TRANSFER_LAYER, layer_fd, before, out_fd };

	return lg_send_tree(&what, how, ret, ret_index, err);
}
