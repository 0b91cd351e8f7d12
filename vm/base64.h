/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_VM_BASE64_H
#define LG_VM_BASE64_H

/* Base64 (RFC 4648), in which the guest agent of QEMU has all that is no text. */

#include <stddef.h>

/** lg_base64_encode() - Return: malloc()ed text, not terminated, of *@ret_len characters; NULL: no memory. */
char *lg_base64_encode(const void *data, size_t len, size_t *ret_len);

/** lg_base64_decode() - @text in its place. Return: bytes; 0: it is none. */
size_t lg_base64_decode(char *text);

#endif
