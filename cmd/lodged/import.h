/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LODGED_IMPORT_H
#define LODGED_IMPORT_H

#include "cmd/lodged/lodged.h"

/** import_held() - the shim of an incoming instance says that everything is restored and nothing runs */
void import_held(struct instance *ct);

/** import_recover() - what an earlier daemon wrote down of moves that then did not happen goes */
void import_recover(struct daemon *d);

/** import_go_on() - what moved in, and was about to be started when that daemon ended, is */
void import_go_on(struct daemon *d);

/* ---- import_vm.c ---- */

/**
 * import_vm_waits() - ImportOffer of a VM with what is in memory: this host's QEMU has to be asked first which it is
 * Return: true: @call is answered later, by api_import_offer() again.
 */
bool import_vm_waits(struct daemon *d, const struct lg_conf *conf, struct lg_vcall *call, const json_t *params);

/**
 * import_vm_check() - can a VM with @conf go on or be started here?
 * @params:	of ImportOffer
 * @blockers, @notes: a sentence each
 * @need_boot:	what it was booted from and is not here: "base", "kernel"
 */
void import_vm_check(struct daemon *d, const struct lg_conf *conf, const json_t *params, json_t *blockers, json_t *notes,
		     json_t *need_boot);

#endif
