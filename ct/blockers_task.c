/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Processes: who is there, in which namespaces, and what their status tells. */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/stat.h>
#include <time.h>

#include "ct/blockers_find.h"
#include "lib/cleanup.h"
#include "lib/file.h"
#include "lib/proc.h"

#define STATUS_MAX 16384u
#define CGROUP_MAX 65536u
#define NUMBER_MAX 32u
#define PERSONALITY_ASK 0xffffffff
#define HANGS_MS 200
#define HANGS_STEP_MS 5
#define STUCK_MAX 64

static const struct {
	const char *file;
	enum lg_blocker_kind kind;	/* when it is not that of init; COUNT_: it may be another */
} namespaces[NS_COUNT] = {
	[NS_USER] = { "ns/user", LG_BLOCKER_USER_NS },
	[NS_UTS] = { "ns/uts", LG_BLOCKER_UTS_NS },
	[NS_IPC] = { "ns/ipc", LG_BLOCKER_IPC_NS },
	[NS_NET] = { "ns/net", LG_BLOCKER_NET_NS },
	[NS_PID] = { "ns/pid", LG_BLOCKER_PID_NS },
	[NS_CGROUP] = { "ns/cgroup", LG_BLOCKER_CGROUP_NS },
	[NS_TIME] = { "ns/time", LG_BLOCKER_TIME_NS },
	[NS_TIME_CHILDREN] = { "ns/time_for_children", LG_BLOCKER_TIME_NS },
	[NS_MNT] = { "ns/mnt", LG_BLOCKER_COUNT_ },
};

/* ---- who is there ---- */

/* The value behind "KEY:\t" at the beginning of a line; NULL. */
static const char *value_of(const char *status, const char *key)
{
	size_t len = strlen(key);

	for (const char *p = status; p; p = strchr(p, '\n')) {
		p += *p == '\n';
		if (strncmp(p, key, len) == 0 && p[len] == ':')
			return p + len + 1 + strspn(p + len + 1, "\t ");
	}
	return NULL;
}

static long number_of(const char *status, const char *key)
{
	const char *value = value_of(status, key);

	return value ? strtol(value, NULL, 10) : 0;
}

/* "NSpid:\t29469\t1": the last one is how the process calls itself. */
static pid_t inside_of(const char *status)
{
	const char *value = value_of(status, "NSpid");
	size_t len = value ? strcspn(value, "\n") : 0;

	while (len > 0 && value[len - 1] != '\t')
		len--;
	return value ? (pid_t)strtol(value + len, NULL, 10) : 0;
}

/* On cgroup2. Return: is it one of the container's? */
static bool take_unit(const struct find *f, int proc, struct task *task)
{
	lg_autofree char *text = NULL;
	const char *path = NULL, *at;
	size_t len;

	if (!f->of->cgroup)
		return true;
	if (lg_file_read(proc, "cgroup", CGROUP_MAX, &text, NULL, NULL) < 0)
		return false;
	for (char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, "0::", 3) == 0)
			path = line + 3;
	}
	if (!path)
		return false;
	text[(size_t)(path - text) + strcspn(path, "\n")] = '\0';
	len = strlen(f->of->cgroup);
	at = strstr(path, f->of->cgroup);
	if (!at || (at[len] != '/' && at[len] != '\0'))
		return false;
	lg_blocker_unit(at + len, task->unit, sizeof(task->unit));
	return true;
}

static void take_namespaces(int proc, struct task *task)
{
	struct stat st;

	for (size_t i = 0; i < NS_COUNT; i++)
		if (fstatat(proc, namespaces[i].file, &st, 0) == 0)
			task->ns[i] = st.st_ino;
}

static bool take_task(const struct find *f, pid_t pid, struct task *task)
{
	lg_autofree char *status = NULL;
	lg_autoclose int proc = -1;
	const char *name;
	char path[32];

	memset(task, 0, sizeof(*task));
	task->pid = pid;
	snprintf(path, sizeof(path), "/proc/%d", (int)pid);
	proc = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (proc < 0 || lg_proc_starttime(pid, &task->start) < 0 ||
	    lg_file_read(proc, "status", STATUS_MAX, &status, NULL, NULL) < 0 ||
	    !take_unit(f, proc, task))
		return false;
	name = value_of(status, "Name");
	if (name)
		find_printable(task->name, sizeof(task->name), name, strcspn(name, "\n"));
	name = value_of(status, "State");
	task->state = name ? *name : '?';
	task->parent = (pid_t)number_of(status, "PPid");
	task->tracer = (pid_t)number_of(status, "TracerPid");
	task->threads = (unsigned int)number_of(status, "Threads");
	task->inside = inside_of(status);
	take_namespaces(proc, task);
	return true;
}

static int by_pid(const void *a, const void *b)
{
	return ((const struct task *)a)->pid - ((const struct task *)b)->pid;
}

const struct task *find_task(const struct find *f, pid_t pid)
{
	struct task key = { .pid = pid };

	return bsearch(&key, f->tasks, f->ntasks, sizeof(*f->tasks), by_pid);
}

/*
 * What was entered from outside has a parent that is not inside and ends with its session, and so
 * do its children; what has let go of it is init's child by now and stays.
 */
static void mark_sessions(struct find *f)
{
	for (size_t i = 0; i < f->ntasks; i++) {
		const struct task *t = &f->tasks[i], *up;

		for (size_t depth = 0; depth < f->ntasks && (up = find_task(f, t->parent)); depth++)
			t = up;
		f->tasks[i].ends = t->pid != f->of->init;
	}
}

int tasks_gather(struct find *f)
{
	f->tasks = calloc(f->of->npids ? f->of->npids : 1, sizeof(*f->tasks));
	if (!f->tasks)
		return lg_fail(f->err, -ENOMEM, "look at its processes");
	for (size_t i = 0; i < f->of->npids; i++)
		if (take_task(f, f->of->pids[i], &f->tasks[f->ntasks]))
			f->ntasks++;
	qsort(f->tasks, f->ntasks, sizeof(*f->tasks), by_pid);
	f->init = find_task(f, f->of->init);
	if (!f->init)
		return lg_refuse(f->err, -ESRCH, 0, "its init (process %d) is no more",
				 (int)f->of->init);
	mark_sessions(f);
	return 0;
}

/* ---- what its status tells ---- */

static void note_tracer(struct find *f, const struct task *tracer)
{
	if (tracer)
		find_note(f, LG_BLOCKER_TRACED, "by process %d (%s)", (int)tracer->inside, tracer->name);
	else
		find_note(f, LG_BLOCKER_TRACED, "by a process outside");
}

/* Of the first thread, which it set before it made a program of itself. What lodged has itself, the restored one has, too. */
static void look_at_personality(struct find *f, int proc)
{
	lg_autofree char *text = NULL;
	unsigned long is;

	if (lg_file_read(proc, "personality", NUMBER_MAX, &text, NULL, NULL) < 0)
		return;
	is = strtoul(text, NULL, 16);
	if (is != (unsigned int)personality(PERSONALITY_ASK))
		find_note(f, LG_BLOCKER_PERSONALITY, "0x%lx", is);
}

int find_in_status(struct find *f, const struct task *task, int proc)
{
	for (size_t i = 0; i < NS_COUNT; i++) {
		ino_t own = task->ns[i];

		/* One that is in a time namespace has its children there, too: that is one, not two. */
		if (namespaces[i].kind != LG_BLOCKER_COUNT_ && own && own != f->init->ns[i] &&
		    !f->now[namespaces[i].kind].count)
			find_note(f, namespaces[i].kind, "%s", "");
	}
	if (task->tracer)
		note_tracer(f, find_task(f, task->tracer));
	if (task->state == 'Z' && task->threads > 1)
		find_note(f, LG_BLOCKER_DEAD_LEADER, "threads that go on: %u", task->threads - 1);
	if (task->state != 'Z')
		look_at_personality(f, proc);
	return 0;
}

struct stuck {
	const struct task *task;
	struct lg_stuck was;
};

static size_t gather_stuck(const struct find *f, struct stuck *list, size_t max)
{
	size_t n = 0;

	for (size_t i = 0; n < max && i < f->ntasks; i++) {
		list[n].task = &f->tasks[i];
		if (!f->tasks[i].ends && lg_proc_stuck(f->tasks[i].pid, &list[n].was) == 1)
			n++;
	}
	return n;
}

/* Who of them still waits stays in the list, with where it waits now. */
static size_t keep_stuck(struct stuck *list, size_t n)
{
	size_t kept = 0;

	for (size_t i = 0; i < n; i++) {
		struct lg_stuck is;

		if (lg_proc_stuck(list[i].task->pid, &is) == 1 && is.tid == list[i].was.tid)
			list[kept++] = (struct stuck){ list[i].task, is };
	}
	return kept;
}

/*
 * Everybody who reads a disk waits so for a moment: only who still does after a while hangs. Nearly always that moment is over
 * at the first look.
 */
int find_hanging(struct find *f)
{
	const struct timespec step = { .tv_nsec = HANGS_STEP_MS * 1000000L };
	struct stuck list[STUCK_MAX];
	size_t n = gather_stuck(f, list, ARRAY_SIZE(list));
	int r = 0;

	for (unsigned int ms = 0; n > 0 && ms < HANGS_MS; ms += HANGS_STEP_MS) {
		nanosleep(&step, NULL);
		n = keep_stuck(list, n);
	}
	for (size_t i = 0; r == 0 && i < n; i++) {
		find_note(f, LG_BLOCKER_HANGS, "in %s", list[i].was.where);
		r = find_tell(f, list[i].task);
	}
	return r;
}
