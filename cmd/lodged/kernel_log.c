/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * How it works: one descriptor for all containers. It wakes the daemon when the kernel says something, at
 * most twice a second, and a container that does nothing makes the kernel say nothing. What is
 * in the log from before the daemon's start is read, too, so that a kill of the time
 * in between gets its process's name; events are told only of what is new.
 */

#include "cmd/lodged/kernel_log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cmd/lodged/account.h"
#include "cmd/lodged/lodged.h"
#include "lib/cleanup.h"
#include "lib/log.h"

#define RECORD_MAX 8192u	/* the kernel's own limit */
#define AT_ONCE 10000u		/* records, before other work has its turn */
#define QUIET_US 500000u
#define IDS 65536u

/* ---- what they mean ---- */

static struct instance *of_uid(struct daemon *d, uid_t uid)
{
	for (size_t i = 0; i < d->ncts; i++)
		if (d->cts[i]->id_base && uid >= d->cts[i]->id_base &&
		    uid - d->cts[i]->id_base < IDS)
			return d->cts[i];
	return NULL;
}

/* The kernel's clock counts from the boot, as ours does; a little drift does no harm here. */
static int64_t when(uint64_t at_us)
{
	uint64_t now = now_us();

	return time(NULL) - (int64_t)((now > at_us ? now - at_us : 0) / 1000000);
}

static void take_kill(struct daemon *d, const struct kernel_kill *kill, bool old)
{
	struct instance *ct = of_uid(d, kill->uid);
	int64_t at = when(kill->at_us);
	struct account *a = ct ? account_of(ct) : NULL;

	if (!a)
		return;
	/* Not one of an instance that had this number, or these ids, before. */
	if (!old || (at > a->oom.at && at >= ct->created_at)) {
		account_killed(a, kill->pid, kill->name, at);
		if (ct->state == STATE_RUNNING)
			account_look(ct, NULL, NULL);
		account_save(ct);
	}
	if (!old)
		emit_event(d, "oom", ct, "the kernel killed process %d (%s): %s", (int)kill->pid,
			   kill->name, kill->by_limit ? "a memory limit was met" :
							"the host has no memory left");
	if (ct->state != STATE_RUNNING)
		account_drop(ct);
}

static void take_fork(struct daemon *d, const char *path)
{
	struct instance *ct = NULL;
	char name[32];
	uint32_t ctid;

	if (lg_cg_of_path(d->cg, path, name) == 0 && lg_parse_ctid(name, &ctid, NULL) == 0)
		ct = instance_by_ctid(d, ctid);
	if (!ct || ct->state != STATE_RUNNING)
		return;
	account_look(ct, NULL, NULL);
	emit_event(d, "limit", ct, "it has as many tasks as it may have: the kernel refused it another");
}

static void take(struct daemon *d, const char *record)
{
	struct kernel_kill kill;
	char path[256];

	if (kernel_log_kill(record, &kill))
		take_kill(d, &kill, d->kmsg_old);
	else if (!d->kmsg_old && kernel_log_fork(record, path))
		take_fork(d, path);
}

/* Return: 0 or a positive errno: EAGAIN: there is no more of it now. */
static int read_log(struct daemon *d, int fd)
{
	char record[RECORD_MAX + 1];

	for (unsigned int i = 0; i < AT_ONCE; i++) {
		ssize_t n = read(fd, record, RECORD_MAX);

		if (n > 0) {
			record[n] = '\0';
			take(d, record);
			continue;
		}
		/* EPIPE: records were lost under us; the next read goes on behind the gap. */
		if (n < 0 && (errno == EPIPE || errno == EINTR))
			continue;
		d->kmsg_old = false;
		return n == 0 ? ENODATA : errno;
	}
	return 0;
}

static int on_log(sd_event_source *s, int fd, uint32_t revents, void *arg)
{
	int r = read_log(arg, fd);

	(void)revents;
	if (r != 0 && r != EAGAIN)
		sd_event_source_set_enabled(s, SD_EVENT_OFF);
	return 0;
}

void kernel_log_catch_up(struct daemon *d)
{
	if (d->kmsg)
		read_log(d, sd_event_source_get_io_fd(d->kmsg));
}

void kernel_log_watch(struct daemon *d)
{
	int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	char byte[RECORD_MAX];

	d->kmsg_errno = fd < 0 ? errno : 0;
	/* Opening it is allowed where reading it is not. */
	if (fd >= 0 && read(fd, byte, sizeof(byte)) < 0 && errno != EAGAIN && errno != EPIPE)
		d->kmsg_errno = errno;
	if (d->kmsg_errno) {
		lg_log(LG_LOG_WARN, "the kernel's log cannot be read (%s): processes killed for want of "
		       "memory have no names", strerror(d->kmsg_errno));
		lg_close(fd);
		return;
	}
	d->kmsg_old = true;
	lseek(fd, 0, SEEK_SET);
	if (sd_event_add_io(d->event, &d->kmsg, fd, EPOLLIN, on_log, d) < 0) {
		lg_close(fd);
		d->kmsg_errno = ENOMEM;
		return;
	}
	sd_event_source_set_io_fd_own(d->kmsg, true);
	sd_event_source_set_priority(d->kmsg, SD_EVENT_PRIORITY_IDLE);
	sd_event_source_set_ratelimit(d->kmsg, QUIET_US, 1);
}

void kernel_log_end(struct daemon *d)
{
	d->kmsg = sd_event_source_disable_unref(d->kmsg);
}
