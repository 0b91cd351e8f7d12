/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The program inside the guest: frames in and out. It is the guest's, and nothing that it says is believed. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "cmd/lodge-vm/vm.h"
#include "ct/trace.h"
#include "lib/cleanup.h"

#define QUEUE_MAX (1u << 20)	/* behind it the agent does not read, and is none */
#define QUEUE_FULL (128u << 10)	/* streams wait from here on */
#define FRAME_MAX (sizeof(struct lg_agent_head) + LG_AGENT_PAYLOAD)
#define READ_MAX 65536u

static void on_port(struct lg_source *s, uint32_t events);

static struct lg_source port = { .fd = -1, .on_event = on_port };
static bool helloed, inited;
static struct lg_msg message;	/* of a frame's payload */

static struct {
	char *buf;
	size_t at, end, room;	/* what is in [at, end) was not taken yet */
} out, in;

bool agent_here(void)
{
	return port.fd >= 0 && inited && !vm.quiet;
}

static void forget(void)
{
	free(out.buf);
	free(in.buf);
	memset(&out, 0, sizeof(out));
	memset(&in, 0, sizeof(in));
}

/*
 * A machine without an agent from now on. Before it was set up the watchdog will say so. The socket itself ends with QEMU alone,
 * and what is to be said then is said when that is reaped.
 */
static void agent_end(int why)
{
	lg_trace("agent lost");
	lg_source_close(&port);
	forget();
	inited = false;
	if (why == -EPIPE || why == -ECONNRESET)
		return;
	sessions_lost();
	ask_lost();
}

/* ---- to the guest ---- */

size_t agent_room(void)
{
	size_t queued = out.end - out.at;

	return port.fd < 0 || queued >= QUEUE_FULL ? 0 : QUEUE_FULL - queued;
}

static int queue(const void *data, size_t len)
{
	if (out.at > 0 && out.end + len > out.room) {
		memmove(out.buf, out.buf + out.at, out.end - out.at);
		out.end -= out.at;
		out.at = 0;
	}
	if (out.end + len > out.room) {
		size_t room = out.room ? out.room * 2 : 2 * FRAME_MAX;
		char *buf = room <= QUEUE_MAX ? realloc(out.buf, room) : NULL;

		if (!buf)
			return -ENOBUFS;
		out.buf = buf;
		out.room = room;
	}
	memcpy(out.buf + out.end, data, len);
	out.end += len;
	return 0;
}

/* Return: 0; -EAGAIN: the port takes no more now; negative errno: it ended. */
static int flush_queue(void)
{
	while (out.at < out.end) {
		ssize_t n = send(port.fd, out.buf + out.at, out.end - out.at, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno != EINTR)
			return -errno;
		out.at += n > 0 ? (size_t)n : 0;
	}
	free(out.buf);
	memset(&out, 0, sizeof(out));
	return 0;
}

int agent_send(uint32_t channel, enum lg_agent_kind kind, const void *data, size_t len)
{
	struct lg_agent_head head = { .size = (uint32_t)len, .channel = channel, .kind = (uint16_t)kind };
	bool idle = out.at == out.end;
	int r;

	if (port.fd < 0 || vm.quiet)
		return -ENOTCONN;
	if (len > LG_AGENT_PAYLOAD)
		return -EMSGSIZE;
	/* Room for both first: half a frame would be the end of all. */
	if (out.end - out.at + sizeof(head) + len > QUEUE_MAX / 2)
		return -ENOBUFS;
	r = queue(&head, sizeof(head));
	if (r == 0 && len > 0)
		r = queue(data, len);
	if (r < 0)
		return r;
	if (idle && flush_queue() == -EAGAIN)
		lg_source_change(&port, EPOLLIN | EPOLLOUT);
	return 0;
}

int agent_send_msg(uint32_t channel, enum lg_agent_kind kind, const struct lg_msg *m)
{
	return m->len > LG_AGENT_PAYLOAD ? -EMSGSIZE : agent_send(channel, kind, m->text, m->len);
}

/* ---- from the guest ---- */

static bool read_message(const char *data, size_t len)
{
	lg_msg_init(&message, 0);
	if (len > sizeof(message.text) || (len > 0 && data[len - 1] != '\0'))
		return false;
	memcpy(message.text, data, len);
	message.len = len;
	return true;
}

static void take_hello(void)
{
	struct lg_err err = { 0 };

	if (lg_msg_get_u64(&message, "version", 0) != LG_AGENT_VERSION)
		lg_refuse(&err, -EPROTO, 0, "the guest's agent is of another version of lodge");
	else if (helloed)
		return;
	else if (agent_setup() < 0)
		lg_refuse(&err, -EMSGSIZE, 0, "what the guest is to be set up with is too long");
	helloed = true;
	if (err.code && vm.phase == PHASE_MADE)
		start_fail(&err);
}

static void take_failed(void)
{
	struct lg_err err = { 0 };

	lg_msg_get_err(&message, &err);
	for (char *c = err.msg; *c; c++)
		if ((unsigned char)*c < ' ')
			*c = ' ';
	if (vm.phase == PHASE_MADE) {
		lg_within(&err, err.code, "in the guest");
		start_fail(&err);
	}
}

static void take_stage(void)
{
	const char *text = lg_msg_get(&message, "text");
	char plain[32] = "";

	for (size_t i = 0; text && text[i] && i < sizeof(plain) - 1; i++)
		plain[i] = text[i] >= ' ' && text[i] < 127 ? text[i] : '?';
	if (*plain && vm.phase == PHASE_MADE)
		start_stage(plain);
}

static int take_machine(uint16_t kind, const char *data, size_t len)
{
	if (!read_message(data, len))
		return -EPROTO;
	switch (kind) {
	case LG_A_HELLO:
		take_hello();
		break;
	case LG_A_STAGE:
		take_stage();
		break;
	case LG_A_INIT:
		inited = helloed;
		if (inited)
			start_done();
		break;
	case LG_A_FAILED:
		take_failed();
		break;
	case LG_A_DONE:
		ask_done(&message);
		break;
	default:
		break;	/* a newer agent's */
	}
	return 0;
}

/* Return: bytes used; 0: there is no whole frame; negative errno: that is none. */
static ssize_t take_frame(const char *data, size_t len)
{
	struct lg_agent_head head;
	int r = 0;

	if (len < sizeof(head))
		return 0;
	memcpy(&head, data, sizeof(head));
	if (head.size > LG_AGENT_PAYLOAD || head.zero)
		return -EPROTO;
	if (len < sizeof(head) + head.size)
		return 0;
	data += sizeof(head);
	if (head.channel == 0)
		r = take_machine(head.kind, data, head.size);
	else if (inited)
		session_frame(head.channel, head.kind, data, head.size);
	return r < 0 ? r : (ssize_t)(sizeof(head) + head.size);
}

/* A handler may end the port: then the buffer is gone. */
static int take_frames(void)
{
	ssize_t n = 1;

	while (n > 0 && port.fd >= 0) {
		n = take_frame(in.buf + in.at, in.end - in.at);
		if (n > 0 && port.fd >= 0)
			in.at += (size_t)n;
	}
	if (n < 0 || port.fd < 0)
		return n < 0 ? (int)n : 0;
	memmove(in.buf, in.buf + in.at, in.end - in.at);
	in.end -= in.at;
	in.at = 0;
	return 0;
}

static int read_port(void)
{
	ssize_t n;

	if (!in.buf) {
		in.buf = malloc(READ_MAX);
		in.room = READ_MAX;
	}
	if (!in.buf)
		return -ENOMEM;
	n = recv(port.fd, in.buf + in.end, in.room - in.end, MSG_DONTWAIT);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if (n == 0)
		return -EPIPE;
	in.end += (size_t)n;
	return take_frames();
}

static void on_port(struct lg_source *s, uint32_t events)
{
	int r = 0;

	if (events & EPOLLOUT) {
		r = flush_queue();
		if (r == 0)
			lg_source_change(s, EPOLLIN);
		if (r == 0 || r == -EAGAIN)
			sessions_pump();
		r = r == -EAGAIN ? 0 : r;
	}
	if (r == 0 && s->fd >= 0 && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
		r = read_port();
	if (r < 0 && s->fd >= 0)
		agent_end(r);
	if (s->fd >= 0 && in.buf && in.end == 0) {
		free(in.buf);
		memset(&in, 0, sizeof(in));
	}
}

int agent_open(int fd, bool resumed)
{
	port.fd = fd;
	helloed = inited = resumed;
	return lg_source_add(&port, EPOLLIN);
}

/* ---- SETUP ---- */

int agent_seed(char text[2 * SEED + 1])
{
	static const char hex[] = "0123456789abcdef";
	unsigned char seed[SEED];

	if (getrandom(seed, sizeof(seed), 0) != (ssize_t)sizeof(seed))
		return -EIO;
	for (size_t i = 0; i < sizeof(seed); i++) {
		text[2 * i] = hex[seed[i] >> 4];
		text[2 * i + 1] = hex[seed[i] & 15];
	}
	text[2 * sizeof(seed)] = '\0';
	return 0;
}

/* Fields that go to the agent as they came. */
static const char *const handed_on[] = {
	"hostname", "init", "arg", "env", "dir", "file", "block", "link", "sysctl", "rlimit", "mac", "ifname", "mtu", "addr",
	"gateway", "vcpus",
};

int agent_setup(void)
{
	char seed[2 * SEED + 1];
	struct timespec now;

	lg_msg_init(&message, 0);
	for (size_t i = 0; i < ARRAY_SIZE(handed_on); i++)
		for (const char *v = lg_msg_get(&start_msg, handed_on[i]); v;
		     v = lg_msg_next(&start_msg, handed_on[i], v))
			lg_msg_put(&message, handed_on[i], v);
	if (agent_seed(seed) == 0)
		lg_msg_put(&message, "seed", seed);
	clock_gettime(CLOCK_REALTIME, &now);
	if (lg_msg_put_u64(&message, "clock_ns", (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec) < 0)
		return -EMSGSIZE;
	return agent_send_msg(0, LG_A_SETUP, &message);
}
