/* SPDX-License-Identifier: GPL-2.0-or-later */

/* vzctl create and set */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "cmd/lodge/vz.h"
#include "lib/cleanup.h"
#include "lib/conf.h"
#include "lib/exit.h"
#include "lib/json.h"

/* ---- create ---- */

static int create(const struct vz *vz, struct vz_wish *w)
{
	lg_autojson json_t *answer = NULL;
	const char *template = lg_json_str(w->set, "template");
	json_t *params;
	char ips[1024] = "";
	size_t at = 0;
	int r = vz_lists_apply(w, NULL);

	if (r < 0)
		return lg_fail(&vz->cli->err, r, "create");
	for (size_t i = 0; i < json_array_size(w->add_ip) && at < sizeof(ips); i++)
		at += (size_t)snprintf(ips + at, sizeof(ips) - at, "%s%s", at ? " " : "",
				       json_string_value(json_array_get(w->add_ip, i)));
	if (ips[0])
		json_object_set_new(w->set, "ip", json_string(ips));
	params = json_pack("{s:I, s:O, s:[], s:s*}", "ctid", (json_int_t)vz->ctid, "settings",
			   w->set, "ssh_keys", "conf_sample", w->config);
	vz_say(vz, "Creating container private area%s%s%s", template ? " (" : "",
	       template ? template : "", template ? ")" : "");
	r = cli_call(vz->cli, "io.lodge.Create", params, &answer);
	if (r < 0)
		return r;
	vz_say(vz, "Container private area was created");
	return LG_EXIT_OK;
}

int vz_create(struct vz *vz)
{
	struct vz_wish w;
	int r = vz_wish_parse(&w, vz->nwords, vz->words, &vz->cli->err);

	if (r == 0 && vz->exists)
		r = vz_refuse(vz, LG_EXIT_PRIVATE_EXISTS,
			      "Private area already exists: container %u is there", vz->ctid);
	if (r == 0)
		r = create(vz, &w);
	vz_wish_free(&w);
	return r;
}

/* ---- set ---- */

/* Keys that belong to one container and that no sample brings along. */
static bool is_personal(const char *key)
{
	static const char *const keys[] = { "HOSTNAME", "IP_ADDRESS", "OSTEMPLATE", "VE_ROOT",
					    "VE_PRIVATE", "NAME", "LOCAL_UID", "LOCAL_GID" };

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (strcmp(keys[i], key) == 0)
			return true;
	return false;
}

static int take_sample(const char *key, const char *value, void *arg)
{
	const struct lg_setting *s = lg_setting_by_key(key);
	lg_autofree char *text = NULL;
	json_t *set = arg;

	/* What the command line says goes before what the sample says. */
	if (!s || is_personal(key) || json_object_get(set, s->name ? s->name : s->key))
		return 0;
	if (lg_setting_from_conf(s, value, &text, NULL) < 0)
		return 0;
	/* "512.0M" has lost what did not fit its digits: such values go as the file has them. */
	json_object_set_new(set, s->name ? s->name : s->key,
			    json_string(lg_setting_is_size(s) ? value : text));
	return 0;
}

static int apply_sample(const struct vz *vz, struct vz_wish *w)
{
	struct lg_conf *sample = NULL;
	char path[512];
	int r;

	if (strchr(w->applyconfig, '/') || strlen(w->applyconfig) > 64)
		return vz_refuse(vz, LG_EXIT_BAD_VALUE, "Invalid sample name: %s",
				 w->applyconfig);
	snprintf(path, sizeof(path), "%s/ct/ve-%s.conf-sample", vz->cli->root.etc,
		 w->applyconfig);
	r = lg_conf_load(AT_FDCWD, path, &sample, &vz->cli->err);
	if (r < 0) {
		vz->cli->err.exit_code = VZ_EXIT_APPLY_CONFIG;
		return r;
	}
	lg_conf_each(sample, take_sample, w->set);
	lg_conf_free(sample);
	return 0;
}

static bool is_empty(const struct vz_wish *w)
{
	return json_object_size(w->set) == 0 && json_array_size(w->add_ip) == 0 &&
	       json_array_size(w->del_ip) == 0 && json_array_size(w->lists) == 0 &&
	       !w->applyconfig;
}

static int check(const struct vz *vz, const struct vz_wish *w)
{
	if (w->needs_save && !w->save)
		return vz_refuse(vz, LG_EXIT_BAD_OPTION, "Option --%s needs --save",
				 w->needs_save);
	if (w->setmode && strcmp(w->setmode, "restart") != 0 && strcmp(w->setmode, "ignore") != 0)
		return vz_refuse(vz, LG_EXIT_BAD_VALUE, "Invalid setmode: %s", w->setmode);
	if (w->reset_ub && (!is_empty(w) || w->userpasswd || w->save))
		return vz_refuse(vz, LG_EXIT_BAD_OPTION,
				 "Option --reset_ub can not be used with others");
	if (w->reset_ub && !vz->running)
		return vz_refuse(vz, LG_EXIT_NOT_RUNNING, "Container is not running");
	if (w->paths && vz->running)
		return vz_refuse(vz, LG_EXIT_RUNNING,
				 "Unable to set --root or --private: container is running");
	if (w->config)
		return vz_refuse(vz, LG_EXIT_BAD_OPTION, "Invalid option: --config");
	return 0;
}

static void warn_unsaved(const struct vz *vz)
{
	if (vz->running)
		vz_warn("Settings were not saved to config and will be lost after CT restart "
			"(use --save flag)");
	else
		vz_warn("Settings were not saved to config (use --save flag)");
}

/* What is only kept in the file waits for nothing. */
static bool waits_for_start(const json_t *names)
{
	for (size_t i = 0; i < json_array_size(names); i++) {
		const char *name = json_string_value(json_array_get(names, i));
		const struct lg_setting *s = lg_setting_by_key(name);

		if (!s || s->type != LG_SET_KEPT)
			return true;
	}
	return false;
}

/* What a running container could not be given. */
static int settle_restart(const struct vz *vz, const struct vz_wish *w, const json_t *answer)
{
	int r;

	if (!vz->running || !waits_for_start(json_object_get(answer, "needs_restart")))
		return 0;
	if (w->setmode && strcmp(w->setmode, "ignore") == 0)
		return 0;
	if (w->setmode && w->save) {
		vz_say(vz, "Restarting container");
		r = vz_stop(vz, false);
		return r == 0 ? vz_start(vz, false, false) : r;
	}
	vz_warn("Some of the parameters could not be applied to a running container. "
		"Please consider using --setmode option");
	return 0;
}

static int change(const struct vz *vz, struct vz_wish *w)
{
	lg_autojson json_t *answer = NULL;
	const char *path;
	json_t *params;
	int r;

	/* Without --save a stopped container has nothing that could be changed. */
	if (!vz->running && !w->save) {
		warn_unsaved(vz);
		return 0;
	}
	params = json_pack("{s:O, s:O, s:O, s:b}", "set", w->set, "add_ip", w->add_ip, "del_ip",
			   w->del_ip, "save", w->save);
	r = vz_call(vz, "Set", params, &answer);
	if (r < 0) {
		if (w->save)
			fputs("Error: failed to apply some parameters, not saving configuration "
			      "file!\n", stderr);
		return r;
	}
	vz_warnings(answer);
	path = lg_json_str(json_object_get(answer, "instance"), "conf_path");
	if (w->save)
		vz_say(vz, "CT configuration saved to %s", path ? path : "its file");
	else
		warn_unsaved(vz);
	return settle_restart(vz, w, answer);
}

/* A stopped container is started for as long as it takes. */
static int password(struct vz *vz, const struct vz_wish *w)
{
	bool stopped = !vz->running;
	int r = 0, end = 0;

	if (vz->suspended)
		return vz_refuse(vz, LG_EXIT_NOT_RUNNING, "Container is suspended: resume it first");
	if (stopped)
		r = vz_start(vz, false, false);
	if (r == 0)
		r = vz_set_password(vz, w->userpasswd, w->crypted);
	if (stopped && r != LG_EXIT_RUNNING) {
		struct lg_err kept = vz->cli->err;

		end = vz_stop(vz, true);
		if (r != 0)
			vz->cli->err = kept;
	}
	return r ? r : end;
}

static int set(struct vz *vz, struct vz_wish *w)
{
	lg_autojson json_t *answer = NULL;
	int r = check(vz, w);

	if (r == 0 && json_array_size(w->lists)) {
		r = vz_call(vz, "Show", NULL, &answer);
		if (r == 0)
			r = vz_lists_apply(w, json_object_get(json_object_get(answer, "instance"),
							      "conf"));
	}
	if (r == 0 && w->applyconfig)
		r = apply_sample(vz, w);
	if (r == 0 && !is_empty(w))
		r = change(vz, w);
	if (r == 0 && w->userpasswd)
		r = password(vz, w);
	return r;
}

int vz_set(struct vz *vz)
{
	struct vz_wish w;
	int r = vz_wish_parse(&w, vz->nwords, vz->words, &vz->cli->err);

	if (r == 0)
		r = set(vz, &w);
	vz_wish_free(&w);
	return r;
}
