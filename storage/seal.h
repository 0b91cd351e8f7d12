/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_STORAGE_SEAL_H
#define LG_STORAGE_SEAL_H

/*
 * A stream in a file of which nothing is believed before it was checked.
 *
 * How it works: a header, then chunks of at most 256 KiB, each with a tag of 16 bytes behind it. The tag covers the header,
 * the chunk's number, its length, whether it is the last, and its bytes: one that was changed, left out, moved or cut off is
 * refused before its reader sees a byte of it. Without a key the tag is the beginning of a SHA-256, which finds
 * damage and no forger. With one the bytes are encrypted and the tag is Poly1305's (ChaCha20-Poly1305); every file has a
 * key of its own, made of the administrator's and of the random bytes in the header by HKDF-SHA-256, so
 * that a chunk's number will do as its nonce.
 *
 *	header	"LGSEAL1\n", flags (4, little-endian; 1: encrypted), 4 zeros, 32 random bytes, 16 bytes that tell the key
 *	chunk	length (4, little-endian; the highest bit: the last one), bytes, tag (16)
 */

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/err.h"

#define LG_SEAL_CHUNK (256u * 1024u)

/* Of a key file; NULL everywhere below: none. */
struct lg_seal_key {
	size_t len;
	uint8_t bytes[4096];
};

struct lg_seal;

/**
 * lg_seal_key_load() - read a key file
 *
 * Return: 0; -EPERM when others than root can read or write it; -EINVAL when it has less than 32 bytes or more
 * than 4096; negative errno.
 */
int lg_seal_key_load(const char *path, struct lg_seal_key *ret, struct lg_err *err);

/** lg_seal_create() - begin to write to @fd, which is borrowed */
int lg_seal_create(int fd, const struct lg_seal_key *key, struct lg_seal **ret, struct lg_err *err);

/** lg_seal_write() - add @len bytes */
int lg_seal_write(struct lg_seal *s, const void *data, size_t len, struct lg_err *err);

/** lg_seal_finish() - the last chunk; without it the file counts as cut off. Nothing may be written afterwards. */
int lg_seal_finish(struct lg_seal *s, struct lg_err *err);

/**
 * lg_seal_open() - begin to read from @fd, which is borrowed
 *
 * Return: 0; -EBADMSG when it is no such file; -ENOKEY when it is encrypted and there is no key; -EKEYREJECTED when it
 * is another key's, or there is a key and it is not encrypted.
 */
int lg_seal_open(int fd, const struct lg_seal_key *key, struct lg_seal **ret, struct lg_err *err);

/**
 * lg_seal_read() - the next bytes, checked
 * @ret:	where they are, until the next call
 *
 * Return: how many; 0 behind the last; -EBADMSG when they are not what was written, or the rest is missing.
 */
ssize_t lg_seal_read(struct lg_seal *s, const void **ret, struct lg_err *err);

/** lg_seal_free() - of either kind; NULL will do. */
void lg_seal_free(struct lg_seal *s);

#endif
