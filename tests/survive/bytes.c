/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "survive.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHUNK 16384u
#define PATIENCE_MS 10000

uint8_t sv_byte(uint32_t stream, uint64_t at)
{
	uint64_t x = (at >> 3) * UINT64_C(0x9e3779b97f4a7c15) +
		     stream * UINT64_C(0xd1b54a32d192ed03);

	x ^= x >> 29;
	x *= UINT64_C(0xbf58476d1ce4e5b9);
	x ^= x >> 32;
	return (uint8_t)(x >> (at & 7) * 8);
}

void sv_fill(void *to, size_t size, uint32_t stream, uint64_t at)
{
	uint8_t *p = to;

	for (size_t i = 0; i < size; i++)
		p[i] = sv_byte(stream, at + i);
}

int sv_compare(const char *what, const void *from, size_t size, uint32_t stream, uint64_t at)
{
	const uint8_t *p = from;

	for (size_t i = 0; i < size; i++) {
		if (p[i] != sv_byte(stream, at + i))
			return sv_fail("%s: byte %" PRIu64 " is not what it was", what, at + i);
	}
	return 0;
}

/* Some tests have left a descriptor non-blocking. */
static int ready(int fd, short what)
{
	struct pollfd p = {.fd = fd, .events = what};
	int r;

	do
		r = poll(&p, 1, PATIENCE_MS);
	while (r < 0 && errno == EINTR);
	if (r == 0)
		return sv_fail("nothing moves on descriptor %d", fd);
	return r < 0 ? sv_errno("poll") : 0;
}

int sv_send(int fd, uint32_t stream, uint64_t at, size_t size)
{
	uint8_t buf[CHUNK];

	while (size > 0) {
		size_t want = size < sizeof(buf) ? size : sizeof(buf);
		ssize_t n;

		sv_fill(buf, want, stream, at);
		if (ready(fd, POLLOUT) < 0)
			return -1;
		n = write(fd, buf, want);
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return sv_errno("write");
		if (n > 0) {
			at += n;
			size -= n;
		}
	}
	return 0;
}

int sv_receive(int fd, uint32_t stream, uint64_t at, size_t size)
{
	uint8_t buf[CHUNK];

	while (size > 0) {
		ssize_t n;

		if (ready(fd, POLLIN) < 0)
			return -1;
		n = read(fd, buf, size < sizeof(buf) ? size : sizeof(buf));
		if (n == 0)
			return sv_fail("%zu bytes before their end there were no more", size);
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return sv_errno("read");
		if (n > 0) {
			if (sv_compare("what was in flight", buf, n, stream, at) < 0)
				return -1;
			at += n;
			size -= n;
		}
	}
	return 0;
}

int64_t sv_stuff(int fd, uint32_t stream)
{
	int flags = fcntl(fd, F_GETFL);
	uint8_t buf[CHUNK];
	int64_t at = 0;
	ssize_t n;

	if (fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return sv_errno("O_NONBLOCK");
	do {
		sv_fill(buf, sizeof(buf), stream, at);
		n = write(fd, buf, sizeof(buf));
		if (n > 0)
			at += n;
	} while (n > 0);
	if (errno != EAGAIN)
		return sv_errno("write");
	if (fcntl(fd, F_SETFL, flags) < 0)
		return sv_errno("F_SETFL");
	return at;
}

int sv_passes(const char *what, int from, int to)
{
	static uint8_t next = 'a';
	uint8_t sent = next++, got;

	if (write(from, &sent, 1) != 1)
		return sv_fail("%s: nothing can be sent: %s", what, strerror(errno));
	if (ready(to, POLLIN) < 0 || read(to, &got, 1) != 1)
		return sv_fail("%s: nothing comes out", what);
	return sv_same(what, sent, got);
}

int sv_empty(const char *what, int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	if (poll(&p, 1, 0) == 0)
		return 0;
	return sv_fail("%s: there is something to read that should not be", what);
}

int sv_ended(const char *what, int fd)
{
	uint8_t c;

	if (ready(fd, POLLIN) < 0)
		return -1;
	if (read(fd, &c, 1) == 0)
		return 0;
	return sv_fail("%s: this should be the end of it", what);
}

int sv_file(const char *name, size_t size, uint32_t stream)
{
	int fd = open(name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0)
		return sv_errno(name);
	if (sv_send(fd, stream, 0, size) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

int sv_line(const char *path, const char *key, char *ret, size_t size)
{
	FILE *f = fopen(path, "re");
	char line[4096];
	bool found = false;

	if (!f)
		return sv_errno(path);
	while (!found && fgets(line, sizeof(line), f)) {
		char *value = line + strlen(key);

		found = strncmp(line, key, strlen(key)) == 0;
		if (found) {
			value += strspn(value, " \t:");
			snprintf(ret, size, "%.*s", (int)strcspn(value, "\n"), value);
		}
	}
	fclose(f);
	return found ? 0 : sv_fail("%s has no line %s", path, key);
}

int sv_number(const char *path, const char *key, int64_t *ret)
{
	char text[64];

	if (sv_line(path, key, text, sizeof(text)) < 0)
		return -1;
	*ret = strtoll(text, NULL, 10);
	return 0;
}
