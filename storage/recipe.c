/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * How it works: a template is built in VAR/templates/.NAME.new, on whose folder the builder
 * holds a lock, and renamed when it is whole and on the disk. Killed anywhere, a build leaves
 * that folder and no lock: the next build of that name and lg_template_cleanup() clear it away.
 */

#include "storage/template.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <time.h>

#include "lib/cleanup.h"
#include "lib/exit.h"
#include "lib/file.h"
#include "lib/log.h"
#include "lib/parse.h"
#include "storage/digest.h"
#include "storage/layer.h"
#include "storage/manifest.h"
#include "storage/run.h"
#include "storage/store.h"

struct build {
	const char *var;
	const char *name;
	int store;		/* VAR/templates */
	int dir;		/* VAR/templates/.NAME.new, locked */
	char folder[80];	/* ".NAME.new" */
	char program[LG_STORE_PATH];
	struct lg_template t;	/* the recipe's manifest and what the build adds */
	void (*progress)(const char *line, void *arg);
	void *arg;
};

static int open_recipes(const char *datadir, struct lg_err *err)
{
	char path[LG_STORE_PATH];
	int r;

	r = lg_store_path(path, err, "%s/templates", datadir);
	if (r < 0)
		return r;
	r = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return r < 0 ? lg_fail(err, -errno, "open the folder of recipes '%s'", path) : r;
}

static int load_recipe(int recipes, const char *name, struct lg_template *ret,
		       struct lg_err *err)
{
	lg_autoclose int dir = openat(recipes, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r;

	if (dir < 0 || faccessat(dir, "build", X_OK, AT_EACCESS) < 0)
		return lg_refuse(err, -ENOENT, LG_EXIT_NO_TEMPLATE,
				 "there is no recipe '%s' to build a template with", name);
	r = lg_manifest_load(dir, name, 0, ret, err);
	return r < 0 ? lg_within(err, r, "recipe '%s'", name) : 0;
}

int lg_recipe_exists(const char *datadir, const char *name)
{
	lg_autoclose int recipes = -1;
	struct lg_template t;

	if (lg_check_template_name(name, NULL) < 0)
		return 0;
	recipes = open_recipes(datadir, NULL);
	return recipes >= 0 && load_recipe(recipes, name, &t, NULL) == 0;
}

int lg_recipe_each(const char *datadir, int (*fn)(const struct lg_template *t, void *arg),
		   void *arg, struct lg_err *err)
{
	lg_autoclose int recipes = open_recipes(datadir, err);
	struct lg_template t;
	struct lg_err broken;
	char **names;
	size_t n;
	int r;

	if (recipes < 0)
		return recipes;
	r = lg_store_names(recipes, &names, &n, err);
	if (r < 0)
		return r;
	for (size_t i = 0; r == 0 && i < n; i++) {
		if (load_recipe(recipes, names[i], &t, &broken) == 0)
			r = fn(&t, arg);
		else
			lg_log(LG_LOG_DEBUG, "%s", broken.msg);
	}
	lg_store_names_free(names, n);
	return r;
}

static void say(const struct build *b, const char *line)
{
	if (b->progress)
		b->progress(line, b->arg);
}

static int lock_folder(struct build *b, struct lg_err *err)
{
	b->dir = lg_open_dir(b->store, b->folder, err);
	if (b->dir < 0)
		return b->dir;
	if (flock(b->dir, LOCK_EX | LOCK_NB) == 0)
		return 0;
	b->dir = lg_close(b->dir);
	return lg_refuse(err, -EBUSY, LG_EXIT_LOCKED, "template '%s' is being built already",
			 b->name);
}

/* The new folder, empty and locked; what a killed build left there goes first. */
static int make_folder(struct build *b, struct lg_err *err)
{
	int r;

	if (mkdirat(b->store, b->folder, 0700) < 0) {
		if (errno != EEXIST)
			return lg_fail(err, -errno, "make folder '%s'", b->folder);
		r = lock_folder(b, err);
		if (r < 0)
			return r;
		r = lg_remove_tree(b->store, b->folder, err);
		b->dir = lg_close(b->dir);
		if (r < 0)
			return r;
		if (mkdirat(b->store, b->folder, 0700) < 0)
			return lg_fail(err, -errno, "make folder '%s'", b->folder);
	}
	r = lock_folder(b, err);
	if (r < 0)
		return r;
	if (mkdirat(b->dir, "rootfs", 0755) < 0 || fchmodat(b->dir, "rootfs", 0755, 0) < 0 ||
	    mkdirat(b->dir, "tmp", 0700) < 0)
		return lg_fail(err, -errno, "make folders in '%s'", b->folder);
	return 0;
}

static int run_recipe(struct build *b, struct lg_err *err)
{
	char target[LG_STORE_PATH], tmpdir[LG_STORE_PATH];
	struct lg_recipe_run run = {
		.program = b->program,
		.target = target,
		.tmpdir = tmpdir,
		.progress = b->progress,
		.arg = b->arg,
	};
	int r;

	r = lg_store_path(target, err, "%s/templates/%s/rootfs", b->var, b->folder);
	if (r == 0)
		r = lg_store_path(tmpdir, err, "%s/templates/%s/tmp", b->var, b->folder);
	if (r == 0)
		r = lg_recipe_run(&run, err);
	if (r == 0)
		r = lg_remove_tree(b->dir, "tmp", err);
	return r;
}

/* Links inside are followed as the container will: from its own root. */
static int check_init(const struct build *b, struct lg_err *err)
{
	lg_autoclose int root = lg_open_dir(b->dir, "rootfs", err);
	lg_autoclose int init = -1;
	struct stat st;

	if (root < 0)
		return root;
	if (fchown(root, 0, 0) < 0 || fchmod(root, 0755) < 0)
		return lg_fail(err, -errno, "set the owner of the template's root");
	init = lg_open_beneath(root, b->t.init, O_PATH, 0);
	if (init < 0 || fstat(init, &st) < 0 || !S_ISREG(st.st_mode) || !(st.st_mode & 0111))
		return lg_refuse(err, -ENOEXEC, LG_EXIT_BAD_TEMPLATE,
				 "the recipe made no init: '%s' is no program", b->t.init);
	return 0;
}

/* What starts the tree is part of what the template is. */
static int take_digest(struct build *b, struct lg_err *err)
{
	char preface[1024], path[LG_STORE_PATH];
	int r;

	r = lg_store_path(path, err, "%s/templates/%s/rootfs", b->var, b->folder);
	if (r < 0)
		return r;
	snprintf(preface, sizeof(preface), "lodge template 1\n%s\n%s\n%s\n%s\n%s\n%d\n%d\n",
		 b->t.name, b->t.version, b->t.os, b->t.arch, b->t.init, b->t.init_kind,
		 b->t.stop_signal);
	return lg_tree_digest(path, preface, b->t.digest, &b->t.size_bytes, err);
}

static int write_manifest(struct build *b, struct lg_err *err)
{
	struct utsname host;

	if (!b->t.arch[0]) {
		uname(&host);
		snprintf(b->t.arch, sizeof(b->t.arch), "%.16s", host.machine);
	}
	b->t.built_at = time(NULL);
	say(b, "computing the digest");
	if (take_digest(b, err) < 0)
		return err->code;
	return lg_manifest_save(b->dir, &b->t, err);
}

/* Everything is on the disk before its name is: a name always means a whole template. */
static int put_in_place(struct build *b, int force, struct lg_err *err)
{
	say(b, "writing it to the disk");
	if (syncfs(b->dir) < 0)
		return lg_fail(err, -errno, "sync '%s'", b->folder);
	if (renameat2(b->store, b->folder, b->store, b->name, RENAME_NOREPLACE) < 0) {
		if (errno != EEXIST || !force)
			return lg_fail(err, -errno, "rename '%s' to '%s'", b->folder, b->name);
		if (renameat2(b->store, b->folder, b->store, b->name, RENAME_EXCHANGE) < 0)
			return lg_fail(err, -errno, "replace '%s'", b->name);
		lg_trash_put(b->var, b->store, b->folder, b->name, NULL);
	}
	if (fsync(b->store) < 0)
		return lg_fail(err, -errno, "sync the folder of templates");
	return 0;
}

static int build(struct build *b, int force, struct lg_err *err)
{
	int r;

	r = make_folder(b, err);
	if (r < 0)
		return r;
	r = run_recipe(b, err);
	if (r == 0)
		r = check_init(b, err);
	if (r == 0)
		r = write_manifest(b, err);
	if (r == 0)
		r = put_in_place(b, force, err);
	if (r < 0)
		lg_remove_tree(b->store, b->folder, NULL);
	else if (force)
		lg_layer_empty_trash(b->var, NULL);
	lg_close(b->dir);
	return r;
}

int lg_template_build(const char *var, const char *datadir, const char *name, int force,
		      void (*progress)(const char *line, void *arg), void *arg,
		      struct lg_err *err)
{
	struct build b = {
		.var = var,
		.name = name,
		.dir = -1,
		.progress = progress,
		.arg = arg,
	};
	lg_autoclose int recipes = -1, store = -1;
	int r;

	r = lg_check_template_name(name, err);
	if (r < 0)
		return r;
	recipes = open_recipes(datadir, err);
	if (recipes < 0)
		return recipes;
	r = load_recipe(recipes, name, &b.t, err);
	if (r == 0)
		r = lg_store_path(b.program, err, "%s/templates/%s/build", datadir, name);
	if (r < 0)
		return r;
	store = lg_store_open(var, "templates", err);
	if (store < 0)
		return store;
	if (!force && faccessat(store, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return lg_refuse(err, -EEXIST, 0,
				 "template '%s' is already there: --force builds it anew",
				 name);
	b.store = store;
	snprintf(b.folder, sizeof(b.folder), ".%s.new", name);
	r = build(&b, force, err);
	return r < 0 ? lg_within(err, r, "build template '%s'", name) : 0;
}
