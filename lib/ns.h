/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_LIB_NS_H
#define LG_LIB_NS_H

#include <stdint.h>
#include <sys/types.h>

#include "lib/err.h"

#define LG_ID_COUNT 65536u	/* ids of one container */

/** lg_ns_map_ids() - write uid_map and gid_map of @pid: ids 0.. inside are @base.. outside. */
int lg_ns_map_ids(pid_t pid, uint32_t base, uint32_t count, struct lg_err *err);

/**
 * lg_ns_make_user() - a user namespace in which nobody is, with ids 0.. inside being @base.. outside
 *
 * What a mount's ids are mapped by. Return: its descriptor; negative errno.
 */
int lg_ns_make_user(uint32_t base, uint32_t count, struct lg_err *err);

/** lg_ns_mapped_ids() - the host's id that is 0 in the user namespace of @pid. -ESRCH: nobody runs there. */
int lg_ns_mapped_ids(pid_t pid, uint32_t *ret);

/** lg_ns_open() - a descriptor of namespace @name ("net", "user", ...) of @pid. */
int lg_ns_open(pid_t pid, const char *name, struct lg_err *err);

/**
 * lg_ns_set_hostname() - change the host name in the uts namespace of @pid
 *
 * The caller's thread visits that namespace and comes back; it must be the only one of its process.
 */
int lg_ns_set_hostname(pid_t pid, const char *name, struct lg_err *err);

/**
 * lg_ns_write() - write @text into @path of the host's /proc/sys, as the root of @pid's namespaces
 *
 * A child does it, in the user, network, ipc and uts namespaces of @pid, so that the kernel shows it
 * their settings and checks their root's rights; no path of theirs is looked at. Return: 0, negative errno.
 */
int lg_ns_write(pid_t pid, const char *path, const char *text, struct lg_err *err);

#endif
