/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_STORAGE_DISK_H
#define LG_STORAGE_DISK_H

/*
 * Limits of what a layer may hold. What makes one true is a driver; which one a layer has is seen
 * on the disk, nothing else records it:
 *
 *	project	the file system of VAR has project quotas: the layer's folder is a project. Live both ways.
 *	image	the layer lives in an ext4 image of its own, VAR/ct/ID/disk.img, which grows while it is
 *		mounted (storage/image.h); everything else is done by making it anew (lg_disk_remake)
 *	raw	the layer is a machine's whole disk, VAR/ct/ID/disk.raw: a sparse file that nothing on the host reads
 *	none	a plain folder, without limit
 */

#include <stdbool.h>
#include <stdint.h>

#include "lib/err.h"
#include "storage/image.h"

#define LG_DISK_IMAGE "disk.img"	/* in the layer's folder */
#define LG_DISK_RAW "disk.raw"
#define LG_DISK_MIN (UINT64_C(32) << 20)

enum lg_disk_own {
	LG_DISK_OWN_NONE,	/* whatever holds the limit */
	LG_DISK_OWN_IMAGE,	/* an image of a file system: a VM's layer is a disk of its own */
	LG_DISK_OWN_RAW,	/* the whole disk of a machine */
};

struct lg_disk_limit {
	uint64_t bytes, inodes;	/* LG_UNLIMITED: none */
	enum lg_disk_own image;	/* what it is in, whatever else could hold the limit */
};

/* What has to be done for another limit. */
enum lg_disk_change {
	LG_DISK_SAME,		/* nothing */
	LG_DISK_SET,		/* lg_disk_set(), at once */
	LG_DISK_GROW,		/* lg_disk_grow(), mounted or not; some milliseconds per 100 GiB */
	LG_DISK_REMAKE,		/* lg_disk_remake(): not while it is used; as long as copying takes */
};

struct lg_disk_driver {
	const char *name;
	/* Can it hold a new layer of @var to @limit? */
	bool (*probe)(const char *var, const struct lg_disk_limit *limit);
	/* Does it hold the layer whose folder @layer is? */
	bool (*holds)(int layer);
	/* Limit the new and still empty folder @layer; may make upper and work, too. */
	int (*make)(const char *var, int layer, uint32_t ctid, const struct lg_disk_limit *limit,
		    struct lg_err *err);
	/* What has to be done. -ENOSPC where it is certain that what is in use does not fit. */
	int (*plan)(int layer, const struct lg_disk_limit *limit, enum lg_disk_change *ret,
		    struct lg_err *err);
	/* NULL where plan() never gives LG_DISK_SET. */
	int (*set)(int layer, const struct lg_disk_limit *limit, struct lg_err *err);
	/* What is in use, and its limits. @mounted: a folder in the mounted layer, -1: it is not. */
	int (*usage)(int layer, int mounted, struct lg_fs_usage *ret, struct lg_err *err);
	/* The layer goes away for good; may be NULL. */
	void (*remove)(int layer);
};

extern const struct lg_disk_driver lg_disk_project, lg_disk_image, lg_disk_raw, lg_disk_none;

/** lg_disk_for_new() - the driver that a new layer gets. */
const struct lg_disk_driver *lg_disk_for_new(const char *var, const struct lg_disk_limit *limit);

/** lg_disk_of() - the driver of the layer whose folder is open as @layer. */
const struct lg_disk_driver *lg_disk_of(int layer);

/** lg_disk_plan() - as the driver's, for the layer of @ctid. */
int lg_disk_plan(const char *var, uint32_t ctid, const struct lg_disk_limit *limit,
		 enum lg_disk_change *ret, struct lg_err *err);

/** lg_disk_set() - after LG_DISK_SET. */
int lg_disk_set(const char *var, uint32_t ctid, const struct lg_disk_limit *limit,
		struct lg_err *err);

/**
 * lg_disk_grow() - after LG_DISK_GROW
 * @mounted:	a folder in the mounted image; -1: it is not mounted anywhere
 */
int lg_disk_grow(const char *var, uint32_t ctid, uint64_t bytes, int mounted, struct lg_err *err);

/**
 * lg_disk_resize_file() - the file of an image that a machine has open, not what is in it
 *
 * Only what the machine does not know of yet may be cut off again. Return: 1; 0 when it has that size; negative errno.
 */
int lg_disk_resize_file(const char *var, uint32_t ctid, uint64_t bytes, struct lg_err *err);

/**
 * lg_disk_remake() - copy the layer into a new one with @limit and let that take its place
 *
 * The layer must not be in use. Blocks as long as copying takes and changes the caller's mount
 * namespace: it runs in the worker. Killed anywhere, the old layer is whole or the new one is;
 * lg_disk_heal() clears away the rest.
 */
int lg_disk_remake(const char *var, uint32_t ctid, const struct lg_disk_limit *limit,
		   void (*progress)(const char *line, void *arg), void *arg, struct lg_err *err);

/** lg_disk_heal() - what a killed remake left is cleared away. For the daemon's start. */
void lg_disk_heal(const char *var, uint32_t ctid);

/**
 * lg_disk_open_raw() - the disk of the machine @ctid
 *
 * Only one such descriptor and its copies can be at a time: while another user's is open this waits @patience_ms at the most.
 * Return: descriptor, for reading and writing; -EBUSY with LG_EXIT_LOCKED; -ENOENT: its layer is none; other negative errnos.
 */
int lg_disk_open_raw(const char *var, uint32_t ctid, unsigned int patience_ms, struct lg_err *err);

/** lg_disk_usage() - as the driver's. -ENODATA for a layer without limit. */
int lg_disk_usage(const char *var, uint32_t ctid, int mounted, struct lg_fs_usage *ret,
		  struct lg_err *err);

/** lg_disk_round() - the size that a limit of @bytes really becomes. */
uint64_t lg_disk_round(uint64_t bytes);

/* ---- empty images ---- */

/** lg_disk_prepared() - is what lg_layer_create() needs for @limit there? */
bool lg_disk_prepared(const char *var, const struct lg_disk_limit *limit);

/**
 * lg_disk_prepare() - make it: an empty image of that size in VAR/disks, from which layers are
 * copied. Runs mkfs, so it belongs into the worker.
 */
int lg_disk_prepare(const char *var, const struct lg_disk_limit *limit, struct lg_err *err);

/** lg_disk_copy_empty() - copy the prepared one to @dirfd/@name, data only, and flush it. */
int lg_disk_copy_empty(const char *var, const struct lg_disk_limit *limit, int dirfd,
		       const char *name, struct lg_err *err);

#endif
