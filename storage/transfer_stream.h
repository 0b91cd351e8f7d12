/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_STORAGE_TRANSFER_STREAM_H
#define LG_STORAGE_TRANSFER_STREAM_H

/*
 * The stream of storage/transfer.h as bytes. Numbers are little endian; u8 to u64 are unsigned,
 * NAME is u8 length (1 to 255) and that many bytes, TIME is u64 seconds (two's complement) and
 * u32 nanoseconds.
 *
 *	stream	FRAME... u32 0, the SHA-256 of what all frames hold
 *	FRAME	u32 length (1 to LG_FRAME_MAX), that many bytes. Records may cross frames.
 *	content	"LGTRANS1", u8 kind (enum lg_transfer_kind), the SHA-256 of the pass before (zeros:
 *		this is the first), u64 bytes and u64 files that follow, RECORD..., OP_END
 *	RECORD	u8 operation and what enum lg_transfer_op says
 *
 * A path is never sent. Names are looked up in the folder in which both ends stand, so that none can
 * lead out of the tree; at its top stand the few names that the kind allows. First come the removals:
 *
 *	(DOWN NAME ... UP | REMOVE NAME)...
 *
 * then what is new or changed, a folder around what is in it:
 *
 *	ENTER NAME ... OWNER XATTR... CLOSE
 *	FILE NAME DATA... OWNER XATTR... CLOSE
 *	NODE or SYMLINK NAME OWNER XATTR... CLOSE
 *	LINK NAME
 *
 * An object replaces what has its name, except that a folder which is there is kept with what is in
 * it. A `group` other than 0 says that LINKs will name the object by it; a file with several names is
 * always sent anew under all of them, so that a pass refers to none before it.
 *
 * pax was the other choice. It has no sockets and no removals, addresses by path, and libarchive
 * parses much more than it when it is let loose on a stranger's bytes.
 */

#include <nettle/sha2.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "lib/err.h"

#define LG_TRANSFER_MAGIC "LGTRANS1"
#define LG_FRAME_MAX (256u * 1024u)
#define LG_DATA_MAX (64u * 1024u)	/* bytes of one DATA */
#define LG_XATTR_MAX (64u * 1024u)	/* bytes of one value: the kernel's own limit */
#define LG_TARGET_MAX 4095u		/* bytes of a symbolic link */

enum lg_transfer_kind { LG_TRANSFER_LAYER = 1, LG_TRANSFER_TEMPLATE };

enum lg_transfer_op {
	LG_OP_DOWN = 1,	/* NAME of a folder */
	LG_OP_UP,
	LG_OP_REMOVE,	/* NAME, and what is in it; it may be missing */
	LG_OP_ENTER,	/* NAME of a folder */
	LG_OP_FILE,	/* NAME u32 group, u64 size */
	LG_OP_NODE,	/* NAME u32 group, u32 mode (its type), u32 major, u32 minor */
	LG_OP_SYMLINK,	/* NAME u32 group, u32 length, bytes */
	LG_OP_LINK,	/* NAME u32 group */
	LG_OP_DATA,	/* u64 offset, behind the last; u32 length (1 to LG_DATA_MAX), bytes */
	LG_OP_OWNER,	/* u32 mode, u32 uid, u32 gid */
	LG_OP_XATTR,	/* NAME u32 length, bytes */
	LG_OP_CLOSE,	/* TIME of access, TIME of modification */
	LG_OP_END,
};

struct lg_out {
	int fd;			/* borrowed */
	struct sha256_ctx sum;
	size_t len;		/* bytes waiting in the frame */
	int failed;		/* first error of writing; later calls do nothing */
	uint8_t buf[4 + LG_FRAME_MAX];
};

/** lg_out_start() - the head of a stream to @fd; allocates nothing. */
void lg_out_start(struct lg_out *out, int fd);

/** lg_out_bytes(), lg_out_u8() ... - append; an error waits in out->failed. */
void lg_out_bytes(struct lg_out *out, const void *data, size_t len);
void lg_out_u8(struct lg_out *out, uint8_t v);
void lg_out_u32(struct lg_out *out, uint32_t v);
void lg_out_u64(struct lg_out *out, uint64_t v);
void lg_out_time(struct lg_out *out, int64_t sec, uint32_t nsec);

/** lg_out_op() - an operation with a name. */
void lg_out_op(struct lg_out *out, enum lg_transfer_op op, const char *name);

/** lg_out_room() - where the next @len bytes of the frame are, for lg_out_took(); NULL: failed. */
uint8_t *lg_out_room(struct lg_out *out, size_t len);

/** lg_out_took() - @len bytes were written there. */
void lg_out_took(struct lg_out *out, size_t len);

/** lg_out_finish() - end the stream. @digest: of all of it. Return: 0, negative errno. */
int lg_out_finish(struct lg_out *out, uint8_t digest[SHA256_DIGEST_SIZE]);

struct lg_in {
	int fd;			/* borrowed */
	struct sha256_ctx sum;
	size_t at, len;		/* of the frame in buf: read up to, and its length */
	struct lg_err *err;	/* where the first failure is recorded; may be NULL */
	int failed;
	uint8_t buf[LG_FRAME_MAX];
};

/** lg_in_start() - read from @fd; allocates nothing. */
void lg_in_start(struct lg_in *in, int fd, struct lg_err *err);

/** lg_in_bytes(), lg_in_u8() ... - the next ones; zeros after a failure, which is in in->failed. */
void lg_in_bytes(struct lg_in *in, void *data, size_t len);
uint8_t lg_in_u8(struct lg_in *in);
uint32_t lg_in_u32(struct lg_in *in);
uint64_t lg_in_u64(struct lg_in *in);
void lg_in_time(struct lg_in *in, struct timespec *ret);

/** lg_in_name() - a NAME without zero bytes. */
void lg_in_name(struct lg_in *in, char name[256]);

/** lg_in_some() - up to @max bytes where they are; *@ret_len of them, at least one. NULL: failed. */
const uint8_t *lg_in_some(struct lg_in *in, size_t max, size_t *ret_len);

/** lg_in_broken() - the stream is none: record why, once. Return: the failure. */
int lg_in_broken(struct lg_in *in, const char *why);

/** lg_in_finish() - it must end here, with its digest. Return: 0, negative errno. */
int lg_in_finish(struct lg_in *in, uint8_t digest[SHA256_DIGEST_SIZE]);

#endif
