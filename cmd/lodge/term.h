/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_CMD_LODGE_TERM_H
#define LG_CMD_LODGE_TERM_H

/* The user's terminal: raw while a session has it, and always put back. */

#include <stdbool.h>

/** term_raw() - make the terminal on stdin raw. Return: 0, negative errno. */
int term_raw(void);

/** term_restore() - as it was before term_raw(); does nothing without one before. */
void term_restore(void);

/** term_size() - of the terminal on stdin, or 24 x 80. */
void term_size(unsigned short *rows, unsigned short *cols);

/**
 * term_signals() - block the signals that @relay asks for and get a descriptor to read them from
 * @terminal:	the set for a session on a terminal (WINCH, CONT, and what ends a program)
 *
 * Return: a signalfd, negative errno. Signals that the caller was started with ignored stay so.
 */
int term_signals(bool terminal);

/** term_signals_end() - close @fd; signals are as they were before. Return: -1. */
int term_signals_end(int fd);

/** term_suspend() - do what SIGTSTP asks for: give the terminal back, stop, take it again. */
void term_suspend(void);

#endif
