/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "storage/template_new.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "lib/cleanup.h"
#include "lib/exit.h"
#include "lib/file.h"
#include "storage/digest.h"
#include "storage/store.h"

static int lock_folder(struct lg_template_new *n, struct lg_err *err)
{
	n->dir = lg_open_dir(n->store, n->folder, err);
	if (n->dir < 0)
		return n->dir;
	if (flock(n->dir, LOCK_EX | LOCK_NB) == 0)
		return 0;
	n->dir = lg_close(n->dir);
	return lg_refuse(err, -EBUSY, LG_EXIT_LOCKED, "template '%s' is being built already",
			 n->name);
}

int lg_template_new_make(struct lg_template_new *n, const char *var, const char *name,
			 struct lg_err *err)
{
	int r;

	n->var = var;
	n->name = name;
	n->dir = -1;
	snprintf(n->folder, sizeof(n->folder), ".%s.new", name);
	n->store = lg_store_open(var, "templates", err);
	if (n->store < 0)
		return n->store;
	if (mkdirat(n->store, n->folder, 0700) < 0) {
		if (errno != EEXIST)
			return lg_fail(err, -errno, "make folder '%s'", n->folder);
		r = lock_folder(n, err);
		if (r < 0)
			return r;
		r = lg_remove_tree(n->store, n->folder, err);
		n->dir = lg_close(n->dir);
		if (r < 0)
			return r;
		if (mkdirat(n->store, n->folder, 0700) < 0)
			return lg_fail(err, -errno, "make folder '%s'", n->folder);
	}
	return lock_folder(n, err);
}

/* Links inside are followed as the container will: from its own root. */
int lg_template_new_check(const struct lg_template_new *n, const char *init, struct lg_err *err)
{
	lg_autoclose int root = lg_open_dir(n->dir, "rootfs", err);
	lg_autoclose int file = -1;
	struct stat st;

	if (root < 0)
		return root;
	file = lg_open_beneath(root, init, O_PATH, 0);
	if (file < 0 || fstat(file, &st) < 0 || !S_ISREG(st.st_mode) || !(st.st_mode & 0111))
		return lg_refuse(err, -ENOEXEC, LG_EXIT_BAD_TEMPLATE,
				 "there is no init in it: '%s' is no program", init);
	return 0;
}

/* What starts the tree is part of what the template is. */
int lg_template_new_digest(const struct lg_template_new *n, const struct lg_template *t,
			   char digest[80], uint64_t *ret_size, struct lg_err *err)
{
	char preface[1024], path[LG_STORE_PATH];
	int r;

	r = lg_store_path(path, err, "%s/templates/%s/rootfs", n->var, n->folder);
	if (r < 0)
		return r;
	snprintf(preface, sizeof(preface), "lodge template 1\n%s\n%s\n%s\n%s\n%s\n%d\n%d\n",
		 t->name, t->version, t->os, t->arch, t->init, t->init_kind, t->stop_signal);
	return lg_tree_digest(path, preface, digest, ret_size, err);
}

int lg_template_new_keep(struct lg_template_new *n, int force, struct lg_err *err)
{
	if (syncfs(n->dir) < 0)
		return lg_fail(err, -errno, "sync '%s'", n->folder);
	if (renameat2(n->store, n->folder, n->store, n->name, RENAME_NOREPLACE) < 0) {
		if (errno != EEXIST || !force)
			return lg_fail(err, -errno, "rename '%s' to '%s'", n->folder, n->name);
		if (renameat2(n->store, n->folder, n->store, n->name, RENAME_EXCHANGE) < 0)
			return lg_fail(err, -errno, "replace '%s'", n->name);
		lg_trash_put(n->var, n->store, n->folder, n->name, NULL);
	}
	if (fsync(n->store) < 0)
		return lg_fail(err, -errno, "sync the folder of templates");
	return 0;
}

void lg_template_new_finish(struct lg_template_new *n, int failed)
{
	/* Without the lock the folder is another one's. */
	if (failed && n->dir >= 0)
		lg_remove_tree(n->store, n->folder, NULL);
	n->dir = lg_close(n->dir);
	n->store = lg_close(n->store);
}
