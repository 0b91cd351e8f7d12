/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_STORAGE_TRANSFER_OBJECT_H
#define LG_STORAGE_TRANSFER_OBJECT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "storage/transfer.h"
#include "storage/transfer_index.h"
#include "storage/transfer_stream.h"
#include "storage/transfer_xattr.h"

struct lg_sender {
	struct lg_pass pass;
	const struct lg_transfer_send *how;
	struct lg_out *out;
	int out_fd;
	struct lg_transfer_count total;
	struct lg_transfer_sent sent;
	uint64_t told;		/* bytes and files when progress was last told */
	bool *groups;		/* by number: its file was sent, and can be linked to */
	char *list, *value;	/* LG_XATTR_MAX bytes each */
};

/** lg_sender_fail() - record that @verb failed for @name (NULL: the folder). */
int lg_sender_fail(const struct lg_sender *s, int code, const char *verb, const char *name);

/** lg_sender_lost() - 0 as long as the stream can be written. */
int lg_sender_lost(const struct lg_sender *s);

/** lg_sender_gone() - @name is not what the scan saw: 0, or a failure where nothing may change. */
int lg_sender_gone(const struct lg_sender *s, const char *name);

/** lg_is_gone() - does the negative errno @r say that something else, or nothing, is there now? */
bool lg_is_gone(int r);

/** lg_sender_tell() - report progress, if there is enough of it or this is the @end. */
void lg_sender_tell(struct lg_sender *s, bool end);

/** lg_object_meta() - what ends every object: owner, attributes, times. Negative errno, no record. */
int lg_object_meta(struct lg_sender *s, const struct lg_xattr_of *of, const struct stat *st);

/**
 * lg_object_send() - the node @i of the book, no folder, of the folder in which the cursor stands
 * Return: 1: it was sent as the book says now; 0: it was not; negative errno.
 */
int lg_object_send(struct lg_sender *s, uint32_t i);

#endif
