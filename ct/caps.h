/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_CT_CAPS_H
#define LG_CT_CAPS_H

#include <stdint.h>

#include "lib/err.h"

/** lg_caps_default() - bit mask of the capabilities a container keeps (table in caps.c). */
uint64_t lg_caps_default(void);

/** lg_caps_change() - apply vzctl's "name:on,name:off" (names without cap_) to *@mask. */
int lg_caps_change(const char *text, uint64_t *mask, struct lg_err *err);

#endif
