/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * What a hostile root tries. Each verb prints what the kernel answered: "ok", the name of an errno, or for those
 * that take as much as they get "N ERRNO": how many it got, and what ended it. The latter hold it until
 * their stdin ends. Static, so that it runs in any container.
 */

#include <errno.h>
#include <arpa/inet.h>
#include <fcntl.h>
#include <ftw.h>
#include <netinet/in.h>
#include <poll.h>
#include <stddef.h>
#include <linux/audit.h>
#include <linux/loop.h>
#include <linux/netlink.h>
#include <mqueue.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#define COUNT(a) (sizeof(a) / sizeof(a[0]))

static long long now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000LL + ts.tv_nsec / 1000;
}

static int answer(long r)
{
	printf("%s\n", r < 0 ? strerrorname_np(errno) : "ok");
	return 0;
}

static long number(const char *text)
{
	return strtol(text, NULL, 0);
}

/* ---- single tries ---- */

static int try_open(char **arg)
{
	int fd = open(arg[0], O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	return answer(fd);
}

static int try_write(char **arg)
{
	int fd = open(arg[0], O_WRONLY | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0)
		return answer(-1);
	return answer(write(fd, arg[1], strlen(arg[1])));
}

/* node PATH b|c MAJOR MINOR: make it, and open it where that works. */
static int try_node(char **arg)
{
	mode_t type = arg[1][0] == 'b' ? S_IFBLK : S_IFCHR;

	if (mknod(arg[0], type | 0600, makedev((unsigned int)number(arg[2]),
					      (unsigned int)number(arg[3]))) < 0)
		return answer(-1);
	return try_open(arg);
}

/* mount SOURCE DIR TYPE OPTIONS */
static int try_mount(char **arg)
{
	mkdir(arg[1], 0755);
	return answer(mount(arg[0], arg[1], arg[2], 0, *arg[3] ? arg[3] : NULL));
}

/* remount DIR: without read-only, nosuid, nodev, noexec */
static int try_remount(char **arg)
{
	return answer(mount(NULL, arg[0], NULL, MS_REMOUNT | MS_BIND, NULL));
}

static int try_signal(char **arg)
{
	return answer(kill((pid_t)number(arg[0]), 0));
}

static int try_ptrace(char **arg)
{
	return answer(ptrace(PTRACE_SEIZE, (pid_t)number(arg[0]), NULL, NULL));
}

/* setns PATH: enter the namespace that it names */
static int try_setns(char **arg)
{
	int fd = open(arg[0], O_RDONLY | O_CLOEXEC);

	return answer(fd < 0 ? -1 : setns(fd, 0));
}

/* parents KIND: ask the kernel for the parent of the own user or pid namespace */
static int try_parent(char **arg)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/1/ns/%s", arg[0]);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return answer(fd < 0 ? -1 : ioctl(fd, _IO(0xb7, 2)));
}

static int try_socket(char **arg)
{
	return answer(socket((int)number(arg[0]), (int)number(arg[1]), (int)number(arg[2])));
}

/* abstract NAME: connect to that abstract unix socket */
static int try_abstract(char **arg)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	size_t len = strlen(arg[0]);

	memcpy(sa.sun_path + 1, arg[0], len);
	return answer(connect(fd, (struct sockaddr *)&sa,
			      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + len)));
}

static int try_setxattr(char **arg)
{
	return answer(setxattr(arg[0], arg[1], arg[2], strlen(arg[2]), 0));
}

/* filecap PATH ROOTID: cap_sys_admin+ep, of the namespace whose root is ROOTID; -1: of the host (revision 2) */
static int try_filecap(char **arg)
{
	uint32_t cap[6] = { 0x03000001, 1u << 21, 0, 0, 0, (uint32_t)number(arg[1]) };
	size_t size = sizeof(cap);

	if (number(arg[1]) == -1) {
		cap[0] = 0x02000001;
		size = 5 * sizeof(uint32_t);
	}
	return answer(setxattr(arg[0], "security.capability", cap, size, 0));
}

static int try_rlimit(char **arg)
{
	struct rlimit lim = { strtoul(arg[1], NULL, 0), strtoul(arg[1], NULL, 0) };

	return answer(setrlimit((unsigned int)number(arg[0]), &lim));
}

static int try_settime(char **arg)
{
	struct timespec ts = { .tv_sec = number(arg[0]) };

	return answer(clock_settime(CLOCK_REALTIME, &ts));
}

/* A device's own doors: those that work on a descriptor of any file. */
static int try_loop(char **arg)
{
	int fd = open(arg[0], O_RDWR | O_CLOEXEC);

	return answer(fd < 0 ? -1 : ioctl(fd, LOOP_CTL_GET_FREE));
}

/* A descriptor of a folder, by its number: the kernel's handle of a file opens any file of its disk. */
static int try_handle(char **arg)
{
	struct {
		struct file_handle h;
		unsigned char bytes[128];
	} fh = { .h.handle_bytes = 128 };
	int mount_id, dir = open(arg[0], O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (name_to_handle_at(AT_FDCWD, arg[0], &fh.h, &mount_id, 0) < 0)
		return answer(-1);
	return answer(open_by_handle_at(dir, &fh.h, O_RDONLY | O_CLOEXEC));
}

/* keys of a session or user that are not ours */
static int try_keyring(char **arg)
{
	return answer(syscall(SYS_keyctl, 0 /* KEYCTL_GET_KEYRING_ID */, (int)number(arg[0]), 0));
}

static int try_bpf(char **arg)
{
	char attr[128] = { 0 };

	return answer(syscall(SYS_bpf, (int)number(arg[0]), attr, sizeof(attr)));
}

/* ---- as much as one gets ---- */

static int hold(long n)
{
	char byte;

	printf("%ld %s\n", n, errno ? strerrorname_np(errno) : "-");
	fflush(stdout);
	while (read(0, &byte, 1) > 0)
		;
	return 0;
}

static long many(char **arg, int (*one)(char **arg))
{
	long n = 0, max = number(arg[0]);
	struct rlimit files;

	/* So that it is not the number of open files that ends it where there is more to be had. */
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	errno = 0;
	while (n < max && one(arg + 1) >= 0)
		n++;
	if (n == max)
		errno = 0;
	return n;
}

static int one_inotify(char **arg)
{
	(void)arg;
	return inotify_init1(IN_CLOEXEC);
}

static int one_watch(char **arg)
{
	static int fd = -1, n;
	char path[64];

	if (fd < 0)
		fd = inotify_init1(IN_CLOEXEC);
	snprintf(path, sizeof(path), "%s/%d", arg[0], n++);
	mkdir(path, 0755);
	return inotify_add_watch(fd, path, IN_CREATE);
}

static int one_pty(char **arg)
{
	char path[300];

	snprintf(path, sizeof(path), "%s/ptmx", arg[0]);
	return open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);
}

static const struct {
	const char *name;
	int flag;
} kinds[] = {
	{ "user", CLONE_NEWUSER }, { "mnt", CLONE_NEWNS },   { "uts", CLONE_NEWUTS },
	{ "ipc", CLONE_NEWIPC },   { "net", CLONE_NEWNET },  { "pid", CLONE_NEWPID },
	{ "cgroup", CLONE_NEWCGROUP },
};

static int one_ns(char **arg)
{
	char path[64];

	for (size_t i = 0; i < COUNT(kinds); i++) {
		if (strcmp(kinds[i].name, arg[0]) != 0)
			continue;
		if (unshare(kinds[i].flag) < 0)
			return -1;
		snprintf(path, sizeof(path), "/proc/self/ns/%s", arg[0]);
		return open(path, O_RDONLY | O_CLOEXEC);
	}
	errno = EINVAL;
	return -1;
}

static int one_file(char **arg)
{
	static int n;
	char path[300];
	int fd;

	snprintf(path, sizeof(path), "%s/f%d", arg[0], n++);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd >= 0)
		close(fd);
	return fd;
}

static int one_chunk(char **arg)
{
	static char data[65536];
	static int fd = -1;

	if (fd < 0)
		fd = open(arg[0], O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	memset(data, 'x', sizeof(data));
	return write(fd, data, sizeof(data)) < 0 ? -1 : 0;
}

static int one_timer(char **arg)
{
	struct sigevent ev = { .sigev_notify = SIGEV_NONE };
	timer_t t;

	(void)arg;
	return timer_create(CLOCK_MONOTONIC, &ev, &t);
}

static int one_pipe(char **arg)
{
	int fds[2];

	(void)arg;
	if (pipe2(fds, O_CLOEXEC) < 0)
		return -1;
	/* As much in it as one may have without being asked for more. */
	return fcntl(fds[1], F_SETPIPE_SZ, 1 << 20) < 0 ? -1 : fds[0];
}

static int one_mqueue(char **arg)
{
	struct mq_attr attr = { .mq_maxmsg = 10, .mq_msgsize = 8192 };
	static int n;
	char name[32];

	(void)arg;
	snprintf(name, sizeof(name), "/q%d", n++);
	return mq_open(name, O_RDWR | O_CREAT, 0600, &attr);
}

static int one_shm(char **arg)
{
	int id = shmget(IPC_PRIVATE, 1 << 20, IPC_CREAT | 0600);
	char *mem = id < 0 ? (char *)-1 : shmat(id, NULL, 0);

	(void)arg;
	if (mem == (char *)-1)
		return -1;
	memset(mem, 1, 1 << 20);
	return 0;
}

static int one_signal(char **arg)
{
	union sigval value = { .sival_int = 1 };
	sigset_t set;

	(void)arg;
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return sigqueue(getpid(), SIGRTMIN, value);
}

static int one_epoll(char **arg)
{
	struct epoll_event ev = { .events = EPOLLIN };
	static int ep = -1;
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);

	(void)arg;
	if (ep < 0)
		ep = epoll_create1(EPOLL_CLOEXEC);
	return fd < 0 ? -1 : epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev);
}

static int one_open(char **arg)
{
	return open(arg[0], O_RDONLY | O_CLOEXEC);
}

static int one_mount(char **arg)
{
	return mount(arg[0], arg[0], NULL, MS_BIND | MS_REC, NULL);
}

static int one_tmpfs(char **arg)
{
	static int n;
	char path[300];

	snprintf(path, sizeof(path), "%s/t%d", arg[0], n++);
	mkdir(path, 0755);
	return mount("none", path, "tmpfs", 0, NULL);
}

static int one_cgroup(char **arg)
{
	static int n;
	char path[300];

	snprintf(path, sizeof(path), "%s/bomb%d", arg[0], n++);
	return mkdir(path, 0755);
}

static int one_key(char **arg)
{
	static int n;
	char name[32];

	(void)arg;
	snprintf(name, sizeof(name), "k%d", n++);
	return (int)syscall(SYS_add_key, "user", name, "x", 1, -3 /* session */);
}

static int one_lock(char **arg)
{
	static int fd = -1, n;
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1 };

	if (fd < 0)
		fd = open(arg[0], O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	lock.l_start = 2 * n++;
	return fcntl(fd, F_SETLK, &lock);
}

/* One flow of the host's connection tracking: each from a port of its own. */
static int one_flow(char **arg)
{
	static int n;
	char byte = 0;
	struct sockaddr_in to = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int r;

	if (fd < 0)
		return -1;
	to.sin_port = htons((uint16_t)(1024 + n++ % 60000));
	to.sin_addr.s_addr = (uint32_t)strtoul(arg[0], NULL, 0);
	to.sin_addr.s_addr = htonl(to.sin_addr.s_addr);
	r = (int)sendto(fd, &byte, 1, MSG_DONTWAIT, (struct sockaddr *)&to, sizeof(to));
	close(fd);
	return r < 0 && errno != EAGAIN && errno != EPERM && errno != ECONNREFUSED &&
	       errno != EHOSTUNREACH ? -1 : 0;
}

static const struct {
	const char *name;
	int nargs;	/* of one; the number comes in front of them */
	int (*one)(char **arg);
} bombs[] = {
	{ "inotify", 0, one_inotify }, { "watches", 1, one_watch }, { "ptys", 1, one_pty },
	{ "namespaces", 1, one_ns },   { "files", 1, one_file },    { "bytes", 1, one_chunk },
	{ "timers", 0, one_timer },    { "pipes", 0, one_pipe },    { "mqueues", 0, one_mqueue },
	{ "shm", 0, one_shm },	       { "signals", 0, one_signal }, { "epoll", 0, one_epoll },
	{ "opens", 1, one_open },      { "binds", 1, one_mount },   { "tmpfs", 1, one_tmpfs },
	{ "cgroups", 1, one_cgroup },  { "keys", 0, one_key },	    { "locks", 1, one_lock },
	{ "flows", 1, one_flow },
};

/* ---- what a process that is entered from outside shows ---- */

static bool readable(const char *path)
{
	char buf[64];
	ssize_t n = readlink(path, buf, sizeof(buf));
	int fd = n < 0 ? open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC) : -1;

	if (fd >= 0)
		close(fd);
	return n >= 0 || fd >= 0;
}

/*
 * Is this a process that is still the host's: its program hidden from us, or none of ours? A process that is
 * entered turns from that into one of ours and never back, so who asks after he got something knows.
 */
static bool is_foreign(pid_t pid)
{
	char path[64], name[300];
	struct stat st, seen;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/exe", (int)pid);
	n = readlink(path, name, sizeof(name) - 1);
	if (n < 0)
		return errno == EACCES || errno == EPERM;
	name[n] = '\0';
	if (stat(path, &st) < 0)
		return false;	/* it has just ended */
	return stat(name, &seen) < 0 || st.st_ino != seen.st_ino || st.st_dev != seen.st_dev;
}

/* A zombie is there until it is reaped, and shows nothing more. */
static bool is_over(pid_t pid)
{
	char path[64], text[256];
	const char *name_end;
	int fd, n;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? 0 : (int)read(fd, text, sizeof(text) - 1);
	if (fd >= 0)
		(void)close(fd);
	text[n > 0 ? n : 0] = '\0';
	name_end = strrchr(text, ')');
	return !name_end || strncmp(name_end, ") Z", 3) == 0 || strncmp(name_end, ") X", 3) == 0;
}

static void look_at(pid_t pid, unsigned int *found)
{
	static const char *const files[] = { "fd/0", "fd/3", "fd/4", "mem", "exe", "cwd", "root", "maps",
					     "environ" };
	char path[64];

	for (size_t i = 0; i < COUNT(files); i++) {
		snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, files[i]);
		if (readable(path) && is_foreign(pid)) {
			printf("process %d: %s is open\n", (int)pid, files[i]);
			++*found;
		}
	}
	if (ptrace(PTRACE_SEIZE, pid, NULL, NULL) == 0) {
		if (is_foreign(pid)) {
			printf("process %d: traced\n", (int)pid);
			++*found;
		}
		ptrace(PTRACE_DETACH, pid, NULL, NULL);
	}
}

/*
 * catch SECONDS: look at every process that comes up, as fast as possible; prints what of the host could be
 * opened, then "seen N found M". Pids count up, so the next one is watched for.
 */
static int catch_entering(char **arg)
{
	long long end = now_us() + number(arg[0]) * 1000000;
	unsigned int seen = 0, found = 0;
	pid_t next = getpid() + 1;

	while (now_us() < end) {
		for (pid_t pid = next; pid < next + 64; pid++) {
			if (kill(pid, 0) < 0)
				continue;
			seen++;
			next = pid + 1;
			while (kill(pid, 0) == 0 && now_us() < end && getpgid(pid) >= 0 &&
			       !is_over(pid))
				look_at(pid, &found);
			break;
		}
	}
	printf("seen %u found %u\n", seen, found);
	return 0;
}

static int nap(char **arg)
{
	(void)arg;
	return usleep(200000);
}

/* vanish: become a program that is no file of the container's, for a moment */
static int vanish(char **arg)
{
	char *argv[] = { "attack", "nap", NULL }, *envp[] = { NULL }, buf[65536];
	int from = open("/proc/self/exe", O_RDONLY | O_CLOEXEC), to = memfd_create("gone", MFD_CLOEXEC);
	ssize_t n;

	(void)arg;
	while ((n = read(from, buf, sizeof(buf))) > 0)
		if (write(to, buf, (size_t)n) != n)
			return 3;
	fexecve(to, argv, envp);
	return answer(-1);
}

/* forkbomb: until it is killed */
static int forkbomb(char **arg)
{
	(void)arg;
	while (fork() >= -1)
		continue;
	return 0;
}

/* fds: what a program that was entered has open besides its three streams, and where these lead */
static int list_fds(char **arg)
{
	char path[64], to[300];

	(void)arg;
	for (int fd = 0; fd < 1024; fd++) {
		ssize_t n;

		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		n = readlink(path, to, sizeof(to) - 1);
		if (n < 0)
			continue;
		to[n] = '\0';
		printf("%d %s\n", fd, to);
	}
	return 0;
}

/* ---- what can be written ---- */

static bool is_pid_folder(const char *path)
{
	const char *name = path + strlen("/proc/");

	return strncmp(path, "/proc/", strlen("/proc/")) == 0 &&
	       ((*name >= '0' && *name <= '9') || strncmp(name, "self", 4) == 0 ||
		strncmp(name, "thread-self", 11) == 0);
}

static int show_writable(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	int fd;

	(void)ftw;
	if (is_pid_folder(path))
		return FTW_SKIP_SUBTREE;
	if (type != FTW_F || !S_ISREG(st->st_mode))
		return FTW_CONTINUE;
	fd = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd >= 0) {
		printf("%s\n", path);
		close(fd);
	}
	return FTW_CONTINUE;
}

/* writable DIR: files below that the kernel opens for writing; processes' own left out */
static int list_writable(char **arg)
{
	return nftw(arg[0], show_writable, 64, FTW_PHYS | FTW_MOUNT | FTW_ACTIONRETVAL) < 0;
}

/* ---- both sides of a connection ---- */

static bool make_address(char **arg, struct sockaddr_in *sa)
{
	memset(sa, 0, sizeof(*sa));
	sa->sin_family = AF_INET;
	sa->sin_port = htons((uint16_t)number(arg[1]));
	return inet_pton(AF_INET, arg[0], &sa->sin_addr) == 1;
}

/* connect ADDRESS PORT: within two seconds */
static int try_connect(char **arg)
{
	struct timeval patience = { .tv_sec = 2 };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in sa;

	if (!make_address(arg, &sa))
		return 2;
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	return answer(connect(fd, (const struct sockaddr *)&sa, sizeof(sa)));
}

/* listen ADDRESS PORT NAME: there, and on the abstract unix socket NAME, until stdin ends */
static int listen_both(char **arg)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	size_t len = strlen(arg[2]);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
	int ufd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in sa;

	memcpy(un.sun_path + 1, arg[2], len);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (!make_address(arg, &sa) || bind(fd, (const struct sockaddr *)&sa, sizeof(sa)) < 0 ||
	    listen(fd, 16) < 0 ||
	    bind(ufd, (const struct sockaddr *)&un,
		 (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + len)) < 0 ||
	    listen(ufd, 16) < 0)
		return answer(-1);
	errno = 0;
	return hold(0);
}

/* ---- the neighbour ---- */

/* What a living server does: a process, a file, an answer. */
static bool beat_once(const char *path)
{
	pid_t pid = fork();
	int status, fd;

	if (pid == 0)
		_exit(7);
	if (pid < 0 || waitpid(pid, &status, 0) != pid || WEXITSTATUS(status) != 7)
		return false;
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, "beat", 4) != 4)
		return false;
	close(fd);
	return true;
}

/* beat FILE: fifty times a second until stdin ends; then "N beats, M failed, worst W us" */
static int beat(char **arg)
{
	struct pollfd in = { .fd = 0, .events = POLLIN };
	unsigned int n = 0, failed = 0;
	long long worst = 0;

	printf("beating\n");
	fflush(stdout);
	while (poll(&in, 1, 20) == 0) {
		long long begin = now_us(), took;

		failed += !beat_once(arg[0]);
		took = now_us() - begin;
		worst = took > worst ? took : worst;
		n++;
	}
	printf("%u beats, %u failed, worst %lld us\n", n, failed, worst);
	return 0;
}

static const struct {
	const char *name;
	int nargs;
	int (*fn)(char **arg);
} verbs[] = {
	{ "open", 1, try_open },	{ "write", 2, try_write },     { "node", 4, try_node },
	{ "mount", 4, try_mount },	{ "remount", 1, try_remount }, { "signal", 1, try_signal },
	{ "ptrace", 1, try_ptrace },	{ "setns", 1, try_setns },     { "parent", 1, try_parent },
	{ "socket", 3, try_socket },	{ "abstract", 1, try_abstract }, { "setxattr", 3, try_setxattr },
	{ "filecap", 2, try_filecap },	{ "rlimit", 2, try_rlimit },   { "settime", 1, try_settime },
	{ "loop", 1, try_loop },	{ "handle", 1, try_handle },   { "keyring", 1, try_keyring },
	{ "bpf", 1, try_bpf },		{ "catch", 1, catch_entering }, { "fds", 0, list_fds },
	{ "writable", 1, list_writable }, { "connect", 2, try_connect }, { "listen", 3, listen_both },
	{ "beat", 1, beat },		{ "nap", 0, nap },	       { "vanish", 0, vanish },
	{ "forkbomb", 0, forkbomb },
};

int main(int argc, char **argv)
{
	for (size_t i = 0; argc > 1 && i < COUNT(verbs); i++)
		if (strcmp(argv[1], verbs[i].name) == 0 && argc == verbs[i].nargs + 2)
			return verbs[i].fn(argv + 2);
	for (size_t i = 0; argc > 2 && i < COUNT(bombs); i++)
		if (strcmp(argv[1], bombs[i].name) == 0 && argc == bombs[i].nargs + 3)
			return hold(many(argv + 2, bombs[i].one));
	fprintf(stderr, "attack: bad arguments\n");
	return 2;
}
