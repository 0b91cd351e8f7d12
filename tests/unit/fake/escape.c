/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What a guest that took over QEMU would try. Everything is expected to fail; what does not is told. */

#include "tests/unit/fake/fake.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/keyctl.h>
#include <linux/perf_event.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define CALL(...) (syscall(__VA_ARGS__) >= 0)

static unsigned int tried;

static void expect_closed(const struct fake *f, const char *what, int reached)
{
	tried++;
	if (reached)
		console_say(f, "OPEN: %s\n", what);
}

/* ---- files ---- */

static const char *const paths[] = {
	"/etc/passwd", "/etc/shadow", "/usr/bin/env", "/lib64/ld-linux-x86-64.so.2", "/dev/null", "/dev/kvm", "/dev/mem",
	"/dev/sda", "/dev/vda", "/dev/tty", "/dev/net/tun", "/proc", "/proc/self/environ", "/proc/1/root", "/proc/sys/kernel/core_pattern",
	"/proc/self/fd/0", "/proc/kallsyms", "/sys", "/sys/fs/cgroup/cgroup.procs", "/run", "/run/lodge", "/run/lodge/lodged.sock",
	"/var/lib/lodge", "/tmp", "/root", "/..", "/../../../../etc/passwd", "/home",
};

static void try_files(const struct fake *f)
{
	struct stat root, up;
	char text[100];
	struct dirent *e;
	DIR *dir = opendir("/");

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		int fd = open(paths[i], O_PATH | O_CLOEXEC);

		/* "/.." is the root again, and empty. */
		expect_closed(f, paths[i], fd >= 0 && strcmp(paths[i], "/..") != 0);
		if (fd >= 0)
			close(fd);
	}
	while (dir && (e = readdir(dir))) {
		snprintf(text, sizeof(text), "the root has '%.60s'", e->d_name);
		expect_closed(f, text, e->d_name[0] != '.');
	}
	expect_closed(f, "the root's parent", stat("/", &root) != 0 || stat("/..", &up) != 0 || root.st_ino != up.st_ino);
	expect_closed(f, "a file can be made", open("/x", O_CREAT | O_WRONLY, 0600) >= 0 || mkdir("/d", 0700) == 0);
	expect_closed(f, "a node can be made", mknod("/n", S_IFCHR | 0600, makedev(1, 1)) == 0);
	expect_closed(f, "a link can be made", symlink("/", "/l") == 0);
	expect_closed(f, "the working folder", CALL(SYS_chroot, "..") || fchdir(0) == 0);
}

/* Descriptors: sockets to lodge-vm, the files that the machine has, nothing that is a folder or a terminal. */
static void try_descriptors(const struct fake *f)
{
	char text[60];
	struct stat st;

	for (int fd = 0; fd < 1024; fd++) {
		if (fstat(fd, &st) < 0)
			continue;
		snprintf(text, sizeof(text), "descriptor %d is of mode %o", fd, st.st_mode);
		/* The folder that try_files() has read is the empty root. */
		expect_closed(f, text, (S_ISDIR(st.st_mode) && st.st_size > 64) || S_ISBLK(st.st_mode) || isatty(fd));
		expect_closed(f, "a way up by a descriptor", openat(fd, "..", O_PATH | O_DIRECTORY) >= 0 && st.st_size > 64);
		expect_closed(f, "a file by a descriptor", openat(fd, "etc/passwd", O_RDONLY) >= 0);
	}
}

/* ---- processes ---- */

static void try_processes(const struct fake *f)
{
	static uint32_t handle[40];
	long pid = syscall(SYS_getpid);

	expect_closed(f, "it is not process 1 of its namespace", pid != 1);
	expect_closed(f, "it has a parent", getppid() != 0);
	for (pid_t p = 2; p < 70000; p++)
		if (kill(p, 0) == 0 || errno != ESRCH) {
			expect_closed(f, "another process can be named", 1);
			break;
		}
	expect_closed(f, "other processes get signals", kill(-1, 0) == 0);
	expect_closed(f, "ptrace", CALL(SYS_ptrace, PTRACE_ATTACH, 1, 0, 0) || CALL(SYS_ptrace, PTRACE_TRACEME, 0, 0, 0));
	expect_closed(f, "process_vm_readv", CALL(SYS_process_vm_readv, 1, NULL, 0, NULL, 0, 0));
	expect_closed(f, "pidfd_open", CALL(SYS_pidfd_open, 1, 0));
	expect_closed(f, "fork", CALL(SYS_fork) || CALL(SYS_vfork) || CALL(SYS_clone, SIGCHLD, 0, 0, 0, 0));
	expect_closed(f, "clone3", CALL(SYS_clone3, handle, sizeof(handle)));
	expect_closed(f, "open_by_handle_at", CALL(SYS_open_by_handle_at, 0, handle, O_RDONLY));
}

/* ---- rights ---- */

static void try_rights(const struct fake *f)
{
	static const unsigned long spaces[] = { CLONE_NEWUSER, CLONE_NEWNS, CLONE_NEWNET, CLONE_NEWPID, CLONE_NEWIPC,
						CLONE_NEWUTS, CLONE_NEWCGROUP };

	expect_closed(f, "it is root", getuid() == 0 || geteuid() == 0 || getgid() == 0 || getegid() == 0);
	expect_closed(f, "it has more groups", getgroups(0, NULL) > 0);
	expect_closed(f, "new rights by exec", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1);
	expect_closed(f, "another id", setuid(0) == 0 || setresuid(0, 0, 0) == 0 || setgid(0) == 0);
	for (size_t i = 0; i < sizeof(spaces) / sizeof(spaces[0]); i++)
		expect_closed(f, "a new namespace",
			      CALL(SYS_unshare, spaces[i]) || CALL(SYS_clone, spaces[i] | SIGCHLD, 0, 0, 0, 0));
	expect_closed(f, "setns", CALL(SYS_setns, 0, 0));
	for (unsigned long cap = 0; cap < 41; cap++)
		expect_closed(f, "a capability in its bounding set", prctl(PR_CAPBSET_READ, cap, 0, 0, 0) == 1);
	expect_closed(f, "the host's name", sethostname("mine", 4) == 0);
}

/* ---- mounts, kernel, devices ---- */

static void try_kernel(const struct fake *f)
{
	static union bpf_attr attr;
	static struct perf_event_attr perf = { .size = sizeof(perf), .type = PERF_TYPE_SOFTWARE };

	expect_closed(f, "mount", mount("none", "/", "tmpfs", 0, NULL) == 0 || mount("/", "/", NULL, MS_BIND, NULL) == 0);
	expect_closed(f, "umount", umount2("/", MNT_DETACH) == 0);
	expect_closed(f, "pivot_root", CALL(SYS_pivot_root, "/", "/"));
	expect_closed(f, "fsopen", CALL(SYS_fsopen, "proc", 0));
	expect_closed(f, "open_tree", CALL(SYS_open_tree, AT_FDCWD, "/", 1));
	expect_closed(f, "bpf", CALL(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof(attr)));
	expect_closed(f, "perf_event_open", CALL(SYS_perf_event_open, &perf, 0, -1, -1, 0));
	expect_closed(f, "io_uring", CALL(SYS_io_uring_setup, 1, &attr));
	expect_closed(f, "userfaultfd", CALL(SYS_userfaultfd, 0));
	expect_closed(f, "keyrings", CALL(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0) ||
					     CALL(SYS_add_key, "user", "k", "v", 1, KEY_SPEC_PROCESS_KEYRING));
	expect_closed(f, "modules", CALL(SYS_init_module, "", 0, "") || CALL(SYS_finit_module, 0, "", 0));
	expect_closed(f, "kexec", CALL(SYS_kexec_load, 0, 0, NULL, 0));
	expect_closed(f, "the kernel's log", CALL(SYS_syslog, 3, attr.key, 0) || CALL(SYS_syslog, 10, NULL, 0));
	expect_closed(f, "the clock", CALL(SYS_settimeofday, NULL, NULL) || CALL(SYS_clock_settime, 0, NULL));
	expect_closed(f, "reboot", CALL(SYS_reboot, 0xfee1dead, 672274793, 0, 0));
	expect_closed(f, "I/O ports", CALL(SYS_iopl, 3) || CALL(SYS_ioperm, 0, 1, 1));
}

/* ---- sockets ---- */

static void try_sockets(const struct fake *f)
{
	static const int families[] = { AF_UNIX, AF_INET, AF_INET6, AF_NETLINK, AF_PACKET, AF_VSOCK, AF_ALG, AF_KEY, AF_XDP };
	struct sockaddr_un lodged = { .sun_family = AF_UNIX, .sun_path = "/run/lodge/lodged.sock" };
	struct sockaddr_un hidden = { .sun_family = AF_UNIX, .sun_path = "\0lodge" };
	int pair[2];

	for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++)
		for (int type = 1; type <= 5; type++)
			expect_closed(f, "a socket", socket(families[i], type, 0) >= 0);
	/* The one call for sockets that is left has no address. */
	if (socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) == 0) {
		expect_closed(f, "lodged's socket", connect(pair[0], (struct sockaddr *)&lodged, sizeof(lodged)) == 0 ||
				    sendto(pair[0], "x", 1, 0, (struct sockaddr *)&lodged, sizeof(lodged)) == 1);
		expect_closed(f, "an abstract socket",
			      bind(pair[0], (struct sockaddr *)&hidden, 10) == 0 ||
			      connect(pair[0], (struct sockaddr *)&hidden, 10) == 0);
	}
	expect_closed(f, "shared memory by number", CALL(SYS_shmget, 1, 4096, 01600) || CALL(SYS_msgget, 1, 01600));
}

void escape(const struct fake *f)
{
	try_files(f);
	try_descriptors(f);
	try_processes(f);
	try_rights(f);
	try_kernel(f);
	try_sockets(f);
	console_say(f, "tried %u\n", tried);
}
