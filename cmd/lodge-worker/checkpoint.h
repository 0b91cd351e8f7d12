/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LODGE_WORKER_CHECKPOINT_H
#define LODGE_WORKER_CHECKPOINT_H

#include "lib/err.h"

/**
 * checkpoint_check() - print what cannot be checkpointed (ct/blockers.h)
 * @init:	pid of the container's init on the host; its cgroup2 directory is stdin
 *
 * Lines: "P processes N", then for each "P blocker KIND PID INSIDE COUNT\tPROCESS\tUNIT\tWHAT".
 */
int checkpoint_check(const char *init, struct lg_err *err);

#endif
