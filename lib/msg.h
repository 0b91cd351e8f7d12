/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_LIB_MSG_H
#define LG_LIB_MSG_H

/*
 * How it works: lodged and the shim speak over SOCK_SEQPACKET. A message is a 32-bit kind and then
 * fields "key=value", each ended by NUL; descriptors travel beside it, in the order in which the
 * fields that name them say. No allocation, no parser to attack, and the shim needs no library for
 * it. A repeated key makes a list.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/err.h"

#define LG_MSG_BYTES 16384u	/* of one message */
#define LG_MSG_FDS 16u

struct lg_msg {
	uint32_t kind;
	size_t len;			/* bytes in use of text */
	unsigned int nfds;
	int fds[LG_MSG_FDS];		/* received: owned by the message until taken */
	char text[LG_MSG_BYTES];
};

/** lg_msg_init() - an empty message of this kind. */
void lg_msg_init(struct lg_msg *m, uint32_t kind);

/**
 * lg_msg_put() - add a field. Return: 0; -EMSGSIZE when the message is full (it is then unchanged).
 * Calls may be chained: a message that overflowed once is refused by lg_msg_send().
 */
int lg_msg_put(struct lg_msg *m, const char *key, const char *value);
int lg_msg_put_u64(struct lg_msg *m, const char *key, uint64_t value);

/** lg_msg_put_fd() - lend @fd to be sent along (stays the caller's). -E2BIG past LG_MSG_FDS. */
int lg_msg_put_fd(struct lg_msg *m, int fd);

/** lg_msg_get() - the first value of @key, borrowed; NULL. */
const char *lg_msg_get(const struct lg_msg *m, const char *key);

/** lg_msg_next() - the value of @key behind @after (NULL: the first); NULL at the end. */
const char *lg_msg_next(const struct lg_msg *m, const char *key, const char *after);

/** lg_msg_get_u64() - a decimal field, or @otherwise. */
uint64_t lg_msg_get_u64(const struct lg_msg *m, const char *key, uint64_t otherwise);

/** lg_msg_take_fd() - descriptor number @i, the caller's from now on; -1 if it is not there. */
int lg_msg_take_fd(struct lg_msg *m, unsigned int i);

/** lg_msg_drop_fds() - close what was received and not taken. */
void lg_msg_drop_fds(struct lg_msg *m);

/** lg_msg_send() - one packet. Return: 0, negative errno (-EAGAIN on a full non-blocking socket). */
int lg_msg_send(int sock, const struct lg_msg *m);

/**
 * lg_msg_recv() - one packet; descriptors are close-on-exec
 *
 * Return: 1 for a message, 0 at the end of the connection, negative errno (-EBADMSG for one that
 * is no message of ours: it is dropped).
 */
int lg_msg_recv(int sock, struct lg_msg *m);

/** lg_msg_put_err() / lg_msg_get_err() - an error object as fields "code", "exit", "error". */
int lg_msg_put_err(struct lg_msg *m, const struct lg_err *err);
int lg_msg_get_err(const struct lg_msg *m, struct lg_err *err);

#endif
