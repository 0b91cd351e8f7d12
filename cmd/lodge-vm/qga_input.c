/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The guest agent of QEMU takes what a command reads when it starts it, and nothing afterwards: so it is read to its end before. */

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd/lodge-vm/qga.h"
#include "cmd/lodge-vm/session.h"
#include "ct/stream.h"
#include "lib/cleanup.h"
#include "lib/exit.h"
#include "vm/base64.h"

#define PIECE 65536u

static ssize_t read_some(struct qga_input *in)
{
	char *grown = realloc(in->data, in->len + PIECE);
	ssize_t n;

	if (!grown)
		return -ENOMEM;
	in->data = grown;
	do
		n = in->sock ? recv(in->source.fd, in->data + in->len, PIECE, MSG_DONTWAIT) :
			       read(in->source.fd, in->data + in->len, PIECE);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

static void over(struct qga_input *in, int r)
{
	struct lg_err err = { 0 };

	lg_source_close(&in->source);
	if (r == -EFBIG)
		lg_refuse(&err, r, LG_EXIT_BAD_VALUE, "standard input is larger than %zu KiB, which the guest agent of QEMU takes at once: "
			  "nothing was executed", in->max / 1024);
	else if (r < 0)
		lg_fail(&err, r, "read standard input");
	in->done(in, &err);
}

static void pump(struct qga_input *in)
{
	ssize_t n;

	while ((n = read_some(in)) > 0) {
		in->len += (size_t)n;
		if (in->len > in->max) {
			over(in, -EFBIG);
			return;
		}
	}
	if (n != -EAGAIN)
		over(in, (int)n);
}

static void on_input(struct lg_source *source, uint32_t events)
{
	(void)events;
	pump((struct qga_input *)((char *)source - offsetof(struct qga_input, source)));
}

int qga_input_begin(struct qga_input *in, int fd, size_t max, void (*done)(struct qga_input *in, const struct lg_err *err),
		    struct lg_err *err)
{
	struct stat st = { 0 };
	int r = lg_stream_check(fd, err);

	*in = (struct qga_input){ .source = { .fd = -1, .on_event = on_input }, .max = max, .done = done };
	if (r < 0) {
		lg_close(fd);
		return r;
	}
	if (fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode))
		fd = carry_own_flags(fd, 0);
	in->sock = S_ISSOCK(st.st_mode);
	in->source.fd = fd;
	r = lg_source_add(&in->source, EPOLLIN);
	if (r == -EPERM)
		pump(in);	/* a file, which never needs waiting for */
	else if (r < 0)
		in->source.fd = lg_close(fd);
	return r < 0 && r != -EPERM ? lg_fail(err, r, "watch standard input") : 0;
}

bool qga_input_reads(const struct qga_input *in)
{
	return in->source.fd >= 0;
}

json_t *qga_input_text(const struct qga_input *in)
{
	size_t len = 0;
	lg_autofree char *text = in->len > 0 ? lg_base64_encode(in->data, in->len, &len) : NULL;

	return text ? json_stringn(text, len) : NULL;
}

void qga_input_end(struct qga_input *in)
{
	if (qga_input_reads(in))
		lg_source_close(&in->source);
	free(in->data);
	in->data = NULL;
	in->len = 0;
}
