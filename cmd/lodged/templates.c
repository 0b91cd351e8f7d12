/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/lodged/vm.h"
#include "lib/exit.h"
#include "lib/json.h"

static json_t *used_by(struct daemon *d, const char *name)
{
	json_t *list = json_array();

	for (size_t i = 0; i < d->ncts; i++) {
		const char *of = lg_conf_get(d->cts[i]->conf, "OSTEMPLATE");
		const char *kernel = d->cts[i]->vm ? lg_conf_get(d->cts[i]->conf, "VM_KERNEL") : NULL;

		if ((of && strcmp(of, name) == 0) || (kernel && strcmp(kernel, name) == 0))
			json_array_append_new(list, json_integer(d->cts[i]->ctid));
	}
	return list;
}

static json_t *template_json(struct daemon *d, const struct lg_template *t, bool built)
{
	json_t *obj = json_pack("{s:s, s:b, s:o, s:s, s:s, s:s, s:s}", "name", t->name, "built",
				built, "used_by", used_by(d, t->name), "version", t->version, "os",
				t->os, "arch", t->arch, "description", t->description);

	if (built)
		json_object_update_new(obj, json_pack("{s:s, s:I, s:I, s:s}", "init", t->init,
						      "size_bytes", (json_int_t)t->size_bytes,
						      "built_at", (json_int_t)t->built_at,
						      "digest", t->digest));
	return obj;
}

struct listing {
	struct daemon *d;
	json_t *list;
};

static int add_built(const struct lg_template *t, void *arg)
{
	struct listing *l = arg;

	json_array_append_new(l->list, template_json(l->d, t, true));
	return 0;
}

static int add_recipe(const struct lg_template *t, void *arg)
{
	struct listing *l = arg;
	json_t *have;
	size_t i;

	json_array_foreach(l->list, i, have)
		if (strcmp(lg_json_str(have, "name"), t->name) == 0)
			return 0;
	json_array_append_new(l->list, template_json(l->d, t, false));
	return 0;
}

void api_template_list(struct lg_vcall *call, const json_t *params, void *ctx)
{
	struct daemon *d = ctx;
	struct listing l = { d, json_array() };
	struct lg_err err = { 0 };

	(void)params;
	if (lg_template_each(d->root.var, add_built, &l, &err) < 0 ||
	    lg_recipe_each(d->datadir, add_recipe, &l, &err) < 0) {
		json_decref(l.list);
		lg_vcall_fail(call, &err);
		return;
	}
	lg_vcall_reply(call, json_pack("{s:o}", "templates", l.list));
}

void api_template_show(struct lg_vcall *call, const json_t *params, void *ctx)
{
	struct daemon *d = ctx;
	struct lg_err err = { 0 };
	struct lg_template t;

	if (lg_template_load(d->root.var, lg_json_str(params, "name"), &t, &err) < 0)
		lg_vcall_fail(call, &err);
	else
		lg_vcall_reply(call, json_pack("{s:o}", "template", template_json(d, &t, true)));
}

void api_template_remove(struct lg_vcall *call, const json_t *params, void *ctx)
{
	struct daemon *d = ctx;
	const char *name = lg_json_str(params, "name");
	json_t *users = used_by(d, name);
	struct lg_err err = { 0 };
	size_t n = json_array_size(users);
	json_int_t first = json_integer_value(json_array_get(users, 0));

	json_decref(users);
	if (n > 0)
		lg_refuse(&err, -EBUSY, 0,
			  "template %s is the ground of %zu instance%s (%lld%s): destroy %s first",
			  name, n, n > 1 ? "s" : "", (long long)first, n > 1 ? ", ..." : "",
			  n > 1 ? "them" : "it");
	else
		lg_template_remove(d->root.var, name, &err);
	if (err.code) {
		lg_vcall_fail(call, &err);
		return;
	}
	emit_event(d, "template-removed", NULL, "%s", name);
	empty_trash(d);
	vm_files_clean(d);
	lg_vcall_reply(call, NULL);
}

struct build {
	struct daemon *d;
	struct lg_vcall *call;
	char name[80];
};

static void build_line(const char *line, void *arg)
{
	struct build *b = arg;

	if (lg_vcall_more(b->call) && !lg_vcall_gone(b->call))
		lg_vcall_notify(b->call, json_pack("{s:s}", "progress", line));
}

static void build_over(int r, const struct lg_err *err, void *arg)
{
	struct build *b = arg;
	struct lg_template t;
	struct lg_err why = { 0 };

	if (r < 0) {
		lg_vcall_fail(b->call, err);
	} else if (lg_template_load(b->d->root.var, b->name, &t, &why) < 0) {
		lg_vcall_fail(b->call, &why);
	} else {
		emit_event(b->d, "template-built", NULL, "%s", b->name);
		vm_files_clean(b->d);
		lg_vcall_reply(b->call, json_pack("{s:o}", "template",
						  template_json(b->d, &t, true)));
	}
	lg_vcall_unref(b->call);
	free(b);
}

static int check_build(struct daemon *d, const char *name, bool force, struct lg_err *err)
{
	json_t *users = used_by(d, name);
	size_t n = json_array_size(users);
	struct lg_template t;

	json_decref(users);
	if (lg_check_template_name(name, err) < 0)
		return err->code;
	if (!lg_recipe_exists(d->datadir, name))
		return lg_refuse(err, -ENOENT, LG_EXIT_NO_TEMPLATE,
				 "no recipe is called '%s': `lodge template list` shows them", name);
	if (lg_template_load(d->root.var, name, &t, NULL) < 0)
		return 0;
	if (!force)
		return lg_refuse(err, -EEXIST, 0,
				 "template %s is built already: use --force to build it anew", name);
	if (n > 0)
		return lg_refuse(err, -EBUSY, 0,
				 "template %s is in use by %zu instance%s and may not change", name,
				 n, n > 1 ? "s" : "");
	return 0;
}

void api_template_build(struct lg_vcall *call, const json_t *params, void *ctx)
{
	struct daemon *d = ctx;
	const char *name = lg_json_str(params, "name");
	bool force = lg_json_bool(params, "force", false);
	const char *argv[] = { "template-build", "--var",  d->root.var, "--data",
			       d->datadir,	 name,	   force ? "--force" : NULL, NULL };
	struct lg_err err = { 0 };
	struct build *b;

	if (check_build(d, name, force, &err) < 0) {
		lg_vcall_fail(call, &err);
		return;
	}
	b = calloc(1, sizeof(*b));
	if (!b)
		return;
	b->d = d;
	b->call = lg_vcall_ref(call);
	snprintf(b->name, sizeof(b->name), "%s", name);
	if (worker_run(d, argv, build_line, build_over, b, &err) < 0) {
		lg_vcall_fail(call, &err);
		lg_vcall_unref(b->call);
		free(b);
	}
}
