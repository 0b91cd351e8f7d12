/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Set and Rename: a changed copy of the conf is checked as a whole, applied to the running instance where it
 * takes effect at once, and only then saved; if anything cannot be applied, file and memory stay as
 * they were.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cmd/lodged/change.h"
#include "cmd/lodged/foreign.h"
#include "lib/cleanup.h"
#include "lib/exit.h"
#include "lib/json.h"
#include "lib/kind.h"
#include "lib/ns.h"
#include "lib/settings.h"

static void note(struct change *c, const struct lg_setting *s)
{
	const char *name = s->name ? s->name : s->key;
	bool live = ((s->flags & LG_SF_LIVE) || s->type == LG_SET_HOSTNAME) &&
		    lg_kind_use(s, c->ct->vm, NULL) == LG_USE_LIVE;

	/* A resume makes its cgroup and its links anew; these are in its memory. */
	if (change_suspended(c))
		live = (s->flags & LG_SF_LIVE) && s->type != LG_SET_SYSCTLS;
	json_array_append_new((change_runs(c) || change_suspended(c)) && !live ? c->needs_restart : c->applied,
			      json_string(name));
}

static int set_value(struct change *c, const char *name, const char *value, struct lg_err *err)
{
	const struct lg_setting *s = lg_setting_by_name(name);
	lg_autofree char *text = NULL;
	int r = 0;

	if (!s)
		s = lg_setting_by_key(name);
	if (!s)
		return lg_refuse(err, -EINVAL, LG_EXIT_BAD_OPTION, "no setting is called '%.80s'",
				 name);
	if (s->flags & LG_SF_CREATE_ONLY && !(s->flags & LG_SF_NEEDS_SAVE))
		return lg_refuse(err, -EINVAL, LG_EXIT_BAD_OPTION,
				 "%s can only be given when it is created", name);
	if (*value && (lg_kind_check(s, c->ct->vm, err) < 0 || lg_foreign_check(s, c->ct->conf, err) < 0))
		return err->code;
	if (!*value && strcmp(s->key, "VM_OS") == 0 && lg_kind_is_foreign(c->ct->conf))
		return lg_refuse(err, -EINVAL, LG_EXIT_BAD_VALUE, "os: it boots its own disk: linux, windows, freebsd or other");
	c->disk |= strcmp(s->key, "DISKSPACE") == 0;
	c->inodes |= strcmp(s->key, "DISKINODES") == 0;
	c->cdrom |= strcmp(s->key, "VM_CDROM") == 0;
	c->cpus |= strcmp(s->key, "CPULIMIT") == 0;
	if ((strcmp(s->key, "OSTEMPLATE") == 0 || foreign_is_hardware(s)) && change_suspended(c))
		return lg_refuse(err, -EBUSY, LG_EXIT_RUNNING, "%s: it is suspended: resume and stop it first",
				 name);
	if (strcmp(s->key, "OSTEMPLATE") == 0 && change_runs(c))
		return lg_refuse(err, -EBUSY, LG_EXIT_RUNNING, "%s: stop it first", name);
	if (*value)
		r = lg_setting_to_conf(s, value, &text, err);
	if (r == 0)
		r = lg_conf_set(c->conf, s->key, text, err);
	if (r == 0)
		note(c, s);
	return r;
}

static int read_change(struct change *c, const json_t *params, struct lg_err *err)
{
	const char *name;
	json_t *value;
	size_t i;
	int r = 0;

	json_object_foreach(json_object_get(params, "set"), name, value)
		if (r == 0)
			r = set_value(c, name, json_string_value(value), err);
	json_array_foreach(json_object_get(params, "del_ip"), i, value)
		if (r == 0)
			r = change_remove_ip(c, json_string_value(value), err);
	json_array_foreach(json_object_get(params, "add_ip"), i, value)
		if (r == 0)
			r = change_add_ip(c, json_string_value(value), err);
	if (r == 0 && (json_array_size(json_object_get(params, "add_ip")) ||
		       json_array_size(json_object_get(params, "del_ip"))))
		json_array_append_new(c->applied, json_string("ip"));
	return r;
}

bool change_keeps(const struct change *c, const char *key)
{
	const char *a = lg_conf_get(c->ct->conf, key), *b = lg_conf_get(c->conf, key);

	return strcmp(a ? a : "", b ? b : "") == 0;
}

static int change_hostname(struct change *c, struct lg_err *err)
{
	const char *name = lg_conf_get(c->conf, "HOSTNAME");

	if (!change_runs(c) || c->ct->vm || !name || change_keeps(c, "HOSTNAME"))
		return 0;
	return lg_ns_set_hostname(c->ct->init_pid, name, err);
}

/*
 * What is not saved lasts until the instance stops (swept() reads the file again); on one that does not
 * run it would be nothing at all.
 */
static int commit(struct change *c, struct lg_err *err)
{
	struct instance *ct = c->ct;
	struct lg_conf *old = ct->conf;
	struct lg_addr addrs[IPS_MAX];
	unsigned int n = instance_addrs(ct, addrs);
	char old_name[sizeof(ct->name)];
	int r = 0;

	memcpy(old_name, ct->name, sizeof(old_name));
	ct->conf = c->conf;
	if (c->save)
		r = instance_save(ct, err);
	ct->unsaved = ct->unsaved || !c->save;
	if (r < 0) {
		ct->conf = old;
		err->exit_code = LG_EXIT_SAVE;
		return r;
	}
	c->conf = NULL;
	change_release_ips(c, addrs, n);
	lg_conf_free(old);
	instance_refresh(ct);
	if (c->save)
		instance_link_name(ct, old_name, ct->name);
	return 0;
}

static const struct applier apply_hostname = { NULL, change_hostname, NULL };

static const struct applier *const appliers[] = {
	&apply_network,
	&apply_limits,
	&apply_features,
	&apply_devices,
	&apply_kernel,
	&apply_disk,
	&apply_hostname,
	&apply_vm,
};

static int check_change(struct change *c, struct lg_err *err)
{
	const char *name = lg_conf_get(c->conf, "NAME");
	struct instance *other = name ? instance_by_id(c->ct->d, name) : NULL;
	struct lg_template t;
	const char *template = lg_conf_get(c->conf, "OSTEMPLATE");

	if (other && other != c->ct)
		return lg_refuse(err, -EEXIST, LG_EXIT_NAME, "name '%s' is taken by %u", name,
				 other->ctid);
	if (template && (lg_template_load(c->ct->d->root.var, template, &t, err) < 0 || vm_check_template(&t, err) < 0))
		return err->code;
	for (size_t i = 0; i < ARRAY_SIZE(appliers); i++) {
		int r = appliers[i]->check ? appliers[i]->check(c, err) : 0;

		if (r < 0)
			return r;
	}
	return 0;
}

static void undo(struct change *c, size_t n)
{
	while (n-- > 0)
		if (appliers[n]->undo)
			appliers[n]->undo(c);
}

static int apply(struct change *c, struct lg_err *err)
{
	size_t n = 0;
	int r = 0;

	for (; r == 0 && n < ARRAY_SIZE(appliers); n++)
		r = appliers[n]->apply ? appliers[n]->apply(c, err) : 0;
	if (r == 0)
		r = commit(c, err);
	if (r < 0)
		undo(c, n);
	return r;
}

/* 1: something has to be waited for; the call comes again. */
static int change(struct change *c, struct lg_vcall *call, const json_t *params, struct lg_err *err)
{
	int r = read_change(c, params, err);

	if (r == 0)
		r = check_change(c, err);
	if (r == 0 && !c->save && !change_runs(c)) {
		json_array_append_new(c->warnings,
				      json_string("it is not running and nothing was to be saved: "
						  "nothing has changed"));
		return 0;
	}
	if (r == 0)
		r = change_disk_first(c, call, params, api_set, err);
	return r != 0 ? r : apply(c, err);
}

static void answer_set(struct lg_vcall *call, struct change *c, struct lg_err *err)
{
	int exit_code = err->exit_code;

	if (err->code) {
		lg_within(err, err->code, "set %s", instance_label(c->ct));
		err->exit_code = exit_code ? exit_code : LG_EXIT_SET;
		lg_vcall_fail(call, err);
		return;
	}
	if (c->rename) {
		lg_vcall_reply(call, json_pack("{s:o}", "instance",
					       instance_json(c->ct, false, false)));
		return;
	}
	lg_vcall_reply(call, json_pack("{s:O, s:O, s:O, s:o}", "applied", c->applied,
				       "needs_restart", c->needs_restart, "warnings", c->warnings,
				       "instance", instance_json(c->ct, false, false)));
}

/* The guest has answered, too. */
static void answer_told(struct lg_vcall *call, struct change *c)
{
	struct lg_err err = { 0 };

	answer_set(call, c, &err);
}

static void set(struct lg_vcall *call, const json_t *params, struct change *c)
{
	struct lg_err err = { 0 };
	int r = -1;

	c->applied = json_array();
	c->needs_restart = json_array();
	c->warnings = json_array();
	if (!change_runs(c))
		c->ct->state = instance_rest(c->ct);
	/* What an administrator wrote into the file meanwhile must not be lost by a save. */
	if (c->save && !c->ct->unsaved)
		instance_reload_if_changed(c->ct, &err);
	if (!err.code)
		c->conf = lg_conf_copy(c->ct->conf);
	if (!err.code && !c->conf)
		lg_fail(&err, -ENOMEM, "copy its configuration");
	else if (!err.code && state_allows(c->ct, VERB_SET, &err) == 0)
		r = change(c, call, params, &err);
	if (r == 0)
		emit_event(c->ct->d, c->rename ? "renamed" : "changed", c->ct, NULL);
	if (r < 0 || (r == 0 && !change_vm_tell(c, call, answer_told)))
		answer_set(call, c, &err);
	lg_conf_free(c->conf);
	json_decref(c->applied);
	json_decref(c->needs_restart);
	json_decref(c->warnings);
}

void api_set(struct lg_vcall *call, const json_t *params, void *ctx)
{
	struct change c = { .ct = api_instance(call, params, ctx),
			    .save = lg_json_bool(params, "save", false) };

	if (c.ct)
		set(call, params, &c);
}

void api_rename(struct lg_vcall *call, const json_t *params, void *ctx)
{
	struct change c = { .ct = api_instance(call, params, ctx), .save = true, .rename = true };
	json_t *as_set;

	if (!c.ct)
		return;
	as_set = json_pack("{s:{s:O}}", "set", "name", json_object_get(params, "name"));
	set(call, as_set, &c);
	json_decref(as_set);
}
