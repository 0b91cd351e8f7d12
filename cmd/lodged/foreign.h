/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LODGED_FOREIGN_H
#define LODGED_FOREIGN_H

/* VMs that boot what is on their own disk: any system, with nothing of lodge in it. lg_kind_is_foreign() says which are. */

#include "cmd/lodged/create.h"
#include "cmd/lodged/vm.h"

/* ---- foreign_vm.c: what such a VM is made of ---- */

/**
 * foreign_defaults() - what a new one has: no template, a system
 * @image:	a disk image comes with the call
 *
 * Does nothing to an instance that is none. Return: 0; -EINVAL where it is asked for both a template and what has none.
 */
int foreign_defaults(struct lg_conf *conf, const json_t *settings, bool image, struct lg_err *err);

/** foreign_check() - is what the conf names there: its firmware, the image in its drive? 0 for others. */
int foreign_check(const struct daemon *d, const struct lg_conf *conf, struct lg_err *err);

/** foreign_check_machine() - the same of what is to start or go on as its vm_run says. */
int foreign_check_machine(const struct instance *ct, struct lg_err *err);

/** foreign_medium() - the path of what the conf has in the drive, "none". */
const char *foreign_medium(const struct lg_conf *conf);

/**
 * foreign_open_medium() - a file for the drive, for reading
 * @ret:	-1 for "none"
 *
 * Return: 0; -EACCES and others with a line that begins with "cdrom: ".
 */
int foreign_open_medium(const struct daemon *d, const char *path, int *ret, struct lg_err *err);

/** foreign_is_hardware() - does @s say what the machine is made of? */
bool foreign_is_hardware(const struct lg_setting *s);

/** foreign_vnc() - the path of its screen's socket; false: it has none. */
bool foreign_vnc(const struct instance *ct, char path[300]);

/** foreign_spec() - START for its shim, as spec_vm_make(). */
int foreign_spec(struct op *op, struct lg_msg *m, int fds[VM_SPEC_FDS], struct lg_err *err);

/* ---- foreign_disk.c: a disk out of an image ---- */

/**
 * foreign_disk_begin() - fill the disk of an instance whose create waits for its files, and answer @call then
 * @c:		taken over; where it fails nothing of it is left
 */
void foreign_disk_begin(struct daemon *d, struct creation *c, struct lg_vcall *call, const json_t *params);

#endif
