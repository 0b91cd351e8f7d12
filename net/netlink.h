/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_NET_NETLINK_H
#define LG_NET_NETLINK_H

/*
 * Batches of rtnetlink requests over one socket.
 *
 * How it works: requests are written one behind the other into a buffer and leave in one send.
 * The kernel works through them in order, before send returns, and answers each with an
 * acknowledgement; a failed one does not stop those behind it. So what must not happen without
 * the request before it belongs into the next batch. The first failure that was not tolerated
 * is reported with the name and object given with its request, and the kernel's own words.
 */

#include <libmnl/libmnl.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/err.h"

#define LG_NL_REQUESTS 32u	/* in one send: the receive buffer must hold their answers */
#define LG_NL_BUFFER 16384u
#define LG_NL_REQUEST_MAX 512u	/* bytes of the largest request anyone here writes */

struct lg_nl_request {
	const char *what;	/* "add address" */
	char object[52];	/* "10.0.0.2" */
	int tolerated[2];	/* negative errnos that are fine; 0 = none */
};

struct lg_nl {
	struct mnl_socket *sock;
	uint32_t seq;
	unsigned int n;			/* requests in the buffer */
	struct nlmsghdr *last;
	struct lg_nl_request requests[LG_NL_REQUESTS];
	struct lg_err failed;		/* of a batch sent because the buffer was full */
	char buf[LG_NL_BUFFER] __attribute__((aligned(NLMSG_ALIGNTO)));
};

typedef void (*lg_nl_fn)(const struct nlmsghdr *msg, void *arg);

/** lg_nl_open() - open a route socket in the caller's network namespace. */
int lg_nl_open(struct lg_nl *nl, struct lg_err *err);

/**
 * lg_nl_open_in() - open it in another network namespace
 * @netns_fd:	where, borrowed
 * @home_fd:	the caller's own, borrowed
 *
 * The calling thread is back in its own namespace when this returns; if it cannot go back it
 * aborts, because whatever it did next would be done to the container's network.
 */
int lg_nl_open_in(struct lg_nl *nl, int netns_fd, int home_fd, struct lg_err *err);

/** lg_nl_close() - a zeroed or closed one is fine. */
void lg_nl_close(struct lg_nl *nl);

/**
 * lg_nl_add() - begin the next request of the batch
 * @what:	static text for the error message
 * @object:	copied; "" when @what says it all
 *
 * Return: where to put header and attributes; it is over when the next one is added. Never
 * NULL: a full batch is sent first, and what fails in it is reported by the next lg_nl_run().
 */
struct nlmsghdr *lg_nl_add(struct lg_nl *nl, uint16_t type, uint16_t flags, const char *what,
			   const char *object);

/**
 * lg_nl_tolerate() - failing with @code (negative errno) is fine for the request added last.
 */
void lg_nl_tolerate(struct lg_nl *nl, int code);

/**
 * lg_nl_run() - send the batch and gather the answers
 * @fn:		gets every message that is not an acknowledgement; may be NULL
 *
 * Return: 0; the first failure, negative errno.
 */
int lg_nl_run(struct lg_nl *nl, lg_nl_fn fn, void *arg, struct lg_err *err);

/**
 * lg_nl_take() - the batch as it would be sent, for somebody else to send; it is empty then
 * @ret:	@size bytes; aligned as a message
 * @ret_len:	bytes that it takes
 *
 * Return: 0, -E2BIG.
 */
int lg_nl_take(struct lg_nl *nl, void *ret, size_t size, size_t *ret_len, struct lg_err *err);

/**
 * lg_nl_dump() - ask for all objects of a kind
 * @header:	family header of @len bytes, usually zeroes behind the family
 */
int lg_nl_dump(struct lg_nl *nl, uint16_t type, const void *header, size_t len, lg_nl_fn fn,
	       void *arg, struct lg_err *err);

#endif
