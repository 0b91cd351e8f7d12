/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * cgroup/ on the cgroups of the machine it runs on, unified or hybrid, in a TOP of its own.
 * Needs root and says so (77); the same tests run on either kind of host.
 */

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "cgroup/host.h"
#include "cgroup/limits.h"
#include "cgroup/stats.h"
#include "lib/cleanup.h"
#include "lib/parse.h"

#define OWNER 700000u
#define SKIP 77

static char top[32]; /* "lgtest-PID" of the runner: all tests clean up after one another */
static struct lg_cg_host *host;
static struct lg_err err;

static void ok(int r)
{
	ck_assert_msg(r == 0, "%s (%d)", err.msg, r);
}

static void nap(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = 2000000 }, NULL);
}

static int remove_name(const char *name, void *arg)
{
	(void)arg;
	(void)lg_cg_freeze(host, name, false, NULL);
	(void)lg_cg_kill(host, name, NULL);
	for (int i = 0; i < 1000 && lg_cg_remove(host, name, NULL) == -EBUSY; i++)
		nap();
	return 0;
}

static int remove_spare(const char *name, void *arg)
{
	(void)arg;
	for (int i = 0; i < 1000 && lg_cg_spare_remove(host, name, NULL) == -EBUSY; i++)
		nap();
	return 0;
}

static void empty(void)
{
	(void)lg_cg_each(host, remove_name, NULL);
	(void)lg_cg_spare_each(host, remove_spare, NULL);
}

static void setup(void)
{
	memset(&err, 0, sizeof(err));
	ok(lg_cg_host_new(top, &host, &err));
	empty();	/* of what a test left that failed half-way */
}

static void teardown(void)
{
	empty();
	ok(lg_cg_host_remove(host, &err));
	lg_cg_host_free(host);
	host = NULL;
}

static bool has_dir(const char *path)
{
	return faccessat(host->v2.top, path, F_OK, 0) == 0;
}

static int enter_v1(const char *path, void *arg)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	(void)arg;
	if (fd < 0 || write(fd, "0", 1) != 1)
		return -errno;
	close(fd);
	return 0;
}

/* Fork a child into the cgroup2 directory @fd as lodge's own starts do, and run @fn there. */
static pid_t born_in(int fd, void (*fn)(void))
{
	struct clone_args args = { .flags = CLONE_INTO_CGROUP, .exit_signal = SIGCHLD,
				   .cgroup = (uint64_t)fd };
	pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));

	if (pid == 0) {
		fn();
		_exit(0);
	}
	ck_assert_int_gt(pid, 0);
	return pid;
}

/* The stand-in of a shim: goes into the spare set, and forks @fn into the cgroup when told. */
struct shim {
	pid_t pid;
	int go;		/* a byte here lets it fork */
};

static void shim_main(int go, int said, const char *name, void (*fn)(void))
{
	char c = (char)lg_cg_spare_procs(host, "spare-1", enter_v1, NULL);
	int status = 0;

	if (write(said, &c, 1) != 1 || read(go, &c, 1) != 1)
		_exit(1);
	waitpid(born_in(lg_cg_open(host, name, false, NULL), fn), &status, 0);
	_exit(WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
}

static struct shim shim_new(const char *name, void (*fn)(void))
{
	struct shim shim;
	int go[2], said[2];
	char c = 1;

	ck_assert_int_eq(pipe2(go, O_CLOEXEC), 0);
	ck_assert_int_eq(pipe2(said, O_CLOEXEC), 0);
	shim.pid = fork();
	if (shim.pid == 0)
		shim_main(go[0], said[1], name, fn);
	ck_assert_int_gt(shim.pid, 0);
	ck_assert_int_eq(read(said[0], &c, 1), 1);
	ck_assert_int_eq(c, 0);
	shim.go = go[1];
	close(said[0]);
	return shim;
}

static int shim_wait(struct shim *shim)
{
	int status = 0;

	ck_assert_int_eq(waitpid(shim->pid, &status, 0), shim->pid);
	ck_assert(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* Spare set, shim in it, instance 101 made of it, limits @set, @fn running in it. */
static struct shim start(const struct lg_limit_set *set, void (*fn)(void))
{
	struct shim shim;

	ok(lg_cg_spare_make(host, "spare-1", &err));
	shim = shim_new("101", fn);
	ok(lg_cg_make(host, "101", "spare-1", OWNER, &err));
	if (set)
		ok(lg_limits_apply(host, "101", set, &err));
	ck_assert_int_eq(write(shim.go, "", 1), 1);
	return shim;
}

static void sleeper(void)
{
	for (;;)
		pause();
}

static volatile unsigned long *counter;

static void count(void)
{
	for (;;)
		++*counter;
}

static void wait_populated(bool want)
{
	for (int i = 0; i < 1000 && lg_cg_populated(host, "101") != want; i++)
		nap();
	ck_assert_int_eq(lg_cg_populated(host, "101"), want);
}

static int add_one(pid_t pid, void *arg)
{
	(void)pid;
	++*(int *)arg;
	return 0;
}

static int add_name(const char *name, void *arg)
{
	ck_assert_str_eq(name, arg);
	return 5;
}

START_TEST(an_instance_lives_from_a_spare_set_to_its_removal)
{
	struct shim shim = start(NULL, sleeper);
	int procs = 0;

	wait_populated(true);
	ck_assert(has_dir("101/" LG_CG_LEAF));
	ck_assert_int_eq(lg_cg_procs(host, "101", add_one, &procs), 0);
	ck_assert_int_eq(procs, 1);	/* without the shim */
	ck_assert_int_eq(lg_cg_each(host, add_name, (char []){ "101" }), 5);
	ck_assert_int_eq(lg_cg_spare_each(host, add_name, NULL), 0);
	ck_assert_int_eq(lg_cg_remove(host, "101", &err), -EBUSY);
	ck_assert(has_dir("101/" LG_CG_LEAF));
	ck_assert_int_eq(lg_cg_host_remove(host, &err), -EBUSY);
	ok(lg_cg_kill(host, "101", &err));
	ck_assert_int_eq(shim_wait(&shim), 128 + SIGKILL);
	ck_assert(!lg_cg_populated(host, "101"));
	ok(lg_cg_remove(host, "101", &err));
	ck_assert(!has_dir("101"));
	ok(lg_cg_remove(host, "101", &err));
	ck_assert_int_eq(lg_cg_each(host, add_name, NULL), 0);
	ck_assert_int_eq(lg_cg_kill(host, "101", &err), -ENOENT);
}
END_TEST

START_TEST(a_shim_alone_keeps_v1_directories_busy_and_no_more)
{
	struct shim shim;

	if (!lg_cg_is_hybrid(host))
		return;
	shim = start(NULL, sleeper);
	wait_populated(true);
	kill(shim.pid, SIGSTOP);
	ok(lg_cg_kill(host, "101", &err));
	wait_populated(false);
	ck_assert_int_eq(lg_cg_remove(host, "101", &err), -EBUSY);
	ck_assert(!has_dir("101"));
	ck_assert_int_eq(lg_cg_each(host, add_name, (char []){ "101" }), 5);
	kill(shim.pid, SIGCONT);
	ck_assert_int_eq(shim_wait(&shim), 128 + SIGKILL);
	ok(lg_cg_remove(host, "101", &err));
	ck_assert_int_eq(lg_cg_each(host, add_name, NULL), 0);
}
END_TEST

START_TEST(frozen_means_stopped_and_thawed_means_running)
{
	struct shim shim;
	unsigned long seen;

	counter = mmap(NULL, sizeof(*counter), PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert(counter != MAP_FAILED);
	shim = start(NULL, count);
	for (int i = 0; i < 1000 && *counter == 0; i++)
		nap();
	ck_assert_uint_gt(*counter, 0);
	ok(lg_cg_freeze(host, "101", true, &err));
	for (int i = 0; i < 1000 && !lg_cg_frozen(host, "101"); i++)
		nap();
	ck_assert(lg_cg_frozen(host, "101"));
	nap();	/* Linux 6.1 was seen to say so one turn of the loop early */
	seen = *counter;
	for (int i = 0; i < 10; i++)
		nap();
	ck_assert_uint_eq(*counter, seen);
	ok(lg_cg_freeze(host, "101", false, &err));
	for (int i = 0; i < 1000 && *counter == seen; i++)
		nap();
	ck_assert_uint_gt(*counter, seen);
	ok(lg_cg_freeze(host, "101", true, &err));
	ok(lg_cg_kill(host, "101", &err));
	ck_assert_int_eq(shim_wait(&shim), 128 + SIGKILL);
}
END_TEST

static struct lg_io_devs disks;

/* The limits of disks where there is one: a test may run on a file system in memory. */
static void limit_disk(struct lg_limit_set *set)
{
	disks.n = 0;
	if (lg_io_find("/var", &disks, NULL) < 0)
		return;
	set->devs = &disks;
	set->value[LG_LIMIT_IO_READ] = UINT64_C(1) << 20;
	set->value[LG_LIMIT_IO_WRITE] = UINT64_C(2) << 20;
	set->value[LG_LIMIT_IOPS_READ] = 50;
	set->value[LG_LIMIT_IOPS_WRITE] = 60;
}

static struct lg_limit_set all_limits(void)
{
	struct lg_limit_set set = { .mask = (1u << LG_LIMIT_COUNT_) - 1 };

	for (int id = 0; id < LG_LIMIT_COUNT_; id++)
		set.value[id] = lg_limit_none((enum lg_limit_id)id);
	set.value[LG_LIMIT_MEMORY] = UINT64_C(64) << 20;
	set.value[LG_LIMIT_SWAP] = UINT64_C(16) << 20;
	set.value[LG_LIMIT_CPU] = 150;
	set.value[LG_LIMIT_CPU_WEIGHT] = 200;
	set.value[LG_LIMIT_TASKS] = 20;
	return set;
}

/* Where memory is on v1 there is no guarantee; a kernel may have no weights of disks. */
static bool is_absent(int id)
{
	uint64_t value;

	return (id == LG_LIMIT_GUARANTEE || id == LG_LIMIT_IO_WEIGHT) &&
	       lg_limit_read(host, "101", (enum lg_limit_id)id, &value, NULL) == -EOPNOTSUPP;
}

START_TEST(the_kernel_holds_the_limits_up_down_and_off)
{
	struct lg_limit_set set = all_limits();
	static const uint64_t factors[] = { 1, 4, 2, 8, 1 };
	uint64_t got;

	limit_disk(&set);
	set.value[LG_LIMIT_IO_WEIGHT] = 50;
	set.value[LG_LIMIT_MEMORY_HIGH] = UINT64_C(32) << 20;
	set.value[LG_LIMIT_GUARANTEE] = UINT64_C(1) << 20;
	ok(lg_cg_make(host, "101", NULL, OWNER, &err));
	for (size_t i = 0; i < ARRAY_SIZE(factors); i++) {
		struct lg_limit_set now = set;

		for (int id = 0; id < LG_LIMIT_COUNT_; id++)
			if (now.value[id] != LG_UNLIMITED)
				now.value[id] *= factors[i];
		ok(lg_limits_apply(host, "101", &now, &err));
		for (int id = 0; id < LG_LIMIT_COUNT_; id++) {
			if (is_absent(id))
				continue;
			ok(lg_limit_read(host, "101", (enum lg_limit_id)id, &got, &err));
			ck_assert_uint_eq(got, now.value[id]);
		}
	}
	for (int id = 0; id < LG_LIMIT_COUNT_; id++)
		set.value[id] = lg_limit_none((enum lg_limit_id)id);
	ok(lg_limits_apply(host, "101", &set, &err));
	for (int id = 0; id < LG_LIMIT_COUNT_; id++) {
		if (is_absent(id))
			continue;
		ok(lg_limit_read(host, "101", (enum lg_limit_id)id, &got, &err));
		ck_assert_uint_eq(got, lg_limit_none((enum lg_limit_id)id));
	}
}
END_TEST

static void eat(size_t bytes)
{
	char *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		_exit(3);
	for (size_t i = 0; i < bytes; i += 4096)
		((volatile char *)p)[i] = 1;
}

static void hog(void)
{
	eat((size_t)256 << 20);
}

START_TEST(a_hog_is_killed_and_counted)
{
	struct lg_limit_set set = all_limits();
	struct lg_cg_stats usage;
	struct shim shim = start(&set, hog);

	ck_assert_int_eq(shim_wait(&shim), 128 + SIGKILL);
	ok(lg_cg_stats(host, "101", LG_CG_ALL, &usage, &err));
	ck_assert_uint_eq(usage.oom_kills, 1);
	ck_assert_uint_le(usage.memory_bytes, set.value[LG_LIMIT_MEMORY]);
	if (usage.memory_peak_bytes != UINT64_MAX)
		ck_assert_uint_gt(usage.memory_peak_bytes, set.value[LG_LIMIT_MEMORY] / 2);
	ck_assert_uint_gt(usage.cpu_us, 0);
	ck_assert_uint_eq(usage.tasks, 0);
}
END_TEST

static void fork_all(void)
{
	int children = 0;

	while (children < 100) {
		pid_t pid = fork();

		if (pid == 0)
			sleeper();
		if (pid < 0)
			_exit(errno == EAGAIN ? children : 101);
		children++;
	}
	_exit(102);
}

START_TEST(tasks_end_at_the_limit)
{
	struct lg_limit_set set = all_limits();
	struct shim shim = start(&set, fork_all);
	int children = shim_wait(&shim);

	/* 20 with the one that forks, and on a hybrid host with the shim. */
	ck_assert_int_ge(children, 18);
	ck_assert_int_le(children, 19);
}
END_TEST

static void eat_some(void)
{
	eat((size_t)48 << 20);
	*counter = 1;
	sleeper();
}

START_TEST(v1_memory_below_what_is_used_is_refused_with_the_amount)
{
	struct lg_limit_set set = all_limits();
	uint64_t got = 0;
	struct shim shim;

	if (!lg_cg_is_hybrid(host))
		return;
	counter = mmap(NULL, sizeof(*counter), PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert(counter != MAP_FAILED);
	shim = start(&set, eat_some);
	while (!*counter)
		nap();
	set.mask = 1u << LG_LIMIT_MEMORY | 1u << LG_LIMIT_SWAP;
	set.value[LG_LIMIT_MEMORY] = UINT64_C(4) << 20;
	set.value[LG_LIMIT_SWAP] = 0;
	ck_assert_int_eq(lg_limits_apply(host, "101", &set, &err), -EBUSY);
	ck_assert_ptr_nonnull(strstr(err.msg, "limited to 4.0M"));
	ck_assert_ptr_nonnull(strstr(err.msg, " are used"));
	ok(lg_limit_read(host, "101", LG_LIMIT_MEMORY, &got, &err));
	ck_assert_uint_eq(got, UINT64_C(64) << 20);
	ok(lg_limit_read(host, "101", LG_LIMIT_SWAP, &got, &err));
	ck_assert_uint_eq(got, UINT64_C(16) << 20);
	ok(lg_cg_kill(host, "101", &err));
	ck_assert_int_eq(shim_wait(&shim), 128 + SIGKILL);
}
END_TEST

static void make_tree(int dir, unsigned int width, unsigned int depth)
{
	static const char *const odd[] = { "a b", "\t", "-rf", "*", "$(x)", "\xff\xfe", "..." };
	char name[32];
	int at = dup(dir);

	for (size_t i = 0; i < ARRAY_SIZE(odd); i++)
		ck_assert_int_eq(mkdirat(dir, odd[i], 0755), 0);
	for (unsigned int i = 0; i < width; i++) {
		snprintf(name, sizeof(name), "wide-%u", i);
		ck_assert_int_eq(mkdirat(dir, name, 0755), 0);
	}
	for (unsigned int i = 0; i < depth; i++) {
		int next;

		ck_assert_int_eq(mkdirat(at, "d", 0), 0);
		next = openat(at, "d", O_PATH | O_CLOEXEC);
		close(at);
		at = next;
	}
	/* The guest goes no deeper. */
	ck_assert_int_eq(mkdirat(at, "d", 0755), -1);
	ck_assert_int_eq(errno, EAGAIN);
	close(at);
}

START_TEST(whatever_a_guest_made_is_removed)
{
	int dir;
	int procs = 0;

	ok(lg_cg_make(host, "101", NULL, OWNER, &err));
	dir = lg_cg_open(host, "101", false, &err);
	ck_assert_int_ge(dir, 0);
	make_tree(dir, 1500, LG_CG_DEPTH_MAX);
	close(dir);
	ck_assert_int_eq(lg_cg_procs(host, "101", add_one, &procs), 0);
	ck_assert_int_eq(procs, 0);
	ok(lg_cg_remove(host, "101", &err));
	ck_assert(!has_dir("101"));
}
END_TEST

START_TEST(a_guest_makes_only_so_many_cgroups)
{
	char name[64];
	int made = 0;

	ok(lg_cg_make(host, "101", NULL, OWNER, &err));
	for (; made < LG_CG_CHILDREN_MAX + 10; made++) {
		snprintf(name, sizeof(name), "101/%d", made);
		if (mkdirat(host->v2.top, name, 0755) < 0)
			break;
	}
	ck_assert_int_eq(errno, EAGAIN);
	ck_assert_int_eq(made, LG_CG_CHILDREN_MAX - 1);	/* the leaf is one */
}
END_TEST

static bool may_write(const char *file)
{
	int fd = openat(host->v2.top, file, O_WRONLY | O_CLOEXEC);

	return lg_close(fd) != fd;
}

/* As the container's root, in its cgroup. Exits with the number of the broken promise. */
static void try_as_owner(void)
{
	if (setgroups(0, NULL) || setresgid(OWNER, OWNER, OWNER) ||
	    setresuid(OWNER, OWNER, OWNER))
		_exit(1);
	if (mkdirat(host->v2.top, "101/init.scope", 0755))
		_exit(2);
	if (lg_cg_write(host->v2.top, "101/init.scope", "cgroup.procs", "0"))
		_exit(3);
	if (mkdirat(host->v2.top, "102", 0755) == 0 || mkdirat(host->v2.top, "../x", 0755) == 0)
		_exit(4);
	if (may_write("101/cgroup.max.depth") || may_write("101/cgroup.max.descendants"))
		_exit(5);
	if (may_write("101/memory.max") || may_write("101/pids.max") ||
	    may_write("101/cpu.max"))
		_exit(6);
	if (may_write("101/cgroup.freeze") || may_write("101/cgroup.kill"))
		_exit(7);
	if (may_write("cgroup.procs") || may_write(LG_CG_SHIMS "/cgroup.procs"))
		_exit(8);
	if (!may_write("101/cgroup.subtree_control") || !may_write("101/cgroup.threads"))
		_exit(9);
	if (unlinkat(host->v2.top, "101/" LG_CG_LEAF, AT_REMOVEDIR))
		_exit(10);
	_exit(0);
}

START_TEST(a_guest_owns_its_tree_and_nothing_above)
{
	struct shim shim = start(NULL, try_as_owner);
	struct stat st;
	int fd;

	ck_assert_int_eq(shim_wait(&shim), 0);
	ck_assert(!has_dir("101/" LG_CG_LEAF));
	fd = lg_cg_open(host, "101", true, &err);	/* made again, the guest's again */
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_uint_eq(st.st_uid, OWNER);
	ck_assert_uint_eq(st.st_gid, OWNER);
	close(fd);
	ck_assert_int_eq(lg_cg_open(host, "102", true, &err), -ENOENT);
}
END_TEST

START_TEST(a_session_is_born_in_the_leaf_after_the_guest_took_the_rest)
{
	struct shim shim = start(NULL, sleeper);
	int leaf, status;
	pid_t pid;

	wait_populated(true);
	/* What a guest's systemd does: go into a child, then enable controllers. */
	ck_assert_int_eq(mkdirat(host->v2.top, "101/init.scope", 0755), 0);
	for (int procs = 1; procs;) {
		char text[LG_CG_TEXT];

		procs = 0;
		ck_assert_int_ge(lg_cg_read(host->v2.top, "101", "cgroup.procs", text,
					    sizeof(text)), 0);
		for (char *p = strtok(text, "\n"); p; p = strtok(NULL, "\n"), procs++)
			ok(lg_cg_write(host->v2.top, "101/init.scope", "cgroup.procs", p));
	}
	for (size_t i = 0; i < LG_CG_CTL_COUNT_; i++) {
		char text[32];

		snprintf(text, sizeof(text), "+%s", lg_cg_ctls[i].name);
		if (host->ctl[i].top >= 0 && !host->ctl[i].v1)
			ok(lg_cg_write(host->v2.top, "101", "cgroup.subtree_control", text));
	}
	leaf = lg_cg_open(host, "101", true, &err);
	ck_assert_int_ge(leaf, 0);
	pid = born_in(leaf, sleeper);
	ok(lg_cg_kill(host, "101", &err));
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	ck_assert_int_eq(shim_wait(&shim), 128 + SIGKILL);
	ok(lg_cg_remove(host, "101", &err));
}
END_TEST

static int see_path(const char *path, void *arg)
{
	ck_assert_int_eq(access(path, W_OK), 0);
	++*(int *)arg;
	return 0;
}

START_TEST(a_failed_make_leaves_the_spare_set)
{
	int before = 0, after = 0;

	ok(lg_cg_spare_make(host, "spare-2", &err));
	ck_assert_int_eq(lg_cg_spare_procs(host, "spare-2", see_path, &before), 0);
	ok(lg_cg_make(host, "101", NULL, OWNER, &err));
	ck_assert_int_eq(lg_cg_make(host, "101", "spare-2", OWNER, &err), -EEXIST);
	ck_assert_int_eq(lg_cg_spare_procs(host, "spare-2", see_path, &after), 0);
	ck_assert_int_eq(before, after);
	ck_assert_int_eq(before, (int)host->nv1);
	ck_assert(has_dir("101"));
	if (host->nv1) {	/* the last v1 directory is in the way: those before go back */
		ok(lg_cg_remove(host, "101", &err));
		ck_assert_int_eq(mkdirat(host->v1[host->nv1 - 1].top, "101", 0755), 0);
		ck_assert_int_eq(lg_cg_make(host, "101", "spare-2", OWNER, &err), -EEXIST);
		ck_assert_int_eq(lg_cg_spare_procs(host, "spare-2", see_path, &after), 0);
		ck_assert(!has_dir("101"));
	}
	ck_assert_int_eq(lg_cg_make(host, "10/1", NULL, OWNER, &err), -EINVAL);
	ck_assert_int_eq(lg_cg_make(host, "..", NULL, OWNER, &err), -EINVAL);
}
END_TEST

START_TEST(a_second_daemon_finds_what_the_first_one_made)
{
	struct lg_cg_host *first = host;

	ok(lg_cg_spare_make(host, "spare-7", &err));
	ok(lg_cg_make(host, "101", NULL, OWNER, &err));
	ok(lg_cg_host_new(top, &host, &err));
	lg_cg_host_free(first);
	ck_assert_int_eq(lg_cg_each(host, add_name, (char []){ "101" }), 5);
	if (lg_cg_is_hybrid(host))
		ck_assert_int_eq(lg_cg_spare_each(host, add_name, (char []){ "spare-7" }), 5);
	ck_assert(lg_cg_has(host, "memory"));
	ck_assert(lg_cg_has(host, "pids"));
	ck_assert(lg_cg_has(host, "cpu"));
	ck_assert(lg_cg_has(host, "cpuset"));
	ck_assert(lg_cg_has(host, "io"));
	ck_assert(!lg_cg_has(host, "rdma"));
}
END_TEST

START_TEST(shims_have_a_place_of_their_own)
{
	int fd = lg_cg_open_shims(host, &err);
	int status;
	pid_t pid;

	ck_assert_int_ge(fd, 0);
	pid = born_in(fd, sleeper);
	ck_assert_int_eq(lg_cg_host_remove(host, &err), -EBUSY);
	kill(pid, SIGKILL);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	close(fd);
	ck_assert_int_eq(lg_cg_each(host, add_name, NULL), 0);
}
END_TEST

START_TEST(helpers_of_an_instance_end_all_at_once)
{
	int fd = lg_cg_open_helpers(host, "101", &err);
	pid_t pids[2];

	ck_assert_int_ge(fd, 0);
	ck_assert(!lg_cg_helpers_run(host, "101"));
	for (int i = 0; i < 2; i++)
		pids[i] = born_in(fd, sleeper);
	close(fd);
	ck_assert(lg_cg_helpers_run(host, "101"));
	ck_assert(!lg_cg_helpers_run(host, "102"));
	ck_assert_int_eq(lg_cg_each(host, add_name, NULL), 0);
	(void)lg_cg_end_helpers(host, "101", &err);
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(waitpid(pids[i], NULL, 0), pids[i]);
	ok(lg_cg_end_helpers(host, "101", &err));
	ok(lg_cg_end_helpers(host, "101", &err));
	ck_assert(!lg_cg_helpers_run(host, "101"));
	ck_assert_int_eq(lg_cg_end_helpers(host, "../x", &err), -EINVAL);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("cgroup_host");
	TCase *tc = tcase_create("this host");
	SRunner *sr;
	int failures;

	if (geteuid() != 0) {
		puts("needs root: makes cgroups");
		return SKIP;
	}
	snprintf(top, sizeof(top), "lgtest-%d", (int)getpid());
	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, an_instance_lives_from_a_spare_set_to_its_removal);
	tcase_add_test(tc, a_shim_alone_keeps_v1_directories_busy_and_no_more);
	tcase_add_test(tc, frozen_means_stopped_and_thawed_means_running);
	tcase_add_test(tc, the_kernel_holds_the_limits_up_down_and_off);
	tcase_add_test(tc, a_hog_is_killed_and_counted);
	tcase_add_test(tc, tasks_end_at_the_limit);
	tcase_add_test(tc, v1_memory_below_what_is_used_is_refused_with_the_amount);
	tcase_add_test(tc, whatever_a_guest_made_is_removed);
	tcase_add_test(tc, a_guest_makes_only_so_many_cgroups);
	tcase_add_test(tc, a_guest_owns_its_tree_and_nothing_above);
	tcase_add_test(tc, a_session_is_born_in_the_leaf_after_the_guest_took_the_rest);
	tcase_add_test(tc, a_failed_make_leaves_the_spare_set);
	tcase_add_test(tc, a_second_daemon_finds_what_the_first_one_made);
	tcase_add_test(tc, shims_have_a_place_of_their_own);
	tcase_add_test(tc, helpers_of_an_instance_end_all_at_once);
	suite_add_tcase(suite, tc);
	sr = srunner_create(suite);
	srunner_run_all(sr, CK_ENV);
	failures = srunner_ntests_failed(sr);
	srunner_free(sr);
	if (failures && lg_cg_host_new(top, &host, NULL) == 0)
		teardown();
	return failures ? 1 : 0;
}
