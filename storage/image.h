/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_STORAGE_IMAGE_H
#define LG_STORAGE_IMAGE_H

/*
 * An ext4 file system in a sparse file, mounted through a loop device. Runs in the shim, too (links
 * only lib/).
 */

#include <stdbool.h>
#include <stdint.h>

#include "lib/err.h"

struct lg_fs_usage {
	uint64_t bytes, bytes_used;	/* what files may take, and take */
	uint64_t inodes, inodes_used;
};

/**
 * lg_image_mount() - mount the image @path, attached nowhere
 *
 * The loop device and the mount go by themselves when the last user of the mount has gone, also
 * if the caller is killed anywhere. Only one such mount can be at a time: while another user's
 * stands or is being written back this waits, @patience_ms at the most.
 *
 * Return: descriptor of the mount's root (as of fsmount(2)); -EBUSY with LG_EXIT_LOCKED; -ENOENT;
 * other negative errnos.
 */
int lg_image_mount(const char *path, unsigned int patience_ms, struct lg_err *err);

/**
 * lg_image_open() - the image @path itself, for a machine of its own
 *
 * Nobody can mount it while a copy of the descriptor is open. Return: descriptor, for reading and writing; errors as of
 * lg_image_mount().
 */
int lg_image_open(const char *path, unsigned int patience_ms, struct lg_err *err);

/**
 * lg_image_again() - another mount of the image @path, which is mounted
 * @mount_fd:	a folder in it
 *
 * The kernel's own second view of one file system: as its ids are on the disk, whatever the first mount
 * makes of them. Return: as of lg_image_mount(); -EINVAL when @mount_fd is of another file system.
 */
int lg_image_again(int mount_fd, const char *path, struct lg_err *err);

/**
 * lg_image_grow() - make the mounted file system of the image file @image larger
 * @mount_fd:	a folder in it
 * @bytes:	new size of the image, in whole blocks of 4 KiB; a smaller one is refused with -EINVAL
 *
 * Return: 0; -EPERM where the host keeps CAP_SYS_RESOURCE from lodge; negative errno. The image is
 * then as it was.
 */
int lg_image_grow(int mount_fd, int image, uint64_t bytes, struct lg_err *err);

/** lg_image_can_grow() - may this process make a mounted file system larger? */
bool lg_image_can_grow(void);

/**
 * lg_image_read() - what the image @fd says of itself; exact while it is not mounted
 * Return: 0; -EUCLEAN when there is no ext4 in it; negative errno.
 */
int lg_image_read(int fd, struct lg_fs_usage *ret, struct lg_err *err);

/** lg_fs_usage() - the same of the file system that holds the open file @fd, as it is mounted. */
int lg_fs_usage(int fd, struct lg_fs_usage *ret, struct lg_err *err);

#endif
