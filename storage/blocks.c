/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "storage/blocks.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <nettle/sha2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/file.h"

#define MAGIC UINT64_C(0x31736b6c62656701)
#define LAST UINT64_MAX
#define EXTENTS 512u		/* asked for at a time */
#define TICK_NS 100000000	/* far more than one */
#define SUM 16u		/* bytes of a block's digest in the book; none of an empty one */

struct head {
	uint64_t magic, size, first;
};

struct record {
	uint64_t block, len;
};

struct lg_blocks {
	uint64_t n;
	uint8_t (*sums)[SUM];
	struct timespec written, began;	/* the file's times of the last pass, and its own; none: 0 */
};

struct sender {
	int file, out;
	uint8_t *marks;		/* a bit for each block that is to be looked at; NULL: all are */
	uint64_t size;
	struct lg_blocks *book;
	struct sha256_ctx sum;
	uint64_t bytes;
	uint8_t data[LG_BLOCK];
};

void lg_blocks_free(struct lg_blocks *book)
{
	if (book)
		free(book->sums);
	free(book);
}

/* ---- here ---- */

static int say(struct sender *s, const void *data, size_t len)
{
	sha256_update(&s->sum, len, data);
	return lg_write_all(s->out, data, len);
}

static int say_block(struct sender *s, uint64_t block, size_t len)
{
	struct record rec = { htole64(block), htole64(len) };
	int r = say(s, &rec, sizeof(rec));

	s->bytes += len;
	return r < 0 || len == 0 ? r : say(s, s->data, len);
}

static bool is_empty(const uint8_t *data, size_t len)
{
	return len == 0 || (data[0] == 0 && memcmp(data, data + 1, len - 1) == 0);
}

static void sum_up(const uint8_t *data, size_t len, uint8_t ret[SUM])
{
	uint8_t digest[SHA256_DIGEST_SIZE];
	struct sha256_ctx sum;

	memset(ret, 0, SUM);
	if (is_empty(data, len))
		return;
	sha256_init(&sum);
	sha256_update(&sum, len, data);
	sha256_digest(&sum, sizeof(digest), digest);
	memcpy(ret, digest, SUM);
	ret[0] |= 1;	/* never that of an empty one */
}

/* Return: bytes read; less than @len only at the end of a file that became shorter. */
static ssize_t read_at(int file, uint8_t *data, size_t len, uint64_t at)
{
	size_t have = 0;

	while (have < len) {
		ssize_t n = pread(file, data + have, len - have, (off_t)(at + have));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : (ssize_t)have;
		have += (size_t)n;
	}
	return (ssize_t)have;
}

/* @hole: there is nothing of it in the file. */
static int pass_block(struct sender *s, uint64_t block, bool hole)
{
	uint64_t at = block * LG_BLOCK;
	size_t len = s->size - at < LG_BLOCK ? (size_t)(s->size - at) : LG_BLOCK;
	ssize_t n = hole ? 0 : read_at(s->file, s->data, len, at);
	uint8_t sum[SUM] = { 0 }, *was = s->book->sums[block];

	if (n < 0)
		return (int)n;
	sum_up(s->data, (size_t)n, sum);
	if (memcmp(sum, was, SUM) == 0)
		return 0;
	memcpy(was, sum, SUM);
	return say_block(s, block, sum[0] ? (size_t)n : 0);
}

/* Where there is something again at or behind @at. */
static uint64_t next_data(const struct sender *s, uint64_t at)
{
	off_t next = lseek(s->file, (off_t)at, SEEK_DATA);

	if (next < 0)
		return errno == ENXIO ? s->size : at;
	return (uint64_t)next;
}

static int pass_all(struct sender *s)
{
	uint64_t data = 0;
	int r = 0;

	for (uint64_t i = 0; r == 0 && i < s->book->n; i++) {
		if (s->marks && !(s->marks[i / 8] & 1u << i % 8))
			continue;
		if (data < i * LG_BLOCK)
			data = next_data(s, i * LG_BLOCK);
		r = pass_block(s, i, data >= (i + 1) * LG_BLOCK);
	}
	return r;
}

static int64_t ns_of(const struct timespec *t)
{
	return (int64_t)t->tv_sec * 1000000000 + t->tv_nsec;
}

/*
 * Has nobody written to it since the last pass began? A file's times go by a clock that is behind by as much as a tick: what was
 * written shortly before may have been written shortly after as well.
 */
static bool is_as_it_was(const struct lg_blocks *book, const struct stat *st)
{
	return ns_of(&book->began) && ns_of(&st->st_mtim) == ns_of(&book->written) &&
	       ns_of(&st->st_mtim) + TICK_NS < ns_of(&book->began);
}

/* ---- where it was written to ---- */

static void mark(struct sender *s, uint64_t from, uint64_t len)
{
	for (uint64_t i = from / LG_BLOCK; i < s->book->n && i * LG_BLOCK < from + len; i++)
		s->marks[i / 8] |= (uint8_t)(1u << i % 8);
}

/* What has a place on the disk, or is to get one; also what was never more than zeros. */
static int mark_extents(struct sender *s, int written)
{
	lg_autofree struct fiemap *map = calloc(1, sizeof(*map) + EXTENTS * sizeof(struct fiemap_extent));
	uint64_t from = 0;

	while (map) {
		*map = (struct fiemap){ .fm_start = from, .fm_length = FIEMAP_MAX_OFFSET - from, .fm_extent_count = EXTENTS };
		if (ioctl(written, FS_IOC_FIEMAP, map) < 0)
			return -errno;
		for (unsigned int i = 0; i < map->fm_mapped_extents; i++) {
			const struct fiemap_extent *e = &map->fm_extents[i];

			mark(s, e->fe_logical, e->fe_length);
			from = e->fe_logical + e->fe_length;
			if (e->fe_flags & FIEMAP_EXTENT_LAST)
				return 0;
		}
		if (map->fm_mapped_extents == 0)
			return 0;
	}
	return -ENOMEM;
}

/* What is only in memory yet. */
static int mark_data(struct sender *s, int written)
{
	off_t at = 0, end;

	while ((at = lseek(written, at, SEEK_DATA)) >= 0) {
		end = lseek(written, at, SEEK_HOLE);
		if (end < 0)
			break;
		mark(s, (uint64_t)at, (uint64_t)(end - at));
		at = end;
	}
	return errno == ENXIO ? 0 : -errno;
}

static void mark_all(struct sender *s, int written)
{
	s->marks = calloc(1, s->book->n / 8 + 1);
	if (s->marks && (mark_extents(s, written) < 0 || mark_data(s, written) < 0)) {
		free(s->marks);
		s->marks = NULL;
	}
}

static int size_book(struct sender *s)
{
	uint64_t n = (s->size + LG_BLOCK - 1) / LG_BLOCK;
	void *sums = n > s->book->n ? reallocarray(s->book->sums, n, SUM) : s->book->sums;

	if (n > 0 && !sums)
		return -ENOMEM;
	s->book->sums = sums;
	if (n > s->book->n)
		memset(s->book->sums + s->book->n, 0, (n - s->book->n) * SUM);
	s->book->n = n;
	return 0;
}

static int send_pass(struct sender *s, bool first, bool nothing)
{
	struct head head = { htole64(MAGIC), htole64(s->size), htole64(first) };
	uint8_t digest[SHA256_DIGEST_SIZE];
	int r;

	sha256_init(&s->sum);
	r = say(s, &head, sizeof(head));
	if (r == 0 && !nothing)
		r = pass_all(s);
	if (r == 0)
		r = say_block(s, LAST, 0);
	if (r < 0)
		return r;
	sha256_digest(&s->sum, sizeof(digest), digest);
	return lg_write_all(s->out, digest, sizeof(digest));
}

int lg_blocks_send(int file, struct lg_blocks **book, int out, uint64_t *ret_bytes, struct lg_err *err)
{
	return lg_blocks_send_written(file, -1, book, out, ret_bytes, err);
}

int lg_blocks_send_written(int file, int written, struct lg_blocks **book, int out, uint64_t *ret_bytes, struct lg_err *err)
{
	lg_autofree struct sender *s = calloc(1, sizeof(*s));
	bool first = !*book, nothing;
	struct timespec now;
	struct stat st;
	int r;

	if (first)
		*book = calloc(1, sizeof(**book));
	if (!s || !*book)
		return lg_fail(err, -ENOMEM, "send its disk");
	clock_gettime(CLOCK_REALTIME, &now);
	if (fstat(file, &st) < 0)
		return lg_fail(err, -errno, "look at its disk");
	s->file = file;
	s->out = out;
	s->size = (uint64_t)st.st_size;
	s->book = *book;
	nothing = !first && is_as_it_was(*book, &st);
	r = size_book(s);
	if (r == 0 && !first && !nothing && written >= 0)
		mark_all(s, written);
	if (r == 0)
		r = send_pass(s, first, nothing);
	free(s->marks);
	(*book)->began = now;
	(*book)->written = st.st_mtim;
	*ret_bytes = s->bytes;
	return r < 0 ? lg_fail(err, r, "send its disk") : 0;
}

/* ---- there ---- */

struct receiver {
	int in, file;
	uint64_t size;
	struct sha256_ctx sum;
	uint8_t data[LG_BLOCK];
};

static int read_all(int fd, void *data, size_t len)
{
	ssize_t n = lg_read_all(fd, data, len);

	return n < 0 ? (int)n : (size_t)n < len ? -EBADMSG : 0;
}

static int hear(struct receiver *rv, void *data, size_t len)
{
	int r = read_all(rv->in, data, len);

	if (r == 0)
		sha256_update(&rv->sum, len, data);
	return r;
}

static int write_at(int file, const uint8_t *data, size_t len, uint64_t at)
{
	while (len > 0) {
		ssize_t n = pwrite(file, data, len, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		data += n;
		len -= (size_t)n;
		at += (uint64_t)n;
	}
	return 0;
}

/* Return: 1 for the last one. */
static int take_record(struct receiver *rv)
{
	struct record rec;
	uint64_t at, room;
	int r = hear(rv, &rec, sizeof(rec));

	if (r < 0)
		return r;
	rec = (struct record){ le64toh(rec.block), le64toh(rec.len) };
	if (rec.block == LAST)
		return rec.len == 0 ? 1 : -EBADMSG;
	if (rec.block >= (rv->size + LG_BLOCK - 1) / LG_BLOCK)
		return -EBADMSG;
	at = rec.block * LG_BLOCK;
	room = rv->size - at < LG_BLOCK ? rv->size - at : LG_BLOCK;
	if (rec.len > room)
		return -EBADMSG;
	/* What is left of a block behind what was sent of it is empty, too. */
	if (rec.len < room && fallocate(rv->file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)at, (off_t)room) < 0)
		return -errno;
	r = hear(rv, rv->data, (size_t)rec.len);
	return r < 0 ? r : write_at(rv->file, rv->data, (size_t)rec.len, at);
}

static int take_head(struct receiver *rv, uint64_t max_bytes)
{
	struct head head;
	int r = hear(rv, &head, sizeof(head));

	if (r < 0)
		return r;
	if (le64toh(head.magic) != MAGIC)
		return -EBADMSG;
	rv->size = le64toh(head.size);
	if (rv->size > max_bytes || rv->size > INT64_MAX)
		return -EFBIG;
	if ((head.first && ftruncate(rv->file, 0) < 0) || ftruncate(rv->file, (off_t)rv->size) < 0)
		return -errno;
	return 0;
}

static int take_pass(struct receiver *rv, uint64_t max_bytes)
{
	uint8_t wanted[SHA256_DIGEST_SIZE], digest[SHA256_DIGEST_SIZE];
	int r;

	sha256_init(&rv->sum);
	r = take_head(rv, max_bytes);
	while (r == 0)
		r = take_record(rv);
	if (r < 0)
		return r;
	sha256_digest(&rv->sum, sizeof(digest), digest);
	r = read_all(rv->in, wanted, sizeof(wanted));
	if (r == 0 && memcmp(wanted, digest, sizeof(digest)) != 0)
		r = -EBADMSG;
	return r == 0 && fsync(rv->file) < 0 ? -errno : r;
}

int lg_blocks_receive(int in, int file, uint64_t max_bytes, struct lg_err *err)
{
	lg_autofree struct receiver *rv = calloc(1, sizeof(*rv));
	int r;

	if (!rv)
		return lg_fail(err, -ENOMEM, "receive a disk");
	rv->in = in;
	rv->file = file;
	r = take_pass(rv, max_bytes);
	if (r == -EBADMSG)
		return lg_refuse(err, r, 0, "what came is no disk, is cut short or was changed on the way");
	return r < 0 ? lg_fail(err, r, "receive a disk") : 0;
}
