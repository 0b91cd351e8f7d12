/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_STORAGE_TRANSFER_H
#define LG_STORAGE_TRANSFER_H

/*
 * A container's own files, or a template, as a stream from one host to another. Sending and
 * receiving block, on any descriptor that can be written or read (a pipe, a socket, a file).
 *
 * A layer is sent in passes: the first brings everything, each later one what changed since the
 * one before, and the last is sent while the container is frozen. One before that may be sent while it
 * is frozen, too, and somebody else still gives and takes away names. Both ends must have finished a
 * pass with success before the next begins; after a failure the target's layer is worth nothing
 * and is thrown away.
 *
 * What the caller gives as a layer: the folder that holds upper (and plain), as lg_layer_open()
 * gives it; of a layer in an image that is the root of the mounted image. Seen with the host's
 * ids (no idmapped mount: owners travel as they are on the disk, 0-based), on a file system that
 * writes back to a disk. Only one transfer at a time works on it.
 *
 * Callers ignore SIGPIPE: the other end may go away.
 */

#include <stdbool.h>
#include <stdint.h>

#include "lib/err.h"
#include "storage/template.h"

#define LG_TRANSFER_DEPTH 32768u	/* folders within folders: more are refused */

/* What the other end holds after a pass, by the sender's book. */
struct lg_transfer_index;

struct lg_transfer_count {
	uint64_t bytes;		/* of content */
	uint64_t files;		/* of all kinds, folders included */
};

/* Called every 256 KiB or more seldom, and at the end. */
typedef void lg_transfer_progress(const struct lg_transfer_count *done,
				  const struct lg_transfer_count *total, void *arg);

struct lg_transfer_send {
	bool frozen;		/* nothing writes to the layer: what changes meanwhile is an error */
	bool still;		/* nothing writes to files; names come and go, which are left to the next pass */
	lg_transfer_progress *progress;	/* may be NULL */
	void *arg;
};

struct lg_transfer_sent {
	struct lg_transfer_count sent;
	uint64_t removed;	/* names that the other end was told to remove */
	uint64_t flagged;	/* immutable or append-only files sent: they arrive without the flag */
};

/**
 * lg_transfer_send() - send the layer @layer_fd, or what changed in it since @before
 * @before:	what the pass before gave; NULL for the first
 * @how:	may be NULL: not frozen, no progress
 * @ret:	may be NULL
 * @ret_index:	for the next pass, the caller's to free; NULL when there will be none
 *
 * A pass of a layer that is in use begins with syncfs(2) and may take long. What vanishes or
 * changes its kind meanwhile is left to the next pass. Behind one that was @how->still the layer may be used again only after
 * lg_transfer_index_used().
 *
 * Return: 0; -ESTALE when the layer changed although @how says frozen, or its deepest folders were
 * moved while it was read; -EPIPE when the other end went away; other negative errnos.
 */
int lg_transfer_send(int layer_fd, const struct lg_transfer_index *before, int out_fd,
		     const struct lg_transfer_send *how, struct lg_transfer_sent *ret,
		     struct lg_transfer_index **ret_index, struct lg_err *err);

/**
 * lg_transfer_index_used() - files have been written to again since the pass that said otherwise
 *
 * The next pass sends once more what that one sent.
 */
void lg_transfer_index_used(struct lg_transfer_index *index);

/** lg_transfer_index_free() - NULL is fine. */
void lg_transfer_index_free(struct lg_transfer_index *index);

/* What a receiver remembers between two passes. All zero: none has come. */
struct lg_transfer_mark {
	uint8_t digest[32];
};

struct lg_transfer_receive {
	uint64_t max_bytes, max_files;	/* more is an error; 0: what the file system holds */
	lg_transfer_progress *progress;	/* may be NULL */
	void *arg;
};

/**
 * lg_transfer_receive() - read one pass from @in_fd, to its end and not a byte further
 * @layer_fd:	an empty layer's folder for the first pass (what is in upper and plain is
 *		removed), the same one for the others; of a container that does not run
 * @how:	may be NULL
 * @mark:	of the pass before; of this one after success
 *
 * The stream is a stranger's: it makes, changes and removes nothing outside of upper and plain.
 * Nothing is flushed to the disk; the caller does that before it relies on it.
 *
 * Return: 0; -EBADMSG for what is no such stream, is cut short or was changed on the way; -ENOSPC
 * with the path that had no room; -EFBIG for more than @how allows; other negative errnos.
 */
int lg_transfer_receive(int in_fd, int layer_fd, const struct lg_transfer_receive *how,
			struct lg_transfer_mark *mark, struct lg_err *err);

/**
 * lg_transfer_send_template() - send the template @name as it is in the store
 * Return: as lg_transfer_send() and lg_template_load().
 */
int lg_transfer_send_template(const char *var, const char *name, int out_fd,
			      const struct lg_transfer_send *how, struct lg_err *err);

/**
 * lg_transfer_receive_template() - receive it, compare it with its digest, put it into the store
 * @name:	what it is called there and here
 * @digest:	what it must be ("sha256:...")
 *
 * It gets its name when it is whole and on the disk. Return: 0; -EBADMSG when it is another one
 * than @digest says; -EEXIST when there is one of that name already; -EBUSY (LG_EXIT_LOCKED) while
 * one is being built or received; otherwise as lg_transfer_receive(). The store is then as it was.
 */
int lg_transfer_receive_template(const char *var, const char *name, const char *digest, int in_fd,
				 const struct lg_transfer_receive *how, struct lg_err *err);

#endif
