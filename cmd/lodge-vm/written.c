/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * What is written to a disk while the machine moves: so that the last look at the disk, while it stands still, is not at all of it.
 *
 * How it works: a job of QEMU's (a mirror of nothing but what is written from now on) writes the same into an empty file that lodged
 * keeps. Where that file has anything in the end, also nothing but zeros, the disk was written to. It has to have caught up when the
 * machine stands still; where it has not, or failed, the whole disk is looked at.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>

#include "cmd/lodge-vm/vm.h"
#include "ct/proto.h"
#include "ct/trace.h"
#include "lib/cleanup.h"
#include "lib/json.h"
#include "vm/start.h"

#define JOB "written"
#define GRANULARITY 65536	/* LG_BLOCK */
#define COMMAND_MS 10000
#define POLL_MS 2
#define SETTLE_POLLS 500u	/* a second */

static enum { NONE, MAKING, RUNS, SETTLING, ENDING } state;
static struct {
	int to;			/* who asked, until it is answered; -1 */
	char tag[24];
} asker = { .to = -1 };
static void on_owner_gone(struct lg_source *s, uint32_t events);

static struct lg_source owner = { .fd = -1, .on_event = on_owner_gone };	/* a copy of who asked: nobody else wants to know */
static char node[24], role[16];
static unsigned int nr, polls;
static int64_t fdset = -1;
static void (*settled)(bool ok);

/* ---- its end ---- */

static void clean_up(void)
{
	lg_source_close(&owner);
	qemu_command("blockdev-del", json_pack("{s:s}", "node-name", node), -1, COMMAND_MS, NULL, NULL);
	if (fdset >= 0)
		qemu_command("remove-fd", json_pack("{s:I}", "fdset-id", (json_int_t)fdset), -1, COMMAND_MS, NULL, NULL);
	fdset = -1;
}

static void tell(const struct lg_err *err)
{
	static struct lg_msg answer;

	if (asker.to < 0)
		return;
	lg_msg_init(&answer, LG_P_TOLD);
	lg_msg_put(&answer, "tag", asker.tag);
	if (err)
		lg_msg_put_err(&answer, err);
	lg_msg_send(asker.to, &answer);
	asker.to = lg_close(asker.to);
}

static void settle(bool ok)
{
	void (*done)(bool) = settled;

	settled = NULL;
	lg_trace(ok ? "what was written is known" : "what was written is not known");
	if (done)
		done(ok);
}

static void give_up(const char *why)
{
	struct lg_err err = { 0 };

	lg_trace(why);
	lg_refuse(&err, -EIO, 0, "%.300s", why);
	tell(&err);
	clean_up();
	state = NONE;
	settle(false);
}

/* ---- its beginning ---- */

/*
 * The file must not take what is discarded for a hole (discard, "ignore" by itself): where the disk has one now and had something
 * before, that is written as zeros, which take room.
 */

static bool failed(const json_t *ret, const struct lg_err *err)
{
	if (state == MAKING && !ret)
		give_up(err->msg);
	return state != MAKING;
}

static void command(const char *name, json_t *args, int fd, lg_qmp_done done)
{
	if (qemu_command(name, args, fd, COMMAND_MS, done, NULL) < 0)
		give_up("QEMU takes no command now");
}

static void on_mirror(void *arg, const json_t *ret, const struct lg_err *err)
{
	(void)arg;
	if (failed(ret, err))
		return;
	state = RUNS;
	tell(NULL);
}

static void on_node(void *arg, const json_t *ret, const struct lg_err *err)
{
	(void)arg;
	if (!failed(ret, err))
		command("blockdev-mirror",
			json_pack("{s:s, s:s, s:s, s:s, s:i, s:s, s:s}", "job-id", JOB, "device", role, "target", node, "sync",
				  "none", "granularity", GRANULARITY, "on-target-error", "report", "on-source-error", "report"),
			-1, on_mirror);
}

static void on_fd(void *arg, const json_t *ret, const struct lg_err *err)
{
	char path[40];

	(void)arg;
	fdset = ret ? lg_json_int(ret, "fdset-id", -1) : -1;
	if (failed(ret, err))
		return;
	snprintf(path, sizeof(path), "/dev/fdset/%lld", (long long)fdset);
	command("blockdev-add", json_pack("{s:s, s:s, s:s, s:b}", "driver", "file", "filename", path, "node-name", node, "read-only", 0),
		-1, on_node);
}

static bool is_disk(const char *name)
{
	for (unsigned int i = 0; name && i < vm.spec.ndisks; i++)
		if (strcmp(vm.spec.disks[i].role, name) == 0 && vm.spec.disks[i].writable)
			return true;
	return false;
}

void written_take(struct lg_msg *m, int from)
{
	lg_autoclose int fd = lg_msg_take_fd(m, 0);
	const char *tag = lg_msg_get(m, "tag"), *disk = lg_msg_get(m, "role");
	struct lg_err err = { 0 };

	if (asker.to >= 0)
		return;		/* lodged asks once */
	asker.to = fcntl(from, F_DUPFD_CLOEXEC, 0);
	snprintf(asker.tag, sizeof(asker.tag), "%s", tag ? tag : "");
	if (vm.phase != PHASE_RUNNING || state != NONE || fd < 0 || !is_disk(disk)) {
		lg_refuse(&err, state != NONE ? -EBUSY : -EINVAL, 0, "ASK written is of no use now");
		tell(&err);
		return;
	}
	owner.fd = fcntl(from, F_DUPFD_CLOEXEC, 0);
	if (owner.fd >= 0 && lg_source_add(&owner, EPOLLRDHUP) < 0)
		owner.fd = lg_close(owner.fd);
	state = MAKING;
	snprintf(role, sizeof(role), "%s", disk);
	snprintf(node, sizeof(node), "written%u", ++nr);
	command("add-fd", NULL, fd, on_fd);
}

/* ---- the machine stands still ---- */

static void look(void);

static void on_jobs(void *arg, const json_t *ret, const struct lg_err *err)
{
	const json_t *job;
	bool caught_up = false;
	size_t i;

	(void)arg;
	(void)err;
	if (state != SETTLING)
		return;
	json_array_foreach((json_t *)(uintptr_t)ret, i, job) {
		const char *id = lg_json_str(job, "device");

		if (id && strcmp(id, JOB) == 0)
			caught_up = lg_json_bool(job, "ready", false) && lg_json_int(job, "len", -1) == lg_json_int(job, "offset", -2);
	}
	if (caught_up && qemu_command("block-job-cancel", json_pack("{s:s}", "device", JOB), -1, COMMAND_MS, NULL, NULL) == 0)
		timer_set(TIMER_WRITTEN, COMMAND_MS, written_drop);	/* its end is told */
	else
		timer_set(TIMER_WRITTEN, POLL_MS, look);
}

static void look(void)
{
	if (state != SETTLING)
		return;
	if (++polls > SETTLE_POLLS || qemu_command("query-block-jobs", NULL, -1, COMMAND_MS, on_jobs, NULL) < 0)
		written_drop();
}

void written_settle(void (*done)(bool ok))
{
	settled = done;
	if (state != RUNS) {
		settle(false);
		return;
	}
	state = SETTLING;
	polls = 0;
	look();
}

/* ---- at any time ---- */

void written_drop(void)
{
	timer_set(TIMER_WRITTEN, -1, written_drop);
	if (state == NONE || state == ENDING)
		return;
	state = ENDING;
	qemu_command("block-job-cancel", json_pack("{s:s, s:b}", "device", JOB, "force", 1), -1, COMMAND_MS, NULL, NULL);
	settle(false);
}

static void on_owner_gone(struct lg_source *s, uint32_t events)
{
	(void)events;
	lg_source_close(s);
	written_drop();
}

void written_event(const char *name, const json_t *data)
{
	const char *id = lg_json_str(data, "device");
	bool over = strcmp(name, "BLOCK_JOB_COMPLETED") == 0 || strcmp(name, "BLOCK_JOB_CANCELLED") == 0;
	bool ok = state == SETTLING && !lg_json_str(data, "error");

	if (!over || !id || strcmp(id, JOB) != 0)
		return;
	timer_set(TIMER_WRITTEN, -1, written_drop);
	clean_up();
	state = NONE;
	settle(ok);
}
