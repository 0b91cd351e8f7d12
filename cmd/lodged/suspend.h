/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LODGED_SUSPEND_H
#define LODGED_SUSPEND_H

/* An instance to disk (suspend.c) and back (resume.c). */

#include "cmd/lodged/lodged.h"

struct checking;
struct syncing;
struct criu_job;

/* Of an operation that suspends: its arg. */
struct suspend {
	struct checking *checking;	/* the look at what is in the way; the callback's own */
	struct syncing *syncing;	/* of a VM: the worker that brings its memory to the disk; the callback's own */
	int images;
	struct criu_job *job;
	bool committed;		/* it does not run any more, and its images count */
	bool gone;		/* its last process has ended, and its cgroup is swept */
};

/** suspend_time() - seconds that a suspend may take, and a resume */
unsigned int suspend_time(const struct daemon *d);

/** suspend_begin() - @op answers with the suspended instance */
void suspend_begin(struct op *op);

/** suspend_failed() - it runs on: end @op and say why */
void suspend_failed(struct op *op, struct lg_err *err);

/* ---- suspend_vm.c ---- */

/** suspend_vm_lent() - no session is left of a VM that is being suspended */
void suspend_vm_lent(struct op *op);

/** suspend_vm_continue() - a suspend of a VM did not happen: its machine goes on, as soon as QEMU lets it */
void suspend_vm_continue(struct instance *ct);

/** resume_vm_read() - what it was when it was suspended, into @ct. -EINVAL: it cannot be that here. */
int resume_vm_read(struct instance *ct, struct lg_err *err);

/** resume_vm_open() - its machine's state; @ret is the caller's */
int resume_vm_open(const struct instance *ct, int *ret, struct lg_err *err);

/** suspend_answer() - it is suspended: end @op and say so */
void suspend_answer(struct op *op);

/** suspend_lent() - LENT has come from the shim */
void suspend_lent(struct instance *ct, struct lg_msg *m);

/** suspend_over() - op->then of a suspend: the instance is gone and swept */
void suspend_over(struct op *op);

/** resume_check() - may its checkpoint be resumed under its conf file, here? -EINVAL, -EBUSY. */
int resume_check(struct instance *ct, struct lg_err *err);

/** resume_begin() - @op answers as a start; where the images are in a dump file they come out of it first */
void resume_begin(struct op *op);

/** resume_put() - what START needs beside the usual for a start out of images; their descriptors are the caller's */
int resume_put(struct op *op, struct lg_msg *m, int *ret_images, int *ret_ns, struct lg_err *err);

/** resume_link() - what the container's end of its link is called until it is inside */
void resume_link(const struct instance *ct, char name[16]);

#endif
