/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_LIB_VARLINK_IO_H
#define LG_LIB_VARLINK_IO_H

/*
 * One end of a Varlink connection, for client and server: bytes in and out, messages cut at their NUL,
 * descriptors with the message they came with.
 *
 * Descriptors: the kernel hands those of a packet over with the packet's last byte that was read, and reads
 * nothing beyond it in the same call. So they belong to the message in which that byte is; a client that
 * puts each call in a packet of its own is always understood.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "lib/varlink.h"

struct lg_vio_fd {
	int fd;
	size_t at;	/* offset in `in` behind the byte it came with */
};

struct lg_vio {
	int fd;			/* owned; -1 when closed */
	size_t in_max;		/* bytes of one message */
	char *in;		/* NULL while nothing is buffered: an idle connection costs no buffer */
	size_t in_room, in_len;
	size_t in_at;		/* where the next message begins */
	size_t in_nul;		/* its NUL, when in_whole; else searched up to here */
	bool in_whole;
	char *out;		/* what the socket did not take yet; NULL: nothing */
	size_t out_len, out_at;
	unsigned int nfds;	/* received with messages not yet taken; owned */
	struct lg_vio_fd fds[LG_VARLINK_FDS];
};

/** lg_vio_init() - take over the socket @fd, blocking or not. */
void lg_vio_init(struct lg_vio *io, int fd, size_t in_max);

/** lg_vio_finish() - close and free everything; may be called twice. */
void lg_vio_finish(struct lg_vio *io);

/**
 * lg_vio_read() - one read from the socket, when no whole message is buffered
 *
 * Return: 1 when something came; 0 at the end; -EAGAIN; -EMSGSIZE for a message past in_max; -EBADMSG
 * for too many descriptors; other negative errnos.
 */
int lg_vio_read(struct lg_vio *io);

/** lg_vio_has_message() - is a whole message buffered? */
static inline bool lg_vio_has_message(const struct lg_vio *io)
{
	return io->in_whole;
}

/**
 * lg_vio_next() - take the next whole message
 * @ret:	the caller's: a JSON object
 * @fds:	room for LG_VARLINK_FDS, the caller's; NULL: they are closed
 *
 * Return: 1; 0 when none is whole yet; -EBADMSG for what is no JSON object.
 */
int lg_vio_next(struct lg_vio *io, json_t **ret, int *fds, unsigned int *nfds);

/** lg_vio_waiting() - bytes that the peer has not taken yet. */
static inline size_t lg_vio_waiting(const struct lg_vio *io)
{
	return io->out_len - io->out_at;
}

/**
 * lg_vio_write() - send @message and its NUL; what the socket does not take at once waits
 * @fds:	lent; they go with the first byte
 *
 * Return: 0; -EMSGSIZE past @max; negative errno when the peer is gone.
 */
int lg_vio_write(struct lg_vio *io, const json_t *message, size_t max, const int *fds,
		 unsigned int nfds);

/** lg_vio_flush() - try again to send what waits. Return: 0, negative errno. */
int lg_vio_flush(struct lg_vio *io);

#endif
