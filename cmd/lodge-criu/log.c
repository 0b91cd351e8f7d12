/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * CRIU's log in one line. The first error is the cause, and what follows are the callers that gave up; but some
 * complaints are of no consequence, and they come first. Causes that people meet are told in plain words, with what to do.
 */

#include <ctype.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/vfs.h>

#include "cmd/lodge-criu/log.h"
#include "lib/cleanup.h"
#include "lib/file.h"

#define UNIT_MAX 64u

#define NO_ROOM "there is no room left for the images: make room on the file system of lodge's checkpoints"
#define ROOM_OF_A_LOG 65536u

/* clang-format off */
static const char *const harmless[] = {
	"rlimit: Can't setup RLIMIT_NOFILE for self",	/* it lacks CAP_SYS_RESOURCE and has enough */
	"execvp(\"iptables",				/* hosts with nftables alone have none of them */
	"execvp(\"ip6tables",
	"iptables-save -V failed",
	"iptables-restore -V failed",
	"tables-legacy-save -V failed",
	"tables-legacy-restore -V failed",
	"ip6tables-save -V failed",
	"ip6tables-restore -V failed",
	"tun: Unable to create tun",
	"xtlocks check",
	"net module preload",
	"No parent image found, though parent",		/* a process that is younger than what was copied ahead */
};

#define CHECKPOINTABLE "services that want that carry on without it when the container has the feature checkpointable: set "\
	"--feature checkpointable and restart it"

/* @text: the sentence; behind the process that @pid_behind leads to, where it names one. */
static const struct {
	const char *mark, *pid_behind, *text;
} causes[] = {
	{ "Can't dump nested uts namespace",	"for ",	"has a uts namespace of its own; " CHECKPOINTABLE },
	{ "Can't dump nested ipc namespace",	"for ",	"has an ipc namespace of its own; " CHECKPOINTABLE },
	{ "Can't dump nested pid namespace",	"for ",	"has a pid namespace of its own; end it first" },
	{ "Can't dump nested user namespace",	"for ",	"has a user namespace of its own; " CHECKPOINTABLE },
	{ "Can't dump nested cgroup namespace",	"for ",	"has a cgroup namespace of its own; end it first" },
	{ "Can't dump nested time namespace",	"for ",	"has a time namespace of its own; end it first" },
	{ "Unable to dump nested netns",	NULL,	"a process has a network namespace of its own; " CHECKPOINTABLE },
	{ "Nested network namespaces are not supported", NULL, "a process has a network namespace of its own; " CHECKPOINTABLE },
	{ "anon_inode:[io_uring]",		NULL,	"a process uses io_uring, which cannot be written down; " CHECKPOINTABLE },
	{ "anon_inode:bpf-",			NULL,	"a process holds a BPF program or map, which cannot be written down; end it first" },
	{ "anon_inode:[perf_event]",		NULL,	"a process measures with perf_event_open(), which cannot be written down; end it first" },
	{ "anon_inode:[userfaultfd]",		NULL,	"a process uses userfaultfd, which cannot be written down; end it first" },
	{ "anon_inode:[fanotify]",		NULL,	"a process watches files with fanotify in a way that cannot be written down; end it first" },
	{ "Unsupported socket family",		NULL,	"a process has a socket of a kind that cannot be written down; end it first" },
	{ "Can't dump half of stream unix connection", NULL, "a socket of the container is connected to a process outside of it; end that connection first" },
	{ "External socket is used",		NULL,	"a socket of the container is connected to a process outside of it; end that connection first" },
	{ "The tty is controlled by external process", NULL, "a terminal of the container is in use outside of it; end that session first" },
	{ "is over limit",			NULL,	"a deleted file that is still open is larger than 256 MiB; end the process that has it open, or let it close it" },
	{ "Can't lookup mount=",		NULL,	"a process has a file open on a mount that the container's init does not see; end it first" },
	{ "doesn't have a proper root mount",	NULL,	"a file system from outside is mounted inside that lodge does not know; unmount it first" },
	{ "already has a tracer",		NULL,	"a process is being traced (strace, a debugger); end that first" },
	{ "Unseizable non-zombie",		"non-zombie ", "cannot be stopped: it is being traced (strace, a debugger), or hangs in the kernel" },
	{ "Timeout reached",			NULL,	"some process could not be stopped in time: it hangs in the kernel, or the host is overloaded; try again later" },
	{ "the guest has legacy iptables rules", NULL,	"it has iptables rules of the legacy kind, and this host has no iptables-legacy to take them over: install iptables" },
	{ "No space left on device",		NULL,	NO_ROOM },
	{ "Disk quota exceeded",		NULL,	"there is no room left for the images: the quota of their file system is used up" },
	{ "Cannot allocate memory",		NULL,	"the host, or the container's limit, has too little memory for it" },
	{ "Can't bind inet socket",		NULL,	"an address that the container had is not there, or in use: give it the addresses that it was suspended with" },
	{ "Unable to connect a transport socket", NULL,	"CRIU could not speak to a process of the container; try again" },
	{ "File descriptor too large",		NULL,	"a process has a file open under a number that is too high here: raise the limit of open files" },
	{ "PID mismatch on restore",		NULL,	"a process number was taken; try again" },
	{ "Tracking memory is not available",	NULL,	"this kernel does not tell which memory was written (CONFIG_MEM_SOFT_DIRTY)" },
	{ "Operation canceled",			NULL,	"it was called off" },
};
/* clang-format on */

static bool is_harmless(const char *line)
{
	for (size_t i = 0; i < ARRAY_SIZE(harmless); i++)
		if (strstr(line, harmless[i]))
			return true;
	return false;
}

/* Made printable: names in it are the guest's. */
static void keep_printable(const char *text, char *ret, size_t size)
{
	size_t n = 0;

	while (text[n] && text[n] != '\n' && n + 1 < size) {
		ret[n] = isprint((unsigned char)text[n]) ? text[n] : '?';
		n++;
	}
	ret[n] = '\0';
}

/* "(00.1) Error (criu/x.c:1): TEXT" to TEXT */
static const char *text_of(const char *error)
{
	const char *text = strstr(error, "): ");

	return text ? text + 3 : error;
}

/* ---- which process ---- */

static void read_name(int proc, int pid, char *ret, size_t size)
{
	lg_autofree char *text = NULL;
	char path[40];

	snprintf(path, sizeof(path), "%d/comm", pid);
	if (lg_file_read(proc, path, 64, &text, NULL, NULL) < 0)
		text = NULL;
	keep_printable(text ? text : "", ret, size);
}

/* The last part of its cgroup's path that names a unit of systemd's. */
static void read_unit(int proc, int pid, char ret[UNIT_MAX])
{
	static const char *const kinds[] = { ".service", ".scope", ".socket", ".mount" };
	lg_autofree char *text = NULL;
	char path[40], *save = NULL;

	ret[0] = '\0';
	snprintf(path, sizeof(path), "%d/cgroup", pid);
	if (lg_file_read(proc, path, 65536, &text, NULL, NULL) < 0)
		return;
	for (char *part = strtok_r(text, "/\n", &save); part; part = strtok_r(NULL, "/\n", &save))
		for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
			size_t len = strlen(part), end = strlen(kinds[i]);

			if (len > end && strcmp(part + len - end, kinds[i]) == 0)
				keep_printable(part, ret, UNIT_MAX);
		}
}

static void tell_process(int proc, int pid, const char *text, char *ret, size_t size)
{
	char name[20], unit[UNIT_MAX];

	read_name(proc, pid, name, sizeof(name));
	read_unit(proc, pid, unit);
	snprintf(ret, size, "process %d%s%s%s%s%s %s", pid, name[0] ? " (" : "", name, name[0] ? ")" : "",
		 unit[0] ? " of " : "", unit, text);
}

static bool tell(const char *line, int proc, char *ret, size_t size)
{
	for (size_t i = 0; i < ARRAY_SIZE(causes); i++) {
		const char *mark = strstr(line, causes[i].mark);
		const char *at = mark && causes[i].pid_behind ? strstr(mark, causes[i].pid_behind) : NULL;
		int pid = 0;

		if (!mark)
			continue;
		if (at && sscanf(at + strlen(causes[i].pid_behind), "%d", &pid) == 1)
			tell_process(proc, pid, causes[i].text, ret, size);
		else
			snprintf(ret, size, "%s%s", causes[i].pid_behind ? "a process " : "", causes[i].text);
		return true;
	}
	return false;
}

void log_read(FILE *log, int proc, char *ret, size_t size)
{
	char line[1024], known[LOG_CAUSE_MAX];

	ret[0] = '\0';
	while (fgets(line, sizeof(line), log)) {
		const char *error = strstr(line, "Error (");

		if (!error || is_harmless(line))
			continue;
		/* A cause that is known says more than the first complaint, which may be of a caller of a caller. */
		if (tell(error, proc, known, sizeof(known))) {
			snprintf(ret, size, "%s", known);
			return;
		}
		if (!ret[0])
			keep_printable(text_of(error), ret, size);
	}
}

/* Where there is no room for images there may be none for the log that would say so. */
static bool is_full(int images)
{
	struct statfs fs;

	return fstatfs(images, &fs) == 0 && (uint64_t)fs.f_bavail * (uint64_t)fs.f_bsize < ROOM_OF_A_LOG;
}

void log_cause(int images, char *ret, size_t size)
{
	lg_autoclose int fd = openat(images, LG_CHECKPOINT_LOG, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	lg_autoclose int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	lg_autofile FILE *f = fd < 0 ? NULL : fdopen(fd, "r");

	ret[0] = '\0';
	if (f) {
		lg_take_fd(&fd);
		log_read(f, proc, ret, size);
	}
	if (!ret[0] && is_full(images))
		snprintf(ret, size, NO_ROOM);
}
