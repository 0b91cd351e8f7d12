/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "net/netlink.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/cleanup.h"

#define ANSWER_MAX 32768u	/* the kernel fills up to this when it dumps */

int lg_nl_open(struct lg_nl *nl, struct lg_err *err)
{
	static const int options[] = { NETLINK_EXT_ACK, NETLINK_CAP_ACK,
				       NETLINK_GET_STRICT_CHK };
	int on = 1;

	nl->n = 0;
	nl->last = NULL;
	nl->seq = 1;
	nl->failed.code = 0;
	nl->sock = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	if (!nl->sock)
		return lg_fail(err, -errno, "open a netlink socket");
	if (mnl_socket_bind(nl->sock, 0, MNL_SOCKET_AUTOPID) < 0) {
		int r = -errno;

		lg_nl_close(nl);
		return lg_fail(err, r, "bind a netlink socket");
	}
	/* All three only make answers better or shorter: an old kernel without them will do. */
	for (size_t i = 0; i < ARRAY_SIZE(options); i++)
		(void)mnl_socket_setsockopt(nl->sock, options[i], &on, sizeof(on));
	return 0;
}

int lg_nl_open_in(struct lg_nl *nl, int netns_fd, int home_fd, struct lg_err *err)
{
	int r;

	nl->sock = NULL;
	if (setns(netns_fd, CLONE_NEWNET) < 0)
		return lg_fail(err, -errno, "enter the container's network namespace");
	r = lg_nl_open(nl, err);
	if (setns(home_fd, CLONE_NEWNET) < 0)
		abort();
	return r;
}

void lg_nl_close(struct lg_nl *nl)
{
	int saved = errno;

	if (nl->sock)
		mnl_socket_close(nl->sock);
	nl->sock = NULL;
	errno = saved;
}

static char *end_of(struct lg_nl *nl)
{
	return nl->last ? (char *)nl->last + NLMSG_ALIGN(nl->last->nlmsg_len) : nl->buf;
}

static int send_batch(struct lg_nl *nl, lg_nl_fn fn, void *arg, struct lg_err *err);

struct nlmsghdr *lg_nl_add(struct lg_nl *nl, uint16_t type, uint16_t flags, const char *what,
			   const char *object)
{
	struct lg_nl_request *req;
	struct lg_err failed = { 0 };

	if (nl->n == LG_NL_REQUESTS ||
	    end_of(nl) + LG_NL_REQUEST_MAX > nl->buf + LG_NL_BUFFER) {
		send_batch(nl, NULL, NULL, &failed);
		if (failed.code && !nl->failed.code)
			nl->failed = failed;
	}
	req = &nl->requests[nl->n];
	memset(req->tolerated, 0, sizeof(req->tolerated));
	req->what = what;
	snprintf(req->object, sizeof(req->object), "%s", object);
	nl->last = mnl_nlmsg_put_header(end_of(nl));
	nl->last->nlmsg_type = type;
	nl->last->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | NLM_F_ACK | flags);
	nl->last->nlmsg_seq = nl->seq + nl->n++;
	return nl->last;
}

void lg_nl_tolerate(struct lg_nl *nl, int code)
{
	int *slots = nl->requests[nl->n - 1].tolerated;

	slots[slots[0] ? 1 : 0] = code;
}

static int find_ack_text(const struct nlattr *attr, void *arg)
{
	if (mnl_attr_get_type(attr) == NLMSGERR_ATTR_MSG &&
	    mnl_attr_validate(attr, MNL_TYPE_NUL_STRING) >= 0)
		*(const char **)arg = mnl_attr_get_str(attr);
	return MNL_CB_OK;
}

/* What the kernel has to say beyond an errno; "" without it. */
static const char *ack_text(const struct nlmsghdr *msg)
{
	const struct nlmsgerr *e = mnl_nlmsg_get_payload(msg);
	size_t offset = sizeof(*e);
	const char *text = "";

	if (!(msg->nlmsg_flags & NLM_F_ACK_TLVS))
		return "";
	if (!(msg->nlmsg_flags & NLM_F_CAPPED))
		offset += e->msg.nlmsg_len - sizeof(e->msg);
	if (offset > mnl_nlmsg_get_payload_len(msg))
		return "";
	mnl_attr_parse(msg, (unsigned int)offset, find_ack_text, &text);
	return text;
}

static int refuse(const struct lg_nl_request *req, int code, const char *text,
		  struct lg_err *err)
{
	return lg_refuse(err, code, 0, "%s%s%s: %s%s%s%s", req->what, req->object[0] ? " " : "",
			 req->object, strerror(-code), text[0] ? " (" : "", text,
			 text[0] ? ")" : "");
}

/* One acknowledgement. Return: what it says of a request that may not fail so; else 0. */
static int check_ack(const struct lg_nl *nl, const struct nlmsghdr *msg, uint32_t index,
		     struct lg_err *err)
{
	const struct nlmsgerr *e = mnl_nlmsg_get_payload(msg);
	const struct lg_nl_request *req = &nl->requests[index];

	if (mnl_nlmsg_get_payload_len(msg) < sizeof(*e))
		return refuse(req, -EBADMSG, "short answer", err);
	if (e->error == 0 || e->error == req->tolerated[0] || e->error == req->tolerated[1])
		return 0;
	return refuse(req, e->error, ack_text(msg), err);
}

static ssize_t receive(struct lg_nl *nl, char *buf, struct lg_err *err)
{
	ssize_t len;

	do
		len = mnl_socket_recvfrom(nl->sock, buf, ANSWER_MAX);
	while (len < 0 && errno == EINTR);
	return len < 0 ? lg_fail(err, -errno, "receive from netlink") : len;
}

static int gather(struct lg_nl *nl, lg_nl_fn fn, void *arg, struct lg_err *err)
{
	char buf[ANSWER_MAX] __attribute__((aligned(NLMSG_ALIGNTO)));
	unsigned int pending = nl->n;
	int first = 0;

	while (pending > 0) {
		ssize_t len = receive(nl, buf, first ? NULL : err);
		const struct nlmsghdr *msg = (const struct nlmsghdr *)buf;
		int left = (int)len;

		if (len < 0)
			return first ? first : (int)len;
		for (; mnl_nlmsg_ok(msg, left); msg = mnl_nlmsg_next(msg, &left)) {
			uint32_t index = msg->nlmsg_seq - nl->seq;

			if (index >= nl->n)
				continue;	/* a leftover of an exchange that failed */
			if (msg->nlmsg_type != NLMSG_ERROR) {
				if (fn)
					fn(msg, arg);
				continue;
			}
			pending--;
			if (!first)
				first = check_ack(nl, msg, index, err);
		}
	}
	return first;
}

static int send_batch(struct lg_nl *nl, lg_nl_fn fn, void *arg, struct lg_err *err)
{
	int r = 0;

	if (nl->n == 0)
		return 0;
	if (mnl_socket_sendto(nl->sock, nl->buf, (size_t)(end_of(nl) - nl->buf)) < 0)
		r = lg_fail(err, -errno, "send to netlink");
	else
		r = gather(nl, fn, arg, err);
	nl->seq += nl->n;
	nl->n = 0;
	nl->last = NULL;
	return r;
}

int lg_nl_run(struct lg_nl *nl, lg_nl_fn fn, void *arg, struct lg_err *err)
{
	int r = send_batch(nl, fn, arg, nl->failed.code ? NULL : err);

	if (nl->failed.code) {
		r = nl->failed.code;
		if (err)
			*err = nl->failed;
		nl->failed.code = 0;
	}
	return r;
}

int lg_nl_take(struct lg_nl *nl, void *ret, size_t size, size_t *ret_len, struct lg_err *err)
{
	size_t len = (size_t)(end_of(nl) - nl->buf);
	int r = nl->failed.code;

	if (r < 0 && err)
		*err = nl->failed;
	else if (len > size)
		r = lg_refuse(err, -E2BIG, 0, "the requests take %zu bytes, and there is room for %zu", len, size);
	else
		memcpy(ret, nl->buf, len);
	*ret_len = len;
	nl->failed.code = 0;
	nl->n = 0;
	nl->last = NULL;
	return r;
}

/* Return: 1 = more to come, 0 = that was the last, negative errno. */
static int take_dump(struct lg_nl *nl, const char *buf, int left, lg_nl_fn fn, void *arg,
		     struct lg_err *err)
{
	const struct nlmsghdr *msg = (const struct nlmsghdr *)buf;

	for (; mnl_nlmsg_ok(msg, left); msg = mnl_nlmsg_next(msg, &left)) {
		if (msg->nlmsg_seq != nl->seq)
			continue;
		if (msg->nlmsg_type == NLMSG_DONE)
			return 0;
		if (msg->nlmsg_type == NLMSG_ERROR)
			return check_ack(nl, msg, 0, err);
		fn(msg, arg);
	}
	return 1;
}

int lg_nl_dump(struct lg_nl *nl, uint16_t type, const void *header, size_t len, lg_nl_fn fn,
	       void *arg, struct lg_err *err)
{
	char buf[ANSWER_MAX] __attribute__((aligned(NLMSG_ALIGNTO)));
	struct nlmsghdr *msg = lg_nl_add(nl, type, NLM_F_DUMP, "list the host's network", "");
	int r = 1;

	memcpy(mnl_nlmsg_put_extra_header(msg, len), header, len);
	if (mnl_socket_sendto(nl->sock, nl->buf, (size_t)(end_of(nl) - nl->buf)) < 0)
		r = lg_fail(err, -errno, "send to netlink");
	while (r > 0) {
		ssize_t n = receive(nl, buf, err);

		r = n < 0 ? (int)n : take_dump(nl, buf, (int)n, fn, arg, err);
	}
	nl->seq += nl->n;
	nl->n = 0;
	nl->last = NULL;
	return r;
}
