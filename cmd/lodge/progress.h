/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_CMD_LODGE_PROGRESS_H
#define LG_CMD_LODGE_PROGRESS_H

/*
 * What is shown while lodged works. On a terminal: nothing for a second, then one line with a
 * turning mark, the seconds and what was said last; it is gone when the work is done. Elsewhere
 * a line for everything that is said. All of it goes to stderr.
 *
 * The mark is turned by SIGALRM, so that the wait itself can stay a plain blocking read.
 */

#include <stdbool.h>

/**
 * progress_begin() - from now on, until progress_end()
 * @who:	the program, for the message after an interrupt
 * @what:	"stopping 101"
 * @goes_on:	what to say when the user interrupts; the command then ends with 130
 */
void progress_begin(const char *who, const char *what, const char *goes_on, bool quiet);
void progress_say(const char *text);
void progress_end(void);

#endif
