/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Which QEMU is here. It has to be run to tell, which a worker does, once for each that is installed. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cmd/lodged/vm.h"
#include "lib/log.h"

struct probe {
	struct daemon *d;
	struct qemu_known found;
	void (*then)(void *arg);
	void *arg;
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
	p->then(p->arg);
	free(p);
}

bool vm_qemu_ask(struct daemon *d, void (*then)(void *arg), void *arg)
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
	*p = (struct probe){ .d = d, .then = then, .arg = arg, .found = { .mtime = st.st_mtim.tv_sec } };
	snprintf(p->found.program, sizeof(p->found.program), "%s", path);
	argv[3] = path;
	if (worker_run(d, argv, on_line, on_end, p, &err) == 0)
		return true;
	lg_log(LG_LOG_WARN, "ask QEMU for its version: %s", err.msg);
	free(p);
	return false;
}

bool vm_qemu_microvm(const struct daemon *d, bool kvm)
{
	unsigned int release = 0;

	/*
	 * Seen: QEMU 10 without KVM stands still early in Linux 6.12 as soon as ACPI names a device of a microvm; 7.2 does not, and
	 * neither does a q35. The releases between them were not tried.
	 */
	return kvm || sscanf(d->qemu.version, "%u", &release) != 1 || release < 8;
}
