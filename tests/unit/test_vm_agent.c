/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The agent of a microVM without one: it serves one end of a pair of sockets, the tests are at the other. */

/* A program and no library: what is tested of it is built in here. */
/* NOLINTBEGIN(bugprone-suspicious-include) */
#include "cmd/lodge-agent/do.c"
#include "cmd/lodge-agent/frame.c"
#define begin network_begin
#define put network_put
#define ask network_ask
#define replace network_replace
#define set_up network_set_up
#include "cmd/lodge-agent/network.c"
#undef begin
#undef put
#undef ask
#undef replace
#undef set_up
#include "cmd/lodge-agent/serve.c"
#include "cmd/lodge-agent/session.c"
#define run start_run
#define command start_command
#include "cmd/lodge-agent/start.c"
#undef run
#undef command
/* NOLINTEND(bugprone-suspicious-include) */

#include <check.h>
#include <pwd.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>

#define PATIENCE_MS 20000

/* ---- the other end ---- */

static struct frames end;
static struct machine machine;
static pid_t agent;
static struct lg_msg msg;
static struct frame got;

static void __attribute__((noreturn)) be_agent(int sock, int starting)
{
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	machine = (struct machine){ .port = sock, .random = -1, .once = true };
	machine.sys = open("/sys", O_PATH | O_DIRECTORY | O_CLOEXEC);
	machine.proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	machine.layer = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	frames_init(&machine.frames, sock);
	_exit(serve(&machine, starting) < 0 ? 1 : 0);
}

/* @other: the pipe's other end, which an exec would have closed */
static void begin_agent(int starting, int other)
{
	int ends[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), 0);
	agent = fork();
	ck_assert_int_ge(agent, 0);
	if (agent == 0) {
		close(ends[0]);
		lg_close(other);
		be_agent(ends[1], starting);
	}
	close(ends[1]);
	frames_init(&end, ends[0]);
}

static void set_up(void)
{
	begin_agent(-1, -1);
}

static int agent_ends(void)
{
	int status = -1;

	ck_assert_int_eq(waitpid(agent, &status, 0), agent);
	agent = 0;
	return status;
}

static void take_down(void)
{
	close(end.fd);
	if (agent)
		ck_assert_int_eq(agent_ends(), 0);
}

/* A message, where @m is one, else @size bytes. */
static void send_frame(uint16_t kind, uint32_t channel, const void *bytes, size_t size)
{
	memcpy(frames_place(&end), bytes, size);
	frames_put(&end, kind, channel, size);
	for (int i = 0; end.out_len && i < PATIENCE_MS; i++) {
		ck_assert_int_eq(frames_write(&end), 0);
		if (end.out_len)
			usleep(1000);
	}
}

static void send_message(uint32_t channel)
{
	send_frame((uint16_t)msg.kind, channel, msg.text, msg.len);
}

/* The next frame, which lies in @got. Return: false at the connection's end. */
static bool next_frame(void)
{
	struct pollfd p = { .fd = end.fd, .events = POLLIN };
	int r;

	while ((r = frames_next(&end, &got)) == 0) {
		ck_assert_int_eq(poll(&p, 1, PATIENCE_MS), 1);
		r = frames_read(&end);
		if (r == -EPIPE || r == -ECONNRESET)
			return false;
		ck_assert_int_ge(r, 0);
	}
	ck_assert_int_eq(r, 1);
	return true;
}

static void expect(uint16_t kind, uint32_t channel)
{
	ck_assert(next_frame());
	ck_assert_uint_eq(got.kind, kind);
	ck_assert_uint_eq(got.channel, channel);
	if (kind != LG_A_OUT && kind != LG_A_ERR)
		ck_assert_int_eq(frame_message(&got, &msg), 0);
}

static void credit(uint32_t channel, unsigned int stream, size_t bytes)
{
	static struct lg_msg m;

	lg_msg_init(&m, LG_A_CREDIT);
	lg_msg_put_u64(&m, "stream", stream);
	lg_msg_put_u64(&m, "bytes", bytes);
	send_frame(LG_A_CREDIT, channel, m.text, m.len);
}

static void exec_args(const char *const *argv)
{
	lg_msg_init(&msg, LG_A_EXEC);
	for (; argv && *argv; argv++)
		lg_msg_put(&msg, "arg", *argv);
}

static void exec_sh(uint32_t channel, const char *script, bool tty)
{
	const char *const argv[] = { "sh", "-c", script, NULL };

	exec_args(argv);
	lg_msg_put_u64(&msg, "tty", tty);
	lg_msg_put_u64(&msg, "rows", 33);
	lg_msg_put_u64(&msg, "cols", 99);
	send_message(channel);
}

struct result {
	char out[4096];
	size_t len;
	int status;	/* -1: FAILED, with err */
	struct lg_err err;
};

/* Until it is over. What it prints is both streams'. */
static void collect(uint32_t channel, struct result *ret)
{
	*ret = (struct result){ .status = -2 };
	while (ret->status == -2) {
		ck_assert(next_frame());
		if (got.channel != channel)
			continue;
		if (got.kind == LG_A_OUT || got.kind == LG_A_ERR) {
			ck_assert_uint_lt(ret->len + got.size, sizeof(ret->out));
			memcpy(ret->out + ret->len, got.bytes, got.size);
			ret->len += got.size;
			continue;
		}
		ck_assert_int_eq(frame_message(&got, &msg), 0);
		if (got.kind == LG_A_ENDED)
			ret->status = (int)lg_msg_get_u64(&msg, "status", 0);
		if (got.kind == LG_A_FAILED) {
			lg_msg_get_err(&msg, &ret->err);
			ret->status = -1;
		}
	}
	ret->out[ret->len] = '\0';
}

/* ---- sessions ---- */

static const struct {
	const char *const argv[5];
	const char *user, *cwd, *env, *input;
	int status;		/* -1: FAILED with @exit */
	int exit;
	const char *out;	/* or a part of the error */
} execs[] = {
	{ { "true" }, NULL, NULL, NULL, NULL, 0, 0, "" },
	{ { "/bin/sh", "-c", "exit 3" }, NULL, NULL, NULL, NULL, 3 << 8, 0, "" },
	{ { "sh", "-c", "kill -9 $$" }, NULL, NULL, NULL, NULL, 9, 0, "" },
	{ { "cat" }, NULL, NULL, NULL, "through", 0, 0, "through" },
	{ { "sh", "-c", "echo out; sleep 0.1; echo err >&2" }, NULL, NULL, NULL, NULL, 0, 0, "out\nerr\n" },
	{ { "none" }, NULL, NULL, NULL, NULL, -1, 127, "none: there is no such command" },
	{ { "/bin/none" }, NULL, NULL, NULL, NULL, -1, 127, "/bin/none" },
	{ { "" }, NULL, NULL, NULL, NULL, -1, 127, "no such command" },
	{ { "/etc" }, NULL, NULL, NULL, NULL, -1, 126, "cannot be executed: Permission denied" },
	{ { "/etc/passwd" }, NULL, NULL, NULL, NULL, -1, 126, "Permission denied" },
	{ { "sh", "-c", "id -u; id -g" }, "1234:5", NULL, NULL, NULL, 0, 0, "1234\n5\n" },
	{ { "true" }, "nobody-there", NULL, NULL, NULL, -1, 0, "there is no user 'nobody-there'" },
	{ { "sh", "-c", "pwd" }, NULL, "/etc", NULL, NULL, 0, 0, "/etc\n" },
	{ { "true" }, NULL, "/none", NULL, NULL, -1, 0, "folder '/none' in the" },
	{ { "sh", "-c", "echo $K; echo $PATH; echo \"c=$container\"" }, NULL, NULL, "K=V", NULL, 0, 0,
	  "V\n/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\nc=\n" },
	{ { "sh", "-c", "ls /proc/self/fd | wc -l; ulimit -n" }, NULL, NULL, NULL, NULL, 0, 0, "4\n1024\n" },
	{ { "sh", "-c", "grep -E 'SigBlk|SigIgn' /proc/self/status" }, NULL, NULL, NULL, NULL, 0, 0,
	  "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n" },
};

START_TEST(sessions_do_as_documented)
{
	struct result r;

	exec_args(execs[_i].argv);
	if (execs[_i].user)
		lg_msg_put(&msg, "user", execs[_i].user);
	if (execs[_i].cwd)
		lg_msg_put(&msg, "cwd", execs[_i].cwd);
	if (execs[_i].env)
		lg_msg_put(&msg, "env", execs[_i].env);
	send_message(7);
	if (execs[_i].input)
		send_frame(LG_A_IN, 7, execs[_i].input, strlen(execs[_i].input));
	send_frame(LG_A_IN, 7, "", 0);
	collect(7, &r);
	ck_assert_msg(r.status == execs[_i].status, "%d: %s", r.status, r.err.msg);
	if (r.status == -1) {
		ck_assert_msg(strstr(r.err.msg, execs[_i].out) != NULL, "%s", r.err.msg);
		ck_assert_int_eq(r.err.exit_code, execs[_i].exit);
	} else {
		ck_assert_str_eq(r.out, execs[_i].out);
	}
}
END_TEST

START_TEST(begun_comes_before_output_and_ended_behind_it)
{
	exec_sh(1, "echo hi", false);
	expect(LG_A_BEGUN, 1);
	ck_assert_uint_gt(lg_msg_get_u64(&msg, "pid", 0), 0);
	while (next_frame() && got.kind != LG_A_ENDED)
		ck_assert(got.kind == LG_A_OUT || got.kind == LG_A_ERR);
	ck_assert_uint_eq(got.channel, 1);
}
END_TEST

START_TEST(a_terminal_is_one)
{
	struct result r;

	exec_sh(1, "test -t 0 && test -t 2 && stty size && echo hi >/dev/tty", true);
	collect(1, &r);
	ck_assert_int_eq(r.status, 0);
	ck_assert_str_eq(r.out, "33 99\r\nhi\r\n");
}
END_TEST

START_TEST(a_terminal_is_resized)
{
	struct result r;

	exec_sh(1, "trap 'stty size; exit' WINCH; echo go; while :; do sleep 0.05; done", true);
	do
		ck_assert(next_frame());
	while (got.kind != LG_A_OUT);
	lg_msg_init(&msg, LG_A_RESIZE);
	lg_msg_put_u64(&msg, "rows", 11);
	lg_msg_put_u64(&msg, "cols", 22);
	send_message(1);
	collect(1, &r);
	ck_assert_str_eq(r.out, "11 22\r\n");
}
END_TEST

static uint8_t byte_at(size_t i)
{
	return (uint8_t)((i * 2654435761u) >> 13);
}

#define MUCH (1u << 20)

/* No more is sent than there is credit for, in both directions, and every byte arrives. */
START_TEST(much_goes_through_with_credit)
{
	static const char *const cat[] = { "cat", NULL };
	size_t sent = 0, back = 0, may = LG_AGENT_WINDOW, owed = 0;
	uint8_t block[LG_AGENT_PAYLOAD];

	exec_args(cat);
	send_message(1);
	while (back < MUCH) {
		size_t n = MUCH - sent < sizeof(block) ? MUCH - sent : sizeof(block);

		n = n < may ? n : may;
		for (size_t i = 0; i < n; i++)
			block[i] = byte_at(sent + i);
		if (n)
			send_frame(LG_A_IN, 1, block, n);
		sent += n;
		may -= n;
		if (may && sent < MUCH)
			continue;
		ck_assert(next_frame());
		if (got.kind == LG_A_OUT) {
			for (size_t i = 0; i < got.size; i++)
				ck_assert_uint_eq(got.bytes[i], byte_at(back + i));
			back += got.size;
			owed += got.size;
			ck_assert_uint_le(owed, LG_AGENT_WINDOW);
			if (owed > LG_AGENT_WINDOW / 2) {
				credit(1, 1, owed);
				owed = 0;
			}
		} else if (got.kind == LG_A_CREDIT) {
			ck_assert_int_eq(frame_message(&got, &msg), 0);
			may += lg_msg_get_u64(&msg, "bytes", 0);
			ck_assert_uint_le(may, LG_AGENT_WINDOW);
		}
	}
	send_frame(LG_A_IN, 1, "", 0);
	while (next_frame() && got.kind != LG_A_ENDED)
		continue;
}
END_TEST

START_TEST(one_that_nobody_reads_holds_up_no_other)
{
	struct result r;
	size_t taken = 0;

	exec_sh(1, "yes", false);
	while (taken < LG_AGENT_WINDOW) {
		ck_assert(next_frame());
		taken += got.kind == LG_A_OUT ? got.size : 0;
	}
	ck_assert_uint_eq(taken, LG_AGENT_WINDOW);
	exec_sh(2, "echo other", false);
	collect(2, &r);
	ck_assert_str_eq(r.out, "other\n");
	lg_msg_init(&msg, LG_A_HANGUP);
	send_message(1);
	while (next_frame() && got.kind != LG_A_ENDED)
		continue;
	ck_assert_uint_eq(got.channel, 1);
}
END_TEST

START_TEST(what_was_printed_last_waits_for_credit_and_arrives)
{
	size_t taken = 0;

	exec_sh(1, "head -c 100000 /dev/zero", false);
	while (taken < 100000) {
		ck_assert(next_frame());
		ck_assert_uint_ne(got.kind, LG_A_ENDED);
		if (got.kind != LG_A_OUT)
			continue;
		taken += got.size;
		if (taken == LG_AGENT_WINDOW) {
			usleep(200000);	/* the process has ended */
			credit(1, 1, LG_AGENT_WINDOW);
		}
	}
	while (next_frame() && got.kind != LG_A_ENDED)
		continue;
	ck_assert_uint_eq(taken, 100000);
}
END_TEST

START_TEST(signals_reach_the_session)
{
	struct result r;

	exec_sh(1, "trap 'exit 5' USR1; echo go; while :; do sleep 0.05; done", false);
	do
		ck_assert(next_frame());
	while (got.kind != LG_A_OUT);
	lg_msg_init(&msg, LG_A_SIGNAL);
	lg_msg_put_u64(&msg, "sig", SIGUSR1);
	send_message(1);
	collect(1, &r);
	ck_assert_int_eq(r.status, 5 << 8);
}
END_TEST

START_TEST(hanging_up_is_a_signal_and_a_closed_stream)
{
	struct result r;

	/* What the shell would say of a killed sleep nobody reads: that would be the end of it, by SIGPIPE. */
	exec_sh(1, "exec 2>/dev/null; trap 'exit 6' HUP; echo go; while :; do sleep 0.05; done", _i);
	do
		ck_assert(next_frame());
	while (got.kind != LG_A_OUT);
	lg_msg_init(&msg, LG_A_HANGUP);
	send_message(1);
	collect(1, &r);
	ck_assert_int_eq(r.status, 6 << 8);
}
END_TEST

START_TEST(a_daemon_that_is_left_behind_is_no_part_of_it)
{
	struct result r;

	exec_sh(1, _i ? "trap '' HUP; sleep 3 & echo $!" : "sleep 3 & echo $!", _i);
	collect(1, &r);
	ck_assert_int_eq(r.status, 0);
	ck_assert_int_eq(kill((pid_t)strtol(r.out, NULL, 10), 0), 0);
}
END_TEST

START_TEST(input_that_nobody_wants_gives_its_credit_back)
{
	static const uint8_t block[LG_AGENT_PAYLOAD];

	exec_sh(1, "exec <&-; echo closed; sleep 1", false);
	do
		ck_assert(next_frame());
	while (got.kind != LG_A_OUT);
	send_frame(LG_A_IN, 1, block, sizeof(block));
	do
		ck_assert(next_frame());
	while (got.kind != LG_A_CREDIT);
	ck_assert_int_eq(frame_message(&got, &msg), 0);
	ck_assert_uint_eq(lg_msg_get_u64(&msg, "bytes", 0), sizeof(block));
}
END_TEST

START_TEST(there_are_so_many_and_no_more)
{
	unsigned int begun = 0;
	struct result r;

	for (uint32_t i = 1; i <= LG_AGENT_SESSIONS; i++)
		exec_sh(i, "read x", false);
	while (begun < LG_AGENT_SESSIONS) {
		ck_assert(next_frame());
		begun += got.kind == LG_A_BEGUN;
	}
	exec_sh(1000, "true", false);
	collect(1000, &r);
	ck_assert_ptr_nonnull(strstr(r.err.msg, "128 sessions are open already"));
	send_frame(LG_A_IN, 5, "", 0);
	collect(5, &r);
	exec_sh(1001, "true", false);
	collect(1001, &r);
	ck_assert_int_eq(r.status, 0);
}
END_TEST

/* ---- odd frames ---- */

static const struct {
	const char *what;
	uint32_t size, channel;
	uint16_t kind, zero;
	const char *bytes;
	uint32_t len;
} odd[] = {
	{ "too large", LG_AGENT_PAYLOAD + 1, 1, LG_A_IN, 0, "", 0 },
	{ "largest number", UINT32_MAX, 1, LG_A_IN, 0, "", 0 },
	{ "not zero", 0, 1, LG_A_IN, 1, "", 0 },
	{ "of the machine, unknown", 0, 0, 999, 0, "", 0 },
	{ "fields without an end", 3, 0, LG_A_DO, 0, "tag", 3 },
	{ "a bad signal", 7, 0, LG_A_INIT_SIGNAL, 0, "sig=99", 7 },
	{ "SETUP again", 0, 0, LG_A_SETUP, 0, "", 0 },
};

START_TEST(what_is_no_frame_ends_the_connection)
{
	struct lg_agent_head head = { htole32(odd[_i].size), htole32(odd[_i].channel), htole16(odd[_i].kind),
				      htole16(odd[_i].zero) };
	const struct iovec whole[] = { { &head, sizeof(head) }, { (void *)(uintptr_t)odd[_i].bytes, odd[_i].len } };

	/* At once: behind a head that it does not like the agent may be gone. */
	ck_assert_int_eq(writev(end.fd, whole, ARRAY_SIZE(whole)), (ssize_t)sizeof(head) + odd[_i].len);
	ck_assert(!next_frame());
	ck_assert_int_eq(WEXITSTATUS(agent_ends()), 1);
}
END_TEST

START_TEST(more_than_the_window_ends_the_connection)
{
	static const uint8_t block[LG_AGENT_PAYLOAD];

	exec_sh(1, "sleep 5", false);
	expect(LG_A_BEGUN, 1);
	/* A pipe takes a window. */
	for (size_t i = 0; i < 9; i++)
		send_frame(LG_A_IN, 1, block, sizeof(block));
	while (next_frame())
		continue;
	ck_assert_int_eq(WEXITSTATUS(agent_ends()), 1);
}
END_TEST

START_TEST(frames_of_sessions_that_are_over_are_nothing)
{
	struct result r;

	send_frame(LG_A_IN, 77, "x", 1);
	credit(77, 1, 5);
	lg_msg_init(&msg, LG_A_SIGNAL);
	lg_msg_put_u64(&msg, "sig", 9);
	send_message(77);
	exec_sh(1, "echo fine", false);
	collect(1, &r);
	ck_assert_str_eq(r.out, "fine\n");
}
END_TEST

/* ---- the machine ---- */

static void wish(const char *what)
{
	lg_msg_init(&msg, LG_A_DO);
	lg_msg_put(&msg, "tag", "t1");
	lg_msg_put(&msg, "what", what);
	send_message(0);
}

START_TEST(usage_is_told)
{
	wish("usage");
	expect(LG_A_DONE, 0);
	ck_assert_str_eq(lg_msg_get(&msg, "tag"), "t1");
	ck_assert_uint_gt(lg_msg_get_u64(&msg, "memory_total", 0), 1 << 20);
	ck_assert_uint_gt(lg_msg_get_u64(&msg, "memory_available", 0), 0);
	ck_assert_uint_gt(lg_msg_get_u64(&msg, "disk_total", 0), 0);
	ck_assert_uint_gt(lg_msg_get_u64(&msg, "processes", 0), 0);
	ck_assert_uint_gt(lg_msg_get_u64(&msg, "uptime_ms", 0), 0);
}
END_TEST

START_TEST(what_cannot_be_done_is_said)
{
	struct lg_err err = { 0 };

	wish("dance");
	expect(LG_A_DONE, 0);
	ck_assert_str_eq(lg_msg_get(&msg, "tag"), "t1");
	lg_msg_get_err(&msg, &err);
	ck_assert_int_eq(err.code, -ENOSYS);
	ck_assert_str_eq(err.msg, "the agent cannot 'dance'");
}
END_TEST

START_TEST(quiet_is_quiet)
{
	struct pollfd p = { .fd = end.fd, .events = POLLIN };

	exec_sh(1, "while :; do echo noise; done", false);
	wish("quiet");
	do
		ck_assert(next_frame());
	while (got.kind != LG_A_DONE);
	p.fd = end.fd;
	ck_assert_uint_eq(end.in_len, 0);
	ck_assert_int_eq(poll(&p, 1, 300), 0);
	wish("resumed");
	expect(LG_A_DONE, 0);
	ck_assert_ptr_null(lg_msg_get(&msg, "error"));
}
END_TEST

START_TEST(the_start_of_init_is_told)
{
	struct lg_err err = { 0 };
	int ends[2];

	take_down();
	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	begin_agent(ends[0], ends[1]);
	close(ends[0]);
	if (_i) {
		lg_refuse(&err, -ENOENT, 0, "/sbin/none: there is no such program");
		ck_assert_int_eq(write(ends[1], &err, sizeof(err)), sizeof(err));
	}
	close(ends[1]);
	if (!_i) {
		expect(LG_A_INIT, 0);
		return;
	}
	expect(LG_A_FAILED, 0);
	lg_msg_get_err(&msg, &err);
	ck_assert_int_eq(err.code, -ENOENT);
	ck_assert_int_eq(WEXITSTATUS(agent_ends()), 1);
}
END_TEST

/* ---- parts ---- */

static const struct {
	const char *hex;
	int want;
} seeds[] = { { "", -EINVAL }, { "0", -EINVAL }, { "0g", -EINVAL }, { "zz", -EINVAL } };

START_TEST(a_seed_is_hex)
{
	struct machine m = { .random = -1 };

	lg_msg_init(&msg, LG_A_DO);
	lg_msg_put(&msg, "seed", seeds[_i].hex);
	ck_assert_int_eq(machine_seed(&m, &msg, NULL), seeds[_i].want);
}
END_TEST

START_TEST(hardware_addresses_are_read)
{
	uint8_t mac[6];

	ck_assert_int_eq(parse_mac("02:00:ab:cd:ef:01", mac), 0);
	ck_assert_uint_eq(mac[2], 0xab);
	ck_assert_int_eq(parse_mac("02:00:ab:cd:ef", mac), -EINVAL);
	ck_assert_int_eq(parse_mac("02:00:ab:cd:ef:01:02", mac), -EINVAL);
	ck_assert_int_eq(parse_mac("", mac), -EINVAL);
}
END_TEST

static TCase *of_agent(void)
{
	TCase *tc = tcase_create("agent");

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, set_up, take_down);
	tcase_add_loop_test(tc, sessions_do_as_documented, 0, ARRAY_SIZE(execs));
	tcase_add_test(tc, begun_comes_before_output_and_ended_behind_it);
	tcase_add_test(tc, a_terminal_is_one);
	tcase_add_test(tc, a_terminal_is_resized);
	tcase_add_test(tc, much_goes_through_with_credit);
	tcase_add_test(tc, one_that_nobody_reads_holds_up_no_other);
	tcase_add_test(tc, what_was_printed_last_waits_for_credit_and_arrives);
	tcase_add_test(tc, signals_reach_the_session);
	tcase_add_loop_test(tc, hanging_up_is_a_signal_and_a_closed_stream, 0, 2);
	tcase_add_loop_test(tc, a_daemon_that_is_left_behind_is_no_part_of_it, 0, 2);
	tcase_add_test(tc, input_that_nobody_wants_gives_its_credit_back);
	tcase_add_test(tc, there_are_so_many_and_no_more);
	tcase_add_loop_test(tc, what_is_no_frame_ends_the_connection, 0, ARRAY_SIZE(odd));
	tcase_add_test(tc, more_than_the_window_ends_the_connection);
	tcase_add_test(tc, frames_of_sessions_that_are_over_are_nothing);
	tcase_add_test(tc, usage_is_told);
	tcase_add_test(tc, what_cannot_be_done_is_said);
	tcase_add_test(tc, quiet_is_quiet);
	tcase_add_loop_test(tc, the_start_of_init_is_told, 0, 2);
	return tc;
}

int main(void)
{
	Suite *s = suite_create("vm_agent");
	TCase *parts = tcase_create("parts");
	SRunner *sr;
	int failures;

	if (geteuid() != 0) {
		fputs("vm_agent: users are changed to by root only\n", stderr);
		return 77;
	}
	suite_add_tcase(s, of_agent());
	tcase_add_loop_test(parts, a_seed_is_hex, 0, ARRAY_SIZE(seeds));
	tcase_add_test(parts, hardware_addresses_are_read);
	suite_add_tcase(s, parts);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failures = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failures ? 1 : 0;
}
