/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * The clocks of a container stand still while it does, and what is to happen at a time happens at that time.
 *
 * CRIU reads the clocks of the time namespace when all memory is written, so that they ran on for as long as that took: what they
 * were when it was frozen is put into the image instead.
 *
 * And of a timerfd that was set to a time, not for a while (nearly all are: systemd's event loop sets them so), it keeps how
 * long that was away when it was dumped, and adds the whole seconds of the clock when it sets it again. So timers came late by
 * however long both took, and those of the wall clock by however long it was suspended, or early by a part of a second. Programs
 * know the time that they wait for: a service that answers its watchdog late, by the clock that its systemd goes by, is killed
 * for it, and systemd's event loop, woken early, finds nothing to do and does not set the timer again. So the time of each is
 * noted when all is frozen, and they are set to that from outside when all is restored and nothing runs.
 */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "cmd/lodge-criu/criu.h"
#include "cmd/lodge-criu/message.h"
#include "ct/clocks.h"
#include "lib/cleanup.h"
#include "lib/file.h"
#include "lib/proc.h"

#define FILE_NAME "lodge.clocks"
#define HEAD 8u
#define NS_PER_S 1000000000LL
#define FILE_MAX (1u << 20)		/* timers that are in no note keep what CRIU gave them */
#define INFO_MAX 4096u

enum clock { MONOTONIC, BOOTTIME, REALTIME, CLOCKS };

/* clang-format off */
static const struct {
	clockid_t id;
	const char *name;	/* in timens_offsets; NULL: there is one for all */
} clocks[CLOCKS] = {
	[MONOTONIC] =	{ CLOCK_MONOTONIC, "monotonic" },
	[BOOTTIME] =	{ CLOCK_BOOTTIME, "boottime" },
	[REALTIME] =	{ CLOCK_REALTIME, NULL },
};
/* clang-format on */

static int64_t frozen[CLOCKS];	/* nanoseconds, as the container saw them */
static bool own;		/* has it a time namespace? */

/* -ENOENT: the kernel has no time namespaces. */
static int read_offset(pid_t pid, const char *name, int64_t *ret)
{
	lg_autofree char *text = NULL;
	char path[40];
	long long s, ns;
	const char *at;

	snprintf(path, sizeof(path), "/proc/%d/timens_offsets", (int)pid);
	if (lg_file_read(AT_FDCWD, path, INFO_MAX, &text, NULL, NULL) < 0)
		return -ENOENT;
	at = strstr(text, name);
	if (!at || sscanf(at + strlen(name), "%lld %lld", &s, &ns) != 2)
		return -EBADMSG;
	*ret = s * NS_PER_S + ns;
	return 0;
}

/* As process @pid sees it. */
static int read_clock(pid_t pid, enum clock c, int64_t *ret)
{
	int64_t offset = 0;
	struct timespec now;
	int r = clocks[c].name ? read_offset(pid, clocks[c].name, &offset) : 0;

	if (r < 0)
		return r;
	clock_gettime(clocks[c].id, &now);
	*ret = now.tv_sec * NS_PER_S + now.tv_nsec + offset;
	return 0;
}

/* ---- timers ---- */

struct timer {
	int fd;
	enum clock clock;
	unsigned int flags;
	struct itimerspec set;	/* the time until it expires, and the interval */
};

/* Descriptor @name of a process, where it is a timerfd that was set to a time which is yet to come. To be closed. */
static int open_timer(pid_t pid, int pidfd, int fds, const char *name, struct timer *ret)
{
	lg_autofree char *text = NULL;
	char path[64], target[32];
	ssize_t len = readlinkat(fds, name, target, sizeof(target) - 1);
	const char *at;
	int id;

	if (len < 0)
		return -1;
	target[len] = '\0';
	if (strcmp(target, "anon_inode:[timerfd]") != 0)
		return -1;
	snprintf(path, sizeof(path), "/proc/%d/fdinfo/%.10s", (int)pid, name);
	if (lg_file_read(AT_FDCWD, path, INFO_MAX, &text, NULL, NULL) < 0 || !(at = strstr(text, "clockid:")) ||
	    sscanf(at, "clockid: %d ticks: 0 settime flags: %o", &id, &ret->flags) != 2 || !(ret->flags & TFD_TIMER_ABSTIME))
		return -1;
	for (ret->clock = 0; ret->clock < CLOCKS && clocks[ret->clock].id != id; ret->clock++)
		;
	if (ret->clock == CLOCKS || (clocks[ret->clock].name && !own))
		return -1;
	ret->fd = (int)syscall(SYS_pidfd_getfd, pidfd, (int)strtol(name, NULL, 10), 0);
	if (ret->fd < 0)
		return -1;
	if (timerfd_gettime(ret->fd, &ret->set) == 0 && (ret->set.it_value.tv_sec || ret->set.it_value.tv_nsec))
		return 0;
	close(ret->fd);
	return -1;
}

static int64_t in_ns(const struct timespec *t)
{
	return t->tv_sec * NS_PER_S + t->tv_nsec;
}

struct notes {
	FILE *f;
	int pidfd;
	pid_t inside;	/* how the process calls itself */
};

static int note_timer(pid_t pid, int fds, const char *name, void *arg)
{
	const struct notes *n = arg;
	struct timer t;
	int64_t now;

	if (open_timer(pid, n->pidfd, fds, name, &t) < 0)
		return 0;
	close(t.fd);
	/* Asked for the time behind how long is left: late by what lies between, and never early. "Never" is no time. */
	if (read_clock(job.pid, t.clock, &now) == 0 && !__builtin_add_overflow(now, in_ns(&t.set.it_value), &now))
		fprintf(n->f, "%d %s %d %" PRId64 "\n", (int)n->inside, name, (int)t.clock, now);
	return ftell(n->f) < (long)FILE_MAX ? 0 : 1;
}

static int note_timers(pid_t pid, void *arg)
{
	lg_autoclose int pidfd = lg_pidfd_open(pid);
	struct notes n = { arg, pidfd, tree_inside(pid) };

	return tree_each_descriptor(pid, note_timer, &n);
}

int clocks_note(struct lg_err *err)
{
	lg_autofree char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);
	int r = 0;

	if (!f)
		return lg_fail(err, -ENOMEM, "note its clocks");
	own = lg_clocks_differ(job.pid);
	for (enum clock c = 0; own && c < CLOCKS; c++)
		own = read_clock(job.pid, c, &frozen[c]) == 0;
	r = tree_each(job.pid, note_timers, f);
	if (fclose(f) != 0 && r >= 0)
		r = -ENOMEM;
	if (r < 0)
		return lg_fail(err, r, "note its timers");
	return len ? lg_file_replace_fast(job.images, FILE_NAME, text, len, 0600, err) : 0;
}

static void set_timer(int fd, const struct timer *t, int64_t at)
{
	struct itimerspec set = t->set;
	int64_t offset = 0;

	if (clocks[t->clock].name && read_offset(job.pid, clocks[t->clock].name, &offset) < 0)
		return;
	/* By our own clock, which is the host's: the kernel knows where it is set. */
	if (__builtin_sub_overflow(at, offset, &at))
		return;
	at = at > 0 ? at : 1;
	set.it_value = (struct timespec){ .tv_sec = at / NS_PER_S, .tv_nsec = at % NS_PER_S };
	timerfd_settime(fd, (int)t->flags, &set, NULL);
}

static int give_timers(pid_t pid, void *arg)
{
	lg_autoclose int pidfd = lg_pidfd_open(pid), fds = tree_open(pid, "fd");
	pid_t inside = tree_inside(pid);
	const char *line = arg;

	for (; line && *line; line = strchr(line, '\n'), line += line ? 1 : 0) {
		char name[16];
		struct timer t;
		int who, clock;
		int64_t at;

		if (sscanf(line, "%d %10s %d %" SCNd64, &who, name, &clock, &at) != 4 || who != inside ||
		    open_timer(pid, pidfd, fds, name, &t) < 0)
			continue;
		if ((int)t.clock == clock)
			set_timer(t.fd, &t, at);
		close(t.fd);
	}
	return 0;
}

void clocks_give(void)
{
	lg_autofree char *text = NULL;

	own = lg_clocks_differ(job.pid);
	if (lg_file_read(job.images, FILE_NAME, FILE_MAX, &text, NULL, NULL) == 0)
		tree_each(job.pid, give_timers, text);
}

/* ---- the image: { 1: { 1: s, 2: ns } of monotonic, 2: the same of boottime } (images/timens.proto) ---- */

static int put_time(struct writer *w, unsigned int field, int64_t ns)
{
	struct writer inner = { .data = NULL };
	int r = put_number(&inner, 1 << 3 | FIELD_NUMBER);

	if (r == 0)
		r = put_number(&inner, (uint64_t)(ns / NS_PER_S));
	if (r == 0)
		r = put_number(&inner, 2 << 3 | FIELD_NUMBER);
	if (r == 0)
		r = put_number(&inner, (uint64_t)(ns % NS_PER_S));
	if (r == 0)
		r = put_number(w, field << 3 | FIELD_BYTES);
	if (r == 0)
		r = put_number(w, inner.len);
	if (r == 0)
		r = put_bytes(w, inner.data, inner.len);
	free(inner.data);
	return r;
}

static int rewrite(const char *name, void *arg, struct lg_err *err)
{
	struct writer message = { .data = NULL }, image = { .data = NULL };
	lg_autofree char *text = NULL;
	size_t len = 0;
	uint32_t size;
	int r = lg_file_read(job.images, name, INFO_MAX, &text, &len, err);

	(void)arg;
	if (r < 0)
		return r;
	r = len < HEAD ? -EBADMSG : put_time(&message, 1, frozen[MONOTONIC]);
	if (r == 0)
		r = put_time(&message, 2, frozen[BOOTTIME]);
	size = (uint32_t)message.len;
	if (r == 0)
		r = put_bytes(&image, text, HEAD);
	if (r == 0)
		r = put_bytes(&image, &size, sizeof(size));
	if (r == 0)
		r = put_bytes(&image, message.data, message.len);
	if (r < 0)
		lg_fail(err, r, "'%s' of the images", name);
	else
		r = lg_file_replace_fast(job.images, name, (const char *)image.data, image.len, 0644, err);
	free(message.data);
	free(image.data);
	return r;
}

int clocks_stop(struct lg_err *err)
{
	return own ? images_each("timens-", rewrite, NULL, err) : 0;
}
