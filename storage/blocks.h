/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_STORAGE_BLOCKS_H
#define LG_STORAGE_BLOCKS_H

/*
 * The disk of a microVM as a stream from one host to another, in passes: the first brings every block that is not empty, each later
 * one those that are not as the book says. The last is sent while nothing writes to it. Sending and receiving block, on any
 * descriptor that can be written or read.
 *
 * The book has a digest of every block, so that a pass reads the whole file and sends little; a file that nobody has written to since
 * the last pass is not read again. Who knows where it was written to has only that read. The stream is a head (what it is, size
 * of the file, whether it is the first), records (number of the block, bytes, of which none means that it is empty) and a digest of
 * all that.
 */

#include <stdbool.h>
#include <stdint.h>

#include "lib/err.h"

#define LG_BLOCK 65536u

struct lg_blocks;

/**
 * lg_blocks_send() - send a pass of @file
 * @book:	points to NULL before the first pass; what it points to then is for the next ones, lg_blocks_free()
 * @ret_bytes:	of content that were sent
 *
 * Return: 0; -EPIPE when the other end went away; other negative errnos. The book is then worth nothing.
 */
int lg_blocks_send(int file, struct lg_blocks **book, int out, uint64_t *ret_bytes, struct lg_err *err);

/**
 * lg_blocks_send_written() - the same, but what is not written is not looked at
 * @written:	a file as long as @file, with something (zeros are something) wherever @file was written to since before the first
 *		pass. Where its file system does not tell, all of @file is looked at
 */
int lg_blocks_send_written(int file, int written, struct lg_blocks **book, int out, uint64_t *ret_bytes, struct lg_err *err);

/** lg_blocks_free() - NULL is fine. */
void lg_blocks_free(struct lg_blocks *book);

/**
 * lg_blocks_receive() - read one pass from @in, to its end and not a byte further, into @file, and bring it to the disk
 * @max_bytes:	a larger file is refused
 *
 * Return: 0; -EBADMSG for what is no such stream, is cut short or was changed on the way; -EFBIG; other negative errnos. Then the
 * file is worth nothing.
 */
int lg_blocks_receive(int in, int file, uint64_t max_bytes, struct lg_err *err);

#endif
