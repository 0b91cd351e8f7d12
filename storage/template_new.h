/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_STORAGE_TEMPLATE_NEW_H
#define LG_STORAGE_TEMPLATE_NEW_H

/*
 * A template that comes into being: VAR/templates/.NAME.new, locked by whoever fills it, and renamed
 * when it is whole and on the disk. Killed anywhere, that folder is left and no lock: the next one of
 * that name and lg_template_cleanup() clear it away.
 */

#include "lib/err.h"
#include "storage/template.h"

struct lg_template_new {
	const char *var, *name;	/* borrowed */
	int store;		/* VAR/templates */
	int dir;		/* VAR/templates/.NAME.new, locked */
	char folder[80];	/* ".NAME.new" */
};

/**
 * lg_template_new_make() - its folder, empty and locked
 * Return: 0; -EBUSY (LG_EXIT_LOCKED) while another one fills it; negative errno. Ends with
 * lg_template_new_finish() in any case.
 */
int lg_template_new_make(struct lg_template_new *n, const char *var, const char *name,
			 struct lg_err *err);

/** lg_template_new_check() - is @init a program in its root? -ENOEXEC (LG_EXIT_BAD_TEMPLATE) */
int lg_template_new_check(const struct lg_template_new *n, const char *init, struct lg_err *err);

/** lg_template_new_digest() - of its root and of what starts it; and its size on the disk. */
int lg_template_new_digest(const struct lg_template_new *n, const struct lg_template *t,
			   char digest[80], uint64_t *ret_size, struct lg_err *err);

/** lg_template_new_keep() - flush it and give it its name; @force: another one goes to the trash. */
int lg_template_new_keep(struct lg_template_new *n, int force, struct lg_err *err);

/** lg_template_new_finish() - give the lock back. @failed: remove the folder, too. */
void lg_template_new_finish(struct lg_template_new *n, int failed);

#endif
