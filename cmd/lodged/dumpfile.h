/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LODGED_DUMPFILE_H
#define LODGED_DUMPFILE_H

/* The images of a suspended instance as one file that an administrator may copy (storage/dump.h). */

#include "cmd/lodged/lodged.h"

/**
 * dumpfile_check() - may a dump file be written there?
 *
 * An absolute path in a folder that exists, no other thing than a plain file there, and a key that can be read where
 * lodge.conf wants one. Return: 0; -EINVAL, -ENOENT, -EEXIST and those of lg_seal_key_load().
 */
int dumpfile_check(const struct daemon *d, const char *file, struct lg_err *err);

/** dumpfile_room() - has the host room for the images of a running instance, and for the file (may be NULL)? -ENOSPC. */
int dumpfile_room(const struct instance *ct, const char *file, struct lg_err *err);

/** dumpfile_write() - the images of @op's instance into op->file, whose own they then are; then suspend_answer(). */
void dumpfile_write(struct op *op);

/** dumpfile_read() - images out of op->file; when they fit the instance: start_begin() of what they hold. */
void dumpfile_read(struct op *op);

#endif
