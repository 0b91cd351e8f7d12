/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_CT_CONSOLE_H
#define LG_CT_CONSOLE_H

/*
 * The console of a container or a microVM: what it writes goes to the log and to every client; what clients type goes to it.
 * Nothing is kept in memory: a client that does not read misses output, and one that types
 * faster than the guest reads is not listened to until it does.
 */

#include <stddef.h>

/** lg_console_log() - what the console shows is appended to this file. */
void lg_console_log(const char *path);

/** lg_console_path() - of the log; NULL: none. */
const char *lg_console_path(void);

/** lg_console_open() - take the master of a terminal, or one end of a stream socket. */
void lg_console_open(int fd);

/** lg_console_watch() - @fn sees all that the console shows from now on. */
void lg_console_watch(void (*fn)(const char *text, size_t len));

/** lg_console_join() - one more client; the descriptor is the console's from now on. */
void lg_console_join(int fd);

/** lg_console_resize() - of a terminal; a socket has no size. */
void lg_console_resize(unsigned int rows, unsigned int cols);

/** lg_console_end() - what the guest wrote last still goes to the log and the clients. */
void lg_console_end(void);

#endif
