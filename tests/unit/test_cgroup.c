/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What needs no rights: parsers, plans, and limits against folders that play cgroups. */

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cgroup/limits.h"
#include "lib/cleanup.h"
#include "lib/parse.h"
#include "tests/unit/test_cgroup_folders.h"

static const char proc_self_cgroup[] =
	"9:name=systemd:/user.slice\n"
	"6:cpu,cpuacct:/a b/c\n"
	"4:memory:/process/x\n"
	"3:pids:/machine.slice/lodge-containers.service/.control\n"
	"2:blkio:/\n"
	"1:cpuset:/../other\n"
	"0::/machine.slice/lodge-containers.service\n";

static const struct {
	const char *text, *ctl;
	int want;
	const char *path;
} paths[] = {
	{ proc_self_cgroup, NULL, 0, "machine.slice/lodge-containers.service" },
	{ proc_self_cgroup, "memory", 0, "process/x" },
	{ proc_self_cgroup, "cpu", 0, "a b/c" },
	{ proc_self_cgroup, "cpuacct", 0, "a b/c" },
	{ proc_self_cgroup, "cpua", -ENOENT, NULL },
	{ proc_self_cgroup, "pids", 0, "machine.slice/lodge-containers.service" },
	{ proc_self_cgroup, "blkio", 0, "" },
	{ proc_self_cgroup, "cpuset", -EINVAL, NULL },
	{ proc_self_cgroup, "freezer", -ENOENT, NULL },
	{ "0::/", NULL, 0, "" },
	{ "0::/x", NULL, 0, "x" },
	{ "0::/../x\n", NULL, -EINVAL, NULL },
	{ "0::/.control\n", NULL, -EINVAL, NULL },
	{ "0::\n", NULL, -ENOENT, NULL },
	{ "0:\n::\n:\n\n", NULL, -ENOENT, NULL },
	{ "", NULL, -ENOENT, NULL },
	{ "1:cpu:/x\n", NULL, -ENOENT, NULL },
};

START_TEST(a_process_path_is_found_per_hierarchy)
{
	char path[PATH_MAX] = "untouched";

	ck_assert_int_eq(lg_cg_path_of(paths[_i].text, paths[_i].ctl, path), paths[_i].want);
	ck_assert_str_eq(path, paths[_i].want ? "untouched" : paths[_i].path);
}
END_TEST

static const struct {
	const char *text;
	int want;
	const char *point;
} mountinfos[] = {
	{ "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n"
	  "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n",
	  0, "/sys/fs/cgroup/unified" },
	{ "41 31 0:38 /part /first rw shared:4 - cgroup2 none rw\n"
	  "42 31 0:38 / /whole\\040one rw shared:4 master:1 - cgroup2 none rw",
	  0, "/whole one" },
	{ "41 31 0:38 /part /first rw - cgroup2 none rw\n"
	  "42 31 0:38 /other /second rw - cgroup2 none rw\n", 0, "/first" },
	{ "41 31 0:38 / /sys/fs/cgroup/cgroup2 rw - cgroup cgroup2 rw\n", -ENOENT, NULL },
	{ " - cgroup2 x\n", -ENOENT, NULL },
	{ "1 2 3 - cgroup2 x\n", -ENOENT, NULL },
	{ "41 31 0:38 / /x\\0 rw - cgroup2 none rw\n", 0, NULL },
	{ "", -ENOENT, NULL },
};

START_TEST(the_cgroup2_mount_is_found_in_mountinfo)
{
	char point[PATH_MAX] = "untouched";

	ck_assert_int_eq(lg_cg_mountinfo_find(mountinfos[_i].text, point), mountinfos[_i].want);
	if (mountinfos[_i].point)
		ck_assert_str_eq(point, mountinfos[_i].point);
	else if (mountinfos[_i].want)
		ck_assert_str_eq(point, "untouched");
}
END_TEST

START_TEST(kernel_texts_are_read_exactly)
{
	static const char keyed[] = "oom 1\noom_kill 7\noom_kill_disable 0\npopulated 0\n";
	uint64_t value = 42;

	ck_assert_int_eq(lg_cg_keyed(keyed, "oom_kill", &value), 0);
	ck_assert_uint_eq(value, 7);
	ck_assert_int_eq(lg_cg_keyed(keyed, "oom_", &value), -ENOENT);
	ck_assert_int_eq(lg_cg_keyed(keyed, "kill", &value), -ENOENT);
	ck_assert_int_eq(lg_cg_keyed("", "kill", &value), -ENOENT);
	ck_assert_int_eq(lg_cg_number("max\n", &value), 0);
	ck_assert_uint_eq(value, UINT64_MAX);
	ck_assert_int_eq(lg_cg_number("-1\n", &value), 0);
	ck_assert_uint_eq(value, UINT64_MAX);
	ck_assert_int_eq(lg_cg_number("50000 100000\n", &value), 0);
	ck_assert_uint_eq(value, 50000);
	ck_assert_int_eq(lg_cg_number("", &value), -EINVAL);
	ck_assert_int_eq(lg_cg_number("-7", &value), -EINVAL);
	ck_assert_int_eq(lg_cg_number("99999999999999999999", &value), -ERANGE);
	ck_assert(lg_cg_has_word("cpuset cpu io\n", "cpu"));
	ck_assert(lg_cg_has_word("cpuset cpu io\n", "io"));
	ck_assert(!lg_cg_has_word("cpuset memory\n", "cpu"));
	ck_assert(!lg_cg_has_word("\n", "cpu"));
}
END_TEST

static const struct {
	const char *name;
	bool instance, spare;
} names[] = {
	{ "101", true, true },	   { "spare-3", false, true }, { "", false, false },
	{ "..", false, false },	   { ".shims", false, false }, { "1/2", false, false },
	{ "101 ", false, false },  { "123456789012345678901234567890", true, true },
	{ "1234567890123456789012345678901", false, false },
};

START_TEST(only_harmless_names_become_directories)
{
	struct lg_err err = { 0 };

	ck_assert_int_eq(lg_cg_check_name(names[_i].name, false, &err),
			 names[_i].instance ? 0 : -EINVAL);
	ck_assert_int_eq(lg_cg_check_name(names[_i].name, true, NULL),
			 names[_i].spare ? 0 : -EINVAL);
	ck_assert_int_eq(err.code, names[_i].instance ? 0 : -EINVAL);
}
END_TEST

#define U LG_UNLIMITED
#define M (UINT64_C(1) << 20)
#define MEM (1u << LG_LIMIT_MEMORY)
#define SWP (1u << LG_LIMIT_SWAP)

static const struct {
	struct lg_memsw now;
	uint32_t mask;
	uint64_t memory, swap;
	int want;
	struct lg_memsw plan;
	bool total_first;
} plans[] = {
	/* a new cgroup: down from no limit, memory goes first */
	{ { U, U }, MEM | SWP, 512 * M, 256 * M, 0, { 512 * M, 768 * M }, false },
	{ { U, U }, MEM, 512 * M, 0, 0, { 512 * M, U }, true },
	/* up: the sum goes first; down: the memory */
	{ { 512 * M, 768 * M }, MEM, 1024 * M, 0, 0, { 1024 * M, 1280 * M }, true },
	{ { 1024 * M, 1280 * M }, MEM, 512 * M, 0, 0, { 512 * M, 768 * M }, false },
	{ { 512 * M, 768 * M }, SWP, 0, 1024 * M, 0, { 512 * M, 1536 * M }, true },
	{ { 512 * M, 768 * M }, SWP, 0, 0, 0, { 512 * M, 512 * M }, false },
	/* memory up and swap down, the sum the same or smaller */
	{ { 512 * M, 1024 * M }, MEM | SWP, 768 * M, 0, 0, { 768 * M, 768 * M }, false },
	{ { 512 * M, 1024 * M }, MEM | SWP, 1024 * M, 0, 0, { 1024 * M, 1024 * M }, true },
	/* to no limit */
	{ { 512 * M, 768 * M }, MEM | SWP, U, U, 0, { U, U }, true },
	{ { 512 * M, 768 * M }, MEM, U, 0, 0, { U, U }, true },
	{ { 512 * M, 768 * M }, SWP, 0, U, 0, { 512 * M, U }, true },
	/* what v1 cannot say */
	{ { 512 * M, 768 * M }, MEM | SWP, U, 256 * M, -EOPNOTSUPP, { 1, 1 }, false },
	{ { U, U }, SWP, 0, 256 * M, -EOPNOTSUPP, { 1, 1 }, false },
	/* sums past the kernel's range are no limit */
	{ { U, U }, MEM | SWP, (uint64_t)INT64_MAX - 5, 512 * M, 0,
	  { (uint64_t)INT64_MAX - 5, U }, true },
	{ { U, U }, MEM | SWP, 512 * M, U - 1, 0, { 512 * M, U }, true },
};

START_TEST(v1_memory_never_passes_memory_and_swap)
{
	struct lg_limit_set set = { .mask = plans[_i].mask };
	struct lg_memsw plan = { 1, 1 };
	bool total_first = false;

	set.value[LG_LIMIT_MEMORY] = plans[_i].memory;
	set.value[LG_LIMIT_SWAP] = plans[_i].swap;
	ck_assert_int_eq(lg_memsw_plan(&plans[_i].now, &set, &plan, &total_first),
			 plans[_i].want);
	ck_assert_uint_eq(plan.memory, plans[_i].plan.memory);
	ck_assert_uint_eq(plan.total, plans[_i].plan.total);
	if (plans[_i].want)
		return;
	ck_assert_int_eq(total_first, plans[_i].total_first);
	/* Whichever is written first, memory <= total holds in between. */
	if (total_first)
		ck_assert_uint_le(plans[_i].now.memory, plan.total);
	else
		ck_assert_uint_le(plan.memory, plans[_i].now.total);
	ck_assert_uint_le(plan.memory, plan.total);
}
END_TEST

/* ---- folders that play a cgroup ---- */

static void put(const char *file, const char *text)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/top/101/%s", folder, file);
	f = fopen(path, "we");
	ck_assert_ptr_nonnull(f);
	ck_assert_int_ge(fputs(text, f), 0);
	ck_assert_int_eq(fclose(f), 0);
}

static void holds(const char *file, const char *want)
{
	char text[LG_CG_TEXT];

	ck_assert_int_ge(lg_cg_read(host.v2.top, "101", file, text, sizeof(text)), 0);
	ck_assert_msg(strcmp(text, want) == 0, "%s holds '%s', not '%s'", file, text, want);
}

static const struct {
	enum lg_limit_id id;
	uint64_t value;
	const char *unified_file, *unified;
	const char *v1_file, *v1;
} formats[] = {
	{ LG_LIMIT_MEMORY, 512 * M, "memory.max", "536870912", NULL, NULL },
	{ LG_LIMIT_MEMORY, U, "memory.max", "max", NULL, NULL },
	{ LG_LIMIT_SWAP, 0, "memory.swap.max", "0", NULL, NULL },
	{ LG_LIMIT_SWAP, U, "memory.swap.max", "max", NULL, NULL },
	{ LG_LIMIT_CPU, 150, "cpu.max", "150000 100000", "cpu.cfs_quota_us", "150000" },
	{ LG_LIMIT_CPU, 1, "cpu.max", "1000 100000", "cpu.cfs_quota_us", "1000" },
	{ LG_LIMIT_CPU, U, "cpu.max", "max 100000", "cpu.cfs_quota_us", "-1" },
	{ LG_LIMIT_CPU_WEIGHT, 100, "cpu.weight", "100", "cpu.shares", "1024" },
	{ LG_LIMIT_CPU_WEIGHT, 1, "cpu.weight", "1", "cpu.shares", "10" },
	{ LG_LIMIT_CPU_WEIGHT, 10000, "cpu.weight", "10000", "cpu.shares", "102400" },
	{ LG_LIMIT_CPU_WEIGHT, U, "cpu.weight", "100", "cpu.shares", "1024" },
	{ LG_LIMIT_TASKS, 500, "pids.max", "500", "pids.max", "500" },
	{ LG_LIMIT_TASKS, U, "pids.max", "max", "pids.max", "max" },
};

START_TEST(unified_files_hold_what_was_asked_for)
{
	struct lg_limit_set set = { .mask = 1u << formats[_i].id };
	struct lg_err err = { 0 };
	uint64_t got = 0;

	set.value[formats[_i].id] = formats[_i].value;
	put(formats[_i].unified_file, "");
	ck_assert_int_eq(lg_limits_apply(&host, "101", &set, &err), 0);
	holds(formats[_i].unified_file, formats[_i].unified);
	ck_assert_int_eq(lg_limit_read(&host, "101", formats[_i].id, &got, &err), 0);
	if (formats[_i].id == LG_LIMIT_CPU_WEIGHT && formats[_i].value == U)
		ck_assert_uint_eq(got, 100);
	else
		ck_assert_uint_eq(got, formats[_i].value);
}
END_TEST

START_TEST(v1_files_hold_what_was_asked_for)
{
	struct lg_limit_set set = { .mask = 1u << formats[_i].id };
	uint64_t want = formats[_i].value;
	uint64_t got = 0;

	if (!formats[_i].v1_file)
		return;
	set.value[formats[_i].id] = formats[_i].value;
	put(formats[_i].v1_file, "");
	put("cpu.cfs_period_us", "");
	ck_assert_int_eq(lg_limits_apply(&host, "101", &set, NULL), 0);
	holds(formats[_i].v1_file, formats[_i].v1);
	holds("cpu.cfs_period_us", formats[_i].id == LG_LIMIT_CPU ? "100000" : "");
	ck_assert_int_eq(lg_limit_read(&host, "101", formats[_i].id, &got, NULL), 0);
	if (formats[_i].id == LG_LIMIT_CPU_WEIGHT && want == U)
		want = 100;
	ck_assert_uint_eq(got, want);
}
END_TEST

START_TEST(every_weight_survives_the_way_through_shares)
{
	for (uint64_t weight = 1; weight <= 10000; weight += weight < 200 ? 1 : 97) {
		struct lg_limit_set set = { .mask = 1u << LG_LIMIT_CPU_WEIGHT };
		uint64_t got = 0;

		set.value[LG_LIMIT_CPU_WEIGHT] = weight;
		put("cpu.shares", "");
		ck_assert_int_eq(lg_limits_apply(&host, "101", &set, NULL), 0);
		ck_assert_int_eq(lg_limit_read(&host, "101", LG_LIMIT_CPU_WEIGHT, &got, NULL),
				 0);
		ck_assert_uint_eq(got, weight);
	}
}
END_TEST

START_TEST(v1_memory_and_swap_are_written_together)
{
	struct lg_limit_set set = { .mask = MEM | SWP };
	uint64_t got = 0;

	/* As long as what replaces them: a folder's files do not shrink by a write. */
	put("memory.limit_in_bytes", "268435456");
	put("memory.memsw.limit_in_bytes", "402653184");
	set.value[LG_LIMIT_MEMORY] = 512 * M;
	set.value[LG_LIMIT_SWAP] = 256 * M;
	ck_assert_int_eq(lg_limits_apply(&host, "101", &set, NULL), 0);
	holds("memory.limit_in_bytes", "536870912");
	holds("memory.memsw.limit_in_bytes", "805306368");
	ck_assert_int_eq(lg_limit_read(&host, "101", LG_LIMIT_SWAP, &got, NULL), 0);
	ck_assert_uint_eq(got, 256 * M);
}
END_TEST

START_TEST(v1_without_swap_accounting_refuses_only_a_swap_limit)
{
	struct lg_limit_set set = { .mask = MEM | SWP };
	struct lg_err err = { 0 };

	put("memory.limit_in_bytes", "268435456");
	set.value[LG_LIMIT_MEMORY] = 512 * M;
	set.value[LG_LIMIT_SWAP] = U;
	ck_assert_int_eq(lg_limits_apply(&host, "101", &set, &err), 0);
	holds("memory.limit_in_bytes", "536870912");
	ck_assert_int_eq(err.code, 0);
	set.value[LG_LIMIT_SWAP] = 0;
	ck_assert_int_eq(lg_limits_apply(&host, "101", &set, &err), -EOPNOTSUPP);
	ck_assert_ptr_nonnull(strstr(err.msg, "swap of 101"));
}
END_TEST

START_TEST(a_missing_controller_refuses_only_a_limit)
{
	struct lg_limit_set set = { .mask = 1u << LG_LIMIT_TASKS };
	struct lg_err err = { 0 };
	uint64_t got = 42;

	host.ctl[LG_CG_PIDS].top = -1;
	set.value[LG_LIMIT_TASKS] = U;
	ck_assert_int_eq(lg_limits_apply(&host, "101", &set, &err), 0);
	ck_assert_int_eq(err.code, 0);
	set.value[LG_LIMIT_TASKS] = 10;
	ck_assert_int_eq(lg_limits_apply(&host, "101", &set, &err), -EOPNOTSUPP);
	ck_assert_ptr_nonnull(strstr(err.msg, "tasks of 101"));
	ck_assert_ptr_nonnull(strstr(err.msg, "pids"));
	ck_assert_int_eq(lg_limit_read(&host, "101", LG_LIMIT_TASKS, &got, &err), -EOPNOTSUPP);
	ck_assert_uint_eq(got, 42);
}
END_TEST

START_TEST(a_missing_file_is_told_from_a_missing_cgroup)
{
	struct lg_limit_set set = { .mask = SWP };
	struct lg_err err = { 0 };

	set.value[LG_LIMIT_SWAP] = U;
	ck_assert_int_eq(lg_limits_apply(&host, "101", &set, &err), 0);
	ck_assert_int_eq(err.code, 0);
	set.value[LG_LIMIT_SWAP] = 0;
	ck_assert_int_eq(lg_limits_apply(&host, "101", &set, &err), -EOPNOTSUPP);
	ck_assert_ptr_nonnull(strstr(err.msg, "memory.swap.max"));
	ck_assert_int_eq(lg_limits_apply(&host, "104", &set, &err), -ENOENT);
	ck_assert_ptr_nonnull(strstr(err.msg, "not running"));
}
END_TEST

START_TEST(only_limits_of_the_mask_are_written)
{
	struct lg_limit_set set = { .mask = MEM };

	put("memory.max", "");
	put("pids.max", "as before");
	put("cpu.max", "as before");
	ck_assert_int_eq(lg_limits_apply(&host, "101", &set, NULL), 0);
	holds("memory.max", "0");
	holds("pids.max", "as before");
	holds("cpu.max", "as before");
}
END_TEST

START_TEST(a_cpu_quota_of_another_period_is_read_as_percent)
{
	uint64_t got = 0;

	put("cpu.max", "125000 50000\n");
	ck_assert_int_eq(lg_limit_read(&host, "101", LG_LIMIT_CPU, &got, NULL), 0);
	ck_assert_uint_eq(got, 250);
	put("cpu.max", "125000\n");
	ck_assert_int_eq(lg_limit_read(&host, "101", LG_LIMIT_CPU, &got, NULL), -EINVAL);
	put("cpu.max", "125000 0\n");
	ck_assert_int_eq(lg_limit_read(&host, "101", LG_LIMIT_CPU, &got, NULL), -ERANGE);
	ck_assert_uint_eq(got, 250);
}
END_TEST

static void add_pure(Suite *suite)
{
	TCase *tc = tcase_create("pure");

	tcase_add_loop_test(tc, a_process_path_is_found_per_hierarchy, 0, ARRAY_SIZE(paths));
	tcase_add_loop_test(tc, the_cgroup2_mount_is_found_in_mountinfo, 0,
			    ARRAY_SIZE(mountinfos));
	tcase_add_test(tc, kernel_texts_are_read_exactly);
	tcase_add_loop_test(tc, only_harmless_names_become_directories, 0, ARRAY_SIZE(names));
	tcase_add_loop_test(tc, v1_memory_never_passes_memory_and_swap, 0, ARRAY_SIZE(plans));
	suite_add_tcase(suite, tc);
}

static void add_unified(Suite *suite)
{
	TCase *tc = tcase_create("unified");

	tcase_add_checked_fixture(tc, make_folders, remove_folders);
	tcase_add_loop_test(tc, unified_files_hold_what_was_asked_for, 0, ARRAY_SIZE(formats));
	tcase_add_test(tc, a_missing_controller_refuses_only_a_limit);
	tcase_add_test(tc, a_missing_file_is_told_from_a_missing_cgroup);
	tcase_add_test(tc, only_limits_of_the_mask_are_written);
	tcase_add_test(tc, a_cpu_quota_of_another_period_is_read_as_percent);
	suite_add_tcase(suite, tc);
}

static void add_hybrid(Suite *suite)
{
	TCase *tc = tcase_create("hybrid");

	tcase_add_checked_fixture(tc, make_folders_v1, remove_folders);
	tcase_add_loop_test(tc, v1_files_hold_what_was_asked_for, 0, ARRAY_SIZE(formats));
	tcase_add_test(tc, every_weight_survives_the_way_through_shares);
	tcase_add_test(tc, v1_memory_and_swap_are_written_together);
	tcase_add_test(tc, v1_without_swap_accounting_refuses_only_a_swap_limit);
	suite_add_tcase(suite, tc);
}

int main(void)
{
	Suite *suite = suite_create("cgroup");
	SRunner *sr;
	int failures;

	add_pure(suite);
	add_unified(suite);
	add_hybrid(suite);
	sr = srunner_create(suite);
	srunner_run_all(sr, CK_ENV);
	failures = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failures ? 1 : 0;
}
