/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * The guest's half. A session's first argument is what it does:
 *
 *	cat		gives back what it reads, and ends with status 0 when that ends
 *	flood N		writes N bytes, as far as there is credit
 *	exit N		ends with status N
 *	size		gives back "ROWSxCOLS" at each RESIZE; "bye" ends it
 *	wait		until a signal, which is its end
 *	none		cannot be executed
 *	poweroff, reset, panic, crash	end the machine
 */

#include "tests/unit/fake/fake.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/msg.h"
#include "vm/agent.h"

#define SESSIONS 16

static struct session {
	uint32_t channel;	/* 0: free */
	char what[16];
	uint64_t left;		/* flood */
	uint64_t credit;	/* out */
	char kept[LG_AGENT_WINDOW];	/* cat: what there was no credit for */
	size_t nkept;
	bool ended;
} sessions[SESSIONS];

static void send_all(const struct fake *f, const void *data, size_t len)
{
	const char *p = data;

	while (len > 0) {
		ssize_t n = write(f->agent, p, len);

		if (n < 0 && errno != EINTR)
			return;
		p += n > 0 ? n : 0;
		len -= n > 0 ? (size_t)n : 0;
	}
}

static void frame(const struct fake *f, uint32_t channel, uint16_t kind, const void *data, size_t len)
{
	struct lg_agent_head head = { .size = (uint32_t)len, .channel = channel, .kind = kind };

	send_all(f, &head, sizeof(head));
	send_all(f, data, len);
}

static void say(const struct fake *f, uint32_t channel, uint16_t kind, const char *key, uint64_t value)
{
	static struct lg_msg m;

	lg_msg_init(&m, 0);
	if (key)
		lg_msg_put_u64(&m, key, value);
	frame(f, channel, kind, m.text, m.len);
}

static void stage(const struct fake *f, const char *text)
{
	static struct lg_msg m;

	lg_msg_init(&m, 0);
	lg_msg_put(&m, "text", text);
	frame(f, 0, LG_A_STAGE, m.text, m.len);
}

static void fail(const struct fake *f, uint32_t channel, int code, const char *text)
{
	static struct lg_msg m;
	struct lg_err err = { 0 };

	lg_refuse(&err, code, 0, "%s", text);
	lg_msg_init(&m, 0);
	lg_msg_put_err(&m, &err);
	frame(f, channel, LG_A_FAILED, m.text, m.len);
}

void guest_boot(struct fake *f)
{
	say(f, 0, LG_A_HELLO, "version", LG_AGENT_VERSION);
}

static void take_setup(const struct fake *f, const struct lg_msg *m)
{
	stage(f, "disks");
	if (strcmp(f->mode, "stuck") == 0) {
		console_say(f, "waiting for a disk\n");
		return;
	}
	if (strcmp(f->mode, "failed") == 0) {
		fail(f, 0, -ENOENT, "there is no disk 'layer'");
		return;
	}
	console_say(f, "init of %s\n", lg_msg_get(m, "hostname"));
	say(f, 0, LG_A_INIT, NULL, 0);
}

static void end_machine(const struct fake *f, const char *how)
{
	const char *reason = strcmp(how, "poweroff") == 0 ? "guest-shutdown" : "guest-reset";

	if (strcmp(how, "crash") == 0)
		raise(SIGKILL), _exit(9);
	if (strcmp(how, "panic") == 0)
		console_say(f, "[    1.000000] Kernel panic - not syncing: fake\n");
	dprintf(f->qmp, "{\"event\": \"SHUTDOWN\", \"data\": {\"guest\": true, \"reason\": \"%s\"}}\r\n", reason);
	exit(0);
}

/* ---- sessions ---- */

static void end(const struct fake *f, struct session *s, int status)
{
	say(f, s->channel, LG_A_ENDED, "status", (uint64_t)status);
	s->channel = 0;
}

static void flood(const struct fake *f, struct session *s)
{
	static const char bytes[8192];

	while (s->left > 0 && s->credit > 0) {
		size_t n = sizeof(bytes);

		n = s->left < n ? (size_t)s->left : n;
		n = s->credit < n ? (size_t)s->credit : n;
		frame(f, s->channel, LG_A_OUT, bytes, n);
		s->left -= n;
		s->credit -= n;
	}
	if (s->left == 0)
		end(f, s, 0);
}

static void begin(const struct fake *f, uint32_t channel, const struct lg_msg *m)
{
	const char *what = lg_msg_get(m, "arg"), *arg = what ? lg_msg_next(m, "arg", what) : NULL;
	struct session *s = sessions;
	static const char *const ends[] = { "poweroff", "reset", "panic", "crash" };

	for (size_t i = 0; what && i < sizeof(ends) / sizeof(ends[0]); i++)
		if (strcmp(what, ends[i]) == 0)
			end_machine(f, what);
	if (!what || strcmp(what, "none") == 0) {
		fail(f, channel, -ENOENT, "none: there is no such program in the container");
		return;
	}
	while (s->channel)
		s++;
	memset(s, 0, sizeof(*s));
	s->channel = channel;
	s->credit = LG_AGENT_WINDOW;
	snprintf(s->what, sizeof(s->what), "%s", what);
	s->left = arg ? strtoull(arg, NULL, 10) : 0;
	say(f, channel, LG_A_BEGUN, "pid", 77);
	if (strcmp(what, "exit") == 0)
		end(f, s, (int)s->left << 8);
	else if (strcmp(what, "flood") == 0)
		flood(f, s);
}

static void give_credit(const struct fake *f, uint32_t channel, size_t bytes)
{
	static struct lg_msg m;

	lg_msg_init(&m, 0);
	lg_msg_put_u64(&m, "stream", 0);
	lg_msg_put_u64(&m, "bytes", bytes);
	frame(f, channel, LG_A_CREDIT, m.text, m.len);
}

static void give_back(const struct fake *f, struct session *s)
{
	while (s->nkept > 0 && s->credit > 0) {
		size_t n = s->nkept < LG_AGENT_PAYLOAD ? s->nkept : LG_AGENT_PAYLOAD;

		n = s->credit < n ? (size_t)s->credit : n;
		frame(f, s->channel, LG_A_OUT, s->kept, n);
		s->credit -= n;
		s->nkept -= n;
		memmove(s->kept, s->kept + n, s->nkept);
		give_credit(f, s->channel, n);
	}
	if (s->ended && s->nkept == 0)
		end(f, s, 0);
}

static void take_input(const struct fake *f, struct session *s, const char *data, size_t len)
{
	s->ended |= len == 0 || (strcmp(s->what, "size") == 0 && len >= 3 && memcmp(data, "bye", 3) == 0);
	if (strcmp(s->what, "cat") == 0) {
		memcpy(s->kept + s->nkept, data, len);
		s->nkept += len;
	}
	give_back(f, s);
}

static void take_word(const struct fake *f, struct session *s, uint16_t kind, const struct lg_msg *m)
{
	char text[40];

	if (kind == LG_A_CREDIT && lg_msg_get_u64(m, "stream", 9) == 1) {
		s->credit += lg_msg_get_u64(m, "bytes", 0);
		if (strcmp(s->what, "flood") == 0)
			flood(f, s);
		else
			give_back(f, s);
	} else if (kind == LG_A_RESIZE) {
		snprintf(text, sizeof(text), "%sx%s", lg_msg_get(m, "rows"), lg_msg_get(m, "cols"));
		frame(f, s->channel, LG_A_OUT, text, strlen(text));
	} else if (kind == LG_A_SIGNAL) {
		end(f, s, (int)lg_msg_get_u64(m, "sig", 0));
	} else if (kind == LG_A_HANGUP) {
		console_say(f, "hung up\n");
		end(f, s, SIGHUP);
	} else if (kind == LG_A_OUT) {
		console_say(f, "nobody reads\n");
		end(f, s, SIGPIPE);
	}
}

/* ---- frames ---- */

static void take_machine(const struct fake *f, uint16_t kind, const struct lg_msg *m)
{
	static struct lg_msg done;

	if (kind == LG_A_SETUP)
		take_setup(f, m);
	if (kind == LG_A_INIT_SIGNAL) {
		console_say(f, "init got %s\n", lg_msg_get(m, "sig"));
		end_machine(f, "poweroff");
	}
	if (kind != LG_A_DO)
		return;
	lg_msg_init(&done, 0);
	lg_msg_put(&done, "tag", lg_msg_get(m, "tag"));
	lg_msg_put(&done, "did", lg_msg_get(m, "what"));
	if (lg_msg_get(m, "addr"))
		lg_msg_put(&done, "with", lg_msg_get(m, "addr"));
	frame(f, 0, LG_A_DONE, done.text, done.len);
}

static void take(const struct fake *f, const struct lg_agent_head *head, const char *data)
{
	static struct lg_msg m;
	struct session *s = sessions;

	lg_msg_init(&m, 0);
	memcpy(m.text, data, head->size);
	m.len = head->size;
	while (s < sessions + SESSIONS && s->channel != head->channel)
		s++;
	if (head->channel == 0)
		take_machine(f, head->kind, &m);
	else if (head->kind == LG_A_EXEC)
		begin(f, head->channel, &m);
	else if (s < sessions + SESSIONS && head->kind == LG_A_IN)
		take_input(f, s, data, head->size);
	else if (s < sessions + SESSIONS)
		take_word(f, s, head->kind, &m);
}

int guest_input(struct fake *f)
{
	static char buf[4 * LG_AGENT_PAYLOAD];
	static size_t len;
	struct lg_agent_head head;
	ssize_t n = read(f->agent, buf + len, sizeof(buf) - len);

	if (n <= 0)
		return -1;
	len += (size_t)n;
	while (len >= sizeof(head)) {
		memcpy(&head, buf, sizeof(head));
		if (len < sizeof(head) + head.size)
			break;
		take(f, &head, buf + sizeof(head));
		len -= sizeof(head) + head.size;
		memmove(buf, buf + sizeof(head) + head.size, len);
	}
	return 0;
}
