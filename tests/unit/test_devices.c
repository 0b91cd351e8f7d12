/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cgroup/devices.h"
#include "lib/cleanup.h"
#include "lib/devices.h"

/* ---- lists as people write them ---- */

static const struct {
	const char *in, *out;	/* NULL: refused */
} names[] = {
	{ "/dev/fuse", "fuse:rw" },
	{ "fuse:r", "fuse:r" },
	{ "/dev/fuse:rwm /dev/net/tun", "fuse:rwm net/tun:rw" },
	{ "fuse:rwq,net/tun:q", "fuse:rw net/tun:none" },
	{ "fuse:none", "fuse:none" },
	{ "disk/by-path/pci-0000:00:1f.2-ata-1", "disk/by-path/pci-0000:00:1f.2-ata-1:rw" },
	{ "disk/by-path/pci-0000:00:1f.2-ata-1:r", "disk/by-path/pci-0000:00:1f.2-ata-1:r" },
	{ "", "" },
	{ "/dev/", NULL },
	{ "/etc/passwd", NULL },
	{ "../etc/passwd", NULL },
	{ "/dev/dri/../../etc", NULL },
	{ "net//tun", NULL },
	{ "net/", NULL },
	{ "./sda", NULL },
	{ "null", NULL },
	{ "/dev/pts/1", NULL },
	{ "console", NULL },
	{ "ptsx", "ptsx:rw" },
	{ "a$b", NULL },
};

START_TEST(names_read_back_as_the_conf_file_has_them)
{
	lg_autofree char *text = NULL;
	struct lg_err err = { 0 };
	int r = lg_devices_format_names(names[_i].in, &text, &err);

	ck_assert_msg(r == (names[_i].out ? 0 : -EINVAL), "'%s': %d %s", names[_i].in, r, err.msg);
	if (names[_i].out)
		ck_assert_str_eq(text, names[_i].out);
}
END_TEST

static const struct {
	const char *in, *out;
} numbers[] = {
	{ "c:10:229:rw", "c:10:229:rw" },
	{ "b:8:all:r,c:1:2:rwq", "b:8:all:r c:1:2:rw" },
	{ "b:8:0:none", "b:8:0:none" },
	{ "", "" },
	{ "a:1:1:rw", NULL },
	{ "c:10:229", NULL },
	{ "c:10:229:", NULL },
	{ "c:10:229:rw:x", NULL },
	{ "c:4096:0:rw", NULL },
	{ "c:1:1048576:rw", NULL },
	{ "c:all:1:rw", NULL },
	{ "c:-1:1:rw", NULL },
};

START_TEST(numbers_read_back_as_the_conf_file_has_them)
{
	lg_autofree char *text = NULL;
	struct lg_err err = { 0 };
	int r = lg_devices_format_rules(numbers[_i].in, &text, &err);

	ck_assert_msg(r == (numbers[_i].out ? 0 : -EINVAL), "'%s': %d %s", numbers[_i].in, r,
		      err.msg);
	if (numbers[_i].out)
		ck_assert_str_eq(text, numbers[_i].out);
}
END_TEST

/* ---- the program, run by a machine that knows the instructions it is made of ---- */

static int run(const struct bpf_insn *insns, size_t n, const struct bpf_cgroup_dev_ctx *ctx)
{
	uint64_t reg[10] = { 0 };

	for (size_t pc = 0; pc < n; pc++) {
		const struct bpf_insn *i = &insns[pc];

		switch (i->code) {
		case BPF_LDX | BPF_MEM | BPF_W:
			ck_assert_uint_eq(i->src_reg, 1);
			reg[i->dst_reg] = *(const uint32_t *)((const char *)ctx + i->off);
			break;
		case BPF_ALU64 | BPF_MOV | BPF_X:
			reg[i->dst_reg] = reg[i->src_reg];
			break;
		case BPF_ALU64 | BPF_MOV | BPF_K:
			reg[i->dst_reg] = (uint64_t)(int64_t)i->imm;
			break;
		case BPF_ALU64 | BPF_AND | BPF_K:
			reg[i->dst_reg] &= (uint64_t)(int64_t)i->imm;
			break;
		case BPF_ALU64 | BPF_RSH | BPF_K:
			reg[i->dst_reg] >>= i->imm;
			break;
		case BPF_JMP32 | BPF_JNE | BPF_K:
			if ((uint32_t)reg[i->dst_reg] != (uint32_t)i->imm)
				pc += (size_t)i->off;
			break;
		case BPF_JMP | BPF_EXIT:
			return (int)reg[0];
		default:
			ck_abort_msg("instruction %zu has code 0x%x", pc, i->code);
		}
	}
	ck_abort_msg("ran past the end");
}

#define C BPF_DEVCG_DEV_CHAR
#define B BPF_DEVCG_DEV_BLOCK
#define R BPF_DEVCG_ACC_READ
#define W BPF_DEVCG_ACC_WRITE
#define M BPF_DEVCG_ACC_MKNOD

static const struct lg_device_rule given[] = {
	{ 'c', 10, 229, LG_DEVICE_READ | LG_DEVICE_WRITE },
	{ 'b', 8, LG_DEVICE_ANY, LG_DEVICE_READ },
	{ 'b', 7, 0, LG_DEVICE_ALL },
	{ 'c', 5, 2, 0 },			/* taken away */
};

static const struct {
	unsigned int kind, major, minor, access;
	int want;
} asked[] = {
	{ C, 1, 3, R | W, 1 },	   { C, 1, 3, M, 0 },	     { C, 1, 1, R, 0 },
	{ B, 1, 3, R, 0 },	   { C, 136, 77, R | W, 1 }, { C, 0, 0, M, 1 },
	{ C, 0, 0, R, 0 },	   { C, 10, 229, W, 1 },     { C, 10, 229, R | W, 1 },
	{ C, 10, 229, R | M, 0 },  { C, 10, 230, R, 0 },     { B, 10, 229, R, 0 },
	{ B, 8, 0, R, 1 },	   { B, 8, 17, R, 1 },	     { B, 8, 17, R | W, 0 },
	{ C, 8, 0, R, 0 },	   { B, 7, 0, R | W | M, 1 }, { B, 7, 1, R, 0 },
	{ C, 5, 2, R, 0 },	   { C, 5, 0, R | W, 1 },    { C, 5, 1, R, 0 },
	{ B, 253, 0, R, 0 },	   { C, 10, 232, R | W, 0 },
};

static size_t build(struct bpf_insn *insns)
{
	struct lg_device_rules rules;

	lg_device_rules_init(&rules);
	for (size_t i = 0; i < ARRAY_SIZE(given); i++)
		ck_assert_int_eq(lg_device_rules_add(&rules, &given[i]), 0);
	return lg_device_rules_build(&rules, insns);
}

START_TEST(the_program_allows_what_is_listed_and_nothing_else)
{
	struct bpf_insn insns[LG_DEVICE_INSNS_MAX];
	struct bpf_cgroup_dev_ctx ctx = { .access_type = asked[_i].access << 16 | asked[_i].kind,
					  .major = asked[_i].major, .minor = asked[_i].minor };
	size_t n = build(insns);

	ck_assert_msg(run(insns, n, &ctx) == asked[_i].want, "kind %u %u:%u access %u",
		      asked[_i].kind, asked[_i].major, asked[_i].minor, asked[_i].access);
}
END_TEST

START_TEST(the_kernel_takes_the_program)
{
	struct bpf_insn insns[LG_DEVICE_INSNS_MAX];
	static char log[1 << 20];
	union bpf_attr attr;
	long fd;

	memset(&attr, 0, sizeof(attr));
	attr.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
	attr.insn_cnt = (uint32_t)build(insns);
	attr.insns = (uint64_t)(uintptr_t)insns;
	attr.license = (uint64_t)(uintptr_t)"GPL";
	attr.log_buf = (uint64_t)(uintptr_t)log;
	attr.log_size = sizeof(log);
	attr.log_level = 1;
	fd = syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof(attr));
	if (fd < 0 && (errno == EPERM || errno == ENOSYS))
		return;	/* not as root: the machine above has run it */
	ck_assert_msg(fd >= 0, "%s: %s", strerror(errno), log);
	close((int)fd);
}
END_TEST

START_TEST(a_full_list_still_fits_and_one_more_does_not)
{
	static struct bpf_insn insns[LG_DEVICE_INSNS_MAX];
	struct lg_device_rules rules;
	struct lg_device_rule rule = { 'b', 200, 0, LG_DEVICE_READ };
	size_t n;

	lg_device_rules_init(&rules);
	while (lg_device_rules_add(&rules, &rule) == 0)
		rule.minor++;
	ck_assert_uint_eq(rules.n, LG_DEVICE_RULES_MAX);
	n = lg_device_rules_build(&rules, insns);
	ck_assert_uint_le(n, LG_DEVICE_INSNS_MAX);
	/* What is in already can be changed even so. */
	rule.minor = 0;
	ck_assert_int_eq(lg_device_rules_add(&rules, &rule), 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("devices");
	TCase *tc = tcase_create("devices");
	SRunner *sr;
	int failures;

	tcase_add_loop_test(tc, names_read_back_as_the_conf_file_has_them, 0, ARRAY_SIZE(names));
	tcase_add_loop_test(tc, numbers_read_back_as_the_conf_file_has_them, 0,
			    ARRAY_SIZE(numbers));
	tcase_add_loop_test(tc, the_program_allows_what_is_listed_and_nothing_else, 0,
			    ARRAY_SIZE(asked));
	tcase_add_test(tc, the_kernel_takes_the_program);
	tcase_add_test(tc, a_full_list_still_fits_and_one_more_does_not);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failures = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failures ? 1 : 0;
}
