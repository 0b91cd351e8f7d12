/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "storage/transfer_stream.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

#include "lib/cleanup.h"
#include "lib/file.h"

/* ---- out ---- */

void lg_out_start(struct lg_out *out, int fd)
{
	out->fd = fd;
	out->len = 0;
	out->failed = 0;
	sha256_init(&out->sum);
}

static void put_u32(uint8_t *at, uint32_t v)
{
	v = htole32(v);
	memcpy(at, &v, sizeof(v));
}

static void flush(struct lg_out *out)
{
	if (out->failed == 0 && out->len > 0) {
		sha256_update(&out->sum, out->len, out->buf + 4);
		put_u32(out->buf, (uint32_t)out->len);
		out->failed = lg_write_all(out->fd, out->buf, 4 + out->len);
	}
	out->len = 0;
}

uint8_t *lg_out_room(struct lg_out *out, size_t len)
{
	if (len > LG_FRAME_MAX - out->len)
		flush(out);
	return out->failed ? NULL : out->buf + 4 + out->len;
}

void lg_out_took(struct lg_out *out, size_t len)
{
	out->len += len;
}

void lg_out_bytes(struct lg_out *out, const void *data, size_t len)
{
	uint8_t *room = lg_out_room(out, len);

	if (!room || len == 0)
		return;
	memcpy(room, data, len);
	lg_out_took(out, len);
}

void lg_out_u8(struct lg_out *out, uint8_t v)
{
	lg_out_bytes(out, &v, sizeof(v));
}

void lg_out_u32(struct lg_out *out, uint32_t v)
{
	v = htole32(v);
	lg_out_bytes(out, &v, sizeof(v));
}

void lg_out_u64(struct lg_out *out, uint64_t v)
{
	v = htole64(v);
	lg_out_bytes(out, &v, sizeof(v));
}

void lg_out_time(struct lg_out *out, int64_t sec, uint32_t nsec)
{
	lg_out_u64(out, (uint64_t)sec);
	lg_out_u32(out, nsec);
}

void lg_out_op(struct lg_out *out, enum lg_transfer_op op, const char *name)
{
	size_t len = strlen(name);

	lg_out_u8(out, (uint8_t)op);
	lg_out_u8(out, (uint8_t)len);
	lg_out_bytes(out, name, len);
}

int lg_out_finish(struct lg_out *out, uint8_t digest[SHA256_DIGEST_SIZE])
{
	uint8_t tail[4 + SHA256_DIGEST_SIZE] = { 0 };

	flush(out);
	if (out->failed)
		return out->failed;
	sha256_digest(&out->sum, SHA256_DIGEST_SIZE, digest);
	memcpy(tail + 4, digest, SHA256_DIGEST_SIZE);
	return out->failed = lg_write_all(out->fd, tail, sizeof(tail));
}

/* ---- in ---- */

void lg_in_start(struct lg_in *in, int fd, struct lg_err *err)
{
	in->fd = fd;
	in->at = in->len = 0;
	in->err = err;
	in->failed = 0;
	sha256_init(&in->sum);
}

int lg_in_broken(struct lg_in *in, const char *why)
{
	if (in->failed == 0)
		in->failed = lg_refuse(in->err, -EBADMSG, 0, "the stream is broken: %s", why);
	return in->failed;
}

static int read_all(struct lg_in *in, void *data, size_t len)
{
	ssize_t n = in->failed ? 0 : lg_read_all(in->fd, data, len);

	if (n < 0)
		in->failed = lg_fail(in->err, (int)n, "read the stream");
	else if (in->failed == 0 && (size_t)n < len)
		lg_in_broken(in, "it ends too early");
	return in->failed;
}

static uint32_t get_u32(const uint8_t *at)
{
	uint32_t v;

	memcpy(&v, at, sizeof(v));
	return le32toh(v);
}

static void next_frame(struct lg_in *in)
{
	uint8_t head[4];
	uint32_t len;

	if (read_all(in, head, sizeof(head)) < 0)
		return;
	len = get_u32(head);
	if (len == 0 || len > LG_FRAME_MAX) {
		lg_in_broken(in, len ? "a frame is too large" : "it ends in the middle");
		return;
	}
	if (read_all(in, in->buf, len) < 0)
		return;
	sha256_update(&in->sum, len, in->buf);
	in->at = 0;
	in->len = len;
}

const uint8_t *lg_in_some(struct lg_in *in, size_t max, size_t *ret_len)
{
	const uint8_t *here;
	size_t len;

	if (in->failed == 0 && in->at == in->len)
		next_frame(in);
	if (in->failed)
		return NULL;
	len = in->len - in->at;
	if (len > max)
		len = max;
	here = in->buf + in->at;
	in->at += len;
	*ret_len = len;
	return here;
}

void lg_in_bytes(struct lg_in *in, void *data, size_t len)
{
	uint8_t *at = data;

	while (len > 0) {
		size_t n;
		const uint8_t *some = lg_in_some(in, len, &n);

		if (!some) {
			memset(at, 0, len);
			return;
		}
		memcpy(at, some, n);
		at += n;
		len -= n;
	}
}

uint8_t lg_in_u8(struct lg_in *in)
{
	uint8_t v;

	lg_in_bytes(in, &v, sizeof(v));
	return v;
}

uint32_t lg_in_u32(struct lg_in *in)
{
	uint32_t v;

	lg_in_bytes(in, &v, sizeof(v));
	return le32toh(v);
}

uint64_t lg_in_u64(struct lg_in *in)
{
	uint64_t v;

	lg_in_bytes(in, &v, sizeof(v));
	return le64toh(v);
}

void lg_in_time(struct lg_in *in, struct timespec *ret)
{
	uint64_t sec = lg_in_u64(in);
	uint32_t nsec = lg_in_u32(in);

	if (nsec >= 1000000000u)
		lg_in_broken(in, "a time is none");
	ret->tv_sec = (time_t)(int64_t)sec;
	ret->tv_nsec = (long)nsec;
}

void lg_in_name(struct lg_in *in, char name[256])
{
	size_t len = lg_in_u8(in);

	lg_in_bytes(in, name, len);
	name[len] = '\0';
	if (strlen(name) != len || len == 0)
		lg_in_broken(in, "a name is empty or has a zero byte in it");
}

int lg_in_finish(struct lg_in *in, uint8_t digest[SHA256_DIGEST_SIZE])
{
	uint8_t tail[4 + SHA256_DIGEST_SIZE], sum[SHA256_DIGEST_SIZE];

	if (in->failed == 0 && in->at != in->len)
		lg_in_broken(in, "something follows its end");
	if (read_all(in, tail, sizeof(tail)) < 0)
		return in->failed;
	if (get_u32(tail) != 0)
		return lg_in_broken(in, "something follows its end");
	sha256_digest(&in->sum, sizeof(sum), sum);
	if (memcmp(sum, tail + 4, sizeof(sum)) != 0)
		return lg_in_broken(in, "its digest is another one: it was changed on the way");
	memcpy(digest, sum, sizeof(sum));
	return 0;
}
