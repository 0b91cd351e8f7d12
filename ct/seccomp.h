/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_CT_SECCOMP_H
#define LG_CT_SECCOMP_H

/*
 * The system call filter of containers: a table with a reason per row, compiled by libseccomp in the
 * daemon (milliseconds) and kept in a file; the shim only loads the bytes.
 */

#include "lib/err.h"

/**
 * lg_seccomp_open() - the compiled filter, from the cache or made anew
 * @cache_dir:	VAR/cache; the file's name carries a digest of the rows and libseccomp's version, so
 *		that an upgrade of either compiles again
 * @calls:	of enum lg_calls: what is let through, and whether what cannot be dumped is not. One
 *		filter per combination.
 *
 * Return: a read-only descriptor of the filter's bytes; negative errno.
 */
int lg_seccomp_open(const char *cache_dir, unsigned int calls, struct lg_err *err);

#endif
