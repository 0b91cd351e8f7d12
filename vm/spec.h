/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_VM_SPEC_H
#define LG_VM_SPEC_H

/* What START says about a microVM (vm/start.h), and QEMU's command line for it. */

#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/err.h"
#include "lib/msg.h"

#define LG_VM_DISKS 8u
#define LG_VM_ARGS 192u
#define LG_VM_CPUS_ADDED 16u	/* that come to a machine while it runs; each is an option of the next QEMU that goes on with it */

#define LG_VM_CPU_ID "cpu%" PRIu64	/* name of a processor that came while it ran: by its place */
#define LG_VM_MEDIUM 400u	/* of the name of what is in a drive, with its NUL */

struct lg_vm_disk {
	char role[16];		/* "base", ...: also the serial number that the guest sees */
	char format[8];
	bool writable;
	int fd;			/* owned */
};

/* Texts are borrowed from the message, descriptors are owned; -1: none. */
struct lg_vm_spec {
	const struct lg_msg *msg;
	uint32_t ctid, id_base;
	uint64_t memory, vcpus, watchdog_s;
	uint64_t vcpus_max;	/* places for processors; as many as vcpus: none can come */
	uint64_t vcpus_added;	/* in the places after the first vcpus: those that came while it ran, before it was suspended or moved */
	const char *socket, *exit_file, *console_log, *scratch, *qemu;
	const char *append, *mac, *preset, *vnc, *qemu_version, *genid, *drive;
	bool kvm, microvm, guest, incoming;
	int cgroup_fd, kernel_fd, initrd_fd, tap_fd, incoming_fd;
	struct lg_vm_disk disks[LG_VM_DISKS];
	unsigned int ndisks;
};

/** lg_vm_spec_parse() - check START and take its descriptors. -EINVAL names the field; lg_vm_spec_close() also then. */
int lg_vm_spec_parse(struct lg_msg *m, struct lg_vm_spec *ret, struct lg_err *err);

/** lg_vm_spec_close() - its descriptors. */
void lg_vm_spec_close(struct lg_vm_spec *spec);

/** lg_vm_ram() - bytes of memory that QEMU makes for it: spec->memory, and a little more where it is emulated. */
uint64_t lg_vm_ram(const struct lg_vm_spec *spec);

/* Where QEMU finds what, as numbers of its descriptors; -1: none. */
struct lg_vm_places {
	int qmp, console, agent, tap, kernel, initrd;
	int disks[LG_VM_DISKS];
};

struct lg_vm_args {
	char *argv[LG_VM_ARGS + 1];	/* NULL-ended; each malloc()ed */
	unsigned int n;
	bool failed;
};

/**
 * lg_vm_args_make() - QEMU's command line
 * @genid:	VMGenID, a UUID as text
 *
 * Return: 0; -ENOMEM, -E2BIG. lg_vm_args_free() in either case.
 */
int lg_vm_args_make(const struct lg_vm_spec *spec, const struct lg_vm_places *at, const char *genid,
		    struct lg_vm_args *ret);

/** lg_vm_args_free() - what lg_vm_args_make() made. */
void lg_vm_args_free(struct lg_vm_args *args);

#endif
