/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What microVMs need of this host. The report waits until QEMU has told its version. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/lodged/doctor.h"
#include "cmd/lodged/vm.h"

/* A report that waits for QEMU's word. */
struct waiting {
	struct daemon *d;
	struct lg_vcall *call;
	void (*then)(struct daemon *d, struct lg_vcall *call);
};

static void on_known(void *arg)
{
	struct waiting *w = arg;

	w->then(w->d, w->call);
	lg_vcall_unref(w->call);
	free(w);
}

bool doctor_vm_first(struct daemon *d, struct lg_vcall *call, void (*then)(struct daemon *d, struct lg_vcall *call))
{
	struct waiting *w = calloc(1, sizeof(*w));

	if (!w)
		return false;
	*w = (struct waiting){ .d = d, .call = lg_vcall_ref(call), .then = then };
	if (vm_qemu_ask(d, on_known, w))
		return true;
	lg_vcall_unref(w->call);
	free(w);
	return false;
}

static void say_kvm(struct report *r)
{
	const char *why;

	if (lg_kvm_usable(&why))
		say(r, "vm", "ok", "KVM can be used");
	else
		say(r, "vm", "off", "no KVM (%s): VMs run emulated, some twenty times slower", why);
}

static int find_kernel(const struct lg_template *t, void *arg)
{
	char *name = arg;

	if (!t->kernel_for[0])
		return 0;
	snprintf(name, sizeof(t->name), "%s", t->name);
	return 1;
}

static void say_kernel(struct report *r)
{
	char name[sizeof(((struct lg_template *)0)->name)] = "";

	lg_template_each(r->d->root.var, find_kernel, name, NULL);
	if (name[0])
		say(r, "vm", "ok", "template %s has a kernel for VMs", name);
	else
		say(r, "vm", "off", "no kernel for VMs: `lodge template build debian-13-kernel`");
}

void doctor_vm(struct report *r)
{
	struct lg_err err = { 0 };
	const char *path;

	if (vm_check_host(r->d, &err) < 0 || vm_qemu(r->d, &path, &err) < 0) {
		say(r, "vm", "off", "%s; until then only containers can be started", err.msg);
	} else {
		say(r, "vm", "ok", "QEMU %s (%s)", strcmp(r->d->qemu.program, path) == 0 ? r->d->qemu.version : "?", path);
		say_kvm(r);
	}
	say_kernel(r);
}
