/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_LIB_KIND_H
#define LG_LIB_KIND_H

/*
 * Containers and microVMs have the same settings; one row of a table says what is different for a VM: that a setting waits for the
 * next start where a container has it at once, or that it means nothing there, and why. A setting without a row is the same for both.
 */

#include <stdbool.h>
#include <stdint.h>

#include "lib/conf.h"
#include "lib/err.h"
#include "lib/settings.h"

#define LG_VM_MEMORY_DEFAULT (UINT64_C(512) << 20)
#define LG_VM_MEMORY_MIN (UINT64_C(48) << 20)	/* less does not hold kernel and initrd */
#define LG_VM_DISK_DEFAULT (UINT64_C(10) << 30)

/*
 * What a VM's cgroup may hold beyond the guest's memory: QEMU itself, its threads' stacks, the code that it translates where there
 * is no KVM, and the kernel's page tables for the guest.
 */
#define LG_VM_OVERHEAD (UINT64_C(256) << 20)
#define LG_VM_OVERHEAD_SHARE 32u	/* and one of so many bytes of the guest's memory */

/* Threads of QEMU: its processors, one for each request to a disk that waits, and a few more. */
#define LG_VM_TASKS 256u

enum lg_kind_use {
	LG_USE_LIVE,	/* as the settings' own row says */
	LG_USE_START,	/* from the next start on */
	LG_USE_NEVER,	/* means nothing to this kind */
};

struct lg_kind_rule {
	const char *key;	/* in the conf file */
	enum lg_kind_use vm;
	enum lg_kind_use container;
	const char *why;	/* of LG_USE_NEVER: one clause */
};

extern const struct lg_kind_rule lg_kind_rules[];
extern const unsigned int lg_nkind_rules;

/** lg_kind_is_vm() - does @conf describe a VM? */
bool lg_kind_is_vm(const struct lg_conf *conf);

/**
 * lg_kind_is_foreign() - is it a VM that boots what is on its own disk, and not a template?
 * VM_OS in its conf file says so. Nothing of lodge is in such a guest.
 */
bool lg_kind_is_foreign(const struct lg_conf *conf);

/** lg_foreign_check() - may @s be set of the VM of @conf? -EINVAL with why it means nothing to one with or without a template. */
int lg_foreign_check(const struct lg_setting *s, const struct lg_conf *conf, struct lg_err *err);

/** lg_kind_use() - what @s is to a VM (@vm) or a container; @why: NULL, or set for LG_USE_NEVER. */
enum lg_kind_use lg_kind_use(const struct lg_setting *s, bool vm, const char **why);

/** lg_kind_check() - may @s be set? -EINVAL with a line that says why it means nothing to this kind. */
int lg_kind_check(const struct lg_setting *s, bool vm, struct lg_err *err);

/**
 * lg_vm_memory(), lg_vm_cpus() - a VM's memory in bytes, and how many processors it takes for what its conf says
 * Return: 0; -EINVAL, -ERANGE with a line.
 */
int lg_vm_memory(const struct lg_conf *conf, uint64_t *ret, struct lg_err *err);
int lg_vm_cpus(const struct lg_conf *conf, unsigned int *ret, struct lg_err *err);

/** lg_vm_cgroup_memory() - the limit of the cgroup around a guest with @memory bytes. */
uint64_t lg_vm_cgroup_memory(uint64_t memory);

/** lg_vm_defaults() - what a new VM has that was not told: memory, disk, a processor. */
int lg_vm_defaults(struct lg_conf *conf, struct lg_err *err);

/** lg_kvm_usable() - does /dev/kvm open, and has the CPU what it takes? @why: a clause, where it does not. */
bool lg_kvm_usable(const char **why);

#endif
