/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_VM_TRANSFER_H
#define LG_VM_TRANSFER_H

/*
 * What a machine boots from goes along when it moves with its memory.
 *
 * How it works: a machine that goes on must find the very files that it was booted from, in the same making (vm/qemu.h:
 * lg_erofs_identity()). They are found by that alone, whatever their names and whoever made them. A making that came from another
 * host has the plain name of vm/boot.h if that was free, so that later machines share it, and else one with a '+':
 *
 *	VAR/vm/base/DIGEST+IDENTITY.img
 *	VAR/vm/kernel/DIGEST+IDENTITY/
 *
 * The one with the '+' goes (lg_vm_cache_clean()) when no machine here needs it any more.
 *
 * A file in the cache that somebody has a lock on stays: lg_vm_part_hold() is for those who will need it in a moment.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/err.h"
#include "vm/cache.h"

#define LG_VM_IDENTITY 33u	/* 32 digits and NUL */
#define LG_VM_PART_FILES 5u

/** lg_vm_identity_is_sound() - 32 digits of lg_erofs_identity(); NULL is none. */
bool lg_vm_identity_is_sound(const char *id);

/**
 * lg_vm_base_find() - the base disk of the making @id, of whatever template
 * @path:	may be NULL
 *
 * Return: 0; -ENOENT with a line; -EINVAL: @id is none; negative errno.
 */
int lg_vm_base_find(const char *var, const char *id, char path[LG_VM_PATH], struct lg_err *err);

/** lg_vm_kernel_by_id() - the kernel whose modules' disk is of the making @id; @ret may be NULL. As lg_vm_base_find(). */
int lg_vm_kernel_by_id(const char *var, const char *id, struct lg_vm_kernel *ret, struct lg_err *err);

/* One of the two: "base" is one file, "kernel" is a folder. */
struct lg_vm_part {
	bool kernel;
	char digest[LG_VM_DIGEST];	/* its plain name */
	char id[LG_VM_IDENTITY];
	uint64_t sizes[LG_VM_PART_FILES];
	char sums[LG_VM_PART_FILES][LG_VM_DIGEST];	/* SHA-256 of each */
};

/** lg_vm_part_files() - names of the files of such a part, NULL-ended; in the order in which they are sent. */
const char *const *lg_vm_part_files(bool kernel);

/** lg_vm_part_bytes() - of all of them. */
uint64_t lg_vm_part_bytes(const struct lg_vm_part *part);

/**
 * lg_vm_part_describe() - what the other side is told of the part @role ("base", "kernel") of the making @id
 *
 * Reads all of it. Return: 0; -ENOENT: it is not here; negative errno.
 */
int lg_vm_part_describe(const char *var, const char *role, const char *id, struct lg_vm_part *ret, struct lg_err *err);

/** lg_vm_part_open() - file @i of a part that was described. Return: a descriptor; -ENOENT; -ESTALE: it is another one now. */
int lg_vm_part_open(const char *var, const struct lg_vm_part *part, unsigned int i, struct lg_err *err);

/** lg_vm_part_json(), lg_vm_part_read() - as text. Names, numbers and sizes are checked: -EBADMSG. */
json_t *lg_vm_part_json(const struct lg_vm_part *part);
int lg_vm_part_read(const json_t *obj, struct lg_vm_part *ret, struct lg_err *err);

/**
 * lg_vm_part_receive() - the content of @part's files, one behind the other, from @in into the cache
 * @ret_hold:	the caller's: as long as it is open it stays, whoever cleans
 *
 * It counts when all of it has arrived, has the digests and the making that were announced, and is on the disk. Return: 0, also
 * when it was there already; -EBADMSG: it is not what was announced; -EPIPE; -ENOSPC. After a failure nothing of it is left.
 */
int lg_vm_part_receive(const char *var, const struct lg_vm_part *part, int in, int *ret_hold, struct lg_err *err);

/** lg_vm_part_hold() - a part that is here stays as long as the descriptor is open. Return: it, the caller's; -ENOENT. */
int lg_vm_part_hold(const char *var, const char *role, const char *id, struct lg_err *err);

#endif
