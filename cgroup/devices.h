/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_CGROUP_DEVICES_H
#define LG_CGROUP_DEVICES_H

/*
 * Which devices the processes of a cgroup may open, whatever nodes they get hold of: a program of type
 * BPF_PROG_TYPE_CGROUP_DEVICE on the cgroup2 directory (also where the controllers are v1's). The
 * first wall is that a container cannot make nodes; this is the one behind it.
 */

#include <linux/bpf.h>
#include <stddef.h>

#include "cgroup/cgroup.h"
#include "lib/devices.h"

#define LG_DEVICE_RULES_MAX 96u
#define LG_DEVICE_INSNS_MAX (LG_DEVICE_RULES_MAX * 9u + 8u)

struct lg_device_rules {
	struct lg_device_rule rule[LG_DEVICE_RULES_MAX];
	size_t n;
};

/** lg_device_rules_init() - the rules every container has: its harmless nodes, its terminals. */
void lg_device_rules_init(struct lg_device_rules *rules);

/**
 * lg_device_rules_add() - one more; access "none" takes away what was there for exactly that device
 * Return: 0; -E2BIG.
 */
int lg_device_rules_add(struct lg_device_rules *rules, const struct lg_device_rule *rule);

/**
 * lg_device_rules_build() - the program's instructions (exported for the tests)
 * @insns:	room for LG_DEVICE_INSNS_MAX
 * Return: how many.
 */
size_t lg_device_rules_build(const struct lg_device_rules *rules, struct bpf_insn *insns);

/**
 * lg_device_rules_attach() - from now on only these, in place of what was attached before
 * @name:	the instance's cgroup
 *
 * The program is loaded once per distinct list and kept. Files that are open stay open. Return: 0;
 * -EPERM, -ENOSYS, -EINVAL where this kernel or what lodged runs in does not let it.
 */
int lg_device_rules_attach(struct lg_cg_host *host, const char *name,
			   const struct lg_device_rules *rules, struct lg_err *err);

#endif
