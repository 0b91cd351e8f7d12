/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/lodge-criu/message.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int get_number(struct reader *r, uint64_t *ret)
{
	*ret = 0;
	for (unsigned int shift = 0; r->p < r->end && shift < 64; shift += 7) {
		*ret |= (uint64_t)(*r->p & 0x7f) << shift;
		if (!(*r->p++ & 0x80))
			return 0;
	}
	return -EBADMSG;
}

int get_bytes(struct reader *r, struct reader *ret)
{
	uint64_t len;

	if (get_number(r, &len) < 0 || len > (uint64_t)(r->end - r->p))
		return -EBADMSG;
	*ret = (struct reader){ r->p, r->p + len };
	r->p += len;
	return 0;
}

int put_bytes(struct writer *w, const void *data, size_t len)
{
	if (w->len + len > w->room) {
		size_t room = (w->len + len) * 2;
		uint8_t *more = realloc(w->data, room);

		if (!more)
			return -ENOMEM;
		w->data = more;
		w->room = room;
	}
	if (len)
		memcpy(w->data + w->len, data, len);
	w->len += len;
	return 0;
}

int put_number(struct writer *w, uint64_t v)
{
	uint8_t buf[10];
	size_t n = 0;

	for (; v >= 0x80; v >>= 7)
		buf[n++] = (uint8_t)(v | 0x80);
	buf[n++] = (uint8_t)v;
	return put_bytes(w, buf, n);
}
