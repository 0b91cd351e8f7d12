/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_CMD_CRIU_MESSAGE_H
#define LG_CMD_CRIU_MESSAGE_H

/*
 * The form of what is in CRIU's images: a message is a row of fields, each a tag (number of the field times eight, and its kind),
 * then a number, or a length and so many bytes. Numbers have seven bits to a byte, the lowest first.
 */

#include <stddef.h>
#include <stdint.h>

enum field_kind { FIELD_NUMBER = 0, FIELD_BYTES = 2 };

struct reader {
	const uint8_t *p, *end;
};

struct writer {
	uint8_t *data;		/* the caller's to free */
	size_t len, room;
};

/** get_number() - -EBADMSG where there is none. */
int get_number(struct reader *r, uint64_t *ret);

/** get_bytes() - a length and so many bytes: @ret is a part of @r. */
int get_bytes(struct reader *r, struct reader *ret);

/** put_bytes() - @len bytes as they are. -ENOMEM. */
int put_bytes(struct writer *w, const void *data, size_t len);

/** put_number() - likewise. */
int put_number(struct writer *w, uint64_t v);

#endif
