/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LODGED_IMPORT_H
#define LODGED_IMPORT_H

#include "cmd/lodged/lodged.h"

/** import_held() - the shim of an incoming instance says that everything is restored and nothing runs */
void import_held(struct instance *ct);

#endif
