/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_LIB_ROOT_H
#define LG_LIB_ROOT_H

/*
 * Every path, interface name, cgroup and nftables table of one lodged comes from its root, so
 * that daemons with different roots live side by side on one host. The default root is "/".
 *
 *   ETC  ROOT/etc/lodge		lodge.conf, ct/ID.conf
 *   VAR  ROOT/var/lib/lodge (0700)	templates/NAME/, ct/ID/{upper,work}, cache/, trash/, log/
 *   RUN  ROOT/run/lodge		lodged.sock, lodged.pid, ct/ID.json, shim/ID.sock
 */

#include <stddef.h>

#include "lib/err.h"

struct lg_root {
	char etc[256];
	char var[256];
	char run[256];
	char tag[8];		/* "" for the default root, else four characters made of its path */
};

/**
 * lg_root_init() - derive the paths and the tag
 * @dir:	NULL or "" or "/": the default root; else an absolute path. LODGE_ROOT in the
 *		environment is not looked at here: the caller decides.
 *
 * Return: 0; -EINVAL for a relative path; -ENAMETOOLONG.
 */
int lg_root_init(struct lg_root *root, const char *dir, struct lg_err *err);

/** lg_root_socket() - path of the daemon's socket. @buf: at least 108 bytes (sun_path). */
void lg_root_socket(const struct lg_root *root, char *buf, size_t size);

/** lg_root_bridge() - name of the default bridge: "lodge0", or "lXXXbr0" under another root. */
void lg_root_bridge(const struct lg_root *root, char name[16]);

/**
 * lg_root_link() - name of the host's end of an instance's interface: "lg101.0", "lXXX101.0"
 * @index:	0 to 9
 */
void lg_root_link(const struct lg_root *root, unsigned int ctid, unsigned int index,
		  char name[16]);

/** lg_root_link_ctid() - the other way: whose link is @name? 0: no instance's of this root. */
unsigned int lg_root_link_ctid(const struct lg_root *root, const char *name);

/** lg_root_cgroup() - name of the top cgroup, without slash: "lodge" or "lodge-TAG". */
void lg_root_cgroup(const struct lg_root *root, char name[32]);

/** lg_root_table() - name of the nftables tables: "lodge" or "lodge_TAG". */
void lg_root_table(const struct lg_root *root, char name[32]);

#endif
