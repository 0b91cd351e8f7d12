/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ct/inside.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/cleanup.h"

/*
 * What a freshly booted machine gives its init. A hard limit that lodged itself does not have
 * cannot be given: then it is lodged's own.
 */
/* clang-format off */
static const struct {
	int resource;
	rlim_t soft, hard;
} limits[] = {
	{ RLIMIT_NOFILE,  1024,		  524288 },
	{ RLIMIT_CORE,	  0,		  RLIM_INFINITY },
	{ RLIMIT_STACK,	  8 << 20,	  RLIM_INFINITY },
	{ RLIMIT_MEMLOCK, 8 << 20,	  8 << 20 },
	{ RLIMIT_NPROC,	  RLIM_INFINITY,  RLIM_INFINITY },
	{ RLIMIT_FSIZE,	  RLIM_INFINITY,  RLIM_INFINITY },
	{ RLIMIT_AS,	  RLIM_INFINITY,  RLIM_INFINITY },
	{ RLIMIT_DATA,	  RLIM_INFINITY,  RLIM_INFINITY },
	{ RLIMIT_CPU,	  RLIM_INFINITY,  RLIM_INFINITY },
};
/* clang-format on */

int lg_confine_parse(const struct lg_msg *m, struct lg_rlimits *ret, struct lg_err *err)
{
	memset(ret, 0, sizeof(*ret));
	for (const char *v = lg_msg_get(m, "rlimit"); v; v = lg_msg_next(m, "rlimit", v)) {
		unsigned int resource;
		uint64_t soft, hard;

		if (sscanf(v, "%u %" SCNu64 " %" SCNu64, &resource, &soft, &hard) != 3 ||
		    resource >= RLIM_NLIMITS)
			return lg_refuse(err, -EINVAL, 0, "START has a bad 'rlimit'");
		ret->of[resource].given = true;
		ret->of[resource].soft = soft;
		ret->of[resource].hard = hard;
	}
	return 0;
}

static int set_limit(int resource, rlim_t soft, rlim_t hard)
{
	struct rlimit lim;

	if (getrlimit(resource, &lim) < 0)
		return -errno;
	if (lim.rlim_cur == soft && lim.rlim_max == hard)
		return 0;
	lim.rlim_max = hard < lim.rlim_max ? hard : lim.rlim_max;
	lim.rlim_cur = soft < lim.rlim_max ? soft : lim.rlim_max;
	return setrlimit(resource, &lim) < 0 ? -errno : 0;
}

static int set_given(const struct lg_rlimits *given, struct lg_err *err)
{
	for (int i = 0; i < RLIM_NLIMITS; i++) {
		int r = given->of[i].given ? set_limit(i, given->of[i].soft, given->of[i].hard) : 0;

		if (r < 0)
			return lg_fail(err, r, "set resource limit %d", i);
	}
	return 0;
}

int lg_confine_limits(const struct lg_rlimits *given, struct lg_err *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
		int r = given && given->of[limits[i].resource].given ?
				0 : set_limit(limits[i].resource, limits[i].soft, limits[i].hard);

		if (r < 0)
			return lg_fail(err, r, "set resource limit %d", limits[i].resource);
	}
	if (given && set_given(given, err) < 0)
		return err->code;
	umask(022);
	return 0;
}

static char oom_noted[16] = "0\n";

static int read_oom(pid_t pid, int flags, char text[16])
{
	char path[40];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/oom_score_adj", (int)pid);
	fd = open(path, flags | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, 15);
	text[n > 0 ? n : 0] = '\0';
	return fd;
}

void lg_oom_note(void)
{
	lg_close(read_oom(getpid(), O_RDONLY, oom_noted));
}

int lg_oom_reset(pid_t pid)
{
	char now[16];
	lg_autoclose int fd = -1;

	if (strcmp(oom_noted, "0\n") == 0)
		return 0;
	fd = read_oom(pid, O_RDWR, now);
	/* Another value was not inherited: lodged has given it to the instance. */
	if (fd >= 0 && *oom_noted && strcmp(now, oom_noted) != 0)
		return 0;
	return fd < 0 || write(fd, "0", 1) < 0 ? -errno : 0;
}

int lg_confine_apparmor(const char *profile, struct lg_err *err)
{
	lg_autoclose int fd = -1;
	char text[80];
	int n;

	if (!profile)
		return 0;
	fd = open("/proc/self/attr/apparmor/exec", O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : lg_fail(err, -errno, "open AppArmor's exec");
	n = snprintf(text, sizeof(text), "exec %s", profile);
	if (n < 0 || (size_t)n >= sizeof(text))
		return lg_fail(err, -ENAMETOOLONG, "AppArmor profile");
	if (write(fd, text, (size_t)n) < 0 && errno != ENOENT && errno != EINVAL)
		return lg_fail(err, -errno, "change to the AppArmor profile %s", profile);
	return 0;
}

int lg_confine_caps(uint64_t keep, struct lg_err *err)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	for (unsigned int cap = 0; cap < 64; cap++) {
		if (keep & (UINT64_C(1) << cap))
			continue;
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) == 0)
			continue;
		if (errno == EINVAL)
			break;	/* behind the kernel's last one */
		return lg_fail(err, -errno, "drop capability %u", cap);
	}
	if (syscall(SYS_capget, &head, data) < 0)
		return lg_fail(err, -errno, "read the capabilities");
	data[0].inheritable = data[1].inheritable = 0;	/* takes the ambient ones away too */
	if (syscall(SYS_capset, &head, data) < 0)
		return lg_fail(err, -errno, "set the capabilities");
	return 0;
}

int lg_confine_ids(struct lg_err *err)
{
	if (setgroups(0, NULL) < 0 || setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0)
		return lg_fail(err, -errno, "become the container's root");
	/* A change of ids sets it to what fs.suid_dumpable says. */
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return lg_fail(err, -errno, "stay out of sight");
	return 0;
}

int lg_confine_seccomp(int fd, struct lg_err *err)
{
	struct sock_fprog prog;
	struct stat st;
	size_t n;
	void *p;
	int r = 0;

	if (fd < 0)
		return 0;
	if (fstat(fd, &st) < 0)
		return lg_fail(err, -errno, "read the system call filter");
	n = (size_t)st.st_size / sizeof(struct sock_filter);
	if (n == 0 || n > BPF_MAXINSNS || (size_t)st.st_size % sizeof(struct sock_filter))
		return lg_refuse(err, -EBADMSG, 0, "the system call filter has a bad size");
	p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (p == MAP_FAILED)
		return lg_fail(err, -errno, "map the system call filter");
	prog.len = (unsigned short)n;
	prog.filter = p;
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog) < 0)
		r = lg_fail(err, -errno, "load the system call filter");
	munmap(p, (size_t)st.st_size);
	return r;
}

void lg_confine_signals(void)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

void lg_report(int sock, uint32_t kind, const struct lg_err *err)
{
	static struct lg_msg m;

	lg_msg_init(&m, kind);
	if (err)
		lg_msg_put_err(&m, err);
	(void)lg_msg_send(sock, &m);
}
