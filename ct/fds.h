/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_CT_FDS_H
#define LG_CT_FDS_H

#include <stddef.h>

/**
 * lg_fds_keep() - close every descriptor from 3 on but these
 * @keep:	pointers to the numbers, which change (to 3, 4, ...); -1 stays -1. All become
 *		close-on-exec.
 *
 * Return: 0, negative errno.
 */
int lg_fds_keep(int *const *keep, size_t n);

#endif
