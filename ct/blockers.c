/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ct/blockers_find.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/cleanup.h"
#include "lib/proc.h"

#define FEATURE "start the container with --feature checkpointable"

/* clang-format off */
const struct lg_blocker_row lg_blocker_rows[LG_BLOCKER_COUNT_] = {
	[LG_BLOCKER_USER_NS] = { "user-namespace", LG_BLOCKER_STOPS, "it is in a user namespace of its own",
		FEATURE ", or set PrivateUsers=no in its unit" },
	[LG_BLOCKER_UTS_NS] = { "uts-namespace", LG_BLOCKER_STOPS, "it is in a uts namespace (host name) of its own",
		FEATURE ", or set ProtectHostname=no in its unit" },
	[LG_BLOCKER_IPC_NS] = { "ipc-namespace", LG_BLOCKER_STOPS, "it is in an ipc namespace of its own",
		FEATURE ", or set PrivateIPC=no in its unit" },
	[LG_BLOCKER_NET_NS] = { "net-namespace", LG_BLOCKER_STOPS, "it is in a network namespace of its own",
		FEATURE ", or set PrivateNetwork=no in its unit" },
	[LG_BLOCKER_PID_NS] = { "pid-namespace", LG_BLOCKER_STOPS, "it is in a pid namespace of its own",
		FEATURE ", or set PrivatePIDs=no in its unit" },
	[LG_BLOCKER_CGROUP_NS] = { "cgroup-namespace", LG_BLOCKER_STOPS, "it is in a cgroup namespace of its own",
		FEATURE ", or set ProtectControlGroups=no in its unit" },
	[LG_BLOCKER_TIME_NS] = { "time-namespace", LG_BLOCKER_STOPS, "it or its children have a clock of their own",
		FEATURE ", or stop it" },
	[LG_BLOCKER_NS_FD] = { "namespace-descriptor", LG_BLOCKER_STOPS, "it holds a namespace that no process is in",
		"stop it" },
	[LG_BLOCKER_TRACED] = { "traced", LG_BLOCKER_STOPS, "another process traces it", "end strace, gdb or what it is" },
	[LG_BLOCKER_HANGS] = { "hangs", LG_BLOCKER_STOPS, "it hangs in the kernel and cannot be stopped",
		"see what it waits for: a disk, or a child that was made with vfork" },
	[LG_BLOCKER_DEAD_LEADER] = { "dead-leader", LG_BLOCKER_STOPS, "its first thread has ended and others go on",
		"stop it" },
	[LG_BLOCKER_IO_URING] = { "io_uring", LG_BLOCKER_STOPS, "it uses io_uring",
		"take io_uring from the container's features (or IO_URING from lodge.conf), or stop it" },
	[LG_BLOCKER_USERFAULTFD] = { "userfaultfd", LG_BLOCKER_STOPS, "it uses userfaultfd",
		"take userfaultfd from the container's features, or stop it" },
	[LG_BLOCKER_BPF] = { "bpf", LG_BLOCKER_STOPS, "it holds a program or map of BPF", "stop it" },
	[LG_BLOCKER_PERF] = { "perf-event", LG_BLOCKER_STOPS, "it holds a performance counter", "stop it" },
	[LG_BLOCKER_LISTENER] = { "seccomp-listener", LG_BLOCKER_STOPS, "it decides on system calls of others", "stop it" },
	[LG_BLOCKER_ANON_FILE] = { "kernel-object", LG_BLOCKER_STOPS, "it holds an object of the kernel that CRIU does not know",
		"stop it" },
	[LG_BLOCKER_SECRET_MEMORY] = { "secret-memory", LG_BLOCKER_STOPS, "it has memory that nobody else can read",
		FEATURE ", or stop it" },
	[LG_BLOCKER_THREAD_PIDFD] = { "thread-pidfd", LG_BLOCKER_STOPS, "it holds a pidfd of a thread", "stop it" },
	[LG_BLOCKER_FOREIGN_PIDFD] = { "foreign-pidfd", LG_BLOCKER_STOPS, "it holds a pidfd of a process outside", "stop it" },
	[LG_BLOCKER_DEVICE] = { "device", LG_BLOCKER_STOPS, "it has a device open whose state is in the host's kernel",
		"stop it" },
	[LG_BLOCKER_DEVICE_MAPPING] = { "device-mapping", LG_BLOCKER_STOPS, "it has memory of a device mapped", "stop it" },
	[LG_BLOCKER_DELETED_FILE] = { "deleted-file", LG_BLOCKER_STOPS, "it has a large file open that is deleted",
		"restart it, so that the file's space is free" },
	[LG_BLOCKER_PACKET_PIPE] = { "packet-pipe", LG_BLOCKER_STOPS, "it has a pipe that keeps packets apart (O_DIRECT)",
		"stop it" },
	[LG_BLOCKER_PATH_SOCKET] = { "path-socket", LG_BLOCKER_STOPS, "it has a socket's file open by O_PATH", "stop it" },
	[LG_BLOCKER_SOCKET] = { "socket", LG_BLOCKER_STOPS, "it has a socket of a kind that CRIU does not know",
		FEATURE " (MPTCP, SCTP), or stop it" },
	[LG_BLOCKER_FOREIGN_SOCKET] = { "foreign-socket", LG_BLOCKER_STOPS,
		"it has a socket of a network that none of its processes is in",
		"restart it from inside: it may have it from who started it" },
	[LG_BLOCKER_CORKED] = { "corked-socket", LG_BLOCKER_STOPS, "it holds a datagram back half-written (UDP_CORK)",
		"try again, or stop it" },
	[LG_BLOCKER_NETLINK_GROUPS] = { "netlink-groups", LG_BLOCKER_STOPS,
		"it listens to a netlink group with a number past 32", "stop it" },
	[LG_BLOCKER_FILE_SYSTEM] = { "file-system", LG_BLOCKER_STOPS, "a file system is mounted that CRIU cannot mount again",
		"unmount it" },
	[LG_BLOCKER_NS_MOUNT] = { "namespace-mount", LG_BLOCKER_STOPS, "a namespace is kept by a mount (`ip netns add`)",
		"unmount it (`ip netns delete`)" },
	[LG_BLOCKER_BIND] = { "bind-mount", LG_BLOCKER_STOPS,
		"a folder is mounted whose file system is mounted nowhere as a whole",
		"unmount it; in its unit PrivateTmp=yes instead of disconnected, also for DynamicUser=yes" },
	[LG_BLOCKER_LINK] = { "network-link", LG_BLOCKER_STOPS, "a network link is of a kind that CRIU cannot make again",
		"delete it with `ip link delete`" },
	[LG_BLOCKER_SESSION] = { "session", LG_BLOCKER_TOLD, "it was entered from outside (exec, enter)", "it will be ended" },
	[LG_BLOCKER_RAMFS] = { "ramfs", LG_BLOCKER_LOST, "what is in a ramfs is not kept",
		"where it holds credentials: restart the unit afterwards" },
	[LG_BLOCKER_ACCEPT_QUEUE] = { "accept-queue", LG_BLOCKER_LOST, "connections wait that it has not accepted",
		"their clients get a reset and have to connect anew: see why it does not accept them, or try again" },
	[LG_BLOCKER_SEMAPHORE] = { "eventfd-semaphore", LG_BLOCKER_LOST,
		"it has an eventfd that counts as a semaphore (EFD_SEMAPHORE), which will be an ordinary one",
		"restart it afterwards" },
	[LG_BLOCKER_PERSONALITY] = { "personality", LG_BLOCKER_LOST,
		"it has a personality (setarch), which will be the ordinary one", "restart it afterwards" },
};
/* clang-format on */

enum lg_blocker_kind lg_blocker_by_name(const char *name)
{
	for (size_t i = 0; i < LG_BLOCKER_COUNT_; i++)
		if (strcmp(lg_blocker_rows[i].name, name) == 0)
			return (enum lg_blocker_kind)i;
	return LG_BLOCKER_COUNT_;
}

void find_printable(char *to, size_t size, const char *from, size_t len)
{
	size_t n = len < size - 1 ? len : size - 1;

	for (size_t i = 0; i < n; i++)
		to[i] = from[i] >= ' ' && from[i] <= '~' ? from[i] : '?';
	to[n] = '\0';
}

/* The last part that is a unit's name: services below a slice, a service of a user below his manager's. */
void lg_blocker_unit(const char *path, char *buf, size_t size)
{
	static const char *const ends[] = { ".service", ".scope", ".socket", ".mount", ".swap" };

	*buf = '\0';
	while (*path) {
		size_t len = strcspn(path, "/");

		for (size_t i = 0; i < ARRAY_SIZE(ends); i++)
			if (len > strlen(ends[i]) &&
			    memcmp(path + len - strlen(ends[i]), ends[i], strlen(ends[i])) == 0)
				find_printable(buf, size, path, len);
		path += len;
		path += *path == '/';
	}
}

void find_note(struct find *f, enum lg_blocker_kind kind, const char *fmt, ...)
{
	struct lg_blocker *b = &f->now[kind];
	char text[sizeof(b->what)];
	va_list ap;

	if (b->count++)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	find_printable(b->what, sizeof(b->what), text, strlen(text));
}

int find_tell(struct find *f, const struct task *task)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < LG_BLOCKER_COUNT_; i++) {
		struct lg_blocker *b = &f->now[i];

		if (!b->count)
			continue;
		b->kind = (enum lg_blocker_kind)i;
		if (task) {
			b->pid = task->pid;
			b->inside = task->inside;
			snprintf(b->process, sizeof(b->process), "%s", task->name);
			snprintf(b->unit, sizeof(b->unit), "%s", task->unit);
		}
		r = f->fn(b, f->arg);
	}
	memset(f->now, 0, sizeof(f->now));
	return r;
}

int find_open(const struct task *task)
{
	char path[32];
	uint64_t start;
	lg_autoclose int fd = -1;

	snprintf(path, sizeof(path), "/proc/%d", (int)task->pid);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	/* Is the number still its own? What was opened by it, here and before, stays the process's. */
	if (fd < 0 || lg_proc_starttime(task->pid, &start) < 0 || start != task->start)
		return -ESRCH;
	return lg_take_fd(&fd);
}

static int look_at(struct find *f, const struct task *task)
{
	static int (*const parts[])(struct find *f, const struct task *task, int proc) = {
		find_in_status, find_in_descriptors, find_in_mappings,
	};
	lg_autoclose int pidfd = lg_pidfd_open(task->pid), proc = find_open(task);
	int r = 0;

	f->pidfd = pidfd;
	for (size_t i = 0; proc >= 0 && r == 0 && pidfd >= 0 && i < ARRAY_SIZE(parts); i++)
		r = parts[i](f, task, proc);
	return r < 0 ? r : find_tell(f, task);
}

/* Only the first of a session: all of it ends. */
static int tell_session(struct find *f, const struct task *task)
{
	if (find_task(f, task->parent))
		return 0;
	find_note(f, LG_BLOCKER_SESSION, "%s", "");
	return find_tell(f, task);
}

static int find_all(struct find *f)
{
	int r = tasks_gather(f);

	for (size_t i = 0; r == 0 && i < f->ntasks; i++)
		r = f->tasks[i].ends ? tell_session(f, &f->tasks[i]) : look_at(f, &f->tasks[i]);
	if (r == 0)
		r = find_hanging(f);
	if (r == 0)
		r = find_in_mounts(f);
	return r == 0 ? find_in_network(f) : r;
}

int lg_blockers_find(const struct lg_blockers *of, int (*fn)(const struct lg_blocker *b, void *arg),
		     void *arg, struct lg_err *err)
{
	struct find *f = calloc(1, sizeof(*f));
	int r;

	if (!f)
		return lg_fail(err, -ENOMEM, "look at its processes");
	f->of = of;
	f->fn = fn;
	f->arg = arg;
	f->err = err;
	r = find_all(f);
	free(f->tasks);
	free(f);
	return r;
}
