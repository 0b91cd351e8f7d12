/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "survive.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client.h"

/*
 * What clients outside talk to (client.c), IPv4 and IPv6, in a process that does nothing else.
 * A connection begins with one byte: SV_ECHO, and what comes is sent back; or SV_STREAM, and
 * what comes must be the pattern of stream 1, while that of stream 2 is sent without end. The
 * first wrong byte ends the connection. Datagrams are sent back.
 */

#define CONNECTIONS 64
#define CHUNK 8192u

struct connection {
	int fd;
	char mode; /* 0: its first byte has not come */
	uint64_t received, sent;
};

static struct connection connections[CONNECTIONS];
static int n_connections;
static int tcp = -1, udp = -1;
static struct sv_child child;

/* For the self-test of the clients: SV_SPOIL in the environment, and one answer in so many is
 * damaged. */
#define SPOILT_EACH 50

static void damage(void *answer)
{
	static unsigned int n;

	if (getenv(SV_SPOIL) && ++n % SPOILT_EACH == 0)
		*(uint8_t *)answer ^= 0x40;
}

static int bind_any(int type)
{
	struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons(SV_PORT)};
	int fd = socket(AF_INET6, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), zero = 0, one = 1;

	if (fd < 0 || setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
	    bind(fd, (struct sockaddr *)&any, sizeof(any)) < 0)
		return sv_errno("bind");
	return fd;
}

static void accept_one(void)
{
	int fd = accept4(tcp, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK), one = 1;

	if (fd < 0)
		return;
	if (n_connections == CONNECTIONS) {
		close(fd);
		return;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	connections[n_connections++] = (struct connection){.fd = fd};
}

/* 0, or -1 when it is over. An echo is small enough for the send buffer: one at a time is on
 * its way. */
static int take(struct connection *c)
{
	uint8_t buf[CHUNK];
	ssize_t n = read(c->fd, buf, c->mode ? sizeof(buf) : 1);

	if (n <= 0)
		return n < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -1;
	if (!c->mode) {
		c->mode = (char)buf[0];
		return c->mode == SV_ECHO || c->mode == SV_STREAM ? 0 : -1;
	}
	if (c->mode == SV_ECHO) {
		damage(buf);
		return send(c->fd, buf, n, MSG_NOSIGNAL) == n ? 0 : -1;
	}
	for (ssize_t i = 0; i < n; i++) {
		if (buf[i] != sv_byte(1, c->received++))
			return -1;
	}
	return 0;
}

static int give(struct connection *c)
{
	uint8_t buf[CHUNK];
	ssize_t n;

	sv_fill(buf, sizeof(buf), 2, c->sent);
	damage(buf);
	n = send(c->fd, buf, sizeof(buf), MSG_NOSIGNAL);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -1;
	c->sent += n;
	return 0;
}

static void echo_datagram(void)
{
	struct sockaddr_storage from;
	socklen_t size = sizeof(from);
	char buf[2048];
	ssize_t n = recvfrom(udp, buf, sizeof(buf), 0, (struct sockaddr *)&from, &size);

	damage(buf);
	if (n >= 0)
		sendto(udp, buf, n, 0, (struct sockaddr *)&from, size);
}

static void serve_connection(int i, short events)
{
	struct connection *c = &connections[i];

	if (((events & (POLLIN | POLLERR | POLLHUP)) && take(c) < 0) ||
	    ((events & POLLOUT) && give(c) < 0)) {
		close(c->fd);
		*c = connections[--n_connections];
	}
}

static int serve(int request)
{
	struct pollfd p[CONNECTIONS + 2];

	(void)request;
	for (;;) {
		int n = n_connections;

		p[0] = (struct pollfd){.fd = tcp, .events = POLLIN};
		p[1] = (struct pollfd){.fd = udp, .events = POLLIN};
		for (int i = 0; i < n; i++)
			p[i + 2] = (struct pollfd){
				.fd = connections[i].fd,
				.events = (short)(POLLIN |
						  (connections[i].mode == SV_STREAM ? POLLOUT
										    : 0))};
		if (poll(p, (nfds_t)n + 2, -1) < 0 && errno != EINTR)
			return sv_errno("poll");
		/* From behind: the last one takes the place of one that is over. */
		for (int i = n - 1; i >= 0; i--)
			serve_connection(i, p[i + 2].revents);
		if (p[0].revents)
			accept_one();
		if (p[1].revents)
			echo_datagram();
	}
}

static int setup(void)
{
	int request = 0;

	tcp = bind_any(SOCK_STREAM);
	udp = bind_any(SOCK_DGRAM);
	if (tcp < 0 || udp < 0 || listen(tcp, 16) < 0)
		return sv_errno("listen");
	if (sv_child_start(&child, serve) < 0)
		return -1;
	close(tcp);
	close(udp);
	return send(child.control, &request, sizeof(request), 0) < 0 ? sv_errno("send") : 0;
}

/* A new client gets on with it; those that were there before have their own say. */
static int verify(void)
{
	struct sockaddr_in at = {.sin_family = AF_INET,
				 .sin_port = htons(SV_PORT),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char mode = SV_ECHO;

	if (fd < 0 || connect(fd, (struct sockaddr *)&at, sizeof(at)) < 0 ||
	    write(fd, &mode, 1) != 1)
		return sv_errno("a new client");
	return sv_passes("the echo", fd, fd);
}

static void spoil(void)
{
	sv_child_kill(&child);
}

const struct sv_item sv_server_items[] = {
	{"server", "a server whose clients are outside", setup, verify, spoil, NULL, SV_KEPT},
	{.name = NULL},
};
