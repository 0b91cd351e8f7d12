/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LODGED_DEVICES_H
#define LODGED_DEVICES_H

/* The devices an instance is given: by its features and by name. */

#include <sys/stat.h>

#include "cmd/lodged/lodged.h"

/** device_stat() - the host's /dev/@name. -ENODEV: there is none, or it is no device. */
int device_stat(const char *name, struct stat *st, struct lg_err *err);

/** spec_devices() - the fields device* of START. */
int spec_devices(const struct instance *ct, struct lg_msg *m, struct lg_err *err);

#endif
