/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Owners of cgroups are the one thing that CRIU writes down as the host sees it (images/cgroup.proto). They are moved to
 * the container's range on this host by writing the image anew.
 *
 * How it works: only the few messages on the way to an owner are gone through, by the table below; every other field is copied as
 * it is.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/lodge-criu/criu.h"
#include "cmd/lodge-criu/message.h"
#include "lib/cleanup.h"
#include "lib/file.h"

#define FILE_NAME "cgroup.img"
#define HEAD 12u		/* two magic numbers, the size */
#define IMAGE_MAX (64u << 20)
#define DEPTH_MAX 80

enum message { NONE, ENTRY, CONTROLLER, DIR_ENTRY, PROPERTY, PERMS, ID };

/* clang-format off */
static const struct {
	enum message in;
	uint32_t field;
	enum message is;
} paths[] = {
	{ ENTRY,	2, CONTROLLER },
	{ CONTROLLER,	2, DIR_ENTRY },
	{ DIR_ENTRY,	2, DIR_ENTRY },
	{ DIR_ENTRY,	3, PROPERTY },
	{ DIR_ENTRY,	4, PERMS },
	{ PROPERTY,	3, PERMS },
	{ PERMS,	2, ID },	/* user */
	{ PERMS,	3, ID },	/* group */
};
/* clang-format on */

static enum message what_is(enum message in, uint32_t field)
{
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
		if (paths[i].in == in && paths[i].field == field)
			return paths[i].is;
	return NONE;
}

static uint64_t moved(uint64_t id, uint32_t was)
{
	return id >= was && id - was < job.count ? id - was + job.owner : id;
}

static int copy_message(struct reader r, enum message is, struct writer *w, uint32_t was, int depth);

static int copy_bytes(struct reader *r, enum message is, struct writer *w, uint32_t was, int depth)
{
	struct writer inner = { .data = NULL };
	struct reader part;
	int ret = get_bytes(r, &part);

	if (ret == 0 && is != NONE && is != ID) {
		ret = copy_message(part, is, &inner, was, depth + 1);
		part = (struct reader){ inner.data, inner.data + inner.len };
	}
	if (ret == 0)
		ret = put_number(w, (uint64_t)(part.end - part.p));
	if (ret == 0)
		ret = put_bytes(w, part.p, (size_t)(part.end - part.p));
	free(inner.data);
	return ret;
}

static int copy_message(struct reader r, enum message is, struct writer *w, uint32_t was, int depth)
{
	uint64_t tag, number;
	int ret = depth > DEPTH_MAX ? -E2BIG : 0;

	while (ret == 0 && r.p < r.end) {
		enum message what;

		ret = get_number(&r, &tag);
		if (ret == 0)
			ret = put_number(w, tag);
		if (ret < 0)
			return ret;
		what = what_is(is, (uint32_t)(tag >> 3));
		if ((tag & 7) == FIELD_BYTES) {
			ret = copy_bytes(&r, what, w, was, depth);
		} else if ((tag & 7) == FIELD_NUMBER) {
			ret = get_number(&r, &number);
			if (ret == 0)
				ret = put_number(w, what == ID ? moved(number, was) : number);
		} else {
			return -EBADMSG;
		}
	}
	return ret;
}

int ids_move_cgroups(uint32_t was, struct lg_err *err)
{
	lg_autofree char *text = NULL;
	struct writer w = { .data = NULL };
	struct reader r;
	size_t len = 0;
	uint32_t size;
	int ret = lg_file_read(job.images, FILE_NAME, IMAGE_MAX, &text, &len, err);

	if (ret < 0)
		return ret == -ENOENT ? 0 : ret;
	if (len < HEAD)
		return lg_refuse(err, -EBADMSG, 0, "'" FILE_NAME "' of the images is damaged");
	r = (struct reader){ (const uint8_t *)text + HEAD, (const uint8_t *)text + len };
	ret = put_bytes(&w, text, HEAD);
	if (ret == 0)
		ret = copy_message(r, ENTRY, &w, was, 0);
	if (ret == 0) {
		size = (uint32_t)(w.len - HEAD);
		memcpy(w.data + HEAD - sizeof(size), &size, sizeof(size));
		ret = lg_file_replace_fast(job.images, FILE_NAME, (const char *)w.data, w.len, 0600, err);
	} else {
		lg_fail(err, ret, "'" FILE_NAME "' of the images is damaged");
	}
	free(w.data);
	return ret;
}
