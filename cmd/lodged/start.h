/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LODGED_START_H
#define LODGED_START_H

/* The steps of a start (start.c) that containers and VMs (start_vm.c) share, in the order of both tables. */

#include "cmd/lodged/limits.h"
#include "cmd/lodged/lodged.h"

int start_check_conf(void *ctx, struct lg_err *err);
int start_umount_first(void *ctx, struct lg_err *err);
int start_write_intent(void *ctx, struct lg_err *err);
void start_forget_intent(void *ctx);
int start_take_ids(void *ctx, struct lg_err *err);
int start_wait_for_layer(void *ctx, struct lg_err *err);
int start_take_shim(void *ctx, struct lg_err *err);
void start_give_up_shim(void *ctx);
int start_make_cgroup(void *ctx, struct lg_err *err);	/* swept when the shim has ended */
void start_detach_network(void *ctx);
int start_release(void *ctx, struct lg_err *err);	/* GO, and wait for STARTED */
int start_write_result(void *ctx, struct lg_err *err);

/* Parts of the step that has the shim make it: its limits, read before and written while the shim works. */
int start_read_limits(struct op *op, struct limits *limits, struct lg_err *err);
int start_set_limits(struct op *op, struct limits *limits, struct lg_err *err);

/* The answer of a start that worked. */
json_t *start_answer(struct op *op);

/* ---- start_wait.c ---- */

/* Ask the guest's systemd until it is up, and answer then. */
int start_wait(struct op *op, struct lg_err *err);

/* ---- start_vm.c ---- */

/* The run of a VM's start. -ENOMEM. */
int start_vm_init(struct op *op, struct lg_err *err);

#endif
