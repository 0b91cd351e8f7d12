/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "survive.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "client.h"

/*
 * A client that asks for one page again and again on one connection. Every answer must be
 * complete; with the same length as the first, and the same bytes too, unless the page is a
 * number, which must be higher than the last.
 */

#define ANSWER_MAX (256u << 10)
#define PATIENCE_S 60

static char answer[ANSWER_MAX + 1], first[ANSWER_MAX + 1];
static size_t first_size;

/* Length of the head with its empty line, and of the body; -1 if it is no good answer. 0 with
 * *@ret_head 0: more is to come. */
static int parse_head(size_t have, size_t *ret_head, size_t *ret_body)
{
	char *end, *length;

	answer[have] = 0;
	end = strstr(answer, "\r\n\r\n");
	*ret_head = 0;
	if (!end)
		return have == ANSWER_MAX ? sv_fail("an answer has no end of its head") : 0;
	if (strncmp(answer, "HTTP/1.1 200", 12) != 0)
		return sv_fail("the answer is %.30s", answer);
	*end = 0;
	length = strcasestr(answer, "\r\nContent-Length:");
	if (!length)
		return sv_fail("an answer has no length");
	*ret_body = strtoul(length + strlen("\r\nContent-Length:"), NULL, 10);
	*ret_head = (size_t)(end - answer) + 4;
	return *ret_head + *ret_body > ANSWER_MAX ? sv_fail("an answer is too long") : 0;
}

/* One answer, to the byte. Return: where its body is, or NULL. */
static const char *get(int fd, const char *request, size_t *ret_size)
{
	size_t have = 0, head = 0;

	*ret_size = 0;
	if (send(fd, request, strlen(request), MSG_NOSIGNAL) != (ssize_t)strlen(request)) {
		sv_errno("the connection");
		return NULL;
	}
	while (head == 0 || have < head + *ret_size) {
		ssize_t n =
			read(fd, answer + have, (head ? head + *ret_size : ANSWER_MAX) - have);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			if (n < 0)
				sv_errno("the connection");
			else
				sv_fail("the server has closed the connection");
			return NULL;
		}
		have += n;
		if (head == 0 && parse_head(have, &head, ret_size) < 0)
			return NULL;
	}
	return answer + head;
}

static int check(const char *body, size_t size)
{
	char *end, *first_end;

	if (first_size == 0) {
		memcpy(first, body, size);
		first_size = size;
		return 0;
	}
	if (sv_same("length of an answer", (int64_t)first_size, (int64_t)size) < 0)
		return -1;
	if (strtoull(body, &end, 10) > strtoull(first, &first_end, 10) && *end == '\n' &&
	    end[1] == 0 && *first_end == '\n') {
		memcpy(first, body, size);
		return 0;
	}
	return memcmp(first, body, size) == 0 ? 0 : sv_fail("an answer is not the page");
}

static int ask(int fd, const char *request, double end, struct sv_gap *gap)
{
	uint64_t n = 0;
	int r = 0;

	while (r == 0 && !sv_client_stopped() && sv_now(CLOCK_MONOTONIC) < end) {
		size_t size;
		const char *body = get(fd, request, &size);

		r = body ? check(body, size) : -1;
		sv_gap_moved(gap);
		n += r == 0;
		sv_sleep_ms(1);
	}
	sv_report("http", n, n, 0, gap);
	return r;
}

int sv_client_http(char **arg)
{
	struct timeval patience = {PATIENCE_S, 0};
	char request[512];
	struct sv_gap gap;
	int fd, r;

	if (!arg[0] || !arg[1] || !arg[2] || !arg[3]) {
		fputs("usage: survive client http HOST PORT PATH SECONDS\n", stderr);
		return 2;
	}
	snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: survive\r\n\r\n", arg[2]);
	fd = sv_connect(arg[0], arg[1], SOCK_STREAM);
	if (fd < 0)
		return 2;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	sv_gap_begin(&gap);
	r = ask(fd, request, gap.last + strtod(arg[3], NULL), &gap);
	close(fd);
	return r < 0 ? 1 : 0;
}
