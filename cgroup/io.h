/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_CGROUP_IO_H
#define LG_CGROUP_IO_H

/* Which disks a file is really on: what limits of input and output are set for. */

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "lib/err.h"

#define LG_IO_DEVS_MAX 16u

struct lg_io_dev {
	unsigned int major, minor;	/* a whole disk, as its requests pass it */
	char name[32];			/* "sda" */
};

struct lg_io_devs {
	struct lg_io_dev dev[LG_IO_DEVS_MAX];
	unsigned int n;
	bool writeback;		/* what is written later is charged to who wrote it (cgroup2) */
	char fs[16];		/* "ext4" */
};

/**
 * lg_io_find() - add the disks that hold @path
 *
 * From the file system's device (for btrfs all of them) through a partition to the disk it is on.
 * A device that is made of others (device mapper, md, loop) counts itself: all that goes to it
 * passes its queue once. Return: 0; -EOPNOTSUPP with the reason where the files are on no block
 * device (tmpfs, NFS, ZFS, overlay, ...); negative errno.
 */
int lg_io_find(const char *path, struct lg_io_devs *devs, struct lg_err *err);

/** lg_io_describe() - "8:0 (sda), 8:16 (sdb)" */
void lg_io_describe(const struct lg_io_devs *devs, char *buf, size_t size);

/** lg_io_is() - is @dev one of them? */
bool lg_io_is(const struct lg_io_devs *devs, unsigned int major, unsigned int minor);

/* ---- for tests: the same on folders that play /sys ---- */

/**
 * lg_io_add_whole() - add the whole disk of a device
 * @sys:	descriptor of /sys/dev/block
 */
int lg_io_add_whole(int sys, unsigned int major, unsigned int minor, struct lg_io_devs *devs,
		    struct lg_err *err);

/**
 * lg_io_mount_of() - type and source of a mount in the text of a mountinfo file
 * @id:		its number, the first field
 *
 * Return: 0; -ENOENT.
 */
int lg_io_mount_of(const char *text, unsigned long long id, char type[32], char source[256]);

/**
 * lg_io_leaves() - the disks at the bottom of @dev: what it is made of, down to the last
 * @sys:	as above
 * @ret:	at most @max names; fewer for a device that is made of nothing: itself
 *
 * Return: how many.
 */
unsigned int lg_io_leaves(int sys, const struct lg_io_dev *dev, struct lg_io_dev *ret,
			  unsigned int max);

#endif
