/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/keyctl.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ct/seccomp.h"
#include "lib/cleanup.h"
#include "lib/features.h"

static char dir[64];

static void make_dir(void)
{
	snprintf(dir, sizeof(dir), "/tmp/lodge-seccomp.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
}

static void remove_dir(void)
{
	char cmd[100];

	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	ck_assert_int_eq(system(cmd), 0);
}

/* The only file in the cache; NULL for none. */
static const char *cache_file(void)
{
	static char path[400];
	DIR *d = opendir(dir);
	struct dirent *e;
	unsigned int n = 0;

	while ((e = readdir(d)))
		if (e->d_name[0] != '.') {
			snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
			n++;
		}
	closedir(d);
	ck_assert_uint_le(n, 1);
	return n ? path : NULL;
}

START_TEST(first_open_fills_the_cache)
{
	struct lg_err err = { 0 };
	struct stat st, again;
	int fd = lg_seccomp_open(dir, 0, &err), fd2;

	ck_assert_msg(fd >= 0, "%s", err.msg);
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_int_gt(st.st_size, 0);
	ck_assert_int_eq(st.st_size % (off_t)sizeof(struct sock_filter), 0);
	ck_assert_int_eq(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
	ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	ck_assert_ptr_nonnull(cache_file());
	fd2 = lg_seccomp_open(dir, 0, &err);
	ck_assert_int_eq(fstat(fd2, &again), 0);
	ck_assert_uint_eq(st.st_ino, again.st_ino);	/* not compiled again */
	close(fd);
	close(fd2);
}
END_TEST

static const char *const damages[] = { "", "x", "1234567" };

START_TEST(a_damaged_cache_is_made_anew)
{
	struct lg_err err = { 0 };
	struct stat st;
	int fd = lg_seccomp_open(dir, 0, &err);
	FILE *f;

	ck_assert_int_ge(fd, 0);
	close(fd);
	f = fopen(cache_file(), "w");
	ck_assert_ptr_nonnull(f);
	fputs(damages[_i], f);
	fclose(f);
	fd = lg_seccomp_open(dir, 0, &err);
	ck_assert_msg(fd >= 0, "%s", err.msg);
	fstat(fd, &st);
	ck_assert_int_gt(st.st_size, 100);
	close(fd);
}
END_TEST

START_TEST(a_missing_folder_is_an_error)
{
	struct lg_err err = { 0 };

	ck_assert_int_eq(lg_seccomp_open("/tmp/lodge-seccomp-none/x", 0, &err), -ENOENT);
	ck_assert_ptr_nonnull(strstr(err.msg, "/tmp/lodge-seccomp-none/x"));
}
END_TEST

/* ---- what the filter does: each case in a process of its own ---- */

static void load(unsigned int allow)
{
	struct lg_err err = { 0 };
	int fd = lg_seccomp_open(dir, allow, &err);
	struct sock_fprog prog;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		_exit(200);
	prog.len = (unsigned short)((size_t)st.st_size / sizeof(struct sock_filter));
	prog.filter = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog) < 0)
		_exit(201);
}

#define IS_OK 0

/* Arguments that the kernel itself would refuse otherwise, or that do no harm. */
static const struct {
	const char *name;
	long nr, a, b, c;
	int want;		/* errno */
} calls[] = {
	{ "getpid", SYS_getpid, 0, 0, 0, IS_OK },
	{ "init_module", SYS_init_module, 0, 0, 0, EPERM },
	{ "finit_module", SYS_finit_module, -1, 0, 0, EPERM },
	{ "delete_module", SYS_delete_module, 0, 0, 0, EPERM },
	{ "kexec_load", SYS_kexec_load, 0, 0, 0, EPERM },
	{ "bpf", SYS_bpf, -1, 0, 0, EPERM },
	{ "perf_event_open", SYS_perf_event_open, 0, 0, 0, EPERM },
	{ "userfaultfd", SYS_userfaultfd, -1, 0, 0, EPERM },
	{ "io_uring_setup", SYS_io_uring_setup, 0, 0, 0, ENOSYS },
	{ "open_by_handle_at", SYS_open_by_handle_at, -1, 0, 0, EPERM },
	{ "keyctl", SYS_keyctl, KEYCTL_GET_KEYRING_ID, 0, 0, ENOSYS },
	{ "add_key", SYS_add_key, 0, 0, 0, ENOSYS },
	{ "syslog", SYS_syslog, 10, 0, 0, EPERM },
	{ "swapon", SYS_swapon, 0, 0, 0, EPERM },
	{ "clock_settime", SYS_clock_settime, -1, 0, 0, EPERM },
	{ "socket of vsock", SYS_socket, AF_VSOCK, SOCK_STREAM, 0, EAFNOSUPPORT },
	{ "socket of vsock, high bits set", SYS_socket, AF_VSOCK | (1L << 40), SOCK_STREAM, 0,
	  EAFNOSUPPORT },
	{ "kexec_file_load", SYS_kexec_file_load, -1, -1, 0, EPERM },
	{ "acct", SYS_acct, 0, 0, 0, EPERM },
	{ "swapoff", SYS_swapoff, 0, 0, 0, EPERM },
	{ "quotactl", SYS_quotactl, 0, 0, 0, EPERM },
	{ "settimeofday", SYS_settimeofday, 0, 0, 0, EPERM },
	{ "request_key", SYS_request_key, 0, 0, 0, ENOSYS },
	{ "io_uring_enter", SYS_io_uring_enter, -1, 0, 0, ENOSYS },
	{ "io_uring_register", SYS_io_uring_register, -1, 0, 0, ENOSYS },
#ifdef __x86_64__
	{ "iopl", SYS_iopl, 0, 0, 0, EPERM },
	{ "ioperm", SYS_ioperm, 0, 0, 0, EPERM },
	{ "uselib", SYS_uselib, 0, 0, 0, ENOSYS },
	{ "sysfs", SYS_sysfs, 3, 0, 0, ENOSYS },
	{ "ustat", SYS_ustat, 1, 0, 0, ENOSYS },
	{ "_sysctl", SYS__sysctl, 0, 0, 0, ENOSYS },
	{ "nfsservctl", SYS_nfsservctl, 0, 0, 0, ENOSYS },
	{ "lookup_dcookie", SYS_lookup_dcookie, 0, 0, 0, EPERM },
#endif
	{ "socket of alg", SYS_socket, AF_ALG, SOCK_SEQPACKET, 0, EAFNOSUPPORT },
	{ "socket of tipc", SYS_socket, AF_TIPC, SOCK_STREAM, 0, EAFNOSUPPORT },
	{ "socket of can", SYS_socket, AF_CAN, SOCK_RAW, 0, EAFNOSUPPORT },
	{ "socket of rds", SYS_socket, AF_RDS, SOCK_SEQPACKET, 0, EAFNOSUPPORT },
	{ "socket of x25", SYS_socket, AF_X25, SOCK_SEQPACKET, 0, EAFNOSUPPORT },
	{ "socket of inet", SYS_socket, AF_INET, SOCK_STREAM, 0, IS_OK },
	{ "socket of inet6", SYS_socket, AF_INET6, SOCK_DGRAM, 0, IS_OK },
	{ "socket of netlink", SYS_socket, AF_NETLINK, SOCK_RAW, 0, IS_OK },
	{ "socket of unix", SYS_socket, AF_UNIX, SOCK_STREAM, 0, IS_OK },
	{ "unshare", SYS_unshare, 0, 0, 0, IS_OK },
	{ "mount (by the kernel)", SYS_mount, 0, 0, 0, EFAULT },
	{ "fsopen (by the kernel)", SYS_fsopen, 0, 0, 0, EFAULT },
	{ "fsconfig (by the kernel)", SYS_fsconfig, -1, 0, 0, EINVAL },
	{ "fsmount (by the kernel)", SYS_fsmount, -1, 0, 0, EBADF },
	{ "fspick (by the kernel)", SYS_fspick, -1, 0, 0, EFAULT },
	{ "open_tree (by the kernel)", SYS_open_tree, -1, 0, 0, EFAULT },
	{ "move_mount (by the kernel)", SYS_move_mount, -1, 0, -1, EFAULT },
	{ "mount_setattr (by the kernel)", SYS_mount_setattr, -1, 0, 0, EINVAL },
	{ "setns (by the kernel)", SYS_setns, -1, 0, 0, EBADF },
	{ "clone3 (by the kernel)", SYS_clone3, 0, 64, 0, EFAULT },
	{ "pivot_root (by the kernel)", SYS_pivot_root, 0, 0, 0, EFAULT },
	{ "process_vm_readv (by the kernel)", SYS_process_vm_readv, -1, 0, 0, EINVAL },
	{ "pidfd_getfd (by the kernel)", SYS_pidfd_getfd, -1, 0, 0, EBADF },
	{ "kcmp (by the kernel)", SYS_kcmp, -1, -1, 99, ESRCH },
	{ "name_to_handle_at (by the kernel)", SYS_name_to_handle_at, -1, 0, 0, EFAULT },
	{ "personality", SYS_personality, 0xffffffff, 0, 0, IS_OK },
	{ "adjtimex (by the kernel)", SYS_adjtimex, 0, 0, 0, EFAULT },
	{ "seccomp (by the kernel)", SYS_seccomp, 99, 0, 0, EINVAL },
	{ "landlock_create_ruleset", SYS_landlock_create_ruleset, 0, 0, 1, IS_OK },
	{ "ioctl TIOCSTI (by the kernel)", SYS_ioctl, -1, 0x5412, 0, EBADF },
	{ "a number of no call", 100000, 0, 0, 0, ENOSYS },
#ifdef __x86_64__
	{ "x32 getpid", 0x40000000 | 39, 0, 0, 0, ENOSYS },
#endif
};

START_TEST(calls_are_answered_as_the_table_says)
{
	int status;
	pid_t pid;

	close(lg_seccomp_open(dir, 0, NULL));
	pid = fork();
	if (pid == 0) {
		load(0);
		if (syscall(calls[_i].nr, calls[_i].a, calls[_i].b, calls[_i].c, 0, 0) >= 0)
			_exit(IS_OK);
		_exit(errno);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(WIFEXITED(status), "%s: status %x", calls[_i].name, status);
	ck_assert_msg(WEXITSTATUS(status) == calls[_i].want, "%s: %s, not %s", calls[_i].name,
		      strerror(WEXITSTATUS(status)), strerror(calls[_i].want));
}
END_TEST

/* A feature's calls reach the kernel, which finds fault with these arguments by itself. */
static const struct {
	const char *name;
	long nr, a;
	unsigned int allow;
	int without, with;
} let_through[] = {
	{ "io_uring_setup", SYS_io_uring_setup, 0, LG_CALLS_IO_URING, ENOSYS, EFAULT },
	{ "keyctl", SYS_keyctl, 99999, LG_CALLS_KEYS, ENOSYS, EOPNOTSUPP },
	{ "userfaultfd", SYS_userfaultfd, -1, LG_CALLS_USERFAULTFD, EPERM, EINVAL },
};

static int errno_of(long nr, long a, long b, long c, unsigned int groups)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		load(groups);
		_exit(syscall(nr, a, b, c, 0, 0) >= 0 ? IS_OK : errno);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status));
	return WEXITSTATUS(status);
}

START_TEST(a_group_of_calls_is_let_through_alone)
{
	unsigned int own = let_through[_i].allow;
	long nr = let_through[_i].nr, a = let_through[_i].a;

	ck_assert_int_eq(errno_of(nr, a, 0, 0, own), let_through[_i].with);
	ck_assert_int_eq(errno_of(nr, a, 0, 0, (LG_CALLS_SETS - 1) & ~own), let_through[_i].without);
	ck_assert_int_eq(errno_of(SYS_bpf, -1, 0, 0, LG_CALLS_SETS - 1), EPERM);
}
END_TEST

#define BY_KERNEL (-1)		/* depends on how it was built and booted */

/* What the kernel answers without the filter, and the filter of the feature checkpointable. */
static const struct {
	const char *name;
	long nr, a, b, c;
	int without, with;
} undumpable[] = {
	{ "unshare user", SYS_unshare, CLONE_NEWUSER, 0, 0, IS_OK, EPERM },
	{ "unshare uts", SYS_unshare, CLONE_NEWUTS, 0, 0, IS_OK, EPERM },
	{ "unshare ipc", SYS_unshare, CLONE_NEWIPC, 0, 0, IS_OK, EPERM },
	{ "unshare net", SYS_unshare, CLONE_NEWNET, 0, 0, IS_OK, EPERM },
	{ "unshare pid", SYS_unshare, CLONE_NEWPID, 0, 0, IS_OK, EPERM },
	{ "unshare cgroup", SYS_unshare, CLONE_NEWCGROUP, 0, 0, IS_OK, EPERM },
	{ "unshare time", SYS_unshare, 0x80, 0, 0, IS_OK, EPERM },
	{ "unshare mount", SYS_unshare, CLONE_NEWNS, 0, 0, IS_OK, IS_OK },
	{ "unshare mount and net", SYS_unshare, CLONE_NEWNS | CLONE_NEWNET, 0, 0, IS_OK, EPERM },
	/* Without SIGHAND these flags are refused by the kernel, after the filter. */
	{ "clone", SYS_clone, CLONE_THREAD, 0, 0, EINVAL, EINVAL },
	{ "clone user", SYS_clone, CLONE_THREAD | CLONE_NEWUSER, 0, 0, EINVAL, EPERM },
	{ "clone uts", SYS_clone, CLONE_THREAD | CLONE_NEWUTS, 0, 0, EINVAL, EPERM },
	{ "clone ipc", SYS_clone, CLONE_THREAD | CLONE_NEWIPC, 0, 0, EINVAL, EPERM },
	{ "clone net", SYS_clone, CLONE_THREAD | CLONE_NEWNET, 0, 0, EINVAL, EPERM },
	{ "clone pid", SYS_clone, CLONE_THREAD | CLONE_NEWPID, 0, 0, EINVAL, EPERM },
	{ "clone cgroup", SYS_clone, CLONE_THREAD | CLONE_NEWCGROUP, 0, 0, EINVAL, EPERM },
	{ "clone mount", SYS_clone, CLONE_THREAD | CLONE_NEWNS, 0, 0, EINVAL, EINVAL },
	{ "clone3", SYS_clone3, 0, 64, 0, EFAULT, ENOSYS },
	{ "memfd_secret", SYS_memfd_secret, 1, 0, 0, BY_KERNEL, ENOSYS },
	{ "socket of sctp", SYS_socket, AF_INET, SOCK_STREAM | 0x80, 132, EINVAL, EPROTONOSUPPORT },
	{ "socket of mptcp", SYS_socket, AF_INET6, SOCK_STREAM | 0x80, 262, EINVAL, EPROTONOSUPPORT },
	{ "socket of tcp", SYS_socket, AF_INET, SOCK_STREAM, 6, IS_OK, IS_OK },
};

START_TEST(what_cannot_be_dumped_is_refused_by_one_filter)
{
	long nr = undumpable[_i].nr, a = undumpable[_i].a, b = undumpable[_i].b, c = undumpable[_i].c;

	if (undumpable[_i].without != BY_KERNEL)
		ck_assert_int_eq(errno_of(nr, a, b, c, 0), undumpable[_i].without);
	ck_assert_int_eq(errno_of(nr, a, b, c, LG_CALLS_DUMPABLE), undumpable[_i].with);
}
END_TEST

START_TEST(each_combination_has_a_file_of_its_own)
{
	struct stat st[2];

	for (unsigned int i = 0; i < 2; i++) {
		int fd = lg_seccomp_open(dir, i ? LG_CALLS_KEYS : 0, NULL);

		ck_assert_int_eq(fstat(fd, &st[i]), 0);
		close(fd);
	}
	ck_assert_uint_ne(st[0].st_ino, st[1].st_ino);
}
END_TEST

#ifdef __x86_64__
/*
 * A 64-bit program can make 32-bit calls: they are a table of their own, and the filter has both. Numbers
 * as in the kernel's syscall_32.tbl.
 */
static const struct {
	const char *name;
	long nr, a;
	int want;
} calls32[] = {
	{ "getpid", 20, 0, IS_OK },	    { "init_module", 128, 0, EPERM },
	{ "delete_module", 129, 0, EPERM }, { "kexec_load", 283, 0, EPERM },
	{ "bpf", 357, -1, EPERM },	    { "keyctl", 288, 0, ENOSYS },
	{ "io_uring_setup", 425, 0, ENOSYS }, { "open_by_handle_at", 342, -1, EPERM },
	{ "stime", 25, 0, EPERM },	    { "clock_settime64", 404, -1, EPERM },
	{ "vm86", 166, 0, EPERM },	    { "iopl", 110, 0, EPERM },
	{ "userfaultfd", 374, -1, EPERM },  { "socket of vsock", 359, AF_VSOCK, EAFNOSUPPORT },
	{ "socket of tipc", 359, AF_TIPC, EAFNOSUPPORT }, { "unshare", 310, 0, IS_OK },
	{ "fsopen (by the kernel)", 430, 0, EFAULT },
};

static long call32(long nr, long a)
{
	long r;

	__asm__ volatile("int $0x80" : "=a"(r) : "a"(nr), "b"(a), "c"(0), "d"(0), "S"(0), "D"(0)
			 : "memory", "r8", "r9", "r10", "r11");
	return (int)r;
}

START_TEST(calls_of_the_older_kind_are_answered_alike)
{
	int status;
	pid_t pid;

	close(lg_seccomp_open(dir, 0, NULL));
	pid = fork();
	if (pid == 0) {
		long r;

		load(0);
		r = call32(calls32[_i].nr, calls32[_i].a);
		_exit(r >= 0 ? IS_OK : (int)-r);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV)
		return;		/* this kernel runs no 32-bit programs */
	ck_assert_msg(WIFEXITED(status), "%s: status %x", calls32[_i].name, status);
	ck_assert_msg(WEXITSTATUS(status) == calls32[_i].want, "%s: %s, not %s", calls32[_i].name,
		      strerror(WEXITSTATUS(status)), strerror(calls32[_i].want));
}
END_TEST
#endif

int main(void)
{
	Suite *s = suite_create("seccomp");
	TCase *tc = tcase_create("seccomp");
	SRunner *sr;
	int failures;

	tcase_add_checked_fixture(tc, make_dir, remove_dir);
	tcase_add_test(tc, first_open_fills_the_cache);
	tcase_add_loop_test(tc, a_damaged_cache_is_made_anew, 0, ARRAY_SIZE(damages));
	tcase_add_test(tc, a_missing_folder_is_an_error);
	tcase_add_loop_test(tc, calls_are_answered_as_the_table_says, 0, ARRAY_SIZE(calls));
	tcase_add_loop_test(tc, a_group_of_calls_is_let_through_alone, 0,
			    ARRAY_SIZE(let_through));
	tcase_add_loop_test(tc, what_cannot_be_dumped_is_refused_by_one_filter, 0,
			    ARRAY_SIZE(undumpable));
	tcase_add_test(tc, each_combination_has_a_file_of_its_own);
#ifdef __x86_64__
	tcase_add_loop_test(tc, calls_of_the_older_kind_are_answered_alike, 0,
			    ARRAY_SIZE(calls32));
#endif
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failures = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failures ? 1 : 0;
}
