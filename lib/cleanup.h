/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_LIB_CLEANUP_H
#define LG_LIB_CLEANUP_H

/* Scope guards: what a function opened or allocated is released on every return. */

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/** lg_close() - close @fd if it is one, keeping errno. Return: -1, to be assigned. */
static inline int lg_close(int fd)
{
	int saved = errno;

	if (fd >= 0)
		close(fd);
	errno = saved;
	return -1;
}

/** lg_take_fd() - the caller owns *@fd from now on; the guard is left with -1. */
static inline int lg_take_fd(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

/** lg_take_ptr() - the caller owns *@p (a pointer to a pointer) from now on. */
static inline void *lg_take_ptr_(void **p)
{
	void *taken = *p;

	*p = NULL;
	return taken;
}
#define lg_take_ptr(p) ((__typeof__(*(p)))lg_take_ptr_((void **)(p)))

static inline void lg_cleanup_free_(void *p)
{
	int saved = errno;

	free(*(void **)p);
	errno = saved;
}

static inline void lg_cleanup_close_(int *fd)
{
	lg_close(*fd);
}

static inline void lg_cleanup_dir_(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

static inline void lg_cleanup_file_(FILE **f)
{
	if (*f)
		fclose(*f);
}

#define lg_autofree  __attribute__((cleanup(lg_cleanup_free_)))
#define lg_autoclose __attribute__((cleanup(lg_cleanup_close_)))
#define lg_autodir   __attribute__((cleanup(lg_cleanup_dir_)))
#define lg_autofile  __attribute__((cleanup(lg_cleanup_file_)))

#endif
