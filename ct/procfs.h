/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_CT_PROCFS_H
#define LG_CT_PROCFS_H

/*
 * Files of /proc and /sys that tell a container its limits as sizes: lxcfs makes them, and they lie over
 * the kernel's.
 *
 * How it works: lxcfs is one FUSE file system for all containers of a daemon, mounted on the host;
 * who reads decides what it answers. lodged holds its files open (O_PATH) and lends each shim a
 * copy of every mount; init moves them into place before anything of the image runs. Of the
 * container the shim keeps two folders, its /proc and its /sys/devices/system/cpu. With these, and
 * from inside the mount namespace, files are put in place and taken away later: no path is walked
 * that a guest could bend, only names in the kernel's own folders, and nothing asks lxcfs.
 *
 * When lxcfs ends, its mounts would answer "Transport endpoint is not connected": every shim
 * watches it and takes them away at once, so that the kernel's files are seen until the next
 * lxcfs is there.
 */

#include <stddef.h>
#include <sys/types.h>

#include "lib/err.h"
#include "lib/msg.h"

#define LG_PROCFS_FILES 8u	/* rows of the table */
#define LG_PROCFS_DEVS 4u

/* One descriptor for each row, -1 where lxcfs does not have the file. */
struct lg_procfs {
	int fds[LG_PROCFS_FILES];
	dev_t dev;		/* of the file system; 0: there is none */
};

/* A container's folders that the files lie in; -1: not known. */
struct lg_procfs_dirs {
	int proc, cpu;
};

#define LG_PROCFS_NONE { .fds = { -1, -1, -1, -1, -1, -1, -1, -1 } }
#define LG_PROCFS_NO_DIRS { -1, -1 }

/**
 * lg_procfs_open() - open the files of the lxcfs that is mounted at @dir, and read one
 *
 * Asks lxcfs, and so may wait as long as that likes. Return: 0; -ENOENT when @dir is no lxcfs
 * (yet); negative errno.
 */
int lg_procfs_open(const char *dir, struct lg_procfs *ret, struct lg_err *err);

/** lg_procfs_clone() - copies of the mounts of @from that can be put somewhere else; asks nobody. */
int lg_procfs_clone(const struct lg_procfs *from, struct lg_procfs *ret, struct lg_err *err);

/** lg_procfs_close() - close what is open; there is none then. */
void lg_procfs_close(struct lg_procfs *files);

/**
 * lg_procfs_put() - add to a message a field "file" for each of @files, and lend their descriptors
 * lg_procfs_take() - the other way; names that this program does not know are dropped
 */
int lg_procfs_put(struct lg_msg *m, const struct lg_procfs *files);
int lg_procfs_take(struct lg_msg *m, struct lg_procfs *ret, struct lg_err *err);

/** lg_procfs_leave_clock() - leave out what a container with clocks of its own (ct/clocks.h) has from the kernel. */
void lg_procfs_leave_clock(struct lg_procfs *files);

/** lg_procfs_keep() - add what is open to a list for lg_fds_keep(). Return: how many. */
size_t lg_procfs_keep(struct lg_procfs *files, int *keep[LG_PROCFS_FILES]);

/**
 * lg_procfs_dirs() - open the folders by their names, in a container whose image has not run yet
 *
 * A folder that this kernel lacks stays -1.
 */
void lg_procfs_dirs(struct lg_procfs_dirs *ret);

/**
 * lg_procfs_find_dirs() - the folders of the mount namespace that we are in, whoever has made it
 * @proc:	a descriptor of the host's /proc
 * @root:	the device of its root; a namespace with another root has none for us
 *
 * A folder that is not the kernel's own (proc, sysfs) stays -1.
 */
void lg_procfs_find_dirs(int proc, dev_t root, struct lg_procfs_dirs *ret);

/** lg_procfs_root() - the device of the root that we see. 0: cannot be told. */
dev_t lg_procfs_root(void);

/**
 * lg_procfs_place() - take away the files of the file systems @old and put @files in their place
 * @old:	NULL: the container is new and nothing lies over its files
 * @files:	copies (lg_procfs_clone()), which stay open; dev 0: only take away
 *
 * In the mount namespace of @dirs. A file over which someone else's lies is left alone.
 * Return: 0; the first negative errno (it goes on with the other files).
 */
int lg_procfs_place(const struct lg_procfs_dirs *dirs, const dev_t *old,
		    const struct lg_procfs *files, struct lg_err *err);

#endif
