/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vm/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/close_range.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ct/trace.h"
#include "lib/cleanup.h"
#include "lib/ns.h"
#include "lib/proc.h"

#define HIGH 64		/* descriptors are parked from here on while they are placed */

/* clang-format off */
static const struct {
	const char *name;
	mode_t mode;
	unsigned int major, minor;
	bool kvm;
} nodes[] = {
	{ "dev/null",	 0666, 1, 3,	false },
	{ "dev/zero",	 0666, 1, 5,	false },
	{ "dev/urandom", 0444, 1, 9,	false },
	{ "dev/kvm",	 0600, 10, 232, true },
};

/* Programs, libraries and firmware. Where /usr is not merged the others are folders of their own. */
static const char *const read_only[] = { "usr", "lib", "lib64" };

static const struct {
	int resource;
	rlim_t value;
} limits[] = {
	{ RLIMIT_CORE,	  0 },
	{ RLIMIT_NOFILE,  1024 },
	{ RLIMIT_NPROC,	  1024 },	/* threads of this id */
	{ RLIMIT_MEMLOCK, 8 << 20 },
	{ RLIMIT_MSGQUEUE, 0 },
};
/* clang-format on */

struct inside {
	const struct lg_sandbox *box;
	int report;		/* SOCK_SEQPACKET: a struct lg_err when it fails; ends at exec */
	struct lg_err err;
};

/* ---- its root ---- */

static int bind_read_only(const char *source, const char *target, unsigned long more, struct lg_err *err)
{
	if (mount(source, target, NULL, MS_BIND, NULL) < 0 ||
	    mount(NULL, target, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV | more, NULL) < 0)
		return lg_fail(err, -errno, "bind '%s'", source);
	return 0;
}

static int put_folder(const char *name, struct lg_err *err)
{
	char path[16], target[PATH_MAX];
	struct stat st;
	ssize_t n;

	snprintf(path, sizeof(path), "/%s", name);
	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : lg_fail(err, -errno, "look at '%s'", path);
	if (S_ISLNK(st.st_mode)) {
		n = readlink(path, target, sizeof(target) - 1);
		if (n < 0)
			return lg_fail(err, -errno, "read the link '%s'", path);
		target[n] = '\0';
		return symlink(target, name) < 0 ? lg_fail(err, -errno, "link '%s'", path) : 0;
	}
	if (mkdir(name, 0755) < 0)
		return lg_fail(err, -errno, "make '%s'", path);
	return bind_read_only(path, name, 0, err);
}

/* One that is in none of those folders. */
static int put_program(const char *path, struct lg_err *err)
{
	char own[PATH_MAX];
	int fd;

	if (access(path + 1, F_OK) == 0)
		return 0;
	if (snprintf(own, sizeof(own), "%s", path + 1) >= (int)sizeof(own))
		return lg_fail(err, -ENAMETOOLONG, "'%s'", path);
	for (char *p = own; (p = strchr(p, '/')); *p++ = '/') {
		*p = '\0';
		if (mkdir(own, 0755) < 0 && errno != EEXIST)
			return lg_fail(err, -errno, "make '/%s'", own);
	}
	fd = open(own, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
	if (fd < 0)
		return lg_fail(err, -errno, "make '%s'", path);
	close(fd);
	return bind_read_only(path, own, 0, err);
}

static int put_nodes(const struct lg_sandbox *box, struct lg_err *err)
{
	if (mkdir("dev", 0755) < 0)
		return lg_fail(err, -errno, "make '/dev'");
	for (size_t i = 0; i < ARRAY_SIZE(nodes); i++) {
		if (nodes[i].kvm && !box->kvm)
			continue;
		if (mknod(nodes[i].name, S_IFCHR | nodes[i].mode, makedev(nodes[i].major, nodes[i].minor)) < 0 ||
		    chmod(nodes[i].name, nodes[i].mode) < 0 ||
		    (nodes[i].kvm && chown(nodes[i].name, box->id, box->id) < 0))
			return lg_fail(err, -errno, "make '/%s'", nodes[i].name);
	}
	return 0;
}

/* Its own processes alone, of which there is one: what /proc/self/fd is for. */
static int put_proc(struct lg_err *err)
{
	if (mkdir("proc", 0755) < 0 ||
	    mount("proc", "proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, "subset=pid") < 0)
		return lg_fail(err, -errno, "mount '/proc'");
	return 0;
}

static int fill_root(const struct lg_sandbox *box, struct lg_err *err)
{
	int r = put_nodes(box, err);

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(read_only); i++)
		r = put_folder(read_only[i], err);
	if (r == 0)
		r = put_program(box->argv[0], err);
	return r == 0 ? put_proc(err) : r;
}

static int make_root(const struct lg_sandbox *box, struct lg_err *err)
{
	int r;

	umask(022);
	if (unshare(CLONE_NEWNS | CLONE_NEWCGROUP) < 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return lg_fail(err, -errno, "make a mount namespace");
	if (mount("qemu", box->scratch, "tmpfs", MS_NOSUID, "size=64k,nr_inodes=64,mode=755") < 0 ||
	    chdir(box->scratch) < 0)
		return lg_fail(err, -errno, "mount its root");
	r = fill_root(box, err);
	if (r < 0)
		return r;
	if (syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0 || chdir("/") < 0 ||
	    mount(NULL, "/", NULL, MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NOEXEC, NULL) < 0)
		return lg_fail(err, -errno, "change to its root");
	return 0;
}

/* ---- itself ---- */

/* First above every wanted number, then down to its place, so that none overwrites another. */
static int place_fds(struct inside *in)
{
	int high[LG_SANDBOX_FDS];
	const struct lg_sandbox *box = in->box;

	for (unsigned int i = 0; i < box->nfds; i++) {
		high[i] = fcntl(box->fds[i], F_DUPFD_CLOEXEC, HIGH);
		if (high[i] < 0)
			return lg_fail(&in->err, -errno, "keep descriptor %u", i);
	}
	in->report = fcntl(in->report, F_DUPFD_CLOEXEC, HIGH);
	for (unsigned int i = 0; i < box->nfds; i++)
		if (dup2(high[i], (int)i) < 0)
			return lg_fail(&in->err, -errno, "place descriptor %u", i);
	if (in->report < 0 || syscall(SYS_close_range, box->nfds, ~0u, CLOSE_RANGE_CLOEXEC) < 0)
		return lg_fail(&in->err, -errno, "close the other descriptors");
	return 0;
}

static int set_limits(struct lg_err *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
		struct rlimit now, want = { limits[i].value, limits[i].value };

		if (getrlimit(limits[i].resource, &now) == 0 && now.rlim_max < want.rlim_max)
			want.rlim_cur = want.rlim_max = now.rlim_max;
		if (setrlimit(limits[i].resource, &want) < 0)
			return lg_fail(err, -errno, "set resource limit %d", limits[i].resource);
	}
	return 0;
}

static int drop_rights(const struct lg_sandbox *box, struct lg_err *err)
{
	for (unsigned long cap = 0; cap < 64; cap++)
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0 && errno == EINVAL)
			break;	/* behind the kernel's last one */
	if (setgroups(0, NULL) < 0 || setresgid(box->id, box->id, box->id) < 0 ||
	    setresuid(box->id, box->id, box->id) < 0)
		return lg_fail(err, -errno, "take its id");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return lg_fail(err, -errno, "give up new rights");
	return 0;
}

/* The change of ids has reset it. Who was ended before that does not see us end: then the report has no reader. */
static int end_with_parent(const struct inside *in, struct lg_err *err)
{
	struct pollfd p = { .fd = in->report };

	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
		return lg_fail(err, -errno, "end with the shim");
	if (poll(&p, 1, 0) != 0)
		_exit(1);
	return 0;
}

static void plain_signals(void)
{
	sigset_t none;

	for (int sig = 1; sig < NSIG; sig++)
		if (sig != SIGKILL && sig != SIGSTOP)
			signal(sig, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static int become(struct inside *in)
{
	static char lang[] = "LANG=C";
	static char *const env[] = { lang, NULL };
	const struct lg_sandbox *box = in->box;
	struct rlimit space = { box->address_space, box->address_space };
	int r = make_root(box, &in->err);

	lg_trace("QEMU's root made");
	setsid();
	umask(077);
	if (r == 0 && sethostname("qemu", 4) < 0)
		r = lg_fail(&in->err, -errno, "name its host");
	if (r == 0)
		r = place_fds(in);
	if (r == 0)
		r = set_limits(&in->err);
	if (r == 0)
		r = drop_rights(box, &in->err);
	if (r == 0)
		r = end_with_parent(in, &in->err);
	if (r == 0)
		r = lg_sandbox_filter(&in->err);
	if (r < 0)
		return r;
	lg_trace("QEMU confined");
	plain_signals();
	/* Last: it counts what we have, too. */
	if (box->address_space && setrlimit(RLIMIT_AS, &space) < 0)
		return lg_fail(&in->err, -errno, "limit its memory");
	execve(box->argv[0], box->argv, env);
	return lg_fail(&in->err, -errno, "execute '%s'", box->argv[0]);
}

static void __attribute__((noreturn)) run_inside(const struct lg_sandbox *box, int report)
{
	struct inside in = { .box = box, .report = report };

	become(&in);
	_exit(send(in.report, &in.err, sizeof(in.err), MSG_NOSIGNAL) < 0 ? 2 : 1);
}

/* A cgroup namespace made here would have our cgroup as its root, not the one that it is born in. */
static pid_t clone_box(const struct lg_sandbox *box, int *pidfd)
{
	struct clone_args args = {
		.flags = CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_PIDFD |
			 (box->cgroup_fd < 0 ? 0 : CLONE_INTO_CGROUP),
		.pidfd = (uint64_t)(uintptr_t)pidfd,
		.exit_signal = SIGCHLD,
		.cgroup = box->cgroup_fd < 0 ? 0 : (uint64_t)box->cgroup_fd,
	};
	pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));

	return pid < 0 ? -errno : pid;
}

/* Until its exec closes the other end. */
static int wait_exec(int sock, struct lg_err *err)
{
	struct lg_err said = { 0 };
	ssize_t n;

	do
		n = recv(sock, &said, sizeof(said), 0);
	while (n < 0 && errno == EINTR);
	if (n == 0)
		return 0;
	if (n != sizeof(said) || said.code >= 0)
		return lg_refuse(err, -EIO, 0, "QEMU's process said nothing");
	said.msg[sizeof(said.msg) - 1] = '\0';
	return lg_refuse(err, said.code, said.exit_code, "%s", said.msg);
}

pid_t lg_sandbox_start(const struct lg_sandbox *box, int *ret_pidfd, int *ret_netns_fd,
		       struct lg_err *err)
{
	lg_autoclose int pidfd = -1, netns = -1;
	struct lg_err ended = { 0 };
	int sock[2], r;
	pid_t pid;

	if (box->nfds > LG_SANDBOX_FDS || box->argv[0][0] != '/')
		return lg_fail(err, -EINVAL, "start '%s'", box->argv[0]);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sock) < 0)
		return lg_fail(err, -errno, "prepare QEMU's process");
	pid = clone_box(box, &pidfd);
	if (pid == 0) {
		close(sock[0]);
		run_inside(box, sock[1]);
	}
	close(sock[1]);
	/* Now: it may end as soon as it is executed, and then has none any more. */
	netns = pid < 0 ? -1 : lg_ns_open(pid, "net", &ended);
	r = pid < 0 ? lg_fail(err, pid, "make QEMU's namespaces") : wait_exec(sock[0], err);
	close(sock[0]);
	if (r == 0 && netns < 0)
		r = lg_refuse(err, ended.code, 0, "%s", ended.msg);
	if (r < 0 && pid > 0)
		lg_pidfd_signal(pidfd, SIGKILL);
	if (r < 0 && pid > 0)
		waitpid(pid, NULL, 0);
	if (r < 0)
		return lg_within(err, r, "start %s", box->what ? box->what : "QEMU");
	*ret_pidfd = lg_take_fd(&pidfd);
	*ret_netns_fd = lg_take_fd(&netns);
	return pid;
}

/* ---- taking it away ---- */

/* A change of the namespace's root is one of all processes that have it as theirs. */
static int strip(pid_t pid, int pidfd)
{
	const unsigned long flags = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC;
	char path[40];
	int root;

	/* Its root is not the namespace's where lodged itself runs in a chroot. */
	snprintf(path, sizeof(path), "/proc/%d/root", (int)pid);
	root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0 || setns(pidfd, CLONE_NEWNS) < 0 || fchdir(root) < 0 || chroot(".") < 0 ||
	    mount("empty", "/proc", "tmpfs", flags, "size=4k,nr_inodes=1,mode=555") < 0 || chdir("/proc") < 0 ||
	    syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0)
		return -errno;
	return 0;
}

int lg_sandbox_strip(pid_t pid, int pidfd, struct lg_err *err)
{
	pid_t child = fork();
	int status = 0;

	if (child == 0)
		_exit(strip(pid, pidfd) < 0 ? 1 : 0);
	if (child < 0 || waitpid(child, &status, 0) != child)
		return lg_fail(err, -errno, "empty QEMU's root");
	if (status != 0)
		return lg_refuse(err, -EIO, 0, "QEMU's root could not be emptied");
	return 0;
}
