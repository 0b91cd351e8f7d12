/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Accounts over runs and restarts, the kernel's records of kills, and the host's own numbers. */

/* The daemon is a program and no library: what is tested of it is built in here. */
/* NOLINTBEGIN(bugprone-suspicious-include) */
#include "cmd/lodged/account_sum.c"
#include "cmd/lodged/kernel_record.c"
#include "cmd/lodged/look_host.c"
/* NOLINTEND(bugprone-suspicious-include) */

#include <check.h>

uint64_t now_us(void)
{
	return 1;
}

static struct account a;

static void note(enum counter_id id, uint64_t held, uint64_t peak, uint64_t fails, int64_t now)
{
	const struct reading r = { held, peak, fails };

	account_note(&a, id, &r, now);
	a.looked_at = now;
}

/* What a daemon that was killed leaves: only what is in the file. */
static void through_the_file(void)
{
	lg_autojson json_t *obj = account_to_json(&a);
	struct account again;

	account_from_json(obj, &again);
	ck_assert_str_eq(again.run_id, a.run_id);
	ck_assert_int_eq(again.since, a.since);
	ck_assert_str_eq(again.oom.name, a.oom.name);
	for (enum counter_id i = 0; i < COUNT_COUNT_; i++) {
		ck_assert_uint_eq(account_fails(&again, i), account_fails(&a, i));
		ck_assert_uint_eq(account_max(&again, i), account_max(&a, i));
		ck_assert_int_eq(again.counts[i].last_hit, a.counts[i].last_hit);
	}
	a = again;
}

static void fresh(void)
{
	memset(&a, 0, sizeof(a));
	a.since = 1000;
	account_run(&a, "boot:1");
}

#define X UINT64_MAX

START_TEST(the_same_cgroup_is_not_counted_twice)
{
	fresh();
	note(COUNT_NUMPROC, 5, 9, 3, 1001);
	note(COUNT_NUMPROC, 6, 9, 3, 1002);
	through_the_file();
	account_run(&a, "boot:1");
	note(COUNT_NUMPROC, 2, 9, 4, 1003);
	ck_assert_uint_eq(account_fails(&a, COUNT_NUMPROC), 4);
	ck_assert_uint_eq(account_max(&a, COUNT_NUMPROC), 9);
	ck_assert_int_eq(a.counts[COUNT_NUMPROC].last_hit, 1003);
}
END_TEST

START_TEST(another_cgroup_is_added)
{
	fresh();
	note(COUNT_NUMPROC, 5, 9, 3, 1001);
	through_the_file();
	account_run(&a, "boot:2");
	note(COUNT_NUMPROC, 1, 2, 0, 1002);
	ck_assert_uint_eq(account_fails(&a, COUNT_NUMPROC), 3);
	ck_assert_uint_eq(account_max(&a, COUNT_NUMPROC), 9);
	note(COUNT_NUMPROC, 1, 20, 2, 1003);
	through_the_file();
	ck_assert_uint_eq(account_fails(&a, COUNT_NUMPROC), 5);
	ck_assert_uint_eq(account_max(&a, COUNT_NUMPROC), 20);
	/* The inode may be the same one again after a reboot. */
	account_run(&a, "other:2");
	note(COUNT_NUMPROC, 1, 2, 1, 1004);
	ck_assert_uint_eq(account_fails(&a, COUNT_NUMPROC), 6);
}
END_TEST

START_TEST(a_counter_that_was_reset_loses_nothing)
{
	fresh();
	note(COUNT_PHYSPAGES, 1, 5, 30, 1001);
	note(COUNT_PHYSPAGES, 1, 1, 0, 1002);
	ck_assert_uint_eq(account_fails(&a, COUNT_PHYSPAGES), 30);
	ck_assert_uint_eq(account_max(&a, COUNT_PHYSPAGES), 5);
	ck_assert_int_eq(a.counts[COUNT_PHYSPAGES].last_hit, 1001);
}
END_TEST

START_TEST(what_nobody_counts_is_not_zero)
{
	fresh();
	note(COUNT_LOCKEDPAGES, 7, X, X, 1001);
	ck_assert_uint_eq(account_fails(&a, COUNT_LOCKEDPAGES), X);
	ck_assert_uint_eq(account_max(&a, COUNT_LOCKEDPAGES), 7);	/* the most that was seen */
	note(COUNT_LOCKEDPAGES, X, X, X, 1002);
	through_the_file();
	ck_assert_uint_eq(account_fails(&a, COUNT_LOCKEDPAGES), X);
	ck_assert_uint_eq(account_max(&a, COUNT_LOCKEDPAGES), 7);
	note(COUNT_SWAPPAGES, 0, X, 0, 1003);
	through_the_file();
	ck_assert_uint_eq(account_fails(&a, COUNT_SWAPPAGES), 0);
}
END_TEST

START_TEST(the_kernels_log_knows_when_and_who)
{
	fresh();
	note(COUNT_OOMGUARPAGES, 1, X, 0, 1001);
	account_killed(&a, 77, "mysqld", 1005);
	note(COUNT_OOMGUARPAGES, 1, X, 1, 1009);
	ck_assert_int_eq(a.counts[COUNT_OOMGUARPAGES].last_hit, 1005);
	/* Without the log the time is that of the look. */
	note(COUNT_OOMGUARPAGES, 1, X, 2, 1020);
	ck_assert_int_eq(a.counts[COUNT_OOMGUARPAGES].last_hit, 1020);
	/* An old record, read once more after a restart of the daemon. */
	account_killed(&a, 5, "older", 1002);
	ck_assert_str_eq(a.oom.name, "mysqld");
	through_the_file();
	ck_assert_int_eq(a.oom.pid, 77);
}
END_TEST

START_TEST(a_file_of_nonsense_is_an_empty_account)
{
	static const char *const texts[] = {
		"{}", "[]", "{\"counters\":7,\"oom\":[],\"run\":5}",
		"{\"counters\":{\"numproc\":{\"failcnt\":\"x\",\"run_failcnt\":-5}}}",
	};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		lg_autojson json_t *obj = json_loads(texts[i], 0, NULL);

		account_from_json(obj, &a);
		ck_assert_uint_eq(account_fails(&a, COUNT_NUMPROC), X);
		ck_assert_uint_eq(account_max(&a, COUNT_NUMPROC), 0);
		ck_assert_str_eq(a.run_id, "");
	}
}
END_TEST

#define TAIL ") total-vm:1048kB, anon-rss:900kB, file-rss:4kB, shmem-rss:0kB, UID:100033 " \
	     "pgtables:48kB oom_score_adj:0\n"

static const struct {
	const char *record;
	bool kill, by_limit;
	int pid;
	const char *name;
} records[] = {
	{ "3,812,99000000,-;Memory cgroup out of memory: Killed process 4242 (mysqld" TAIL, true, true,
	  4242, "mysqld" },
	{ "3,812,99000000,-;Out of memory: Killed process 4242 (mysqld" TAIL, true, false, 4242,
	  "mysqld" },
	{ "3,812,99000000,-;Memory cgroup out of memory (oom_kill_allocating_task): Killed process 7 (a"
	  TAIL " SUBSYSTEM=x\n", true, true, 7, "a" },
	/* A process may call itself what it likes. */
	{ "3,8,9,-;Memory cgroup out of memory: Killed process 1 (a) UID:0 (" TAIL, true, true, 1,
	  "a) UID:0 (" },
	{ "3,8,9,-;Memory cgroup out of memory: Killed process 1 () total-vm:" TAIL, true, true, 1,
	  ") total-vm:" },
	/* Not the kernel's: facility 1 is what programs write. */
	{ "11,8,9,-;Memory cgroup out of memory: Killed process 1 (a" TAIL, false, false, 0, NULL },
	{ "6,8,9,-;oom-kill:constraint=CONSTRAINT_MEMCG,task=a,pid=1,uid=0\n", false, false, 0, NULL },
	{ "6,8,9,-;x Memory cgroup out of memory: Killed process 1 (a" TAIL, false, false, 0, NULL },
	{ "3,8,9,-;Memory cgroup out of memory: Killed process 1 (a) total-vm:1kB\n", false, false, 0,
	  NULL },
	{ "3,8,9,-;Memory cgroup out of memory: Killed process x (a" TAIL, false, false, 0, NULL },
	{ "3,8,9,-;Memory cgroup out of memory", false, false, 0, NULL },
	{ "3;", false, false, 0, NULL },
	{ "", false, false, 0, NULL },
};

START_TEST(kills_are_read_from_the_log)
{
	struct kernel_kill kill = { .pid = 0 };

	ck_assert_int_eq(kernel_log_kill(records[_i].record, &kill), records[_i].kill);
	if (!records[_i].kill)
		return;
	ck_assert_int_eq(kill.by_limit, records[_i].by_limit);
	ck_assert_int_eq(kill.pid, records[_i].pid);
	ck_assert_str_eq(kill.name, records[_i].name);
	ck_assert_uint_eq(kill.uid, 100033);
}
END_TEST

START_TEST(refused_forks_are_read_from_the_log)
{
	char path[256] = "";

	ck_assert(kernel_log_fork("6,1,2,-;cgroup: fork rejected by pids controller in /lodge/101\n",
				  path));
	ck_assert_str_eq(path, "/lodge/101");
	ck_assert(!kernel_log_fork("14,1,2,-;cgroup: fork rejected by pids controller in /lodge/1\n",
				   path));
	ck_assert(!kernel_log_fork("6,1,2,-;cgroup: fork rejected by pids controller in \n", path));
	ck_assert(!kernel_log_fork("6,1,2,-;cgroup: something else\n", path));
}
END_TEST

START_TEST(the_host_is_read)
{
	struct host_look host = { 0 };

	/* user nice system irq softirq of 100 Hz; idle, iowait and steal are no work */
	ck_assert_uint_eq(host_stat_read("cpu  100 20 30 4000 500 6 7 80 9 0\ncpu0 1 2\n", 100),
			  1630000);
	ck_assert_uint_eq(host_stat_read("cpu  100 20\n", 100), X);
	ck_assert_uint_eq(host_stat_read("", 100), X);
	host_meminfo_read("MemTotal:       1000 kB\nMemFree:   1 kB\nMemAvailable:    400 kB\n"
			  "SwapTotal:       8 kB\n", &host);
	ck_assert_uint_eq(host.memory_bytes, 1024000);
	ck_assert_uint_eq(host.available_bytes, 409600);
	ck_assert_uint_eq(host.swap_bytes, 8192);
	ck_assert_uint_eq(host.swap_free_bytes, X);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("account");
	TCase *tc = tcase_create("all");
	SRunner *sr;
	int failures;

	tcase_add_test(tc, the_same_cgroup_is_not_counted_twice);
	tcase_add_test(tc, another_cgroup_is_added);
	tcase_add_test(tc, a_counter_that_was_reset_loses_nothing);
	tcase_add_test(tc, what_nobody_counts_is_not_zero);
	tcase_add_test(tc, the_kernels_log_knows_when_and_who);
	tcase_add_test(tc, a_file_of_nonsense_is_an_empty_account);
	tcase_add_loop_test(tc, kills_are_read_from_the_log, 0, ARRAY_SIZE(records));
	tcase_add_test(tc, refused_forks_are_read_from_the_log);
	tcase_add_test(tc, the_host_is_read);
	suite_add_tcase(suite, tc);
	sr = srunner_create(suite);
	srunner_run_all(sr, CK_ENV);
	failures = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failures ? 1 : 0;
}
