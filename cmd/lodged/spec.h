/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LODGED_SPEC_H
#define LODGED_SPEC_H

/* Parts of START (ct/proto.h) that containers and VMs share. */

#include "cmd/lodged/lodged.h"

/** spec_put_shim_paths() - socket, exit_file, console_log */
void spec_put_shim_paths(const struct instance *ct, struct lg_msg *m);

/** spec_put_guest() - hostname, and what is written inside before init runs */
int spec_put_guest(struct op *op, struct lg_msg *m, struct lg_err *err);

/** spec_put_kernel() - rlimit*, sysctl* */
int spec_put_kernel(const struct instance *ct, struct lg_msg *m, struct lg_err *err);

#endif
