/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_CT_AHEAD_H
#define LG_CT_AHEAD_H

/*
 * How often memory is copied ahead of a live move. The first round copies all of it while the container runs, each one after
 * it what was written meanwhile, and the rest follows while it stands still.
 */

#include <stdbool.h>
#include <stdint.h>

#define LG_AHEAD_FOLDER "ahead-%u"	/* in the folder of the images: those of round 1, 2, ... */
#define LG_AHEAD_PARENT "parent"	/* CRIU's name for the link to the round before */
#define LG_AHEAD_ROUNDS_MAX 16u		/* that can be asked for */
#define LG_AHEAD_MEMORY_MIN (UINT64_C(16) << 20)	/* below this a round costs more time than it spares */
#define LG_AHEAD_NAME 20u		/* bytes for the name of a folder */

struct lg_ahead {
	/* what is known before */
	bool tracked;			/* the kernel says what was written (ct/tracking.h) */
	int64_t wanted;			/* rounds at most, by whoever moves it; -1: as it makes sense */
	uint64_t memory_bytes;		/* of its processes, about */
	uint64_t room_bytes;		/* on either host's disk, beyond what the move needs without */
	uint64_t budget_us;		/* how long it may stand still; 0: no matter */
	/* what was seen */
	unsigned int rounds;
	uint64_t bytes, bytes_before;	/* of the last round and the one before that */
	uint64_t us;			/* that the last round's took to send */
};

/** lg_ahead_more() - is another round worth it, or the first one? */
bool lg_ahead_more(const struct lg_ahead *a);

/** lg_ahead_took() - a round was made: @bytes that were sent in @us */
void lg_ahead_took(struct lg_ahead *a, uint64_t bytes, uint64_t us);

#endif
