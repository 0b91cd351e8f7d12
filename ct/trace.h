/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_CT_TRACE_H
#define LG_CT_TRACE_H

/*
 * Where a start's time goes: with LG_SHIM_TRACE in its environment, the shim and what it starts
 * write "MICROSECONDS PID STEP" lines on its standard error. Off, a step costs one comparison.
 */

/** lg_trace_open() - lines go to a copy of descriptor 2 from now on. */
void lg_trace_open(void);

/** lg_trace() - step @what is done. */
void lg_trace(const char *what);

/** lg_trace_fd() - where the lines go (-1: nowhere), for those who move descriptors about. */
int *lg_trace_fd(void);

#endif
