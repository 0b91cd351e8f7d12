/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_CT_TRACKING_H
#define LG_CT_TRACKING_H

/*
 * Which memory was written? The kernel marks it (CONFIG_MEM_SOFT_DIRTY), and CRIU asks for the marks to copy the memory of a
 * container ahead of its move, while it runs. Twice the kernel forgets a mark (seen with Linux 6.12), and what was copied
 * before would be taken for what there is:
 *
 *	mremap() of 2 MiB or more moves whole page tables, and marks nothing of what it moved
 *	KSM puts one page in place of several equal ones, and not their marks
 *
 * So where KSM runs the marks count for nothing, and elsewhere for as long as none of the container's processes has made
 * such a call, which is watched.
 */

#include <stdbool.h>

#include "lib/err.h"

/** lg_tracking_check() - does this kernel mark what is written, in a way to rely on? -EOPNOTSUPP and why not. */
int lg_tracking_check(struct lg_err *err);

struct lg_moves;

/**
 * lg_moves_watch() - from now on count the calls in a cgroup, and below it, that move memory without a mark
 * @cgroup:	its cgroup2 folder; borrowed
 * @ret:	for lg_moves_free()
 *
 * One descriptor for each CPU. Return: 0; negative errno: it cannot be watched.
 */
int lg_moves_watch(int cgroup, struct lg_moves **ret, struct lg_err *err);

/** lg_moves_seen() - was there one? Also when it cannot be told. */
bool lg_moves_seen(const struct lg_moves *m);

/** lg_moves_free() - NULL is fine */
void lg_moves_free(struct lg_moves *m);

#endif
