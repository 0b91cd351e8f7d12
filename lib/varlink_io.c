/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lib/varlink_io.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "lib/cleanup.h"

#define IN_FIRST 4096u
#define READ_MAX (256u * 1024u)	/* bytes of one read: one busy peer does not hold up the others */

union fd_space {
	char buf[CMSG_SPACE(sizeof(int) * LG_VARLINK_FDS)];
	struct cmsghdr align;
};

void lg_vio_init(struct lg_vio *io, int fd, size_t in_max)
{
	memset(io, 0, sizeof(*io));
	io->fd = fd;
	io->in_max = in_max;
}

static void drop_fds(struct lg_vio *io)
{
	for (unsigned int i = 0; i < io->nfds; i++)
		lg_close(io->fds[i].fd);
	io->nfds = 0;
}

static void drop_input(struct lg_vio *io)
{
	free(io->in);
	io->in = NULL;
	io->in_room = io->in_len = io->in_at = io->in_nul = 0;
	io->in_whole = false;
}

static void drop_output(struct lg_vio *io)
{
	free(io->out);
	io->out = NULL;
	io->out_len = io->out_at = 0;
}

void lg_vio_finish(struct lg_vio *io)
{
	drop_fds(io);
	drop_input(io);
	drop_output(io);
	io->fd = lg_close(io->fd);
}

/* Bring the part of a message that is here to the front and make room behind it. */
static int make_room(struct lg_vio *io)
{
	size_t room;
	char *bigger;

	if (io->in_at > 0) {
		for (unsigned int i = 0; i < io->nfds; i++)
			io->fds[i].at -= io->in_at;
		memmove(io->in, io->in + io->in_at, io->in_len - io->in_at);
		io->in_len -= io->in_at;
		io->in_nul -= io->in_at;
		io->in_at = 0;
	}
	if (io->in_len >= io->in_max)
		return -EMSGSIZE;
	if (io->in_room - io->in_len >= IN_FIRST / 2 || io->in_room == io->in_max)
		return 0;
	room = io->in_room ? io->in_room * 2 : IN_FIRST;
	if (room > io->in_max)
		room = io->in_max;
	bigger = realloc(io->in, room);
	if (!bigger)
		return -ENOMEM;
	io->in = bigger;
	io->in_room = room;
	return 0;
}

static void look_for_end(struct lg_vio *io)
{
	const char *nul = NULL;

	if (io->in_len > io->in_nul)
		nul = memchr(io->in + io->in_nul, '\0', io->in_len - io->in_nul);
	io->in_whole = nul != NULL;
	io->in_nul = nul ? (size_t)(nul - io->in) : io->in_len;
}

/* Every descriptor that arrived is kept or closed, also when there are too many. */
static int collect_fds(struct lg_vio *io, struct msghdr *h)
{
	int r = h->msg_flags & MSG_CTRUNC ? -EBADMSG : 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c; c = CMSG_NXTHDR(h, c)) {
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		const unsigned char *data = CMSG_DATA(c);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < n; i++) {
			struct lg_vio_fd got = { .at = io->in_len };

			memcpy(&got.fd, data + i * sizeof(int), sizeof(int));
			if (io->nfds < LG_VARLINK_FDS) {
				io->fds[io->nfds++] = got;
			} else {
				lg_close(got.fd);
				r = -EBADMSG;
			}
		}
	}
	return r;
}

int lg_vio_read(struct lg_vio *io)
{
	union fd_space space;
	struct iovec iov;
	struct msghdr h = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = space.buf,
			    .msg_controllen = sizeof(space.buf) };
	ssize_t n;
	int r = make_room(io);

	if (r < 0)
		return r;
	iov.iov_base = io->in + io->in_len;
	iov.iov_len = io->in_room - io->in_len;
	if (iov.iov_len > READ_MAX)
		iov.iov_len = READ_MAX;
	do
		n = recvmsg(io->fd, &h, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n <= 0) {
		r = n < 0 ? -errno : 0;
		if (io->in_len == 0)
			drop_input(io);
		return r;
	}
	io->in_len += (size_t)n;
	r = collect_fds(io, &h);
	if (r < 0)
		return r;
	look_for_end(io);
	return 1;
}

/* Descriptors that came with a byte before @end, in their order; those behind stay for later. */
static void take_fds(struct lg_vio *io, size_t end, int *fds, unsigned int *nfds)
{
	unsigned int taken = 0;

	while (taken < io->nfds && io->fds[taken].at <= end) {
		if (fds)
			fds[taken] = io->fds[taken].fd;
		else
			lg_close(io->fds[taken].fd);
		taken++;
	}
	io->nfds -= taken;
	memmove(io->fds, io->fds + taken, io->nfds * sizeof(io->fds[0]));
	if (nfds)
		*nfds = fds ? taken : 0;
}

int lg_vio_next(struct lg_vio *io, json_t **ret, int *fds, unsigned int *nfds)
{
	size_t end = io->in_nul + 1;
	json_t *message;

	if (!io->in_whole)
		return 0;
	message = json_loadb(io->in + io->in_at, io->in_nul - io->in_at, JSON_REJECT_DUPLICATES,
			     NULL);
	if (!json_is_object(message)) {
		json_decref(message);
		return -EBADMSG;
	}
	take_fds(io, end, fds, nfds);
	io->in_at = io->in_nul = end;
	if (end == io->in_len)
		drop_input(io);
	else
		look_for_end(io);
	*ret = message;
	return 1;
}

static void attach_fds(struct msghdr *h, union fd_space *space, const int *fds, unsigned int nfds)
{
	struct cmsghdr *c;

	memset(space, 0, sizeof(*space));
	h->msg_control = space->buf;
	h->msg_controllen = CMSG_SPACE(sizeof(int) * nfds);
	c = CMSG_FIRSTHDR(h);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int) * nfds);
	memcpy(CMSG_DATA(c), fds, sizeof(int) * nfds);
}

/* As much as the socket takes. Gives how much that was; a full socket is no failure. */
static int send_some(int sock, const char *data, size_t len, const int *fds, unsigned int nfds,
		     size_t *ret_sent)
{
	union fd_space space;
	size_t sent = 0;

	while (sent < len) {
		/* sendmsg() only reads */
		struct iovec iov = { .iov_base = (void *)(uintptr_t)(data + sent),
				     .iov_len = len - sent };
		struct msghdr h = { .msg_iov = &iov, .msg_iovlen = 1 };
		ssize_t n;

		if (nfds > 0 && sent == 0)
			attach_fds(&h, &space, fds, nfds);
		n = sendmsg(sock, &h, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0)
			return -errno;
		sent += (size_t)n;
	}
	*ret_sent = sent;
	return 0;
}

static int queue(struct lg_vio *io, const char *data, size_t len)
{
	size_t waiting = lg_vio_waiting(io);
	char *bigger;

	if (io->out_at > 0)
		memmove(io->out, io->out + io->out_at, waiting);
	io->out_at = 0;
	io->out_len = waiting;
	bigger = realloc(io->out, waiting + len);
	if (!bigger)
		return -ENOMEM;
	memcpy(bigger + waiting, data, len);
	io->out = bigger;
	io->out_len = waiting + len;
	return 0;
}

int lg_vio_write(struct lg_vio *io, const json_t *message, size_t max, const int *fds,
		 unsigned int nfds)
{
	lg_autofree char *text = json_dumps(message, JSON_COMPACT);
	size_t len, sent = 0;
	int r;

	if (!text)
		return -ENOMEM;
	if (nfds > LG_VARLINK_FDS)
		return -E2BIG;
	len = strlen(text) + 1;
	if (len > max)
		return -EMSGSIZE;
	if (!io->out) {
		r = send_some(io->fd, text, len, fds, nfds, &sent);
		if (r < 0)
			return r;
	}
	if (sent == 0 && nfds > 0)
		return -EAGAIN;	/* descriptors cannot wait in a buffer of bytes */
	return sent < len ? queue(io, text + sent, len - sent) : 0;
}

int lg_vio_flush(struct lg_vio *io)
{
	size_t sent = 0;
	int r;

	if (!io->out)
		return 0;
	r = send_some(io->fd, io->out + io->out_at, lg_vio_waiting(io), NULL, 0, &sent);
	if (r < 0)
		return r;
	io->out_at += sent;
	if (io->out_at == io->out_len)
		drop_output(io);
	return 0;
}
