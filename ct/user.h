/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_CT_USER_H
#define LG_CT_USER_H

/*
 * Users as the container's own /etc/passwd and /etc/group have them. The files are hostile: they are read
 * inside the container, by a process that is already confined, up to a size, and only if they
 * are regular files. No NSS: its modules would be the container's code in our process.
 */

#include <stddef.h>
#include <sys/types.h>

#include "lib/err.h"

#define LG_USER_GROUPS 256u

/* What those are in who read the messages of these functions. LG_MACHINE: they are built for the agent of a microVM. */
#ifdef LG_MACHINE
#define LG_INSIDE "machine"
#else
#define LG_INSIDE "container"
#endif

struct lg_user {
	uid_t uid;
	gid_t gid;
	char name[64];			/* "" where the id has no line */
	char home[256];
	char shell[256];
	gid_t groups[LG_USER_GROUPS];	/* the own one first */
	size_t ngroups;
};

/**
 * lg_user_find() - who "NAME", "UID", "NAME:GROUP" or "UID:GID" is
 * @spec:	NULL or "": root
 * @passwd:	text of /etc/passwd, NULL where there is none
 * @group:	text of /etc/group, or NULL
 *
 * Root and numbers need no line. Return: 0; -ENOENT for a name that is not there; -EINVAL.
 */
int lg_user_find(const char *spec, const char *passwd, const char *group, struct lg_user *ret,
		 struct lg_err *err);

/** lg_user_load() - lg_user_find() with the files of the root file system we are in. */
int lg_user_load(const char *spec, struct lg_user *ret, struct lg_err *err);

#endif
