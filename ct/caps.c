/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ct/caps.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "lib/cleanup.h"
#include "lib/exit.h"

/*
 * The kernel checks a container's capabilities against its own user namespace, so none of them gives a
 * power over the host. What is dropped has no meaning in there, or switches off parts of the
 * guest's systemd that would only fail (its units ask for these capabilities).
 */
/* clang-format off */
static const struct cap {
	const char *name;
	unsigned int number;
	bool keep;
	const char *why;
} caps[] = {
	{ "chown",		CAP_CHOWN,		true,  "root's own files" },
	{ "dac_override",	CAP_DAC_OVERRIDE,	true,  "root's own files" },
	{ "dac_read_search",	CAP_DAC_READ_SEARCH,	true,  "root's own files; open_by_handle_at is filtered" },
	{ "fowner",		CAP_FOWNER,		true,  "root's own files" },
	{ "fsetid",		CAP_FSETID,		true,  "package managers" },
	{ "kill",		CAP_KILL,		true,  "init" },
	{ "setgid",		CAP_SETGID,		true,  "login" },
	{ "setuid",		CAP_SETUID,		true,  "login" },
	{ "setpcap",		CAP_SETPCAP,		true,  "units that drop capabilities" },
	{ "linux_immutable",	CAP_LINUX_IMMUTABLE,	true,  "asked of the namespace that owns the file system: no effect here" },
	{ "net_bind_service",	CAP_NET_BIND_SERVICE,	true,  "servers" },
	{ "net_broadcast",	CAP_NET_BROADCAST,	true,  "own network namespace" },
	{ "net_admin",		CAP_NET_ADMIN,		true,  "own network namespace: firewalls, VPNs" },
	{ "net_raw",		CAP_NET_RAW,		true,  "ping; the host's pins check what is sent" },
	{ "ipc_lock",		CAP_IPC_LOCK,		true,  "databases; memory is limited" },
	{ "ipc_owner",		CAP_IPC_OWNER,		true,  "own ipc namespace" },
	{ "sys_module",		CAP_SYS_MODULE,		false, "the kernel is the host's; systemd then skips its module units" },
	{ "sys_rawio",		CAP_SYS_RAWIO,		false, "hardware; systemd then skips debugfs, tracefs and configfs" },
	{ "sys_chroot",		CAP_SYS_CHROOT,		true,  "sshd" },
	{ "sys_ptrace",		CAP_SYS_PTRACE,		true,  "debuggers of own processes" },
	{ "sys_pacct",		CAP_SYS_PACCT,		false, "accounting is the host's" },
	{ "sys_admin",		CAP_SYS_ADMIN,		true,  "mounts and namespaces of a system container" },
	{ "sys_boot",		CAP_SYS_BOOT,		true,  "reboot and power-off end the pid namespace" },
	{ "sys_nice",		CAP_SYS_NICE,		true,  "own processes" },
	{ "sys_resource",	CAP_SYS_RESOURCE,	true,  "limits of the own user namespace" },
	{ "sys_time",		CAP_SYS_TIME,		false, "the clock is the host's; time daemons then do not start" },
	{ "sys_tty_config",	CAP_SYS_TTY_CONFIG,	true,  "vhangup of own terminals" },
	{ "mknod",		CAP_MKNOD,		true,  "whiteouts of overlays; nodes are refused all the same" },
	{ "lease",		CAP_LEASE,		true,  "file servers" },
	{ "audit_write",	CAP_AUDIT_WRITE,	true,  "PAM tries, and takes a refusal by the kernel, not one by us" },
	{ "audit_control",	CAP_AUDIT_CONTROL,	true,  "PAM tries, as above" },
	{ "setfcap",		CAP_SETFCAP,		true,  "package managers; marked with the namespace's root" },
	{ "mac_override",	CAP_MAC_OVERRIDE,	false, "the policy is the host's" },
	{ "mac_admin",		CAP_MAC_ADMIN,		false, "the policy is the host's" },
	{ "syslog",		CAP_SYSLOG,		false, "the kernel's log is the host's" },
	{ "wake_alarm",		CAP_WAKE_ALARM,		false, "suspend is the host's" },
	{ "block_suspend",	CAP_BLOCK_SUSPEND,	false, "suspend is the host's" },
	{ "audit_read",		CAP_AUDIT_READ,		false, "the audit log is the host's; journald then skips its socket" },
	{ "perfmon",		CAP_PERFMON,		false, "the processors are the host's" },
	{ "bpf",		CAP_BPF,		false, "programs in the host's kernel" },
	{ "checkpoint_restore",	CAP_CHECKPOINT_RESTORE,	true,  "own pid namespace" },
};
/* clang-format on */
_Static_assert(ARRAY_SIZE(caps) == CAP_LAST_CAP + 1 || CAP_LAST_CAP > CAP_CHECKPOINT_RESTORE,
	       "one row per capability");

uint64_t lg_caps_default(void)
{
	uint64_t mask = 0;

	for (size_t i = 0; i < ARRAY_SIZE(caps); i++)
		if (caps[i].keep)
			mask |= UINT64_C(1) << caps[i].number;
	return mask;
}

/* Names with and without "cap_", in either case, as vzctl took them. */
static const struct cap *find_cap(const char *name, size_t len)
{
	if (len > 4 && strncasecmp(name, "cap_", 4) == 0) {
		name += 4;
		len -= 4;
	}
	for (size_t i = 0; i < ARRAY_SIZE(caps); i++)
		if (strlen(caps[i].name) == len && strncasecmp(caps[i].name, name, len) == 0)
			return &caps[i];
	return NULL;
}

static int change_one(const char *item, size_t len, uint64_t *mask, struct lg_err *err)
{
	const char *colon = memchr(item, ':', len);
	size_t name = colon ? (size_t)(colon - item) : len;
	size_t rest = colon ? len - name - 1 : 0;
	const struct cap *cap = find_cap(item, name);
	bool on = rest == 2 && memcmp(colon + 1, "on", 2) == 0;

	if (!cap)
		return lg_refuse(err, -EINVAL, LG_EXIT_BAD_VALUE,
				 "'%.*s' is not a capability", (int)name, item);
	if (!on && !(rest == 3 && memcmp(colon + 1, "off", 3) == 0))
		return lg_refuse(err, -EINVAL, LG_EXIT_BAD_VALUE,
				 "'%.*s' is not NAME:on or NAME:off", (int)len, item);
	if (on)
		*mask |= UINT64_C(1) << cap->number;
	else
		*mask &= ~(UINT64_C(1) << cap->number);
	return 0;
}

int lg_caps_change(const char *text, uint64_t *mask, struct lg_err *err)
{
	static const char between[] = ", \t";
	uint64_t changed = *mask;

	for (text += strspn(text, between); *text; text += strspn(text, between)) {
		size_t len = strcspn(text, between);
		int r = change_one(text, len, &changed, err);

		if (r < 0)
			return r;
		text += len;
	}
	*mask = changed;
	return 0;
}
