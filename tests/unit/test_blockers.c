/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ct/blockers.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/cleanup.h"

#define GHOST (1u << 20)	/* bytes of a deleted file that will do here */

/* ---- the table, names ---- */

START_TEST(every_row_is_whole_and_found_by_its_name)
{
	const struct lg_blocker_row *row = &lg_blocker_rows[_i];

	ck_assert_ptr_nonnull(row->name);
	ck_assert_msg(strlen(row->name) < 40 && !strpbrk(row->name, " \t"), "%s", row->name);
	ck_assert_msg(row->reason && strlen(row->reason) > 5, "%s", row->name);
	ck_assert_msg(row->remedy && strlen(row->remedy) > 5, "%s", row->name);
	ck_assert_int_eq(lg_blocker_by_name(row->name), _i);
}
END_TEST

START_TEST(an_unknown_name_is_no_kind)
{
	ck_assert_int_eq(lg_blocker_by_name("warp"), LG_BLOCKER_COUNT_);
	ck_assert_int_eq(lg_blocker_by_name(""), LG_BLOCKER_COUNT_);
}
END_TEST

static const struct {
	const char *path, *unit;
} units[] = {
	{ "/system.slice/nginx.service", "nginx.service" },
	{ "/init.scope", "init.scope" },
	{ "/user.slice/user-0.slice/user@0.service/app.slice/x.service", "x.service" },
	{ "/user.slice/user-0.slice/session-1.scope", "session-1.scope" },
	{ "/system.slice/docker.service/payload/deep", "docker.service" },
	{ "/system.slice/a\x1b[1m.service", "a?[1m.service" },
	{ "/lodge.exec", "" },
	{ "/.service", "" },
	{ "", "" },
};

START_TEST(a_unit_is_the_last_one_of_the_path)
{
	char buf[40];

	lg_blocker_unit(units[_i].path, buf, sizeof(buf));
	ck_assert_str_eq(buf, units[_i].unit);
}
END_TEST

/* ---- processes of our own, of which one is "init" ---- */

static pid_t init, other;
static int ready[2];
static struct lg_blocker found[32];
static size_t nfound;

static int keep(const struct lg_blocker *b, void *arg)
{
	(void)arg;
	ck_assert_uint_lt(nfound, ARRAY_SIZE(found));
	found[nfound++] = *b;
	return 0;
}

static pid_t start(int (*make)(void))
{
	pid_t pid = fork();

	if (pid == 0) {
		char failed = 0;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		failed = make && make() < 0 ? (char)errno : 0;
		if (write(ready[1], &failed, 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	return pid;
}

/* Return: 0, or why the process could not be what it is to be. */
static int wait_until_ready(void)
{
	char failed = 0;

	ck_assert_int_eq(read(ready[0], &failed, 1), 1);
	return failed;
}

static void begin(void)
{
	nfound = 0;
	ck_assert_int_eq(pipe(ready), 0);
	init = start(NULL);
	ck_assert_int_eq(wait_until_ready(), 0);
}

static void end(void)
{
	kill(init, SIGKILL);
	waitpid(init, NULL, 0);
	if (other > 0) {
		kill(other, SIGKILL);
		waitpid(other, NULL, 0);
	}
	other = 0;
	close(ready[0]);
	close(ready[1]);
}

/*
 * The other one is init's child for the look of it: whose parent is not inside would be taken for a
 * session, so this process is inside, too, as init.
 */
static int look(struct lg_err *err)
{
	const pid_t pids[] = { getpid(), other };
	const struct lg_blockers of = { pids, other ? 2 : 1, getpid(), NULL, GHOST };

	return lg_blockers_find(&of, keep, NULL, err);
}

static const struct lg_blocker *of_other(enum lg_blocker_kind kind)
{
	for (size_t i = 0; i < nfound; i++)
		if (found[i].kind == kind && found[i].pid == other)
			return &found[i];
	return NULL;
}

static int own_uts(void)
{
	return unshare(CLONE_NEWUTS);
}

static int own_net(void)
{
	return unshare(CLONE_NEWNET);
}

static int own_mounts(void)
{
	return unshare(CLONE_NEWNS);
}

static int packets(void)
{
	int fds[2];

	return pipe2(fds, O_DIRECT) < 0 ? -1 : pipe2(fds, O_DIRECT);
}

static int cork(void)
{
	int one = 1, fd = socket(AF_INET, SOCK_DGRAM, 0);

	return setsockopt(fd, IPPROTO_UDP, UDP_CORK, &one, sizeof(one));
}

static int alien_socket(void)
{
	return socket(AF_INET, SOCK_STREAM, 262);
}

static int usual_sockets(void)
{
	int pair[2];

	return socket(AF_INET, SOCK_STREAM, 0) < 0 || socket(AF_INET6, SOCK_DGRAM, 0) < 0 ||
	       socket(AF_NETLINK, SOCK_RAW, 0) < 0 ? -1 : socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
}

static int ghost_of(off_t size)
{
	char path[] = "/tmp/lodge-ghost.XXXXXX";
	int fd = mkstemp(path);

	return unlink(path) < 0 || posix_fallocate(fd, 0, size) != 0 ? -1 : 0;
}

static int foreign_socket(void)
{
	int own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), fd;

	if (own < 0 || unshare(CLONE_NEWNET) < 0)
		return -1;
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	return fd < 0 || setns(own, CLONE_NEWNET) < 0 ? -1 : close(own);
}

static int large_ghost(void)
{
	return ghost_of(2 * GHOST);
}

static int small_ghost(void)
{
	return ghost_of(4096);
}

static int own_pidfd(void)
{
	return (int)syscall(SYS_pidfd_open, getpid(), 0);
}

static int foreign_pidfd(void)
{
	return (int)syscall(SYS_pidfd_open, 1, 0);
}

static int landlock(void)
{
	static const unsigned long long handled = 1;

	return (int)syscall(SYS_landlock_create_ruleset, &handled, sizeof(handled), 0);
}

static int socket_file(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0), r;

	snprintf(addr.sun_path, sizeof(addr.sun_path), "/tmp/lodge-sock.%d", (int)getpid());
	r = bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ? -1 : open(addr.sun_path, O_PATH);
	unlink(addr.sun_path);
	return r;
}

static int semaphore(void)
{
	return eventfd(1, EFD_SEMAPHORE);
}

static int plain_eventfd(void)
{
	return eventfd(1, 0);
}

static int listening(bool connected)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	int fd = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0);
	socklen_t len = sizeof(addr);

	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 || listen(fd, 5) < 0 ||
	    getsockname(fd, (struct sockaddr *)&addr, &len) < 0)
		return -1;
	return connected ? connect(client, (struct sockaddr *)&addr, sizeof(addr)) : close(client);
}

static int full_queue(void)
{
	return listening(true);
}

static int empty_queue(void)
{
	return listening(false);
}

static int other_personality(void)
{
	return personality(ADDR_NO_RANDOMIZE | SHORT_INODE);
}

#define NOTHING LG_BLOCKER_COUNT_

/* clang-format off */
static const struct {
	int (*make)(void);
	enum lg_blocker_kind kind;	/* NOTHING: it can be dumped */
	unsigned int count;
	const char *what;		/* begins so */
} processes[] = {
	{ own_uts,	 LG_BLOCKER_UTS_NS, 1, "" },
	{ own_net,	 LG_BLOCKER_NET_NS, 1, "" },
	{ own_mounts,	 NOTHING, 0, "" },
	{ packets,	 LG_BLOCKER_PACKET_PIPE, 2, "descriptor " },	/* the ends for writing */
	{ cork,		 LG_BLOCKER_CORKED, 1, "descriptor " },
	{ alien_socket,	 LG_BLOCKER_SOCKET, 1, "descriptor " },
	{ foreign_socket, LG_BLOCKER_FOREIGN_SOCKET, 1, "descriptor " },
	{ usual_sockets, NOTHING, 0, "" },
	{ large_ghost,	 LG_BLOCKER_DELETED_FILE, 1, "descriptor " },
	{ small_ghost,	 NOTHING, 0, "" },
	{ own_pidfd,	 NOTHING, 0, "" },
	{ foreign_pidfd, LG_BLOCKER_FOREIGN_PIDFD, 1, "descriptor " },
	{ landlock,	 LG_BLOCKER_ANON_FILE, 1, "descriptor " },
	{ socket_file,	 LG_BLOCKER_PATH_SOCKET, 1, "descriptor " },
	{ semaphore,	 LG_BLOCKER_SEMAPHORE, 1, "descriptor " },
	{ plain_eventfd, NOTHING, 0, "" },
	{ full_queue,	 LG_BLOCKER_ACCEPT_QUEUE, 1, "descriptor " },
	{ empty_queue,	 NOTHING, 0, "" },
	{ other_personality, LG_BLOCKER_PERSONALITY, 1, "0x1040000" },
};
/* clang-format on */

START_TEST(a_process_is_known_by_what_it_holds)
{
	struct lg_err err = { 0 };
	const struct lg_blocker *b;
	int failed;

	other = start(processes[_i].make);
	failed = wait_until_ready();
	/* MPTCP and Landlock are not in every kernel. */
	if (failed == ENOSYS || failed == EOPNOTSUPP || failed == EPROTONOSUPPORT || failed == ENOPROTOOPT)
		return;
	ck_assert_msg(failed == 0, "%s", strerror(failed));
	ck_assert_msg(look(&err) == 0, "%s", err.msg);
	if (processes[_i].kind == NOTHING) {
		for (size_t i = 0; i < nfound; i++)
			ck_assert_msg(found[i].pid != other, "%s: %s",
				      lg_blocker_rows[found[i].kind].name, found[i].what);
		return;
	}
	b = of_other(processes[_i].kind);
	ck_assert_msg(b, "%s was not found", lg_blocker_rows[processes[_i].kind].name);
	ck_assert_uint_eq(b->count, processes[_i].count);
	ck_assert_int_eq(strncmp(b->what, processes[_i].what, strlen(processes[_i].what)), 0);
	ck_assert_str_ne(b->process, "");
}
END_TEST

START_TEST(a_traced_process_is_named)
{
	const struct lg_blocker *b;
	struct lg_err err = { 0 };

	other = start(NULL);
	ck_assert_int_eq(wait_until_ready(), 0);
	ck_assert_int_eq(ptrace(PTRACE_SEIZE, other, 0, 0), 0);
	ck_assert_msg(look(&err) == 0, "%s", err.msg);
	b = of_other(LG_BLOCKER_TRACED);
	ck_assert_ptr_nonnull(b);
	ck_assert_ptr_nonnull(strstr(b->what, b->process));
	ptrace(PTRACE_DETACH, other, 0, 0);
}
END_TEST

/* Its parent is not among the processes, and it is not init: what it holds ends with it. */
START_TEST(a_session_from_outside_is_only_noted)
{
	struct lg_err err = { 0 };
	pid_t pids[2];
	struct lg_blockers of = { pids, 2, 0, NULL, GHOST };

	other = start(packets);
	ck_assert_int_eq(wait_until_ready(), 0);
	pids[0] = other;
	pids[1] = of.init = init;
	ck_assert_msg(lg_blockers_find(&of, keep, NULL, &err) == 0, "%s", err.msg);
	ck_assert_ptr_nonnull(of_other(LG_BLOCKER_SESSION));
	ck_assert_ptr_null(of_other(LG_BLOCKER_PACKET_PIPE));
	ck_assert_int_eq(lg_blocker_rows[LG_BLOCKER_SESSION].weight, LG_BLOCKER_TOLD);
}
END_TEST

START_TEST(a_process_of_another_cgroup_is_not_looked_at)
{
	const pid_t pids[] = { getpid() };
	struct lg_blockers of = { pids, 1, getpid(), "no-such-top/101", GHOST };
	struct lg_err err = { 0 };

	ck_assert_int_eq(lg_blockers_find(&of, keep, NULL, &err), -ESRCH);
	ck_assert_ptr_nonnull(strstr(err.msg, "is no more"));
	ck_assert_uint_eq(nfound, 0);
}
END_TEST

static int stop_at_once(const struct lg_blocker *b, void *arg)
{
	(void)b;
	return ++*(int *)arg + 6;
}

START_TEST(an_answer_ends_the_search)
{
	pid_t pids[] = { getpid(), 0 };
	const struct lg_blockers of = { pids, 2, getpid(), NULL, GHOST };
	struct lg_err err = { 0 };
	int n = 0;

	pids[1] = other = start(packets);
	ck_assert_int_eq(wait_until_ready(), 0);
	ck_assert_int_eq(lg_blockers_find(&of, stop_at_once, &n, &err), 7);
	ck_assert_int_eq(n, 1);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("blockers");
	TCase *tc = tcase_create("blockers");
	SRunner *sr;
	int failures;

	if (geteuid() != 0) {
		puts("needs root: it makes namespaces");
		return 77;
	}

	tcase_add_checked_fixture(tc, begin, end);
	tcase_add_loop_test(tc, every_row_is_whole_and_found_by_its_name, 0, LG_BLOCKER_COUNT_);
	tcase_add_test(tc, an_unknown_name_is_no_kind);
	tcase_add_loop_test(tc, a_unit_is_the_last_one_of_the_path, 0, ARRAY_SIZE(units));
	tcase_add_loop_test(tc, a_process_is_known_by_what_it_holds, 0, ARRAY_SIZE(processes));
	tcase_add_test(tc, a_traced_process_is_named);
	tcase_add_test(tc, a_session_from_outside_is_only_noted);
	tcase_add_test(tc, a_process_of_another_cgroup_is_not_looked_at);
	tcase_add_test(tc, an_answer_ends_the_search);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failures = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failures ? 1 : 0;
}
