/* SPDX-License-Identifier: GPL-2.0-or-later */

/* A packet from the other end: kind and fields as they come, and an error object in them. */

#include <errno.h>
#include <sys/socket.h>

#include "lib/msg.h"
#include "tests/fuzz/fuzz.h"

static void look_at(const struct lg_msg *m)
{
	static const char *const keys[] = { "k", "code", "exit", "error", "", "arg" };
	const char *end = m->text + m->len;
	struct lg_err err = { 0 };

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		const char *v = NULL;
		size_t n = 0;

		while ((v = lg_msg_next(m, keys[i], v))) {
			promise(v > m->text && v + strlen(v) < end, "a value lies in the message");
			promise(++n <= m->len, "a list ends");
		}
		lg_msg_get_u64(m, keys[i], 7);
	}
	promise(lg_msg_get_err(m, &err) < 0 && err.code < 0, "an error object is an error");
	promise(err.exit_code >= 0 && err.exit_code < 256, "with an exit code");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct lg_msg m;
	static int ends[2] = { -1, -1 };
	int r;

	if (ends[0] < 0)
		promise(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0, "sockets");
	if (size == 0 || send(ends[0], data, size, MSG_DONTWAIT) < 0)
		return 0;
	r = lg_msg_recv(ends[1], &m);
	promise(r == 1 || r == -EBADMSG, "a packet is a message or it is dropped");
	promise(m.nfds == 0, "no descriptor came");
	if (r == 1)
		look_at(&m);
	return 0;
}
