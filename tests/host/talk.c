/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * What must go on whatever happens to a container: a connection with data in flight, and threads that count. Each writes how far
 * it is into a file, for a test to see that it moves.
 *
 *	talk serve PORT			send back what comes, on every connection
 *	talk load ADDRESS PORT FILE	keep a connection full of numbers and compare what comes back
 *	talk count FILE THREADS		every thread counts; the file has the one that is last
 */

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define IN_FLIGHT (128u << 10)
#define CHUNK 4096u
#define STUCK_MS 240000	/* TCP waits ever longer for a peer that is away */
#define THREADS_MAX 16

static int complain(const char *what)
{
	fprintf(stderr, "talk: %s: %s\n", what, strerror(errno));
	return 1;
}

static void say(const char *file, uint64_t value)
{
	static int fd = -1;
	char text[32];
	int n = snprintf(text, sizeof(text), "%020llu\n", (unsigned long long)value);

	if (fd < 0)
		fd = open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	if (fd < 0 || pwrite(fd, text, (size_t)n, 0) != n)
		exit(complain(file));
}

static void echo(int sock)
{
	char buf[CHUNK];
	ssize_t n;

	while ((n = read(sock, buf, sizeof(buf))) > 0)
		for (ssize_t done = 0, m; done < n; done += m) {
			m = write(sock, buf + done, (size_t)(n - done));
			if (m <= 0)
				_exit(complain("write"));
		}
	_exit(n < 0 ? complain("read") : 0);
}

static int serve(const char *port)
{
	struct sockaddr_in6 sa = { .sin6_family = AF_INET6, .sin6_port = htons((uint16_t)atoi(port)) };
	int sock = socket(AF_INET6, SOCK_STREAM, 0), on = 1;

	signal(SIGCHLD, SIG_IGN);
	setsockopt(sock, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(sock, (struct sockaddr *)&sa, sizeof(sa)) < 0 || listen(sock, 8) < 0)
		return complain("listen");
	for (;;) {
		int one = accept(sock, NULL, NULL);

		if (one >= 0 && fork() == 0)
			echo(one);
		if (one >= 0)
			close(one);
	}
}

/* The byte that stands at @at: no short period, so that what is lost or doubled shows. */
static unsigned char byte_at(uint64_t at)
{
	return (unsigned char)((at * 2654435761u) >> 16 ^ at);
}

static int connect_to(const char *address, const char *port)
{
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port)) };
	struct sockaddr_in6 sa6 = { .sin6_family = AF_INET6, .sin6_port = sa.sin_port };
	int six = strchr(address, ':') != NULL;
	int sock = socket(six ? AF_INET6 : AF_INET, SOCK_STREAM, 0);

	if (inet_pton(six ? AF_INET6 : AF_INET, address,
		      six ? (void *)&sa6.sin6_addr : (void *)&sa.sin_addr) != 1)
		return -1;
	return connect(sock, six ? (struct sockaddr *)&sa6 : (struct sockaddr *)&sa,
		       six ? sizeof(sa6) : sizeof(sa)) < 0 ? -1 : sock;
}

static int load(const char *address, const char *port, const char *file)
{
	int sock = connect_to(address, port);
	unsigned char buf[CHUNK];
	uint64_t sent = 0, back = 0;

	if (sock < 0)
		return complain("connect");
	fcntl(sock, F_SETFL, O_NONBLOCK);
	for (;;) {
		struct pollfd p = { .fd = sock, .events = POLLIN };
		ssize_t n;

		if (sent - back < IN_FLIGHT)
			p.events |= POLLOUT;
		if (poll(&p, 1, STUCK_MS) == 0) {
			errno = ETIMEDOUT;
			return complain("nothing moves");
		}
		if (p.revents & POLLOUT) {
			for (unsigned int i = 0; i < CHUNK; i++)
				buf[i] = byte_at(sent + i);
			n = write(sock, buf, CHUNK);
			if (n < 0 && errno != EAGAIN)
				return complain("write");
			sent += n > 0 ? (uint64_t)n : 0;
		}
		n = read(sock, buf, sizeof(buf));
		if (n == 0 || (n < 0 && errno != EAGAIN))
			return complain("read");
		for (ssize_t i = 0; i < n; i++)
			if (buf[i] != byte_at(back++)) {
				errno = EBADMSG;
				return complain("another byte came back");
			}
		say(file, back);
		usleep(500);
	}
}

static volatile uint64_t counters[THREADS_MAX];

static void *count(void *arg)
{
	volatile uint64_t *counter = arg;

	for (;;) {
		++*counter;
		usleep(1000);
	}
	return NULL;
}

static int count_all(const char *file, int threads)
{
	pthread_t thread;

	for (int i = 0; i < threads && i < THREADS_MAX; i++)
		if (pthread_create(&thread, NULL, count, (void *)(uintptr_t)&counters[i]) != 0)
			return complain("pthread_create");
	for (;;) {
		uint64_t last = UINT64_MAX;

		for (int i = 0; i < threads && i < THREADS_MAX; i++)
			last = counters[i] < last ? counters[i] : last;
		say(file, last);
		usleep(5000);
	}
}

int main(int argc, char **argv)
{
	signal(SIGPIPE, SIG_IGN);
	if (argc == 3 && strcmp(argv[1], "serve") == 0)
		return serve(argv[2]);
	if (argc == 5 && strcmp(argv[1], "load") == 0)
		return load(argv[2], argv[3], argv[4]);
	if (argc == 4 && strcmp(argv[1], "count") == 0)
		return count_all(argv[2], atoi(argv[3]));
	fprintf(stderr, "talk: serve PORT | load ADDRESS PORT FILE | count FILE THREADS\n");
	return 2;
}
