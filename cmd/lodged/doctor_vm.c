/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What microVMs need of this host. QEMU has to be run to tell its version, which a worker does; the report waits for it. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cmd/lodged/doctor.h"
#include "cmd/lodged/vm.h"
#include "lib/cleanup.h"
#include "lib/log.h"

struct probe {
	struct daemon *d;
	struct qemu_known found;
	void (*then)(struct daemon *d, struct lg_vcall *call);
	struct lg_vcall *call;
};

static void on_line(const char *line, void *arg)
{
	struct qemu_known *k = &((struct probe *)arg)->found;

	if (strncmp(line, "version ", 8) == 0)
		snprintf(k->version, sizeof(k->version), "%s", line + 8);
}

static void on_end(int r, const struct lg_err *err, void *arg)
{
	struct probe *p = arg;

	if (r < 0)
		lg_log(LG_LOG_WARN, "ask QEMU for its version: %s", err->msg);
	p->d->qemu = p->found;
	p->then(p->d, p->call);
	lg_vcall_unref(p->call);
	free(p);
}

bool doctor_vm_first(struct daemon *d, struct lg_vcall *call, void (*then)(struct daemon *d, struct lg_vcall *call))
{
	const char *path, *argv[] = { "qemu-probe", "--var", d->root.var, NULL, NULL };
	struct lg_err err = { 0 };
	struct probe *p;
	struct stat st;

	if (vm_qemu(d, &path, NULL) < 0 || stat(path, &st) < 0 ||
	    (strcmp(d->qemu.program, path) == 0 && d->qemu.mtime == st.st_mtim.tv_sec))
		return false;
	p = calloc(1, sizeof(*p));
	if (!p)
		return false;
	*p = (struct probe){ .d = d, .then = then, .call = lg_vcall_ref(call), .found = { .mtime = st.st_mtim.tv_sec } };
	snprintf(p->found.program, sizeof(p->found.program), "%s", path);
	argv[3] = path;
	if (worker_run(d, argv, on_line, on_end, p, &err) == 0)
		return true;
	lg_log(LG_LOG_WARN, "ask QEMU for its version: %s", err.msg);
	lg_vcall_unref(p->call);
	free(p);
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
