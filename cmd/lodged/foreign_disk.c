/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * A create whose disk is filled from an image. All of its steps but the last two are done when the worker begins, and until those are
 * the layer carries the mark of an unfinished create: whoever dies meanwhile - the command, the worker, this daemon - it is undone.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cmd/lodged/foreign.h"
#include "lib/cleanup.h"
#include "lib/exit.h"
#include "lib/json.h"

struct filling {
	struct daemon *d;
	struct creation *c;
	struct op *op;
	struct lg_vcall *call;
	bool start;
	int lifeline;		/* the worker goes on as long as it is open */
};

static void on_line(const char *line, void *arg)
{
	struct filling *f = arg;

	op_progress(f->op, "%s", line);
}

static void hung_up(struct lg_vcall *call, void *arg)
{
	struct filling *f = arg;

	(void)call;
	f->lifeline = lg_close(f->lifeline);
}

/* The instance is nobody's operation any more; the call goes on. */
static void let_go(struct op *op)
{
	if (op->call)
		lg_vcall_unref(op->call);
	op->call = NULL;
	op_end(op, NULL);
}

static void filled(int r, const struct lg_err *said, void *arg)
{
	struct filling *f = arg;
	struct lg_err err = *said;

	lg_vcall_on_gone(f->call, NULL, NULL);
	if (r == 0 && f->lifeline < 0)
		r = lg_refuse(&err, -ECANCELED, LG_EXIT_CANCELLED, "nobody wants it any more");
	let_go(f->op);
	creation_end(f->c, r, &err, f->call, f->start);
	lg_vcall_unref(f->call);
	lg_close(f->lifeline);
	free(f);
}

static int run_worker(struct filling *f, int image, struct lg_err *err)
{
	const struct instance *ct = creation_instance(f->c);
	char ctid[16], base[16], scratch[300];
	const char *const argv[] = { "vm-disk", "--var", f->d->root.var, "--ctid", ctid, "--base", base, "--file", scratch, NULL };
	int ends[2], r;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return lg_fail(err, -errno, "make a pipe");
	snprintf(ctid, sizeof(ctid), "%u", ct->ctid);
	snprintf(base, sizeof(base), "%u", ct->id_base);
	snprintf(scratch, sizeof(scratch), "%s/scratch", f->d->root.run);
	f->lifeline = ends[1];
	r = worker_run_with(f->d, argv, image, ends[0], on_line, filled, f, err);
	close(ends[0]);
	return r;
}

static void give_up(struct filling *f, struct lg_err *err)
{
	if (f->op)
		let_go(f->op);
	creation_end(f->c, err->code, err, f->call, false);
	lg_vcall_unref(f->call);
	lg_close(f->lifeline);
	free(f);
}

void foreign_disk_begin(struct daemon *d, struct creation *c, struct lg_vcall *call, const json_t *params)
{
	lg_autoclose int image = lg_vcall_take_fd(call, 0);
	struct filling *f = calloc(1, sizeof(*f));
	struct lg_err err = { 0 };
	int r = 0;

	if (!f) {
		lg_fail(&err, -ENOMEM, "fill its disk");
		creation_end(c, err.code, &err, call, false);
		return;
	}
	*f = (struct filling){ .d = d, .c = c, .call = lg_vcall_ref(call), .lifeline = -1,
			       .start = lg_json_bool(params, "start", false) };
	if (image < 0)
		r = lg_refuse(&err, -EINVAL, 0, "the image must come with the call, as a descriptor");
	if (r == 0 && !(f->op = op_new(creation_instance(c), "create", call)))
		r = lg_fail(&err, -ENOMEM, "fill its disk");
	if (r == 0)
		r = run_worker(f, image, &err);
	if (r == 0)
		lg_vcall_on_gone(call, hung_up, f);
	else
		give_up(f, &err);
}
