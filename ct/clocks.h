/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_CT_CLOCKS_H
#define LG_CT_CLOCKS_H

/*
 * The clocks of a container that count from a start: CLOCK_MONOTONIC and CLOCK_BOOTTIME, and what the kernel makes of them
 * (/proc/uptime, sysinfo(2), start times of processes, btime of /proc/stat).
 *
 * How it works: a time namespace is entered by children only, and its offsets can be written until the first
 * one is in it. So the caller makes one, sets both clocks to 0, clones init with CLONE_NEWTIME, and goes back to its own.
 * Init's takes over the offsets and belongs to its user namespace, from which CRIU looks at it. Both clocks, because they are
 * compared with each other inside (systemd does), and a machine that has just booted has both at 0. CRIU carries
 * them on: a container that is resumed, on whatever host, does not see them jump.
 */

#include <stdbool.h>
#include <sys/types.h>

/**
 * lg_clocks_begin() - children that are made from here on have clocks of their own, at 0
 *
 * The caller has one thread. Where the kernel has no time namespaces, or we could not set one's clocks or come back (inside of a
 * container), nothing changes.
 *
 * Return: a descriptor for lg_clocks_end(); -1: children share our clocks.
 */
int lg_clocks_begin(void);

/** lg_clocks_end() - children share our clocks again. @home: from lg_clocks_begin(); it is closed. */
void lg_clocks_end(int home);

/** lg_clocks_differ() - has @pid other clocks than we? */
bool lg_clocks_differ(pid_t pid);

#endif
