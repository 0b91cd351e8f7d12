/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_CT_MOUNTS_H
#define LG_CT_MOUNTS_H

#include "ct/launch.h"
#include "lib/err.h"

/*
 * The steps of a container's root file system, in the order of their calls. All run inside, as its root.
 */

/*
 * Our own things inside. Its place is lxc's, whose name guests know us by: programs that gather the
 * devices for a nested container (podman, docker, runc with --privileged) leave that one out.
 */
#define LG_OWN_FOLDER "/dev/.lxc"

/**
 * lg_mounts_root() - make the folder @root (a descriptor from the shim's mount namespace) the root
 * of a mount namespace and cgroup namespace of our own
 * @ret_old_root:	the host's root, still attached, for the sources of device nodes and for
 *			the kernel's check that /proc and /sys are visible; the caller's
 */
int lg_mounts_root(int root, int *ret_old_root, struct lg_err *err);

/**
 * lg_mounts_kernel() - /proc, /sys, /dev, /run and what is below them
 * @ret_devpts:	the mount of /dev/pts, the caller's
 */
int lg_mounts_kernel(const struct lg_start *start, int *ret_devpts, struct lg_err *err);

/** lg_mounts_hide() - cover the paths of the table, and those of the fields mask and readonly. */
int lg_mounts_hide(const struct lg_start *start, struct lg_err *err);

/**
 * lg_mounts_plain() - put the plain folders (storage/plain.h) that START names at their places
 * @fds:	their mounts, in the order of START; they stay the caller's
 */
int lg_mounts_plain(const struct lg_start *start, const int *fds, struct lg_err *err);

/**
 * lg_mounts_share() - mounts made from now on propagate between the namespaces inside, as on a
 * booted machine, where systemd sees to it; nothing propagates to the host or from it
 */
int lg_mounts_share(struct lg_err *err);

/** lg_mounts_detach_host() - the host's file systems are gone for good after this. */
int lg_mounts_detach_host(int old_root, struct lg_err *err);

/**
 * lg_devices_make() - nodes and links in /dev: the usual nodes bound from the host's, the others from
 * @own, the mount of lg_devices_prepare() (-1: none)
 */
int lg_devices_make(const struct lg_start *start, int old_root, int own, struct lg_err *err);

/**
 * lg_devices_console() - /dev/console, a terminal of the container's own /dev/pts
 * Both descriptors are the caller's.
 */
int lg_devices_console(int *ret_master, int *ret_slave, struct lg_err *err);

/** lg_place_fields() - the folders, files, links and blocks that START names. */
int lg_place_fields(const struct lg_msg *m, struct lg_err *err);

/** lg_place_sysctls() - the fields "sysctl": asked for by name, so what cannot be done is said and fails. */
int lg_place_sysctls(const struct lg_msg *m, struct lg_err *err);

/**
 * lg_place_block() - the text of a file with our part of it replaced (exported for the tests)
 * @old:	what the file holds
 * @block:	our lines, each ended
 *
 * Our part stands between two marker lines, at the top if there was none. Return: the length of the
 * result in @out; -E2BIG.
 */
int lg_place_block(const char *old, const char *block, char *out, size_t size);

#endif
