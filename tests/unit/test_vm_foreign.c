/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * lodge-vm with a machine that has a system of its own (tests/unit/fake/foreign.c): what is in its drive, and commands by the guest
 * agent of QEMU. Needs root.
 */

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ct/proto.h"
#include "lib/cleanup.h"
#include "tests/unit/vm_fixture.h"

static void boot_with(const char *in_drive)
{
	become();
	start_head("q35");
	lg_msg_put(&d.start, "disk", "disk raw rw");
	put_file("disk.raw", O_RDWR);
	if (in_drive && strcmp(in_drive, "none") != 0) {
		lg_msg_put(&d.start, "disk", "cdrom raw ro");
		put_file("cd.iso", O_RDONLY);
	}
	if (in_drive)
		lg_msg_put(&d.start, "drive", in_drive);
	make_sent();
	drive_simple(&d, LG_P_GO);
	ck_assert(expect(LG_P_STARTED));
}

/* ---- the drive ---- */

/* Return: what the answer has of @field, "". */
static const char *insert(const char *path, const char *field)
{
	lg_autoclose int fd = -1;

	lg_msg_drop_fds(&d.m);
	lg_msg_init(&d.m, LG_P_ASK);
	lg_msg_put(&d.m, "tag", "m1");
	lg_msg_put(&d.m, "what", "medium");
	lg_msg_put(&d.m, "path", path);
	if (strcmp(path, "none") != 0) {
		fd = open(drive_path(&d, "other.iso"), O_RDONLY | O_CREAT | O_CLOEXEC, 0644);
		lg_msg_put_fd(&d.m, fd);
	}
	ck_assert_int_eq(lg_msg_send(d.sock, &d.m), 0);
	lg_msg_init(&d.m, 0);	/* its descriptor is ours */
	ck_assert(expect(LG_P_TOLD));
	ck_assert_str_eq(lg_msg_get(&d.m, "tag"), "m1");
	return lg_msg_get(&d.m, field) ? lg_msg_get(&d.m, field) : "";
}

static void run(const char *what, const char *input)
{
	static const char *argv[2];

	argv[0] = what;
	e = (struct drive_exec){ .argv = argv, .input = input };
	drive_exec(&d, &e);
}

static void has(const char *text)
{
	run("drive", NULL);
	ck_assert_str_eq(e.out, text);
}

START_TEST(a_medium_goes_in_and_out)
{
	boot_with("none");
	has("open=0 locked=0 medium= nodes=0 sets=0");
	ck_assert_str_eq(insert("/srv/one.iso", "drive"), "/srv/one.iso");
	ck_assert_str_eq(lg_msg_get(&d.m, "forced"), "0");
	has("open=0 locked=0 medium=cdrom1 nodes=1 sets=1");
	ck_assert_str_eq(insert("none", "drive"), "none");
	has("open=0 locked=0 medium= nodes=0 sets=0");
	kill_machine();
}
END_TEST

START_TEST(nothing_is_left_of_many_changes)
{
	boot_with("/srv/first.iso");
	has("open=0 locked=0 medium=cdrom nodes=1 sets=1");
	for (int i = 0; i < 50; i++)
		ck_assert_str_eq(insert("/srv/next.iso", "why"), "");
	has("open=0 locked=0 medium=cdrom50 nodes=1 sets=1");
	drive_connect(&d);
	drive_simple(&d, LG_P_HELLO);
	ck_assert(expect(LG_P_STATE));
	ck_assert_str_eq(lg_msg_get(&d.m, "drive"), "/srv/next.iso");
	kill_machine();
}
END_TEST

START_TEST(a_guest_that_locks_its_drive_is_asked_first)
{
	boot_with("/srv/first.iso");
	run("lock", NULL);
	ck_assert_str_eq(insert("/srv/next.iso", "forced"), "0");
	has("open=0 locked=0 medium=cdrom1 nodes=1 sets=1");
	run("hold", NULL);
	ck_assert_str_eq(insert("/srv/next.iso", "forced"), "1");
	ck_assert_str_eq(lg_msg_get(&d.m, "drive"), "/srv/next.iso");
	has("open=0 locked=0 medium=cdrom2 nodes=1 sets=1");
	kill_machine();
}
END_TEST

START_TEST(what_cannot_be_changed_stays)
{
	boot_with(NULL);
	ck_assert_str_eq(insert("/srv/one.iso", "why"), "its machine has no drive");
	kill_machine();
}
END_TEST

/* ---- commands ---- */

static void *big(size_t len)
{
	char *text = malloc(len + 1);

	memset(text, 'x', len);
	text[len] = '\0';
	return text;
}

START_TEST(a_command_reads_what_the_client_sends)
{
	static const char *const inputs[] = { NULL, "a", "ab", "abc", "two\nlines\n" };

	boot_with("none");
	for (size_t i = 0; i < ARRAY_SIZE(inputs); i++) {
		run("cat", inputs[i]);
		ck_assert_int_eq(e.status, 0);
		ck_assert_str_eq(e.out, inputs[i] ? inputs[i] : "");
	}
	kill_machine();
}
END_TEST

/* Begin @what, with nothing to read. */
static void begin(const char *what)
{
	static const char *argv[2];

	argv[0] = what;
	e = (struct drive_exec){ .argv = argv };
	ck_assert(drive_exec_begin(&d, &e));
}

static uint32_t client_hears(void)
{
	lg_msg_drop_fds(&d.m);
	ck_assert_int_eq(receive(e.control, &d.m), 1);
	return d.m.kind;
}

static void client_says(int sig)
{
	lg_msg_init(&d.m, LG_P_SIGNAL);
	lg_msg_put_u64(&d.m, "sig", (uint64_t)sig);
	ck_assert_int_eq(lg_msg_send(e.control, &d.m), 0);
}

static void client_goes(void)
{
	lg_close(e.control);
	for (int i = 0; i < 3; i++)
		e.streams[i] = lg_close(e.streams[i]);
}

START_TEST(too_much_is_refused_before_it_begins)
{
	lg_autofree char *text = big(MIB + 1);
	size_t sent = 0;
	ssize_t n;

	boot_with("none");
	begin("hold");
	while (sent < MIB + 1 && (n = write(e.streams[0], text + sent, MIB + 1 - sent)) > 0)
		sent += (size_t)n;
	ck_assert_uint_eq(client_hears(), LG_P_FAILED);
	ck_assert_ptr_nonnull(strstr(lg_msg_get(&d.m, "error"), "standard input is larger than 1024 KiB"));
	client_goes();
	has("open=0 locked=0 medium= nodes=0 sets=0");
	kill_machine();
}
END_TEST

START_TEST(what_cannot_be_executed_is_told)
{
	boot_with("none");
	begin("none");
	e.streams[0] = lg_close(e.streams[0]);
	ck_assert_uint_eq(client_hears(), LG_P_FAILED);
	ck_assert_uint_eq(lg_msg_get_u64(&d.m, "code", 0), ENOENT);
	client_goes();
	kill_machine();
}
END_TEST

/* One that runs: another one that was asked for later has been there and gone. */
static void begin_for_sure(const char *what)
{
	struct drive_exec first;

	begin(what);
	e.streams[0] = lg_close(e.streams[0]);
	first = e;
	run("cat", NULL);
	e = first;
}

START_TEST(a_signal_ends_the_command_inside)
{
	boot_with("none");
	begin_for_sure("wait");
	client_says(SIGUSR1);	/* which this guest has no word for: nothing happens */
	client_says(SIGTERM);
	ck_assert_uint_eq(client_hears(), LG_P_ENDED);
	ck_assert_uint_eq(lg_msg_get_u64(&d.m, "status", 0), SIGTERM);
	client_goes();
	kill_machine();
}
END_TEST

START_TEST(a_signal_ends_what_has_not_begun)
{
	boot_with("none");
	begin("hold");
	client_says(SIGINT);
	ck_assert_uint_eq(client_hears(), LG_P_ENDED);
	ck_assert_uint_eq(lg_msg_get_u64(&d.m, "status", 0), SIGINT);
	client_goes();
	has("open=0 locked=0 medium= nodes=0 sets=0");
	kill_machine();
}
END_TEST

START_TEST(a_guest_that_passes_no_signal_on_is_told_of)
{
	boot_with("none");
	run("deaf", NULL);
	begin_for_sure("wait");
	client_says(SIGTERM);
	ck_assert_uint_eq(client_hears(), LG_P_FAILED);
	ck_assert_uint_eq(lg_msg_get_u64(&d.m, "exit", 0), 128 + SIGTERM);
	ck_assert_ptr_nonnull(strstr(lg_msg_get(&d.m, "error"), "runs on inside, as process 2 there"));
	client_goes();
	kill_machine();
}
END_TEST

int main(void)
{
	TCase *media = tcase_create("media"), *exec = tcase_create("exec");
	TCase *const cases[] = { media, exec };

	tcase_add_test(media, a_medium_goes_in_and_out);
	tcase_add_test(media, nothing_is_left_of_many_changes);
	tcase_add_test(media, a_guest_that_locks_its_drive_is_asked_first);
	tcase_add_test(media, what_cannot_be_changed_stays);
	tcase_add_test(exec, a_command_reads_what_the_client_sends);
	tcase_add_test(exec, too_much_is_refused_before_it_begins);
	tcase_add_test(exec, what_cannot_be_executed_is_told);
	tcase_add_test(exec, a_signal_ends_the_command_inside);
	tcase_add_test(exec, a_signal_ends_what_has_not_begun);
	tcase_add_test(exec, a_guest_that_passes_no_signal_on_is_told_of);
	return run_cases("vm_foreign", cases, ARRAY_SIZE(cases));
}
