/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * How a VM's suspend goes. Its shim ends the sessions, stops the processors, has QEMU write the machine's state into
 * VAR/checkpoint/ID and holds the machine. A worker has that reach the disk, QEMU is frozen, so that not even the end of this daemon
 * lets it run on, and the checkpoint is declared complete. Only then QEMU is killed. Until that word the machine runs on whatever
 * happens: the shim sees to it when it is told so, when it fails, and when this daemon ends.
 *
 * A daemon that was killed in the middle: QEMU lives, and the checkpoint goes (recover.c); or it is gone, and the VM is suspended.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "cmd/lodged/criu.h"
#include "cmd/lodged/dumpfile.h"
#include "cmd/lodged/suspend.h"
#include "cmd/lodged/vm.h"
#include "lib/cleanup.h"
#include "lib/log.h"

#define ANSWER_S 60u	/* beside the time that the suspend itself may take */

struct vm_suspend {
	unsigned int nr;	/* no other suspend has had it */
	int images;
	bool writing;		/* its shim holds it, or is about to */
	bool going;		/* it was told to let it run on */
	bool committed;
};

/* What is heard of a question or a worker finds its suspend by this, or it is over. */
struct waiting {
	struct daemon *d;
	uint32_t ctid;
	unsigned int nr;
};

static void vm_suspend_over(struct op *op);

/* Frees @w. NULL: it is over. */
static struct op *op_of(struct waiting *w)
{
	const struct instance *ct = instance_by_ctid(w->d, w->ctid);
	struct op *op = ct ? ct->op : NULL;
	struct vm_suspend *s = op && op->then == vm_suspend_over ? op->arg : NULL;

	op = s && s->nr == w->nr ? op : NULL;
	free(w);
	return op;
}

static struct waiting *wait_for(const struct op *op)
{
	struct waiting *w = malloc(sizeof(*w));

	if (w)
		*w = (struct waiting){ op->ct->d, op->ct->ctid, ((struct vm_suspend *)op->arg)->nr };
	return w;
}

static void forget(struct op *op)
{
	struct vm_suspend *s = op->arg;

	op->arg = NULL;
	if (s)
		lg_close(s->images);
	free(s);
}

static void failed(struct op *op, struct lg_err *err)
{
	forget(op);
	suspend_fail(op, err);
}

static void freeze(const struct op *op, bool frozen)
{
	char name[16];

	snprintf(name, sizeof(name), "%u", op->ct->ctid);
	lg_cg_freeze(op->ct->d->cg, name, frozen, NULL);
}

/* ---- it runs on ---- */

static void on_continued(const struct lg_msg *m, const struct lg_err *err, void *arg)
{
	struct op *op = op_of(arg);

	if (!op)
		return;
	if (!m && err->code == -ESRCH)
		return;		/* it has ended: the sweep comes */
	if (!m)
		lg_log(LG_LOG_ERR, "%s: it does not say that it runs on: %s", instance_label(op->ct), err->msg);
	failed(op, &op->err);
}

static void go_on(struct op *op, const struct lg_err *err)
{
	struct vm_suspend *s = op->arg;
	struct waiting *w = wait_for(op);
	struct lg_err why = { 0 };
	struct lg_msg m;

	op->err = *err;
	s->going = true;
	checkpoint_remove(op->ct);
	freeze(op, false);
	vm_ask_begin(&m, "continue");
	if (w && vm_ask(op->ct, &m, ANSWER_S, on_continued, w, &why) == 0)
		return;
	free(w);
	lg_log(LG_LOG_ERR, "%s: cannot tell it to run on: %s", instance_label(op->ct), why.msg);
	failed(op, &op->err);
}

/* ---- from running to suspended ---- */

static int commit(struct op *op, struct lg_err *err)
{
	struct vm_suspend *s = op->arg;
	char name[16];
	int r;

	op_progress(op, "writing what is known about it");
	freeze(op, true);
	r = checkpoint_complete(op->ct, s->images, op->host_down, err);
	if (r < 0)
		return r;
	s->committed = true;
	op->ct->suspending = true;
	snprintf(name, sizeof(name), "%u", op->ct->ctid);
	lg_cg_kill(op->ct->d->cg, name, NULL);
	return 0;
}

static void synced(int r, const struct lg_err *why, void *arg)
{
	struct op *op = op_of(arg);
	struct lg_err err = *why;
	struct vm_suspend *s = op ? op->arg : NULL;

	if (!op || s->going)
		return;
	if (r < 0 || commit(op, &err) < 0)
		go_on(op, &err);
}

static void on_line(const char *line, void *arg)
{
	(void)line;
	(void)arg;
}

static int sync_images(struct op *op, struct lg_err *err)
{
	const char *const argv[] = { "sync-folder", "--var", op->ct->d->root.var, NULL };
	struct vm_suspend *s = op->arg;
	struct waiting *w = wait_for(op);
	int r = w ? worker_run_with(op->ct->d, argv, -1, s->images, on_line, synced, w, err) : lg_fail(err, -ENOMEM, "suspend");

	if (r < 0)
		free(w);
	return r;
}

static void on_written(const struct lg_msg *m, const struct lg_err *why, void *arg)
{
	struct op *op = op_of(arg);
	struct vm_suspend *s = op ? op->arg : NULL;
	struct lg_err err = { 0 };

	if (!op || s->going)
		return;
	if (!m && why->code == -ESRCH)
		return;		/* it has ended: the sweep comes */
	if (!m) {
		err = *why;
		go_on(op, &err);
		return;
	}
	vm_run_told(op->ct, m);
	if (sync_images(op, &err) < 0)
		go_on(op, &err);
}

/* op->then: it is gone and swept */
static void vm_suspend_over(struct op *op)
{
	struct vm_suspend *s = op->arg;
	bool committed = s->committed;

	forget(op);
	if (committed)
		suspend_done(op);
	else
		suspend_too_late(op);
}

/* ---- the beginning ---- */

static int timed_out(sd_event_source *src, uint64_t usec, void *arg)
{
	struct op *op = arg;
	struct vm_suspend *s = op->arg;
	struct lg_err err = { 0 };

	(void)src;
	(void)usec;
	op->timer = sd_event_source_disable_unref(op->timer);
	lg_refuse(&err, -ETIMEDOUT, 0, "it took more than %u s", suspend_time_of(op));
	if (s && s->writing && !s->going && !s->committed)
		go_on(op, &err);
	return 0;
}

static int ask(struct op *op, int state, struct lg_err *err)
{
	struct vm_suspend *s = op->arg;
	struct waiting *w = wait_for(op);
	struct lg_err why = { 0 };
	struct lg_msg m;
	int r;

	if (!w)
		return lg_fail(err, -ENOMEM, "suspend");
	lg_refuse(&why, -ECANCELED, 0, "the session ended because %s is being suspended", instance_label(op->ct));
	vm_ask_begin(&m, "suspend");
	lg_msg_put_err(&m, &why);
	lg_msg_put_fd(&m, state);
	r = vm_ask(op->ct, &m, suspend_time_of(op) + ANSWER_S, on_written, w, err);
	if (r < 0)
		free(w);
	s->writing = r == 0;
	return r;
}

static int begin(struct op *op, struct lg_err *err)
{
	struct vm_suspend *s = op->arg;
	lg_autoclose int state = -1;
	/* What it boots from is as it was then, or it could not go on. */
	int r = vm_files_locate(op->ct, err);

	if (r == 0)
		r = dumpfile_room(op->ct, op->file, err);
	if (r == 0)
		r = checkpoint_begin(op->ct, &s->images, err);
	if (r < 0)
		return r;
	state = openat(s->images, VM_STATE_FILE, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (state < 0)
		return lg_fail(err, -errno, "make '" VM_STATE_FILE "'");
	r = runtime_save(op->ct, "suspend", err);
	if (r < 0)
		return r;
	op_progress(op, "writing its memory");
	return ask(op, state, err);
}

void vm_suspend_begin(struct op *op)
{
	static unsigned int nr;
	struct vm_suspend *s = calloc(1, sizeof(*s));
	struct lg_err err = { 0 };

	op->then = vm_suspend_over;
	op->arg = s;
	op_timer(op, suspend_time_of(op), timed_out);
	if (s)
		*s = (struct vm_suspend){ .nr = ++nr, .images = -1 };
	if (!s)
		lg_fail(&err, -ENOMEM, "suspend");
	else
		begin(op, &err);
	if (err.code)
		failed(op, &err);
}
