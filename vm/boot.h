/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_VM_BOOT_H
#define LG_VM_BOOT_H

/*
 * What microVMs boot from: made once, cached under VAR/vm, shared read-only, found by digests.
 *
 *	VAR/vm/base/DIGEST.img		a template's files as one read-only file system
 *	VAR/vm/kernel/DIGEST/		of a kernel template and this lodge's agent:
 *		vmlinux			what QEMU loads: an ELF file to be started by PVH; a bzImage where it is none
 *		initrd			the agent and the modules that it takes to find the root
 *		modules.img		what is in /lib/modules/VERSION, as a read-only file system
 *		of, version		texts: digest of the kernel template; its VERSION
 *
 * Beside them may be other makings of the same, which came with machines from other hosts (vm/transfer.h).
 *
 * A kernel template is one whose manifest has KERNEL_FOR="OS VERSION" (a recipe like any other; its rootfs holds /boot and
 * /lib/modules). Making takes seconds and belongs into the worker; each thing is made under a name beside its own and renamed.
 */

#include <stddef.h>
#include <stdint.h>

#include "lib/err.h"
#include "storage/template.h"

#define LG_VM_PATH 400u

#define LG_VM_VARS "vars.fd"		/* in VAR/ct/ID: what the UEFI of a VM with a system of its own has stored */
#define LG_VM_VARS_MAX (4u << 20)

struct lg_vm_kernel {
	char template[65];		/* its name */
	char version[65];		/* "6.12.57+deb13-cloud-amd64" */
	char vmlinux[LG_VM_PATH], initrd[LG_VM_PATH], modules[LG_VM_PATH];
};

/** lg_vm_base_path() - where the base disk of @t is, or will be. */
void lg_vm_base_path(const char *var, const struct lg_template *t, char path[LG_VM_PATH]);

/** lg_vm_base_ready() - is it there? */
int lg_vm_base_ready(const char *var, const struct lg_template *t);

/**
 * lg_vm_base_make() - make it (worker)
 * Return: 0, also when another made it meanwhile; -ENOSPC; -EIO with what the program said.
 */
int lg_vm_base_make(const char *var, const struct lg_template *t, void (*progress)(const char *line, void *arg), void *arg,
		    struct lg_err *err);

/**
 * lg_vm_kernel_template() - the kernel template for guests of @t
 * @wanted:	its name, where the instance says one; NULL: the one whose KERNEL_FOR fits, else any
 *
 * Return: 0; -ENOENT with LG_EXIT_NO_TEMPLATE and the command that builds one.
 */
int lg_vm_kernel_template(const char *var, const struct lg_template *t, const char *wanted, struct lg_template *ret,
			  struct lg_err *err);

/** lg_vm_kernel_find() - what was made of @kernel with the agent @agent (a path). -ENOENT: nothing yet. */
int lg_vm_kernel_find(const char *var, const struct lg_template *kernel, const char *agent, struct lg_vm_kernel *ret,
		      struct lg_err *err);

/** lg_vm_kernel_make() - make it (worker). As lg_vm_base_make(); -ENOENT where the template has no kernel in it. */
int lg_vm_kernel_make(const char *var, const struct lg_template *kernel, const char *agent,
		      void (*progress)(const char *line, void *arg), void *arg, struct lg_err *err);

/**
 * lg_vm_cmdline() - the kernel's command line for a machine with the agent
 * @accel:	"kvm" or "tcg"
 * @machine:	"microvm" or "q35"
 * @vcpus:	processors that are switched on at the start; SETUP's vcpus says the same
 *
 * Return: 0; -ENAMETOOLONG.
 */
int lg_vm_cmdline(const char *accel, const char *machine, unsigned int vcpus, char *ret, size_t size);

/** lg_vm_tsc_khz() - how fast this host's time stamp counter is. */
uint64_t lg_vm_tsc_khz(void);

/**
 * lg_vm_cache_clean() - remove what belongs to no template any more and is not in use, and what a killed making left
 * @used:	lg_erofs_identity() of the disks that machines here run on, or will go on with, a line each
 */
int lg_vm_cache_clean(const char *var, const char *used, struct lg_err *err);

#endif
