/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "survive.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- inotify: its watches go on telling ------------------------------------------- */

static int notify = -1, watch_file, watch_folder;
static char base[64];

static int touch(const char *name)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", base, name);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, "x", 1) != 1)
		return sv_errno(path);
	close(fd);
	return 0;
}

static int inotify_on(const char *template)
{
	char path[128];

	snprintf(base, sizeof(base), "%s", template);
	if (!mkdtemp(base) || touch("file") < 0)
		return sv_errno(base);
	notify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	snprintf(path, sizeof(path), "%s/file", base);
	watch_file = inotify_add_watch(notify, path, IN_MODIFY);
	watch_folder = inotify_add_watch(notify, base, IN_CREATE | IN_DELETE);
	return watch_file < 0 || watch_folder < 0 ? sv_errno("inotify_add_watch") : 0;
}

static int inotify_root_setup(void)
{
	return inotify_on("/var/tmp/survive-inotify.XXXXXX");
}

/* /dev/shm is a tmpfs wherever there is one. */
static int inotify_tmpfs_setup(void)
{
	return inotify_on("/dev/shm/survive-inotify.XXXXXX");
}

/* Is there an event of this watch and kind, with this name, among those that wait? */
static bool event_of(int watch, uint32_t mask, const char *name)
{
	char buf[4096] __attribute__((aligned(8)));
	struct pollfd p = {.fd = notify, .events = POLLIN};
	bool found = false;
	ssize_t n;

	while (!found && poll(&p, 1, 2000) == 1 && (n = read(notify, buf, sizeof(buf))) > 0) {
		for (ssize_t at = 0; at < n;) {
			struct inotify_event event;

			memcpy(&event, buf + at, sizeof(event));
			found = found ||
				(event.wd == watch && (event.mask & mask) &&
				 (!event.len || strcmp(buf + at + sizeof(event), name) == 0));
			at += sizeof(event) + event.len;
		}
	}
	return found;
}

static void inotify_clean(void)
{
	static const char *const names[] = {"/file", "/new", ""};
	char path[128];

	for (int i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "%s%s", base, names[i]);
		remove(path);
	}
}

static int inotify_verify(void)
{
	int r = 0;

	if (touch("file") < 0 || !event_of(watch_file, IN_MODIFY, ""))
		r = sv_fail("the watch of the file tells nothing");
	else if (touch("new") < 0 || !event_of(watch_folder, IN_CREATE, "new"))
		r = sv_fail("the watch of the folder tells nothing");
	inotify_clean();
	return r;
}

static void inotify_spoil(void)
{
	inotify_rm_watch(notify, watch_folder);
}

/* ---- signalfd --------------------------------------------------------------------- */

static int signals = -1;

static int signalfd_setup(void)
{
	union sigval value = {.sival_int = 815};
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGRTMIN + 5);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (signals < 0 || sigqueue(getpid(), SIGRTMIN + 5, value) < 0)
		return sv_errno("signalfd");
	return 0;
}

static int signalfd_next(int wanted)
{
	struct signalfd_siginfo info = {0};

	if (read(signals, &info, sizeof(info)) != sizeof(info))
		return sv_errno("signalfd: read");
	if (wanted != SIGUSR1 && sv_same("value of a signal", 815, info.ssi_int) < 0)
		return -1;
	return sv_same("signal", wanted, info.ssi_signo);
}

static int signalfd_verify(void)
{
	if (signalfd_next(SIGRTMIN + 5) < 0 || sv_empty("signalfd", signals) < 0)
		return -1;
	kill(getpid(), SIGUSR1);
	return signalfd_next(SIGUSR1);
}

/* It listens to less. */
static void signalfd_spoil(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	signalfd(signals, &set, 0);
}

/* ---- eventfd ---------------------------------------------------------------------- */

static int counter = -1, semaphore = -1;

static int eventfd_setup(void)
{
	uint64_t value = 12345;

	counter = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (counter < 0 || write(counter, &value, sizeof(value)) != sizeof(value))
		return sv_errno("eventfd");
	return 0;
}

static int semaphore_setup(void)
{
	semaphore = eventfd(3, EFD_CLOEXEC | EFD_NONBLOCK | EFD_SEMAPHORE);
	return semaphore < 0 ? sv_errno("eventfd") : 0;
}

static int eventfd_reads(const char *what, int fd, int64_t wanted)
{
	uint64_t value = 0;

	if (read(fd, &value, sizeof(value)) != sizeof(value))
		return sv_errno(what);
	return sv_same(what, wanted, (int64_t)value);
}

static int eventfd_verify(void)
{
	if (eventfd_reads("an eventfd's counter", counter, 12345) < 0 ||
	    sv_empty("eventfd", counter) < 0)
		return -1;
	return 0;
}

static int semaphore_verify(void)
{
	for (int i = 0; i < 3; i++) {
		if (eventfd_reads("an eventfd semaphore", semaphore, 1) < 0)
			return -1;
	}
	return sv_empty("eventfd semaphore", semaphore);
}

static void eventfd_spoil(void)
{
	uint64_t more = 1;

	(void)!write(counter, &more, sizeof(more));
}

static void semaphore_spoil(void)
{
	uint64_t value;

	(void)!read(semaphore, &value, sizeof(value));
}

/* ---- pidfd ------------------------------------------------------------------------ */

static struct sv_child child;
static int pidfd = -1;

static int nothing(int request)
{
	return request;
}

static int pidfd_setup(void)
{
	if (sv_child_start(&child, nothing) < 0)
		return -1;
	pidfd = (int)syscall(SYS_pidfd_open, child.pid, 0);
	return pidfd < 0 ? sv_errno("pidfd_open") : 0;
}

static int pidfd_verify(void)
{
	struct pollfd p = {.fd = pidfd, .events = POLLIN};
	siginfo_t info = {0};

	if (sv_child_ask(&child, 5) != 5)
		return sv_fail("the child does not answer");
	if (poll(&p, 1, 0) != 0)
		return sv_fail("the pidfd says that the child has ended");
	if (syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0) < 0)
		return sv_errno("pidfd_send_signal");
	if (poll(&p, 1, 5000) != 1)
		return sv_fail("the pidfd does not say that the child has ended");
	if (waitid(P_PIDFD, pidfd, &info, WEXITED) < 0)
		return sv_errno("waitid of a pidfd");
	return sv_same("the child of the pidfd", child.pid, info.si_pid);
}

/* One of another process. */
static void pidfd_spoil(void)
{
	struct sv_child other;

	sv_child_start(&other, nothing);
	dup2((int)syscall(SYS_pidfd_open, other.pid, 0), pidfd);
}

/* ---- memfd ------------------------------------------------------------------------ */

#define MEMFD_SIZE 300000u
#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

static int sealed = -1, written = -1;
static uint8_t *mapped;

static int memfd_setup(void)
{
	sealed = memfd_create("sealed", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	written = memfd_create("written", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (sealed < 0 || written < 0)
		return sv_errno("memfd_create");
	if (sv_send(sealed, 20, 0, MEMFD_SIZE) < 0 || sv_send(written, 21, 0, MEMFD_SIZE) < 0)
		return -1;
	mapped = mmap(NULL, MEMFD_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, written, 0);
	if (mapped == MAP_FAILED || fcntl(sealed, F_ADD_SEALS, SEALS) < 0 ||
	    lseek(sealed, 1000, SEEK_SET) < 0)
		return sv_errno("F_ADD_SEALS");
	return 0;
}

static int memfd_verify(void)
{
	char link[64], name[64] = "";

	snprintf(link, sizeof(link), "/proc/self/fd/%d", sealed);
	if (readlink(link, name, sizeof(name) - 1) < 0 ||
	    strncmp(name, "/memfd:sealed", 13) != 0)
		return sv_fail("the memfd's name is %s", name);
	if (sv_same("seals", SEALS, fcntl(sealed, F_GET_SEALS)) < 0 ||
	    sv_same("seals of the other", 0, fcntl(written, F_GET_SEALS)) < 0 ||
	    sv_same("position", 1000, lseek(sealed, 0, SEEK_CUR)) < 0 ||
	    sv_receive(sealed, 20, 1000, MEMFD_SIZE - 1000) < 0 ||
	    sv_ended("the memfd", sealed) < 0 ||
	    sv_compare("a mapped memfd", mapped, MEMFD_SIZE, 21, 0) < 0)
		return -1;
	if (write(sealed, "x", 1) != -1 || errno != EPERM)
		return sv_fail("the sealed memfd can be written to");
	/* Mapping and descriptor are still the same memory. */
	mapped[77] = 200;
	if (pread(written, name, 1, 77) != 1)
		return sv_errno("pread");
	return sv_same("what was written through the mapping", 200, (uint8_t)name[0]);
}

static void memfd_spoil(void)
{
	fcntl(written, F_ADD_SEALS, F_SEAL_GROW);
}

/* clang-format off */
const struct sv_item sv_event_items[] = {
	{ "inotify-root", "watches of a file and a folder of the root", inotify_root_setup, inotify_verify, inotify_spoil, NULL, SV_KEPT },
	{ "inotify-tmpfs", "watches of a file and a folder of a tmpfs", inotify_tmpfs_setup, inotify_verify, inotify_spoil, NULL, SV_KEPT },
	{ "signalfd", "a signalfd and what waits in it", signalfd_setup, signalfd_verify, signalfd_spoil, NULL, SV_KEPT },
	{ "eventfd", "an eventfd's counter", eventfd_setup, eventfd_verify, eventfd_spoil, NULL, SV_KEPT },
	{ "eventfd-semaphore", "EFD_SEMAPHORE", semaphore_setup, semaphore_verify, semaphore_spoil, NULL, SV_LOST },
	{ "pidfd", "a pidfd of a living child", pidfd_setup, pidfd_verify, pidfd_spoil, NULL, SV_KEPT },
	{ "memfd", "content, name, seals, position, mapping", memfd_setup, memfd_verify, memfd_spoil, NULL, SV_KEPT },
	{ .name = NULL },
};
