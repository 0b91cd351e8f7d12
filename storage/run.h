/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_STORAGE_RUN_H
#define LG_STORAGE_RUN_H

#include "lib/err.h"

struct lg_recipe_run {
	const char *program;	/* absolute path */
	const char *target;	/* its argument: the directory to fill */
	const char *tmpdir;	/* its TMPDIR, on the target's file system */
	/* given each line of its stdout; may be NULL */
	void (*progress)(const char *line, void *arg);
	void *arg;
};

/**
 * lg_recipe_run() - run a recipe to its end
 *
 * It is the first process of its own pid namespace, with a mount namespace of its own: whatever
 * it starts or mounts is gone when it ends, and it is killed when its caller dies. Its
 * environment has PATH, HOME, LANG, TMPDIR and the proxy settings of ours, nothing else.
 *
 * Return: 0; -EIO with the last line of its stderr, or how it ended; other negative errnos when
 * it could not be started.
 */
int lg_recipe_run(const struct lg_recipe_run *run, struct lg_err *err);

#endif
