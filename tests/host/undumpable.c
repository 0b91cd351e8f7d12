/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * undumpable KIND: be a process that CRIU cannot dump, or one that only looks like it, say "ready" (or why
 * not) and stay so until killed. Static, so that it runs in any container.
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/seccomp.h>
#include <linux/userfaultfd.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif
#define CLONE_TIME 0x80		/* CLONE_NEWTIME */
#define IORING_ENTRIES 4
#define THREAD_PIDFD O_EXCL	/* PIDFD_THREAD */
#define GHOST_BYTES (80L << 20)

/* Each gives a negative value, with errno, when it cannot. */

static int own_ns(long flag)
{
	return unshare((int)flag);
}

/* Only its children are in the new one. */
static int own_ns_of_child(long flag)
{
	int r = unshare((int)flag) < 0 ? -1 : fork();

	if (r == 0)
		pause();
	return r;
}

/* A namespace that nobody is in any more, held by a descriptor. */
static int ns_by_fd(long flag)
{
	int pipefd[2], fd;
	char path[40];
	pid_t pid;

	if (pipe(pipefd) < 0)
		return -1;
	pid = fork();
	if (pid == 0) {
		char ok = unshare((int)flag) < 0 ? (char)errno : 0;

		if (write(pipefd[1], &ok, 1) != 1)
			_exit(1);
		pause();
	}
	if (read(pipefd[0], path, 1) != 1 || path[0]) {
		errno = path[0];
		return -1;
	}
	snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)pid);
	fd = open(path, O_RDONLY);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	return fd;
}

static int io_uring(long unused)
{
	static char params[256];

	(void)unused;
	return (int)syscall(SYS_io_uring_setup, IORING_ENTRIES, params);
}

static int fault_fd(long flags)
{
	return (int)syscall(SYS_userfaultfd, flags);
}

static int landlock(long unused)
{
	static const unsigned long long handled = 1;

	(void)unused;
	return (int)syscall(SYS_landlock_create_ruleset, &handled, sizeof(handled), 0);
}

static int fs_context(long unused)
{
	(void)unused;
	return (int)syscall(SYS_fsopen, "tmpfs", 0);
}

static int seccomp_listener(long unused)
{
	struct sock_filter code[] = { BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW) };
	struct sock_fprog prog = { 1, code };

	(void)unused;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -1;
	return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER,
			    &prog);
}

static int secret(long unused)
{
	int fd = (int)syscall(SYS_memfd_secret, 0);

	(void)unused;
	return fd < 0 || ftruncate(fd, 4096) < 0 ? -1 : fd;
}

static int device(long path)
{
	return open((const char *)path, O_RDWR);
}

#define SOCKET(family, type, protocol) ((family) << 24 | (type) << 16 | (protocol))

static int a_socket(long what)
{
	return socket((int)(what >> 24), (int)(what >> 16 & 0xff), (int)(what & 0xffff));
}

/* Of a network that is left again, as one that is handed in from outside. */
static int foreign_socket(long family)
{
	int own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), fd;

	if (own < 0 || unshare(CLONE_NEWNET) < 0)
		return -1;
	fd = socket((int)family, SOCK_STREAM, 0);
	if (fd < 0 || setns(own, CLONE_NEWNET) < 0)
		return -1;
	close(own);
	return fd;
}

static int corked(long unused)
{
	int one = 1, fd = socket(AF_INET, SOCK_DGRAM, 0);

	(void)unused;
	return fd < 0 || setsockopt(fd, IPPROTO_UDP, UDP_CORK, &one, sizeof(one)) < 0 ? -1 : fd;
}

static int socket_by_path(long unused)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX, .sun_path = "/tmp/undumpable.sock" };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	(void)unused;
	unlink(addr.sun_path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		return -1;
	return open(addr.sun_path, O_PATH);
}

static int packet_pipe(long unused)
{
	int fds[2];

	(void)unused;
	return pipe2(fds, O_DIRECT);
}

static int thread_pidfd(long unused)
{
	(void)unused;
	return (int)syscall(SYS_pidfd_open, getpid(), THREAD_PIDFD);
}

static int own_pidfd(long unused)
{
	(void)unused;
	return (int)syscall(SYS_pidfd_open, getpid(), 0);
}

static int trace(long unused)
{
	pid_t pid = fork();

	(void)unused;
	if (pid == 0) {
		pause();
		_exit(0);
	}
	return pid < 0 || ptrace(PTRACE_SEIZE, pid, 0, 0) < 0 ? -1 : 0;
}

static void *wait_for_ever(void *arg)
{
	pause();
	return arg;
}

/* The thread that began the process ends; another one goes on. */
static int ended_leader(long unused)
{
	pid_t pid = fork();
	pthread_t thread;

	(void)unused;
	if (pid != 0)
		return pid;
	if (pthread_create(&thread, NULL, wait_for_ever, NULL) != 0)
		_exit(1);
	syscall(SYS_exit, 0);
	return -1;
}

/* Waits in the kernel until the child makes a program of itself, which it does not. */
static int forking(long unused)
{
	pid_t pid = fork();

	(void)unused;
	if (pid == 0 && vfork() == 0)
		for (;;)
			pause();
	return pid;
}

static int zombie(long unused)
{
	pid_t pid = fork();

	(void)unused;
	if (pid == 0)
		_exit(0);
	return pid;
}

static int ghost(long bytes)
{
	char path[] = "/tmp/undumpable.XXXXXX";
	int fd = mkstemp(path);

	if (fd < 0 || unlink(path) < 0)
		return -1;
	return posix_fallocate(fd, 0, bytes) == 0 ? fd : -1;
}

static int mounted(long type)
{
	const char *fs = (const char *)type;
	char dir[] = "/tmp/undumpable.XXXXXX", options[80] = "";
	int fuse = -1;

	if (!mkdtemp(dir))
		return -1;
	if (strcmp(fs, "fuse") == 0) {
		fuse = open("/dev/fuse", O_RDWR);
		snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=0,group_id=0", fuse);
	}
	return mount(fs, dir, fs, 0, options[0] ? options : NULL);
}

/* What `ip netns add` does. */
static int bound_ns(long unused)
{
	char path[] = "/tmp/undumpable.XXXXXX";

	(void)unused;
	return mkstemp(path) < 0 ? -1 : mount("/proc/self/ns/net", path, NULL, MS_BIND, NULL);
}

/* Connected to itself, and never accepted. */
static int unaccepted(long unused)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	int fd = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0);
	socklen_t len = sizeof(addr);

	(void)unused;
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 || listen(fd, 5) < 0 ||
	    getsockname(fd, (struct sockaddr *)&addr, &len) < 0)
		return -1;
	return connect(client, (struct sockaddr *)&addr, sizeof(addr));
}

static int event(long flags)
{
	return eventfd(1, (int)flags);
}

static int be_a(long persona)
{
	return personality((unsigned long)persona);
}

/* clang-format off */
static const struct kind {
	const char *name;
	int (*make)(long arg);
	long arg;
} kinds[] = {
	{ "userns",	 own_ns, CLONE_NEWUSER },
	{ "utsns",	 own_ns, CLONE_NEWUTS },
	{ "ipcns",	 own_ns, CLONE_NEWIPC },
	{ "netns",	 own_ns, CLONE_NEWNET },
	{ "cgroupns",	 own_ns, CLONE_NEWCGROUP },
	{ "mntns",	 own_ns, CLONE_NEWNS },
	{ "pidns",	 own_ns_of_child, CLONE_NEWPID },
	{ "timens",	 own_ns_of_child, CLONE_TIME },
	{ "ns-fd",	 ns_by_fd, CLONE_NEWNET },
	{ "io_uring",	 io_uring, 0 },
	{ "userfaultfd", fault_fd, UFFD_USER_MODE_ONLY },
	{ "landlock",	 landlock, 0 },
	{ "fscontext",	 fs_context, 0 },
	{ "listener",	 seccomp_listener, 0 },
	{ "secretmem",	 secret, 0 },
	{ "fuse-dev",	 device, (long)"/dev/fuse" },
	{ "tun-dev",	 device, (long)"/dev/net/tun" },
	{ "null-dev",	 device, (long)"/dev/null" },
	{ "ptmx",	 device, (long)"/dev/ptmx" },
	{ "ping",	 a_socket, SOCKET(AF_INET, SOCK_DGRAM, IPPROTO_ICMP) },
	{ "mptcp",	 a_socket, SOCKET(AF_INET, SOCK_STREAM, IPPROTO_MPTCP) },
	{ "sctp",	 a_socket, SOCKET(AF_INET, SOCK_STREAM, IPPROTO_SCTP) },
	{ "raw",	 a_socket, SOCKET(AF_INET, SOCK_RAW, IPPROTO_ICMP) },
	{ "tcp",	 a_socket, SOCKET(AF_INET, SOCK_STREAM, 0) },
	{ "unix",	 a_socket, SOCKET(AF_UNIX, SOCK_STREAM, 0) },
	{ "netlink",	 a_socket, SOCKET(AF_NETLINK, SOCK_RAW, 0) },
	{ "packet",	 a_socket, SOCKET(AF_PACKET, SOCK_DGRAM, 0) },
	{ "foreign-unix", foreign_socket, AF_UNIX },
	{ "foreign-tcp", foreign_socket, AF_INET },
	{ "cork",	 corked, 0 },
	{ "path-socket", socket_by_path, 0 },
	{ "packet-pipe", packet_pipe, 0 },
	{ "pidfd",	 own_pidfd, 0 },
	{ "pidfd-thread", thread_pidfd, 0 },
	{ "traced",	 trace, 0 },
	{ "ended-leader", ended_leader, 0 },
	{ "vfork",	 forking, 0 },
	{ "zombie",	 zombie, 0 },
	{ "ghost",	 ghost, GHOST_BYTES },
	{ "small-ghost", ghost, 4096 },
	{ "ramfs",	 mounted, (long)"ramfs" },
	{ "tmpfs",	 mounted, (long)"tmpfs" },
	{ "fuse",	 mounted, (long)"fuse" },
	{ "nsfs",	 bound_ns, 0 },
	{ "unaccepted",	 unaccepted, 0 },
	{ "semaphore",	 event, EFD_SEMAPHORE },
	{ "eventfd",	 event, 0 },
	{ "personality", be_a, ADDR_NO_RANDOMIZE },
};
/* clang-format on */

static int be(const struct kind *kind)
{
	int r = kind->make(kind->arg);

	if (r < 0) {
		printf("%s: %s\n", kind->name, strerrorname_np(errno));
		return 1;
	}
	printf("ready\n");
	fflush(stdout);
	close(STDOUT_FILENO);
	for (;;)
		pause();
}

int main(int argc, char **argv)
{
	for (size_t i = 0; argc == 2 && i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strcmp(kinds[i].name, argv[1]) == 0)
			return be(&kinds[i]);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		printf("%s\n", kinds[i].name);
	return 2;
}
