/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * surface [host]: what the place it runs in lets a root do. "KIND NAME ANSWER" lines, for bench/surface.
 *
 * How it works: which system calls get past the filter is asked without making one. A traced child adds a filter of
 * its own that hands every marked call to its tracer. The kernel takes the strictest answer of all
 * filters, and "refuse" is stricter than "ask the tracer": so the tracer sees exactly those that the others
 * let through, and cancels them. Everything else is tried for real, so each row says why it does no
 * harm where it is allowed. Files are opened and never written. With "host" devices are not even opened.
 */

#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <linux/bpf.h>
#include <linux/filter.h>
#include <linux/perf_event.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/syscall.h>
#include <sys/timex.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define MARK 0x4c6f6467u	/* fifth argument of a call that is asked about */
#define CALLS_MAX 1024u

static bool on_host;

static void die(const char *what)
{
	fprintf(stderr, "surface: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* ---- system calls and the filter ------------------------------------------------------- */

struct call {
	const char *name;
	long nr;
	long arg;	/* the first one */
};

/* Made by bench/surface of what this system's headers define. */
static const struct call native[] = {
#include "calls-native.h"
};

/* Where filters look at an argument. */
static const struct call asked[] = {
	{ "unshare(CLONE_NEWUSER)", SYS_unshare, CLONE_NEWUSER },
	{ "clone(CLONE_NEWUSER)", SYS_clone, CLONE_NEWUSER | SIGCHLD },
	{ "socket(AF_VSOCK)", SYS_socket, AF_VSOCK },
	{ "socket(AF_ALG)", SYS_socket, AF_ALG },
	{ "socket(AF_PACKET)", SYS_socket, AF_PACKET },
	{ "personality(ADDR_NO_RANDOMIZE)", SYS_personality, 0x0040000 },
};

#ifdef __x86_64__
static const struct call other[] = {
#include "calls-other.h"
};

static long make_other(long nr, long arg)
{
	long ret = nr;

	__asm__ volatile("int $0x80"
			 : "+a"(ret)
			 : "b"(arg), "c"(0), "d"(0), "S"(0), "D"(MARK)
			 : "r8", "r9", "r10", "r11", "memory");
	if ((int)ret >= 0)
		return ret;
	errno = -(int)ret;
	return -1;
}

static int cancel(pid_t pid)
{
	return (int)ptrace(PTRACE_POKEUSER, pid, offsetof(struct user_regs_struct, orig_rax), -1L);
}
#else
static int cancel(pid_t pid)
{
	int none = -1;
	struct iovec iov = { &none, sizeof(none) };

	return (int)ptrace(PTRACE_SETREGSET, pid, (void *)(uintptr_t)NT_ARM_SYSTEM_CALL, &iov);
}
#endif

static long make_native(long nr, long arg)
{
	return syscall(nr, arg, 0, 0, 0, MARK);
}

/* What child and tracer tell each other. */
static struct talk {
	size_t at;
	struct answer {
		bool through;
		bool killed;
		int error;
	} answer[CALLS_MAX];
} *talk;

static void hand_marked_to_tracer(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[4])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, MARK, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { .len = COUNT(code), .filter = code };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog) < 0)
		_exit(1);
}

static void ask_all(const struct call *calls, size_t count, size_t from,
		    long (*make)(long nr, long arg))
{
	if (ptrace(PTRACE_TRACEME, 0, 0, 0) < 0)
		_exit(1);
	raise(SIGSTOP);
	hand_marked_to_tracer();
	for (talk->at = from; talk->at < count; talk->at++) {
		errno = 0;
		make(calls[talk->at].nr, calls[talk->at].arg);
		talk->answer[talk->at].error = errno;
	}
	_exit(0);
}

/* Return: whether the child has come to the end of its list. */
static bool watch(pid_t pid)
{
	int status, sig;

	for (sig = 0;; ptrace(PTRACE_CONT, pid, 0, (long)sig)) {
		if (waitpid(pid, &status, 0) < 0)
			die("wait for the traced child");
		if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
			return true;
		if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS) {
			talk->answer[talk->at].killed = true;
			return false;
		}
		if (!WIFSTOPPED(status)) {
			errno = EPERM;
			die("ask about system calls");
		}
		sig = WSTOPSIG(status);
		if (status >> 8 == (SIGTRAP | PTRACE_EVENT_SECCOMP << 8)) {
			talk->answer[talk->at].through = true;
			if (cancel(pid) < 0)
				die("cancel a system call");
			sig = 0;
		} else if (sig == SIGSTOP) {
			if (ptrace(PTRACE_SETOPTIONS, pid, 0,
				   (long)(PTRACE_O_TRACESECCOMP | PTRACE_O_EXITKILL)) < 0)
				die("trace a child");
			sig = 0;
		}
	}
}

static void report_calls(const char *kind, const struct call *calls, size_t count,
			 long (*make)(long nr, long arg))
{
	if (count > CALLS_MAX) {
		errno = E2BIG;
		die(kind);
	}
	memset(talk, 0, sizeof(*talk));
	for (size_t from = 0; from < count; from = talk->at + 1) {
		pid_t pid = fork();

		if (pid < 0)
			die("fork");
		if (pid == 0)
			ask_all(calls, count, from, make);
		if (watch(pid))
			break;
	}
	for (size_t i = 0; i < count; i++) {
		const struct answer *a = &talk->answer[i];

		printf("%s %s %s\n", kind, calls[i].name,
		       a->through ? "through" : a->killed ? "killed" : strerrorname_np(a->error));
	}
}

/* ---- calls of the host's administrator ------------------------------------------------- */

static long try_bpf(void)
{
	static const struct bpf_insn code[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	union bpf_attr attr = {
		.prog_type = BPF_PROG_TYPE_KPROBE,
		.insns = (uintptr_t)code,
		.insn_cnt = COUNT(code),
		.license = (uintptr_t) "GPL",
	};

	return syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof(attr));
}

static long try_perf(void)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(attr),
		.config = PERF_COUNT_SW_CPU_CLOCK,
		.disabled = 1,
	};

	return syscall(SYS_perf_event_open, &attr, -1, 0, -1, 0);
}

static long try_handle(void)
{
	struct {
		unsigned int bytes;
		int type;
		unsigned int number[2];
	} handle = { 8, 1, { 2, 0 } };
	int root = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return syscall(SYS_open_by_handle_at, root, &handle, O_RDONLY | O_CLOEXEC);
}

static long try_clock(void)
{
	struct timex t = { .modes = ADJ_TICK, .tick = 1 };

	return adjtimex(&t);
}

static long try_realtime(void)
{
	struct sched_param p = { .sched_priority = 1 };

	return sched_setscheduler(0, SCHED_FIFO, &p);
}

static long try_rlimit(void)
{
	struct rlimit lim;

	getrlimit(RLIMIT_MSGQUEUE, &lim);
	lim.rlim_max++;
	return setrlimit(RLIMIT_MSGQUEUE, &lim);
}

static long try_io_uring(void)
{
	static char params[120];

	return syscall(SYS_io_uring_setup, 1, params);
}

static long try_node(void)
{
	const char *node = "/dev/surface-node";
	long r;

	if (on_host)
		return 0;
	if (mknod(node, S_IFBLK | 0600, makedev(7, 0)) < 0)
		return -1;
	r = open(node, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (unlink(node) < 0)
		die(node);
	return r;
}

/* Each in a child of its own that ends at once. */
static const struct power {
	const char *name;
	long (*try)(void);
	long call[5];	/* number and arguments, without a function */
	const char *harmless;
} powers[] = {
	{ "init_module", NULL, { SYS_init_module, 0, 0, 0 }, "an empty image is no module" },
	{ "finit_module", NULL, { SYS_finit_module, -1, 0, 0 }, "no file" },
	{ "delete_module", NULL, { SYS_delete_module, 0, 0 }, "no name" },
	{ "kexec_load", NULL, { SYS_kexec_load, 0, 0x7fffffff, 0, 0xffff }, "too many segments, bad flags" },
	{ "bpf", try_bpf, { 0 }, "loaded, attached to nothing, gone with the child" },
	{ "perf_event_open", try_perf, { 0 }, "a counter that does not count" },
	{ "open_by_handle_at", try_handle, { 0 }, "read only; gone with the child" },
	{ "swapon", NULL, { SYS_swapon, 0, 0x7fffffff }, "no name, bad flags" },
	{ "swapoff", NULL, { SYS_swapoff, 0 }, "no name" },
	{ "acct", NULL, { SYS_acct, -1 }, "a name that cannot be read" },
	{ "adjtimex", try_clock, { 0 }, "a length of tick that is out of range" },
	{ "iopl", NULL, { SYS_iopl, 3 }, "for the child only" },
	{ "syslog", NULL, { SYS_syslog, 9, 0, 0 }, "asks how much is unread" },
	{ "userfaultfd", NULL, { SYS_userfaultfd, O_CLOEXEC }, "watches no memory" },
	{ "io_uring_setup", try_io_uring, { 0 }, "a ring that nobody uses" },
	{ "fanotify_init", NULL, { SYS_fanotify_init, FAN_CLASS_CONTENT, O_RDONLY }, "watches no file" },
	{ "sched_setscheduler", try_realtime, { 0 }, "for a child that ends" },
	{ "setrlimit", try_rlimit, { 0 }, "for the child only" },
	{ "disk-node", try_node, { 0 }, "read only, not read; a loop device" },
};

static int try_power(const struct power *p)
{
	long r;

	errno = 0;
	r = p->try ? p->try() : syscall(p->call[0], p->call[1], p->call[2], p->call[3], p->call[4]);
	return r < 0 ? errno : 0;
}

static void report_powers(void)
{
	for (size_t i = 0; i < COUNT(powers); i++) {
		int status;
		pid_t pid = fork();

		if (pid == 0)
			_exit(try_power(&powers[i]));
		if (pid < 0 || waitpid(pid, &status, 0) < 0)
			die("fork");
		printf("power %s %s\n", powers[i].name,
		       WIFSIGNALED(status) ? "killed" :
		       WEXITSTATUS(status) ? strerrorname_np(WEXITSTATUS(status)) : "ok");
	}
}

/* ---- files of the kernel --------------------------------------------------------------- */

/*
 * What belongs to the namespaces of whoever looks; all that begins so. (pid_max does since Linux 6.14;
 * before, only the host's root opens it.)
 */
static const char *const namespaced[] = {
	"/proc/sys/net/", "/proc/sys/user/", "/proc/sys/fs/mqueue/",
	"/proc/sys/kernel/hostname", "/proc/sys/kernel/domainname", "/proc/sys/kernel/msg",
	"/proc/sys/kernel/sem", "/proc/sys/kernel/shm", "/proc/sys/kernel/auto_msgmni",
	"/proc/sys/kernel/ns_last_pid", "/proc/sys/kernel/pid_max",
	"/sys/devices/virtual/net/",
};

static bool is_namespaced(const char *path)
{
	for (size_t i = 0; i < COUNT(namespaced); i++)
		if (strncmp(path, namespaced[i], strlen(namespaced[i])) == 0)
			return true;
	return false;
}

static dev_t walked;

/* Only the file system we began on: what is mounted below hides, or answers for itself. */
static int look_at(const char *path, const struct stat *st, int type, struct FTW *at)
{
	int fd;

	if (st->st_dev != walked || (type == FTW_D && at->level == 1 && strncmp(path, "/proc/", 6) == 0 &&
				     strspn(path + 6, "0123456789") == strlen(path + 6)))
		return FTW_SKIP_SUBTREE;
	/* Root may open files for writing that have nothing to write to. */
	if (type != FTW_F || !S_ISREG(st->st_mode) || !(st->st_mode & 0222))
		return FTW_CONTINUE;
	fd = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return FTW_CONTINUE;
	close(fd);
	printf("writable %s %s\n", path, is_namespaced(path) ? "own" : "host");
	return FTW_CONTINUE;
}

static void report_writable(const char *root)
{
	struct stat st;

	if (stat(root, &st) < 0)
		return;
	walked = st.st_dev;
	if (nftw(root, look_at, 32, FTW_PHYS | FTW_ACTIONRETVAL) < 0)
		die(root);
}

/* What is read of the kernel's log is lost for who should have it, so those are only opened. */
static const struct {
	const char *path;
	bool only_open;
} secrets[] = {
	{ "/proc/kcore", false }, { "/proc/keys", false }, { "/proc/kmsg", true },
	{ "/dev/kmsg", true }, { "/proc/timer_list", false }, { "/proc/sched_debug", false },
	{ "/proc/kpagecount", false }, { "/proc/kpageflags", false }, { "/proc/vmallocinfo", false },
	{ "/proc/slabinfo", false }, { "/proc/modules", false }, { "/proc/config.gz", false },
	{ "/proc/interrupts", false }, { "/proc/partitions", false },
	{ "/sys/kernel/vmcoreinfo", false }, { "/sys/kernel/notes", false },
	{ "/sys/class/dmi/id/product_uuid", false }, { "/sys/firmware/dmi/tables/DMI", false },
};

static void report_readable(void)
{
	for (size_t i = 0; i < COUNT(secrets); i++) {
		int fd = open(secrets[i].path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
		char byte;

		if (fd < 0)
			continue;
		if (secrets[i].only_open || read(fd, &byte, 1) == 1)
			printf("readable %s yes\n", secrets[i].path);
		close(fd);
	}
}

/* ---- devices --------------------------------------------------------------------------- */

/* Nodes whose opening does something. */
static const char *const not_opened[] = { "watchdog", "snapshot", "st", "nst" };

static bool may_open(const char *name)
{
	for (size_t i = 0; i < COUNT(not_opened); i++) {
		size_t len = strlen(not_opened[i]);

		if (strncmp(name, not_opened[i], len) == 0 &&
		    strspn(name + len, "0123456789") == strlen(name + len))
			return false;
	}
	return true;
}

static int look_at_node(const char *path, const struct stat *st, int type, struct FTW *at)
{
	int how = S_ISBLK(st->st_mode) ? O_RDONLY : O_RDWR;
	int fd;

	if (type == FTW_D && strcmp(path, "/dev/pts") == 0)
		return FTW_SKIP_SUBTREE;
	if (on_host || (!S_ISCHR(st->st_mode) && !S_ISBLK(st->st_mode)) || !may_open(path + at->base))
		return FTW_CONTINUE;
	fd = open(path, how | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return FTW_CONTINUE;
	close(fd);
	printf("device %s opens\n", path + strlen("/dev/"));
	return FTW_CONTINUE;
}

/* ---- who it is ------------------------------------------------------------------------- */

/* Lines "KEY: VALUE" of /proc/self/status. */
static void report_status(void)
{
	static const char *const keys[] = { "CapEff", "CapBnd", "NoNewPrivs", "Seccomp" };
	char line[512], key[32], value[64];
	FILE *f = fopen("/proc/self/status", "re");

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%31[^:]: %63s", key, value) == 2)
			for (size_t i = 0; i < COUNT(keys); i++)
				if (strcmp(key, keys[i]) == 0)
					printf("status %s %s\n", key, value);
	if (!f || fclose(f) != 0)
		die("/proc/self/status");
}

static void report_root(void)
{
	unsigned long inside = 1, outside = 0;
	FILE *f = fopen("/proc/self/uid_map", "re");

	if (!f || fscanf(f, "%lu %lu", &inside, &outside) != 2 || fclose(f) != 0)
		die("/proc/self/uid_map");
	printf("status root %lu\n", outside - inside);
}

static void report_namespaces(void)
{
	static const char *const names[] = { "user", "mnt", "pid", "net", "ipc", "uts", "cgroup", "time" };

	for (size_t i = 0; i < COUNT(names); i++) {
		char path[32], text[64];
		ssize_t n;

		snprintf(path, sizeof(path), "/proc/self/ns/%s", names[i]);
		n = readlink(path, text, sizeof(text) - 1);
		if (n > 0)
			printf("namespace %s %.*s\n", names[i], (int)n, text);
	}
}

int main(int argc, char **argv)
{
	on_host = argc > 1 && strcmp(argv[1], "host") == 0;
	setvbuf(stdout, NULL, _IOFBF, 1 << 16);
	talk = mmap(NULL, sizeof(*talk), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (talk == MAP_FAILED)
		die("mmap");
	report_status();
	report_root();
	report_namespaces();
	fflush(stdout);
	report_calls("call", native, COUNT(native), make_native);
	fflush(stdout);
	report_calls("asked", asked, COUNT(asked), make_native);
#ifdef __x86_64__
	fflush(stdout);
	report_calls("other", other, COUNT(other), make_other);
#endif
	fflush(stdout);
	report_powers();
	report_writable("/proc");
	report_writable("/sys");
	report_readable();
	if (nftw("/dev", look_at_node, 32, FTW_PHYS | FTW_ACTIONRETVAL) < 0)
		die("/dev");
	printf("end - -\n");
	return fflush(stdout) == 0 ? 0 : 1;
}
