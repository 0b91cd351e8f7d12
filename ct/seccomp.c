/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ct/seccomp.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <sched.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "lib/cleanup.h"
#include "lib/features.h"
#include "lib/file.h"

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

/*
 * How it works: what a system container runs is not known, down to nested containers, so everything is
 * allowed that the kernel checks against the container's own namespaces. The rows are what it checks
 * too late, too little, or against the whole host: the kernel's own code and state, and interfaces
 * that are young or were ways out before. EPERM says "not for you", ENOSYS makes programs take
 * the older way.
 *
 * Not refused, though others do: the mount calls, old and new, unshare and clone3 (systemd's
 * sandboxes and nested containers are made of them), ptrace and its kin, which the kernel binds to processes
 * of the own user namespace; adjtimex, which without CAP_SYS_TIME only reads; personality, which changes
 * nobody but its caller. TIOCSTI puts words into a terminal's mouth, but all terminals inside are the
 * container's own. tests/unit/test_seccomp.c has a call for each.
 *
 * With the feature checkpointable also refused is what would keep CRIU from dumping the container:
 * namespaces within its own, and what of memory and sockets CRIU does not know (ct/blockers.c).
 *
 * A row with an argument is without it for the 32-bit socketcall(), whose arguments are in memory that
 * no filter sees: 32-bit programs that still use it, and not socket(), get no sockets.
 */
#define NEW_TIME 0x80		/* CLONE_NEWTIME; clone() has its signal there */

/* clang-format off */
static const struct row {
	const char *name;
	int error;
	enum { EVERY, FIRST_IS, FIRST_HAS, THIRD_IS } when;	/* which calls: by an argument */
	uint32_t arg;
	unsigned int calls;		/* of enum lg_calls: who may have it after all, or who alone may not; 0: nobody */
	const char *why;
} rows[] = {
	{ "init_module",	EPERM,	EVERY, 0, 0, "code in the host's kernel" },
	{ "finit_module",	EPERM,	EVERY, 0, 0, "code in the host's kernel" },
	{ "delete_module",	EPERM,	EVERY, 0, 0, "code in the host's kernel" },
	{ "kexec_load",		EPERM,	EVERY, 0, 0, "replaces the host's kernel" },
	{ "kexec_file_load",	EPERM,	EVERY, 0, 0, "replaces the host's kernel" },
	{ "bpf",		EPERM,	EVERY, 0, 0, "code in the host's kernel; its verifier is a large surface" },
	{ "perf_event_open",	EPERM,	EVERY, 0, 0, "counters of the host's processors; a large surface" },
	{ "userfaultfd",	EPERM,	EVERY, 0, LG_CALLS_USERFAULTFD, "lets a fault in the kernel wait, which many exploits need" },
	{ "io_uring_setup",	ENOSYS,	EVERY, 0, LG_CALLS_IO_URING, "a second way to most system calls, past this filter" },
	{ "io_uring_enter",	ENOSYS,	EVERY, 0, LG_CALLS_IO_URING, "as above" },
	{ "io_uring_register",	ENOSYS,	EVERY, 0, LG_CALLS_IO_URING, "as above" },
	{ "open_by_handle_at",	EPERM,	EVERY, 0, 0, "opens files by number, also those outside of the root" },
	{ "add_key",		ENOSYS,	EVERY, 0, LG_CALLS_KEYS, "keyrings of the same id are not kept apart" },
	{ "request_key",	ENOSYS,	EVERY, 0, LG_CALLS_KEYS, "as above, and runs a program on the host" },
	{ "keyctl",		ENOSYS,	EVERY, 0, LG_CALLS_KEYS, "as above" },
	{ "syslog",		EPERM,	EVERY, 0, 0, "the host's kernel log" },
	{ "acct",		EPERM,	EVERY, 0, 0, "the host's process accounting" },
	{ "swapon",		EPERM,	EVERY, 0, 0, "the host's memory" },
	{ "swapoff",		EPERM,	EVERY, 0, 0, "the host's memory" },
	{ "quotactl",		EPERM,	EVERY, 0, 0, "quotas of the host's file systems" },
	{ "quotactl_fd",	EPERM,	EVERY, 0, 0, "quotas of the host's file systems" },
	{ "settimeofday",	EPERM,	EVERY, 0, 0, "the host's clock" },
	{ "stime",		EPERM,	EVERY, 0, 0, "the host's clock" },
	{ "clock_settime",	EPERM,	EVERY, 0, 0, "the host's clock" },
	{ "clock_settime64",	EPERM,	EVERY, 0, 0, "the host's clock" },
	{ "iopl",		EPERM,	EVERY, 0, 0, "the host's hardware" },
	{ "ioperm",		EPERM,	EVERY, 0, 0, "the host's hardware" },
	{ "vm86",		EPERM,	EVERY, 0, 0, "old and hardly ever used" },
	{ "vm86old",		EPERM,	EVERY, 0, 0, "old and hardly ever used" },
	{ "lookup_dcookie",	EPERM,	EVERY, 0, 0, "paths of the host's files" },
	{ "nfsservctl",		ENOSYS,	EVERY, 0, 0, "gone from the kernel" },
	{ "uselib",		ENOSYS,	EVERY, 0, 0, "old and hardly ever used" },
	{ "_sysctl",		ENOSYS,	EVERY, 0, 0, "gone from the kernel" },
	{ "sysfs",		ENOSYS,	EVERY, 0, 0, "old and hardly ever used" },
	{ "ustat",		ENOSYS,	EVERY, 0, 0, "old; tells about any file system of the host by its number" },
	{ "socket",		EAFNOSUPPORT, FIRST_IS, AF_VSOCK, 0, "no namespace: reaches the hypervisor and its machines" },
	{ "socket",		EAFNOSUPPORT, FIRST_IS, AF_ALG, 0, "drivers in the host's kernel that programs have libraries for" },
	{ "socket",		EAFNOSUPPORT, FIRST_IS, AF_XDP, 0, "of no use without bpf" },
	{ "socket",		EAFNOSUPPORT, FIRST_IS, AF_BLUETOOTH, 0, "the host's hardware" },
	{ "socket",		EAFNOSUPPORT, FIRST_IS, AF_NFC, 0, "the host's hardware" },
	{ "socket",		EAFNOSUPPORT, FIRST_IS, AF_CAN, 0, "the host's hardware; a way out before" },
	{ "socket",		EAFNOSUPPORT, FIRST_IS, AF_IEEE802154, 0, "the host's hardware" },
	{ "socket",		EAFNOSUPPORT, FIRST_IS, AF_PHONET, 0, "the host's hardware" },
	{ "socket",		EAFNOSUPPORT, FIRST_IS, AF_CAIF, 0, "the host's hardware" },
	{ "socket",		EAFNOSUPPORT, FIRST_IS, AF_QIPCRTR, 0, "the host's hardware" },
	{ "socket",		EAFNOSUPPORT, FIRST_IS, AF_MCTP, 0, "the host's hardware" },
	{ "socket",		EAFNOSUPPORT, FIRST_IS, AF_TIPC, 0, "anybody's socket() loads the module; ways out before" },
	{ "socket",		EAFNOSUPPORT, FIRST_IS, AF_RDS, 0, "as above" },
	{ "socket",		EAFNOSUPPORT, FIRST_IS, AF_RXRPC, 0, "as above" },
	{ "socket",		EAFNOSUPPORT, FIRST_IS, AF_KCM, 0, "as above" },
	{ "socket",		EAFNOSUPPORT, FIRST_IS, AF_SMC, 0, "as above" },
	{ "socket",		EAFNOSUPPORT, FIRST_IS, AF_LLC, 0, "as above" },
	{ "socket",		EAFNOSUPPORT, FIRST_IS, AF_ATMPVC, 0, "a network that is no more, whose module anybody's socket() loads" },
	{ "socket",		EAFNOSUPPORT, FIRST_IS, AF_ATMSVC, 0, "as above" },
	{ "socket",		EAFNOSUPPORT, FIRST_IS, AF_AX25, 0, "as above" },
	{ "socket",		EAFNOSUPPORT, FIRST_IS, AF_NETROM, 0, "as above" },
	{ "socket",		EAFNOSUPPORT, FIRST_IS, AF_ROSE, 0, "as above" },
	{ "socket",		EAFNOSUPPORT, FIRST_IS, AF_X25, 0, "as above" },
	{ "socket",		EAFNOSUPPORT, FIRST_IS, AF_APPLETALK, 0, "as above" },
	{ "socket",		EAFNOSUPPORT, FIRST_IS, AF_IPX, 0, "as above" },
	{ "socket",		EAFNOSUPPORT, FIRST_IS, AF_DECnet, 0, "as above" },
	{ "clone",		EPERM,	FIRST_HAS, CLONE_NEWUSER, LG_CALLS_DUMPABLE, "CRIU knows one user namespace in a container" },
	{ "clone",		EPERM,	FIRST_HAS, CLONE_NEWUTS, LG_CALLS_DUMPABLE, "as above" },
	{ "clone",		EPERM,	FIRST_HAS, CLONE_NEWIPC, LG_CALLS_DUMPABLE, "as above" },
	{ "clone",		EPERM,	FIRST_HAS, CLONE_NEWNET, LG_CALLS_DUMPABLE, "as above" },
	{ "clone",		EPERM,	FIRST_HAS, CLONE_NEWPID, LG_CALLS_DUMPABLE, "as above" },
	{ "clone",		EPERM,	FIRST_HAS, CLONE_NEWCGROUP, LG_CALLS_DUMPABLE, "as above" },
	{ "unshare",		EPERM,	FIRST_HAS, CLONE_NEWUSER, LG_CALLS_DUMPABLE, "as above; systemd goes on without at EPERM" },
	{ "unshare",		EPERM,	FIRST_HAS, CLONE_NEWUTS, LG_CALLS_DUMPABLE, "as above" },
	{ "unshare",		EPERM,	FIRST_HAS, CLONE_NEWIPC, LG_CALLS_DUMPABLE, "as above" },
	{ "unshare",		EPERM,	FIRST_HAS, CLONE_NEWNET, LG_CALLS_DUMPABLE, "as above" },
	{ "unshare",		EPERM,	FIRST_HAS, CLONE_NEWPID, LG_CALLS_DUMPABLE, "as above" },
	{ "unshare",		EPERM,	FIRST_HAS, CLONE_NEWCGROUP, LG_CALLS_DUMPABLE, "as above" },
	{ "unshare",		EPERM,	FIRST_HAS, NEW_TIME, LG_CALLS_DUMPABLE, "as above" },
	{ "clone3",		ENOSYS,	EVERY, 0, LG_CALLS_DUMPABLE, "its flags are in memory that no filter sees; libraries take clone" },
	{ "memfd_secret",	ENOSYS,	EVERY, 0, LG_CALLS_DUMPABLE, "memory that nobody else can read" },
	{ "socket",		EPROTONOSUPPORT, THIRD_IS, IPPROTO_MPTCP, LG_CALLS_DUMPABLE, "CRIU does not know it; Go's servers take TCP instead" },
	{ "socket",		EPROTONOSUPPORT, THIRD_IS, IPPROTO_SCTP, LG_CALLS_DUMPABLE, "CRIU does not know it" },
};
/* clang-format on */

/* Beside the machine's own: programs of its older kind run in containers, too. */
static const struct {
	uint32_t native, other;
} arches[] = {
	{ SCMP_ARCH_X86_64, SCMP_ARCH_X86 },
	{ SCMP_ARCH_AARCH64, SCMP_ARCH_ARM },
};

#define BY_BINARY_TREE 2	/* of SCMP_FLTATR_CTL_OPTIMIZE */

/* One group of calls is let through by a feature, the other refused by one. */
static bool is_refused(const struct row *row, unsigned int calls)
{
	return row->calls & LG_CALLS_DUMPABLE ? calls & LG_CALLS_DUMPABLE : !(row->calls & calls);
}

static int add_row(scmp_filter_ctx ctx, const struct row *row, struct lg_err *err)
{
	int nr = seccomp_syscall_resolve_name(row->name);
	int r;

	if (nr == __NR_SCMP_ERROR)
		return 0;	/* younger than the library, so it is without that row */
	r = seccomp_rule_add_array(ctx, SCMP_ACT_ERRNO((uint16_t)row->error), nr,
				   row->when == EVERY ? 0 : 1, &(struct scmp_arg_cmp){
					.arg = row->when == THIRD_IS ? 2 : 0,
					.op = SCMP_CMP_MASKED_EQ,
					.datum_a = row->when == FIRST_HAS ? row->arg : 0xffffffff,
					.datum_b = row->arg });
	/* -EDOM: no architecture of ours has it. */
	return r < 0 && r != -EDOM ? lg_fail(err, r, "filter %s", row->name) : 0;
}

static int fill(scmp_filter_ctx ctx, unsigned int calls, struct lg_err *err)
{
	int r = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ERRNO(ENOSYS));

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(arches); i++)
		if (seccomp_arch_native() == arches[i].native)
			r = seccomp_arch_add(ctx, arches[i].other);
	/* Older libraries cannot, and their filter is only slower. */
	if (r == 0)
		seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, BY_BINARY_TREE);
	if (r < 0)
		return lg_fail(err, r, "set up the filter");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		r = is_refused(&rows[i], calls) ? add_row(ctx, &rows[i], err) : 0;
		if (r < 0)
			return r;
	}
	return 0;
}

static int compile(int fd, unsigned int calls, struct lg_err *err)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
	int r;

	if (!ctx)
		return lg_fail(err, -ENOMEM, "make a system call filter");
	r = fill(ctx, calls, err);
	if (r == 0) {
		r = seccomp_export_bpf(ctx, fd);
		if (r < 0)
			lg_fail(err, r, "export the filter");
	}
	seccomp_release(ctx);
	return r < 0 ? lg_within(err, r, "system call filter") : 0;
}

/* FNV-1a: it tells versions apart; the folder keeps strangers out. */
static uint64_t digest_bytes(uint64_t digest, const void *data, size_t len)
{
	const unsigned char *p = data;

	for (size_t i = 0; i < len; i++)
		digest = (digest ^ p[i]) * UINT64_C(0x100000001b3);
	return digest;
}

static uint64_t digest_table(unsigned int calls)
{
	const struct scmp_version *v = seccomp_version();
	const uint32_t library[] = { v->major, v->minor, v->micro, seccomp_arch_native() };
	uint64_t d = digest_bytes(UINT64_C(0xcbf29ce484222325), library, sizeof(library));

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (!is_refused(&rows[i], calls))
			continue;
		d = digest_bytes(d, rows[i].name, strlen(rows[i].name) + 1);
		d = digest_bytes(d, &rows[i].error, sizeof(rows[i].error));
		d = digest_bytes(d, &rows[i].when, sizeof(rows[i].when));
		d = digest_bytes(d, &rows[i].arg, sizeof(rows[i].arg));
	}
	return d;
}

static bool is_filter(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0 &&
	       st.st_size % (off_t)sizeof(struct sock_filter) == 0 &&
	       st.st_size <= (off_t)(BPF_MAXINSNS * sizeof(struct sock_filter));
}

static int open_cached(const char *path)
{
	lg_autoclose int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	return fd >= 0 && is_filter(fd) ? lg_take_fd(&fd) : -ENOENT;
}

/* Compiled in memory first: a file of the cache is never half a filter. */
static int make_cached(const char *path, unsigned int calls, struct lg_err *err)
{
	lg_autoclose int mem = memfd_create("seccomp", MFD_CLOEXEC);
	struct stat st;
	void *p;
	int r;

	if (mem < 0)
		return lg_fail(err, -errno, "make a system call filter");
	r = compile(mem, calls, err);
	if (r < 0)
		return r;
	if (fstat(mem, &st) < 0 || !is_filter(mem))
		return lg_refuse(err, -EBADMSG, 0, "libseccomp made a filter of a bad size");
	p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, mem, 0);
	if (p == MAP_FAILED)
		return lg_fail(err, -errno, "read the system call filter");
	r = lg_file_replace(AT_FDCWD, path, p, (size_t)st.st_size, 0600, err);
	munmap(p, (size_t)st.st_size);
	return r;
}

int lg_seccomp_open(const char *cache_dir, unsigned int calls, struct lg_err *err)
{
	char path[512];
	int fd, r;

	if ((size_t)snprintf(path, sizeof(path), "%s/seccomp-%016" PRIx64 ".bpf", cache_dir,
			     digest_table(calls)) >= sizeof(path))
		return lg_fail(err, -ENAMETOOLONG, "cache '%s'", cache_dir);
	fd = open_cached(path);
	if (fd >= 0)
		return fd;
	r = make_cached(path, calls, err);
	if (r < 0)
		return r;
	fd = open_cached(path);
	return fd < 0 ? lg_fail(err, fd, "open '%s'", path) : fd;
}
