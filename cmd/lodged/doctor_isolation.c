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
#include "lib/file.h"

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

#define PROFILES "/sys/kernel/security/apparmor/profiles"

static bool is_loaded(void)
{
	lg_autofree char *text = NULL;
	const char *at;

	if (lg_file_read(AT_FDCWD, PROFILES, 4u << 20, &text, NULL, NULL) < 0)
		return false;
	at = strstr(text, LG_APPARMOR_PROFILE " (");
	return at && (at == text || at[-1] == '\n');
}

void doctor_apparmor(struct report *r)
{
	if (!r->d->apparmor) {
		say(r, "apparmor", "ok", "this kernel does without");
		return;
	}
	if (is_loaded())
		say(r, "apparmor", "ok", "containers run in the profile " LG_APPARMOR_PROFILE);
	else
		say(r, "apparmor", "off", "the profile " LG_APPARMOR_PROFILE " is not loaded: containers "
		    "do without this wall (apparmor_parser -r /etc/apparmor.d/" LG_APPARMOR_PROFILE ")");
	if (doctor_number("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == 1)
		say(r, "apparmor", "off", "kernel.apparmor_restrict_unprivileged_userns is 1: what runs "
		    "unconfined in a container may get no user namespaces, so sandboxed units and "
		    "nested containers may fail");
}
