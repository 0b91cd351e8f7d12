/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * How it works: the scan (storage/transfer_scan.c) has said what to send. This walks the book, not the
 * tree, and enters only folders in which there is something. All is read through a mount of our own,
 * without devices, so that opening what a guest has put in a file's place has no effect.
 *
 * What is recorded in the book of a file is how it was before it was read. If it is written to
 * meanwhile the next pass finds a later ctime and sends it again; what arrives now may be half old and half
 * new, which nobody looks at before that pass.
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
#include <sys/sysmacros.h>

#include "lib/cleanup.h"
#include "storage/transfer.h"
#include "storage/transfer_index.h"
#include "storage/transfer_tree.h"
#include "storage/transfer_xattr.h"

#define SECOND_NS INT64_C(1000000000)
#define GRANULARITY_S 2		/* twice that of the coarsest file system that can hold a layer */

struct sender {
	struct lg_pass pass;
	const struct lg_transfer_send *how;
	struct lg_out *out;
	int out_fd;
	struct lg_transfer_count total;
	struct lg_transfer_sent sent;
	uint64_t told;		/* bytes and files when progress was last told */
	bool *groups;		/* by number: its file was sent, and can be linked to */
	char *list, *value;	/* LG_XATTR_MAX bytes each */
};

static int failed(const struct sender *s, int code, const char *verb, const char *name)
{
	char where[LG_WHERE_MAX];

	return lg_fail(s->pass.err, code, "%s '%s'", verb,
		       lg_cursor_where(&s->pass.at, name, where));
}

static int lost_connection(const struct sender *s)
{
	return s->out->failed < 0 ? lg_fail(s->pass.err, s->out->failed, "write the stream") : 0;
}

/* @name is not any more what the scan saw. */
static int gone_meanwhile(const struct sender *s, const char *name)
{
	return s->pass.frozen ? lg_pass_stale(&s->pass, name) : 0;
}

static bool is_gone(int r)
{
	return r == -ENOENT || r == -ENOTDIR || r == -ELOOP || r == -ENXIO || r == -EACCES;
}

static void tell(struct sender *s, bool end)
{
	uint64_t now = s->sent.sent.bytes + s->sent.sent.files * 512;

	if (!s->how->progress || (!end && now - s->told < LG_FRAME_MAX))
		return;
	s->told = now;
	s->how->progress(&s->sent.sent, &s->total, s->how->arg);
}

/* ---- what every object has ---- */

static int send_xattrs(struct sender *s, const struct lg_xattr_of *of)
{
	ssize_t len = lg_xattr_list(of, s->list, LG_XATTR_MAX);

	/* An object that was begun is sent to its end, whatever became of it. */
	if (len < 0)
		return is_gone((int)len) && !s->pass.frozen ? 0 : (int)len;
	for (ssize_t i = 0; i < len; i += (ssize_t)strlen(s->list + i) + 1) {
		const char *name = s->list + i;
		ssize_t n;

		if (!lg_xattr_travels(s->pass.kind, name))
			continue;
		n = lg_xattr_get(of, name, s->value, LG_XATTR_MAX);
		if (!s->pass.frozen && (n == -ENODATA || is_gone((int)n)))
			continue;
		if (n < 0)
			return (int)n;
		lg_out_op(s->out, LG_OP_XATTR, name);
		lg_out_u32(s->out, (uint32_t)n);
		lg_out_bytes(s->out, s->value, (size_t)n);
	}
	return 0;
}

static int send_meta(struct sender *s, const struct lg_xattr_of *of, const struct stat *st)
{
	int r;

	lg_out_u8(s->out, LG_OP_OWNER);
	lg_out_u32(s->out, st->st_mode & 07777);
	lg_out_u32(s->out, st->st_uid);
	lg_out_u32(s->out, st->st_gid);
	r = send_xattrs(s, of);
	lg_out_u8(s->out, LG_OP_CLOSE);
	lg_out_time(s->out, st->st_atim.tv_sec, (uint32_t)st->st_atim.tv_nsec);
	lg_out_time(s->out, st->st_mtim.tv_sec, (uint32_t)st->st_mtim.tv_nsec);
	s->sent.sent.files++;
	return r;
}

/* ---- content ---- */

/* Return: bytes sent, 0 at the end of a file that has become shorter, negative errno. */
static ssize_t send_chunk(struct sender *s, int fd, off_t at, off_t end)
{
	size_t head = 1 + 8 + 4, want = end - at > LG_DATA_MAX ? LG_DATA_MAX : (size_t)(end - at);
	uint8_t *room = lg_out_room(s->out, head + want);
	ssize_t n;

	if (!room)
		return s->out->failed;
	do
		n = pread(fd, room + head, want, at);
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		return n < 0 ? -errno : 0;
	lg_out_u8(s->out, LG_OP_DATA);
	lg_out_u64(s->out, (uint64_t)at);
	lg_out_u32(s->out, (uint32_t)n);
	lg_out_took(s->out, (size_t)n);
	s->sent.sent.bytes += (uint64_t)n;
	tell(s, false);
	return n;
}

/* The next piece of @fd that is no hole, from @at on. Without such: *@data is @end. */
static int find_data(int fd, off_t at, off_t end, off_t *data, off_t *hole)
{
	*hole = end;
	*data = lseek(fd, at, SEEK_DATA);
	if (*data < 0 && errno == ENXIO) {
		*data = end;
		return 0;
	}
	if (*data < 0 && errno == EINVAL) {
		*data = at;
		return 0;
	}
	if (*data < 0)
		return -errno;
	*hole = lseek(fd, *data, SEEK_HOLE);
	if (*hole < 0 || *hole > end)
		*hole = end;
	return 0;
}

/* As much as the file had when it was looked at; what is missing by now arrives as a hole. */
static int send_data(struct sender *s, int fd, const struct lg_node *node)
{
	off_t end = (off_t)node->size, at = 0, hole = end;
	bool dense = node->blocks * 512 >= node->size;

	while (at < end) {
		off_t data = at;
		int r = dense ? 0 : find_data(fd, at, end, &data, &hole);

		if (r < 0)
			return r;
		for (at = data; at < hole;) {
			ssize_t n = send_chunk(s, fd, at, hole);

			if (n < 0)
				return (int)n;
			if (n == 0)
				return s->pass.frozen ? -ESTALE : 0;
			at += n;
		}
	}
	return 0;
}

static int send_open_file(struct sender *s, int fd, uint32_t i)
{
	struct lg_node *node = &s->pass.now->nodes[i];
	const struct lg_xattr_of of = { .fd = fd };
	struct stat st;
	int r;

	if (fstat(fd, &st) < 0)
		return -errno;
	lg_out_op(s->out, LG_OP_FILE, lg_node_name(s->pass.now, i));
	lg_out_u32(s->out, node->group);
	lg_out_u64(s->out, node->size);
	r = send_data(s, fd, node);
	if (r == 0)
		r = send_meta(s, &of, &st);
	return r;
}

static int send_file(struct sender *s, uint32_t i)
{
	struct lg_node *node = &s->pass.now->nodes[i], seen = *node;
	const char *name = lg_node_name(s->pass.now, i);
	lg_autoclose int fd = openat(s->pass.at.fd, name,
				     O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	int r;

	if (fd < 0 && is_gone(-errno))
		return gone_meanwhile(s, name);
	r = fd < 0 ? -errno : lg_node_look(&seen, fd, "");
	if (r < 0)
		return failed(s, r, "open", name);
	if (!lg_node_same_file(&seen, node))
		return gone_meanwhile(s, name);
	*node = seen;
	r = send_open_file(s, fd, i);
	if (r < 0)
		return s->out->failed ? lost_connection(s) : failed(s, r, "read", name);
	s->sent.flagged += node->attributes;
	return 1;
}

/* ---- what is not opened ---- */

static int send_target(struct sender *s, uint32_t i)
{
	const char *name = lg_node_name(s->pass.now, i);
	char target[LG_TARGET_MAX + 1];
	ssize_t n = readlinkat(s->pass.at.fd, name, target, sizeof(target));

	if (n < 0)
		return -errno;
	if (n == 0 || n > (ssize_t)LG_TARGET_MAX)
		return -ENAMETOOLONG;
	lg_out_op(s->out, LG_OP_SYMLINK, name);
	lg_out_u32(s->out, s->pass.now->nodes[i].group);
	lg_out_u32(s->out, (uint32_t)n);
	lg_out_bytes(s->out, target, (size_t)n);
	return 0;
}

static void send_node(struct sender *s, uint32_t i, const struct stat *st)
{
	lg_out_op(s->out, LG_OP_NODE, lg_node_name(s->pass.now, i));
	lg_out_u32(s->out, s->pass.now->nodes[i].group);
	lg_out_u32(s->out, st->st_mode & S_IFMT);
	lg_out_u32(s->out, S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode) ? major(st->st_rdev) : 0);
	lg_out_u32(s->out, S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode) ? minor(st->st_rdev) : 0);
}

/* What is sent may be of two objects, if a guest swaps them just now: the next pass mends it. */
static int send_special(struct sender *s, uint32_t i)
{
	struct lg_node *node = &s->pass.now->nodes[i], seen = *node;
	const char *name = lg_node_name(s->pass.now, i);
	const struct lg_xattr_of of = { .fd = s->pass.at.fd, .name = name };
	struct stat st;
	int r = lg_node_look(&seen, s->pass.at.fd, name);

	if (r == 0 && fstatat(s->pass.at.fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		r = -errno;
	if (is_gone(r))
		return gone_meanwhile(s, name);
	if (r < 0)
		return failed(s, r, "look at", name);
	if (!lg_node_same_file(&seen, node) || st.st_ino != node->ino)
		return gone_meanwhile(s, name);
	*node = seen;
	if (S_ISLNK(st.st_mode))
		r = send_target(s, i);
	else
		send_node(s, i, &st);
	/* Nothing of a link went out when it could not be read. */
	if (r < 0 && !s->pass.frozen && (is_gone(r) || r == -EINVAL))
		return 0;
	if (r == 0)
		r = send_meta(s, &of, &st);
	return r < 0 ? failed(s, r, "read", name) : 1;
}

/* ---- the two walks ---- */

/* Return: 1: it was sent as the book says; 0: it was not; negative errno. */
static int send_object(struct sender *s, uint32_t i)
{
	const struct lg_node *node = &s->pass.now->nodes[i];
	int r;

	if (node->group && s->groups[node->group]) {
		lg_out_op(s->out, LG_OP_LINK, lg_node_name(s->pass.now, i));
		lg_out_u32(s->out, node->group);
		s->sent.sent.files++;
		return 1;
	}
	r = S_ISREG(node->mode) ? send_file(s, i) : send_special(s, i);
	if (r > 0 && node->group)
		s->groups[node->group] = true;
	return r;
}

/* Return: 1; 0 when it is not the folder any more that was scanned; negative errno. */
static int enter(struct sender *s, uint32_t i, enum lg_transfer_op op)
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
	if (is_gone(r))
		return gone_meanwhile(s, name);
	if (r < 0)
		return failed(s, r, "open", name);
	r = lg_node_look(&seen, s->pass.at.fd, "");
	if (r < 0)
		return failed(s, r, "look at", NULL);
	if (!lg_node_same_file(&seen, &s->pass.now->nodes[i])) {
		r = lg_cursor_up(&s->pass.at);
		return r < 0 ? failed(s, r, "leave", NULL) : gone_meanwhile(s, name);
	}
	lg_out_op(s->out, op, name);
	return 1;
}

static int close_folder(struct sender *s, uint32_t i)
{
	struct lg_node *node = &s->pass.now->nodes[i], seen = *node;
	const struct lg_node *parent = &s->pass.now->nodes[node->parent];
	const struct lg_xattr_of of = { .fd = s->pass.at.fd };
	struct stat st;
	int r = lg_node_look(&seen, s->pass.at.fd, "");

	if (r == 0 && fstat(s->pass.at.fd, &st) < 0)
		r = -errno;
	if (r == 0)
		r = send_meta(s, &of, &st);
	if (r < 0)
		return failed(s, r, "read", NULL);
	*node = seen;
	node->flags |= LG_NODE_SURE;
	s->sent.flagged += node->attributes;
	if (lg_cursor_up(&s->pass.at) < 0 ||
	    (s->pass.at.depth >= LG_CURSOR_HELD &&
	     (lg_node_look(&seen, s->pass.at.fd, "") < 0 || !lg_node_same_file(&seen, parent))))
		return lg_pass_stale(&s->pass, NULL);
	return 0;
}

static void send_removals(struct sender *s, uint32_t folder)
{
	const struct lg_node *node = &s->pass.now->nodes[folder];

	for (uint32_t i = 0; i < node->ngone; i++)
		lg_out_op(s->out, LG_OP_REMOVE,
			  lg_node_name(s->pass.before, s->pass.now->gone[node->gone + i]));
	s->sent.removed += node->ngone;
}

static int leave(struct sender *s, uint32_t folder, enum lg_transfer_op op)
{
	if (op == LG_OP_ENTER)
		return close_folder(s, folder);
	lg_out_u8(s->out, LG_OP_UP);
	return 0;
}

/* One name of the book, in the walk that enters folders by @op. Return: 1: entered; 0; errno. */
static int visit(struct sender *s, uint32_t i, enum lg_transfer_op op)
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
	r = send_object(s, i);
	if (r > 0)
		node->flags |= LG_NODE_SURE;
	tell(s, false);
	return r < 0 ? r : lost_connection(s);
}

static int walk(struct sender *s, enum lg_transfer_op op)
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
	return r < 0 ? r : lost_connection(s);
}

/* ---- a pass ---- */

static void count(struct sender *s)
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

static int send_stream(struct sender *s)
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
		return lost_connection(s);
	keep_sure(s->pass.now);
	tell(s, true);
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
	if (pass->frozen)
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

static int run(struct sender *s)
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
	struct sender s = {
		.pass = { .kind = what->kind, .before = what->before, .now = now, .err = err },
		.how = how ? how : &plainly,
		.out_fd = what->out_fd,
	};
	int top, r;

	if (!now)
		return lg_fail(err, -ENOMEM, "send the layer");
	s.pass.frozen = s.how->frozen;
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
