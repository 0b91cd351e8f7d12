/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LODGE_AGENT_FRAME_H
#define LODGE_AGENT_FRAME_H

/*
 * Frames (vm/agent.h) in and out of a stream that does not block. What is to be sent waits in a buffer of a fixed size:
 * bytes of sessions are taken only while half of it is free, so that there is always room for a message.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/msg.h"
#include "vm/agent.h"

#define FRAME_HEAD sizeof(struct lg_agent_head)
#define FRAMES_IN (64u * 1024u)
#define FRAMES_OUT (256u * 1024u)

struct frame {
	uint16_t kind;
	uint32_t channel;
	size_t size;
	const uint8_t *bytes;	/* until the next frames_read() */
};

struct frames {
	int fd;			/* borrowed */
	size_t in_at, in_len;	/* what is in it and not yet taken */
	size_t out_at, out_len;
	uint8_t in[FRAMES_IN], out[FRAMES_OUT];
};

/** frames_init() - nothing read, nothing to send. */
void frames_init(struct frames *f, int fd);

/** frames_read() - read once. Return: 1 something came; 0 not now; -EPIPE the other end is gone; negative errno. */
int frames_read(struct frames *f);

/** frames_next() - the next whole frame. Return: 1; 0 there is none; -EPROTO what came is none. */
int frames_next(struct frames *f, struct frame *ret);

/** frame_message() - the fields of a frame. Return: 0; -EBADMSG. */
int frame_message(const struct frame *frame, struct lg_msg *ret);

/** frames_room() - how many bytes of a stream can be taken now. */
size_t frames_room(const struct frames *f);

/** frames_busy() - so much waits to be sent that nothing more should be asked for. */
bool frames_busy(const struct frames *f);

/** frames_place() - where the bytes of the next frame may be written, frames_room() of them at the most. */
uint8_t *frames_place(struct frames *f);

/** frames_put() - the bytes in frames_place() become a frame. */
void frames_put(struct frames *f, uint16_t kind, uint32_t channel, size_t size);

/** frames_say() - a message, of the kind that @m has. -EMSGSIZE when it was too large, -ENOBUFS. */
int frames_say(struct frames *f, uint32_t channel, const struct lg_msg *m);

/** frames_write() - send what can be sent now. Return: 0; -EPIPE; negative errno. */
int frames_write(struct frames *f);

#endif
