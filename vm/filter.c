/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * The system calls that QEMU has no need of, in 7.2 as in 10.0. Its own filter (-sandbox) denies some of them again, but begins
 * later, and is QEMU's. EPERM says "not for you"; ENOSYS makes a C library take the older way.
 */

#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/socket.h>

#include "lib/cleanup.h"
#include "vm/sandbox.h"

#define NAMESPACES (CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWIPC | \
		    CLONE_NEWCGROUP)

/* clang-format off */
static const struct {
	const char *name;
	int error;
} denied[] = {
	/* mounts and namespaces */
	{ "mount", EPERM }, { "umount2", EPERM }, { "umount", EPERM }, { "pivot_root", EPERM }, { "chroot", EPERM },
	{ "fsopen", ENOSYS }, { "fsconfig", ENOSYS }, { "fsmount", ENOSYS }, { "fspick", ENOSYS },
	{ "open_tree", ENOSYS }, { "move_mount", ENOSYS }, { "mount_setattr", ENOSYS }, { "setns", EPERM },
	{ "unshare", EPERM }, { "open_by_handle_at", EPERM }, { "name_to_handle_at", EPERM },
	/* other processes, and new ones; clone3's flags are in memory that no filter sees */
	{ "clone3", ENOSYS }, { "fork", EPERM }, { "vfork", EPERM }, { "ptrace", EPERM },
	{ "process_vm_readv", EPERM }, { "process_vm_writev", EPERM }, { "process_madvise", EPERM },
	{ "kcmp", EPERM }, { "pidfd_open", ENOSYS }, { "pidfd_getfd", ENOSYS }, { "pidfd_send_signal", ENOSYS },
	{ "setsid", EPERM }, { "migrate_pages", EPERM }, { "move_pages", EPERM },
	/* code in the kernel, and its state */
	{ "init_module", EPERM }, { "finit_module", EPERM }, { "delete_module", EPERM }, { "kexec_load", EPERM },
	{ "kexec_file_load", EPERM }, { "bpf", EPERM }, { "perf_event_open", EPERM }, { "userfaultfd", EPERM },
	{ "io_uring_setup", ENOSYS }, { "io_uring_enter", ENOSYS }, { "io_uring_register", ENOSYS },
	{ "add_key", ENOSYS }, { "request_key", ENOSYS }, { "keyctl", ENOSYS }, { "syslog", EPERM }, { "acct", EPERM },
	{ "swapon", EPERM }, { "swapoff", EPERM }, { "reboot", EPERM }, { "settimeofday", EPERM },
	{ "clock_settime", EPERM }, { "clock_adjtime", EPERM }, { "adjtimex", EPERM }, { "stime", EPERM },
	{ "iopl", EPERM }, { "ioperm", EPERM }, { "modify_ldt", EPERM }, { "personality", EPERM }, { "quotactl", EPERM },
	{ "quotactl_fd", EPERM }, { "fanotify_init", EPERM }, { "lookup_dcookie", EPERM }, { "nfsservctl", ENOSYS },
	{ "uselib", ENOSYS }, { "_sysctl", ENOSYS }, { "sysfs", ENOSYS }, { "ustat", ENOSYS }, { "vhangup", EPERM },
	{ "sethostname", EPERM }, { "setdomainname", EPERM },
	/* names that others see */
	{ "socket", EAFNOSUPPORT }, { "bind", EPERM }, { "connect", EPERM }, { "listen", EPERM },
	{ "mknod", EPERM }, { "mknodat", EPERM },
	{ "shmget", ENOSYS }, { "msgget", ENOSYS }, { "semget", ENOSYS }, { "mq_open", ENOSYS },
	/* ids */
	{ "setuid", EPERM }, { "setgid", EPERM }, { "setreuid", EPERM }, { "setregid", EPERM }, { "setresuid", EPERM },
	{ "setresgid", EPERM }, { "setfsuid", EPERM }, { "setfsgid", EPERM }, { "setgroups", EPERM }, { "capset", EPERM },
};
/* clang-format on */

static int add_rows(scmp_filter_ctx f)
{
	for (size_t i = 0; i < ARRAY_SIZE(denied); i++) {
		int nr = seccomp_syscall_resolve_name(denied[i].name), r;

		if (nr == __NR_SCMP_ERROR)
			continue;	/* younger than this library, or of another processor */
		r = seccomp_rule_add(f, SCMP_ACT_ERRNO((uint32_t)denied[i].error), nr, 0);
		if (r < 0 && r != -EDOM)
			return r;
	}
	return 0;
}

/* Threads it may have; processes and namespaces not. */
static int add_clone(scmp_filter_ctx f)
{
	int r = seccomp_rule_add(f, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
				 SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0));

	for (unsigned int bit = 0; r == 0 && bit < 32; bit++)
		if (NAMESPACES & (1u << bit))
			r = seccomp_rule_add(f, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
					     SCMP_A0(SCMP_CMP_MASKED_EQ, 1u << bit, 1u << bit));
	return r;
}

int lg_sandbox_filter(struct lg_err *err)
{
	scmp_filter_ctx f = seccomp_init(SCMP_ACT_ALLOW);
	int r;

	if (!f)
		return lg_fail(err, -ENOMEM, "make the system call filter");
	/* Programs of other architectures have other numbers for what is denied: the default there is death. */
	r = add_rows(f);
	if (r == 0)
		r = add_clone(f);
	if (r == 0)
		r = seccomp_load(f);
	seccomp_release(f);
	return r < 0 ? lg_fail(err, r, "load the system call filter") : 0;
}
