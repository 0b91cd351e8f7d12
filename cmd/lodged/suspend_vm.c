/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * A VM to disk and back. Its sessions end, its processors stop, and QEMU writes the machine's state into VAR/checkpoint/ID/memory; a
 * worker has that brought to the disk, state.json makes it count, and only then QEMU is killed. Until that word the machine runs on
 * whatever fails: it is told to continue. A daemon that was killed in between finds a machine that stands still and tells it the same
 * (recover.c), or none, and then the checkpoint is complete.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/lodged/criu.h"
#include "cmd/lodged/suspend.h"
#include "cmd/lodged/vm.h"
#include "lib/cleanup.h"
#include "lib/exit.h"
#include "lib/json.h"
#include "lib/log.h"

#define MEMORY "memory"
#define CONTINUE_S 30u
#define TRIES 40u
#define TRY_US 500000u	/* QEMU may be busy giving up what it was writing */

/* ---- running on ---- */

struct going_on {
	struct daemon *d;
	uint32_t ctid;
	unsigned int tries;
	sd_event_source *timer;
};

static void go_on(struct going_on *g);

static int try_again(sd_event_source *s, uint64_t usec, void *arg)
{
	struct going_on *g = arg;

	(void)s;
	(void)usec;
	g->timer = sd_event_source_disable_unref(g->timer);
	go_on(g);
	return 0;
}

static void continued(const struct lg_msg *m, const struct lg_err *err, void *arg)
{
	struct going_on *g = arg;
	const struct instance *ct = instance_by_ctid(g->d, g->ctid);

	if (!m && ct && ct->state == STATE_RUNNING && g->tries++ < TRIES &&
	    sd_event_add_time_relative(g->d->event, &g->timer, CLOCK_MONOTONIC, TRY_US, 0, try_again, g) >= 0)
		return;
	if (!m && ct)
		lg_log(LG_LOG_ERR, "%s: its machine does not go on: %s", instance_label(ct), err->msg);
	free(g);
}

static void go_on(struct going_on *g)
{
	struct instance *ct = instance_by_ctid(g->d, g->ctid);
	struct lg_err err = { 0 };
	struct lg_msg m;

	vm_ask_begin(&m, "continue");
	if (!ct || vm_ask(ct, &m, CONTINUE_S, continued, g, &err) < 0)
		free(g);
}

void suspend_vm_continue(struct instance *ct)
{
	struct going_on *g = calloc(1, sizeof(*g));

	if (!g)
		return;
	g->d = ct->d;
	g->ctid = ct->ctid;
	go_on(g);
}

/* ---- to disk ---- */

struct syncing {
	struct daemon *d;
	uint32_t ctid;
};

/* The operation that waits for this; NULL: its machine has ended meanwhile, and so has it. */
static struct op *op_of(const struct syncing *y)
{
	const struct instance *ct = instance_by_ctid(y->d, y->ctid);
	struct op *op = ct ? ct->op : NULL;
	const struct suspend *s = op && op->then == suspend_over ? op->arg : NULL;

	return s && s->syncing == y ? op : NULL;
}

/* All of it is on the disk: from the moment that state.json is there it is suspended. */
static void synced(int r, const struct lg_err *why, void *arg)
{
	struct op *op = op_of(arg);
	struct suspend *s = op ? op->arg : NULL;
	struct lg_err err = { 0 };
	char name[16];

	free(arg);
	if (!op)
		return;
	s->syncing = NULL;
	if (r < 0)
		err = *why;
	else
		r = checkpoint_complete(op->ct, s->images, op->host_down, &err);
	if (r < 0) {
		suspend_failed(op, &err);
		return;
	}
	s->committed = true;
	op->ct->suspending = true;
	snprintf(name, sizeof(name), "%u", op->ct->ctid);
	lg_cg_kill(op->ct->d->cg, name, NULL);
}

static int sync_it(struct op *op, struct lg_err *err)
{
	struct suspend *s = op->arg;
	const char *const argv[] = { "sync", "--var", op->ct->d->root.var, "-", NULL };
	lg_autoclose int fd = openat(s->images, MEMORY, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	struct syncing *y;
	int r;

	if (fd < 0)
		return lg_fail(err, -errno, "open its machine's state");
	y = calloc(1, sizeof(*y));
	if (!y)
		return lg_fail(err, -ENOMEM, "suspend");
	*y = (struct syncing){ op->ct->d, op->ct->ctid };
	r = worker_run_on(op->ct->d, argv, fd, NULL, synced, y, err);
	if (r < 0)
		free(y);
	else
		s->syncing = y;
	return r;
}

static void written(const struct lg_msg *m, const struct lg_err *why, void *arg)
{
	struct op *op = arg;
	struct lg_err err = { 0 };

	if (!m)
		err = *why;
	else
		sync_it(op, &err);
	if (err.code)
		suspend_failed(op, &err);
}

static int write_state(struct op *op, struct lg_err *err)
{
	struct suspend *s = op->arg;
	lg_autoclose int fd = openat(s->images, MEMORY, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	struct lg_msg m;
	int r;

	if (fd < 0)
		return lg_fail(err, -errno, "make the file for its machine's state");
	vm_ask_begin(&m, "suspend");
	r = lg_msg_put_fd(&m, fd);
	return r < 0 ? lg_fail(err, r, "suspend") : vm_ask(op->ct, &m, suspend_time(op->ct->d), written, op, err);
}

void suspend_vm_lent(struct op *op)
{
	struct lg_err err = { 0 };

	op->timer = sd_event_source_disable_unref(op->timer);
	op_progress(op, "writing its memory");
	if (write_state(op, &err) < 0)
		suspend_failed(op, &err);
}

/* ---- and back ---- */

int resume_vm_read(struct instance *ct, struct lg_err *err)
{
	lg_autojson json_t *state = NULL;
	lg_autoclose int images = -1;
	const char *why;
	int r = checkpoint_open(ct, &images, &state, err);

	if (r < 0)
		return r;
	vm_run_read(ct, json_object_get(state, "vm"));
	if (!ct->vm_run.memory || !ct->vm_files)
		return lg_refuse(err, -EPROTO, 0, "its checkpoint does not say what machine it is of");
	if (ct->vm_run.kvm != lg_kvm_usable(&why))
		return lg_refuse(err, -EINVAL, 0, "it was suspended %s KVM, and here it would run %s it", ct->vm_run.kvm ? "with" : "without",
				 ct->vm_run.kvm ? "without" : "with");
	return 0;
}

int resume_vm_open(const struct instance *ct, int *ret, struct lg_err *err)
{
	lg_autoclose int images = -1;
	int fd, r = checkpoint_open(ct, &images, NULL, err);

	if (r < 0)
		return r;
	fd = openat(images, MEMORY, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return lg_fail(err, -errno, "open its machine's state");
	*ret = fd;
	return 0;
}
