/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_TESTS_FUZZ_H
#define LG_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/** LLVMFuzzerTestOneInput() - the one function of a target; libFuzzer's name for it. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/** promise() - abort with what was promised and does not hold; the fuzzer keeps the input. */
static inline void promise(int holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "promise broken: %s\n", what);
	abort();
}

/** text_of() - the input as a NUL-terminated string, malloc()ed. */
static inline char *text_of(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);

	promise(text != NULL, "memory for the input");
	if (size > 0)
		memcpy(text, data, size);
	text[size] = '\0';
	return text;
}

#endif
