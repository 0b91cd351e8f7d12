/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_CT_DEVICES_H
#define LG_CT_DEVICES_H

/* Device nodes of a container's own: made in the shim, bound inside. */

#include <sys/types.h>

#include "lib/err.h"
#include "lib/msg.h"

struct lg_node {
	mode_t mode;	/* with its kind */
	dev_t dev;
	const char *name;	/* below /dev; borrowed from the field */
};

/** lg_node_parse() - one "device" field (ct/proto.h). -EINVAL names it. */
int lg_node_parse(const char *field, struct lg_node *ret, struct lg_err *err);

/**
 * lg_devices_prepare() - in the shim: make the nodes that @m lists, on a tmpfs of their own
 * @owner:	the container's root outside
 * @ret:	the mount, not attached anywhere, the caller's; -1 if @m lists none
 *
 * The host's own nodes belong to ids that do not exist inside, so that not even the container's root could
 * open those that are not for everybody. In the mount they are called "0", "1", ... in the order of @m.
 * Nobody has to clean up: the mount ends with its last user.
 */
int lg_devices_prepare(const struct lg_msg *m, uid_t owner, int *ret, struct lg_err *err);

/**
 * lg_devices_change() - in a child of the shim: make and take away nodes in a running container's /dev
 * @pidfd:	of its init; the child stays in its namespaces
 * @m:		LG_P_DEVICES
 *
 * /dev is the guest's by now: nothing is looked up across one of its mounts or through one of its
 * links, and what is not a mount there is not taken away.
 */
int lg_devices_change(int pidfd, uid_t owner, const struct lg_msg *m, struct lg_err *err);

#endif
