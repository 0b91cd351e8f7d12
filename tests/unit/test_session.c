/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Exec sessions in real containers, lodged played by the drive. Needs root. */

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ct/proto.h"
#include "lib/cleanup.h"
#include "tests/unit/shim_fixture.h"

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
	{ { "sh", "-c", "echo out; echo err >&2" }, NULL, NULL, NULL, NULL, 0, 0, "out\nerr\n" },
	{ { "none" }, NULL, NULL, NULL, NULL, -1, 127, "none: there is no such command" },
	{ { "/bin/none" }, NULL, NULL, NULL, NULL, -1, 127, "/bin/none" },
	{ { "" }, NULL, NULL, NULL, NULL, -1, 127, "no such command" },
	{ { "/etc" }, NULL, NULL, NULL, NULL, -1, 126, "cannot be executed: Permission denied" },
	{ { "/etc/passwd" }, NULL, NULL, NULL, NULL, -1, 126, "Permission denied" },
	{ { "/bin/script", "a" }, NULL, NULL, NULL, NULL, 0, 0, "plain a\n" },
	{ { "sh", "-c", "id -u; id -G; echo $HOME $USER; pwd" }, "web", NULL, NULL, NULL, 0, 0,
	  "33\n34 4\n/tmp web\n/tmp\n" },
	{ { "sh", "-c", "id -u; id -g" }, "1234:5", NULL, NULL, NULL, 0, 0, "1234\n5\n" },
	{ { "sh", "-c", "grep CapEff /proc/self/status" }, "web", NULL, NULL, NULL, 0, 0,
	  "CapEff:\t0000000000000000\n" },
	{ { "true" }, "nobody", NULL, NULL, NULL, -1, 0, "there is no user 'nobody'" },
	{ { "sh", "-c", "pwd" }, NULL, "/etc", NULL, NULL, 0, 0, "/etc\n" },
	{ { "true" }, NULL, "/none", NULL, NULL, -1, 0, "folder '/none' in the container" },
	{ { "sh", "-c", "echo $K; echo $PATH" }, NULL, NULL, "K=V", NULL, 0, 0,
	  "V\n/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n" },
	{ { "sh", "-c", "echo $PATH" }, NULL, NULL, "PATH=/x:/bin", NULL, 0, 0, "/x:/bin\n" },
	{ { NULL }, NULL, NULL, NULL, "echo shell $0\n", 0, 0, "shell -sh\n" },
};

START_TEST(sessions_do_as_documented)
{
	drive_put(&d, "bin/script", "echo plain $1\n", 0755);
	run_idle();
	e = (struct drive_exec){ .argv = execs[_i].argv, .user = execs[_i].user,
				 .cwd = execs[_i].cwd, .env = execs[_i].env,
				 .input = execs[_i].input };
	drive_exec(&d, &e);
	ck_assert_int_eq(e.status, execs[_i].status);
	if (e.status == -1) {
		ck_assert_msg(strstr(e.err.msg, execs[_i].out) != NULL, "%s", e.err.msg);
		ck_assert_int_eq(e.err.exit_code, execs[_i].exit);
	} else {
		ck_assert_str_eq(e.out, execs[_i].out);
	}
	stop();
}
END_TEST

START_TEST(a_terminal_is_the_containers_own)
{
	static const char *const argv[] = { "sh", "-c", "tty; stty size; stat -c '%u:%g' $(tty); "
					    "echo hi > /dev/tty", NULL };

	run_idle();
	e = (struct drive_exec){ .argv = argv, .tty = true };
	drive_exec(&d, &e);
	ck_assert_int_eq(e.status, 0);
	ck_assert_str_eq(e.out, "/dev/pts/1\r\n33 99\r\n0:5\r\nhi\r\n");
	stop();
}
END_TEST

START_TEST(a_terminal_does_not_pass_through_what_the_guest_mounts)
{
	static const char *const argv[] = { "true", NULL };

	run_idle();
	ck_assert_str_eq(shell("mount --bind /dev/null /dev/pts/ptmx && echo ok"), "ok\n");
	e = (struct drive_exec){ .argv = argv, .tty = true };
	drive_exec(&d, &e);
	ck_assert_int_eq(e.status, -1);
	ck_assert_ptr_nonnull(strstr(e.err.msg, "make a terminal"));
	stop();
}
END_TEST

START_TEST(a_fifo_for_passwd_does_not_block)
{
	run_idle();
	ck_assert_str_eq(shell("rm /etc/passwd; mkfifo /etc/passwd; echo ok"), "ok\n");
	ck_assert_str_eq(shell("echo $HOME"), "/root\n");
	stop();
}
END_TEST

START_TEST(signals_reach_the_session)
{
	static const char *const argv[] = { "sh", "-c", "trap 'exit 5' USR1; echo go; "
					    "while :; do sleep 0.05; done", NULL };
	static struct lg_msg m;
	char buf[8];

	run_idle();
	e = (struct drive_exec){ .argv = argv };
	ck_assert(drive_exec_begin(&d, &e));
	ck_assert_int_gt(read(e.streams[1], buf, sizeof(buf)), 0);
	lg_msg_init(&m, LG_P_SIGNAL);
	lg_msg_put_u64(&m, "sig", SIGUSR1);
	ck_assert_int_eq(lg_msg_send(e.control, &m), 0);
	ck_assert_int_eq(lg_msg_recv(e.control, &m), 1);
	ck_assert_uint_eq(m.kind, LG_P_ENDED);
	ck_assert_uint_eq(lg_msg_get_u64(&m, "status", 0), 5 << 8);
	stop();
}
END_TEST

START_TEST(a_client_that_goes_away_hangs_up)
{
	static const char *const argv[] = { "sh", "-c", "trap 'echo hup > /run/hup; exit' HUP; echo go; "
					    "while :; do sleep 0.05; done", NULL };
	char buf[8];

	run_idle();
	e = (struct drive_exec){ .argv = argv };
	ck_assert(drive_exec_begin(&d, &e));
	ck_assert_int_gt(read(e.streams[1], buf, sizeof(buf)), 0);
	close(e.control);
	ck_assert_str_eq(shell("for i in 1 2 3 4 5 6 7 8 9; do [ -e /run/hup ] && break; sleep 0.2; "
			       "done; cat /run/hup"), "hup\n");
	stop();
}
END_TEST

START_TEST(sessions_run_beside_each_other)
{
	static const char *const argv[] = { "cat", NULL };
	static struct drive_exec many[20];
	static struct lg_msg m;

	run_idle();
	for (size_t i = 0; i < ARRAY_SIZE(many); i++) {
		many[i].argv = argv;
		ck_assert(drive_exec_begin(&d, &many[i]));
	}
	for (size_t i = 0; i < ARRAY_SIZE(many); i++) {
		close(many[i].streams[0]);
		ck_assert_int_eq(lg_msg_recv(many[i].control, &m), 1);
		ck_assert_uint_eq(m.kind, LG_P_ENDED);
	}
	stop();
}
END_TEST

START_TEST(the_guest_cannot_lose_the_cgroup_of_sessions)
{
	run_idle();
	/* from init's own cgroup, so that the leaf is empty */
	ck_assert_str_eq(shell("echo $$ > /sys/fs/cgroup/cgroup.procs; rmdir /sys/fs/cgroup/lodge.exec && echo gone"),
			 "gone\n");
	ck_assert_str_eq(shell("tail -n 1 /proc/self/cgroup"), "0::/lodge.exec\n");
	stop();
}
END_TEST

START_TEST(streams_that_lead_out_are_refused)
{
	static struct lg_msg m;
	int pair[2], dir = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	run_idle();
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	lg_msg_init(&m, LG_P_EXEC);
	lg_msg_put(&m, "arg", "true");
	lg_msg_put_fd(&m, pair[1]);
	for (int i = 0; i < 3; i++)
		lg_msg_put_fd(&m, dir);
	ck_assert_int_eq(lg_msg_send(d.sock, &m), 0);
	close(pair[1]);
	ck_assert_int_eq(lg_msg_recv(pair[0], &m), 1);
	ck_assert_uint_eq(m.kind, LG_P_FAILED);
	ck_assert_ptr_nonnull(strstr(lg_msg_get(&m, "error"), "folder"));
	stop();
}
END_TEST

static TCase *session_case(void)
{
	TCase *tc = tcase_create("session");

	tcase_add_loop_test(tc, sessions_do_as_documented, 0, ARRAY_SIZE(execs));
	tcase_add_test(tc, a_terminal_is_the_containers_own);
	tcase_add_test(tc, a_terminal_does_not_pass_through_what_the_guest_mounts);
	tcase_add_test(tc, a_fifo_for_passwd_does_not_block);
	tcase_add_test(tc, signals_reach_the_session);
	tcase_add_test(tc, a_client_that_goes_away_hangs_up);
	tcase_add_test(tc, sessions_run_beside_each_other);
	tcase_add_test(tc, the_guest_cannot_lose_the_cgroup_of_sessions);
	tcase_add_test(tc, streams_that_lead_out_are_refused);
	return tc;
}

int main(void)
{
	TCase *const cases[] = { session_case() };

	return run_cases("session", cases, ARRAY_SIZE(cases));
}
