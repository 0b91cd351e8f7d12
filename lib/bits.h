/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_LIB_BITS_H
#define LG_LIB_BITS_H

/* Sets of CPUs and of NUMA nodes, as the kernel and people write them: "0-2,7". */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LG_BITS_MAX 8192u		/* as many CPUs as Linux can have */
#define LG_BITS_TEXT 4096u

struct lg_bits {
	uint64_t word[LG_BITS_MAX / 64];
};

/**
 * lg_bits_parse() - "0-2,7"; a newline may end it, an empty text is the empty set
 * @ret:	untouched on failure
 *
 * Return: 0; -EINVAL; -ERANGE for a number past LG_BITS_MAX.
 */
int lg_bits_parse(const char *text, struct lg_bits *ret);

/** lg_bits_format() - the shortest such text. Return: 0; -ENOSPC. */
int lg_bits_format(const struct lg_bits *bits, char *buf, size_t size);

/** lg_bits_has() / _set() - member @i, below LG_BITS_MAX. */
bool lg_bits_has(const struct lg_bits *bits, unsigned int i);
void lg_bits_set(struct lg_bits *bits, unsigned int i);

/** lg_bits_count() - how many members. */
unsigned int lg_bits_count(const struct lg_bits *bits);

/** lg_bits_without() - take the members of @other out of @bits. */
void lg_bits_without(struct lg_bits *bits, const struct lg_bits *other);

/** lg_bits_equal() - the same members? */
bool lg_bits_equal(const struct lg_bits *a, const struct lg_bits *b);

#endif
