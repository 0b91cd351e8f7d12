/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Moving bytes between descriptors: nothing is lost, nobody waits for ever, ends are passed on. */

/* The command is a program and no library: what is tested of it is built in here. */
/* NOLINTBEGIN(bugprone-suspicious-include) */
#include "cmd/lodge/pump.c"
/* NOLINTEND(bugprone-suspicious-include) */

#include <check.h>
#include <signal.h>
#include <sys/socket.h>

#define MUCH (300u << 10)

static unsigned char byte_at(size_t i)
{
	return (unsigned char)((i * 2654435761u) >> 13);
}

/* Feeds MUCH bytes into @in without blocking; answers how many went this time. */
static void feed(int *in, size_t *fed)
{
	unsigned char buf[5000];

	while (*in >= 0 && *fed < MUCH) {
		size_t len = MUCH - *fed < sizeof(buf) ? MUCH - *fed : sizeof(buf);
		ssize_t n;

		for (size_t i = 0; i < len; i++)
			buf[i] = byte_at(*fed + i);
		n = write(*in, buf, len);
		if (n <= 0)
			return;
		*fed += (size_t)n;
	}
	*in = lg_close(*in);
}

static bool drain(int out, size_t *got)
{
	unsigned char buf[3000];
	ssize_t n;

	while ((n = read(out, buf, sizeof(buf))) > 0)
		for (ssize_t i = 0; i < n; i++, (*got)++)
			if (buf[i] != byte_at(*got))	/* the check by itself is slow */
				ck_abort_msg("byte %zu is wrong", *got);
	return n == 0;
}

static void turn(struct pump *p)
{
	struct pollfd fds[2];

	pump_want(p, fds);
	ck_assert_int_ge(poll(fds, 2, 2), 0);
	pump_run(p, fds);
}

static void make_pair(int kind, int fds[2])
{
	if (kind == 0)
		ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
	else
		ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	if (kind != 0) {
		int first = fds[0];

		fds[0] = fds[1];
		fds[1] = first;
	}
}

/* 0: pipe to pipe, 1: socket to pipe, 2: pipe to socket, 3: sockets; +4: no splice; +8: slow target */
START_TEST(all_bytes_arrive_and_the_end_too)
{
	int in[2], out[2];
	size_t fed = 0, got = 0;
	struct pump p;
	bool end = false;

	make_pair(_i & 1, in);
	make_pair(_i & 2, out);
	fcntl(in[1], F_SETFL, O_NONBLOCK);
	fcntl(out[0], F_SETFL, O_NONBLOCK);
	if (_i & 8)
		fcntl(out[1], F_SETFL, O_NONBLOCK);
	pump_init(&p, in[0], true, out[1], true);
	if (_i & 4)
		p.use_splice = false;
	for (int i = 0; !end && i < 100000; i++) {
		feed(&in[1], &fed);
		turn(&p);
		end = drain(out[0], &got);
	}
	ck_assert(end);
	ck_assert_uint_eq(got, MUCH);
	ck_assert(p.done);
	lg_close(out[0]);
}
END_TEST

START_TEST(a_full_pipe_does_not_block_the_loop)
{
	int in[2], out[2];
	size_t fed = 0, got = 0;
	struct pump p;

	make_pair(0, in);
	make_pair(0, out);	/* blocking, as a caller's stdout is */
	fcntl(in[1], F_SETFL, O_NONBLOCK);
	fcntl(out[0], F_SETFL, O_NONBLOCK);
	pump_init(&p, in[0], true, out[1], false);
	p.use_splice = _i;
	alarm(10);
	for (int i = 0; i < 200; i++) {
		feed(&in[1], &fed);
		turn(&p);	/* nobody reads: must come back every time */
	}
	ck_assert(!p.done);
	for (int i = 0; i < 100000 && got < MUCH; i++) {
		feed(&in[1], &fed);
		turn(&p);
		drain(out[0], &got);
	}
	ck_assert_uint_eq(got, MUCH);
	pump_end(&p);
	close(out[0]);
	close(out[1]);
}
END_TEST

START_TEST(a_reader_that_left_closes_the_source)
{
	int in[2], out[2];
	struct pump p;

	signal(SIGPIPE, SIG_IGN);
	make_pair(0, in);
	make_pair(0, out);
	pump_init(&p, in[0], true, out[1], false);
	p.use_splice = _i;
	close(out[0]);
	turn(&p);	/* without a byte to write */
	ck_assert(p.done);
	ck_assert_int_eq((int)write(in[1], "x", 1), -1);
	ck_assert_int_eq(errno, EPIPE);
	ck_assert_int_ge(fcntl(out[1], F_GETFD), 0);	/* not ours: still open */
	close(in[1]);
	close(out[1]);
}
END_TEST

START_TEST(a_preset_goes_first_and_then_ends)
{
	int out[2];
	struct pump p;
	char buf[16];

	make_pair(0, out);
	pump_init(&p, -1, false, out[1], true);
	ck_assert_int_eq(pump_preset(&p, "hello", 5), 0);
	ck_assert(!pump_idle(&p));
	turn(&p);
	ck_assert(p.done);
	ck_assert_int_eq((int)read(out[0], buf, sizeof(buf)), 5);
	ck_assert_int_eq((int)read(out[0], buf, sizeof(buf)), 0);
	close(out[0]);
}
END_TEST

START_TEST(idle_means_that_nothing_is_on_its_way)
{
	int in[2], out[2];
	struct pump p;

	make_pair(0, in);
	make_pair(0, out);
	pump_init(&p, in[0], true, out[1], true);
	ck_assert(pump_idle(&p));
	ck_assert_int_eq((int)write(in[1], "x", 1), 1);
	ck_assert(!pump_idle(&p));
	turn(&p);
	ck_assert(pump_idle(&p));
	close(in[1]);
	ck_assert(!pump_idle(&p));	/* the end is still to be passed on */
	turn(&p);
	ck_assert(p.done);
	ck_assert(pump_idle(&p));
	close(out[0]);
}
END_TEST

static long upper(char *buf, size_t len, void *arg)
{
	bool *stop = arg;

	for (size_t i = 0; i < len; i++) {
		*stop = *stop || buf[i] == '!';
		buf[i] = (char)(buf[i] - 32);
	}
	return *stop ? -1 : (long)len;
}

START_TEST(a_filter_sees_everything_and_may_end_it)
{
	int in[2], out[2];
	struct pump p;
	bool stop = false;
	char buf[8] = "";

	make_pair(0, in);
	make_pair(0, out);
	pump_init(&p, in[0], true, out[1], false);
	p.use_splice = false;
	p.filter = upper;
	p.arg = &stop;
	ck_assert_int_eq((int)write(in[1], "abc", 3), 3);
	turn(&p);
	turn(&p);
	ck_assert_int_eq((int)read(out[0], buf, sizeof(buf)), 3);
	ck_assert_str_eq(buf, "ABC");
	ck_assert_int_eq((int)write(in[1], "!", 1), 1);
	turn(&p);
	ck_assert(p.done && stop);
	close(in[1]);
	close(out[0]);
	close(out[1]);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("cli_pump");
	TCase *tc = tcase_create("pump");
	SRunner *sr;
	int failures;

	tcase_set_timeout(tc, 30);
	tcase_add_loop_test(tc, all_bytes_arrive_and_the_end_too, 0, 16);
	tcase_add_loop_test(tc, a_full_pipe_does_not_block_the_loop, 0, 2);
	tcase_add_loop_test(tc, a_reader_that_left_closes_the_source, 0, 2);
	tcase_add_test(tc, a_preset_goes_first_and_then_ends);
	tcase_add_test(tc, idle_means_that_nothing_is_on_its_way);
	tcase_add_test(tc, a_filter_sees_everything_and_may_end_it);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failures = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failures ? 1 : 0;
}
