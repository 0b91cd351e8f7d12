/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lib/msg.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/cleanup.h"

/* len of a message that overflowed: lg_msg_send() refuses it. */
#define OVERFLOWED SIZE_MAX

void lg_msg_init(struct lg_msg *m, uint32_t kind)
{
	m->kind = kind;
	m->len = 0;
	m->nfds = 0;
}

int lg_msg_put(struct lg_msg *m, const char *key, const char *value)
{
	size_t klen = strlen(key), vlen = strlen(value);

	if (m->len == OVERFLOWED)
		return -EMSGSIZE;
	if (klen + vlen + 2 > sizeof(m->text) - m->len) {
		m->len = OVERFLOWED;
		return -EMSGSIZE;
	}
	memcpy(m->text + m->len, key, klen);
	m->text[m->len + klen] = '=';
	memcpy(m->text + m->len + klen + 1, value, vlen + 1);
	m->len += klen + vlen + 2;
	return 0;
}

int lg_msg_put_u64(struct lg_msg *m, const char *key, uint64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64, value);
	return lg_msg_put(m, key, text);
}

int lg_msg_put_fd(struct lg_msg *m, int fd)
{
	if (m->nfds == LG_MSG_FDS)
		return -E2BIG;
	m->fds[m->nfds++] = fd;
	return 0;
}

const char *lg_msg_next(const struct lg_msg *m, const char *key, const char *after)
{
	const char *p = after ? after + strlen(after) + 1 : m->text;
	const char *end = m->text + m->len;
	size_t klen = strlen(key);

	for (; p < end; p += strlen(p) + 1)
		if (strncmp(p, key, klen) == 0 && p[klen] == '=')
			return p + klen + 1;
	return NULL;
}

const char *lg_msg_get(const struct lg_msg *m, const char *key)
{
	return lg_msg_next(m, key, NULL);
}

uint64_t lg_msg_get_u64(const struct lg_msg *m, const char *key, uint64_t otherwise)
{
	const char *text = lg_msg_get(m, key);
	unsigned long long v;
	char *end;

	if (!text || *text < '0' || *text > '9')
		return otherwise;
	errno = 0;
	v = strtoull(text, &end, 10);
	return errno || *end ? otherwise : v;
}

int lg_msg_take_fd(struct lg_msg *m, unsigned int i)
{
	return i < m->nfds ? lg_take_fd(&m->fds[i]) : -1;
}

void lg_msg_drop_fds(struct lg_msg *m)
{
	for (unsigned int i = 0; i < m->nfds; i++)
		m->fds[i] = lg_close(m->fds[i]);
	m->nfds = 0;
}

union fd_space {
	char buf[CMSG_SPACE(sizeof(int) * LG_MSG_FDS)];
	struct cmsghdr align;
};

static void attach_fds(struct msghdr *h, union fd_space *space, const struct lg_msg *m)
{
	struct cmsghdr *c;

	memset(space, 0, sizeof(*space));
	h->msg_control = space->buf;
	h->msg_controllen = CMSG_SPACE(sizeof(int) * m->nfds);
	c = CMSG_FIRSTHDR(h);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int) * m->nfds);
	memcpy(CMSG_DATA(c), m->fds, sizeof(int) * m->nfds);
}

int lg_msg_send(int sock, const struct lg_msg *m)
{
	uint32_t kind = m->kind;
	struct iovec iov[2] = {
		{ .iov_base = &kind, .iov_len = sizeof(kind) },
		/* sendmsg() only reads */
		{ .iov_base = (void *)(uintptr_t)m->text, .iov_len = m->len },
	};
	struct msghdr h = { .msg_iov = iov, .msg_iovlen = 2 };
	union fd_space space;
	ssize_t n;

	if (m->len == OVERFLOWED)
		return -EMSGSIZE;
	if (m->nfds)
		attach_fds(&h, &space, m);
	do
		n = sendmsg(sock, &h, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

/* Every descriptor that arrived is taken over or closed, also of a message we then refuse. */
static bool collect_fds(struct msghdr *h, struct lg_msg *m)
{
	bool ok = !(h->msg_flags & MSG_CTRUNC);

	for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c; c = CMSG_NXTHDR(h, c)) {
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		const unsigned char *data = CMSG_DATA(c);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, data + i * sizeof(fd), sizeof(fd));
			if (m->nfds < LG_MSG_FDS) {
				m->fds[m->nfds++] = fd;
			} else {
				lg_close(fd);
				ok = false;
			}
		}
	}
	return ok;
}

static ssize_t receive(int sock, struct msghdr *h)
{
	ssize_t n;

	do
		n = recvmsg(sock, h, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	return n;
}

int lg_msg_recv(int sock, struct lg_msg *m)
{
	uint32_t kind = 0;
	struct iovec iov[2] = {
		{ .iov_base = &kind, .iov_len = sizeof(kind) },
		{ .iov_base = m->text, .iov_len = sizeof(m->text) },
	};
	union fd_space space;
	struct msghdr h = { .msg_iov = iov, .msg_iovlen = 2, .msg_control = space.buf,
			    .msg_controllen = sizeof(space.buf) };
	ssize_t n;
	bool ok;

	lg_msg_init(m, 0);
	n = receive(sock, &h);
	/* Said once, when the other end has closed and not read all of ours: what it has sent comes after. */
	if (n < 0 && errno == ECONNRESET)
		n = receive(sock, &h);
	if (n < 0)
		return -errno;
	ok = collect_fds(&h, m) && !(h.msg_flags & MSG_TRUNC);
	if (n == 0 && m->nfds == 0)
		return 0;
	if (ok && (size_t)n >= sizeof(kind)) {
		m->kind = kind;
		m->len = (size_t)n - sizeof(kind);
		if (m->len == 0 || m->text[m->len - 1] == '\0')
			return 1;
	}
	m->len = 0;
	lg_msg_drop_fds(m);
	return -EBADMSG;
}

int lg_msg_put_err(struct lg_msg *m, const struct lg_err *err)
{
	lg_msg_put_u64(m, "code", (uint64_t)-(int64_t)err->code);
	lg_msg_put_u64(m, "exit", (uint64_t)err->exit_code);
	return lg_msg_put(m, "error", err->msg);
}

int lg_msg_get_err(const struct lg_msg *m, struct lg_err *err)
{
	const char *text = lg_msg_get(m, "error");
	uint64_t code = lg_msg_get_u64(m, "code", EIO);

	return lg_refuse(err, code > 0 && code < 4096 ? -(int)code : -EIO,
			 (int)(lg_msg_get_u64(m, "exit", 0) & 0xff), "%s",
			 text ? text : "no reason given");
}
