/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_LIB_SYSCTLS_H
#define LG_LIB_SYSCTLS_H

/*
 * Kernel settings of a container's own: "net.ipv4.ip_forward=1 kernel.sem=250 32000 32 128". Only what the kernel
 * keeps apart by namespace; everything else is the host's.
 */

#include <stddef.h>

#include "lib/err.h"

#define LG_SYSCTL_KEY 160u
#define LG_SYSCTL_VALUE 512u

/**
 * lg_sysctls_each() - call @fn with each key, dots between its parts, and its value
 *
 * A word with '=' begins an entry, words without one belong to the value before. An answer of @fn
 * other than 0 ends it and is returned. Return: 0; -EINVAL for a key that is not the container's, with the
 * reason.
 */
int lg_sysctls_each(const char *text, int (*fn)(const char *key, const char *value, void *arg),
		    void *arg, struct lg_err *err);

/** lg_sysctls_format() - check a list and write it as the conf file has it; @ret: malloc()ed. */
int lg_sysctls_format(const char *text, char **ret, struct lg_err *err);

/** lg_sysctl_path() - where it is: "/proc/sys/net/ipv4/ip_forward". @key: from lg_sysctls_each(). */
void lg_sysctl_path(const char *key, char *buf, size_t size);

#endif
