/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What facts come to: which sentences, in which order, and who is named. */

/* The daemon is a program and no library: what is tested of it is built in here. */
/* NOLINTNEXTLINE(bugprone-suspicious-include) */
#include "cmd/lodged/why_find.c"

#include <check.h>

#define S 1000000u
#define X LG_UNLIMITED
#define M (UINT64_C(1) << 20)

static struct why_facts f;
static struct why_report r;

/* An idle container on an idle host, watched for a second; nothing limits it. */
static void setup(void)
{
	memset(&f, 0, sizeof(f));
	snprintf(f.id, sizeof(f.id), "101");
	f.us = S;
	f.at = 5000;
	f.host.cpus = 2;
	f.host.cpu_us = f.host_before.cpu_us = 10 * S;
	f.host.memory_bytes = 1000 * M;
	f.host.available_bytes = 900 * M;
	f.disk_bytes = 1000 * M;
	f.disk_free_bytes = 500 * M;
	f.disk_inodes = 1000;
	f.disk_free_inodes = 900;
	f.own_disk = (struct lg_fs_usage){ X, X, X, X };
	f.connections = f.connections_max = f.host_connections = UINT64_MAX;
	f.now.memory_bytes = 10 * M;
	f.now.tasks = 3;
	for (size_t i = 0; i < LG_LIMIT_COUNT_; i++)
		f.limits.value[i] = LG_UNLIMITED;
}

/* The areas of what was found, worst first. */
static const char *found(void)
{
	static char text[200];

	why_find(&f, &r);
	text[0] = '\0';
	for (size_t i = 0; i < r.n; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s", i ? " " : "",
			 r.list[i].area);
	return text;
}

static void says(size_t i, const char *words)
{
	ck_assert_msg(strstr(r.list[i].text, words), "'%s' does not say '%s'", r.list[i].text, words);
}

static void user(enum why_what what, const char *label, uint64_t amount)
{
	struct why_user u = { .amount = amount };

	snprintf(u.label, sizeof(u.label), "%s", label);
	why_users_add(&f.others[what], &u);
}

static void throttle(unsigned int of_hundred)
{
	f.limits.value[LG_LIMIT_CPU] = 50;
	f.before.periods = 1000;
	f.now.periods = 1100;
	f.now.throttled = of_hundred;
}

START_TEST(nothing_holds_an_idle_one_back)
{
	ck_assert_str_eq(found(), "");
	ck_assert_str_eq(r.now, "CPU 0%, memory 10.0M, tasks 3; waiting for CPU 0%, memory 0%, disks 0%");
}
END_TEST

START_TEST(what_is_not_known_is_no_finding)
{
	memset(&f.now, 0xff, sizeof(f.now));
	memset(&f.before, 0xff, sizeof(f.before));
	f.host.cpu_us = f.host.memory_bytes = f.host.available_bytes = UINT64_MAX;
	f.disk_bytes = f.disk_inodes = UINT64_MAX;
	for (size_t i = 0; i < LG_LIMIT_COUNT_; i++)
		f.limits.value[i] = 1;
	ck_assert_str_eq(found(), "");
}
END_TEST

START_TEST(the_cpu_limit_is_told_as_the_cause_of_waiting)
{
	throttle(80);
	f.now.cpu.some_us = 700000;
	ck_assert_str_eq(found(), "cpu");
	says(0, "80 of 100 slices");
	says(0, "its 50% of a CPU");
	ck_assert_str_eq(r.list[0].remedy, "lodge set 101 --cpus 1 gives it twice as much");
	throttle(4);
	f.now.cpu.some_us = 0;
	ck_assert_str_eq(found(), "");
}
END_TEST

START_TEST(others_on_the_cpus_are_named)
{
	f.now.cpu.some_us = 600000;
	f.now.cpu_us = 300000;
	f.host.cpu_us = 12 * S;
	user(WHY_CPU, "103", 20);
	user(WHY_CPU, "102 (db)", 140);
	ck_assert_str_eq(found(), "cpu");
	says(0, "60 of 100 moments");
	says(0, "It has 30%; the host's 2 are 100% busy: 102 (db) 140%, 103 20%.");
	/* One that has nearly all of them has nobody else to blame. */
	f.now.cpu_us = 1900000;
	found();
	says(0, "more to do than there are CPUs");
}
END_TEST

START_TEST(the_last_ten_seconds_count_as_well)
{
	f.now.io.some_avg10 = 4321;
	f.now.read_bytes = 3 * M;
	user(WHY_IO, "104", 7 * M);
	ck_assert_str_eq(found(), "io");
	says(0, "43 of 100 moments");
	says(0, "reads 3.0M/s and writes 0B/s; others: 104 7.0M/s");
}
END_TEST

START_TEST(its_own_limit_of_the_disk_goes_before_others)
{
	f.now.io.some_us = 900000;
	f.now.write_bytes = M;
	f.limits.value[LG_LIMIT_IO_WRITE] = M;
	user(WHY_IO, "104", 7 * M);
	ck_assert_str_eq(found(), "io");
	says(0, "Its limit of writing holds it back");
	ck_assert_str_eq(r.list[0].remedy, "lodge set 101 --io-write N gives it more");
}
END_TEST

START_TEST(full_memory_holds_back_only_who_waits_for_it)
{
	f.limits.value[LG_LIMIT_MEMORY] = 10 * M;
	ck_assert_str_eq(found(), "");
	f.now.memory.some_us = 200000;
	ck_assert_str_eq(found(), "memory");
	says(0, "10.0M of 10.0M, and in 20 of 100 moments");
	f.now.memory.some_us = 0;
	f.now.memory_max_hits = 5;
	ck_assert_str_eq(found(), "memory");
}
END_TEST

START_TEST(a_vm_is_held_back_by_what_only_its_guest_knows)
{
	f.guest_memory = 500 * M;
	f.guest_available = 100 * M;
	ck_assert_str_eq(found(), "");
	f.guest_available = 10 * M;
	ck_assert_str_eq(found(), "memory");
	says(0, "Inside");
	f.guest_memory = 0;
	f.emulated = true;
	ck_assert_str_eq(found(), "");
	f.now.cpu_us = S;
	ck_assert_str_eq(found(), "cpu");
	says(0, "without KVM");
}
END_TEST

START_TEST(the_soft_limit_slows_down)
{
	f.limits.value[LG_LIMIT_MEMORY_HIGH] = 9 * M;
	ck_assert_str_eq(found(), "");
	f.now.memory_high_hits = 3;
	ck_assert_str_eq(found(), "memory");
	says(0, "above the 9.0M");
}
END_TEST

START_TEST(a_kill_names_the_process)
{
	f.oom_at = 4997;
	f.oom_kills = 2;
	f.oom_pid = 77;
	snprintf(f.oom_name, sizeof(f.oom_name), "mysqld");
	ck_assert_str_eq(found(), "memory");
	says(0, "killed mysqld (process 77) for want of memory, 3 s ago; 2 in all");
	f.oom_pid = 0;
	f.no_names = "Operation not permitted";
	found();
	says(0, "the kernel's log cannot be read: Operation not permitted");
	f.oom_at = 1000;
	ck_assert_str_eq(found(), "");
}
END_TEST

START_TEST(tasks_at_their_limit)
{
	f.limits.value[LG_LIMIT_TASKS] = 40;
	f.now.tasks = 37;
	ck_assert_str_eq(found(), "");
	f.now.tasks = 40;
	f.now.tasks_hits = 9;
	f.before.tasks_hits = 4;
	ck_assert_str_eq(found(), "tasks");
	says(0, "40 of 40; the kernel refused it another 5 times just now and 9 times since its start");
}
END_TEST

START_TEST(full_tables_and_disks)
{
	f.has_net = true;
	f.net_before.rx_dropped = 5;
	f.net.rx_dropped = 8;
	ck_assert_str_eq(found(), "network");
	says(0, "3 packets to it were dropped just now, 8 since");
	f.net.rx_dropped = 5;
	f.host_connections = 1000;
	f.connections_max = 1000;
	ck_assert_str_eq(found(), "network");
	says(0, "The host's table of connections is full, 1000 of 1000");
	f.host_connections = 3;
	f.disk_free_bytes = 2 * M;
	f.disk_free_inodes = 1;
	ck_assert_str_eq(found(), "disk disk");
	says(0, "2.0M of 1000.0M");
}
END_TEST

START_TEST(its_own_disk_is_full)
{
	f.own_disk = (struct lg_fs_usage){ 100 * M, 90 * M, 1000, 900 };
	ck_assert_str_eq(found(), "");
	f.own_disk.bytes_used = 100 * M;
	ck_assert_str_eq(found(), "disk");
	says(0, "its files take 100.0M of 100.0M");
	ck_assert_str_eq(r.list[0].remedy, "lodge set 101 --disk SIZE gives it more");
	f.own_disk.inodes_used = 1000;
	found();
	says(1, "1000 of the 1000 files");
}
END_TEST

START_TEST(a_host_without_memory)
{
	f.host.available_bytes = 10 * M;
	user(WHY_MEMORY, "102 (db)", 800 * M);
	ck_assert_str_eq(found(), "host");
	says(0, "10.0M are left");
	says(0, "the most is had by 102 (db) 800.0M");
}
END_TEST

START_TEST(the_worst_goes_first)
{
	throttle(60);
	f.limits.value[LG_LIMIT_TASKS] = 3;
	f.now.tasks_hits = 1;
	f.now.io.some_us = 300000;
	f.oom_at = 4000;	/* not now any more */
	ck_assert_str_eq(found(), "tasks cpu io");
	f.oom_at = 4500;
	found();
	ck_assert_uint_eq(r.n, 4);
	for (size_t i = 1; i < r.n; i++)
		ck_assert_uint_ge(r.list[i - 1].weight, r.list[i].weight);
}
END_TEST

START_TEST(only_the_largest_users_are_kept)
{
	char text[200];

	for (uint64_t i = 1; i <= 9; i++)
		user(WHY_CPU, "x", i * 37 % 10 * 10);
	ck_assert_uint_eq(f.others[WHY_CPU].n, WHY_OTHERS);
	why_users_text(&f.others[WHY_CPU], WHY_CPU, text, sizeof(text));
	ck_assert_str_eq(text, "x 90%, x 80%, x 70%");
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		nothing_holds_an_idle_one_back, what_is_not_known_is_no_finding,
		the_cpu_limit_is_told_as_the_cause_of_waiting, others_on_the_cpus_are_named,
		the_last_ten_seconds_count_as_well, its_own_limit_of_the_disk_goes_before_others,
		full_memory_holds_back_only_who_waits_for_it, the_soft_limit_slows_down,
		a_vm_is_held_back_by_what_only_its_guest_knows,
		a_kill_names_the_process, tasks_at_their_limit, full_tables_and_disks,
		a_host_without_memory, its_own_disk_is_full, the_worst_goes_first, only_the_largest_users_are_kept,
	};
	Suite *suite = suite_create("why");
	TCase *tc = tcase_create("all");
	SRunner *sr;
	int failures;

	tcase_add_checked_fixture(tc, setup, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(tests); i++)
		tcase_add_test(tc, tests[i]);
	suite_add_tcase(suite, tc);
	sr = srunner_create(suite);
	srunner_run_all(sr, CK_ENV);
	failures = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failures ? 1 : 0;
}
