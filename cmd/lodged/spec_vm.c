/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What a VM's start says to its shim: LG_P_START as of vm/start.h. */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "cmd/lodged/spec.h"
#include "cmd/lodged/vm.h"
#include "ct/proto.h"
#include "lib/cleanup.h"
#include "lib/exit.h"
#include "storage/image.h"
#include "storage/layer.h"

#define STATE 6u		/* its place among the descriptors */
#define DISK_PATIENCE_MS 500u	/* the last mount of it, or the last QEMU, may be just going */

static const char *const disks[] = { "base raw ro", "layer raw rw", "modules raw ro" };

static int open_file(const char *path, struct lg_err *err)
{
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? lg_fail(err, -errno, "open '%s'", path) : fd;
}

static int open_layer(const struct instance *ct, struct lg_err *err)
{
	char path[LG_LAYER_PATH];

	if (!lg_layer_image(ct->d->root.var, ct->ctid, path))
		return lg_refuse(err, -ENOENT, LG_EXIT_NO_PRIVATE, "its disk ('%s') is not there", path);
	return lg_image_open(path, DISK_PATIENCE_MS, err);
}

/* In the order that START wants: cgroup, kernel, initrd, a file for each disk. */
static int open_all(struct op *op, int fds[VM_SPEC_FDS], struct lg_err *err)
{
	const struct vm_files *files = &op->vm->files;
	const char *const paths[VM_SPEC_FDS] = {
		[1] = files->kernel.vmlinux, [2] = files->kernel.initrd, [3] = files->base, [5] = files->kernel.modules,
	};
	char name[16];

	snprintf(name, sizeof(name), "%u", op->ct->ctid);
	fds[0] = lg_cg_open(op->ct->d->cg, name, false, err);
	if (fds[0] >= 0)
		fds[4] = open_layer(op->ct, err);
	if (fds[0] < 0 || fds[4] < 0)
		return err->code;
	for (size_t i = 0; i < VM_SPEC_FDS; i++)
		if (paths[i] && (fds[i] = open_file(paths[i], err)) < 0)
			return fds[i];
	return 0;
}

static bool has_family(const struct lg_addr *addrs, unsigned int n, int family)
{
	for (unsigned int i = 0; i < n; i++)
		if (addrs[i].family == family)
			return true;
	return false;
}

void spec_vm_put_addrs(const struct instance *ct, const struct lg_conf *conf, struct lg_msg *m)
{
	const struct lg_addr *gateways[] = { &ct->d->net_conf.gw4, &ct->d->net_conf.gw6 };
	struct instance with = { .conf = (struct lg_conf *)(uintptr_t)conf };
	struct lg_addr addrs[IPS_MAX];
	unsigned int n = instance_addrs(&with, addrs);
	char text[LG_ADDR_TEXT];

	for (unsigned int i = 0; i < n; i++) {
		lg_format_addr(&addrs[i], true, text);
		lg_msg_put(m, "addr", text);
	}
	for (size_t i = 0; i < ARRAY_SIZE(gateways); i++) {
		if (!gateways[i]->family || !has_family(addrs, n, gateways[i]->family))
			continue;
		lg_format_addr(gateways[i], false, text);
		lg_msg_put(m, "gateway", text);
	}
}

/* A card is there without an address, too: it may be given one while it runs. */
static void put_network(const struct instance *ct, struct lg_msg *m)
{
	struct lg_addr addrs[IPS_MAX];
	struct lg_net_if ifc;
	char mac[18];

	instance_net_if(ct, &ifc, addrs);
	instance_mac_text(ct, mac);
	lg_msg_put(m, "mac", mac);
	lg_msg_put(m, "ifname", ifc.name);
	lg_msg_put_u64(m, "mtu", ifc.mtu);
	spec_vm_put_addrs(ct, ct->conf, m);
}

/* Of the processors that its machine has, those that are to be on. */
static unsigned int vcpus_on(const struct instance *ct)
{
	unsigned int n = 0;

	return lg_vm_cpus(ct->conf, &n, NULL) == 0 && n < ct->vm_run.vcpus ? n : ct->vm_run.vcpus;
}

static int put_cmdline(const struct instance *ct, struct lg_msg *m, struct lg_err *err)
{
	const struct vm_run *run = &ct->vm_run;
	char text[512];
	int r = lg_vm_cmdline(run->kvm ? "kvm" : "tcg", run->machine, vcpus_on(ct), text, sizeof(text));

	return r < 0 ? lg_fail(err, r, "its kernel's command line") : lg_msg_put(m, "append", text);
}

static void put_machine(const struct op *op, struct lg_msg *m)
{
	const struct instance *ct = op->ct;
	const struct lg_root *root = &ct->d->root;
	char scratch[300];

	lg_msg_put_u64(m, "ctid", ct->ctid);
	lg_msg_put_u64(m, "id_base", ct->id_base);
	snprintf(scratch, sizeof(scratch), "%s/scratch", root->run);
	lg_msg_put(m, "scratch", scratch);
	lg_msg_put(m, "accel", ct->vm_run.kvm ? "kvm" : "tcg");
	lg_msg_put(m, "machine", ct->vm_run.machine);
	lg_msg_put_u64(m, "memory", ct->vm_run.memory);
	lg_msg_put_u64(m, "processors", ct->vm_run.vcpus);
	lg_msg_put_u64(m, "vcpus", vcpus_on(ct));
	lg_msg_put_u64(m, "watchdog_s", op->vm->watchdog_s);
	lg_msg_put(m, "preset", "linux");
	lg_msg_put(m, "guest", "1");
	lg_msg_put(m, "init", op->template.init);
	lg_msg_put(m, "arg", op->template.init);
	for (size_t i = 0; i < ARRAY_SIZE(disks); i++)
		lg_msg_put(m, "disk", disks[i]);
}

int spec_vm_make(struct op *op, struct lg_msg *m, int fds[VM_SPEC_FDS], struct lg_err *err)
{
	const char *qemu;
	int r = vm_qemu(op->ct->d, &qemu, err);

	if (r == 0)
		r = open_all(op, fds, err);
	if (r < 0)
		return r;
	lg_msg_init(m, LG_P_START);
	lg_msg_put(m, "qemu", qemu);
	spec_put_shim_paths(op->ct, m);
	put_machine(op, m);
	put_network(op->ct, m);
	r = put_cmdline(op->ct, m, err);
	if (r == 0)
		r = spec_put_kernel(op->ct, m, err);
	if (r == 0)
		r = spec_put_guest(op, m, err);
	if (r == 0 && op->restore)
		r = vm_resume_put(op, m, &fds[STATE], err);
	for (size_t i = 0; r == 0 && i < STATE; i++)
		r = lg_msg_put_fd(m, fds[i]);
	if (r == 0)
		r = lg_msg_put_fd(m, op->vm->tap);
	if (r == 0 && op->restore)
		r = lg_msg_put_fd(m, fds[STATE]);
	return r;
}
