/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LODGED_SUSPEND_H
#define LODGED_SUSPEND_H

/* An instance to disk (suspend.c) and back (resume.c). */

#include "cmd/lodged/lodged.h"

/** suspend_time() - seconds that a suspend may take, and a resume */
unsigned int suspend_time(const struct daemon *d);

/** suspend_begin() - @op answers with the suspended instance */
void suspend_begin(struct op *op);

/** suspend_answer() - it is suspended: end @op and say so */
void suspend_answer(struct op *op);

/** suspend_time_of() - seconds that this one may take */
unsigned int suspend_time_of(const struct op *op);

/** suspend_fail() - it runs on, whatever was written goes, and @op says why, or stops it instead */
void suspend_fail(struct op *op, struct lg_err *err);

/** suspend_done() - its images count, and it is gone and swept */
void suspend_done(struct op *op);

/** suspend_too_late() - it had ended by itself before */
void suspend_too_late(struct op *op);

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


#endif
