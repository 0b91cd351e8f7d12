/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Something is about to move in: what is in the way, and what is missing here. */

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "cmd/lodged/foreign.h"
#include "cmd/lodged/import.h"
#include "cmd/lodged/vm.h"
#include "lib/cleanup.h"
#include "lib/json.h"
#include "vm/qemu.h"
#include "vm/transfer.h"

/* ---- a VM: one that is shut down before needs less of this host, and a kernel to boot ---- */

struct offer {
	struct daemon *d;
	struct lg_vcall *call;
	json_t *params;
};

static void asked(void *arg)
{
	struct offer *o = arg;

	api_import_offer(o->call, o->params, o->d);
	lg_vcall_unref(o->call);
	json_decref(o->params);
	free(o);
}

static bool has_memory(const json_t *params)
{
	return lg_json_bool(params, "live", false);
}

/* With what is in memory: this host's QEMU has to be asked first which it is. true: @call comes again. */
static bool waits(struct daemon *d, const struct lg_conf *conf, struct lg_vcall *call, const json_t *params)
{
	struct offer *o = lg_kind_is_vm(conf) && has_memory(params) ? calloc(1, sizeof(*o)) : NULL;

	if (!o)
		return false;
	*o = (struct offer){ d, call, json_incref((json_t *)(uintptr_t)params) };
	if (vm_qemu_ask(d, asked, o)) {
		lg_vcall_ref(call);
		return true;
	}
	json_decref(o->params);
	free(o);
	return false;
}

static void add(json_t *list, const struct lg_err *err)
{
	json_array_append_new(list, lg_varlink_text(err->msg));
}

/* What it would boot under the next time. Its template may be on the way. */
static void check_kernel(struct daemon *d, const struct lg_conf *conf, json_t *list, const char *or_else)
{
	const char *wanted = lg_conf_get(conf, "VM_KERNEL"), *name = lg_conf_get(conf, "OSTEMPLATE");
	struct lg_template t = { 0 }, kernel;
	struct lg_err err = { 0 };

	if (name)
		lg_template_load(d->root.var, name, &t, NULL);
	if (lg_vm_kernel_template(d->root.var, &t, wanted && *wanted ? wanted : NULL, &kernel, &err) == 0)
		return;
	if (or_else)
		lg_within(&err, err.code, "%s", or_else);
	add(list, &err);
}

/* What it was booted from, and is not here. */
static void look_for_files(struct daemon *d, const json_t *vm, json_t *blockers, json_t *need_boot)
{
	const char *base = lg_json_str(vm, "base_id"), *modules = lg_json_str(vm, "modules_id");

	if (!lg_vm_identity_is_sound(base) || !lg_vm_identity_is_sound(modules)) {
		json_array_append_new(blockers, json_string("it is not known what it was booted from"));
		return;
	}
	if (lg_vm_base_find(d->root.var, base, NULL, NULL) < 0)
		json_array_append_new(need_boot, json_string("base"));
	if (lg_vm_kernel_by_id(d->root.var, modules, NULL, NULL) < 0)
		json_array_append_new(need_boot, json_string("kernel"));
}

/* Of a VM that boots what is on its own disk: the firmware, and what is in its drive. */
static void check_hardware(struct daemon *d, const struct lg_conf *conf, const json_t *vm, json_t *blockers)
{
	const char *medium = lg_json_str(vm, "cdrom");
	struct lg_err err = { 0 };
	int fd = -1, r = foreign_check(d, conf, &err);

	/* While it runs something else may be in it than it would be started with. */
	if (r == 0 && medium && *medium)
		r = foreign_open_medium(d, medium, &fd, &err);
	lg_close(fd);
	if (r < 0) {
		lg_within(&err, err.code, "on the other host");
		add(blockers, &err);
	}
}

/* Can a machine go on here that another host's QEMU is or has been? */
static void check_machine(struct daemon *d, const json_t *vm, json_t *blockers)
{
	struct lg_err err = { 0 };
	const char *qemu;

	if (lg_json_int(vm, "memory", 0) <= 0 || !lg_json_str(vm, "machine")) {
		json_array_append_new(blockers, json_string("it is not known what machine it is"));
		return;
	}
	if (vm_accel_check(vm, &err) < 0) {
		lg_within(&err, err.code, "on the other host");
		add(blockers, &err);
	}
	err = (struct lg_err){ 0 };
	if (vm_qemu(d, &qemu, NULL) == 0 && lg_qemu_fits(lg_json_str(vm, "qemu"), d->qemu.version, &err) < 0) {
		lg_within(&err, err.code, "on the other host");
		add(blockers, &err);
	}
}

static void check_vm(struct daemon *d, const struct lg_conf *conf, const json_t *params, json_t *blockers, json_t *notes,
		     json_t *need_boot)
{
	const json_t *vm = json_object_get(params, "vm");
	struct lg_err err = { 0 };

	if (vm_check_host(d, &err) < 0)
		add(blockers, &err);
	if (has_memory(params))
		check_machine(d, vm, blockers);
	if (lg_kind_is_foreign(conf)) {
		check_hardware(d, conf, has_memory(params) ? vm : NULL, blockers);
		return;
	}
	if (!has_memory(params)) {
		check_kernel(d, conf, blockers, NULL);
		return;
	}
	look_for_files(d, vm, blockers, need_boot);
	check_kernel(d, conf, notes, "it goes on there, and cannot be started anew");
}

/* ---- all ---- */

/* Two with one MAC would take each other's traffic. */
static void check_mac(struct daemon *d, const struct lg_conf *conf, json_t *blockers)
{
	const char *mac = lg_conf_get(conf, "MAC");
	char other[18], text[200];

	for (size_t i = 0; mac && i < d->ncts; i++) {
		instance_mac_text(d->cts[i], other);
		if (strcasecmp(other, mac) != 0)
			continue;
		snprintf(text, sizeof(text), "its MAC %.17s is that of %s there: give one of them another (MAC in its "
			 "conf file)", mac, instance_label(d->cts[i]));
		json_array_append_new(blockers, json_string(text));
	}
}

/* Another one of that name is a blocker, and said by the facts (ct/facts.h). Without a name none is needed. */
static bool has_template(struct daemon *d, const char *name)
{
	struct lg_template t;

	return !name || lg_template_load(d->root.var, name, &t, NULL) == 0;
}

void api_import_offer(struct lg_vcall *call, const json_t *params, void *ctx)
{
	struct daemon *d = ctx;
	lg_autojson json_t *blockers = json_array(), *notes = json_array(), *need_boot = json_array();
	struct lg_conf *conf = NULL;
	struct lg_err err = { 0 };
	bool known;

	if (import_read_conf(params, &conf, &err) < 0) {
		lg_vcall_fail(call, &err);
		return;
	}
	if (waits(d, conf, call, params)) {
		lg_conf_free(conf);
		return;
	}
	check_mac(d, conf, blockers);
	if (lg_kind_is_vm(conf))
		check_vm(d, conf, params, blockers, notes, need_boot);
	known = has_template(d, lg_conf_get(conf, "OSTEMPLATE"));
	lg_conf_free(conf);
	lg_vcall_reply(call, json_pack("{s:O, s:O, s:b, s:O}", "blockers", blockers, "notes", notes,
				       "need_template", !known, "need_boot", need_boot));
}
