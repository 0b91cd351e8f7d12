/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "storage/template.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <time.h>

#include "lib/cleanup.h"
#include "lib/exit.h"
#include "lib/file.h"
#include "lib/log.h"
#include "lib/parse.h"
#include "storage/layer.h"
#include "storage/manifest.h"
#include "storage/run.h"
#include "storage/store.h"
#include "storage/template_new.h"

struct build {
	const char *var;
	const char *name;
	struct lg_template_new to;
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

static int make_folders(struct build *b, struct lg_err *err)
{
	int r = lg_template_new_make(&b->to, b->var, b->name, err);

	if (r < 0)
		return r;
	if (mkdirat(b->to.dir, "rootfs", 0755) < 0 || fchmodat(b->to.dir, "rootfs", 0755, 0) < 0 ||
	    mkdirat(b->to.dir, "tmp", 0700) < 0)
		return lg_fail(err, -errno, "make folders in '%s'", b->to.folder);
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

	r = lg_store_path(target, err, "%s/templates/%s/rootfs", b->var, b->to.folder);
	if (r == 0)
		r = lg_store_path(tmpdir, err, "%s/templates/%s/tmp", b->var, b->to.folder);
	if (r == 0)
		r = lg_recipe_run(&run, err);
	if (r == 0)
		r = lg_remove_tree(b->to.dir, "tmp", err);
	return r;
}

static int check_init(const struct build *b, struct lg_err *err)
{
	lg_autoclose int root = lg_open_dir(b->to.dir, "rootfs", err);

	if (root < 0)
		return root;
	if (fchown(root, 0, 0) < 0 || fchmod(root, 0755) < 0)
		return lg_fail(err, -errno, "set the owner of the template's root");
	return b->t.kernel_for[0] ? 0 : lg_template_new_check(&b->to, b->t.init, err);
}

static int write_manifest(struct build *b, struct lg_err *err)
{
	struct utsname host;
	int r;

	if (!b->t.arch[0]) {
		uname(&host);
		snprintf(b->t.arch, sizeof(b->t.arch), "%.16s", host.machine);
	}
	b->t.built_at = time(NULL);
	say(b, "computing the digest");
	r = lg_template_new_digest(&b->to, &b->t, b->t.digest, &b->t.size_bytes, err);
	return r < 0 ? r : lg_manifest_save(b->to.dir, &b->t, err);
}

static int fill(struct build *b, int force, struct lg_err *err)
{
	int r = make_folders(b, err);

	if (r == 0)
		r = run_recipe(b, err);
	if (r == 0)
		r = check_init(b, err);
	if (r == 0)
		r = write_manifest(b, err);
	if (r < 0)
		return r;
	say(b, "writing it to the disk");
	return lg_template_new_keep(&b->to, force, err);
}

static int build(struct build *b, int force, struct lg_err *err)
{
	int r = fill(b, force, err);

	lg_template_new_finish(&b->to, r < 0);
	if (r == 0 && force)
		lg_layer_empty_trash(b->var, NULL);
	return r;
}

int lg_template_build(const char *var, const char *datadir, const char *name, int force,
		      void (*progress)(const char *line, void *arg), void *arg,
		      struct lg_err *err)
{
	struct build b = {
		.var = var,
		.name = name,
		.to = { .store = -1, .dir = -1 },
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
	r = build(&b, force, err);
	return r < 0 ? lg_within(err, r, "build template '%s'", name) : 0;
}
