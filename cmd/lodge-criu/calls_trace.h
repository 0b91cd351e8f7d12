/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_CMD_CRIU_CALLS_TRACE_H
#define LG_CMD_CRIU_CALLS_TRACE_H

/* calls_tracees.c: what the processes that are traced were like before. All of it but the questions is for the tracer alone. */

/** tracees_init() - an empty list. Return: 0, -ENOMEM. */
int tracees_init(void);

/** tracees_parent_of() - as /proc says; 0: it has ended */
int tracees_parent_of(int pid);

/** tracees_has() - is @pid traced? */
int tracees_has(int pid);

/** tracees_before() - that call of ptrace() is about to be made: what it changes is taken down */
void tracees_before(long request, int pid, long addr, long data);

/** tracees_after() - it was made */
void tracees_after(long request, int pid, long addr, long data);

/** tracees_waited() - wait4() has told that of @pid */
void tracees_waited(int pid, int status);

/** tracees_undo() - stop all and make them what they were. Return: how many live; they are stopped. */
int tracees_undo(void);

/** tracees_let_go() - before our end, which lets them go on: what they were sent, they get; who had been stopped stays so */
void tracees_let_go(void);

#endif
