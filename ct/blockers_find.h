/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_CT_BLOCKERS_FIND_H
#define LG_CT_BLOCKERS_FIND_H

/* What the files that look for blockers share. */

#include "ct/blockers.h"

enum { NS_USER, NS_UTS, NS_IPC, NS_NET, NS_PID, NS_CGROUP, NS_TIME, NS_TIME_CHILDREN, NS_MNT, NS_COUNT };

struct task {
	pid_t pid, parent, inside, tracer;
	uint64_t start;		/* when; with the pid it names the process */
	char state;
	unsigned int threads;
	bool ends;		/* of a session from outside: it ends before the dump */
	char name[20];
	char unit[96];
	ino_t ns[NS_COUNT];	/* 0: could not be read (a zombie has none) */
};

struct find {
	const struct lg_blockers *of;
	int (*fn)(const struct lg_blocker *b, void *arg);
	void *arg;
	struct lg_err *err;
	struct task *tasks;
	size_t ntasks;
	const struct task *init;
	int pidfd;		/* of the process that is looked at */
	struct lg_blocker now[LG_BLOCKER_COUNT_];	/* of the process that is looked at */
};

/** find_note() - the process that is looked at has one of @kind; @fmt says which. */
void find_note(struct find *f, enum lg_blocker_kind kind, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/** find_tell() - hand out what was noted of @task (NULL: of the container as a whole). */
int find_tell(struct find *f, const struct task *task);

/** find_task() - the process @pid of the container; NULL. */
const struct task *find_task(const struct find *f, pid_t pid);

/** find_open() - its folder in /proc; -ESRCH when it is no more. */
int find_open(const struct task *task);

/** find_printable() - copy @len bytes, with '?' for what may not reach a terminal. */
void find_printable(char *to, size_t size, const char *from, size_t len);

/** tasks_gather() - fill f->tasks: who is there, in which namespaces, and who of them ends anyway. */
int tasks_gather(struct find *f);

/* Each notes what it finds. @proc: the process's folder in /proc. Negative errno with f->err. */
int find_in_status(struct find *f, const struct task *task, int proc);
int find_in_descriptors(struct find *f, const struct task *task, int proc);
int find_in_mappings(struct find *f, const struct task *task, int proc);
int find_socket(struct find *f, const struct task *task, int fd);

/* Of the container as a whole; they tell by themselves. */
int find_in_mounts(struct find *f);
int find_in_network(struct find *f);
int find_hanging(struct find *f);

#endif
