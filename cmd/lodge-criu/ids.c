/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * The images hold ids as the container sees them, but for the map of its user namespace. Where the container has another
 * range now than when it was dumped, that one image is written anew, and so are the owners of its cgroups (ids_cgroup.c).
 *
 * The form is CRIU's (images/userns.proto, images/image-desc.c): two magic numbers, the size of one message, and the
 * message, in which field 1 and 2 are the extents of users and groups: { 1: first, 2: lower_first, 3: count }.
 */

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd/lodge-criu/criu.h"
#include "lib/cleanup.h"
#include "lib/file.h"

#define MAGIC_COMMON 0x54564319u
#define MAGIC_USERNS 0x55474906u
#define USERS 1u
#define GROUPS 2u

struct image {
	uint8_t data[128];
	size_t len;
};

static void put_u32(struct image *im, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		im->data[im->len++] = (uint8_t)(v >> (8 * i));
}

static void put_varint(struct image *im, uint32_t v)
{
	for (; v >= 0x80; v >>= 7)
		im->data[im->len++] = (uint8_t)(v | 0x80);
	im->data[im->len++] = (uint8_t)v;
}

static void put_number(struct image *im, unsigned int field, uint32_t v)
{
	put_varint(im, field << 3);
	put_varint(im, v);
}

static void put_extent(struct image *im, unsigned int field)
{
	struct image inner = { .len = 0 };

	put_number(&inner, 1, 0);
	put_number(&inner, 2, job.owner);
	put_number(&inner, 3, job.count);
	put_varint(im, field << 3 | 2);
	put_varint(im, (uint32_t)inner.len);
	memcpy(im->data + im->len, inner.data, inner.len);
	im->len += inner.len;
}

/* The lower_first of the first extent: it stands at a fixed place of what CRIU and we write. */
static int read_base(const char *name, uint32_t *ret, struct lg_err *err)
{
	lg_autofree char *text = NULL;
	const uint8_t *p, *end;
	size_t len = 0;
	int r = lg_file_read(job.images, name, 65536, &text, &len, err);

	if (r < 0)
		return r;
	p = (const uint8_t *)text + 12;
	end = (const uint8_t *)text + len;
	*ret = 0;
	/* { 1: { 1: 0, 2: base, ... } }: tag, length, tag, 0, tag, base */
	if (len < 12 + 8 || p[0] != (USERS << 3 | 2) || p[2] != 1 << 3 || p[3] != 0 || p[4] != 2 << 3)
		return lg_refuse(err, -EBADMSG, 0, "'%s' of the images is not as CRIU writes it", name);
	p += 5;
	for (unsigned int shift = 0; p < end && shift < 32; shift += 7) {
		*ret |= (uint32_t)(*p & 0x7f) << shift;
		if (!(*p++ & 0x80))
			return 0;
	}
	return lg_refuse(err, -EBADMSG, 0, "'%s' of the images is damaged", name);
}

static int rewrite(const char *name, struct lg_err *err)
{
	struct image message = { .len = 0 }, image = { .len = 0 };

	put_extent(&message, USERS);
	put_extent(&message, GROUPS);
	put_u32(&image, MAGIC_COMMON);
	put_u32(&image, MAGIC_USERNS);
	put_u32(&image, (uint32_t)message.len);
	memcpy(image.data + image.len, message.data, message.len);
	image.len += message.len;
	return lg_file_replace_fast(job.images, name, (const char *)image.data, image.len, 0600,
				    err);
}

/* The first of them; there is only one. */
static int move(const char *name, void *arg, struct lg_err *err)
{
	unsigned int *n = arg;
	uint32_t was;
	int r = (*n)++ ? 0 : read_base(name, &was, err);

	if (r < 0 || *n > 1 || was == job.owner)
		return r;
	r = rewrite(name, err);
	return r < 0 ? r : ids_move_cgroups(was, err);
}

int ids_rewrite(struct lg_err *err)
{
	unsigned int n = 0;
	int r = images_each("userns-", move, &n, err);

	if (r == 0 && n != 1)
		return lg_refuse(err, -EBADMSG, 0, "the images are of %u user namespaces", n);
	return r;
}
