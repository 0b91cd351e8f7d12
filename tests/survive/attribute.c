/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "survive.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* What a process is set to, and nobody but itself and its children would notice to be gone. */

/* ---- limits -------------------------------------------------------------------------------- /  */

static const struct {
	const char *name;
	int nr;
	rlim_t soft, hard;
} limits[] = {
	{"RLIMIT_NOFILE", RLIMIT_NOFILE, 77, 99},
	{"RLIMIT_CORE", RLIMIT_CORE, 4096, 8192},
	{"RLIMIT_STACK", RLIMIT_STACK, 3 << 20, 5 << 20},
	{"RLIMIT_FSIZE", RLIMIT_FSIZE, 1 << 30, (rlim_t)1 << 31},
	{"RLIMIT_CPU", RLIMIT_CPU, 5000, 6000},
};
#define N_LIMITS (sizeof(limits) / sizeof(limits[0]))

static int limits_setup(void)
{
	for (size_t i = 0; i < N_LIMITS; i++) {
		struct rlimit lim = {limits[i].soft, limits[i].hard};

		if (setrlimit(limits[i].nr, &lim) < 0)
			return sv_errno(limits[i].name);
	}
	return 0;
}

static int limits_verify(void)
{
	for (size_t i = 0; i < N_LIMITS; i++) {
		struct rlimit lim;

		getrlimit(limits[i].nr, &lim);
		if (sv_same(limits[i].name, (int64_t)limits[i].soft, (int64_t)lim.rlim_cur) <
			    0 ||
		    sv_same(limits[i].name, (int64_t)limits[i].hard, (int64_t)lim.rlim_max) < 0)
			return -1;
	}
	return 0;
}

static void limits_spoil(void)
{
	struct rlimit lim = {100, 8192};

	setrlimit(RLIMIT_CORE, &lim);
}

/* ---- scheduling ------------------------------------------------------------------- */

static int scheduler_setup(void)
{
	struct sched_param none = {0};

	if (sched_setscheduler(0, SCHED_BATCH, &none) < 0 ||
	    setpriority(PRIO_PROCESS, 0, 7) < 0)
		return sv_errno("sched_setscheduler");
	return 0;
}

static int scheduler_verify(void)
{
	if (sv_same("policy", SCHED_BATCH, sched_getscheduler(0)) < 0)
		return -1;
	return sv_same("nice", 7, getpriority(PRIO_PROCESS, 0));
}

static void scheduler_spoil(void)
{
	setpriority(PRIO_PROCESS, 0, 8);
}

/*
 * A second thread, whose values are its own: it sets them, sleeps until it is asked, and says whether they are
 * still there.
 */
static struct {
	pthread_t thread;
	sem_t is_set, asked;
	int (*set)(void), (*check)(void);
	int result;
} other;

static void *other_body(void *arg)
{
	other.result = other.set();
	sem_post(&other.is_set);
	while (sem_wait(&other.asked) < 0)
		;
	if (other.result == 0)
		other.result = other.check();
	return arg;
}

static int other_start(int (*set)(void), int (*check)(void))
{
	other.set = set;
	other.check = check;
	sem_init(&other.is_set, 0, 0);
	sem_init(&other.asked, 0, 0);
	if (pthread_create(&other.thread, NULL, other_body, NULL) != 0)
		return sv_fail("pthread_create");
	while (sem_wait(&other.is_set) < 0)
		;
	return other.result;
}

static int other_ask(void)
{
	sem_post(&other.asked);
	pthread_join(other.thread, NULL);
	return other.result;
}

static cpu_set_t all_cpus, first_cpu, last_cpu, free_cpus;
static pid_t unbound;

static int bound_to(pid_t tid, const cpu_set_t *wanted)
{
	cpu_set_t now;

	return sched_getaffinity(tid, sizeof(now), &now) == 0 && CPU_EQUAL(&now, wanted)
		       ? 0
		       : sv_fail("thread %d may use other CPUs", (int)tid);
}

static int bind_to(const cpu_set_t *set)
{
	return sched_setaffinity(0, sizeof(*set), set) < 0 ? sv_errno("sched_setaffinity") : 0;
}

static int bind_to_first(void)
{
	return bind_to(&first_cpu);
}

static int is_on_first(void)
{
	return bound_to(0, &first_cpu);
}

/* The last CPU that it may use, alone, the first for another thread; a child is as it was. Where there is one only, nothing
 * can be lost. */
static int affinity_setup(void)
{
	int last = -1;

	if (sched_getaffinity(0, sizeof(all_cpus), &all_cpus) < 0)
		return sv_errno("sched_getaffinity");
	free_cpus = all_cpus;
	for (int i = 0; i < CPU_SETSIZE; i++) {
		if (!CPU_ISSET(i, &all_cpus))
			continue;
		if (last < 0)
			CPU_SET(i, &first_cpu);
		last = i;
	}
	CPU_SET(last, &last_cpu);
	unbound = fork();
	if (unbound == 0) {
		for (;;)
			pause();
	}
	if (unbound < 0 || bind_to(&last_cpu) < 0)
		return sv_errno("a child");
	return other_start(bind_to_first, is_on_first);
}

static int affinity_verify(void)
{
	int r = bound_to(0, &last_cpu) < 0 || bound_to(unbound, &free_cpus) < 0 ? -1 : 0;

	kill(unbound, SIGKILL);
	waitpid(unbound, NULL, 0);
	return other_ask() < 0 ? -1 : r;
}

/* As a process that nobody bound; on a machine with one CPU, what is compared with. */
static void affinity_spoil(void)
{
	bind_to(&all_cpus);
	if (CPU_EQUAL(&all_cpus, &last_cpu))
		CPU_ZERO(&last_cpu);
}

/* ---- file system: root, working folder, umask ------------------------------------- */

static int chroot_setup(void)
{
	if (mkdir("root", 0755) < 0 || mkdir("root/home", 0755) < 0)
		return sv_errno("mkdir");
	close(sv_file("root/home/inside", 100, 80));
	if (chroot("root") < 0 || chdir("/home") < 0)
		return sv_errno("chroot");
	umask(0137);
	return 0;
}

static int chroot_verify(void)
{
	struct stat root, up;
	char path[128] = "";
	int fd;

	if (!getcwd(path, sizeof(path)) || strcmp(path, "/home") != 0)
		return sv_fail("the working folder is '%s'", path);
	if (stat("/", &root) < 0 || stat("/..", &up) < 0 || access("/home/inside", F_OK) < 0)
		return sv_errno("the root");
	if (sv_same("what is above the root", (int64_t)root.st_ino, (int64_t)up.st_ino) < 0 ||
	    sv_same("umask", 0137, umask(0137)) < 0)
		return -1;
	fd = open("new", O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
	if (fd < 0 || fstat(fd, &up) < 0)
		return sv_errno("a new file");
	return sv_same("mode of a new file", 0640, up.st_mode & 0777);
}

static void chroot_spoil(void)
{
	umask(022);
}

/* ---- prctl ------------------------------------------------------------------------------------------------ /  */

static const struct {
	const char *name;
	int set, get;
	unsigned long value;
	bool by_pointer; /* what get gives */
} states[] = {
	{"PR_SET_DUMPABLE", PR_SET_DUMPABLE, PR_GET_DUMPABLE, 0, false},
	{"PR_SET_NO_NEW_PRIVS", PR_SET_NO_NEW_PRIVS, PR_GET_NO_NEW_PRIVS, 1, false},
	{"PR_SET_PDEATHSIG", PR_SET_PDEATHSIG, PR_GET_PDEATHSIG, SIGUSR2, true},
	{"PR_SET_CHILD_SUBREAPER", PR_SET_CHILD_SUBREAPER, PR_GET_CHILD_SUBREAPER, 1, true},
	{"PR_SET_THP_DISABLE", PR_SET_THP_DISABLE, PR_GET_THP_DISABLE, 1, false},
};
#define N_STATES (sizeof(states) / sizeof(states[0]))

static struct sv_child
	stranger; /* so that the death signal is not the one of init's children */

static int prctl_get(size_t i)
{
	int value = -1,
	    r = prctl(states[i].get, states[i].by_pointer ? (unsigned long)&value : 0, 0, 0, 0);

	return states[i].by_pointer ? value : r;
}

static int prctl_check(void)
{
	char name[17] = "";

	for (size_t i = 0; i < N_STATES; i++) {
		if (sv_same(states[i].name, (int64_t)states[i].value, prctl_get(i)) < 0)
			return -1;
	}
	prctl(PR_GET_NAME, name);
	return strcmp(name, "a name of 15 ch") == 0 ? 0 : sv_fail("its name is '%s'", name);
}

static int prctl_body(int request)
{
	if (request == 0)
		return prctl_check();
	for (size_t i = 0; i < N_STATES; i++) {
		if (prctl(states[i].set, states[i].value, 0, 0, 0) < 0)
			return sv_errno(states[i].name);
	}
	return prctl(PR_SET_NAME, "a name of 15 ch") < 0 ? sv_errno("PR_SET_NAME") : 0;
}

static int prctl_setup(void)
{
	return sv_child_start(&stranger, prctl_body) < 0 ? -1 : sv_child_ask(&stranger, 1);
}

static int prctl_verify(void)
{
	return sv_child_ask(&stranger, 0);
}

static void prctl_spoil(void)
{
	sv_child_kill(&stranger);
	sv_child_start(&stranger, prctl_body);
}

static int set_slack(void)
{
	return prctl(PR_SET_TIMERSLACK, 7) < 0 ? sv_errno("PR_SET_TIMERSLACK") : 0;
}

static int has_slack(void)
{
	return sv_same("PR_GET_TIMERSLACK of a thread", 7, prctl(PR_GET_TIMERSLACK));
}

static int slack_setup(void)
{
	if (prctl(PR_SET_TIMERSLACK, 123456) < 0)
		return sv_errno("PR_SET_TIMERSLACK");
	return other_start(set_slack, has_slack);
}

static int slack_verify(void)
{
	int r = sv_same("PR_GET_TIMERSLACK", 123456, prctl(PR_GET_TIMERSLACK));

	return other_ask() < 0 ? -1 : r;
}

static void slack_spoil(void)
{
	prctl(PR_SET_TIMERSLACK, 50000);
}

/* ---- what /proc says of it -------------------------------------------------------- */

static int proc_setup(void)
{
	FILE *f = fopen("/proc/self/oom_score_adj", "we");

	if (!f || fputs("777", f) < 0 || fclose(f) != 0)
		return sv_errno("oom_score_adj");
	setenv("SURVIVE", "as it was", 1);
	return 0;
}

static int proc_verify(void)
{
	const char *environment = getenv("SURVIVE");
	char text[64] = "";
	int64_t score;

	if (sv_number("/proc/self/oom_score_adj", "", &score) < 0 ||
	    sv_same("oom_score_adj", 777, score) < 0)
		return -1;
	if (!environment || strcmp(environment, "as it was") != 0)
		return sv_fail("its environment is gone");
	/* The command line is read from its memory, at an address that the kernel keeps. */
	if (sv_line("/proc/self/cmdline", "", text, sizeof(text)) < 0 ||
	    !strstr(text, "survive"))
		return sv_fail("its command line is '%s'", text);
	return readlink("/proc/self/exe", text, sizeof(text) - 1) > 0 && strstr(text, "survive")
		       ? 0
		       : sv_fail("its program is '%s'", text);
}

static void proc_spoil(void)
{
	unsetenv("SURVIVE");
}

static int personality_setup(void)
{
	return personality(ADDR_NO_RANDOMIZE) < 0 ? sv_errno("personality") : 0;
}

static int personality_verify(void)
{
	return sv_same("personality", ADDR_NO_RANDOMIZE, personality(0xffffffff));
}

static void personality_spoil(void)
{
	personality(0);
}

/* clang-format off */
const struct sv_item sv_attribute_items[] = {
	{ "limits", "setrlimit", limits_setup, limits_verify, limits_spoil, NULL, SV_KEPT },
	{ "scheduler", "policy and nice", scheduler_setup, scheduler_verify, scheduler_spoil, NULL, SV_KEPT },
	{ "affinity", "the CPUs that it and a thread may use", affinity_setup, affinity_verify, affinity_spoil, NULL, SV_KEPT },
	{ "chroot", "root, working folder, umask", chroot_setup, chroot_verify, chroot_spoil, NULL, SV_KEPT },
	{ "prctl", "name, dumpable, death signal and others", prctl_setup, prctl_verify, prctl_spoil, NULL, SV_KEPT },
	{ "timerslack", "PR_SET_TIMERSLACK, of a thread, too", slack_setup, slack_verify, slack_spoil, NULL, SV_KEPT },
	{ "proc", "OOM score, environment, command line, program", proc_setup, proc_verify, proc_spoil, NULL, SV_KEPT },
	{ "personality", "personality", personality_setup, personality_verify, personality_spoil, NULL, SV_LOST },
	{ .name = NULL },
};
