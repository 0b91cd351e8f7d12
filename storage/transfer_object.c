/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * How one object is sent. What is recorded in the book of a file is how it was before it was read. If
 * it is written to meanwhile the next pass finds a later ctime and sends it again; what arrives now
 * may be half old and half new, which nobody looks at before that pass.
 */

#include "storage/transfer_object.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "lib/cleanup.h"

int lg_sender_fail(const struct lg_sender *s, int code, const char *verb, const char *name)
{
	char where[LG_WHERE_MAX];

	return lg_fail(s->pass.err, code, "%s '%s'", verb,
		       lg_cursor_where(&s->pass.at, name, where));
}

int lg_sender_lost(const struct lg_sender *s)
{
	return s->out->failed < 0 ? lg_fail(s->pass.err, s->out->failed, "write the stream") : 0;
}

/* @name is not any more what the scan saw. */
int lg_sender_gone(const struct lg_sender *s, const char *name)
{
	return s->pass.frozen ? lg_pass_stale(&s->pass, name) : 0;
}

bool lg_is_gone(int r)
{
	return r == -ENOENT || r == -ENOTDIR || r == -ELOOP || r == -ENXIO || r == -EACCES;
}

void lg_sender_tell(struct lg_sender *s, bool end)
{
	uint64_t now = s->sent.sent.bytes + s->sent.sent.files * 512;

	if (!s->how->progress || (!end && now - s->told < LG_FRAME_MAX))
		return;
	s->told = now;
	s->how->progress(&s->sent.sent, &s->total, s->how->arg);
}

/* ---- what every object has ---- */

static int send_xattrs(struct lg_sender *s, const struct lg_xattr_of *of)
{
	ssize_t len = lg_xattr_list(of, s->list, LG_XATTR_MAX);

	/* An object that was begun is sent to its end, whatever became of it. */
	if (len < 0)
		return lg_is_gone((int)len) && !s->pass.frozen ? 0 : (int)len;
	for (ssize_t i = 0; i < len; i += (ssize_t)strlen(s->list + i) + 1) {
		const char *name = s->list + i;
		ssize_t n;

		if (!lg_xattr_travels(s->pass.kind, name))
			continue;
		n = lg_xattr_get(of, name, s->value, LG_XATTR_MAX);
		if (!s->pass.frozen && (n == -ENODATA || lg_is_gone((int)n)))
			continue;
		if (n < 0)
			return (int)n;
		lg_out_op(s->out, LG_OP_XATTR, name);
		lg_out_u32(s->out, (uint32_t)n);
		lg_out_bytes(s->out, s->value, (size_t)n);
	}
	return 0;
}

int lg_object_meta(struct lg_sender *s, const struct lg_xattr_of *of, const struct stat *st)
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
static ssize_t send_chunk(struct lg_sender *s, int fd, off_t at, off_t end)
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
	lg_sender_tell(s, false);
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
static int send_data(struct lg_sender *s, int fd, const struct lg_node *node)
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

static int send_open_file(struct lg_sender *s, int fd, uint32_t i)
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
		r = lg_object_meta(s, &of, &st);
	return r;
}

static int send_file(struct lg_sender *s, uint32_t i)
{
	struct lg_node *node = &s->pass.now->nodes[i], seen = *node;
	const char *name = lg_node_name(s->pass.now, i);
	lg_autoclose int fd = openat(s->pass.at.fd, name,
				     O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	int r;

	if (fd < 0 && lg_is_gone(-errno))
		return lg_sender_gone(s, name);
	r = fd < 0 ? -errno : lg_node_look(&seen, fd, "");
	if (r < 0)
		return lg_sender_fail(s, r, "open", name);
	if (!lg_node_same_file(&seen, node))
		return lg_sender_gone(s, name);
	*node = seen;
	r = send_open_file(s, fd, i);
	if (r < 0)
		return s->out->failed ? lg_sender_lost(s) : lg_sender_fail(s, r, "read", name);
	s->sent.flagged += node->attributes;
	return 1;
}

/* ---- what is not opened ---- */

static int send_target(struct lg_sender *s, uint32_t i)
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

static void send_node(struct lg_sender *s, uint32_t i, const struct stat *st)
{
	lg_out_op(s->out, LG_OP_NODE, lg_node_name(s->pass.now, i));
	lg_out_u32(s->out, s->pass.now->nodes[i].group);
	lg_out_u32(s->out, st->st_mode & S_IFMT);
	lg_out_u32(s->out, S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode) ? major(st->st_rdev) : 0);
	lg_out_u32(s->out, S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode) ? minor(st->st_rdev) : 0);
}

/* What is sent may be of two objects, if a guest swaps them just now: the next pass mends it. */
static int send_special(struct lg_sender *s, uint32_t i)
{
	struct lg_node *node = &s->pass.now->nodes[i], seen = *node;
	const char *name = lg_node_name(s->pass.now, i);
	const struct lg_xattr_of of = { .fd = s->pass.at.fd, .name = name };
	struct stat st;
	int r = lg_node_look(&seen, s->pass.at.fd, name);

	if (r == 0 && fstatat(s->pass.at.fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		r = -errno;
	if (lg_is_gone(r))
		return lg_sender_gone(s, name);
	if (r < 0)
		return lg_sender_fail(s, r, "look at", name);
	if (!lg_node_same_file(&seen, node) || st.st_ino != node->ino)
		return lg_sender_gone(s, name);
	*node = seen;
	if (S_ISLNK(st.st_mode))
		r = send_target(s, i);
	else
		send_node(s, i, &st);
	/* Nothing of a link went out when it could not be read. */
	if (r < 0 && !s->pass.frozen && (lg_is_gone(r) || r == -EINVAL))
		return 0;
	if (r == 0)
		r = lg_object_meta(s, &of, &st);
	return r < 0 ? lg_sender_fail(s, r, "read", name) : 1;
}

/* Return: 1: it was sent as the book says; 0: it was not; negative errno. */
int lg_object_send(struct lg_sender *s, uint32_t i)
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
