/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_CT_PROCESS_H
#define LG_CT_PROCESS_H

/* What every shim is as a process: its name, its signals, its connection to lodged. */

#include <stdbool.h>

#include "ct/loop.h"

/** lg_process_title() - remember where the name stands that ps shows. */
void lg_process_title(int argc, char **argv);

/** lg_process_name() - from now on ps shows "PROGRAM CTID", and the thread's name is "WORD CTID". */
void lg_process_name(const char *program, const char *word, unsigned int ctid);

/** lg_process_children() - block all signals, and have @source called when a child ended. 0, negative errno. */
int lg_process_children(struct lg_source *source);

/** lg_process_heard() - the source was called: forget what it was called for, before the children are reaped. */
void lg_process_heard(const struct lg_source *source);

/** lg_process_connected() - is @fd a connection such as lodged gives? */
bool lg_process_connected(int fd);

#endif
