/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lib/msg.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/cleanup.h"
#include "lib/exit.h"

static int ends[2];
static struct lg_msg sent, got;

static void setup(void)
{
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), 0);
	memset(&got, 0xa5, sizeof(got));
	got.nfds = 0;
}

static void teardown(void)
{
	lg_msg_drop_fds(&got);
	close(ends[0]);
	close(ends[1]);
}

static void pass(void)
{
	ck_assert_int_eq(lg_msg_send(ends[0], &sent), 0);
	ck_assert_int_eq(lg_msg_recv(ends[1], &got), 1);
}

static int count_fds(void)
{
	lg_autodir DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	while (readdir(dir))
		n++;
	return n;
}

START_TEST(fields_arrive_as_they_were_put)
{
	const char *arg = NULL;

	lg_msg_init(&sent, 42);
	ck_assert_int_eq(lg_msg_put(&sent, "arg", "one"), 0);
	ck_assert_int_eq(lg_msg_put(&sent, "empty", ""), 0);
	ck_assert_int_eq(lg_msg_put(&sent, "arg", "two=2"), 0);
	ck_assert_int_eq(lg_msg_put(&sent, "args", "no"), 0);
	ck_assert_int_eq(lg_msg_put(&sent, "arg", ""), 0);
	ck_assert_int_eq(lg_msg_put_u64(&sent, "big", UINT64_MAX), 0);
	pass();
	ck_assert_uint_eq(got.kind, 42);
	ck_assert_str_eq(lg_msg_get(&got, "arg"), "one");
	ck_assert_str_eq(lg_msg_get(&got, "empty"), "");
	ck_assert_ptr_null(lg_msg_get(&got, "ar"));
	ck_assert_ptr_null(lg_msg_get(&got, ""));
	ck_assert_uint_eq(lg_msg_get_u64(&got, "big", 1), UINT64_MAX);
	arg = lg_msg_next(&got, "arg", arg);
	ck_assert_str_eq(arg, "one");
	arg = lg_msg_next(&got, "arg", arg);
	ck_assert_str_eq(arg, "two=2");
	arg = lg_msg_next(&got, "arg", arg);
	ck_assert_str_eq(arg, "");
	ck_assert_ptr_null(lg_msg_next(&got, "arg", arg));
}
END_TEST

START_TEST(an_empty_message_arrives)
{
	lg_msg_init(&sent, 7);
	pass();
	ck_assert_uint_eq(got.kind, 7);
	ck_assert_ptr_null(lg_msg_get(&got, "a"));
	ck_assert_int_eq(lg_msg_take_fd(&got, 0), -1);
}
END_TEST

START_TEST(a_message_may_be_filled_to_its_last_byte)
{
	static char value[LG_MSG_BYTES];

	memset(value, 'v', sizeof(value));
	value[LG_MSG_BYTES - 3] = '\0';	/* "k=" and NUL */
	lg_msg_init(&sent, 1);
	ck_assert_int_eq(lg_msg_put(&sent, "k", value), 0);
	pass();
	ck_assert_str_eq(lg_msg_get(&got, "k"), value);
	ck_assert_int_eq(lg_msg_put(&sent, "", ""), -EMSGSIZE);
}
END_TEST

START_TEST(a_message_that_overflowed_is_not_sent)
{
	static char value[LG_MSG_BYTES];

	memset(value, 'v', sizeof(value) - 1);
	value[LG_MSG_BYTES - 2] = '\0';
	lg_msg_init(&sent, 1);
	ck_assert_int_eq(lg_msg_put(&sent, "k", value), -EMSGSIZE);
	ck_assert_int_eq(lg_msg_put(&sent, "k", "small"), -EMSGSIZE);
	ck_assert_int_eq(lg_msg_put_u64(&sent, "k", 1), -EMSGSIZE);
	ck_assert_int_eq(lg_msg_send(ends[0], &sent), -EMSGSIZE);
	ck_assert_int_eq(lg_msg_recv(ends[1], &got), -EAGAIN);
}
END_TEST

static const struct { const char *text; uint64_t want; } numbers[] = {
	{ "0", 0 }, { "5", 5 }, { "18446744073709551615", UINT64_MAX },
	{ "18446744073709551616", 99 }, { "", 99 }, { "-1", 99 }, { "+1", 99 }, { " 1", 99 },
	{ "1x", 99 }, { "0x10", 99 }, { "x", 99 },
};

START_TEST(a_number_is_decimal_or_it_is_not_there)
{
	lg_msg_init(&sent, 1);
	lg_msg_put(&sent, "n", numbers[_i].text);
	ck_assert_uint_eq(lg_msg_get_u64(&sent, "n", 99), numbers[_i].want);
	ck_assert_uint_eq(lg_msg_get_u64(&sent, "m", 99), 99);
}
END_TEST

START_TEST(descriptors_arrive_in_order_and_close_on_exec)
{
	int before = count_fds(), p[2], first, second;

	ck_assert_int_eq(pipe(p), 0);
	lg_msg_init(&sent, 1);
	ck_assert_int_eq(lg_msg_put_fd(&sent, p[0]), 0);
	ck_assert_int_eq(lg_msg_put_fd(&sent, p[1]), 0);
	pass();
	ck_assert_uint_eq(got.nfds, 2);
	second = lg_msg_take_fd(&got, 1);
	first = lg_msg_take_fd(&got, 0);
	ck_assert_int_eq(lg_msg_take_fd(&got, 0), -1);
	ck_assert_int_eq(lg_msg_take_fd(&got, 2), -1);
	ck_assert(fcntl(first, F_GETFD) & FD_CLOEXEC);
	ck_assert_int_eq(write(second, "x", 1), 1);
	ck_assert_int_eq(read(first, &(char){ 0 }, 1), 1);
	ck_assert_int_ge(fcntl(p[0], F_GETFD), 0);	/* lent: ours still */
	close(first);
	close(second);
	close(p[0]);
	close(p[1]);
	lg_msg_drop_fds(&got);
	ck_assert_int_eq(count_fds(), before);
}
END_TEST

START_TEST(descriptors_that_nobody_takes_are_dropped)
{
	int before = count_fds();

	lg_msg_init(&sent, 1);
	for (unsigned int i = 0; i < LG_MSG_FDS; i++)
		ck_assert_int_eq(lg_msg_put_fd(&sent, STDERR_FILENO), 0);
	ck_assert_int_eq(lg_msg_put_fd(&sent, STDERR_FILENO), -E2BIG);
	pass();
	ck_assert_int_eq(count_fds(), before + (int)LG_MSG_FDS);
	lg_msg_drop_fds(&got);
	ck_assert_int_eq(count_fds(), before);
	lg_msg_drop_fds(&got);
}
END_TEST

/* ---- a hostile peer ---- */

static const struct { const char *bytes; size_t len; } bad[] = {
#define BYTES(s) s, sizeof(s) - 1
	{ BYTES("a") },
	{ BYTES("abc") },
	{ BYTES("\1\0\0\0x") },
	{ BYTES("\1\0\0\0k=v") },
	{ BYTES("\1\0\0\0k=v\0k=w") },
};

START_TEST(what_is_no_message_is_dropped_and_the_next_is_read)
{
	ck_assert_int_eq(send(ends[0], bad[_i].bytes, bad[_i].len, 0), (ssize_t)bad[_i].len);
	ck_assert_int_eq(lg_msg_recv(ends[1], &got), -EBADMSG);
	ck_assert_uint_eq(got.len, 0);
	ck_assert_ptr_null(lg_msg_get(&got, "k"));
	lg_msg_init(&sent, 3);
	pass();
	ck_assert_uint_eq(got.kind, 3);
}
END_TEST

static const struct { const char *bytes; size_t len; } odd[] = {
	{ BYTES("\1\0\0\0\0\0\0\0") },
	{ BYTES("\1\0\0\0k\0") },
	{ BYTES("\1\0\0\0=\0==\0=k\0") },
};

START_TEST(fields_without_sense_are_found_by_nobody)
{
	ck_assert_int_eq(send(ends[0], odd[_i].bytes, odd[_i].len, 0), (ssize_t)odd[_i].len);
	ck_assert_int_eq(lg_msg_recv(ends[1], &got), 1);
	ck_assert_ptr_null(lg_msg_get(&got, "k"));
	ck_assert_uint_eq(lg_msg_get_u64(&got, "k", 9), 9);
}
END_TEST

START_TEST(a_packet_that_is_too_large_is_dropped)
{
	static char large[LG_MSG_BYTES + sizeof(uint32_t) + 1];

	ck_assert_int_eq(send(ends[0], large, sizeof(large), 0), (ssize_t)sizeof(large));
	ck_assert_int_eq(lg_msg_recv(ends[1], &got), -EBADMSG);
	ck_assert_int_eq(send(ends[0], large, sizeof(large) - 1, 0), (ssize_t)sizeof(large) - 1);
	ck_assert_int_eq(lg_msg_recv(ends[1], &got), 1);
}
END_TEST

static void send_fds(const void *bytes, size_t len, unsigned int n)
{
	union {
		char buf[CMSG_SPACE(sizeof(int) * 64)];
		struct cmsghdr align;
	} space = { 0 };
	struct iovec iov = { .iov_base = (void *)(uintptr_t)bytes, .iov_len = len };
	struct msghdr h = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = space.buf,
			    .msg_controllen = CMSG_SPACE(sizeof(int) * n) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&h);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int) * n);
	for (unsigned int i = 0; i < n; i++)
		memcpy(CMSG_DATA(c) + i * sizeof(int), &(int){ STDERR_FILENO }, sizeof(int));
	ck_assert_int_eq(sendmsg(ends[0], &h, 0), (ssize_t)len);
}

START_TEST(no_descriptor_of_a_refused_message_is_kept)
{
	int before = count_fds();

	send_fds("\1\0\0\0", 4, LG_MSG_FDS + 1);
	ck_assert_int_eq(lg_msg_recv(ends[1], &got), -EBADMSG);
	ck_assert_int_eq(count_fds(), before);
	send_fds("\1\0\0\0", 4, 60);
	ck_assert_int_eq(lg_msg_recv(ends[1], &got), -EBADMSG);
	ck_assert_int_eq(count_fds(), before);
	send_fds("\1\0\0\0k", 5, 2);
	ck_assert_int_eq(lg_msg_recv(ends[1], &got), -EBADMSG);
	ck_assert_int_eq(count_fds(), before);
	send_fds("\1", 1, 2);
	ck_assert_int_eq(lg_msg_recv(ends[1], &got), -EBADMSG);
	ck_assert_int_eq(count_fds(), before);
	ck_assert_uint_eq(got.nfds, 0);
}
END_TEST

START_TEST(the_end_and_an_empty_socket_are_told_apart)
{
	ck_assert_int_eq(lg_msg_recv(ends[1], &got), -EAGAIN);
	shutdown(ends[0], SHUT_WR);
	ck_assert_int_eq(lg_msg_recv(ends[1], &got), 0);
	close(ends[1]);
	ends[1] = -1;
	lg_msg_init(&sent, 1);
	ck_assert_int_eq(lg_msg_send(ends[0], &sent), -EPIPE);
}
END_TEST

START_TEST(a_full_socket_answers_again)
{
	static char value[8000];
	int r = 0;

	memset(value, 'v', sizeof(value) - 1);
	lg_msg_init(&sent, 1);
	lg_msg_put(&sent, "k", value);
	for (int i = 0; i < 10000 && r == 0; i++)
		r = lg_msg_send(ends[0], &sent);
	ck_assert_int_eq(r, -EAGAIN);
}
END_TEST

/* ---- errors ---- */

START_TEST(an_error_arrives_whole)
{
	struct lg_err a = { .code = -EBUSY, .exit_code = LG_EXIT_LOCKED, .msg = "is busy = true" }, b = { 0 };

	lg_msg_init(&sent, 1);
	ck_assert_int_eq(lg_msg_put_err(&sent, &a), 0);
	pass();
	ck_assert_int_eq(lg_msg_get_err(&got, &b), -EBUSY);
	ck_assert_int_eq(b.code, a.code);
	ck_assert_int_eq(b.exit_code, a.exit_code);
	ck_assert_str_eq(b.msg, a.msg);
}
END_TEST

static const char *const errors[][2] = {
	{ "code", "0" }, { "code", "-5" }, { "code", "99999999999" }, { "code", "4096" }, { "x", "y" },
};

START_TEST(an_error_that_makes_no_sense_is_an_error_still)
{
	struct lg_err err = { 0 };

	lg_msg_init(&sent, 1);
	lg_msg_put(&sent, errors[_i][0], errors[_i][1]);
	ck_assert_int_eq(lg_msg_get_err(&sent, &err), -EIO);
	ck_assert_int_eq(err.code, -EIO);
	ck_assert_str_eq(err.msg, "no reason given");
}
END_TEST

/* A shim that fails while lodged lets it go: the reason must not be lost. */
START_TEST(last_words_arrive_from_one_that_closed_without_reading)
{
	lg_msg_init(&sent, 3);
	ck_assert_int_eq(lg_msg_send(ends[0], &sent), 0);
	lg_msg_init(&sent, 67);
	ck_assert_int_eq(lg_msg_send(ends[1], &sent), 0);
	ends[1] = lg_close(ends[1]);
	ck_assert_int_eq(lg_msg_recv(ends[0], &got), 1);
	ck_assert_uint_eq(got.kind, 67);
	ck_assert_int_eq(lg_msg_recv(ends[0], &got), 0);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("msg");
	TCase *t = tcase_create("all");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, fields_arrive_as_they_were_put);
	tcase_add_test(t, an_empty_message_arrives);
	tcase_add_test(t, a_message_may_be_filled_to_its_last_byte);
	tcase_add_test(t, a_message_that_overflowed_is_not_sent);
	tcase_add_loop_test(t, a_number_is_decimal_or_it_is_not_there, 0, ARRAY_SIZE(numbers));
	tcase_add_test(t, descriptors_arrive_in_order_and_close_on_exec);
	tcase_add_test(t, descriptors_that_nobody_takes_are_dropped);
	tcase_add_loop_test(t, what_is_no_message_is_dropped_and_the_next_is_read, 0, ARRAY_SIZE(bad));
	tcase_add_loop_test(t, fields_without_sense_are_found_by_nobody, 0, ARRAY_SIZE(odd));
	tcase_add_test(t, a_packet_that_is_too_large_is_dropped);
	tcase_add_test(t, no_descriptor_of_a_refused_message_is_kept);
	tcase_add_test(t, the_end_and_an_empty_socket_are_told_apart);
	tcase_add_test(t, last_words_arrive_from_one_that_closed_without_reading);
	tcase_add_test(t, a_full_socket_answers_again);
	tcase_add_test(t, an_error_arrives_whole);
	tcase_add_loop_test(t, an_error_that_makes_no_sense_is_an_error_still, 0, ARRAY_SIZE(errors));
	suite_add_tcase(s, t);
	return s;
}

int main(void)
{
	SRunner *sr = srunner_create(suite());
	int failures;

	srunner_run_all(sr, CK_ENV);
	failures = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failures ? 1 : 0;
}
