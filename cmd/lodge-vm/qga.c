/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * exec by the guest agent of QEMU, where a guest that is not from a template has one: it starts a command, and is asked now and then
 * whether that has ended and what it has written. There is no terminal, what goes in is read to its end before, a signal is another
 * command, and it is root or its like.
 *
 * How it works: the same lines of JSON as QEMU itself speaks, over a port of which QEMU says whether the guest has opened it. What a
 * command wrote comes at its end; a child of ours hands it to the client, which may read as slowly as it likes.
 */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cmd/lodge-vm/qga.h"
#include "cmd/lodge-vm/vm.h"
#include "ct/proto.h"
#include "ct/stream.h"
#include "lib/cleanup.h"
#include "lib/exit.h"
#include "lib/json.h"
#include "vm/base64.h"

#define COMMANDS 8u		/* at a time */
#define LINE_MAX_ (8u << 20)	/* of an answer: what a command has written, in base64 */
#define ANSWER_MS 10000
#define BEGIN_MS 60000		/* with all that goes into it */
#define POLL_MS 100
#define INPUT_MAX (1u << 20)	/* of a command */
#define INPUT_SMALL (64u << 10)	/* where we may not have room for more on its way */
#define PORT_ROOM (2 << 20)	/* INPUT_MAX in base64 */

/* One command that was asked for. */
struct command {
	struct lg_source control;	/* the client; fd -1: it has gone */
	bool used, asked;		/* asked: the agent is yet to answer, also when nobody is told any more */
	int64_t pid;			/* in the guest; 0: not begun */
	int out[2];			/* the client's stdout and stderr */
	struct qga_input in;
	json_t *args;			/* until it begins */
	int sig;			/* to be passed on when it has begun; of one that passes one on: that */
	int64_t target;			/* which process it is to tell */
};

static void on_port(struct lg_source *s, uint32_t events);
static void look(void);

static struct lg_source port = { .fd = -1, .on_event = on_port };
static struct lg_qmp qga = { .fd = -1 };
static bool guest_listens;
static size_t input_max = INPUT_SMALL;
static struct command commands[COMMANDS];

/* ---- one command ---- */

static void command_free(struct command *c)
{
	lg_source_close(&c->control);
	for (int i = 0; i < 2; i++)
		c->out[i] = lg_close(c->out[i]);
	qga_input_end(&c->in);
	json_decref(c->args);
	c->args = NULL;
	c->used = false;
	if (vm.nsessions > 0)
		vm.nsessions--;
	lend_if_wanted();
}

static void say(const struct command *c, uint32_t kind, const char *key, uint64_t value)
{
	lg_msg_init(&msg_out, kind);
	lg_msg_put_u64(&msg_out, key, value);
	if (c->control.fd >= 0)
		lg_msg_send(c->control.fd, &msg_out);
}

static void fail_to(int control, const struct lg_err *err)
{
	lg_msg_init(&msg_out, LG_P_FAILED);
	lg_msg_put_err(&msg_out, err);
	if (control >= 0)
		lg_msg_send(control, &msg_out);
}

static void fail_as(struct command *c, int code, int exit_code, const char *text)
{
	struct lg_err err = { 0 };

	lg_refuse(&err, code, exit_code, "%.300s", text);
	for (char *p = err.msg; *p; p++)
		if ((unsigned char)*p < ' ')
			*p = ' ';
	fail_to(c->control.fd, &err);
	command_free(c);
}

static void fail(struct command *c, int code, const char *text)
{
	fail_as(c, code, 0, text);
}

static void take_signal(struct command *c, int sig);

static void on_control(struct lg_source *source, uint32_t events)
{
	struct command *c = (struct command *)source;
	int r = lg_msg_recv(source->fd, &msg_in);

	(void)events;
	if (r == 1)
		lg_msg_drop_fds(&msg_in);
	if (r == 1 && msg_in.kind == LG_P_SIGNAL && lg_msg_get_u64(&msg_in, "sig", 0) <= 64)
		take_signal(c, (int)lg_msg_get_u64(&msg_in, "sig", 0));
	if (r == 1 || r == -EAGAIN || r == -EBADMSG)
		return;
	if (qga_input_reads(&c->in))
		command_free(c);	/* it did not begin */
	else
		lg_source_close(source);	/* the command goes on inside */
}

/* ---- what it wrote ---- */

static void write_all(int fd, const char *data, size_t len)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };

	while (len > 0) {
		ssize_t n = write(fd, data, len);

		if (n < 0 && errno == EAGAIN)
			poll(&p, 1, -1);
		else if (n < 0 && errno != EINTR)
			return;
		data += n > 0 ? n : 0;
		len -= n > 0 ? (size_t)n : 0;
	}
}

/* In a process of its own, as the client takes its time. SIGPIPE is blocked here. */
static void deliver(struct command *c, const json_t *status, int code)
{
	static const char *const keys[] = { "out-data", "err-data" };
	pid_t pid = c->control.fd < 0 ? -1 : fork();

	if (pid != 0) {
		if (pid < 0)
			say(c, LG_P_ENDED, "status", (uint64_t)(unsigned int)code);
		return;
	}
	for (int i = 0; i < 2; i++) {
		const char *text = lg_json_str(status, keys[i]);
		lg_autofree char *data = text ? strdup(text) : NULL;

		if (data)
			write_all(c->out[i], data, lg_base64_decode(data));
		c->out[i] = lg_close(c->out[i]);
	}
	say(c, LG_P_ENDED, "status", (uint64_t)(unsigned int)code);
	_exit(0);
}

/* As wait(2) has it. */
static int wait_status(const json_t *status)
{
	int64_t sig = lg_json_int(status, "signal", 0), code = lg_json_int(status, "exitcode", 0);

	return sig > 0 && sig < 65 ? (int)sig : (int)(code & 0xff) << 8;
}

static void on_status(void *arg, const json_t *ret, const struct lg_err *err)
{
	struct command *c = arg;

	c->asked = false;
	if (!c->used)
		return;
	if (!ret) {
		fail(c, err->code, err->code == -EPIPE ? "the guest's agent has ended, or the command wrote more than it can tell" :
							 err->msg);
		return;
	}
	if (!lg_json_bool(ret, "exited", false))
		return;
	deliver(c, ret, wait_status(ret));
	command_free(c);
}

static int ask(const char *name, json_t *args, int timeout_ms, lg_qmp_done done, struct command *c)
{
	int r = lg_qmp_command(&qga, name, args, -1, timeout_ms, done, c);

	c->asked = r == 0;
	timer_set(TIMER_QGA, POLL_MS, look);
	return r;
}

/* Now and then: what has ended, and what is not answered in time. */
static void look(void)
{
	bool any = lg_qmp_expire(&qga) >= 0;

	for (unsigned int i = 0; i < COMMANDS; i++) {
		struct command *c = &commands[i];

		any |= c->used || c->asked;
		if (!c->used || !c->pid || c->asked)
			continue;
		if (ask("guest-exec-status", json_pack("{s:I}", "pid", (json_int_t)c->pid), ANSWER_MS, on_status, c) < 0)
			fail(c, -ENOTCONN, "the guest's agent does not read");
	}
	timer_set(TIMER_QGA, any ? POLL_MS : -1, look);
}

/* ---- signals ---- */

static struct command *free_command(void)
{
	for (unsigned int i = 0; i < COMMANDS; i++)
		if (!commands[i].used && !commands[i].asked)
			return &commands[i];
	return NULL;
}

/* A client that is to end does so, and knows what it leaves behind. */
static void not_told(struct command *c, int sig)
{
	char text[200];

	if (!qga_signal_ends(sig))
		return;
	snprintf(text, sizeof(text), "the guest passes no signal on: the command runs on inside, as process %lld there", (long long)c->pid);
	fail_as(c, -EOPNOTSUPP, 128 + sig, text);
}

static void on_teller_begun(void *arg, const json_t *ret, const struct lg_err *err)
{
	struct command *teller = arg;

	(void)err;
	teller->asked = false;
	if (!teller->used)
		return;
	teller->pid = lg_json_int(ret, "pid", 0);
	if (ret)
		return;		/* and its end is waited for */
	for (unsigned int i = 0; i < COMMANDS; i++)
		if (commands[i].used && commands[i].pid == teller->target)
			not_told(&commands[i], teller->sig);
	command_free(teller);
}

static void tell(struct command *c, int sig)
{
	json_t *args = qga_signal_args(sig, c->pid);
	struct command *teller = args ? free_command() : NULL;

	if (!args)
		return;
	if (!teller) {
		json_decref(args);
		not_told(c, sig);
		return;
	}
	*teller = (struct command){ .used = true, .control = { .fd = -1 }, .out = { -1, -1 }, .in = { .source = { .fd = -1 } },
				    .sig = sig, .target = c->pid };
	vm.nsessions++;
	if (ask("guest-exec", args, ANSWER_MS, on_teller_begun, teller) == 0)
		return;
	command_free(teller);
	not_told(c, sig);
}

static void take_signal(struct command *c, int sig)
{
	if (c->pid) {
		tell(c, sig);
	} else if (!qga_input_reads(&c->in)) {
		c->sig = sig;
	} else if (qga_signal_ends(sig)) {
		say(c, LG_P_ENDED, "status", (uint64_t)(unsigned int)sig);
		command_free(c);
	}
}

/* ---- beginning one ---- */

static void on_begun(void *arg, const json_t *ret, const struct lg_err *err)
{
	struct command *c = arg;

	c->asked = false;
	if (!c->used)
		return;
	if (!ret) {
		fail(c, strstr(err->msg, "No such file") ? -ENOENT : strstr(err->msg, "ermission denied") ? -EACCES : err->code,
		     err->msg);
		return;
	}
	c->pid = lg_json_int(ret, "pid", 0);
	if (c->sig)
		tell(c, c->sig);
}

static void on_input(struct qga_input *in, const struct lg_err *err)
{
	struct command *c = (struct command *)((char *)in - offsetof(struct command, in));
	json_t *args = c->args, *text = err->code ? NULL : qga_input_text(in);

	if (err->code || (in->len > 0 && !text)) {
		fail_as(c, err->code ? err->code : -ENOMEM, err->exit_code, err->code ? err->msg : "there is no memory for standard input");
		return;
	}
	if (text)
		json_object_set_new(args, "input-data", text);
	qga_input_end(in);
	c->args = NULL;
	if (ask("guest-exec", args, text ? BEGIN_MS : ANSWER_MS, on_begun, c) < 0)
		fail(c, -ENOTCONN, "the guest's agent does not read");
}

static int check(const struct lg_msg *m, struct lg_err *err)
{
	if (vm.phase != PHASE_RUNNING)
		return lg_refuse(err, -ESRCH, 0, "the VM is not running");
	if (!guest_listens)
		return lg_refuse(err, -ENOTCONN, 0, "nothing in the guest answers: install the guest agent of QEMU there "
				 "(qemu-guest-agent; with Windows it comes on the CD of the virtio drivers), or use lodge console");
	if (lg_msg_get_u64(m, "tty", 0))
		return lg_refuse(err, -EOPNOTSUPP, 0, "the guest agent of QEMU gives no terminal: use lodge exec without one, or lodge "
				 "console");
	if (lg_msg_get(m, "user") || lg_msg_get(m, "cwd"))
		return lg_refuse(err, -EOPNOTSUPP, 0, "the guest agent of QEMU knows no other user and no other folder");
	return 0;
}

static json_t *arguments(const struct lg_msg *m)
{
	const char *path = lg_msg_get(m, "arg");
	json_t *args = json_array(), *env = json_array();

	for (const char *v = path ? lg_msg_next(m, "arg", path) : NULL; v; v = lg_msg_next(m, "arg", v))
		json_array_append_new(args, json_string(v));
	for (const char *v = lg_msg_get(m, "env"); v; v = lg_msg_next(m, "env", v))
		json_array_append_new(env, json_string(v));
	if (json_array_size(env) == 0) {
		json_decref(env);
		env = NULL;
	}
	return json_pack("{s:s, s:o, s:o*, s:b}", "path", path ? path : "", "arg", args, "env", env, "capture-output", 1);
}

static struct command *take_command(struct lg_msg *m, int control, struct lg_err *err)
{
	struct command *c = free_command();

	if (!c) {
		lg_refuse(err, -EAGAIN, 0, "%u commands run by the guest's agent already", COMMANDS);
		return NULL;
	}
	*c = (struct command){ .used = true, .control = { .fd = control, .on_event = on_control }, .in = { .source = { .fd = -1 } } };
	c->out[0] = lg_msg_take_fd(m, 2);
	c->out[1] = lg_msg_take_fd(m, 3);
	fcntl(control, F_SETFL, O_NONBLOCK);
	lg_source_add(&c->control, EPOLLIN);
	vm.nsessions++;
	return c;
}

void qga_exec(struct lg_msg *m)
{
	struct lg_err err = { 0 };
	struct command *c = NULL;
	int control = lg_msg_take_fd(m, 0);

	if (check(m, &err) == 0)
		c = take_command(m, control, &err);
	if (!c) {
		fail_to(control, &err);
		lg_close(control);
		return;
	}
	c->args = arguments(m);
	if (!c->args) {
		fail(c, -EINVAL, "the command is no UTF-8 text");
		return;
	}
	/* The client has its streams open only now. */
	say(c, LG_P_BEGUN, "whole", 1);
	if (qga_input_begin(&c->in, lg_msg_take_fd(m, 1), input_max, on_input, &err) < 0)
		fail(c, err.code, err.msg);
}

void qga_kill(const struct lg_err *why)
{
	for (unsigned int i = 0; i < COMMANDS; i++)
		if (commands[i].used)
			fail(&commands[i], why->code, why->msg);
}

int qga_command(const char *name, json_t *args, int timeout_ms, lg_qmp_done done, void *arg)
{
	int r = -ENOTCONN;

	if (guest_listens)
		r = lg_qmp_command(&qga, name, args, -1, timeout_ms, done, arg);
	else
		json_decref(args);
	timer_set(TIMER_QGA, POLL_MS, look);
	return r;
}

/* ---- the port ---- */

/* What the guest still says to an earlier one of us, or what stood before a line that was none, is no answer to ours. */
static uint64_t random_id(void)
{
	uint32_t id = 0;

	return getrandom(&id, sizeof(id), 0) < 0 ? 1 : (uint64_t)id + 1;
}

static void begin_lines(int fd)
{
	lg_qmp_init(&qga, fd);
	qga.line_max = LINE_MAX_;
	qga.next_id = random_id();
	qga.greeted = true;
}

/* What is no line of its own is skipped, and what waited has failed. */
static void on_port(struct lg_source *s, uint32_t events)
{
	int r = lg_qmp_input(&qga);

	(void)events;
	if (r == -EPROTO)
		begin_lines(s->fd);
	else if (r < 0)
		lg_source_close(s);
}

void qga_listens(bool does)
{
	guest_listens = does;
}

int qga_open(int fd)
{
	int room = PORT_ROOM;

	begin_lines(fd);
	port.fd = fd;
	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof(room)) == 0)
		input_max = INPUT_MAX;
	guest_listens = vm.spec.incoming;	/* it may: then we were not there to be told */
	return lg_source_add(&port, EPOLLIN);
}
