/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What comes over the port of a microVM's agent: frames, in pieces as they happen to come, and the messages in them. */

/* NOLINTBEGIN(bugprone-suspicious-include) */
#include "cmd/lodge-agent/frame.c"
/* NOLINTEND(bugprone-suspicious-include) */

#include <fcntl.h>
#include <sys/socket.h>

#include "tests/fuzz/fuzz.h"

static struct frames frames;

static int take_all(void)
{
	static struct lg_msg m;
	struct frame f;
	int r;

	while ((r = frames_next(&frames, &f)) == 1) {
		promise(f.size <= LG_AGENT_PAYLOAD, "a payload has a maximum");
		promise(f.bytes >= frames.in && f.bytes + f.size <= frames.in + sizeof(frames.in), "it lies in the buffer");
		if (frame_message(&f, &m) == 0)
			promise(m.len == f.size && (m.len == 0 || m.text[m.len - 1] == '\0'), "a message is ended");
	}
	promise(r == 0 || r == -EPROTO, "it is a frame, or none, or the end");
	promise(r < 0 || frames.in_len < FRAME_HEAD + LG_AGENT_PAYLOAD, "nothing whole is left");
	return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int ends[2], r = 0;
	size_t piece = size ? data[0] + 1u : 1;

	promise(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) == 0, "sockets");
	frames_init(&frames, ends[1]);
	for (size_t at = 1; r == 0 && at < size; at += piece) {
		size_t n = size - at < piece ? size - at : piece;

		promise(write(ends[0], data + at, n) == (ssize_t)n, "the bytes are sent");
		promise(frames_read(&frames) == 1, "and come");
		r = take_all();
	}
	close(ends[0]);
	if (r == 0)
		promise(frames_read(&frames) == -EPIPE, "the end is seen");
	close(ends[1]);
	return 0;
}
