/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ct/ahead.h"

#define MIB (UINT64_C(1) << 20)

#define ROUNDS 4u
#define LITTLE (8 * MIB)	/* that the last copy may have */
#define LITTLE_MIN MIB		/* however short the time is: what CRIU writes beside takes longer */

/*
 * A round that is not a quarter smaller than the one before was the last, so that all of them together have less than
 * four times the first one's bytes.
 */
#define ROOM_TIMES 4u

/* Half of the time that it may stand still is for its memory. */
static uint64_t little_of(const struct lg_ahead *a)
{
	uint64_t bytes;

	if (!a->budget_us || !a->us)
		return LITTLE;
	bytes = (uint64_t)((double)a->bytes * (double)a->budget_us / 2 / (double)a->us);
	return bytes > LITTLE_MIN ? bytes : LITTLE_MIN;
}

static bool is_worth_it(const struct lg_ahead *a)
{
	if (a->wanted >= 0)
		return a->wanted > 0;
	return a->tracked && a->memory_bytes >= LG_AHEAD_MEMORY_MIN && a->memory_bytes <= a->room_bytes / ROOM_TIMES;
}

bool lg_ahead_more(const struct lg_ahead *a)
{
	unsigned int most = a->wanted >= 0 ? (unsigned int)a->wanted : ROUNDS;

	if (a->rounds == 0)
		return is_worth_it(a);
	if (a->rounds >= most || a->bytes <= little_of(a))
		return false;
	return a->rounds == 1 || a->bytes < a->bytes_before / 4 * 3;
}

void lg_ahead_took(struct lg_ahead *a, uint64_t bytes, uint64_t us)
{
	a->rounds++;
	a->bytes_before = a->bytes;
	a->bytes = bytes;
	a->us = us;
}
