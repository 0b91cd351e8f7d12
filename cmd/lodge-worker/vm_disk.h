/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LODGE_WORKER_VM_DISK_H
#define LODGE_WORKER_VM_DISK_H

#include "cmd/lodge-worker/job.h"
#include "lib/err.h"

/** vm_disk() - the image on stdin becomes the disk of a machine that is being created; descriptor 3 ends when nobody wants it. */
int vm_disk(const struct job *job, struct lg_err *err);

#endif
