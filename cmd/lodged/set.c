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

#include "cmd/lodged/lodged.h"
#include "lib/cleanup.h"
#include "lib/exit.h"
#include "lib/json.h"
#include "lib/ns.h"
#include "lib/settings.h"

struct change {
	struct instance *ct;
	struct lg_conf *conf;		/* the changed copy */
	bool save;
	bool rename;			/* the call was Rename: its answer is shorter */
	json_t *applied, *needs_restart, *warnings;
};

static bool running(const struct change *c)
{
	return c->ct->state == STATE_RUNNING;
}

static void note(struct change *c, const struct lg_setting *s)
{
	const char *name = s->name ? s->name : s->key;
	bool live = (s->flags & LG_SF_LIVE) || s->type == LG_SET_HOSTNAME;

	json_array_append_new(running(c) && !live ? c->needs_restart : c->applied,
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
	if (s->type == LG_SET_TEMPLATE && running(c))
		return lg_refuse(err, -EBUSY, LG_EXIT_RUNNING, "%s: stop it first", name);
	if (*value)
		r = lg_setting_to_conf(s, value, &text, err);
	if (r == 0)
		r = lg_conf_set(c->conf, s->key, text, err);
	if (r == 0)
		note(c, s);
	return r;
}

static bool same_word(const char *word, size_t len, const struct lg_addr *addr)
{
	char text[64];
	struct lg_addr a;

	snprintf(text, sizeof(text), "%.*s", (int)len, word);
	return len < sizeof(text) && lg_parse_addr(text, &a, NULL) == 0 && lg_addr_equal(&a, addr);
}

static int remove_ip(struct change *c, const char *text, struct lg_err *err)
{
	const char *p = lg_conf_get(c->conf, "IP_ADDRESS");
	char list[2048] = "";
	struct lg_addr addr;
	size_t used = 0;
	bool found = false;
	int r;

	if (strcmp(text, "all") == 0)
		return lg_conf_set(c->conf, "IP_ADDRESS", NULL, err);
	r = lg_parse_addr(text, &addr, err);
	if (r < 0) {
		err->exit_code = LG_EXIT_BAD_IP;
		return r;
	}
	while (p && *(p += strspn(p, " \t"))) {
		size_t len = strcspn(p, " \t");

		if (same_word(p, len, &addr))
			found = true;
		else if (used < sizeof(list))
			used += (size_t)snprintf(list + used, sizeof(list) - used, "%s%.*s",
						 used ? " " : "", (int)len, p);
		p += len;
	}
	if (!found)
		return lg_refuse(err, -ENOENT, LG_EXIT_BAD_IP, "it does not have the address %s",
				 text);
	return lg_conf_set(c->conf, "IP_ADDRESS", used ? list : NULL, err);
}

static int add_ip(struct change *c, const char *text, struct lg_err *err)
{
	const char *old = lg_conf_get(c->conf, "IP_ADDRESS");
	char buf[LG_ADDR_TEXT];
	char list[2048];
	struct lg_addr addr;
	struct lg_pool *pool;
	uint32_t owner;
	int r;

	if (strcmp(text, "auto") == 0) {
		if (!c->ct->d->pool4)
			return lg_refuse(err, -ENOENT, LG_EXIT_NO_ADDRESS_FREE,
					 "there is no address pool: set NETWORK in lodge.conf");
		r = lg_pool_auto(c->ct->d->pool4, c->ct->ctid, &addr, err);
	} else {
		r = lg_parse_addr(text, &addr, err);
		if (r < 0)
			err->exit_code = LG_EXIT_BAD_IP;
	}
	if (r < 0)
		return r;
	pool = alloc_pool(c->ct->d, addr.family);
	owner = pool ? lg_pool_owner(pool, &addr) : 0;
	lg_format_addr(&addr, addr.has_prefix, buf);
	if (owner && owner != c->ct->ctid)
		return lg_refuse(err, -EEXIST, LG_EXIT_IP_IN_USE, "address %s is in use by %u", buf,
				 owner);
	for (const char *p = old; p && *(p += strspn(p, " \t")); p += strcspn(p, " \t"))
		if (same_word(p, strcspn(p, " \t"), &addr))
			return 0;
	if ((size_t)snprintf(list, sizeof(list), "%s%s%s", old ? old : "", old && *old ? " " : "",
			     buf) >= sizeof(list))
		return lg_refuse(err, -E2BIG, LG_EXIT_BAD_IP, "too many addresses");
	return lg_conf_set(c->conf, "IP_ADDRESS", list, err);
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
			r = remove_ip(c, json_string_value(value), err);
	json_array_foreach(json_object_get(params, "add_ip"), i, value)
		if (r == 0)
			r = add_ip(c, json_string_value(value), err);
	if (r == 0 && (json_array_size(json_object_get(params, "add_ip")) ||
		       json_array_size(json_object_get(params, "del_ip"))))
		json_array_append_new(c->applied, json_string("ip"));
	return r;
}

static int check_change(struct change *c, struct lg_err *err)
{
	const char *name = lg_conf_get(c->conf, "NAME");
	struct instance *other = name ? instance_by_id(c->ct->d, name) : NULL;
	struct lg_limit_set limits;
	struct lg_template t;
	const char *template = lg_conf_get(c->conf, "OSTEMPLATE");

	if (other && other != c->ct)
		return lg_refuse(err, -EEXIST, LG_EXIT_NAME, "name '%s' is taken by %u", name,
				 other->ctid);
	if (template && lg_template_load(c->ct->d->root.var, template, &t, err) < 0)
		return err->code;
	return instance_limits(c->conf, &limits, err);
}

/* ---- on the running instance ---- */

static bool same_conf(const struct change *c, const char *key)
{
	const char *a = lg_conf_get(c->ct->conf, key), *b = lg_conf_get(c->conf, key);

	return strcmp(a ? a : "", b ? b : "") == 0;
}

static int apply_limits(struct change *c, const struct lg_conf *conf, struct lg_err *err)
{
	struct lg_limit_set old, set;
	char name[16];
	int r = instance_limits(conf, &set, err);

	if (r < 0 || !running(c))
		return r;
	if (conf != c->ct->conf && instance_limits(c->ct->conf, &old, NULL) == 0)
		for (int i = 0; i < LG_LIMIT_COUNT_; i++)
			if (set.value[i] == old.value[i])
				set.mask &= ~(1u << i);
	snprintf(name, sizeof(name), "%u", c->ct->ctid);
	return set.mask ? lg_limits_apply(c->ct->d->cg, name, &set, err) : 0;
}

/* Addresses that @a has and @b has not. */
static unsigned int difference(const struct lg_addr *a, unsigned int na, const struct lg_addr *b,
			       unsigned int nb, struct lg_addr *ret)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < na; i++) {
		bool in_both = false;

		for (unsigned int k = 0; k < nb; k++)
			in_both = in_both || lg_addr_equal(&a[i], &b[k]);
		if (!in_both)
			ret[n++] = a[i];
	}
	return n;
}

/* The instance as it would be with the changed conf. */
static void as_changed(const struct change *c, struct instance *ret)
{
	*ret = *c->ct;
	ret->conf = c->conf;
}

static int change_link(struct change *c, const struct lg_net_if *now, const struct lg_addr *old,
		       unsigned int nold, struct lg_err *err)
{
	struct lg_addr add[IPS_MAX], del[IPS_MAX];
	unsigned int nadd = difference(now->addrs, now->naddrs, old, nold, add);
	unsigned int ndel = difference(old, nold, now->addrs, now->naddrs, del);
	lg_autoclose int netns = lg_ns_open(c->ct->init_pid, "net", err);

	if (netns < 0)
		return netns;
	if (nold == 0)
		return lg_net_attach(c->ct->d->net, now, netns, err);
	return lg_net_change(c->ct->d->net, now, netns, add, nadd, del, ndel, err);
}

static int apply_network(struct change *c, struct lg_err *err)
{
	struct lg_addr old[IPS_MAX], now[IPS_MAX];
	unsigned int nold = instance_addrs(c->ct, old);
	struct instance changed;
	struct lg_net_if ifc;
	int r;

	if (same_conf(c, "IP_ADDRESS"))
		return 0;
	as_changed(c, &changed);
	r = alloc_take_addrs(&changed, err);
	if (r < 0)
		return r;
	instance_net_if(&changed, &ifc, now);
	r = ifc.naddrs ? lg_net_pin(c->ct->d->net, &ifc, err) :
			 lg_net_unpin(c->ct->d->net, ifc.host_name, err);
	if (r == 0 && running(c))
		r = change_link(c, &ifc, old, nold, err);
	return r;
}

/* What no longer belongs to it is free for others. */
static void release_addrs(struct change *c, const struct lg_addr *old, unsigned int nold)
{
	struct lg_addr now[IPS_MAX], gone[IPS_MAX];
	unsigned int n = instance_addrs(c->ct, now);

	n = difference(old, nold, now, n, gone);
	for (unsigned int i = 0; i < n; i++) {
		struct lg_pool *pool = alloc_pool(c->ct->d, gone[i].family);

		if (pool && lg_pool_owner(pool, &gone[i]) == c->ct->ctid)
			lg_pool_give_back(pool, &gone[i]);
	}
}

static void undo_network(struct change *c)
{
	struct lg_addr addrs[IPS_MAX];
	struct lg_net_if ifc;
	struct instance changed;
	struct lg_addr now[IPS_MAX];
	unsigned int n;

	if (same_conf(c, "IP_ADDRESS"))
		return;
	as_changed(c, &changed);
	n = instance_addrs(&changed, now);
	alloc_give_back_addrs(&changed);
	alloc_take_addrs(c->ct, NULL);
	instance_net_if(c->ct, &ifc, addrs);
	if (ifc.naddrs)
		lg_net_pin(c->ct->d->net, &ifc, NULL);
	if (running(c))
		change_link(c, &ifc, now, n, NULL);
}

static int apply_hostname(struct change *c, struct lg_err *err)
{
	const char *name = lg_conf_get(c->conf, "HOSTNAME");

	if (!running(c) || !name || same_conf(c, "HOSTNAME"))
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
	release_addrs(c, addrs, n);
	lg_conf_free(old);
	instance_refresh(ct);
	if (c->save)
		instance_link_name(ct, old_name, ct->name);
	return 0;
}

static int apply(struct change *c, struct lg_err *err)
{
	int r = apply_network(c, err);

	if (r < 0) {
		int exit_code = err->exit_code ? err->exit_code : LG_EXIT_CANNOT_ADD_IP;

		undo_network(c);
		err->exit_code = exit_code;
		return r;
	}
	r = apply_limits(c, c->conf, err);
	if (r == 0)
		r = apply_hostname(c, err);
	if (r == 0)
		r = commit(c, err);
	if (r < 0) {
		struct lg_err ignored = { 0 };

		apply_limits(c, c->ct->conf, &ignored);
		undo_network(c);
	}
	return r;
}

static int change(struct change *c, const json_t *params, struct lg_err *err)
{
	int r = read_change(c, params, err);

	if (r == 0)
		r = check_change(c, err);
	if (r == 0 && !c->save && !running(c)) {
		json_array_append_new(c->warnings,
				      json_string("it is not running and nothing was to be saved: "
						  "nothing has changed"));
		return 0;
	}
	return r < 0 ? r : apply(c, err);
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

static void set(struct lg_vcall *call, const json_t *params, struct change *c)
{
	struct lg_err err = { 0 };

	c->applied = json_array();
	c->needs_restart = json_array();
	c->warnings = json_array();
	/* What an administrator wrote into the file meanwhile must not be lost by a save. */
	if (c->save && !c->ct->unsaved)
		instance_reload_if_changed(c->ct, &err);
	if (!err.code)
		c->conf = lg_conf_copy(c->ct->conf);
	if (!err.code && !c->conf)
		lg_fail(&err, -ENOMEM, "copy its configuration");
	else if (!err.code && state_allows(c->ct, VERB_SET, &err) == 0 && change(c, params, &err) == 0)
		emit_event(c->ct->d, c->rename ? "renamed" : "changed", c->ct, NULL);
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
