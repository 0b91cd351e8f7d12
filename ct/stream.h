/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_CT_STREAM_H
#define LG_CT_STREAM_H

#include "lib/err.h"

/**
 * lg_stream_check() - may @fd be a stream of a session? Pipes, sockets, files and devices that are no terminal
 *
 * The host's folders and its terminals would let what runs inside out. -EBADF, -EINVAL.
 */
int lg_stream_check(int fd, struct lg_err *err);

#endif
