/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What is read of an instance's use, against folders that play cgroups of both kinds. */

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cgroup/host.h"
#include "cgroup/stats.h"
#include "lib/cleanup.h"

#define PSI_TEXT "some avg10=12.34 avg60=1.00 avg300=0.00 total=5000\n" \
		 "full avg10=0.05 avg60=0.00 avg300=0.00 total=700\n"

static char folder[] = "/tmp/lgtest-stats-XXXXXX";
static struct lg_cg_host host;
static struct lg_cg_stats s;

/* Each hierarchy has a folder of its own: v2 and, on a hybrid host, one for all controllers. */
static void put(const char *tree, const char *file, const char *text)
{
	char path[160];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s/101/%s", folder, tree, file);
	f = fopen(path, "we");
	ck_assert_ptr_nonnull(f);
	ck_assert_int_ge(fputs(text, f), 0);
	ck_assert_int_eq(fclose(f), 0);
}

static int make_tree(const char *tree)
{
	char path[160];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", folder, tree);
	ck_assert_int_eq(mkdir(path, 0700), 0);
	fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(mkdirat(fd, "101", 0700), 0);
	return fd;
}

static void setup(void)
{
	strcpy(folder + strlen(folder) - 6, "XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	memset(&host, 0, sizeof(host));
	host.v2.top = make_tree("v2");
	for (size_t i = 0; i < LG_CG_CTL_COUNT_; i++)
		host.ctl[i].top = host.v2.top;
}

static void setup_v1(void)
{
	int fd;

	setup();
	fd = make_tree("v1");
	for (size_t i = 0; i < LG_CG_CTL_COUNT_; i++) {
		host.ctl[i].top = fd;
		host.ctl[i].v1 = true;
	}
}

static void teardown(void)
{
	char command[160];

	if (host.ctl[0].top != host.v2.top)
		lg_close(host.ctl[0].top);
	lg_close(host.v2.top);
	snprintf(command, sizeof(command), "rm -r %s", folder);
	ck_assert_int_eq(system(command), 0);
}

static void read_parts(unsigned int parts)
{
	ck_assert_int_eq(lg_cg_stats(&host, "101", parts, &s, NULL), 0);
}

START_TEST(use_on_a_unified_host)
{
	put("v2", "memory.current", "1048576\n");
	put("v2", "memory.swap.current", "4096\n");
	put("v2", "pids.current", "3\n");
	put("v2", "cpu.stat", "usage_usec 123\nuser_usec 100\nsystem_usec 23\nnr_periods 40\n"
			      "nr_throttled 7\nthrottled_usec 9000\n");
	put("v2", "memory.events", "low 0\noom 9\noom_kill 2\n");
	read_parts(LG_CG_LIGHT);
	ck_assert_uint_eq(s.memory_bytes, 1048576);
	ck_assert_uint_eq(s.swap_bytes, 4096);
	ck_assert_uint_eq(s.tasks, 3);
	ck_assert_uint_eq(s.cpu_us, 123);
	ck_assert_uint_eq(s.cpu_system_us, 23);
	ck_assert_uint_eq(s.periods, 40);
	ck_assert_uint_eq(s.throttled, 7);
	ck_assert_uint_eq(s.throttled_us, 9000);
	ck_assert_uint_eq(s.oom_kills, 2);
	ck_assert_uint_eq(s.memory_peak_bytes, UINT64_MAX);
	ck_assert_uint_eq(s.read_bytes, UINT64_MAX);
	ck_assert_uint_eq(s.cpu.some_us, UINT64_MAX);
	ck_assert_int_eq(lg_cg_stats(&host, "102", LG_CG_ALL, &s, NULL), -ENOENT);
	ck_assert_int_eq(lg_cg_stats(&host, "../v2", LG_CG_ALL, &s, NULL), -EINVAL);
}
END_TEST

START_TEST(use_on_a_hybrid_host)
{
	put("v2", "cpu.stat", "usage_usec 123\nnr_periods 1\n");
	put("v1", "cpu.stat", "nr_periods 40\nnr_throttled 7\nthrottled_time 9000000\n");
	put("v1", "memory.usage_in_bytes", "1048576\n");
	put("v1", "memory.max_usage_in_bytes", "2097152\n");
	put("v1", "memory.memsw.usage_in_bytes", "1052672\n");
	put("v1", "memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 4\n");
	host.ctl[LG_CG_PIDS].top = -1;
	read_parts(LG_CG_ALL);
	ck_assert_uint_eq(s.memory_bytes, 1048576);
	ck_assert_uint_eq(s.memory_peak_bytes, 2097152);
	ck_assert_uint_eq(s.swap_bytes, 4096);
	ck_assert_uint_eq(s.tasks, UINT64_MAX);
	ck_assert_uint_eq(s.cpu_us, 123);
	ck_assert_uint_eq(s.periods, 40);
	ck_assert_uint_eq(s.throttled_us, 9000);
	ck_assert_uint_eq(s.oom_kills, 4);
	put("v1", "memory.memsw.usage_in_bytes", "4096\n");
	read_parts(LG_CG_BASIC);
	ck_assert_uint_eq(s.swap_bytes, 0);
}
END_TEST

START_TEST(only_the_parts_asked_for_are_read)
{
	put("v2", "memory.current", "1\n");
	put("v2", "memory.peak", "5\n");
	put("v2", "cpu.stat", "usage_usec 1\nnr_periods 2\n");
	put("v2", "cpu.pressure", PSI_TEXT);
	read_parts(LG_CG_BASIC);
	ck_assert_uint_eq(s.memory_bytes, 1);
	ck_assert_uint_eq(s.memory_peak_bytes, UINT64_MAX);
	ck_assert_uint_eq(s.periods, UINT64_MAX);
	ck_assert_uint_eq(s.cpu.some_us, UINT64_MAX);
	read_parts(LG_CG_PEAKS | LG_CG_PSI);
	ck_assert_uint_eq(s.memory_bytes, UINT64_MAX);
	ck_assert_uint_eq(s.memory_peak_bytes, 5);
	ck_assert_uint_eq(s.cpu.some_us, 5000);
}
END_TEST

START_TEST(what_was_denied_on_a_unified_host)
{
	put("v2", "memory.events", "high 90\nmax 90\noom_kill 1\n");
	put("v2", "memory.events.local", "low 0\nhigh 4\nmax 11\noom 1\noom_kill 0\n");
	put("v2", "memory.swap.events", "high 0\nmax 3\nfail 8\n");
	put("v2", "memory.swap.peak", "777\n");
	put("v2", "pids.events", "max 6\n");
	put("v2", "pids.peak", "99\n");
	put("v2", "memory.stat", "anon 10\nfile 20\nkernel 30\nsock 40\nshmem 50\nunevictable 60\n"
				 "workingset_refault_anon 1\nworkingset_refault_file 70\npgmajfault 80\n");
	read_parts(LG_CG_ALL);
	ck_assert_uint_eq(s.memory_high_hits, 4);
	ck_assert_uint_eq(s.memory_max_hits, 11);
	ck_assert_uint_eq(s.swap_hits, 3);
	ck_assert_uint_eq(s.swap_peak_bytes, 777);
	ck_assert_uint_eq(s.tasks_hits, 6);
	ck_assert_uint_eq(s.tasks_peak, 99);
	ck_assert_uint_eq(s.anon_bytes, 10);
	ck_assert_uint_eq(s.file_bytes, 20);
	ck_assert_uint_eq(s.kernel_bytes, 30);
	ck_assert_uint_eq(s.socket_bytes, 40);
	ck_assert_uint_eq(s.shmem_bytes, 50);
	ck_assert_uint_eq(s.locked_bytes, 60);
	ck_assert_uint_eq(s.refaults, 70);
	ck_assert_uint_eq(s.major_faults, 80);
	ck_assert_uint_eq(s.kernel_hits, UINT64_MAX);
}
END_TEST

START_TEST(what_was_denied_on_a_hybrid_host)
{
	put("v1", "memory.failcnt", "12\n");
	put("v1", "memory.memsw.failcnt", "13\n");
	put("v1", "memory.kmem.failcnt", "1\n");
	put("v1", "memory.kmem.usage_in_bytes", "4096\n");
	put("v1", "memory.kmem.max_usage_in_bytes", "8192\n");
	put("v1", "memory.stat", "cache 20\nrss 10\nrss_huge 9\nshmem 5\nunevictable 6\n");
	put("v1", "pids.events", "max 14\n");
	read_parts(LG_CG_ALL);
	ck_assert_uint_eq(s.memory_max_hits, 12);
	ck_assert_uint_eq(s.memory_high_hits, UINT64_MAX);
	ck_assert_uint_eq(s.swap_hits, 13);
	ck_assert_uint_eq(s.kernel_hits, 1);
	ck_assert_uint_eq(s.kernel_bytes, 4096);
	ck_assert_uint_eq(s.kernel_peak_bytes, 8192);
	ck_assert_uint_eq(s.anon_bytes, 10);
	ck_assert_uint_eq(s.file_bytes, 20);
	ck_assert_uint_eq(s.tasks_hits, 14);
	/* A kernel that does not raise failcnt: a kill is a denial in any case. */
	put("v1", "memory.failcnt", "0\n");
	put("v1", "memory.oom_control", "oom_kill 4\n");
	read_parts(LG_CG_ALL);
	ck_assert_uint_eq(s.memory_max_hits, 4);
}
END_TEST

START_TEST(disks_are_added_up)
{
	put("v2", "io.stat", "8:0 rbytes=100 wbytes=20 rios=3 wios=4 dbytes=9 dios=9\n"
			     "253:1 rbytes=5 wbytes=6 rios=7 wios=8 dbytes=0 dios=0\n7:0 \n");
	read_parts(LG_CG_DISK);
	ck_assert_uint_eq(s.read_bytes, 105);
	ck_assert_uint_eq(s.write_bytes, 26);
	ck_assert_uint_eq(s.reads, 10);
	ck_assert_uint_eq(s.writes, 12);
	put("v2", "io.stat", "");
	read_parts(LG_CG_DISK);
	ck_assert_uint_eq(s.read_bytes, 0);
}
END_TEST

START_TEST(disks_of_v1_are_added_up)
{
	put("v1", "blkio.throttle.io_service_bytes",
	    "8:0 Read 100\n8:0 Write 20\n8:0 Sync 7\n8:0 Total 120\n"
	    "253:1 Read 5\n253:1 Write 6\n253:1 Total 11\nTotal 131\n");
	put("v1", "blkio.throttle.io_serviced", "Total 0\n");
	read_parts(LG_CG_DISK);
	ck_assert_uint_eq(s.read_bytes, 105);
	ck_assert_uint_eq(s.write_bytes, 26);
	ck_assert_uint_eq(s.reads, UINT64_MAX);
}
END_TEST

static const struct {
	const char *text;
	int want;
	struct lg_cg_pressure p;
} pressures[] = {
	{ PSI_TEXT, 0, { 5000, 700, 1234, 5 } },
	{ "some avg10=100.00 avg60=0 avg300=0 total=18446744073709551000\n", 0,
	  { UINT64_C(18446744073709551000), 0, 10000, 0 } },
	{ "some avg10=0.00 avg60=0.00 avg300=0.00\n", -EINVAL, { 0, 0, 0, 0 } },
	{ "full avg10=0.00 avg60=0.00 avg300=0.00 total=1\n", -EINVAL, { 0, 0, 0, 0 } },
	{ "", -EINVAL, { 0, 0, 0, 0 } },
};

START_TEST(pressure_is_read_exactly)
{
	struct lg_cg_pressure p = { 0 };

	ck_assert_int_eq(lg_cg_pressure_read(pressures[_i].text, &p), pressures[_i].want);
	ck_assert_mem_eq(&p, &pressures[_i].p, sizeof(p));
}
END_TEST

START_TEST(another_cgroup_of_the_name_has_another_identity)
{
	uint64_t first = 0, second = 0;

	ck_assert_int_eq(lg_cg_identity(&host, "101", &first), 0);
	ck_assert_int_eq(renameat(host.v2.top, "101", host.v2.top, "100"), 0);
	ck_assert_int_eq(lg_cg_identity(&host, "101", &second), -ENOENT);
	ck_assert_int_eq(mkdirat(host.v2.top, "101", 0700), 0);
	ck_assert_int_eq(lg_cg_identity(&host, "101", &second), 0);
	ck_assert_uint_ne(first, second);
}
END_TEST

static const struct {
	const char *path, *name;
} paths[] = {
	{ "/lodge/101", "101" },
	{ "/lodge/101/app.slice/x", "101" },
	{ "/machine.slice/lodge-containers.service/lodge/7", NULL },
	{ "/m.slice/c.service/lodge/103/lodge/104", "103" },
	{ "/lodge/101/lodge/102", "101" },
	{ "/lodge/101x", NULL },
	{ "/lodge/", NULL },
	{ "/lodge", NULL },
	{ "/other/101", NULL },
	{ "/other/9/lodge/101", NULL },
	{ "/101", NULL },
	{ "/", NULL },
	{ "", NULL },
	{ "lodge/101", NULL },
};

START_TEST(a_path_in_the_log_names_its_instance)
{
	struct lg_cg_host h = { .nv1 = 1 };
	char name[32] = "";

	snprintf(h.v2.path, sizeof(h.v2.path), "/sys/fs/cgroup/unified/m.slice/c.service/lodge");
	snprintf(h.v1[0].path, sizeof(h.v1[0].path), "/sys/fs/cgroup/pids/lodge");
	ck_assert_int_eq(lg_cg_of_path(&h, paths[_i].path, name), paths[_i].name ? 0 : -ENOENT);
	ck_assert_str_eq(name, paths[_i].name ? paths[_i].name : "");
}
END_TEST

static TCase *with(Suite *suite, const char *name, void (*begin)(void))
{
	TCase *tc = tcase_create(name);

	tcase_add_checked_fixture(tc, begin, teardown);
	suite_add_tcase(suite, tc);
	return tc;
}

int main(void)
{
	Suite *suite = suite_create("stats");
	TCase *tc = tcase_create("pure");
	SRunner *sr;
	int failures;

	tcase_add_loop_test(tc, pressure_is_read_exactly, 0, ARRAY_SIZE(pressures));
	tcase_add_loop_test(tc, a_path_in_the_log_names_its_instance, 0, ARRAY_SIZE(paths));
	suite_add_tcase(suite, tc);
	tc = with(suite, "unified", setup);
	tcase_add_test(tc, use_on_a_unified_host);
	tcase_add_test(tc, only_the_parts_asked_for_are_read);
	tcase_add_test(tc, what_was_denied_on_a_unified_host);
	tcase_add_test(tc, disks_are_added_up);
	tcase_add_test(tc, another_cgroup_of_the_name_has_another_identity);
	tc = with(suite, "hybrid", setup_v1);
	tcase_add_test(tc, use_on_a_hybrid_host);
	tcase_add_test(tc, what_was_denied_on_a_hybrid_host);
	tcase_add_test(tc, disks_of_v1_are_added_up);
	sr = srunner_create(suite);
	srunner_run_all(sr, CK_ENV);
	failures = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failures ? 1 : 0;
}
