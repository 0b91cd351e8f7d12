/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_STORAGE_TEMPLATE_H
#define LG_STORAGE_TEMPLATE_H

/*
 * The template store: VAR/templates/NAME/{manifest,rootfs/}. A manifest is conf text
 * (lib/conf.h) with the keys of the table in manifest.c: NAME VERSION OS ARCH DESCRIPTION INIT
 * INIT_KIND (systemd|busybox|other) STOP_SIGNAL (a number) FEATURES (default ones of its instances), and of
 * the build DIGEST SIZE BUILT. One with KERNEL_FOR has a kernel for microVMs (vm/boot.h) and no INIT: no instance is made of it.
 * A template is immutable: it is built in VAR/templates/.NAME.new and renamed; instances use it
 * by reference. lodged knows which do: it refuses to remove one, or to build it anew, while one
 * does.
 *
 * Recipes: DATADIR/templates/NAME/{manifest,build}; `build` is a program that is given the
 * empty target directory, prints its progress, and says on stderr why it failed. The worker
 * runs it.
 */

#include <stdint.h>

#include "lib/err.h"

enum lg_init_kind { LG_INIT_OTHER, LG_INIT_SYSTEMD, LG_INIT_BUSYBOX };

struct lg_template {
	char name[65];
	char version[65];
	char os[33];
	char arch[17];
	char description[129];
	char init[129];			/* path inside */
	char kernel_for[65];		/* "OS VERSION": it is a kernel for microVMs of that, and no guest; "" */
	char features[129];		/* what its instances get unless they are told otherwise; "" */
	char digest[80];		/* "sha256:...", what it covers: storage/digest.h */
	int stop_signal;
	enum lg_init_kind init_kind;
	uint64_t size_bytes;
	int64_t built_at;		/* seconds since the epoch */
	char rootfs[300];		/* absolute path */
};

/**
 * lg_template_load() - read one template's manifest
 * @var:	lg_root.var
 *
 * Return: 0; -ENOENT with LG_EXIT_NO_TEMPLATE and a line that names `lodge template list`;
 * -EINVAL for a manifest that is not one.
 */
int lg_template_load(const char *var, const char *name, struct lg_template *ret,
		     struct lg_err *err);

/**
 * lg_template_each() - every template in the store, by name; a broken one is left out
 *
 * Stops when @fn answers other than 0, and returns that.
 */
int lg_template_each(const char *var, int (*fn)(const struct lg_template *t, void *arg),
		     void *arg, struct lg_err *err);

/**
 * lg_template_remove() - take it out of the store at once: rename to VAR/trash/NAME.N
 * lg_layer_empty_trash() deletes its files, in the worker. -ENOENT as lg_template_load().
 */
int lg_template_remove(const char *var, const char *name, struct lg_err *err);

/** lg_recipe_exists() - is there a recipe of that name to build? */
int lg_recipe_exists(const char *datadir, const char *name);

/** lg_recipe_each() - names and descriptions of the recipes that can be built. */
int lg_recipe_each(const char *datadir, int (*fn)(const struct lg_template *t, void *arg),
		   void *arg, struct lg_err *err);

/**
 * lg_template_build() - run a recipe and put its result into the store (replacing an older one
 * only where @force). Blocks for as long as it takes: it runs in lodge-worker.
 * @progress:	called with each line that the recipe prints; may be NULL
 *
 * Return: 0; -EEXIST without @force; -ENOENT without a recipe; -EBUSY (LG_EXIT_LOCKED) while it
 * is being built already; -EIO with the recipe's own reason; -ENOEXEC (LG_EXIT_BAD_TEMPLATE)
 * when it made no init. The store is then as it was.
 */
int lg_template_build(const char *var, const char *datadir, const char *name, int force,
		      void (*progress)(const char *line, void *arg), void *arg,
		      struct lg_err *err);

/**
 * lg_template_cleanup() - what a killed build left (".NAME.new") goes to the trash, at once
 * A build that runs is left alone. For the daemon's start, before lg_layer_empty_trash().
 */
int lg_template_cleanup(const char *var, struct lg_err *err);

#endif
