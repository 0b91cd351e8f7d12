/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_STORAGE_DUMP_H
#define LG_STORAGE_DUMP_H

/*
 * A folder of images as one file that can be copied: a tar of plain files in a sealed stream (storage/seal.h). For
 * lodge-worker, as it takes as long as the disk takes.
 */

#include "lib/err.h"

/**
 * lg_dump_pack() - write the files of @folder into @path, mode 0600
 * @first:	name of the one that comes first
 * @key_path:	encrypt with that key file; NULL: do not
 *
 * Written beside it as PATH.part and renamed when it is complete and on the disk: what was there before is replaced, or
 * stays. Return: 0; -EEXIST when something other than a plain file is there.
 */
int lg_dump_pack(const char *folder, const char *first, const char *path, const char *key_path,
		 struct lg_err *err);

/**
 * lg_dump_unpack() - the other way, into @folder, which is empty and for root alone
 *
 * Only plain names and plain files come out of it, and not more bytes than the file has. Return: 0; -EPERM when @path
 * is not a file that only root can have written; -EBADMSG and those of lg_seal_open(): it is not complete,
 * damaged, or locked. The folder then has to go.
 */
int lg_dump_unpack(const char *path, const char *key_path, const char *folder, struct lg_err *err);

#endif
