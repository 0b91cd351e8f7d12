/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * lodge-vm with a program in QEMU's place (tests/unit/fake), lodged played by the drive: start, failures, sessions, life without
 * lodged, the box that QEMU is in. Needs root; each test ends with the check that nothing of it is left on the host.
 */

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ct/proto.h"
#include "lib/cleanup.h"
#include "lib/file.h"
#include "lib/proc.h"
#include "tests/unit/vm_fixture.h"
#include "vm/start.h"

/* ---- starting ---- */

static void start_msg(const char *mode, unsigned int watchdog_s)
{
	struct lg_msg *m = &d.start;
	char append[64];

	start_head("microvm");
	lg_msg_put_u64(m, "watchdog_s", watchdog_s);
	lg_msg_put_u64(m, "guest", 1);
	lg_msg_put(m, "hostname", "guest");
	lg_msg_put(m, "init", "/sbin/init");
	lg_msg_put(m, "disk", "base raw ro");
	lg_msg_put(m, "disk", "layer raw rw");
	snprintf(append, sizeof(append), "fake=%s", mode);
	lg_msg_put(m, "append", append);
	put_file("vmlinux", O_RDONLY);
	put_file("initrd", O_RDONLY);
	put_file("base", O_RDONLY);
	put_file("layer.img", O_RDWR);
}

static void make(const char *mode, unsigned int watchdog_s)
{
	become();
	start_msg(mode, watchdog_s);
	make_sent();
}

static void boot(void)
{
	make("boot", 10);
	drive_simple(&d, LG_P_GO);
	ck_assert(expect(LG_P_STARTED));
	ck_assert_uint_gt(lg_msg_get_u64(&d.m, "first_us", 0), 0);
}

START_TEST(a_machine_starts_and_says_how_far_it_is)
{
	static const char *const stages[] = { "kernel", "disks" };

	make("boot", 10);
	ck_assert_int_eq(poll(&(struct pollfd){ .fd = d.sock, .events = POLLIN }, 1, 200), 0);
	drive_simple(&d, LG_P_GO);
	for (size_t i = 0; i < ARRAY_SIZE(stages); i++) {
		ck_assert(drive_expect(&d, LG_P_STAGE));
		ck_assert_str_eq(lg_msg_get(&d.m, "text"), stages[i]);
	}
	ck_assert(expect(LG_P_STARTED));
	ck_assert(drive_wait_file(&d, "console.log", "init of guest"));
	kill_machine();
}
END_TEST

static void fails_with(const char *words)
{
	ck_assert(expect(LG_P_FAILED));
	ck_assert_msg(strstr(lg_msg_get(&d.m, "error"), words) != NULL, "'%s' is not in: %s", words,
		      lg_msg_get(&d.m, "error"));
	ck_assert_int_eq(drive_reaped(&d), 1 << 8);
	if (qemu > 0)
		ck_assert_int_eq(kill(qemu, 0), -1);
}

static const struct {
	const char *mode;
	unsigned int watchdog_s;
	const char *words;
} failures[] = {
	{ "silent", 1, "the guest did not begin within 1 s: its kernel was started and said nothing" },
	{ "stuck", 1, "it came as far as 'disks', and its console's last line is 'waiting for a disk'" },
	{ "failed", 5, "in the guest: there is no disk 'layer'" },
};

START_TEST(a_guest_that_does_not_begin_is_told_of)
{
	make(failures[_i].mode, failures[_i].watchdog_s);
	drive_simple(&d, LG_P_GO);
	fails_with(failures[_i].words);
}
END_TEST

START_TEST(what_qemu_says_before_its_end_is_told)
{
	become();
	start_msg("early", 5);
	send_start();
	qemu = 0;
	ck_assert(expect(LG_P_MADE));
	fails_with("(status 3): fake-qemu: there is no such machine");
}
END_TEST

START_TEST(a_missing_qemu_is_told)
{
	become();
	start_msg("boot", 5);
	for (char *p = d.start.text; p < d.start.text + d.start.len; p += strlen(p) + 1)
		if (strncmp(p, "qemu=/", 6) == 0)
			p[strlen(p) - 1] = 'X';
	send_start();
	qemu = 0;
	fails_with("start QEMU: bind '/");
}
END_TEST

static const struct {
	const char *from, *to, *words;
} bad_fields[] = {
	{ "memory=268", "memory=0xx", "START has a bad 'memory'" },
	{ "accel=tcg", "accel=hvf", "START has a bad 'accel'" },
	{ "id_base=1000000000", "id_base=0000000000", "START has a bad 'id_base'" },
	{ "disk=base raw ro", "disk=ba,e raw ro", "START has a bad 'disk'" },
	{ "disk=base raw ro", "disk=base rax ro", "START has a bad 'disk'" },
	{ "machine=microvm", "machine=micro.m", "START has a bad 'machine'" },
	{ "scratch=", "scrotch=", "START lacks 'scratch'" },
	{ "disk=base", "dusk=base", "START came with 5 descriptors, not 4" },
};

START_TEST(a_bad_start_names_the_field)
{
	become();
	start_msg("boot", 5);
	for (char *p = d.start.text; p < d.start.text + d.start.len; p += strlen(p) + 1)
		if (strncmp(p, bad_fields[_i].from, strlen(bad_fields[_i].from)) == 0)
			memcpy(p, bad_fields[_i].to, strlen(bad_fields[_i].to));
	send_start();
	qemu = 0;
	fails_with(bad_fields[_i].words);
}
END_TEST

START_TEST(only_a_placed_spare_becomes_another)
{
	drive_spawn(&d);
	lg_msg_init(&d.m, LG_P_BECOME);
	lg_msg_put(&d.m, "program", "/bin/false");
	ck_assert_int_eq(lg_msg_send(d.sock, &d.m), 0);
	drive_simple(&d, LG_P_SPARE);
	ck_assert(drive_expect(&d, LG_P_READY));
	lg_msg_init(&d.m, LG_P_BECOME);
	lg_msg_put(&d.m, "program", "/usr/libexec/none/lodge-vm");
	ck_assert_int_eq(lg_msg_send(d.sock, &d.m), 0);
	qemu = 0;
	fails_with("start '/usr/libexec/none/lodge-vm': No such file or directory");
}
END_TEST

/* ---- the end ---- */

static bool is_gone(pid_t pid)
{
	for (int i = 0; i < 5000; i++) {
		if (kill(pid, 0) < 0)
			return true;
		usleep(1000);
	}
	return false;
}

START_TEST(daemons_end_before_started_undoes_all)
{
	make("silent", 60);
	if (_i)
		drive_simple(&d, LG_P_GO);
	d.sock = lg_close(d.sock);
	ck_assert_int_eq(drive_reaped(&d), 1 << 8);
	ck_assert_int_eq(kill(qemu, 0), -1);
}
END_TEST

START_TEST(qemu_ends_with_its_shim)
{
	boot();
	kill(d.shim, SIGKILL);
	ck_assert_int_eq(drive_reaped(&d), SIGKILL);
	ck_assert(is_gone(qemu));
	unlink(drive_path(&d, "sock"));
}
END_TEST

START_TEST(a_killed_qemu_is_told)
{
	boot();
	kill(qemu, SIGKILL);
	ends_with(SIGKILL);
}
END_TEST

static const struct {
	const char *what;
	int status;
} endings[] = {
	{ "poweroff", SIGINT }, { "reset", SIGHUP }, { "panic", SIGSEGV },
};

static void exec_only(const char *what)
{
	const char *const argv[] = { what, NULL };
	static struct lg_msg m;
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	e = (struct drive_exec){ .argv = argv, .tty = true };
	make_exec(&m, &e);
	lg_msg_put_fd(&m, pair[1]);
	ck_assert_int_eq(lg_msg_send(d.sock, &m), 0);
	close(pair[1]);
	e.control = pair[0];
}

START_TEST(a_machines_end_is_that_of_an_init)
{
	boot();
	exec_only(endings[_i].what);
	ends_with(endings[_i].status);
}
END_TEST

START_TEST(a_signal_goes_to_the_guests_init)
{
	boot();
	drive_signal(&d, SIGTERM);
	ends_with(SIGINT);
	ck_assert(drive_wait_file(&d, "console.log", "init got 15"));
}
END_TEST

/* ---- life without lodged ---- */

START_TEST(a_machine_and_a_session_outlive_the_daemon)
{
	static const char *const argv[] = { "cat", NULL };
	static struct lg_msg m;
	uint64_t start;
	char buf[8];

	boot();
	e = (struct drive_exec){ .argv = argv };
	ck_assert(drive_exec_begin(&d, &e));
	drive_connect(&d);
	drive_simple(&d, LG_P_HELLO);
	ck_assert(drive_expect(&d, LG_P_STATE));
	ck_assert_int_eq(lg_proc_starttime(qemu, &start), 0);
	ck_assert_uint_eq(lg_msg_get_u64(&d.m, "pid", 0), (uint64_t)qemu);
	ck_assert_uint_eq(lg_msg_get_u64(&d.m, "starttime", 0), start);
	ck_assert_uint_eq(lg_msg_get_u64(&d.m, "started", 0), 1);
	ck_assert_uint_eq(d.m.nfds, 2);
	ck_assert_int_eq(write(e.streams[0], "still", 5), 5);
	ck_assert_int_eq(read(e.streams[1], buf, sizeof(buf)), 5);
	close(e.streams[0]);
	ck_assert_int_eq(receive(e.control, &m), 1);
	ck_assert_uint_eq(m.kind, LG_P_ENDED);
	kill_machine();
}
END_TEST

START_TEST(without_a_daemon_the_status_is_left_in_a_file)
{
	boot();
	kill(qemu, SIGTERM);	/* process 1 of its namespace: nothing, without a handler */
	d.sock = lg_close(d.sock);
	kill(qemu, SIGKILL);
	ck_assert_int_eq(drive_reaped(&d), 0);
	ck_assert_str_eq(drive_read(&d, "exit"), "9\n");
}
END_TEST

/* ---- sessions ---- */

static int status_of(const char *what, const char *arg)
{
	const char *const argv[] = { what, arg, NULL };

	memset(&e, 0, sizeof(e));
	e.argv = argv;
	drive_exec(&d, &e);
	return e.status;
}

START_TEST(an_exit_status_comes_back)
{
	boot();
	ck_assert_int_eq(status_of("exit", "0"), 0);
	ck_assert_int_eq(status_of("exit", "7"), 7 << 8);
	ck_assert_int_eq(status_of("none", NULL), -1);
	ck_assert_int_eq(e.err.code, -ENOENT);
	ck_assert_ptr_nonnull(strstr(e.err.msg, "no such program"));
	kill_machine();
}
END_TEST

/* A megabyte there and back, with less in between than a pipe's and the window's size. */
START_TEST(much_is_carried_both_ways)
{
	static const char *const argv[] = { "cat", NULL };
	static unsigned char sent[MIB], got[MIB];
	static struct lg_msg m;
	size_t out = 0, in = 0;

	for (size_t i = 0; i < sizeof(sent); i++)
		sent[i] = (unsigned char)(i * 7 + i / 251);
	boot();
	e = (struct drive_exec){ .argv = argv };
	ck_assert(drive_exec_begin(&d, &e));
	fcntl(e.streams[0], F_SETFL, O_NONBLOCK);
	while (in < sizeof(got)) {
		struct pollfd p[2] = { { .fd = e.streams[1], .events = POLLIN },
				       { .fd = out < sizeof(sent) ? e.streams[0] : -1, .events = POLLOUT } };
		ssize_t n;

		ck_assert_int_gt(poll(p, 2, 10000), 0);
		if (p[1].revents && (n = write(e.streams[0], sent + out, sizeof(sent) - out)) > 0)
			out += (size_t)n;
		if (p[0].revents) {
			n = read(e.streams[1], got + in, sizeof(got) - in);
			ck_assert_int_gt(n, 0);
			in += (size_t)n;
		}
	}
	ck_assert_int_eq(memcmp(sent, got, sizeof(sent)), 0);
	close(e.streams[0]);
	ck_assert_int_eq(receive(e.control, &m), 1);
	ck_assert_uint_eq(m.kind, LG_P_ENDED);
	kill_machine();
}
END_TEST

START_TEST(a_slow_reader_holds_nobody_up)
{
	static const char *const argv[] = { "flood", "3000000", NULL };
	static struct drive_exec slow;
	static struct lg_msg m;
	static char buf[65536];
	size_t in = 0;
	ssize_t n;

	boot();
	slow = (struct drive_exec){ .argv = argv };
	ck_assert(drive_exec_begin(&d, &slow));
	usleep(100000);
	ck_assert_int_eq(status_of("exit", "3"), 3 << 8);
	ck_assert_int_eq(poll(&(struct pollfd){ .fd = slow.control, .events = POLLIN }, 1, 0), 0);
	while (in < 3000000 && (n = read(slow.streams[1], buf, sizeof(buf))) > 0)
		in += (size_t)n;
	ck_assert_uint_eq(in, 3000000);
	ck_assert_int_eq(receive(slow.control, &m), 1);
	ck_assert_uint_eq(m.kind, LG_P_ENDED);
	ck_assert_int_eq(read(slow.streams[1], buf, sizeof(buf)), 0);
	kill_machine();
}
END_TEST

/* Streams that are files or the null device, which no epoll knows. */
START_TEST(streams_may_be_files)
{
	static const char *const argv[] = { "cat", NULL };
	static char text[200001];
	static struct lg_msg m;
	lg_autofree char *got = NULL;
	int pair[2], fds[4];

	memset(text, 'x', sizeof(text) - 1);
	ck_assert_int_eq(lg_file_replace_fast(AT_FDCWD, drive_path(&d, "in"), text, sizeof(text) - 1, 0600, NULL), 0);
	boot();
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	e = (struct drive_exec){ .argv = argv };
	make_exec(&m, &e);
	fds[0] = pair[1];
	fds[1] = open(drive_path(&d, "in"), O_RDONLY | O_CLOEXEC);
	fds[2] = open(drive_path(&d, "out"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	fds[3] = open("/dev/null", O_WRONLY | O_CLOEXEC);
	for (int i = 0; i < 4; i++)
		lg_msg_put_fd(&m, fds[i]);
	ck_assert_int_eq(lg_msg_send(d.sock, &m), 0);
	for (int i = 0; i < 4; i++)
		close(fds[i]);
	ck_assert_int_eq(receive(pair[0], &m), 1);
	ck_assert_uint_eq(m.kind, LG_P_BEGUN);
	ck_assert_int_eq(receive(pair[0], &m), 1);
	ck_assert_uint_eq(m.kind, LG_P_ENDED);
	ck_assert_int_eq(lg_file_read(AT_FDCWD, drive_path(&d, "out"), MIB, &got, NULL, NULL), 0);
	ck_assert_uint_eq(strlen(got), sizeof(text) - 1);
	close(pair[0]);
	kill_machine();
}
END_TEST

START_TEST(a_folder_is_no_stream)
{
	static struct lg_msg m;
	int pair[2], dir = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	boot();
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	lg_msg_init(&m, LG_P_EXEC);
	lg_msg_put(&m, "arg", "cat");
	lg_msg_put_fd(&m, pair[1]);
	for (int i = 0; i < 3; i++)
		lg_msg_put_fd(&m, dir);
	ck_assert_int_eq(lg_msg_send(d.sock, &m), 0);
	close(pair[1]);
	close(dir);
	ck_assert_int_eq(receive(pair[0], &m), 1);
	ck_assert_uint_eq(m.kind, LG_P_FAILED);
	ck_assert_ptr_nonnull(strstr(lg_msg_get(&m, "error"), "cannot be a folder"));
	close(pair[0]);
	kill_machine();
}
END_TEST

START_TEST(a_terminal_is_a_socket_and_is_resized)
{
	static const char *const argv[] = { "size", NULL };
	static struct lg_msg m;
	char buf[32] = "";

	boot();
	e = (struct drive_exec){ .argv = argv, .tty = true };
	ck_assert(drive_exec_begin(&d, &e));
	ck_assert_int_ge(e.master, 0);
	ck_assert(!isatty(e.master));
	lg_msg_init(&m, LG_P_RESIZE);
	lg_msg_put_u64(&m, "rows", 50);
	lg_msg_put_u64(&m, "cols", 132);
	ck_assert_int_eq(lg_msg_send(e.control, &m), 0);
	ck_assert_int_eq(poll(&(struct pollfd){ .fd = e.master, .events = POLLIN }, 1, 5000), 1);
	ck_assert_int_gt(read(e.master, buf, sizeof(buf) - 1), 0);
	ck_assert_str_eq(buf, "50x132");
	ck_assert_int_eq(write(e.master, "bye", 3), 3);
	ck_assert_int_eq(receive(e.control, &m), 1);
	ck_assert_uint_eq(m.kind, LG_P_ENDED);
	ck_assert_int_eq(read(e.master, buf, sizeof(buf)), 0);
	kill_machine();
}
END_TEST

START_TEST(a_signal_goes_to_the_session)
{
	static const char *const argv[] = { "wait", NULL };
	static struct lg_msg m;

	boot();
	e = (struct drive_exec){ .argv = argv };
	ck_assert(drive_exec_begin(&d, &e));
	lg_msg_init(&m, LG_P_SIGNAL);
	lg_msg_put_u64(&m, "sig", SIGUSR1);
	ck_assert_int_eq(lg_msg_send(e.control, &m), 0);
	ck_assert_int_eq(receive(e.control, &m), 1);
	ck_assert_uint_eq(lg_msg_get_u64(&m, "status", 0), SIGUSR1);
	kill_machine();
}
END_TEST

START_TEST(a_client_that_goes_away_hangs_up)
{
	static const char *const argv[] = { "wait", NULL };

	boot();
	e = (struct drive_exec){ .argv = argv };
	ck_assert(drive_exec_begin(&d, &e));
	close(e.control);
	ck_assert(drive_wait_file(&d, "console.log", "hung up"));
	kill_machine();
}
END_TEST

START_TEST(who_writes_to_nobody_hears_of_it)
{
	static const char *const argv[] = { "flood", "3000000", NULL };
	static struct lg_msg m;

	boot();
	e = (struct drive_exec){ .argv = argv };
	ck_assert(drive_exec_begin(&d, &e));
	close(e.streams[1]);
	ck_assert_int_eq(receive(e.control, &m), 1);
	ck_assert_uint_eq(m.kind, LG_P_ENDED);
	ck_assert_uint_eq(lg_msg_get_u64(&m, "status", 0), SIGPIPE);
	kill_machine();
}
END_TEST

START_TEST(sessions_end_with_the_machine)
{
	static const char *const argv[] = { "wait", NULL };
	static struct lg_msg m;

	boot();
	e = (struct drive_exec){ .argv = argv };
	ck_assert(drive_exec_begin(&d, &e));
	kill_machine();
	ck_assert_int_eq(receive(e.control, &m), 1);
	ck_assert_uint_eq(m.kind, LG_P_ENDED);
	ck_assert_uint_eq(lg_msg_get_u64(&m, "status", 0), SIGKILL);
}
END_TEST

START_TEST(sessions_are_ended_before_a_move)
{
	static const char *const argv[] = { "wait", NULL };
	static struct lg_msg m;
	struct lg_err why = { 0 };

	boot();
	e = (struct drive_exec){ .argv = argv };
	ck_assert(drive_exec_begin(&d, &e));
	lg_refuse(&why, -ECANCELED, 0, "the machine moves");
	lg_msg_init(&d.m, LG_P_LEND);
	lg_msg_put_u64(&d.m, "end", 1);
	lg_msg_put_err(&d.m, &why);
	ck_assert_int_eq(lg_msg_send(d.sock, &d.m), 0);
	ck_assert_int_eq(receive(e.control, &m), 1);
	ck_assert_uint_eq(m.kind, LG_P_FAILED);
	ck_assert_str_eq(lg_msg_get(&m, "error"), "the machine moves");
	ck_assert(expect(LG_P_LENT));
	kill_machine();
}
END_TEST

/* ---- wishes ---- */

START_TEST(wishes_are_answered)
{
	boot();
	ck_assert_str_eq(told("balloon", "memory", "134217728", "error"), "");
	ck_assert_str_eq(told("balloon", "memory", "999999999999", "error"), "ASK has a bad 'memory'");
	ck_assert_str_eq(told("usage", NULL, NULL, "balloon"), "134217728");
	ck_assert_str_eq(lg_msg_get(&d.m, "did"), "usage");
	ck_assert_str_eq(told("addrs", "addr", "192.0.2.7/32", "with"), "192.0.2.7/32");
	ck_assert_str_eq(told("disk", "role", "base", "error"), "ASK has a bad 'role' or 'bytes'");
	ck_assert_str_eq(told("teleport", NULL, NULL, "error"), "ASK has a bad 'what'");
	ck_assert_str_eq(told("powerdown", NULL, NULL, "error"), "");
	ends_with(SIGINT);
}
END_TEST

/* ---- the box ---- */

START_TEST(from_qemu_nothing_is_reached)
{
	const char *log;

	make("escape", 30);
	drive_simple(&d, LG_P_GO);
	ck_assert(drive_wait_file(&d, "console.log", "tried "));
	ck_assert(expect(LG_P_STARTED));
	log = drive_read(&d, "console.log");
	ck_assert_msg(strstr(log, "OPEN") == NULL, "%s", log);
	kill_machine();
}
END_TEST

START_TEST(qemu_is_in_its_cgroup_under_its_id)
{
	char path[300], pid[16];
	lg_autofree char *procs = NULL, *status = NULL;

	boot();
	snprintf(path, sizeof(path), "%s/cgroup.procs", d.cgroup);
	ck_assert_int_eq(lg_file_read(AT_FDCWD, path, 4096, &procs, NULL, NULL), 0);
	snprintf(pid, sizeof(pid), "%d\n", (int)qemu);
	ck_assert_str_eq(procs, pid);
	snprintf(path, sizeof(path), "/proc/%d/status", (int)qemu);
	ck_assert_int_eq(lg_file_read(AT_FDCWD, path, 65536, &status, NULL, NULL), 0);
	ck_assert_ptr_nonnull(strstr(status, "Uid:\t1000000000\t1000000000\t1000000000\t1000000000\n"));
	ck_assert_ptr_nonnull(strstr(status, "CapBnd:\t0000000000000000\n"));
	ck_assert_ptr_nonnull(strstr(status, "NoNewPrivs:\t1\n"));
	kill_machine();
}
END_TEST

/* ---- to disk and on again ---- */

static void write_state(const char *what, const char *error)
{
	int fd = open(drive_path(&d, "state"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	lg_msg_drop_fds(&d.m);
	lg_msg_init(&d.m, LG_P_ASK);
	lg_msg_put(&d.m, "tag", "s1");
	lg_msg_put(&d.m, "what", what);
	lg_msg_put_fd(&d.m, fd);
	ck_assert_int_eq(lg_msg_send(d.sock, &d.m), 0);
	close(fd);
	lg_msg_init(&d.m, 0);
	ck_assert(expect(LG_P_TOLD));
	ck_assert_str_eq(lg_msg_get(&d.m, "tag"), "s1");
	ck_assert_str_eq(lg_msg_get(&d.m, "error") ? lg_msg_get(&d.m, "error") : "", error);
}

static void suspend(const char *error)
{
	write_state("suspend", error);
}

START_TEST(a_suspended_machine_is_held_until_it_is_told)
{
	boot();
	suspend("");
	ck_assert_str_eq(lg_msg_get(&d.m, "qemu"), "7.2.99");
	suspend("its memory is being written already");
	/* Its agent is told nothing meanwhile. */
	ck_assert_str_eq(told("addrs", "addr", "192.0.2.7/32", "error"), "there is no agent of lodge in this machine");
	ck_assert(!strstr(drive_read(&d, "console.log"), "it runs on"));
	ck_assert_str_eq(told("continue", NULL, NULL, "error"), "");
	ck_assert(drive_wait_file(&d, "console.log", "it runs on"));
	ck_assert_str_eq(told("addrs", "addr", "192.0.2.7/32", "with"), "192.0.2.7/32");
	suspend("");
	kill_machine();
}
END_TEST

START_TEST(a_suspended_machine_runs_on_when_who_asked_goes_away)
{
	boot();
	suspend("");
	drive_connect(&d);	/* behind the end of the old one */
	ck_assert(drive_wait_file(&d, "console.log", "it runs on"));
	drive_simple(&d, LG_P_HELLO);
	ck_assert(expect(LG_P_STATE));
	ck_assert_uint_eq(lg_msg_get_u64(&d.m, "started", 0), 1);
	ck_assert_str_eq(told("usage", NULL, NULL, "did"), "usage");
	kill_machine();
}
END_TEST

START_TEST(a_machine_that_moves_stands_still_before_the_last_of_it)
{
	boot();
	ck_assert_str_eq(told("switch", NULL, NULL, "error"), "it runs on already");
	write_state("move", "");
	ck_assert_uint_gt(lg_msg_get_u64(&d.m, "us", 0), 0);
	ck_assert_ptr_null(lg_msg_get(&d.m, "qemu"));
	ck_assert_str_eq(told("commit", NULL, NULL, "error"), "it runs on already");
	ck_assert_str_eq(told("continue", NULL, NULL, "error"), "");
	ck_assert(drive_wait_file(&d, "console.log", "it runs on"));
	/* And a suspend behind it does not wait for another word. */
	suspend("");
	ck_assert_str_eq(lg_msg_get(&d.m, "qemu"), "7.2.99");
	kill_machine();
}
END_TEST

static const char *written(const char *disk)
{
	int fd = open(drive_path(&d, "written"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	lg_msg_drop_fds(&d.m);
	lg_msg_init(&d.m, LG_P_ASK);
	lg_msg_put(&d.m, "tag", "w1");
	lg_msg_put(&d.m, "what", "written");
	lg_msg_put(&d.m, "role", disk);
	lg_msg_put_fd(&d.m, fd);
	ck_assert_int_eq(lg_msg_send(d.sock, &d.m), 0);
	close(fd);
	lg_msg_init(&d.m, 0);
	ck_assert(expect(LG_P_TOLD));
	ck_assert_str_eq(lg_msg_get(&d.m, "tag"), "w1");
	return lg_msg_get(&d.m, "error") ? lg_msg_get(&d.m, "error") : "";
}

START_TEST(what_is_written_meanwhile_is_known)
{
	boot();
	ck_assert_str_eq(written("base"), "ASK written is of no use now");
	ck_assert_str_eq(written("layer"), "");
	ck_assert_str_eq(written("layer"), "ASK written is of no use now");
	write_state("move", "");
	ck_assert_uint_eq(lg_msg_get_u64(&d.m, "written", 0), 1);
	ck_assert_str_eq(told("continue", NULL, NULL, "error"), "");
	ck_assert(drive_wait_file(&d, "console.log", "it runs on"));
	/* Another move begins anew, and one without it knows nothing. */
	write_state("move", "");
	ck_assert_uint_eq(lg_msg_get_u64(&d.m, "written", 1), 0);
	ck_assert_str_eq(told("continue", NULL, NULL, "error"), "");
	ck_assert_str_eq(written("layer"), "");
	/* A move that did not come to its memory, and one whose lodged went away, leave nothing running. */
	ck_assert_str_eq(told("continue", NULL, NULL, "error"), "");
	ck_assert_str_eq(written("layer"), "");
	drive_connect(&d);
	drive_simple(&d, LG_P_HELLO);
	ck_assert(expect(LG_P_STATE));
	while (strcmp(written("layer"), "") != 0)
		usleep(10000);
	kill_machine();
}
END_TEST

static void move_to_the_end(void)
{
	boot();
	write_state("move", "");
	ck_assert_str_eq(told("switch", NULL, NULL, "qemu"), "7.2.99");
	ck_assert_str_eq(told("commit", NULL, NULL, "error"), "");
}

START_TEST(a_committed_machine_ends_with_who_asked)
{
	move_to_the_end();
	lg_close(d.sock);
	ck_assert(drive_wait_file(&d, "exit", "9"));
	ck_assert(!strstr(drive_read(&d, "console.log"), "it runs on"));
	d.sock = -1;
}
END_TEST

START_TEST(a_commit_is_taken_back)
{
	move_to_the_end();
	ck_assert_str_eq(told("continue", NULL, NULL, "error"), "");
	drive_connect(&d);
	ck_assert(drive_wait_file(&d, "console.log", "it runs on"));
	drive_simple(&d, LG_P_HELLO);
	ck_assert(expect(LG_P_STATE));
	ck_assert_uint_eq(lg_msg_get_u64(&d.m, "started", 0), 1);
	kill_machine();
}
END_TEST

static void resume(const char *version)
{
	become();
	start_msg("boot", 5);
	lg_msg_put(&d.start, "incoming", "1");
	lg_msg_put(&d.start, "qemu_version", version);
	put_file("state", O_RDONLY);
	send_start();
	ck_assert(expect(LG_P_MADE));
	qemu = (pid_t)lg_msg_get_u64(&d.m, "pid", 0);
}

START_TEST(a_state_is_read_by_the_release_that_wrote_it)
{
	resume("7.2.1");
	ck_assert(expect(LG_P_HELD));
	drive_simple(&d, LG_P_GO);
	ck_assert(expect(LG_P_STARTED));
	kill_machine();
}
END_TEST

START_TEST(a_state_of_another_release_is_refused)
{
	resume("8.2.2");
	fails_with("its memory was written by QEMU 8.2.2, and QEMU 7.2.99 is here");
}
END_TEST

int main(void)
{
	TCase *start = tcase_create("start"), *life = tcase_create("life"), *sessions = tcase_create("sessions"),
	      *box = tcase_create("box");
	TCase *disk = tcase_create("disk");
	TCase *const cases[] = { start, life, sessions, box, disk };

	tcase_add_test(start, a_machine_starts_and_says_how_far_it_is);
	tcase_add_loop_test(start, a_guest_that_does_not_begin_is_told_of, 0, ARRAY_SIZE(failures));
	tcase_add_test(start, what_qemu_says_before_its_end_is_told);
	tcase_add_test(start, a_missing_qemu_is_told);
	tcase_add_loop_test(start, a_bad_start_names_the_field, 0, ARRAY_SIZE(bad_fields));
	tcase_add_test(start, only_a_placed_spare_becomes_another);
	tcase_add_loop_test(life, daemons_end_before_started_undoes_all, 0, 2);
	tcase_add_test(life, qemu_ends_with_its_shim);
	tcase_add_test(life, a_killed_qemu_is_told);
	tcase_add_loop_test(life, a_machines_end_is_that_of_an_init, 0, ARRAY_SIZE(endings));
	tcase_add_test(life, a_signal_goes_to_the_guests_init);
	tcase_add_test(life, a_machine_and_a_session_outlive_the_daemon);
	tcase_add_test(life, without_a_daemon_the_status_is_left_in_a_file);
	tcase_add_test(life, wishes_are_answered);
	tcase_add_test(sessions, an_exit_status_comes_back);
	tcase_add_test(sessions, much_is_carried_both_ways);
	tcase_add_test(sessions, a_slow_reader_holds_nobody_up);
	tcase_add_test(sessions, streams_may_be_files);
	tcase_add_test(sessions, a_folder_is_no_stream);
	tcase_add_test(sessions, a_terminal_is_a_socket_and_is_resized);
	tcase_add_test(sessions, a_signal_goes_to_the_session);
	tcase_add_test(sessions, a_client_that_goes_away_hangs_up);
	tcase_add_test(sessions, who_writes_to_nobody_hears_of_it);
	tcase_add_test(sessions, sessions_end_with_the_machine);
	tcase_add_test(sessions, sessions_are_ended_before_a_move);
	tcase_add_test(box, from_qemu_nothing_is_reached);
	tcase_add_test(box, qemu_is_in_its_cgroup_under_its_id);
	tcase_add_test(disk, a_suspended_machine_is_held_until_it_is_told);
	tcase_add_test(disk, a_suspended_machine_runs_on_when_who_asked_goes_away);
	tcase_add_test(disk, a_machine_that_moves_stands_still_before_the_last_of_it);
	tcase_add_test(disk, what_is_written_meanwhile_is_known);
	tcase_add_test(disk, a_committed_machine_ends_with_who_asked);
	tcase_add_test(disk, a_commit_is_taken_back);
	tcase_add_test(disk, a_state_is_read_by_the_release_that_wrote_it);
	tcase_add_test(disk, a_state_of_another_release_is_refused);
	return run_cases("vm", cases, ARRAY_SIZE(cases));
}
