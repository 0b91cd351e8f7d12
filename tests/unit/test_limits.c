/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Limits by disk, CPUs, huge pages and guarantees, on folders that play cgroups and /sys. */

#include "cgroup/limits.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "lib/bits.h"
#include "lib/cleanup.h"
#include "lib/parse.h"
#include "tests/unit/test_cgroup_folders.h"

/* ---- sets ---- */

static const struct {
	const char *text;
	int want;
	unsigned int count;
	const char *again;
} sets[] = {
	{ "0-2,7", 0, 4, "0-2,7" }, { "7,0,1,2\n", 0, 4, "0-2,7" }, { "", 0, 0, "" },
	{ "\n", 0, 0, "" },	    { "8191", 0, 1, "8191" },	    { "63-65", 0, 3, "63-65" },
	{ "8192", -ERANGE, 0, NULL }, { "1-", -EINVAL, 0, NULL },   { "2-1", -EINVAL, 0, NULL },
	{ "1,", -EINVAL, 0, NULL },   { ",1", -EINVAL, 0, NULL },   { "1 2", -EINVAL, 0, NULL },
	{ "-1", -EINVAL, 0, NULL },   { "1\n2", -EINVAL, 0, NULL }, { "x", -EINVAL, 0, NULL },
	{ "99999999999999999999", -ERANGE, 0, NULL },
};

START_TEST(a_set_is_read_and_written_in_its_shortest_form)
{
	struct lg_bits bits, before;
	char text[LG_BITS_TEXT];

	memset(&bits, 0x55, sizeof(bits));
	before = bits;
	ck_assert_int_eq(lg_bits_parse(sets[_i].text, &bits), sets[_i].want);
	if (sets[_i].want) {
		ck_assert(lg_bits_equal(&bits, &before));
		return;
	}
	ck_assert_uint_eq(lg_bits_count(&bits), sets[_i].count);
	ck_assert_int_eq(lg_bits_format(&bits, text, sizeof(text)), 0);
	ck_assert_str_eq(text, sets[_i].again);
	if (sets[_i].count > 1)
		ck_assert_int_eq(lg_bits_format(&bits, text, 3), -ENOSPC);
}
END_TEST

/* ---- folders ---- */

static int sys = -1;

static void setup(void)
{
	make_folders();
	run("mkdir -p sys/dev/block");
}

static void setup_v1(void)
{
	make_folders_v1();
	run("mkdir -p sys/dev/block");
}

static void teardown(void)
{
	sys = lg_close(sys);
	remove_folders();
}

static void holds(const char *name, const char *file, const char *want)
{
	char text[LG_CG_TEXT];

	ck_assert_int_ge(lg_cg_read(host.v2.top, name, file, text, sizeof(text)), 0);
	ck_assert_msg(strcmp(text, want) == 0, "%s/%s holds '%s', not '%s'", name, file, text,
		      want);
}

/* ---- which disk ---- */

static void make_disks(void)
{
	char path[64];

	run("cd sys && mkdir -p devices/sda/sda1 devices/sdb/queue devices/dm-0/slaves "
	    "devices/dm-1/slaves devices/md0/slaves devices/sda/queue && "
	    "echo 8:0 >devices/sda/dev && echo 8:1 >devices/sda/sda1/dev && "
	    "echo 1 >devices/sda/sda1/partition && echo 8:16 >devices/sdb/dev && "
	    "echo 253:0 >devices/dm-0/dev && echo 9:0 >devices/md0/dev && "
	    "ln -s ../../sda/sda1 devices/dm-0/slaves/sda1 && "
	    "ln -s ../../dm-0 devices/md0/slaves/dm-0 && ln -s ../../sdb devices/md0/slaves/sdb && "
	    "ln -s ../../dm-1 devices/dm-1/slaves/dm-1 && echo 253:1 >devices/dm-1/dev");
	run("cd sys/dev/block && ln -s ../../devices/sda 8:0 && ln -s ../../devices/sda/sda1 8:1 && "
	    "ln -s ../../devices/sdb 8:16 && ln -s ../../devices/dm-0 253:0 && "
	    "ln -s ../../devices/dm-1 253:1 && ln -s ../../devices/md0 9:0");
	snprintf(path, sizeof(path), "%s/sys/dev/block", folder);
	sys = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_ge(sys, 0);
}

START_TEST(a_partition_is_its_disk_and_a_stacked_device_itself)
{
	struct lg_io_devs devs = { .n = 0 };
	struct lg_err err = { 0 };
	char text[128];

	make_disks();
	ck_assert_int_eq(lg_io_add_whole(sys, 8, 1, &devs, &err), 0);
	ck_assert_int_eq(lg_io_add_whole(sys, 8, 0, &devs, &err), 0);
	ck_assert_uint_eq(devs.n, 1);
	ck_assert_int_eq(lg_io_add_whole(sys, 9, 0, &devs, &err), 0);
	lg_io_describe(&devs, text, sizeof(text));
	ck_assert_str_eq(text, "8:0 (sda), 9:0 (md0)");
	ck_assert(lg_io_is(&devs, 9, 0) && !lg_io_is(&devs, 8, 1));
	ck_assert_int_eq(lg_io_add_whole(sys, 7, 7, &devs, &err), -ENOENT);
	ck_assert_ptr_nonnull(strstr(err.msg, "7:7"));
}
END_TEST

START_TEST(the_disks_below_are_found_and_a_ring_ends)
{
	struct lg_io_dev md = { 9, 0, "md0" }, ring = { 253, 1, "dm-1" }, disk = { 8, 16, "sdb" };
	struct lg_io_dev ret[LG_IO_DEVS_MAX];
	unsigned int n;

	make_disks();
	n = lg_io_leaves(sys, &md, ret, LG_IO_DEVS_MAX);
	ck_assert_uint_eq(n, 2);
	ck_assert(strcmp(ret[0].name, "sda") == 0 || strcmp(ret[1].name, "sda") == 0);
	ck_assert(strcmp(ret[0].name, "sdb") == 0 || strcmp(ret[1].name, "sdb") == 0);
	ck_assert_uint_eq(lg_io_leaves(sys, &md, ret, 1), 1);
	ck_assert_uint_eq(lg_io_leaves(sys, &disk, ret, LG_IO_DEVS_MAX), 1);
	ck_assert_str_eq(ret[0].name, "sdb");
	ck_assert_uint_eq(lg_io_leaves(sys, &ring, ret, LG_IO_DEVS_MAX), 1);
}
END_TEST

START_TEST(a_mount_is_found_by_its_number)
{
	static const char text[] =
		"22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n"
		"23 22 0:33 /@ /srv rw - btrfs /dev/sdb2 rw,subvol=/@\n"
		"24 22 0:34 / /tank rw - zfs tank/ct rw\n"
		"25 22 0:35 / /x\\040- rw shared:7 master:1 - tmpfs tmpfs rw\n26 22 no separator\n";
	char type[32], source[256];

	ck_assert_int_eq(lg_io_mount_of(text, 23, type, source), 0);
	ck_assert_str_eq(type, "btrfs");
	ck_assert_str_eq(source, "/dev/sdb2");
	ck_assert_int_eq(lg_io_mount_of(text, 25, type, source), 0);
	ck_assert_str_eq(type, "tmpfs");
	ck_assert_int_eq(lg_io_mount_of(text, 22, type, source), 0);
	ck_assert_str_eq(source, "/dev/vda");
	ck_assert_int_eq(lg_io_mount_of(text, 2, type, source), -ENOENT);
	ck_assert_int_eq(lg_io_mount_of(text, 26, type, source), -ENOENT);
}
END_TEST

START_TEST(what_is_on_no_disk_is_refused_with_the_reason)
{
	struct lg_io_devs devs = { .n = 0 };
	struct lg_err err = { 0 };

	ck_assert_int_eq(lg_io_find("/proc/self", &devs, &err), -EOPNOTSUPP);
	ck_assert_ptr_nonnull(strstr(err.msg, "proc"));
	ck_assert_uint_eq(devs.n, 0);
	ck_assert_int_eq(lg_io_find("/no/such", &devs, &err), -ENOENT);
}
END_TEST

/* ---- limits of disks ---- */

static struct lg_io_devs two = {
	.dev = { { 8, 0, "sda" }, { 8, 16, "sdb" } }, .n = 2, .writeback = true,
};
static char notes[2][LG_EFFECT_MAX];
static unsigned int nnotes;

static void take_note(const char *line, void *arg)
{
	(void)arg;
	if (nnotes < ARRAY_SIZE(notes))
		snprintf(notes[nnotes], LG_EFFECT_MAX, "%s", line);
	nnotes++;
}

static struct lg_limit_set limit_of(enum lg_limit_id id, uint64_t value)
{
	struct lg_limit_set set = { .mask = 1u << id, .devs = &two, .note = take_note };

	nnotes = 0;
	set.value[id] = value;
	return set;
}

/* A folder's file shows the last line written to it, as a v1 file of one device does. */
START_TEST(a_rate_is_written_for_every_disk_and_read_back)
{
	struct lg_limit_set set = limit_of(LG_LIMIT_IO_READ, 1048576);
	struct lg_err err = { 0 };
	uint64_t got = 0;

	two.n = 1;
	run("printf '8:0 5000000' >top/101/blkio.throttle.read_bps_device");
	ck_assert_int_eq(lg_limits_apply(&host, "101", &set, &err), 0);
	holds("101", "blkio.throttle.read_bps_device", "8:0 1048576");
	ck_assert_int_eq(lg_limit_read(&host, "101", LG_LIMIT_IO_READ, &got, NULL), 0);
	ck_assert_uint_eq(got, 1048576);
	ck_assert_uint_eq(nnotes, 0);
	set = limit_of(LG_LIMIT_IO_READ, LG_UNLIMITED);
	set.devs = NULL;	/* lifted wherever it is */
	ck_assert_int_eq(lg_limits_apply(&host, "101", &set, &err), 0);
	holds("101", "blkio.throttle.read_bps_device", "8:0 0048576");
	two.n = 2;
}
END_TEST

START_TEST(a_rate_that_does_not_come_back_is_refused)
{
	struct lg_limit_set set = limit_of(LG_LIMIT_IO_READ, 1048576);
	struct lg_err err = { 0 };

	/* What a folder's file had behind the new text stays: another number is read. */
	run("printf '8:0 rbps=111111111111' >top/101/io.max");
	ck_assert_int_eq(lg_limits_apply(&host, "101", &set, &err), -EOPNOTSUPP);
	ck_assert_ptr_nonnull(strstr(err.msg, "8:0 (sda)"));
	ck_assert_ptr_nonnull(strstr(err.msg, "does not show it"));
	set.devs = NULL;
	ck_assert_int_eq(lg_limits_apply(&host, "101", &set, &err), -EINVAL);
	ck_assert_ptr_nonnull(strstr(err.msg, "which disk"));
}
END_TEST

START_TEST(the_lowest_rate_of_all_disks_is_read)
{
	uint64_t got = 0;

	run("printf '8:0 rbps=100 wbps=max riops=7 wiops=max\n8:16 rbps=50 wbps=60 riops=max "
	    "wiops=max\n' >top/101/io.max");
	ck_assert_int_eq(lg_limit_read(&host, "101", LG_LIMIT_IO_READ, &got, NULL), 0);
	ck_assert_uint_eq(got, 50);
	ck_assert_int_eq(lg_limit_read(&host, "101", LG_LIMIT_IO_WRITE, &got, NULL), 0);
	ck_assert_uint_eq(got, 60);
	ck_assert_int_eq(lg_limit_read(&host, "101", LG_LIMIT_IOPS_READ, &got, NULL), 0);
	ck_assert_uint_eq(got, 7);
	ck_assert_int_eq(lg_limit_read(&host, "101", LG_LIMIT_IOPS_WRITE, &got, NULL), 0);
	ck_assert_uint_eq(got, LG_UNLIMITED);
}
END_TEST

START_TEST(what_a_limit_of_a_disk_comes_to_is_told)
{
	struct lg_limit_set set = limit_of(LG_LIMIT_IO_WRITE, 60);
	char text[LG_EFFECT_MAX];

	run("printf '8:0 rbps=max wbps=60 riops=max wiops=max\n8:16 rbps=max wbps=60 riops=max "
	    "wiops=max\n' >top/101/io.max");
	lg_limit_effect(&host, "101", &set, LG_LIMIT_IO_WRITE, text);
	ck_assert_str_eq(text, "enforced on 8:0 (sda), 8:16 (sdb)");
	two.writeback = false;
	lg_limit_effect(&host, "101", &set, LG_LIMIT_IO_WRITE, text);
	ck_assert_ptr_nonnull(strstr(text, "direct and synced writes only"));
	two.writeback = true;
	run("printf '8:0 rbps=max wbps=60 riops=max wiops=max\n' >top/101/io.max");
	lg_limit_effect(&host, "101", &set, LG_LIMIT_IO_WRITE, text);
	ck_assert_ptr_nonnull(strstr(text, "NOT enforced"));
	set.value[LG_LIMIT_IO_WRITE] = LG_UNLIMITED;
	lg_limit_effect(&host, "101", &set, LG_LIMIT_IO_WRITE, text);
	ck_assert_str_eq(text, "");
}
END_TEST

START_TEST(v1_says_which_writes_it_counts)
{
	struct lg_limit_set set = limit_of(LG_LIMIT_IO_WRITE, 4096);

	two.n = 1;
	run(": >top/101/blkio.throttle.write_bps_device");
	ck_assert_int_eq(lg_limits_apply(&host, "101", &set, NULL), 0);
	holds("101", "blkio.throttle.write_bps_device", "8:0 4096");
	ck_assert_uint_eq(nnotes, 1);
	ck_assert_ptr_nonnull(strstr(notes[0], "direct and synced"));
	two.n = 2;
}
END_TEST

START_TEST(a_promise_that_cannot_be_kept_is_no_failure)
{
	struct lg_limit_set set = limit_of(LG_LIMIT_IO_WEIGHT, 200);
	struct lg_err err = { 0 };
	char text[LG_EFFECT_MAX];

	ck_assert_int_eq(lg_limits_apply(&host, "101", &set, &err), 0);
	ck_assert_int_eq(err.code, 0);
	ck_assert_uint_ge(nnotes, 1);
	ck_assert_ptr_nonnull(strstr(notes[0], "io-priority is kept and has no effect"));
	host.ctl[LG_CG_MEMORY].top = -1;
	set = limit_of(LG_LIMIT_GUARANTEE, 4096);
	ck_assert_int_eq(lg_limits_apply(&host, "101", &set, &err), 0);
	ck_assert_ptr_nonnull(strstr(notes[0], "no memory controller"));
	lg_limit_effect(&host, "101", &set, LG_LIMIT_GUARANTEE, text);
	ck_assert_ptr_nonnull(strstr(text, "no memory controller"));
	nnotes = 0;
	ck_assert_int_eq(lg_limits_foresee(&host, "101", &set, &err), 0);
	ck_assert_uint_eq(nnotes, 1);
	/* A limit is another matter. */
	set = limit_of(LG_LIMIT_MEMORY_HIGH, 4096);
	ck_assert_int_eq(lg_limits_apply(&host, "101", &set, &err), -EOPNOTSUPP);
	host.ctl[LG_CG_IO].top = -1;
	set = limit_of(LG_LIMIT_IO_READ, 4096);
	ck_assert_int_eq(lg_limits_apply(&host, "101", &set, &err), -EOPNOTSUPP);
	ck_assert_ptr_nonnull(strstr(err.msg, "no io controller"));
	ck_assert_int_eq(lg_limits_foresee(&host, "101", &set, &err), -EOPNOTSUPP);
	set = limit_of(LG_LIMIT_IO_READ, LG_UNLIMITED);
	ck_assert_int_eq(lg_limits_foresee(&host, "101", &set, &err), 0);
	ck_assert_int_eq(lg_limits_apply(&host, "101", &set, &err), 0);
}
END_TEST

START_TEST(v1_has_a_soft_limit_and_no_guarantee)
{
	struct lg_limit_set set = limit_of(LG_LIMIT_MEMORY_HIGH, 65536);
	uint64_t got = 0;

	run(": >top/101/memory.soft_limit_in_bytes");
	ck_assert_int_eq(lg_limits_apply(&host, "101", &set, NULL), 0);
	holds("101", "memory.soft_limit_in_bytes", "65536");
	ck_assert_uint_eq(nnotes, 1);
	ck_assert_ptr_nonnull(strstr(notes[0], "soft limit"));
	run("printf 9223372036854771712 >top/101/memory.soft_limit_in_bytes");
	ck_assert_int_eq(lg_limit_read(&host, "101", LG_LIMIT_MEMORY_HIGH, &got, NULL), 0);
	ck_assert_uint_eq(got, LG_UNLIMITED);
	set = limit_of(LG_LIMIT_GUARANTEE, 65536);
	ck_assert_int_eq(lg_limits_apply(&host, "101", &set, NULL), 0);
	ck_assert_ptr_nonnull(strstr(notes[0], "cgroup v1 has no guarantee"));
}
END_TEST

/* ---- guarantees ---- */

START_TEST(those_above_are_guaranteed_the_sum)
{
	struct lg_limit_set set = limit_of(LG_LIMIT_GUARANTEE, 65536);
	struct lg_err err = { 0 };

	run("echo 0 >top/101/memory.min; echo 4096 >top/102/memory.min; printf 0 >top/memory.min");
	ck_assert_int_eq(lg_limits_apply(&host, "101", &set, &err), 0);
	holds("101", "memory.min", "65536");
	holds("", "memory.min", "69632");
	set = limit_of(LG_LIMIT_GUARANTEE, UINT64_C(1) << 60);
	ck_assert_int_eq(lg_limits_apply(&host, "101", &set, &err), -ERANGE);
	ck_assert_ptr_nonnull(strstr(err.msg, "others are guaranteed 4.0K"));
	holds("101", "memory.min", "65536");
}
END_TEST

START_TEST(a_guarantee_goes_all_the_way_up_and_lowers_only_what_is_ours)
{
	run("mkdir -p slice/lodge-containers.service && mv top slice/lodge-containers.service/lodge "
	    "&& cd slice && printf 999999 >memory.min && cd lodge-containers.service && "
	    "printf 999999 >memory.min && cd lodge && printf 999999 >memory.min && "
	    "printf 4096 >101/memory.min && printf 100000 >102/memory.min");
	snprintf(host.v2.path, sizeof(host.v2.path), "%s/slice/lodge-containers.service/lodge",
		 folder);
	lg_guarantees_pass_on(&host);
	holds("", "memory.min", "104096");
	holds("..", "memory.min", "104096");
	holds("../..", "memory.min", "999999");
	run("printf 1 >slice/memory.min");
	lg_guarantees_pass_on(&host);
	holds("../..", "memory.min", "104096");
	holds("..", "memory.min", "104096");
}
END_TEST

/* ---- CPUs ---- */

static void make_cpus(const char *all, bool v1)
{
	run("echo %s >top/%s; echo 0 >top/%s", all, v1 ? "cpuset.cpus" : "cpuset.cpus.effective",
	    v1 ? "cpuset.mems" : "cpuset.mems.effective");
	for (int i = 101; i <= 103; i++)
		run(": >top/%d/cpuset.cpus; : >top/%d/cpuset.mems", i, i);
}

START_TEST(cpus_go_round)
{
	struct lg_cpuset want = { .seen = 2 };
	struct lg_err err = { 0 };

	make_cpus("0-5", false);
	ck_assert_int_eq(lg_cpuset_apply(&host, "101", &want, &err), 0);
	holds("101", "cpuset.cpus", "0-1");
	holds("101", "cpuset.mems", "\n");
	ck_assert_int_eq(lg_cpuset_apply(&host, "102", &want, &err), 0);
	holds("102", "cpuset.cpus", "2-3");
	want.cpus = "0-3";
	run(": >top/103/cpuset.cpus");
	want.seen = 1;
	ck_assert_int_eq(lg_cpuset_apply(&host, "103", &want, &err), 0);
	holds("103", "cpuset.cpus", "0");
	/* Asked again, an instance stays where it is. */
	want = (struct lg_cpuset){ .seen = 2 };
	ck_assert_int_eq(lg_cpuset_apply(&host, "102", &want, &err), 0);
	holds("102", "cpuset.cpus", "2-3");
	/* As many as there are, or more: all. */
	run(": >top/102/cpuset.cpus");
	want.seen = 6;
	ck_assert_int_eq(lg_cpuset_apply(&host, "102", &want, &err), 0);
	holds("102", "cpuset.cpus", "\n");
}
END_TEST

START_TEST(v1_has_every_cpu_written_out)
{
	struct lg_cpuset want = { .cpus = "all", .nodes = "0" };
	struct lg_err err = { 0 };
	char text[64];

	make_cpus("0-5", true);
	ck_assert_int_eq(lg_cpuset_apply(&host, "101", &want, &err), 0);
	holds("101", "cpuset.cpus", "0-5");
	holds("101", "cpuset.mems", "0");
	ck_assert_int_eq(lg_cpuset_text(&host, "101", text, sizeof(text)), 0);
	ck_assert_str_eq(text, "0-5");
}
END_TEST

START_TEST(cpus_and_nodes_that_are_not_there_are_named)
{
	struct lg_cpuset want = { .cpus = "4-7" };
	struct lg_err err = { 0 };

	make_cpus("0-5", false);
	ck_assert_int_eq(lg_cpuset_apply(&host, "101", &want, &err), -ERANGE);
	ck_assert_ptr_nonnull(strstr(err.msg, "no CPU 6-7"));
	want = (struct lg_cpuset){ .nodes = "0-1" };
	ck_assert_int_eq(lg_cpuset_apply(&host, "101", &want, &err), -ERANGE);
	ck_assert_ptr_nonnull(strstr(err.msg, "no NUMA node 1"));
	ck_assert_int_eq(lg_cpuset_check(&host, "199", &want, &err), -ERANGE);
	want = (struct lg_cpuset){ .cpus = "0-5", .seen = 1 };
	ck_assert_int_eq(lg_cpuset_check(&host, "199", &want, &err), 0);
	want.nodes = "0-1";
	holds("101", "cpuset.cpus", "");
	host.ctl[LG_CG_CPUSET].top = -1;
	ck_assert_int_eq(lg_cpuset_apply(&host, "101", &want, &err), -EOPNOTSUPP);
	ck_assert_ptr_nonnull(strstr(err.msg, "no cpuset controller"));
	want = (struct lg_cpuset){ .cpus = "all", .nodes = "" };
	ck_assert_int_eq(lg_cpuset_apply(&host, "101", &want, &err), 0);
}
END_TEST

/* ---- huge pages ---- */

START_TEST(huge_pages_are_limited_by_size_and_reservation)
{
	struct lg_err err = { 0 };

	run("cd top/101 && for f in 2MB.max 2MB.rsvd.max 2MB.current 2MB.rsvd.current 1GB.max; do "
	    ": >hugetlb.$f; done");
	ck_assert_int_eq(lg_hugetlb_apply(&host, "101", "2MB:4M", &err), 0);
	holds("101", "hugetlb.2MB.max", "4194304");
	holds("101", "hugetlb.2MB.rsvd.max", "4194304");
	holds("101", "hugetlb.1GB.max", "max");
	holds("101", "hugetlb.2MB.current", "");
	run(": >top/101/hugetlb.1GB.max");
	ck_assert_int_eq(lg_hugetlb_apply(&host, "101", "0,2MB:8M", &err), 0);
	holds("101", "hugetlb.2MB.max", "8388608");
	holds("101", "hugetlb.1GB.max", "0");
	ck_assert_int_eq(lg_hugetlb_apply(&host, "101", "64KB:1M", &err), -EOPNOTSUPP);
	ck_assert_ptr_nonnull(strstr(err.msg, "64KB"));
	ck_assert_ptr_nonnull(strstr(err.msg, "2MB"));
	ck_assert_int_eq(lg_hugetlb_apply(&host, "104", "1M", &err), -ENOENT);
	run(": >top/hugetlb.2MB.max");
	ck_assert_int_eq(lg_hugetlb_check(&host, "199", "2MB:4M", &err), 0);
	ck_assert_int_eq(lg_hugetlb_check(&host, "199", "1GB:4M", &err), -EOPNOTSUPP);
	host.ctl[LG_CG_HUGETLB].top = -1;
	run("printf 'cpu io' >top/cgroup.subtree_control");
	ck_assert_int_eq(lg_hugetlb_apply(&host, "101", "4M", &err), 0);	/* switched on when needed */
	holds("", "cgroup.subtree_control", "+hugetlb");
	host.ctl[LG_CG_HUGETLB].top = -1;
	run("rm top/cgroup.subtree_control");
	ck_assert_int_eq(lg_hugetlb_apply(&host, "101", NULL, &err), 0);
	ck_assert_int_eq(lg_hugetlb_apply(&host, "101", "1M", &err), -EOPNOTSUPP);
	ck_assert_ptr_nonnull(strstr(err.msg, "no hugetlb controller"));
}
END_TEST

START_TEST(v1_huge_pages_have_other_names)
{
	run("cd top/101 && : >hugetlb.2MB.limit_in_bytes && : >hugetlb.2MB.rsvd.limit_in_bytes");
	ck_assert_int_eq(lg_hugetlb_apply(&host, "101", "4M", NULL), 0);
	holds("101", "hugetlb.2MB.limit_in_bytes", "4194304");
	holds("101", "hugetlb.2MB.rsvd.limit_in_bytes", "4194304");
}
END_TEST

/* ---- the OOM killer ---- */

#define G (UINT64_C(1) << 30)

static const struct {
	int priority;
	uint64_t guarantee, total;
	int adj;
} oom[] = {
	{ 0, 0, 8 * G, 0 },	  { 300, 0, 8 * G, 300 },   { -999, 0, 8 * G, -999 },
	{ 0, 4 * G, 8 * G, -500 }, { 200, 4 * G, 8 * G, -300 }, { 0, 64 * G, 8 * G, -999 },
	{ 1000, 0, 8 * G, 1000 }, { 0, 4 * G, 0, 0 },	    { 0, 1, 8 * G, 0 },
	{ 0, UINT64_MAX - 1, 8 * G, -999 },
};

START_TEST(a_guarantee_is_so_many_thousandths_of_the_host)
{
	ck_assert_int_eq(lg_oom_adj(oom[_i].priority, oom[_i].guarantee, oom[_i].total),
			 oom[_i].adj);
}
END_TEST

static void add_pure(Suite *suite)
{
	TCase *tc = tcase_create("pure");

	tcase_add_loop_test(tc, a_set_is_read_and_written_in_its_shortest_form, 0,
			    ARRAY_SIZE(sets));
	tcase_add_loop_test(tc, a_guarantee_is_so_many_thousandths_of_the_host, 0,
			    ARRAY_SIZE(oom));
	tcase_add_test(tc, a_mount_is_found_by_its_number);
	tcase_add_test(tc, what_is_on_no_disk_is_refused_with_the_reason);
	suite_add_tcase(suite, tc);
}

static void add_unified(Suite *suite)
{
	TCase *tc = tcase_create("unified");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_partition_is_its_disk_and_a_stacked_device_itself);
	tcase_add_test(tc, the_disks_below_are_found_and_a_ring_ends);
	tcase_add_test(tc, a_rate_that_does_not_come_back_is_refused);
	tcase_add_test(tc, the_lowest_rate_of_all_disks_is_read);
	tcase_add_test(tc, what_a_limit_of_a_disk_comes_to_is_told);
	tcase_add_test(tc, a_promise_that_cannot_be_kept_is_no_failure);
	tcase_add_test(tc, those_above_are_guaranteed_the_sum);
	tcase_add_test(tc, a_guarantee_goes_all_the_way_up_and_lowers_only_what_is_ours);
	tcase_add_test(tc, cpus_go_round);
	tcase_add_test(tc, cpus_and_nodes_that_are_not_there_are_named);
	tcase_add_test(tc, huge_pages_are_limited_by_size_and_reservation);
	suite_add_tcase(suite, tc);
}

static void add_hybrid(Suite *suite)
{
	TCase *tc = tcase_create("hybrid");

	tcase_add_checked_fixture(tc, setup_v1, teardown);
	tcase_add_test(tc, a_rate_is_written_for_every_disk_and_read_back);
	tcase_add_test(tc, v1_says_which_writes_it_counts);
	tcase_add_test(tc, v1_has_a_soft_limit_and_no_guarantee);
	tcase_add_test(tc, v1_has_every_cpu_written_out);
	tcase_add_test(tc, v1_huge_pages_have_other_names);
	suite_add_tcase(suite, tc);
}

int main(void)
{
	Suite *suite = suite_create("limits");
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
