/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The client of QEMU's protocol; the test is QEMU. */

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/json.h"
#include "vm/qmp.h"

static struct lg_qmp q;
static int qemu;		/* our end */
static int answers, ready, events;
static struct lg_err last;
static int64_t actual;
static char event[40];

static void on_answer(void *arg, const json_t *ret, const struct lg_err *err)
{
	(void)arg;
	answers++;
	last = *err;
	actual = lg_json_int(ret, "actual", -1);
}

static void on_ready(void *arg)
{
	(void)arg;
	ready++;
}

static void on_event(void *arg, const char *name, const json_t *data)
{
	(void)arg;
	events++;
	snprintf(event, sizeof(event), "%s/%s", name, lg_json_str(data, "reason"));
}

static void set_up(void)
{
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
	qemu = pair[1];
	answers = ready = events = 0;
	last = (struct lg_err){ 0 };
	lg_qmp_init(&q, pair[0]);
	q.on_event = on_event;
	q.on_ready = on_ready;
}

static void take_down(void)
{
	lg_qmp_end(&q);
	close(qemu);
}

static int says(const char *text)
{
	ck_assert_int_eq(write(qemu, text, strlen(text)), (ssize_t)strlen(text));
	return lg_qmp_input(&q);
}

static const char *heard(void)
{
	static char buf[4096];
	ssize_t n = read(qemu, buf, sizeof(buf) - 1);

	buf[n > 0 ? n : 0] = '\0';
	return buf;
}

static void greet(void)
{
	ck_assert_int_eq(says("{\"QMP\": {\"version\": {}, \"capabilities\": [\"oob\"]}}\r\n"), 0);
	ck_assert_str_eq(heard(), "{\"execute\":\"qmp_capabilities\",\"id\":1}\n");
	ck_assert_int_eq(says("{\"return\": {}, \"id\": 1}\r\n"), 0);
	ck_assert_int_eq(ready, 1);
}

START_TEST(a_command_is_answered_once)
{
	greet();
	ck_assert_int_eq(lg_qmp_command(&q, "balloon", json_pack("{s:i}", "value", 7), -1, 1000, on_answer, NULL), 0);
	ck_assert_str_eq(heard(), "{\"execute\":\"balloon\",\"id\":2,\"arguments\":{\"value\":7}}\n");
	ck_assert_int_eq(says("{\"return\": {\"actual\": 9}, \"id\": 2}\r\n{\"return\": {}, \"id\": 2}\r\n"), 0);
	ck_assert_int_eq(answers, 1);
	ck_assert_int_eq(actual, 9);
	ck_assert_int_eq(lg_qmp_expire(&q), -1);
}
END_TEST

START_TEST(a_refusal_says_why)
{
	greet();
	lg_qmp_command(&q, "cont", NULL, -1, 1000, on_answer, NULL);
	says("{\"id\": 2, \"error\": {\"class\": \"GenericError\", \"desc\": \"not now\"}}\r\n");
	ck_assert_int_eq(last.code, -EIO);
	ck_assert_str_eq(last.msg, "QEMU: not now");
}
END_TEST

START_TEST(events_and_parts_of_lines_are_taken)
{
	static const char text[] = "{\"timestamp\": {}, \"event\": \"SHUTDOWN\", \"data\": {\"reason\": \"guest-reset\"}}\r\n";

	greet();
	for (size_t i = 0; text[i]; i++) {
		char one[2] = { text[i], '\0' };

		ck_assert_int_eq(says(one), 0);
	}
	ck_assert_int_eq(events, 1);
	ck_assert_str_eq(event, "SHUTDOWN/guest-reset");
	ck_assert_ptr_null(q.line);
}
END_TEST

START_TEST(who_is_late_has_failed)
{
	greet();
	lg_qmp_command(&q, "cont", NULL, -1, 0, on_answer, NULL);
	ck_assert_int_eq(lg_qmp_expire(&q), -1);
	ck_assert_int_eq(answers, 1);
	ck_assert_int_eq(last.code, -ETIMEDOUT);
	/* The answer that comes after all is nobody's. */
	ck_assert_int_eq(says("{\"return\": {}, \"id\": 2}\r\n"), 0);
	ck_assert_int_eq(answers, 1);
}
END_TEST

START_TEST(too_many_commands_are_refused)
{
	greet();
	for (unsigned int i = 0; i < LG_QMP_WAITING; i++)
		ck_assert_int_eq(lg_qmp_command(&q, "stop", NULL, -1, 1000, on_answer, NULL), 0);
	ck_assert_int_eq(lg_qmp_command(&q, "stop", json_object(), -1, 1000, on_answer, NULL), -EBUSY);
	close(qemu);
	ck_assert_int_eq(lg_qmp_input(&q), -EPIPE);
	ck_assert_int_eq(answers, LG_QMP_WAITING);
	ck_assert_int_eq(last.code, -EPIPE);
	ck_assert_int_eq(lg_qmp_command(&q, "stop", NULL, -1, 1000, on_answer, NULL), -ENOTCONN);
	qemu = open("/dev/null", O_WRONLY | O_CLOEXEC);
}
END_TEST

static const char *const garbage[] = { "hello\n", "[1, 2]\n", "{\"return\": \n", "\"x\"\n", "{\"a\": 1} {\"b\": 2}\n" };

START_TEST(what_is_no_message_ends_it)
{
	greet();
	ck_assert_int_eq(says(garbage[_i]), -EPROTO);
	ck_assert_int_eq(q.fd, -1);
}
END_TEST

START_TEST(a_line_without_end_ends_it)
{
	static char text[LG_QMP_LINE / 2];
	int r = 0;

	greet();
	memset(text, 'x', sizeof(text) - 1);
	for (int i = 0; i < 4 && r == 0; i++)
		r = says(text);
	ck_assert_int_eq(r, -EPROTO);
}
END_TEST

START_TEST(a_descriptor_goes_with_its_command)
{
	char space[CMSG_SPACE(sizeof(int))], buf[200];
	struct iovec iov = { .iov_base = buf, .iov_len = sizeof(buf) };
	struct msghdr h = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof(space) };
	struct cmsghdr *beside;
	int fd = -1;

	greet();
	ck_assert_int_eq(lg_qmp_command(&q, "getfd", json_pack("{s:s}", "fdname", "f"), qemu, 1000, NULL, NULL), 0);
	ck_assert_int_gt(recvmsg(qemu, &h, MSG_CMSG_CLOEXEC), 0);
	beside = CMSG_FIRSTHDR(&h);
	if (beside)
		memcpy(&fd, CMSG_DATA(beside), sizeof(fd));
	ck_assert_int_ge(fd, 0);
	close(fd);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("qmp");
	TCase *t = tcase_create("client");
	SRunner *sr = srunner_create(s);
	int failures;

	tcase_add_checked_fixture(t, set_up, take_down);
	tcase_add_test(t, a_command_is_answered_once);
	tcase_add_test(t, a_refusal_says_why);
	tcase_add_test(t, events_and_parts_of_lines_are_taken);
	tcase_add_test(t, who_is_late_has_failed);
	tcase_add_test(t, too_many_commands_are_refused);
	tcase_add_loop_test(t, what_is_no_message_ends_it, 0, sizeof(garbage) / sizeof(garbage[0]));
	tcase_add_test(t, a_line_without_end_ends_it);
	tcase_add_test(t, a_descriptor_goes_with_its_command);
	suite_add_tcase(s, t);
	srunner_run_all(sr, CK_ENV);
	failures = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failures ? 1 : 0;
}
