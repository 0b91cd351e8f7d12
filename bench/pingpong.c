/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * pingpong serve PORT : answers every datagram, and whatever comes on a TCP connection.
 * pingpong watch ADDRESS PORT : asks every millisecond over both until SIGTERM, then prints the longest time between
 * two answers of each, in microseconds: "UDP TCP", less the millisecond that is always between them.
 *
 * What a client sees of a move. The questions of a silence are asked again by TCP itself; UDP goes on asking.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define PERIOD_US 1000
#define CLIENTS 8

static volatile sig_atomic_t over;

static void on_term(int sig)
{
	(void)sig;
	over = 1;
}

static long long now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (long long)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static int make(int type, const struct sockaddr_in *at, int (*use)(int, const struct sockaddr *, socklen_t))
{
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0), on = 1;

	if (fd < 0)
		die("socket");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (type == SOCK_STREAM)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (use(fd, (const struct sockaddr *)at, sizeof(*at)) < 0)
		die(use == bind ? "bind" : "connect");
	return fd;
}

static void echo_datagram(int fd)
{
	struct sockaddr_in from;
	socklen_t len = sizeof(from);
	char buf[64];
	ssize_t n = recvfrom(fd, buf, sizeof(buf), 0, (struct sockaddr *)&from, &len);

	if (n > 0 && sendto(fd, buf, (size_t)n, 0, (struct sockaddr *)&from, len) < 0)
		return;	/* it is asked again */
}

/* false: it is closed */
static int echo_stream(int fd)
{
	char buf[64];
	ssize_t n = read(fd, buf, sizeof(buf));

	return n > 0 && write(fd, buf, (size_t)n) == n;
}

static int serve(const struct sockaddr_in *at)
{
	struct pollfd p[2 + CLIENTS];
	int udp = make(SOCK_DGRAM, at, bind), tcp = make(SOCK_STREAM, at, bind);
	nfds_t n = 2;

	signal(SIGPIPE, SIG_IGN);	/* of a client that went away */
	if (listen(tcp, CLIENTS) < 0)
		die("listen");
	p[0] = (struct pollfd){ .fd = udp, .events = POLLIN };
	p[1] = (struct pollfd){ .fd = tcp, .events = POLLIN };
	for (;;) {
		if (poll(p, n, -1) < 0)
			continue;
		if (p[0].revents)
			echo_datagram(udp);
		for (nfds_t i = 2; i < n; i++)
			if (p[i].revents && !echo_stream(p[i].fd)) {
				close(p[i].fd);
				p[i--] = p[--n];
			}
		if (p[1].revents && n < 2 + CLIENTS)
			p[n++] = (struct pollfd){ .fd = accept(tcp, NULL, NULL), .events = POLLIN };
	}
}

/* Since the last answer; the longest is kept. */
static void answered(int fd, long long *last, long long *longest)
{
	char buf[256];
	long long now;

	if (recv(fd, buf, sizeof(buf), MSG_DONTWAIT) <= 0)
		return;
	now = now_us();
	if (*last && now - *last > *longest)
		*longest = now - *last;
	*last = now;
}

static int watch(const struct sockaddr_in *at)
{
	struct itimerspec every = { .it_interval.tv_nsec = PERIOD_US * 1000, .it_value.tv_nsec = PERIOD_US * 1000 };
	int udp = make(SOCK_DGRAM, at, connect), tcp = make(SOCK_STREAM, at, connect);
	int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	struct pollfd p[] = { { .fd = udp, .events = POLLIN }, { .fd = tcp, .events = POLLIN },
			      { .fd = timer, .events = POLLIN } };
	long long last[2] = { 0 }, longest[2] = { 0 };
	unsigned long long ticks;

	signal(SIGTERM, on_term);
	timerfd_settime(timer, 0, &every, NULL);
	while (!over) {
		if (poll(p, 3, -1) < 0)
			continue;
		for (int i = 0; i < 2; i++)
			if (p[i].revents)
				answered(p[i].fd, &last[i], &longest[i]);
		if (p[2].revents && read(timer, &ticks, sizeof(ticks)) > 0) {
			send(udp, "ping", 4, MSG_DONTWAIT);
			send(tcp, "ping", 4, MSG_DONTWAIT | MSG_NOSIGNAL);
		}
	}
	printf("%lld %lld\n", longest[0] - PERIOD_US, longest[1] - PERIOD_US);
	return 0;
}

int main(int argc, char **argv)
{
	struct sockaddr_in at = { .sin_family = AF_INET };

	if (argc == 3 && strcmp(argv[1], "serve") == 0) {
		at.sin_port = htons((in_port_t)atoi(argv[2]));
		return serve(&at);
	}
	if (argc == 4 && strcmp(argv[1], "watch") == 0 && inet_pton(AF_INET, argv[2], &at.sin_addr) == 1) {
		at.sin_port = htons((in_port_t)atoi(argv[3]));
		return watch(&at);
	}
	fprintf(stderr, "usage: pingpong serve PORT | watch ADDRESS PORT\n");
	return 2;
}
