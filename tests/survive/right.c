/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "survive.h"

#include <errno.h>
#include <grp.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

/* Each is set in a child, as what is given up does not come back. */

static struct sv_child child;

enum request {
	GIVE_UP,
	CHECK,
};

/* ---- capabilities ----------------------------------------------------------------- */

#define BIT(cap) (1u << (cap))
#define KEPT (BIT(CAP_CHOWN) | BIT(CAP_KILL) | BIT(CAP_NET_BIND_SERVICE) | BIT(CAP_SETUID))

static int capabilities_give_up(void)
{
	struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct data[2] = {
		{.effective = BIT(CAP_KILL),
		 .permitted = KEPT,
		 .inheritable = BIT(CAP_NET_BIND_SERVICE)},
	};

	if (prctl(PR_CAPBSET_DROP, CAP_SYS_CHROOT) < 0 || syscall(SYS_capset, &head, data) < 0)
		return sv_errno("capset");
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_NET_BIND_SERVICE, 0, 0) < 0)
		return sv_errno("PR_CAP_AMBIENT");
	return 0;
}

static int capabilities(int request)
{
	struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct data[2] = {{0}};

	if (request == GIVE_UP)
		return capabilities_give_up();
	if (syscall(SYS_capget, &head, data) < 0)
		return sv_errno("capget");
	if (sv_same("effective", BIT(CAP_KILL), data[0].effective) < 0 ||
	    sv_same("permitted", KEPT, data[0].permitted) < 0 ||
	    sv_same("inheritable", BIT(CAP_NET_BIND_SERVICE), data[0].inheritable) < 0 ||
	    sv_same("bounding", 0, prctl(PR_CAPBSET_READ, CAP_SYS_CHROOT)) < 0)
		return -1;
	return sv_same(
		"ambient", 1,
		prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_NET_BIND_SERVICE, 0, 0));
}

/* ---- users and groups ------------------------------------------------------------- */

static const gid_t groups[] = {5, 77, 999};

static int users(int request)
{
	gid_t got[8];
	uid_t r, e, s;
	gid_t rg, eg, sg;

	if (request == GIVE_UP) {
		if (setgroups(3, groups) < 0 || setresgid(10, 11, 12) < 0 ||
		    setresuid(1000, 1001, 1002) < 0)
			return sv_errno("setresuid");
		return 0;
	}
	if (getresuid(&r, &e, &s) < 0 || getresgid(&rg, &eg, &sg) < 0)
		return sv_errno("getresuid");
	if (sv_same("uid", 1000, r) < 0 || sv_same("effective uid", 1001, e) < 0 ||
	    sv_same("saved uid", 1002, s) < 0 || sv_same("gid", 10, rg) < 0 ||
	    sv_same("effective gid", 11, eg) < 0 || sv_same("saved gid", 12, sg) < 0 ||
	    sv_same("groups", 3, getgroups(8, got)) < 0)
		return -1;
	return memcmp(got, groups, sizeof(groups)) == 0 ? 0 : sv_fail("the groups are others");
}

/* ---- seccomp filters: one that a child inherits, one in a single thread ----------- */

#define REFUSE(nr, error)                                \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (nr), 0, 1), \
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (error))

static int install(int nr, int error)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		REFUSE(nr, error),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {sizeof(code) / sizeof(code[0]), code};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
		return sv_errno("seccomp");
	return 0;
}

static int refused(const char *what, int nr, int error)
{
	/* A null pointer or a bad number would fail with something else. */
	long r = syscall(nr, -1L, 0L, 0L);

	return r < 0 ? sv_same(what, error, errno) : sv_fail("%s is allowed", what);
}

static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int thread_step, thread_result = -1;

/* Both filters hold in the thread; the second one in it alone. */
static void *filtered_thread(void *arg)
{
	int r = install(SYS_getsid, EDOM);

	(void)arg;
	pthread_mutex_lock(&turn);
	thread_step = r < 0 ? -1 : 1;
	pthread_cond_broadcast(&changed);
	while (thread_step != 2)
		pthread_cond_wait(&changed, &turn);
	thread_result = refused("getsid in the thread", SYS_getsid, EDOM) < 0
				? -1
				: refused("uname in the thread", SYS_uname, EXDEV);
	pthread_mutex_unlock(&turn);
	return NULL;
}

static pthread_t thread;

static int filters_install(void)
{
	int step;

	if (install(SYS_uname, EXDEV) < 0 || install(SYS_getpriority, ENOTTY) < 0 ||
	    pthread_create(&thread, NULL, filtered_thread, NULL) != 0)
		return sv_fail("no thread");
	pthread_mutex_lock(&turn);
	while (thread_step == 0)
		pthread_cond_wait(&changed, &turn);
	step = thread_step;
	pthread_mutex_unlock(&turn);
	return step == 1 ? 0 : -1;
}

static int filters(int request)
{
	int64_t mode;

	if (request == GIVE_UP)
		return filters_install();
	if (sv_number("/proc/self/status", "Seccomp:", &mode) < 0 ||
	    sv_same("mode", SECCOMP_MODE_FILTER, mode) < 0 ||
	    refused("uname", SYS_uname, EXDEV) < 0 ||
	    refused("getpriority", SYS_getpriority, ENOTTY) < 0)
		return -1;
	if (getsid(0) < 0)
		return sv_errno("getsid, which only the thread is refused");
	pthread_mutex_lock(&turn);
	thread_step = 2;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&turn);
	pthread_join(thread, NULL);
	return thread_result;
}

/* ---- all of them ------------------------------------------------------------------------------------------- /  */

static int start(int (*body)(int request))
{
	return sv_child_start(&child, body) < 0 ? -1 : sv_child_ask(&child, GIVE_UP);
}

static int capabilities_setup(void)
{
	return start(capabilities);
}

static int users_setup(void)
{
	return start(users);
}

static int filters_setup(void)
{
	return start(filters);
}

static int verify(void)
{
	return sv_child_ask(&child, CHECK);
}

/* As the child was before. */
static void capabilities_spoil(void)
{
	sv_child_kill(&child);
	sv_child_start(&child, capabilities);
}

static void users_spoil(void)
{
	sv_child_kill(&child);
	sv_child_start(&child, users);
}

static void filters_spoil(void)
{
	sv_child_kill(&child);
	sv_child_start(&child, filters);
}

/* clang-format off */
const struct sv_item sv_right_items[] = {
	{ "capabilities", "all five sets", capabilities_setup, verify, capabilities_spoil, NULL, SV_KEPT },
	{ "users", "real, effective and saved ids, groups", users_setup, verify, users_spoil, NULL, SV_KEPT },
	{ "seccomp", "filters of a process and of one thread", filters_setup, verify, filters_spoil, NULL, SV_KEPT },
	{ .name = NULL },
};
