/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "survive.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "client.h"

/*
 *   survive client tcp HOST PORT SECONDS
 *           one connection, both directions at once, every byte checked
 *   survive client ping HOST PORT SECONDS
 *           one connection, a byte there and back every millisecond
 *   survive client udp HOST PORT SECONDS
 *           the same with datagrams
 *   survive client http HOST PORT PATH SECONDS
 *           one connection, the same page again and again (http.c)
 *
 * HOST is a numerical address. SIGTERM ends it early, to the same report: one line KEY=VALUE..., with
 * the longest time in which nothing came (gap_ms). Exit status 1 if a byte was lost, doubled or changed,
 * or the connection broke; lost datagrams are counted and no failure, doubled and changed ones are.
 */

#define CHUNK 8192u
#define PATIENCE_S 60.0 /* an outage longer than this counts as broken */

static volatile sig_atomic_t stop;

static void on_term(int sig)
{
	(void)sig;
	stop = 1;
}

void sv_gap_begin(struct sv_gap *gap)
{
	gap->last = sv_now(CLOCK_MONOTONIC);
	gap->longest = 0;
}

void sv_gap_moved(struct sv_gap *gap)
{
	double now = sv_now(CLOCK_MONOTONIC);

	if (now - gap->last > gap->longest)
		gap->longest = now - gap->last;
	gap->last = now;
}

int sv_connect(const char *host, const char *port, int type)
{
	struct sockaddr_in6 six = {.sin6_family = AF_INET6};
	struct sockaddr_in four = {.sin_family = AF_INET};
	struct sockaddr *at = (struct sockaddr *)&four;
	socklen_t size = sizeof(four);
	int fd, one = 1;

	four.sin_port = six.sin6_port = htons((uint16_t)strtoul(port, NULL, 10));
	if (inet_pton(AF_INET6, host, &six.sin6_addr) == 1) {
		at = (struct sockaddr *)&six;
		size = sizeof(six);
	} else if (inet_pton(AF_INET, host, &four.sin_addr) != 1) {
		fprintf(stderr, "survive: '%s' is not an address\n", host);
		return -1;
	}
	fd = socket(at->sa_family, type | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, at, size) < 0) {
		fprintf(stderr, "survive: connect to %s: %s\n", host, strerror(errno));
		close(fd);
		return -1;
	}
	if (type == SOCK_STREAM)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}

void sv_report(const char *kind, uint64_t sent, uint64_t received, uint64_t lost,
	       const struct sv_gap *gap)
{
	printf("kind=%s sent=%" PRIu64 " received=%" PRIu64 " lost=%" PRIu64
	       " gap_ms=%.1f verdict=%s\n",
	       kind, sent, received, lost, gap->longest * 1e3, sv_why()[0] ? "bad" : "good");
	if (sv_why()[0])
		fprintf(stderr, "survive: %s\n", sv_why());
}

/* ---- both directions -------------------------------------------------------------- */

static int stream_receive(int fd, uint64_t *received, struct sv_gap *gap)
{
	uint8_t buf[CHUNK];
	ssize_t n = read(fd, buf, sizeof(buf));

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n < 0)
		return sv_errno("the connection");
	if (n == 0)
		return sv_fail("the server has closed the connection");
	sv_gap_moved(gap);
	if (sv_compare("the server's stream", buf, n, 2, *received) < 0)
		return -1;
	*received += n;
	return 0;
}

static int stream_send(int fd, uint64_t *sent)
{
	uint8_t buf[CHUNK];
	ssize_t n;

	sv_fill(buf, sizeof(buf), 1, *sent);
	n = send(fd, buf, sizeof(buf), MSG_NOSIGNAL);
	if (n < 0 && errno != EAGAIN && errno != EINTR)
		return sv_errno("the connection");
	if (n > 0)
		*sent += n;
	return 0;
}

/* Not at full speed: the machine has other things to do. */
static int client_tcp(int fd, double end, struct sv_gap *gap)
{
	uint64_t sent = 0, received = 0;
	char mode = SV_STREAM;
	int r = write(fd, &mode, 1) == 1 ? fcntl(fd, F_SETFL, O_NONBLOCK) : sv_errno("write");

	while (r == 0 && !stop && sv_now(CLOCK_MONOTONIC) < end) {
		struct pollfd p = {.fd = fd, .events = POLLIN | POLLOUT};

		if (poll(&p, 1, 1000) > 0) {
			if (p.revents & (POLLIN | POLLERR | POLLHUP))
				r = stream_receive(fd, &received, gap);
			if (r == 0 && (p.revents & POLLOUT))
				r = stream_send(fd, &sent);
			sv_sleep_ms(1);
		}
		if (r == 0 && sv_now(CLOCK_MONOTONIC) - gap->last > PATIENCE_S)
			r = sv_fail("nothing came for %.0f s", PATIENCE_S);
	}
	sv_report("tcp", sent, received, 0, gap);
	return r;
}

/* ---- there and back --------------------------------------------------------------- */

static int client_ping(int fd, double end, struct sv_gap *gap)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	uint8_t out = SV_ECHO, in;
	uint64_t n = 0;
	int r = write(fd, &out, 1) == 1 ? 0 : sv_errno("write");

	while (r == 0 && !stop && sv_now(CLOCK_MONOTONIC) < end) {
		out = sv_byte(3, n);
		if (send(fd, &out, 1, MSG_NOSIGNAL) != 1)
			r = sv_errno("the connection");
		while (r == 0 && poll(&p, 1, (int)(PATIENCE_S * 1e3)) != 1) {
			if (errno != EINTR)
				r = sv_fail("no answer for %.0f s", PATIENCE_S);
		}
		if (r == 0 && read(fd, &in, 1) != 1)
			r = sv_errno("the connection");
		if (r == 0)
			r = sv_same("an answer", out, in);
		sv_gap_moved(gap);
		n++;
		sv_sleep_ms(1);
	}
	sv_report("ping", n, n, 0, gap);
	return r;
}

/* A datagram is its number. One that was lost never comes; one that comes late or twice is a
 * failure. */
static int udp_take(int fd, uint64_t sent, uint64_t *next, uint64_t *received)
{
	uint64_t number;
	ssize_t n = recv(fd, &number, sizeof(number), MSG_DONTWAIT);

	/* While nobody is there, hosts may answer for it. */
	if (n < 0 && (errno == EAGAIN || errno == ECONNREFUSED || errno == EHOSTUNREACH ||
		      errno == EINTR))
		return 0;
	if (n != sizeof(number))
		return n < 0 ? sv_errno("recv") : sv_fail("a datagram has another size");
	if (number < *next || number >= sent)
		return sv_fail("a datagram came twice, too late, or changed");
	*next = number + 1;
	++*received;
	return 1;
}

static int client_udp(int fd, double end, struct sv_gap *gap)
{
	uint64_t sent = 0, next = 0, received = 0;
	int r = 0;

	while (r >= 0 && !stop && sv_now(CLOCK_MONOTONIC) < end) {
		struct pollfd p = {.fd = fd, .events = POLLIN};

		if (send(fd, &sent, sizeof(sent), 0) == sizeof(sent))
			sent++;
		if (poll(&p, 1, 1) > 0)
			r = udp_take(fd, sent, &next, &received);
		if (r > 0)
			sv_gap_moved(gap);
	}
	sv_report("udp", sent, received, sent - received, gap);
	return r < 0 ? -1 : 0;
}

static const struct {
	const char *name;
	int type;
	int (*run)(int fd, double end, struct sv_gap *gap);
} kinds[] = {
	{"tcp", SOCK_STREAM, client_tcp},
	{"ping", SOCK_STREAM, client_ping},
	{"udp", SOCK_DGRAM, client_udp},
};

int sv_client(char **arg)
{
	struct sigaction action = {.sa_handler = on_term};
	struct sv_gap gap;
	int fd, r;

	sigaction(SIGTERM, &action, NULL);
	if (arg[0] && strcmp(arg[0], "http") == 0)
		return sv_client_http(arg + 1);
	for (size_t i = 0; arg[0] && i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (strcmp(kinds[i].name, arg[0]) != 0 || !arg[1] || !arg[2] || !arg[3])
			continue;
		fd = sv_connect(arg[1], arg[2], kinds[i].type);
		if (fd < 0)
			return 2;
		sv_gap_begin(&gap);
		r = kinds[i].run(fd, gap.last + strtod(arg[3], NULL), &gap);
		close(fd);
		return r < 0 ? 1 : 0;
	}
	fputs("usage: survive client tcp|ping|udp HOST PORT SECONDS | client http HOST PORT "
	      "PATH SECONDS\n",
	      stderr);
	return 2;
}

bool sv_client_stopped(void)
{
	return stop;
}
