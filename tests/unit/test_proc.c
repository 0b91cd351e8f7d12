/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lib/proc.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "lib/cleanup.h"

/* execve() does not write to what it takes. */
#define ARGV(...) ((char *const *)(uintptr_t)(const char *const[]){ __VA_ARGS__, NULL })

static int wait_status(pid_t pid)
{
	int status = 0;

	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return status;
}

/* What the shell script prints, spawned with stdout in a pipe. */
static const char *output_of(const char *script, char *const *envp, int extra_fd)
{
	static char text[4096];
	char *const *argv = ARGV("sh", "-c", script);
	int p[2];
	size_t len = 0;
	ssize_t n;
	pid_t pid;

	ck_assert_int_eq(pipe2(p, O_CLOEXEC), 0);
	pid = lg_spawn(&(struct lg_spawn){ .path = "/bin/sh", .argv = argv, .envp = envp,
					   .fds = (int[]){ -1, p[1], STDERR_FILENO, extra_fd },
					   .nfds = extra_fd >= 0 ? 4 : 3 }, NULL, NULL);
	ck_assert_int_gt(pid, 0);
	close(p[1]);
	while ((n = read(p[0], text + len, sizeof(text) - 1 - len)) > 0)
		len += (size_t)n;
	text[len] = '\0';
	close(p[0]);
	ck_assert_int_eq(wait_status(pid), 0);
	return text;
}

START_TEST(a_program_gets_the_environment_it_is_given)
{
	char *const *mine = ARGV("A=1");

	setenv("LEAKED", "yes", 1);
	ck_assert_str_eq(output_of("echo $A$LEAKED$LANG", mine, -1), "1\n");
	ck_assert_str_eq(output_of("echo $A$LEAKED$LANG", NULL, -1), "C\n");
}
END_TEST

START_TEST(no_other_descriptor_reaches_the_program)
{
	int open_here = open("/dev/null", O_RDONLY), extra = open("/dev/zero", O_RDONLY);

	ck_assert_int_ge(open_here, 3);
	/* the last one is the glob's own */
	ck_assert_str_eq(output_of("cd /proc/self/fd; for f in *; do [ -e $f ] && printf '%s ' $f; done; :", NULL,
				   extra), "0 1 2 3 ");
	ck_assert_str_eq(output_of("readlink /proc/self/fd/0 /proc/self/fd/3", NULL, extra),
			 "/dev/null\n/dev/zero\n");
	close(open_here);
	close(extra);
}
END_TEST

START_TEST(descriptors_may_be_given_in_any_order)
{
	char *const *argv = ARGV("sh", "-c", "read a <&0; read b <&3; printf %s%s $a $b >&4");
	int a[2], b[2], out[2], status;
	char text[8] = "";
	pid_t pid;

	/* each sits where another is to go */
	ck_assert_int_eq(pipe(a), 0);
	ck_assert_int_eq(pipe(b), 0);
	ck_assert_int_eq(pipe(out), 0);
	ck_assert_int_eq(write(a[1], "a\n", 2), 2);
	ck_assert_int_eq(write(b[1], "b\n", 2), 2);
	pid = lg_spawn(&(struct lg_spawn){ .path = "/bin/sh", .argv = argv,
					   .fds = (int[]){ b[0], 1, 2, a[0], out[1] }, .nfds = 5 },
		       NULL, NULL);
	ck_assert_int_gt(pid, 0);
	status = wait_status(pid);
	ck_assert_int_eq(status, 0);
	ck_assert_int_eq(read(out[0], text, sizeof(text) - 1), 2);
	ck_assert_str_eq(text, "ba");
}
END_TEST

static void on_signal(int sig)
{
	(void)sig;
}

START_TEST(signals_are_unblocked_and_default_in_the_program)
{
	const char *status;
	sigset_t all, after;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	signal(SIGUSR1, on_signal);
	signal(SIGPIPE, SIG_IGN);
	status = output_of("exec grep -E '^Sig(Blk|Ign)' /proc/self/status", NULL, -1);
	ck_assert_ptr_nonnull(strstr(status, "SigBlk:\t0000000000000000"));
	ck_assert_ptr_nonnull(strstr(status, "SigIgn:\t0000000000000000"));
	sigprocmask(SIG_SETMASK, NULL, &after);
	ck_assert_int_eq(sigismember(&after, SIGUSR1), 1);
	ck_assert_int_eq(sigismember(&after, SIGTERM), 1);
}
END_TEST

START_TEST(a_program_that_cannot_start_is_an_error_and_no_child)
{
	static const struct { const char *path; int want; } rows[] = {
		{ "/nonexistent/program", -ENOENT }, { "/etc/passwd", -EACCES }, { "/", -EACCES },
	};
	char *const *argv = ARGV("x");

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct lg_err err = { 0 };
		int pidfd = -7;

		ck_assert_int_eq(lg_spawn(&(struct lg_spawn){ .path = rows[i].path, .argv = argv }, &pidfd,
					  &err), rows[i].want);
		ck_assert_ptr_nonnull(strstr(err.msg, rows[i].path));
		ck_assert_int_eq(pidfd, -7);
	}
	ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);
	ck_assert_int_eq(errno, ECHILD);
}
END_TEST

START_TEST(a_pidfd_tells_of_the_end_and_takes_signals)
{
	char *const *argv = ARGV("sleep", "100");
	struct lg_err err = { 0 };
	int pidfd = -1, status;
	pid_t pid = lg_spawn(&(struct lg_spawn){ .path = "/bin/sleep", .argv = argv,
						 .fds = (int[]){ -1, -1, -1 }, .nfds = 3 }, &pidfd, &err);

	ck_assert_msg(pid > 0, "%s", err.msg);
	ck_assert(fcntl(pidfd, F_GETFD) & FD_CLOEXEC);
	ck_assert_int_eq(poll(&(struct pollfd){ .fd = pidfd, .events = POLLIN }, 1, 0), 0);
	ck_assert_int_eq(lg_pidfd_signal(pidfd, 0), 0);
	ck_assert_int_eq(lg_pidfd_signal(pidfd, SIGTERM), 0);
	ck_assert_int_eq(poll(&(struct pollfd){ .fd = pidfd, .events = POLLIN }, 1, 5000), 1);
	status = wait_status(pid);
	ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
	ck_assert_int_eq(lg_pidfd_signal(pidfd, SIGTERM), -ESRCH);
	ck_assert_int_eq(lg_pidfd_open(pid), -ESRCH);
	close(pidfd);
}
END_TEST

START_TEST(a_process_is_known_by_pid_and_start_time)
{
	uint64_t start = 7, child_start = 7;
	pid_t pid;
	int status;

	/* a name that looks like the rest of the line */
	prctl(PR_SET_NAME, ") R 1 2 3 (x", 0, 0, 0);
	ck_assert_int_eq(lg_proc_starttime(getpid(), &start), 0);
	ck_assert_uint_gt(start, 1000);
	ck_assert(lg_proc_is(getpid(), start));
	ck_assert(!lg_proc_is(getpid(), start + 1));
	ck_assert(!lg_proc_is(0, start));
	ck_assert(!lg_proc_is(-1, start));
	pid = fork();
	if (pid == 0)
		_exit(0);
	status = wait_status(pid);
	ck_assert_int_eq(status, 0);
	ck_assert_int_eq(lg_proc_starttime(pid, &child_start), -ESRCH);
	ck_assert_uint_eq(child_start, 7);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("proc");
	TCase *t = tcase_create("all");

	tcase_set_timeout(t, 30);
	tcase_add_test(t, a_program_gets_the_environment_it_is_given);
	tcase_add_test(t, no_other_descriptor_reaches_the_program);
	tcase_add_test(t, descriptors_may_be_given_in_any_order);
	tcase_add_test(t, signals_are_unblocked_and_default_in_the_program);
	tcase_add_test(t, a_program_that_cannot_start_is_an_error_and_no_child);
	tcase_add_test(t, a_pidfd_tells_of_the_end_and_takes_signals);
	tcase_add_test(t, a_process_is_known_by_pid_and_start_time);
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
