/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * QEMU's command line: nothing that it would make by itself, every file and socket by descriptor, and what it does when
 * the guest ends is to say so and end, too.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/cleanup.h"
#include "vm/agent.h"
#include "vm/spec.h"

/* What a guest system's own drivers know, and what it expects of its machine. */
/* clang-format off */
static const struct preset {
	const char *name, *disk, *nic, *cpu, *kvm_cpu, *rtc;
} presets[] = {
	{ "linux",   "virtio-blk", "virtio-net", "", "", "base=utc" },
	{ "freebsd", "virtio-blk", "virtio-net", "", "", "base=utc" },
	{ "windows", "ide-hd",	   "e1000e",	 "", ",hv-relaxed=on,hv-vapic=on,hv-spinlocks=0x1fff,hv-time=on,hv-vpindex=on,"
						     "hv-synic=on,hv-stimer=on,hv-frequencies=on", "base=localtime,driftfix=slew" },
	{ "other",   "ide-hd",	   "e1000e",	 "", "", "base=utc" },
};

/* Given to every QEMU as they are. */
static const char *const always[] = {
	"-nodefaults", "-no-user-config",
	"-S",			/* the processors begin with GO */
	"-no-reboot",		/* a reset ends it, and the reason says so */
	"-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
};

/* Stream sockets that it is born with, and what they are for. */
static const struct {
	const char *id;
	size_t at;
} sockets[] = {
	{ "qmp",     offsetof(struct lg_vm_places, qmp) },
	{ "console", offsetof(struct lg_vm_places, console) },
	{ "agent",   offsetof(struct lg_vm_places, agent) },
};
/* clang-format on */

static void __attribute__((format(printf, 2, 3))) add(struct lg_vm_args *a, const char *fmt, ...)
{
	va_list ap;
	int n;

	if (a->failed || a->n == LG_VM_ARGS) {
		a->failed = true;
		return;
	}
	va_start(ap, fmt);
	n = vasprintf(&a->argv[a->n], fmt, ap);
	va_end(ap);
	if (n < 0)
		a->argv[a->n] = NULL;
	a->failed = n < 0;
	if (n >= 0)
		a->argv[++a->n] = NULL;
}

static const struct preset *find_preset(const char *name)
{
	for (size_t i = 0; name && i < ARRAY_SIZE(presets); i++)
		if (strcmp(name, presets[i].name) == 0)
			return &presets[i];
	return &presets[0];
}

/* "virtio-rng" is a device of the bus that the machine has for them. */
static const char *bus(const struct lg_vm_spec *spec)
{
	return spec->microvm ? "device" : "pci";
}

static bool has_role(const struct lg_vm_spec *spec, const char *role)
{
	for (unsigned int i = 0; i < spec->ndisks; i++)
		if (strcmp(spec->disks[i].role, role) == 0)
			return true;
	return false;
}

#define TCG_CODE_MIB "96"

static void add_machine(struct lg_vm_args *a, const struct lg_vm_spec *spec)
{
	add(a, "-machine");
	if (spec->microvm)
		/*
		 * ACPI is how it is told to power off. Under TCG the guest needs the old timer and its interrupt to
		 * measure its clocks with; KVM tells it. Without a clock chip Linux waits seconds for one, twice.
		 */
		add(a, "microvm,acpi=on,isa-serial=on,rtc=on,pit=%s,pic=%s,dump-guest-core=off,mem-merge=off",
		    spec->kvm ? "off" : "on", spec->kvm ? "off" : "on");
	else
		add(a, "q35,dump-guest-core=off,mem-merge=off,vmport=off%s%s%s", has_role(spec, "code") ? ",pflash0=code" : "",
		    has_role(spec, "vars") ? ",pflash1=vars" : "",
		    spec->guest || spec->vnc ? "" : ",graphics=off" /* what boots it speaks on the serial port */);
	add(a, "-accel");
	/* Of translated code as much as its cgroup has room for (LG_VM_OVERHEAD): by itself QEMU takes a gigabyte for a busy guest. */
	add(a, "%s", spec->kvm ? "kvm" : "tcg,thread=multi,tb-size=" TCG_CODE_MIB);
}

/*
 * Before 9.0 an emulating QEMU forgets that memory is written to while it is copied, where it looks at 64 pages at once; a guest that
 * moves breaks then. It looks at each page of a memory that is no multiple of those. The size is rounded up to 8 KiB by QEMU.
 */
#define TCG_MORE 8192u

uint64_t lg_vm_ram(const struct lg_vm_spec *spec)
{
	return spec->kvm ? spec->memory : spec->memory + TCG_MORE;
}

static const char *cpu_model(const struct lg_vm_spec *spec)
{
	return spec->kvm ? "host" : "max";
}

/* The places are said one by one, so that every release of QEMU numbers them alike: a processor that comes is a core. */
static void add_smp(struct lg_vm_args *a, const struct lg_vm_spec *spec)
{
	add(a, "-smp");
	if (spec->vcpus_max > spec->vcpus)
		add(a, "%" PRIu64 ",maxcpus=%" PRIu64 ",sockets=1,cores=%" PRIu64 ",threads=1", spec->vcpus, spec->vcpus_max,
		    spec->vcpus_max);
	else
		add(a, "%" PRIu64, spec->vcpus);
}

/* Those that came while it ran are devices also of the QEMU that reads its state, with the same names (cmd/lodge-vm/cpus.c). */
static void add_added(struct lg_vm_args *a, const struct lg_vm_spec *spec)
{
	for (uint64_t i = spec->vcpus; i < spec->vcpus + spec->vcpus_added; i++) {
		add(a, "-device");
		add(a, "%s-x86_64-cpu,id=" LG_VM_CPU_ID ",socket-id=0,core-id=%" PRIu64 ",thread-id=0", cpu_model(spec), i, i);
	}
}

static void add_processors(struct lg_vm_args *a, const struct lg_vm_spec *spec, const struct preset *p)
{
	add(a, "-cpu");
	add(a, "%s%s%s", cpu_model(spec), p->cpu, spec->kvm ? p->kvm_cpu : "");
	add_smp(a, spec);
	add(a, "-m");
	add(a, "%" PRIu64 "K", lg_vm_ram(spec) / 1024);
	add(a, "-rtc");
	add(a, "%s", p->rtc);
}

static void add_kernel(struct lg_vm_args *a, const struct lg_vm_spec *spec, const struct lg_vm_places *at)
{
	if (!spec->guest)
		return;
	add(a, "-kernel");
	add(a, "/proc/self/fd/%d", at->kernel);
	add(a, "-initrd");
	add(a, "/proc/self/fd/%d", at->initrd);
	add(a, "-append");
	add(a, "%s", spec->append ? spec->append : "");
}

static void add_sockets(struct lg_vm_args *a, const struct lg_vm_spec *spec, const struct lg_vm_places *at)
{
	for (size_t i = 0; i < ARRAY_SIZE(sockets); i++) {
		int fd = *(const int *)((const char *)at + sockets[i].at);

		if (fd < 0)
			continue;
		add(a, "-chardev");
		add(a, "socket,id=%s,fd=%d", sockets[i].id, fd);
	}
	add(a, "-mon");
	add(a, "chardev=qmp,mode=control");
	add(a, "-serial");
	add(a, "chardev:console");
	if (at->agent < 0)
		return;
	add(a, "-device");
	add(a, "virtio-serial-%s,max_ports=2", bus(spec));
	add(a, "-device");
	/* QEMU tells of a port with an id whether the guest has opened it. */
	add(a, "virtserialport,chardev=agent,name=%s", spec->guest ? LG_AGENT_PORT : LG_AGENT_PORT_QEMU ",id=port");
}

/* The set's number is the descriptor's; QEMU keeps a copy of its own. */
static void add_file(struct lg_vm_args *a, const struct lg_vm_disk *disk, int fd)
{
	bool raw = strcmp(disk->format, "raw") == 0;

	add(a, "-add-fd");
	/* What goes into the drive later has its name there, too (cmd/lodge-vm/media.c). */
	add(a, "fd=%d,set=%d%s", fd, fd, strcmp(disk->role, "cdrom") == 0 ? ",opaque=cdrom" : "");
	add(a, "-blockdev");
	add(a, "driver=file,filename=/dev/fdset/%d,node-name=%s%s,read-only=%s,aio=threads,discard=unmap", fd,
	    disk->role, raw ? "" : "-file", disk->writable ? "off" : "on");
	if (raw)
		return;
	add(a, "-blockdev");
	add(a, "driver=%s,file=%s-file,node-name=%s,read-only=%s,discard=unmap", disk->format, disk->role, disk->role,
	    disk->writable ? "off" : "on");
}

/* What the host's disk cannot do the guest is told of: a machine that stands still until somebody looks is no clear state. */
#define ERRORS "werror=report,rerror=report"

#define CD_DRIVE "id=disk-cdrom,bootindex=1"

static void add_disk(struct lg_vm_args *a, const struct lg_vm_spec *spec, const struct lg_vm_disk *disk, int fd,
		     const struct preset *p)
{
	add_file(a, disk, fd);
	/* The firmware and its settings are no drives: the machine has them by their nodes. */
	if (strcmp(disk->role, "code") == 0 || strcmp(disk->role, "vars") == 0)
		return;
	add(a, "-device");
	/* A port of AHCI has room for one, and QEMU does not look for a free one. */
	if (strcmp(disk->role, "cdrom") == 0)
		add(a, "ide-cd,bus=ide.1,drive=cdrom," CD_DRIVE);
	else if (spec->guest || strcmp(p->disk, "virtio-blk") == 0)
		add(a, "virtio-blk-%s,drive=%s,id=disk-%s,serial=%s," ERRORS "%s", bus(spec), disk->role, disk->role, disk->role,
		    spec->guest ? "" : ",bootindex=0");
	else
		add(a, "%s,bus=ide.0,drive=%s,id=disk-%s,serial=%s," ERRORS ",bootindex=0", p->disk, disk->role, disk->role, disk->role);
}

static void add_empty_drive(struct lg_vm_args *a, const struct lg_vm_spec *spec)
{
	if (!spec->drive || has_role(spec, "cdrom"))
		return;
	add(a, "-device");
	add(a, "ide-cd,bus=ide.1," CD_DRIVE);
}

static void add_network(struct lg_vm_args *a, const struct lg_vm_spec *spec, int fd, const struct preset *p)
{
	bool virtio = spec->guest || strcmp(p->nic, "virtio-net") == 0;

	if (fd < 0)
		return;
	add(a, "-netdev");
	add(a, "tap,id=net,fd=%d", fd);
	add(a, "-device");
	if (virtio && spec->microvm)
		add(a, "virtio-net-device,netdev=net,mac=%s", spec->mac);
	else
		add(a, "%s,netdev=net,mac=%s,romfile=", virtio ? "virtio-net-pci" : p->nic, spec->mac);
}

static void add_rest(struct lg_vm_args *a, const struct lg_vm_spec *spec, const char *genid)
{
	add(a, "-device");
	add(a, "virtio-balloon-%s,id=balloon,deflate-on-oom=on,free-page-reporting=on", bus(spec));
	add(a, "-object");
	add(a, "rng-builtin,id=rng");
	add(a, "-device");
	add(a, "virtio-rng-%s,rng=rng", bus(spec));
	if (!spec->microvm) {
		add(a, "-device");
		add(a, "pvpanic");
		add(a, "-device");
		add(a, "vmgenid,guid=%s", genid);
	}
}

static void add_screen(struct lg_vm_args *a, const struct lg_vm_spec *spec)
{
	if (!spec->vnc) {
		add(a, "-display");
		add(a, "none");
		return;
	}
	/* Clients come through us, by descriptor. */
	add(a, "-vnc");
	add(a, "none");
	add(a, "-device");
	add(a, "VGA");
	add(a, "-device");
	add(a, "qemu-xhci");
	add(a, "-device");
	add(a, "usb-tablet");
}

int lg_vm_args_make(const struct lg_vm_spec *spec, const struct lg_vm_places *at, const char *genid,
		    struct lg_vm_args *ret)
{
	const struct preset *p = find_preset(spec->preset);

	*ret = (struct lg_vm_args){ 0 };
	add(ret, "%s", spec->qemu);
	for (size_t i = 0; i < ARRAY_SIZE(always); i++)
		add(ret, "%s", always[i]);
	add(ret, "-name");
	add(ret, "lodge-%" PRIu32, spec->ctid);
	add_machine(ret, spec);
	add_processors(ret, spec, p);
	add_screen(ret, spec);
	add_kernel(ret, spec, at);
	add_sockets(ret, spec, at);
	for (unsigned int i = 0; i < spec->ndisks; i++)
		add_disk(ret, spec, &spec->disks[i], at->disks[i], p);
	add_empty_drive(ret, spec);
	add_network(ret, spec, at->tap, p);
	add_rest(ret, spec, genid);
	add_added(ret, spec);
	if (spec->incoming) {
		/* What the machine's state says is read when the root is empty, as it is the guest's word. */
		add(ret, "-incoming");
		add(ret, "defer");
	}
	return ret->failed ? (ret->n == LG_VM_ARGS ? -E2BIG : -ENOMEM) : 0;
}

void lg_vm_args_free(struct lg_vm_args *args)
{
	for (unsigned int i = 0; i < args->n; i++)
		free(args->argv[i]);
	args->n = 0;
	args->argv[0] = NULL;
}
