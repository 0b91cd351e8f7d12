/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LODGED_LXCFS_H
#define LODGED_LXCFS_H

/*
 * The lxcfs of this daemon. How it works: one process for all containers, started by lodged in the
 * cgroup of the shims, mounted at RUN/lxcfs/N. It outlives lodged, and the next one takes it up (by
 * RUN/lxcfs/N.pid and what stands in that process's arguments). Every shim is lent its files
 * (ct/procfs.h). When it ends, a new one is started and lent out in turn; when its program was
 * replaced by a newer one, that is started beside it first, so that nobody waits.
 *
 * lodged itself never looks into the mount: a worker opens the files, and may get stuck.
 */

#include "cmd/lodged/doctor.h"
#include "cmd/lodged/lodged.h"

/** lxcfs_begin() - take up the one that runs, or start one; a host without lxcfs is fine. */
int lxcfs_begin(struct daemon *d, struct lg_err *err);

/** lxcfs_give() - let @shim have the files, unless it has them. It matters to nobody if it fails. */
void lxcfs_give(struct shim *shim);

/** lxcfs_where() - where it is mounted; false: there is none that answers. */
bool lxcfs_where(const struct daemon *d, char buf[300]);

/** lxcfs_end() - for teardown: end it. Asked again until it says true: nothing is left. */
bool lxcfs_end(struct daemon *d);

/** lxcfs_free() - lodged ends; it goes on. */
void lxcfs_free(struct daemon *d);

/** doctor_lxcfs() - its line of the report. */
void doctor_lxcfs(struct report *r);

#endif
