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

/** import_read_conf() - the conf file in @params as it is to be here; *@ret is the caller's. */
int import_read_conf(const json_t *params, struct lg_conf **ret, struct lg_err *err);

#endif
