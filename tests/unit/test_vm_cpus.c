/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Processors that come to a machine with a system of its own while it runs: lodge-vm with a program in QEMU's place, which plays the
 * guest agent of QEMU, too (tests/unit/fake/cpus.c).
 */

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ct/proto.h"
#include "lib/cleanup.h"
#include "tests/unit/vm_fixture.h"

/* Of @boot processors and @most places; @mode: as of tests/unit/fake/fake.h. */
static void start_msg(const char *mode, unsigned int boot, unsigned int most, unsigned int added)
{
	struct lg_msg *m = &d.start;
	char disk[64];

	become();
	start_head("q35");
	snprintf(disk, sizeof(disk), "fake-%s raw rw", mode);
	lg_msg_put(m, "disk", disk);
	lg_msg_put_u64(m, "vcpus", boot);
	lg_msg_put_u64(m, "vcpus_max", most);
	lg_msg_put_u64(m, "vcpus_added", added);
	put_file("disk", O_RDWR);
}

static void make(void)
{
	send_start();
	ck_assert(expect(LG_P_MADE));
	qemu = (pid_t)lg_msg_get_u64(&d.m, "pid", 0);
}

static void run(const char *mode, unsigned int boot, unsigned int most)
{
	start_msg(mode, boot, most, 0);
	make();
	drive_simple(&d, LG_P_GO);
	ck_assert(expect(LG_P_STARTED));
	ck_assert_str_eq(lg_msg_get(&d.m, "added"), "0");
}

static const char *field(const char *key)
{
	return lg_msg_get(&d.m, key) ? lg_msg_get(&d.m, key) : "";
}

static const struct {
	const char *mode;
	unsigned int boot, most, want;
	const char *added, *note, *console;
} wishes[] = {
	{ "agent", 1, 4, 2, "1", "", "cpu 1 came\ncpu 1 is on" },
	{ "agent", 2, 8, 8, "6", "", "cpu 7 came\ncpu 7 is on\ncpu 6 is on" },
	{ "agent", 2, 4, 2, "0", "", "" },
	{ "agent", 1, 2, 4, "1", "the machine has no place for more than 2", "cpu 1 came" },
	{ "slow", 1, 4, 3, "2", "", "cpu 2 came\ncpu 2 is on" },
	{ "mute", 1, 4, 3, "2", "the guest may have to switch them on itself: it has no guest agent of QEMU that would", "cpu 2 came" },
	{ "broken", 1, 4, 2, "1", "the guest does not switch them on: no way", "cpu 1 came" },
	{ "stuck", 1, 4, 2, "1", "the guest has not switched them on in time", "cpu 1 came" },
	{ "full", 1, 4, 3, "1", "QEMU: the bus is full", "cpu 1 came" },
};

START_TEST(processors_come_as_far_as_there_are_places)
{
	char want[16];

	run(wishes[_i].mode, wishes[_i].boot, wishes[_i].most);
	snprintf(want, sizeof(want), "%u", wishes[_i].want);
	ck_assert_str_eq(told("vcpus", "vcpus", want, "note"), wishes[_i].note);
	ck_assert_str_eq(field("added"), wishes[_i].added);
	ck_assert_str_eq(field("error"), "");
	ck_assert(drive_wait_file(&d, "console.log", wishes[_i].console));
	kill_machine();
}
END_TEST

START_TEST(none_is_no_wish)
{
	run("agent", 1, 4);
	ck_assert_str_eq(told("vcpus", "vcpus", "0", "error"), "ASK has a bad 'vcpus'");
	kill_machine();
}
END_TEST

static void ask(const char *tag, const char *want)
{
	lg_msg_init(&d.m, LG_P_ASK);
	lg_msg_put(&d.m, "tag", tag);
	lg_msg_put(&d.m, "what", "vcpus");
	lg_msg_put(&d.m, "vcpus", want);
	ck_assert_int_eq(lg_msg_send(d.sock, &d.m), 0);
}

/* The first are fulfilled one after the other, what is too many is refused at once. */
START_TEST(wishes_wait_for_each_other)
{
	static const struct {
		const char *tag, *added, *error;
	} asked[] = {
		{ "w4", "0", "too many wishes wait already" },
		{ "w0", "1", "" },
		{ "w1", "2", "" },
		{ "w2", "3", "" },
		{ "w3", "3", "" },
	};
	static const char *const wants[] = { "2", "3", "4", "3", "5" };
	char tag[8];

	run("slow", 1, 8);
	for (size_t i = 0; i < ARRAY_SIZE(wants); i++) {
		snprintf(tag, sizeof(tag), "w%zu", i);
		ask(tag, wants[i]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(asked); i++) {
		ck_assert(expect(LG_P_TOLD));
		ck_assert_str_eq(field("tag"), asked[i].tag);
		ck_assert_str_eq(field("error"), asked[i].error);
		ck_assert_str_eq(field("note"), "");
		if (i > 0)
			ck_assert_str_eq(field("added"), asked[i].added);
	}
	kill_machine();
}
END_TEST

/* As whoever takes over from a daemon that was killed asks. */
START_TEST(the_next_daemon_hears_how_many_came)
{
	run("mute", 1, 4);
	told("vcpus", "vcpus", "3", "added");
	drive_simple(&d, LG_P_HELLO);
	ck_assert(expect(LG_P_STATE));
	ck_assert_str_eq(field("added"), "2");
	kill_machine();
}
END_TEST

static const char *write_state(const char *what, const char *added)
{
	int fd = open(drive_path(&d, "state"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	lg_msg_drop_fds(&d.m);
	lg_msg_init(&d.m, LG_P_ASK);
	lg_msg_put(&d.m, "tag", "s1");
	lg_msg_put(&d.m, "what", what);
	if (added)
		lg_msg_put(&d.m, "added", added);
	lg_msg_put_fd(&d.m, fd);
	ck_assert_int_eq(lg_msg_send(d.sock, &d.m), 0);
	close(fd);
	lg_msg_init(&d.m, 0);
	ck_assert(expect(LG_P_TOLD));
	ck_assert_str_eq(field("tag"), "s1");
	return field("error");
}

START_TEST(a_suspend_says_how_many_came)
{
	run("mute", 1, 4);
	told("vcpus", "vcpus", "3", "added");
	ck_assert_str_eq(write_state("suspend", NULL), "");
	ck_assert_str_eq(field("added"), "2");
	ck_assert_str_eq(told("continue", NULL, NULL, "error"), "");
	ck_assert_str_eq(told("vcpus", "vcpus", "4", "added"), "3");
	kill_machine();
}
END_TEST

START_TEST(a_move_is_of_the_machine_that_the_other_host_was_told_of)
{
	run("mute", 1, 4);
	told("vcpus", "vcpus", "2", "added");
	ck_assert_str_eq(write_state("move", "0"), "a processor came to it meanwhile: move it again");
	ck_assert_str_eq(write_state("move", "1"), "");
	kill_machine();
}
END_TEST

/* Those that had come are there before it reads its state, and the next one gets the next place. */
START_TEST(a_resumed_machine_has_those_that_came)
{
	start_msg("agent", 1, 4, 2);
	lg_msg_put(&d.start, "incoming", "1");
	lg_msg_put(&d.start, "qemu_version", "7.2.1");
	put_file("state", O_RDONLY | O_CREAT);
	make();
	ck_assert(expect(LG_P_HELD));
	drive_simple(&d, LG_P_GO);
	ck_assert(expect(LG_P_STARTED));
	ck_assert_str_eq(field("added"), "2");
	ck_assert_str_eq(told("vcpus", "vcpus", "4", "note"), "");
	ck_assert_str_eq(field("added"), "3");
	ck_assert(drive_wait_file(&d, "console.log", "cpu 3 came\ncpu 3 is on"));
	kill_machine();
}
END_TEST

int main(void)
{
	TCase *plug = tcase_create("plug"), *survive = tcase_create("survive");
	TCase *const cases[] = { plug, survive };

	tcase_add_loop_test(plug, processors_come_as_far_as_there_are_places, 0, ARRAY_SIZE(wishes));
	tcase_add_test(plug, none_is_no_wish);
	tcase_add_test(plug, wishes_wait_for_each_other);
	tcase_add_test(survive, the_next_daemon_hears_how_many_came);
	tcase_add_test(survive, a_suspend_says_how_many_came);
	tcase_add_test(survive, a_move_is_of_the_machine_that_the_other_host_was_told_of);
	tcase_add_test(survive, a_resumed_machine_has_those_that_came);
	return run_cases("vm_cpus", cases, ARRAY_SIZE(cases));
}
