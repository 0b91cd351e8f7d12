/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_LIB_DEVICES_H
#define LG_LIB_DEVICES_H

/* Devices as people name them: by path ("/dev/fuse:rw") and, vzctl's way, by number ("c:10:229:rw"). */

#include <stdint.h>

#include "lib/err.h"

/* The kernel's bits (BPF_DEVCG_ACC_*). */
enum lg_device_access {
	LG_DEVICE_MKNOD = 1,
	LG_DEVICE_READ = 2,
	LG_DEVICE_WRITE = 4,
	LG_DEVICE_ALL = 7,
};

#define LG_DEVICE_ANY UINT32_MAX	/* of a number: all of them */
#define LG_DEVICE_NAME 100u

struct lg_device_name {
	char name[LG_DEVICE_NAME];	/* below /dev: "fuse", "net/tun" */
	unsigned int access;		/* of enum lg_device_access; 0: none at all */
};

/* Which devices by number; the row of a device program. */
struct lg_device_rule {
	char kind;			/* 'b', 'c', 'a': both */
	uint32_t major, minor;		/* LG_DEVICE_ANY */
	unsigned int access;
};

/**
 * lg_devices_each_name() - call @fn with each member of "/dev/fuse:rw net/tun"
 *
 * Without letters it is rw. vzctl's q (quota) says nothing here; "none" takes a device away. Nodes that every
 * container has, and paths that leave /dev, are refused. An answer of @fn other than 0 ends it and
 * is returned. Return: 0; -EINVAL with a line.
 */
int lg_devices_each_name(const char *text, int (*fn)(const struct lg_device_name *d, void *arg),
			 void *arg, struct lg_err *err);

/** lg_devices_each_rule() - the same with "b|c:MAJOR:MINOR|all:[r][w][q]" or "...:none". */
int lg_devices_each_rule(const char *text, int (*fn)(const struct lg_device_rule *d, void *arg),
			 void *arg, struct lg_err *err);

/**
 * lg_devices_format_names() / lg_devices_format_rules() - check a list and write it as the conf file has it
 * @ret:	malloc()ed
 */
int lg_devices_format_names(const char *text, char **ret, struct lg_err *err);
int lg_devices_format_rules(const char *text, char **ret, struct lg_err *err);

#endif
