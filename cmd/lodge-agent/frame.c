/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/lodge-agent/frame.h"

#include <endian.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

_Static_assert(LG_AGENT_PAYLOAD == LG_MSG_BYTES, "a message fits into a frame");
_Static_assert(FRAMES_IN >= 2 * (sizeof(struct lg_agent_head) + LG_AGENT_PAYLOAD), "a frame fits");

void frames_init(struct frames *f, int fd)
{
	f->fd = fd;
	f->in_at = f->in_len = 0;
	f->out_at = f->out_len = 0;
}

int frames_read(struct frames *f)
{
	ssize_t n;

	if (f->in_at) {
		memmove(f->in, f->in + f->in_at, f->in_len);
		f->in_at = 0;
	}
	do
		n = read(f->fd, f->in + f->in_len, sizeof(f->in) - f->in_len);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN ? 0 : -errno;
	f->in_len += (size_t)n;
	return n == 0 ? -EPIPE : 1;
}

int frames_next(struct frames *f, struct frame *ret)
{
	struct lg_agent_head head;
	size_t size;

	if (f->in_len < FRAME_HEAD)
		return 0;
	memcpy(&head, f->in + f->in_at, FRAME_HEAD);
	size = le32toh(head.size);
	if (size > LG_AGENT_PAYLOAD || head.zero)
		return -EPROTO;
	if (f->in_len < FRAME_HEAD + size)
		return 0;
	ret->kind = le16toh(head.kind);
	ret->channel = le32toh(head.channel);
	ret->size = size;
	ret->bytes = f->in + f->in_at + FRAME_HEAD;
	f->in_at += FRAME_HEAD + size;
	f->in_len -= FRAME_HEAD + size;
	return 1;
}

int frame_message(const struct frame *frame, struct lg_msg *ret)
{
	lg_msg_init(ret, frame->kind);
	if (frame->size && frame->bytes[frame->size - 1] != '\0')
		return -EBADMSG;
	memcpy(ret->text, frame->bytes, frame->size);
	ret->len = frame->size;
	return 0;
}

size_t frames_room(const struct frames *f)
{
	return f->out_len + FRAME_HEAD + LG_AGENT_PAYLOAD <= sizeof(f->out) / 2 ? LG_AGENT_PAYLOAD : 0;
}

bool frames_busy(const struct frames *f)
{
	return f->out_len > sizeof(f->out) / 4 * 3;
}

uint8_t *frames_place(struct frames *f)
{
	if (f->out_at) {
		memmove(f->out, f->out + f->out_at, f->out_len);
		f->out_at = 0;
	}
	return f->out + f->out_len + FRAME_HEAD;
}

void frames_put(struct frames *f, uint16_t kind, uint32_t channel, size_t size)
{
	struct lg_agent_head head = {
		.size = htole32((uint32_t)size),
		.channel = htole32(channel),
		.kind = htole16(kind),
	};

	memcpy(frames_place(f) - FRAME_HEAD, &head, FRAME_HEAD);
	f->out_len += FRAME_HEAD + size;
}

int frames_say(struct frames *f, uint32_t channel, const struct lg_msg *m)
{
	if (m->len > sizeof(m->text))
		return -EMSGSIZE;
	if (f->out_len + FRAME_HEAD + m->len > sizeof(f->out))
		return -ENOBUFS;
	memcpy(frames_place(f), m->text, m->len);
	frames_put(f, (uint16_t)m->kind, channel, m->len);
	return 0;
}

int frames_write(struct frames *f)
{
	while (f->out_len) {
		ssize_t n = write(f->fd, f->out + f->out_at, f->out_len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? 0 : -errno;
		f->out_at += (size_t)n;
		f->out_len -= (size_t)n;
	}
	f->out_at = 0;
	return 0;
}
