/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_VM_QEMU_H
#define LG_VM_QEMU_H

/* Which QEMU reads what another one wrote. */

#include "lib/err.h"

#define LG_QEMU_VERSION 24u

/**
 * lg_qemu_fits() - can a machine whose state QEMU @then wrote go on under @now ("7.2.22")?
 *
 * The machine "microvm" has no versions: what it consists of may change with every release, and its state with it. Within one
 * release's corrections it does not. Return: 0; -EINVAL with a line that names both.
 */
int lg_qemu_fits(const char *then, const char *now, struct lg_err *err);

/**
 * lg_erofs_identity() - which making of a read-only file system the file @path is
 *
 * Two images of the same files may differ in where things are, and a machine that goes on knows where they were. Return: 0 with 32
 * digits of what its superblock says (number, time and size); -EINVAL: it is none; negative errno.
 */
int lg_erofs_identity(const char *path, char ret[33], struct lg_err *err);

#endif
