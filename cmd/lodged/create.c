/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Create: the settings become a conf file, the instance gets ids, addresses and an empty layer above its
 * template. Nothing is copied, so it takes the same few milliseconds whatever the template's size.
 *
 * The layer's folder carries a mark until the conf file is written: a daemon that finds the mark
 * at its start knows that the create never happened and removes the folder (recover.c).
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cmd/lodged/create.h"
#include "cmd/lodged/features.h"
#include "cmd/lodged/foreign.h"
#include "cmd/lodged/limits.h"
#include "lib/cleanup.h"
#include "lib/exit.h"
#include "lib/file.h"
#include "lib/json.h"
#include "lib/ns.h"
#include "lib/settings.h"
#include "storage/layer.h"

struct creation {
	struct daemon *d;
	uint32_t ctid;
	struct lg_conf *conf;		/* owned until the instance has it */
	const json_t *ssh_keys;
	struct instance *ct;
	bool auto_ip;
	bool waits;			/* for files that come from elsewhere (import.c) */
	struct lg_disk_limit disk;
	json_t *warnings;
	struct lg_run run;
};

static int choose_ctid(struct daemon *d, const json_t *params, uint32_t *ret, struct lg_err *err)
{
	int64_t wanted = lg_json_int(params, "ctid", 0);
	uint32_t ctid = LG_CTID_MIN;

	if (wanted) {
		if (wanted < LG_CTID_MIN || wanted > LG_CTID_MAX)
			return lg_refuse(err, -ERANGE, LG_EXIT_BAD_VALUE,
					 "container numbers go from %u to %u, not %lld",
					 LG_CTID_MIN, LG_CTID_MAX, (long long)wanted);
		if (d->root.tag[0] && wanted > 99999999)
			return lg_refuse(err, -ERANGE, LG_EXIT_BAD_VALUE,
					 "under another root numbers end at 99999999 (its "
					 "interface's name is short)");
		*ret = (uint32_t)wanted;
		return instance_by_ctid(d, *ret) || lg_layer_exists(d->root.var, *ret) ?
			       lg_refuse(err, -EEXIST, LG_EXIT_PRIVATE_EXISTS,
					 "%u exists already", *ret) : 0;
	}
	while (instance_by_ctid(d, ctid) || lg_layer_exists(d->root.var, ctid))
		ctid++;
	*ret = ctid;
	return 0;
}

/* One member of "settings": its name is a setting's or a conf key. */
static int set_one(struct lg_conf *conf, const char *name, const char *value, struct lg_err *err)
{
	const struct lg_setting *s = lg_setting_by_name(name);
	lg_autofree char *text = NULL;
	int r;

	if (!s)
		s = lg_setting_by_key(name);
	if (!s)
		return lg_refuse(err, -EINVAL, LG_EXIT_BAD_OPTION, "no setting is called '%.80s'",
				 name);
	if (!*value)
		return lg_conf_set(conf, s->key, NULL, err);
	r = lg_setting_to_conf(s, value, &text, err);
	return r < 0 ? r : lg_conf_set(conf, s->key, text, err);
}

static int add_from_sample(const char *key, const char *value, void *arg)
{
	return lg_conf_set(arg, key, value, NULL);
}

/* vzctl's --config NAME: ve-NAME.conf-sample gives what the settings do not. */
static int read_sample(struct daemon *d, const char *name, struct lg_conf *conf, struct lg_err *err)
{
	struct lg_conf *sample = NULL;
	char file[160];
	int r;

	if (!name)
		return 0;
	snprintf(file, sizeof(file), "ve-%.100s.conf-sample", name);
	if (strchr(name, '/'))
		return lg_refuse(err, -EINVAL, LG_EXIT_BAD_VALUE, "'%.100s' names no sample", name);
	r = lg_conf_load(d->etc_fd, file, &sample, err);
	if (r < 0)
		return r;
	r = lg_conf_each(sample, add_from_sample, conf);
	lg_conf_free(sample);
	if (r == 0)
		r = lg_conf_set(conf, "ORIGIN_SAMPLE", name, err);
	return r;
}

static int read_settings(struct creation *c, const json_t *params, struct lg_err *err)
{
	const json_t *settings = json_object_get(params, "settings");
	const char *otherwise = daemon_conf(c->d, "DEF_OSTEMPLATE", NULL), *key;
	json_t *value;
	int r = read_sample(c->d, lg_json_str(params, "conf_sample"), c->conf, err);

	if (r == 0 && otherwise)
		r = set_one(c->conf, "template", otherwise, err);
	json_object_foreach((json_t *)(uintptr_t)settings, key, value)
		if (r == 0)
			r = set_one(c->conf, key, json_string_value(value), err);
	if (r == 0)
		r = foreign_defaults(c->conf, settings, lg_json_bool(params, "disk_image", false), err);
	if (r == 0)
		r = vm_check_settings(c->conf, settings, err);
	if (r == 0)
		r = disk_defaults(c->d, c->conf, err);
	return r == 0 && lg_kind_is_vm(c->conf) ? lg_vm_defaults(c->conf, err) : r;
}

static int check_name_free(struct daemon *d, const struct lg_conf *conf, struct lg_err *err)
{
	const char *name = lg_conf_get(conf, "NAME");
	struct instance *other = name ? instance_by_id(d, name) : NULL;

	return other ? lg_refuse(err, -EEXIST, LG_EXIT_NAME, "name '%s' is taken by %u", name,
				 other->ctid) : 0;
}

static int check_template(struct creation *c, struct lg_err *err)
{
	const char *name = lg_conf_get(c->conf, "OSTEMPLATE");
	struct lg_template t;

	if (lg_kind_is_foreign(c->conf))
		return foreign_check(c->d, c->conf, err);
	if (!name)
		return lg_refuse(err, -EINVAL, LG_EXIT_NO_TEMPLATE_NAMED,
				 "no template was given: use --template NAME (`lodge template "
				 "list` shows them)");
	if (lg_template_load(c->d->root.var, name, &t, err) < 0 || vm_check_template(&t, err) < 0)
		return err->code;
	return lg_kind_is_vm(c->conf) ? 0 : features_default(c->conf, &t, err);
}

static int check_ids(struct creation *c, struct lg_err *err)
{
	uint32_t least = lg_kind_is_vm(c->conf) ? LG_ID_COUNT : nesting_ids(c->conf);
	struct lg_id_range wanted;

	ids_read(c->conf, &wanted);
	if (wanted.count < least)
		wanted.count = least;
	if (wanted.base > UINT32_MAX - wanted.count)
		return lg_refuse(err, -ERANGE, LG_EXIT_BAD_VALUE,
				 "%u ids from %u are more than there are", wanted.count, wanted.base);
	return wanted.base ? ids_check_wanted(c->d, wanted, err) : 0;
}

/* ---- steps ---- */

static int make_layer(void *ctx, struct lg_err *err)
{
	struct creation *c = ctx;

	return lg_layer_create(c->d->root.var, c->ctid, &c->disk, err);
}

static void remove_layer(void *ctx)
{
	struct creation *c = ctx;

	lg_layer_trash(c->d->root.var, c->ctid, NULL);
	empty_trash(c->d);
}

static int mark_layer(void *ctx, struct lg_err *err)
{
	struct creation *c = ctx;
	char path[64];

	snprintf(path, sizeof(path), "ct/%u/creating", c->ctid);
	return lg_file_replace_fast(c->d->var_fd, path, "", 0, 0600, err);
}

static int add_instance(void *ctx, struct lg_err *err)
{
	struct creation *c = ctx;
	struct lg_conf *conf = c->conf;

	c->conf = NULL;
	c->ct = instance_add(c->d, c->ctid, conf, err);
	if (c->ct)
		c->ct->created_at = time(NULL);
	return c->ct ? 0 : err->code;
}

static void forget_instance(void *ctx)
{
	struct creation *c = ctx;

	instance_remove(c->ct);
	c->ct = NULL;
}

static int set_ids(void *ctx, struct lg_err *err)
{
	struct creation *c = ctx;

	return ids_take(c->ct, err);
}

/* "auto" in the list becomes an address of each pool. */
static int resolve_auto(struct creation *c, struct lg_err *err)
{
	const char *p = lg_conf_get(c->ct->conf, "IP_ADDRESS");
	struct lg_pool *pools[] = { c->d->pool4, c->d->pool6 };
	char list[2048] = "", word[LG_ADDR_TEXT];
	size_t used = 0;

	while (p && *(p += strspn(p, " \t"))) {
		size_t len = strcspn(p, " \t");

		if (len == 4 && strncmp(p, "auto", 4) == 0)
			c->auto_ip = true;
		else
			used += (size_t)snprintf(list + used, sizeof(list) - used, "%s%.*s",
						 used ? " " : "", (int)len, p);
		if (used >= sizeof(list))
			return lg_refuse(err, -E2BIG, LG_EXIT_BAD_IP, "too many addresses");
		p += len;
	}
	if (!c->auto_ip)
		return 0;
	if (!c->d->pool4 && !c->d->pool6)
		return lg_refuse(err, -ENOENT, LG_EXIT_NO_ADDRESS_FREE,
				 "there is no address pool: set NETWORK in lodge.conf");
	for (size_t i = 0; i < ARRAY_SIZE(pools); i++) {
		struct lg_addr addr;
		int r = pools[i] ? lg_pool_auto(pools[i], c->ctid, &addr, err) : 0;

		if (r < 0)
			return r;
		if (!pools[i])
			continue;
		lg_format_addr(&addr, false, word);
		used += (size_t)snprintf(list + used, sizeof(list) - used, "%s%s", used ? " " : "",
					 word);
	}
	return used < sizeof(list) ? lg_conf_set(c->ct->conf, "IP_ADDRESS", list, err) :
				     lg_refuse(err, -E2BIG, LG_EXIT_BAD_IP, "too many addresses");
}

static void give_back_addrs(void *ctx)
{
	struct creation *c = ctx;

	alloc_give_back_addrs(c->ct);
}

static int take_addrs(void *ctx, struct lg_err *err)
{
	struct creation *c = ctx;
	int r = alloc_take_addrs(c->ct, err);

	if (r == 0)
		r = resolve_auto(c, err);
	if (r < 0)
		give_back_addrs(c);
	return r;
}

static int write_keys(struct creation *c, int upper, struct lg_err *err)
{
	lg_autofree char *text = NULL;
	size_t len = 0, i;
	json_t *key;
	FILE *f;

	f = open_memstream(&text, &len);
	if (!f)
		return lg_fail(err, -ENOMEM, "write ssh keys");
	json_array_foreach(c->ssh_keys, i, key)
		fprintf(f, "%s\n", json_string_value(key));
	fclose(f);
	return lg_file_replace_fast(upper, "root/.ssh/authorized_keys", text, len, 0600, err);
}

static int install_keys(void *ctx, struct lg_err *err)
{
	static const char *const folders[] = { "root", "root/.ssh" };
	struct creation *c = ctx;
	lg_autoclose int layer = -1, upper = -1;
	size_t i;
	json_t *key;

	if (json_array_size(c->ssh_keys) == 0)
		return 0;
	if (lg_kind_is_foreign(c->ct->conf))
		return lg_refuse(err, -EINVAL, LG_EXIT_BAD_OPTION, "ssh-key: what is on its disk is the guest's: put the key there inside");
	json_array_foreach(c->ssh_keys, i, key)
		if (strpbrk(json_string_value(key), "\r\n") || strlen(json_string_value(key)) > 16384)
			return lg_refuse(err, -EINVAL, LG_EXIT_BAD_VALUE,
					 "an ssh key is one line of at most 16 KiB");
	/* No guest has touched the layer yet: its folders are ours. */
	layer = lg_layer_open(c->d->root.var, c->ctid, err);
	if (layer < 0)
		return layer;
	upper = lg_open_dir(layer, "upper", err);
	if (upper < 0)
		return upper;
	for (i = 0; i < ARRAY_SIZE(folders); i++)
		if (mkdirat(upper, folders[i], 0700) < 0 && errno != EEXIST)
			return lg_fail(err, -errno, "make /%s", folders[i]);
	return write_keys(c, upper, err);
}

static int pin(void *ctx, struct lg_err *err)
{
	struct creation *c = ctx;
	struct lg_addr addrs[IPS_MAX];
	struct lg_net_if ifc;

	instance_net_if(c->ct, &ifc, addrs);
	return ifc.naddrs ? lg_net_pin(c->d->net, &ifc, err) : 0;
}

static void unpin(void *ctx)
{
	struct creation *c = ctx;
	char name[16];

	lg_root_link(&c->d->root, c->ctid, 0, name);
	lg_net_unpin(c->d->net, name, NULL);
}

static int save(void *ctx, struct lg_err *err)
{
	struct creation *c = ctx;

	return instance_save(c->ct, err);
}

static void unlink_conf(void *ctx)
{
	struct creation *c = ctx;
	char name[32];

	instance_conf_name(c->ctid, name);
	unlinkat(c->d->ct_fd, name, 0);
}

static int unmark_layer(void *ctx, struct lg_err *err)
{
	struct creation *c = ctx;
	char path[64];

	snprintf(path, sizeof(path), "ct/%u/creating", c->ctid);
	if (unlinkat(c->d->var_fd, path, 0) < 0)
		return lg_fail(err, -errno, "remove '%s'", path);
	return 0;
}

static void warn(const char *line, void *arg)
{
	struct creation *c = arg;

	json_array_append_new(c->warnings, json_string(line));
}

/* Better refused now than at its first start. */
static int check_limits(void *ctx, struct lg_err *err)
{
	struct creation *c = ctx;
	struct limits limits;
	int r = limits_of(c->ct->conf, &limits, err);

	if (r == 0)
		r = limits_find_disks(c->ct, &limits, err);
	limits.set.note = warn;
	limits.set.note_arg = c;
	return r == 0 ? limits_foresee(c->ct, NULL, &limits, err) : r;
}

/* Until here all of it is gone when this daemon is. */
static int await_files(void *ctx, struct lg_err *err)
{
	struct creation *c = ctx;

	(void)err;
	return c->waits ? LG_STEP_WAIT : 0;
}

static const struct lg_step steps[] = {
	{ "make its layer", make_layer, remove_layer },
	{ "mark its layer", mark_layer, NULL },
	{ "add it", add_instance, forget_instance },
	{ "check its limits", check_limits, NULL },
	{ "take a range of ids", set_ids, NULL },
	{ "take its addresses", take_addrs, give_back_addrs },
	{ "install its ssh keys", install_keys, NULL },
	{ "pin its addresses", pin, unpin },
	{ "wait for its files", await_files, NULL },
	{ "write its configuration", save, unlink_conf },
	{ "unmark its layer", unmark_layer, NULL },
};

static int check_disk(struct creation *c, struct lg_err *err)
{
	int r = disk_limit(c->conf, &c->disk, err);

	if (r == 0)
		r = disk_check(c->d, &c->disk, err);
	if (r == 0)
		r = disk_reserve_check(c->d, err);
	return r < 0 ? r : disk_room_check(c->d, NULL, &c->disk, err);
}

static int check_all(struct creation *c, struct lg_err *err)
{
	int r = check_name_free(c->d, c->conf, err);
	if (r == 0)
		r = check_template(c, err);
	if (r == 0 && lg_kind_is_vm(c->conf))
		r = vm_check_conf(c->conf, err);
	if (r == 0)
		r = check_ids(c, err);
	return r == 0 ? check_disk(c, err) : r;
}

static int run_steps(struct creation *c, struct lg_err *err)
{
	lg_run_init(&c->run, steps, ARRAY_SIZE(steps), c);
	c->run.fail_at = c->d->fail_step;
	return lg_run_continue(&c->run, err);
}

/* 1: something has to be waited for; the call comes again. */
static int create(struct creation *c, struct lg_vcall *call, const json_t *params,
		  struct lg_err *err)
{
	int r = choose_ctid(c->d, params, &c->ctid, err);

	if (r == 0)
		r = read_settings(c, params, err);
	if (r == 0)
		r = check_all(c, err);
	if (r == 0)
		r = disk_prepare(c->d, &c->disk, call, params, api_create, err);
	if (r == 0 && lg_kind_is_vm(c->conf) && !lg_kind_is_foreign(c->conf))
		r = vm_files_prepare(c->d, c->conf, call, params, api_create, err);
	return r != 0 ? r : run_steps(c, err);
}

/* ---- from another host: import.c ---- */

int creation_import(struct daemon *d, uint32_t ctid, struct lg_conf *conf, struct lg_vcall *call,
		    const json_t *params, struct creation **ret, struct lg_err *err)
{
	lg_autojson json_t *wish = json_pack("{s:I}", "ctid", (json_int_t)ctid);
	struct creation *c = calloc(1, sizeof(*c));
	int r;

	if (!c || !wish) {
		free(c);
		lg_conf_free(conf);
		return lg_fail(err, -ENOMEM, "take in a container");
	}
	*c = (struct creation){ .d = d, .conf = conf, .waits = true, .warnings = json_array() };
	r = choose_ctid(d, wish, &c->ctid, err);
	if (r == 0)
		r = check_all(c, err);
	if (r == 0)
		r = disk_prepare(d, &c->disk, call, params, api_import_begin, err);
	if (r == 0)
		r = run_steps(c, err);
	if (r == LG_STEP_WAIT && c->ct) {
		*ret = c;
		return 0;
	}
	creation_free(c);
	return r;
}

int creation_complete(struct creation *c, struct lg_err *err)
{
	c->waits = false;
	return lg_run_continue(&c->run, err);
}

void creation_undo(struct creation *c)
{
	lg_run_undo(&c->run);
	creation_free(c);
}

void creation_free(struct creation *c)
{
	lg_conf_free(c->conf);
	json_decref(c->warnings);
	free(c);
}

struct instance *creation_instance(const struct creation *c)
{
	return c->ct;
}

/* An error's own text says what is wrong; what it was for is said in front where a number is known. */
static void name_failure(const struct creation *c, struct lg_err *err)
{
	int exit_code = err->exit_code;

	if (c->ctid)
		lg_within(err, err->code, "create %u", c->ctid);
	else
		lg_within(err, err->code, "create");
	err->exit_code = exit_code;
}

static void created(struct creation *c, struct lg_vcall *call, bool start)
{
	json_t *line;
	struct op *op;

	instance_link_name(c->ct, NULL, c->ct->name);
	emit_event(c->d, "created", c->ct, NULL);
	if (!start) {
		if (c->ct->vm && (line = vm_accel_warning()))
			json_array_append_new(c->warnings, line);
		lg_vcall_reply(call, json_pack("{s:o, s:O}", "instance", instance_json(c->ct, false, false), "warnings",
					       c->warnings));
		return;
	}
	op = op_new(c->ct, "start", call);
	if (!op)
		return;
	op->answer = json_pack("{s:O}", "warnings", c->warnings);
	start_begin(op);
}

void creation_end(struct creation *c, int r, struct lg_err *err, struct lg_vcall *call, bool start)
{
	if (r == 0)
		r = creation_complete(c, err);
	else
		lg_run_undo(&c->run);
	if (r == 0) {
		created(c, call, start);
	} else {
		name_failure(c, err);
		lg_vcall_fail(call, err);
	}
	creation_free(c);
}

void api_create(struct lg_vcall *call, const json_t *params, void *ctx)
{
	struct creation *c = calloc(1, sizeof(*c));
	struct lg_err err = { 0 };
	int r = c ? 0 : lg_fail(&err, -ENOMEM, "create");

	if (r == 0) {
		*c = (struct creation){ .d = ctx, .ssh_keys = json_object_get(params, "ssh_keys"), .warnings = json_array(),
					.conf = lg_conf_new(), .waits = lg_json_bool(params, "disk_image", false) };
		r = c->conf ? create(c, call, params, &err) : lg_fail(&err, -ENOMEM, "create");
	}
	if (r == LG_STEP_WAIT && c->ct) {
		c->ssh_keys = NULL;
		foreign_disk_begin(ctx, c, call, params);
		return;
	}
	if (r == 0)
		created(c, call, lg_json_bool(params, "start", false));
	if (r < 0 && c)
		name_failure(c, &err);
	if (r < 0)
		lg_vcall_fail(call, &err);
	if (c)
		creation_free(c);
}
