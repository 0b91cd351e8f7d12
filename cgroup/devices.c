/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cgroup/devices.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/cleanup.h"

#define RW (LG_DEVICE_READ | LG_DEVICE_WRITE)
#define KEPT_MAX 16u

/* clang-format off */
static const struct {
	struct lg_device_rule rule;
	const char *why;
} usual[] = {
	{ { 'c', 1, 3, RW },	"null" },
	{ { 'c', 1, 5, RW },	"zero" },
	{ { 'c', 1, 7, RW },	"full" },
	{ { 'c', 1, 8, RW },	"random" },
	{ { 'c', 1, 9, RW },	"urandom" },
	{ { 'c', 5, 0, RW },	"tty: the process's own terminal" },
	{ { 'c', 5, 2, RW },	"ptmx: of a devpts of its own; /dev/console is one of its terminals" },
	{ { 'c', 136, LG_DEVICE_ANY, RW }, "pts" },
	{ { 'c', 0, 0, LG_DEVICE_MKNOD }, "no device: how overlay marks a file as removed" },
};
/* clang-format on */

void lg_device_rules_init(struct lg_device_rules *rules)
{
	memset(rules, 0, sizeof(*rules));	/* padding is compared, too */
	for (size_t i = 0; i < ARRAY_SIZE(usual); i++)
		lg_device_rules_add(rules, &usual[i].rule);
}

static bool is_same_device(const struct lg_device_rule *a, const struct lg_device_rule *b)
{
	return a->kind == b->kind && a->major == b->major && a->minor == b->minor;
}

int lg_device_rules_add(struct lg_device_rules *rules, const struct lg_device_rule *rule)
{
	struct lg_device_rule *to;
	size_t i = 0;

	while (i < rules->n && !is_same_device(&rules->rule[i], rule))
		i++;
	if (i == LG_DEVICE_RULES_MAX)
		return -E2BIG;
	to = &rules->rule[i];
	if (i == rules->n) {
		if (!rule->access)
			return 0;
		rules->n++;
	}
	to->kind = rule->kind;
	to->major = rule->major;
	to->minor = rule->minor;
	to->access = rule->access;
	return 0;
}

/* ---- the program ---- */

enum reg { R_ANSWER, R_CONTEXT, R_KIND, R_ACCESS, R_MAJOR, R_MINOR };
#define R_SCRATCH R_CONTEXT	/* all of it is read by then */

static struct bpf_insn load(enum reg to, size_t at)
{
	return (struct bpf_insn){ .code = BPF_LDX | BPF_MEM | BPF_W, .dst_reg = to & 15,
				  .src_reg = R_CONTEXT, .off = (short)at };
}

static struct bpf_insn with_number(unsigned int code, enum reg reg, uint32_t number)
{
	return (struct bpf_insn){ .code = (unsigned char)(code | BPF_K), .dst_reg = reg & 15,
				  .imm = (int)number };
}

static struct bpf_insn move(enum reg to, enum reg from)
{
	return (struct bpf_insn){ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = to & 15,
				  .src_reg = from & 15 };
}

#define UNLESS_EQUAL (BPF_JMP32 | BPF_JNE)	/* its offset is set when the rule's end is known */

/* A rule that does not fit jumps behind itself; one that fits answers yes. */
static size_t build_rule(const struct lg_device_rule *rule, struct bpf_insn *insns)
{
	size_t n = 0;

	if (rule->kind != 'a')
		insns[n++] = with_number(UNLESS_EQUAL, R_KIND,
					 rule->kind == 'b' ? BPF_DEVCG_DEV_BLOCK :
							     BPF_DEVCG_DEV_CHAR);
	if (rule->major != LG_DEVICE_ANY)
		insns[n++] = with_number(UNLESS_EQUAL, R_MAJOR, rule->major);
	if (rule->minor != LG_DEVICE_ANY)
		insns[n++] = with_number(UNLESS_EQUAL, R_MINOR, rule->minor);
	/* Is anything asked for that it does not have? */
	insns[n++] = move(R_SCRATCH, R_ACCESS);
	insns[n++] = with_number(BPF_ALU64 | BPF_AND, R_SCRATCH, ~rule->access & LG_DEVICE_ALL);
	insns[n++] = with_number(UNLESS_EQUAL, R_SCRATCH, 0);
	insns[n++] = with_number(BPF_ALU64 | BPF_MOV, R_ANSWER, 1);
	insns[n++] = (struct bpf_insn){ .code = BPF_JMP | BPF_EXIT };
	for (size_t i = 0; i < n; i++)
		if (insns[i].code == (UNLESS_EQUAL | BPF_K))
			insns[i].off = (short)(n - i - 1);
	return n;
}

size_t lg_device_rules_build(const struct lg_device_rules *rules, struct bpf_insn *insns)
{
	size_t n = 0;

	/* access_type holds both: the access above, the kind in the low 16 bits. */
	insns[n++] = load(R_KIND, offsetof(struct bpf_cgroup_dev_ctx, access_type));
	insns[n++] = load(R_MAJOR, offsetof(struct bpf_cgroup_dev_ctx, major));
	insns[n++] = load(R_MINOR, offsetof(struct bpf_cgroup_dev_ctx, minor));
	insns[n++] = move(R_ACCESS, R_KIND);
	insns[n++] = with_number(BPF_ALU64 | BPF_RSH, R_ACCESS, 16);
	insns[n++] = with_number(BPF_ALU64 | BPF_AND, R_KIND, 0xffff);
	for (size_t i = 0; i < rules->n; i++)
		if (rules->rule[i].access)
			n += build_rule(&rules->rule[i], insns + n);
	insns[n++] = with_number(BPF_ALU64 | BPF_MOV, R_ANSWER, 0);
	insns[n++] = (struct bpf_insn){ .code = BPF_JMP | BPF_EXIT };
	return n;
}

/* ---- the kernel ---- */

/* Most containers of a host have the same rules: their program is loaded once. */
static struct kept {
	struct lg_device_rules rules;
	int fd;
} kept[KEPT_MAX];
static size_t nkept, next;

static int load_program(const struct lg_device_rules *rules)
{
	static const char license[] = "GPL";
	struct bpf_insn insns[LG_DEVICE_INSNS_MAX];
	union bpf_attr attr;
	long fd;

	memset(&attr, 0, sizeof(attr));
	attr.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
	attr.insn_cnt = (uint32_t)lg_device_rules_build(rules, insns);
	attr.insns = (uint64_t)(uintptr_t)insns;
	attr.license = (uint64_t)(uintptr_t)license;
	memcpy(attr.prog_name, "lodge_devices", sizeof("lodge_devices"));
	fd = syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof(attr));
	return fd < 0 ? -errno : (int)fd;
}

static bool same_rules(const struct lg_device_rules *a, const struct lg_device_rules *b)
{
	size_t i = 0;

	while (a->n == b->n && i < a->n && a->rule[i].kind == b->rule[i].kind &&
	       a->rule[i].major == b->rule[i].major && a->rule[i].minor == b->rule[i].minor &&
	       a->rule[i].access == b->rule[i].access)
		i++;
	return a->n == b->n && i == a->n;
}

static int find_program(const struct lg_device_rules *rules)
{
	struct kept *slot;
	int fd;

	for (size_t i = 0; i < nkept; i++)
		if (same_rules(&kept[i].rules, rules))
			return kept[i].fd;
	fd = load_program(rules);
	if (fd < 0)
		return fd;
	/* The kernel keeps what is attached; the oldest of ours makes room. */
	slot = &kept[next];
	next = (next + 1) % KEPT_MAX;
	if (nkept < KEPT_MAX)
		nkept++;
	else
		close(slot->fd);
	memcpy(&slot->rules, rules, sizeof(*rules));
	slot->fd = fd;
	return fd;
}

/*
 * Attached without flags: it takes the place of what was attached so before, in one step, and nobody below
 * can attach another. What the host has attached further up counts as well.
 */
static int attach(int cgroup, int program)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.target_fd = (uint32_t)cgroup;
	attr.attach_bpf_fd = (uint32_t)program;
	attr.attach_type = BPF_CGROUP_DEVICE;
	return syscall(SYS_bpf, BPF_PROG_ATTACH, &attr, sizeof(attr)) < 0 ? -errno : 0;
}

int lg_device_rules_attach(struct lg_cg_host *host, const char *name,
			   const struct lg_device_rules *rules, struct lg_err *err)
{
	lg_autoclose int cgroup = lg_cg_open(host, name, false, err);
	int r;

	if (cgroup < 0)
		return cgroup;
	r = find_program(rules);
	if (r >= 0)
		r = attach(cgroup, r);
	return r < 0 ? lg_fail(err, r, "attach the device rules of %s", name) : 0;
}
