/* SPDX-License-Identifier: GPL-2.0-or-later */

/* A VM is about to move in: what it needs of this host. One that is shut down before needs less of it, and a kernel to boot. */

#include <stdlib.h>

#include "cmd/lodged/import.h"
#include "cmd/lodged/vm.h"
#include "lib/json.h"
#include "vm/qemu.h"
#include "vm/transfer.h"

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

bool import_vm_waits(struct daemon *d, const struct lg_conf *conf, struct lg_vcall *call, const json_t *params)
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

void import_vm_check(struct daemon *d, const struct lg_conf *conf, const json_t *params, json_t *blockers, json_t *notes,
		     json_t *need_boot)
{
	const json_t *vm = json_object_get(params, "vm");
	struct lg_err err = { 0 };

	if (vm_check_host(d, &err) < 0)
		add(blockers, &err);
	if (!has_memory(params)) {
		check_kernel(d, conf, blockers, NULL);
		return;
	}
	check_machine(d, vm, blockers);
	if (lg_kind_is_foreign(conf))
		return;
	look_for_files(d, vm, blockers, need_boot);
	check_kernel(d, conf, notes, "it goes on there, and cannot be started anew");
}
