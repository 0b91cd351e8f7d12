/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_CMD_SHIM_PRUNE_H
#define LG_CMD_SHIM_PRUNE_H

/*
 * The shim has a mount namespace of its own, so that roots of containers are not seen on the host. What it
 * inherited of the host's mounts would be held busy by it and copied at every start.
 */

/** prune_kernel() - what is mounted below /proc, /sys and /dev. */
void prune_kernel(void);

/** prune_all() - all that the rest of the shim's life has no need of; once. Takes 0.1 ms for each. */
void prune_all(void);

#endif
