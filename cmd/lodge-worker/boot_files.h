/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LODGE_WORKER_BOOT_FILES_H
#define LODGE_WORKER_BOOT_FILES_H

/*
 * What a VM that moves with its memory was booted from goes along, where it is not there yet (vm/transfer.h). The op "boot" has what
 * lg_vm_part_json() says, and the content of its files follows.
 */

#include <jansson.h>
#include <stdint.h>

#include "cmd/lodge-worker/migrate.h"
#include "lib/err.h"

struct move;

/** move_boot_files() - the stage "boot files": what the other host said that it lacks (need_boot of the request) */
int move_boot_files(struct move *m, struct lg_err *err);

/**
 * boot_receive() - one part, as @m describes it, into VAR/vm; -EBADMSG, -ENOSPC
 *
 * It stays there as long as this process is, whoever cleans, and then if somebody has use for it.
 */
int boot_receive(const struct job *job, const struct wire *wire, const json_t *m, struct lg_err *err);

/** move_vars() - the settings that a VM's firmware has written, where there are any; nothing may run that writes them */
int move_vars(struct move *m, struct lg_err *err);

/** vars_receive() - the same, as @m describes it, for @ctid; into the file that is there, which a machine may have open */
int vars_receive(const struct job *job, const struct wire *wire, uint32_t ctid, const json_t *m, struct lg_err *err);

/** boot_hold() - the same for what is here already of what @vm (vm_move_json() of lodged) names */
void boot_hold(const struct job *job, const json_t *vm);

#endif
