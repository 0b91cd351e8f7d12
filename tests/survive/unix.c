/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "survive.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int pair[2] = {-1, -1};
static int listener = -1, client = -1;

/* ---- queued data --------------------------------------------------------------------------- /  */

static int64_t queued[2];

static int stream_setup(void)
{
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return sv_errno("socketpair");
	queued[0] = sv_stuff(pair[0], 10);
	queued[1] = sv_stuff(pair[1], 11);
	return queued[0] > 0 && queued[1] > 0 ? 0 : -1;
}

static int both_ways(void)
{
	if (sv_passes("one way", pair[0], pair[1]) < 0)
		return -1;
	return sv_passes("the other way", pair[1], pair[0]);
}

static int stream_verify(void)
{
	if (sv_receive(pair[1], 10, 0, queued[0]) < 0 ||
	    sv_receive(pair[0], 11, 0, queued[1]) < 0 || sv_empty("one end", pair[0]) < 0 ||
	    sv_empty("the other end", pair[1]) < 0)
		return -1;
	return both_ways();
}

static void lose_one_byte(void)
{
	char c;

	(void)!read(pair[1], &c, 1);
}

/* Messages of different sizes: their boundaries count too. */
static const size_t sizes[] = {1, 700, 0, 33, 4096, 2};
#define N_SIZES (sizeof(sizes) / sizeof(sizes[0]))

static int message_send(int fd, size_t size)
{
	uint8_t buf[4096];

	sv_fill(buf, size, 12, 0);
	return send(fd, buf, size, 0) == (ssize_t)size ? 0 : sv_errno("send");
}

static int message_receive(int fd, size_t size)
{
	uint8_t buf[8192];
	ssize_t n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);

	if (n < 0)
		return sv_errno("a queued message: recv");
	if (sv_same("size of a queued message", (int64_t)size, n) < 0)
		return -1;
	return sv_compare("a queued message", buf, size, 12, 0);
}

static int messages_queue(int fd, bool with_empty)
{
	for (size_t i = 0; i < N_SIZES; i++) {
		if ((sizes[i] || with_empty) && message_send(fd, sizes[i]) < 0)
			return -1;
	}
	return 0;
}

static int messages_check(int fd, bool with_empty)
{
	for (size_t i = 0; i < N_SIZES; i++) {
		if ((sizes[i] || with_empty) && message_receive(fd, sizes[i]) < 0)
			return -1;
	}
	return sv_empty("after the queued messages", fd);
}

/* An empty message of a seqpacket socket would look like its end. */
static int seqpacket_setup(void)
{
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return sv_errno("socketpair");
	return messages_queue(pair[0], false);
}

static int seqpacket_verify(void)
{
	return messages_check(pair[1], false) < 0 ? -1 : both_ways();
}

static void lose_one_message(void)
{
	char c;

	recv(pair[1], &c, 1, 0);
}

static struct sockaddr_un dgram_at = {.sun_family = AF_UNIX, .sun_path = "dgram"};

static int dgram_open(void)
{
	pair[1] = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	pair[0] = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (bind(pair[1], (struct sockaddr *)&dgram_at, sizeof(dgram_at)) < 0 ||
	    connect(pair[0], (struct sockaddr *)&dgram_at, sizeof(dgram_at)) < 0)
		return sv_errno("a bound dgram socket");
	return 0;
}

static int dgram_setup(void)
{
	return dgram_open() < 0 ? -1 : messages_queue(pair[0], false);
}

static int dgram_empty_setup(void)
{
	return dgram_open() < 0 ? -1 : messages_queue(pair[0], true);
}

static int dgram_empty_verify(void)
{
	return messages_check(pair[1], true);
}

static int dgram_verify(void)
{
	int fresh = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (messages_check(pair[1], false) < 0 ||
	    sv_passes("to the bound socket", pair[0], pair[1]) < 0)
		return -1;
	if (connect(fresh, (struct sockaddr *)&dgram_at, sizeof(dgram_at)) < 0)
		return sv_errno("its path: connect");
	return sv_passes("by its path", fresh, pair[1]);
}

/* ---- listening, by path and abstract ---------------------------------------------- */

static struct sockaddr_un at;
static socklen_t at_size;

static int connect_fresh(void)
{
	client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (connect(client, (struct sockaddr *)&at, at_size) < 0)
		return sv_errno("connect");
	return 0;
}

static int listen_at(const char *name, bool abstract)
{
	at.sun_family = AF_UNIX;
	snprintf(at.sun_path + abstract, sizeof(at.sun_path) - 1, "%s", name);
	at_size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + abstract + strlen(name));
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (bind(listener, (struct sockaddr *)&at, at_size) < 0 || listen(listener, 5) < 0)
		return sv_errno("listen");
	return 0;
}

static int path_setup(void)
{
	return listen_at("listener", false);
}

static int abstract_setup(void)
{
	return listen_at("survive-abstract", true);
}

static int backlog_setup(void)
{
	return listen_at("backlog", false) < 0 ? -1 : connect_fresh();
}

static int backlog_data_setup(void)
{
	return backlog_setup() < 0 ? -1 : sv_send(client, 13, 0, 3000);
}

static int accept_and_talk(void)
{
	pair[0] = client;
	pair[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	return pair[1] < 0 ? sv_errno("accept") : 0;
}

static int listen_verify(void)
{
	if (connect_fresh() < 0 || accept_and_talk() < 0)
		return -1;
	return both_ways();
}

static int backlog_verify(void)
{
	return accept_and_talk() < 0 ? -1 : both_ways();
}

static int backlog_data_verify(void)
{
	if (accept_and_talk() < 0 || sv_receive(pair[1], 13, 0, 3000) < 0)
		return -1;
	return both_ways();
}

static void close_listener(void)
{
	close(listener);
}

/* ---- descriptors in flight -------------------------------------------------------- */

#define N_FLYING 3
static int pipe_in_flight; /* the end that stayed */

union control {
	struct cmsghdr head;
	char room[CMSG_SPACE(N_FLYING * sizeof(int))];
};

/* One message in @iov with room for descriptors in @control. */
static struct msghdr message(struct iovec *iov, union control *control)
{
	return (struct msghdr){.msg_iov = iov,
			       .msg_iovlen = 1,
			       .msg_control = control,
			       .msg_controllen = sizeof(*control)};
}

static int fly(const int fds[N_FLYING])
{
	char c = 'f';
	struct iovec iov = {&c, 1};
	union control control = {.head = {.cmsg_len = CMSG_LEN(N_FLYING * sizeof(int)),
					  .cmsg_level = SOL_SOCKET,
					  .cmsg_type = SCM_RIGHTS}};
	struct msghdr msg = message(&iov, &control);

	memcpy(CMSG_DATA(&control.head), fds, N_FLYING * sizeof(int));
	return sendmsg(pair[0], &msg, 0) == 1 ? 0 : sv_errno("sendmsg");
}

static int land(int ret[N_FLYING])
{
	char c;
	struct iovec iov = {&c, 1};
	union control control;
	struct msghdr msg = message(&iov, &control);

	if (recvmsg(pair[1], &msg, MSG_DONTWAIT) != 1)
		return sv_errno("recvmsg");
	if (msg.msg_controllen < CMSG_LEN(N_FLYING * sizeof(int)))
		return sv_fail("the message has come without its descriptors");
	memcpy(ret, CMSG_DATA(&control.head), N_FLYING * sizeof(int));
	return 0;
}

/* A pipe's end, a file and a memfd; after this they are nowhere but in the message. */
static int rights_setup(void)
{
	int pipes[2], fds[N_FLYING];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0 ||
	    pipe2(pipes, O_CLOEXEC) < 0)
		return sv_errno("socketpair");
	pipe_in_flight = pipes[1];
	fds[0] = pipes[0];
	fds[1] = sv_file("flying", 1000, 14);
	fds[2] = memfd_create("flying", MFD_CLOEXEC);
	if (fds[1] < 0 || fds[2] < 0 || lseek(fds[1], 0, SEEK_SET) < 0 ||
	    ftruncate(fds[2], 4321) < 0)
		return sv_errno("memfd");
	if (fly(fds) < 0)
		return -1;
	for (int i = 0; i < N_FLYING; i++)
		close(fds[i]);
	return 0;
}

static int rights_verify(void)
{
	int fds[N_FLYING] = {-1, -1, -1};

	if (land(fds) < 0 ||
	    sv_passes("the pipe that was in flight", pipe_in_flight, fds[0]) < 0 ||
	    sv_receive(fds[1], 14, 0, 1000) < 0)
		return -1;
	return sv_same("size of the memfd that was in flight", 4321,
		       lseek(fds[2], 0, SEEK_END));
}

/* clang-format off */
const struct sv_item sv_unix_items[] = {
	{ "unix-stream", "a pair, both queues full", stream_setup, stream_verify, lose_one_byte, NULL, SV_KEPT },
	{ "unix-seqpacket", "queued messages and their boundaries", seqpacket_setup, seqpacket_verify, lose_one_message, NULL, SV_KEPT },
	{ "unix-dgram", "a socket with a path and queued messages", dgram_setup, dgram_verify, lose_one_message, NULL, SV_KEPT },
	{ "unix-dgram-empty", "a queued message without a byte", dgram_empty_setup, dgram_empty_verify, lose_one_message, NULL, SV_LOST },
	{ "unix-path", "listening at a path", path_setup, listen_verify, close_listener, NULL, SV_KEPT },
	{ "unix-abstract", "listening at an abstract name", abstract_setup, listen_verify, close_listener, NULL, SV_KEPT },
	{ "unix-backlog", "a connection that waits for accept", backlog_setup, backlog_verify, close_listener, NULL, SV_KEPT },
	{ "unix-backlog-data", "one that has sent already", backlog_data_setup, backlog_data_verify, close_listener, NULL, SV_REFUSED },
	{ "unix-rights", "descriptors in flight in a message", rights_setup, rights_verify, lose_one_byte, NULL, SV_KEPT },
	{ .name = NULL },
};
