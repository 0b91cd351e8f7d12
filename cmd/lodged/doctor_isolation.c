/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What holds containers on this host: filters, device rules, security modules. */

#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cmd/lodged/doctor.h"
#include "lib/cleanup.h"

/* A program that allows nothing, loaded and thrown away. */
void doctor_devices(struct report *r)
{
	struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	union bpf_attr attr;
	lg_autoclose int fd = -1;

	memset(&attr, 0, sizeof(attr));
	attr.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
	attr.insn_cnt = ARRAY_SIZE(insns);
	attr.insns = (uint64_t)(uintptr_t)insns;
	attr.license = (uint64_t)(uintptr_t)"GPL";
	fd = (int)syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof(attr));
	if (fd >= 0)
		say(r, "devices", "ok", "the kernel checks what containers open");
	else
		say(r, "devices", "off",
		    "no device programs (%s): containers are kept from devices only by not being "
		    "able to make nodes", strerror(errno));
}
