/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_STORAGE_OVERLAY_H
#define LG_STORAGE_OVERLAY_H

/*
 * An instance's root: a template below, the instance's own layer above, both idmapped so that
 * files are 0-based on disk and one template serves every id range. Runs in the shim (links
 * only lib/).
 */

#include <stdbool.h>
#include <stdint.h>

#include "lib/err.h"

struct lg_overlay {
	const char *lower;	/* absolute path of the template's root */
	const char *upper;	/* instance's layer; exists */
	const char *work;	/* overlay's own, in the same folder as upper; exists */
	const char *target;	/* existing directory to mount on */
	const char *scratch;	/* existing directory; the layers are mounted there meanwhile */
	int layer_fd;		/* a detached mount whose root holds upper and work by their last
				 * names, borrowed; its ids are mapped. -1: they are found by path */
	uint32_t id_base;	/* outside id of the container's root */
	int userns_fd;		/* the container's user namespace, borrowed; -1: no id mapping
				 * (an administrator's `mount`: owners show as on the disk) */
	bool shifted;		/* the layers are owned by the ids from id_base on: mapped by nobody,
				 * as in storage/shift.h; userns_fd is not used */
	bool keep_scratch;	/* leave what is mounted on scratch: detaching it waits for the
				 * kernel, and the caller does it when there is time */
};

/**
 * lg_overlay_mount() - mount it in the caller's mount namespace, nodev, set-uid programs work
 *
 * The caller's mount namespace is its own (nothing it mounts propagates) and it has one thread:
 * the current directory and file ids change for a moment and are put back. Verifies that the
 * result is writable: overlay falls back to read-only silently.
 *
 * Return: 0; -EROFS for such a result; -EINVAL where the layers' file system cannot map ids;
 * other negative errnos. Nothing stays mounted on failure, nothing but the target (and scratch,
 * where it was asked for) on success.
 */
int lg_overlay_mount(const struct lg_overlay *ov, struct lg_err *err);

/**
 * lg_overlay_map() - a detached mount of the folder @path with the ids of a user namespace
 * @attrs:	MOUNT_ATTR_*
 * @userns_fd:	-1: no id mapping
 *
 * Return: a descriptor; -EINVAL with a line where its file system cannot map ids.
 */
int lg_overlay_map(const char *path, uint64_t attrs, int userns_fd, struct lg_err *err);

#endif
