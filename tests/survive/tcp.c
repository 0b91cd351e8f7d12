/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "survive.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG 37
#define HALF_BYTES 5000u

static int listener = -1, client = -1, server = -1;
static int64_t to_server, to_client; /* bytes that nobody has read */

static socklen_t loopback(int family, uint16_t port, struct sockaddr_storage *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->ss_family = (sa_family_t)family;
	if (family == AF_INET) {
		struct sockaddr_in *in = (struct sockaddr_in *)(void *)ret;

		in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		in->sin_port = htons(port);
		return sizeof(*in);
	}
	((struct sockaddr_in6 *)(void *)ret)->sin6_addr = in6addr_loopback;
	((struct sockaddr_in6 *)(void *)ret)->sin6_port = htons(port);
	return sizeof(struct sockaddr_in6);
}

static int make_listener(int family)
{
	struct sockaddr_storage at;
	socklen_t size = loopback(family, 0, &at);
	int one = 1;

	listener = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (listener < 0 ||
	    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
	    bind(listener, (struct sockaddr *)&at, size) < 0 || listen(listener, BACKLOG) < 0)
		return sv_errno("listen");
	return 0;
}

/* Connect to the listener, wherever it is bound. Return: a socket, or -1. */
static int connect_to_listener(void)
{
	struct sockaddr_storage at;
	socklen_t size = sizeof(at);
	int fd;

	if (getsockname(listener, (struct sockaddr *)&at, &size) < 0)
		return sv_errno("getsockname");
	fd = socket(at.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&at, size) < 0)
		return sv_errno("connect");
	return fd;
}

static int make_pair(int family)
{
	if (make_listener(family) < 0)
		return -1;
	client = connect_to_listener();
	if (client < 0)
		return -1;
	server = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	return server < 0 ? sv_errno("accept") : 0;
}

static int is_open_both_ways(void)
{
	if (sv_passes("client to server", client, server) < 0)
		return -1;
	return sv_passes("server to client", server, client);
}

/* ---- data in flight: both receive queues are full, and what follows waits in the send queues  */

static int flight_setup(int family)
{
	if (make_pair(family) < 0)
		return -1;
	to_server = sv_stuff(client, 1);
	to_client = sv_stuff(server, 2);
	return to_server > 0 && to_client > 0 ? 0 : sv_fail("nothing is in flight");
}

static int tcp4_setup(void)
{
	return flight_setup(AF_INET);
}

static int tcp6_setup(void)
{
	return flight_setup(AF_INET6);
}

static int flight_verify(void)
{
	if (sv_receive(server, 1, 0, to_server) < 0 ||
	    sv_empty("the server's end", server) < 0 ||
	    sv_receive(client, 2, 0, to_client) < 0 || sv_empty("the client's end", client) < 0)
		return -1;
	return is_open_both_ways();
}

/* One byte is lost. */
static void flight_spoil(void)
{
	char c;

	(void)!read(server, &c, 1);
}

/* ---- a stream between two processes that goes on all the time --------------------- */

static uint64_t streamed;

static int echo(int request)
{
	uint8_t buf[4096];

	(void)request;
	for (;;) {
		ssize_t n = read(server, buf, sizeof(buf));

		if (n <= 0)
			return n < 0 ? sv_errno("read") : 0;
		if (send(server, buf, n, MSG_NOSIGNAL) != n)
			return sv_errno("write");
	}
}

static struct sv_child echoer;

static int stream_setup(void)
{
	int request = 0;

	if (make_pair(AF_INET) < 0 || sv_child_start(&echoer, echo) < 0)
		return -1;
	close(server);
	return send(echoer.control, &request, sizeof(request), 0) < 0 ? sv_errno("send") : 0;
}

static int stream_work(void)
{
	if (sv_send(client, 3, streamed, 3000) < 0 || sv_receive(client, 3, streamed, 3000) < 0)
		return -1;
	streamed += 3000;
	return 0;
}

static int stream_verify(void)
{
	for (int i = 0; i < 100; i++) {
		if (stream_work() < 0)
			return -1;
	}
	return 0;
}

static void stream_spoil(void)
{
	streamed += 1;
	(void)!write(client, "", 1);
}

/* ---- one direction closed, its data and its end not yet read ---------------------- */

static int half_setup(void)
{
	if (make_pair(AF_INET6) < 0 || sv_send(client, 4, 0, HALF_BYTES) < 0)
		return -1;
	return shutdown(client, SHUT_WR) < 0 ? sv_errno("shutdown") : 0;
}

static int half_verify(void)
{
	if (sv_receive(server, 4, 0, HALF_BYTES) < 0 ||
	    sv_ended("the closed direction", server) < 0)
		return -1;
	return sv_passes("the open direction", server, client);
}

static void half_spoil(void)
{
	shutdown(server, SHUT_WR);
}

/* ---- listening sockets ------------------------------------------------------------ */

static int listen_setup(void)
{
	return make_listener(AF_INET6);
}

static int backlog(void)
{
	struct tcp_info info;
	socklen_t size = sizeof(info);

	/* Of a listening socket the kernel tells the backlog's limit here. */
	if (getsockopt(listener, IPPROTO_TCP, TCP_INFO, &info, &size) < 0)
		return sv_errno("TCP_INFO");
	return (int)info.tcpi_sacked;
}

static int listen_verify(void)
{
	int reuse = 0;
	socklen_t size = sizeof(reuse);

	getsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &reuse, &size);
	if (sv_same("SO_REUSEADDR", 1, reuse) < 0 || sv_same("backlog", BACKLOG, backlog()) < 0)
		return -1;
	client = connect_to_listener();
	if (client < 0)
		return -1;
	server = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	return server < 0 ? sv_errno("accept") : is_open_both_ways();
}

static void listen_spoil(void)
{
	listen(listener, BACKLOG - 1);
}

/* ---- a connection that waits to be accepted, with what its client has sent -------- */

static int backlog_setup(void)
{
	if (make_listener(AF_INET) < 0)
		return -1;
	client = connect_to_listener();
	return client < 0 ? -1 : sv_send(client, 5, 0, HALF_BYTES);
}

static int backlog_verify(void)
{
	if (fcntl(listener, F_SETFL, O_NONBLOCK) < 0)
		return sv_errno("O_NONBLOCK");
	server = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	if (server < 0)
		return sv_errno("the connection that waited: accept");
	return sv_receive(server, 5, 0, HALF_BYTES) < 0 ? -1 : is_open_both_ways();
}

static void backlog_spoil(void)
{
	close(accept4(listener, NULL, NULL, SOCK_CLOEXEC));
}

/* ---- options -------------------------------------------------------------------------------------------- /  */

static const struct option {
	const char *name;
	int level, nr, value, read_back;
} options[] = {
	{"SO_KEEPALIVE", SOL_SOCKET, SO_KEEPALIVE, 1, 1},
	{"SO_RCVBUF", SOL_SOCKET, SO_RCVBUF, 40000, 80000},
	{"SO_SNDBUF", SOL_SOCKET, SO_SNDBUF, 50000, 100000},
	{"SO_PRIORITY", SOL_SOCKET, SO_PRIORITY, 3, 3},
	{"SO_OOBINLINE", SOL_SOCKET, SO_OOBINLINE, 1, 1},
	{"TCP_NODELAY", IPPROTO_TCP, TCP_NODELAY, 1, 1},
	{"TCP_KEEPIDLE", IPPROTO_TCP, TCP_KEEPIDLE, 77, 77},
	{"TCP_KEEPINTVL", IPPROTO_TCP, TCP_KEEPINTVL, 13, 13},
	{"TCP_KEEPCNT", IPPROTO_TCP, TCP_KEEPCNT, 5, 5},
};
#define N_OPTIONS (sizeof(options) / sizeof(options[0]))

static int options_setup(void)
{
	if (make_pair(AF_INET) < 0)
		return -1;
	for (size_t i = 0; i < N_OPTIONS; i++) {
		const struct option *o = &options[i];

		if (setsockopt(client, o->level, o->nr, &o->value, sizeof(o->value)) < 0)
			return sv_errno(o->name);
	}
	return 0;
}

static int options_verify(void)
{
	for (size_t i = 0; i < N_OPTIONS; i++) {
		const struct option *o = &options[i];
		int got = -1;
		socklen_t size = sizeof(got);

		getsockopt(client, o->level, o->nr, &got, &size);
		if (sv_same(o->name, o->read_back, got) < 0)
			return -1;
	}
	return is_open_both_ways();
}

static void options_spoil(void)
{
	int value = 78;

	setsockopt(client, IPPROTO_TCP, TCP_KEEPIDLE, &value, sizeof(value));
}

/* clang-format off */
const struct sv_item sv_tcp_items[] = {
	{ "tcp4", "IPv4, both ends inside, every queue full", tcp4_setup, flight_verify, flight_spoil, NULL, SV_KEPT },
	{ "tcp6", "IPv6, both ends inside, every queue full", tcp6_setup, flight_verify, flight_spoil, NULL, SV_KEPT },
	{ "tcp-stream", "two processes that never stop sending", stream_setup, stream_verify, stream_spoil, stream_work, SV_KEPT },
	{ "tcp-half", "half closed, data and its end unread", half_setup, half_verify, half_spoil, NULL, SV_KEPT },
	{ "tcp-listen", "a listening socket, its backlog and options", listen_setup, listen_verify, listen_spoil, NULL, SV_KEPT },
	{ "tcp-backlog", "a connection with data that waits for accept", backlog_setup, backlog_verify, backlog_spoil, NULL, SV_LOST },
	{ "tcp-options", "options of a connection", options_setup, options_verify, options_spoil, NULL, SV_KEPT },
	{ .name = NULL },
};
