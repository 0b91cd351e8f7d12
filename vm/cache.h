/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_VM_CACHE_H
#define LG_VM_CACHE_H

/* What the files of vm/boot.h share. */

#include <stdbool.h>
#include <stdint.h>

#include "lib/err.h"
#include "vm/boot.h"

#define LG_VM_DIGEST 65u	/* 64 digits and NUL */
#define LG_VM_VERSION_MAX 64u	/* of a kernel's version as text */

/**
 * lg_vm_cache_new() - a name for something that is being made in the folder @dir: ".DIGEST.PID.new"
 * It is locked by whoever opens and flocks it; lg_vm_cache_clean() takes what nobody has locked.
 */
void lg_vm_cache_new(const char *digest, char ret[LG_VM_DIGEST + 24]);

/** lg_vm_cache_lock() - flock @fd, so that it is not taken for a killed maker's. Return: 0, negative errno. */
int lg_vm_cache_lock(int fd);

/**
 * lg_vm_cache_place() - what was made as the file @name of @dir gets the name @final, and never takes the place of another one
 * Return: 0; -EEXIST, and @name is still there; negative errno.
 */
int lg_vm_cache_place(int dir, const char *name, const char *final);

/** lg_vm_cache_identity() - lg_erofs_identity() of an entry of the folder (path) VAR/vm/base, or VAR/vm/kernel (@kernel) */
int lg_vm_cache_identity(const char *folder, const char *name, bool kernel, char ret[33]);

/** lg_vm_kernel_describe() - the files in @folder, which are there; its template's name stays. -ENOENT: it has no version. */
int lg_vm_kernel_describe(const char *folder, struct lg_vm_kernel *ret, struct lg_err *err);

/** lg_vm_part_where() - the path of the base disk, or the kernel's folder, that is of the making @id. As lg_vm_base_find(). */
int lg_vm_part_where(const char *var, bool kernel, const char *id, char ret[LG_VM_PATH], struct lg_err *err);

/** lg_vm_erofs() - make @image, a read-only file system of what @folder holds. -ENOENT: no mkfs.erofs; -EIO; -ENOSPC. */
int lg_vm_erofs(const char *folder, const char *image, struct lg_err *err);

/** lg_vm_file_digest() - SHA-256 of the file @path in digits; kept as long as the file is the same. */
int lg_vm_file_digest(const char *path, char ret[LG_VM_DIGEST], struct lg_err *err);

/**
 * lg_vm_vmlinux() - unpack the kernel in the bzImage @in into @out
 *
 * QEMU starts an ELF file with a PVH note as it is; a bzImage the machine has to unpack itself. Return: 1; 0 where there is no
 * such thing in it, and @out is a copy; -ENOEXEC when @in is no kernel; negative errno.
 */
int lg_vm_vmlinux(int in, int out, struct lg_err *err);

/** lg_vm_has_pvh() - is @fd an ELF file that can be started by PVH? */
int lg_vm_has_pvh(int fd);

/**
 * lg_vm_initrd() - write an initrd into @out: /init, and the modules that it takes to find the root
 * @modules:	a folder as /lib/modules/VERSION
 * @sealed:	with their signatures, without which the kernel takes none
 * @agent:	path of the program that becomes /init
 *
 * Return: 0; -ENOENT when the kernel lacks something that it needs; negative errno.
 */
int lg_vm_initrd(int out, const char *modules, bool sealed, const char *agent, struct lg_err *err);

/** lg_vm_modules_order() - the names of files below @modules that the initrd needs, in the order of loading (for tests)
 * @ret:	malloc()ed, one a line, relative to @modules
 */
int lg_vm_modules_order(const char *modules, char **ret, struct lg_err *err);

#endif
