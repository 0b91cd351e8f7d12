/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vm/spec.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lib/cleanup.h"

#define ID_MIN 65536u	/* never the host's own ids */
#define MEMORY_MIN (16u << 20)
#define VCPUS_MAX 288u

/* clang-format off */
static const struct {
	const char *key;
	size_t at;
	bool needed;
} texts[] = {
	{ "socket",	   offsetof(struct lg_vm_spec, socket),	       true },
	{ "exit_file",	   offsetof(struct lg_vm_spec, exit_file),     true },
	{ "console_log",   offsetof(struct lg_vm_spec, console_log),   true },
	{ "scratch",	   offsetof(struct lg_vm_spec, scratch),       true },
	{ "qemu",	   offsetof(struct lg_vm_spec, qemu),	       true },
	{ "append",	   offsetof(struct lg_vm_spec, append),	       false },
	{ "mac",	   offsetof(struct lg_vm_spec, mac),	       false },
	{ "preset",	   offsetof(struct lg_vm_spec, preset),	       false },
	{ "vnc",	   offsetof(struct lg_vm_spec, vnc),	       false },
	{ "qemu_version",  offsetof(struct lg_vm_spec, qemu_version),  false },
	{ "genid",	   offsetof(struct lg_vm_spec, genid),	       false },
	{ "drive",	   offsetof(struct lg_vm_spec, drive),	       false },
};

/* Fields that say one of two things. */
static const struct {
	const char *key, *no, *yes;
	size_t at;
} choices[] = {
	{ "accel",   "tcg", "kvm",     offsetof(struct lg_vm_spec, kvm) },
	{ "machine", "q35", "microvm", offsetof(struct lg_vm_spec, microvm) },
};
/* clang-format on */

static const char *const formats[] = { "raw", "qcow2", "vmdk", "vhdx" };

static int bad(struct lg_err *err, const char *key)
{
	return lg_refuse(err, -EINVAL, 0, "START has a bad '%s'", key);
}

static int parse_texts(const struct lg_msg *m, struct lg_vm_spec *ret, struct lg_err *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		const char *text = lg_msg_get(m, texts[i].key);

		if (texts[i].needed && (!text || !*text))
			return lg_refuse(err, -EINVAL, 0, "START lacks '%s'", texts[i].key);
		*(const char **)((char *)ret + texts[i].at) = text && *text ? text : NULL;
	}
	for (size_t i = 0; i < ARRAY_SIZE(choices); i++) {
		const char *text = lg_msg_get(m, choices[i].key);
		bool yes = text && strcmp(text, choices[i].yes) == 0;

		if (!yes && (!text || strcmp(text, choices[i].no) != 0))
			return bad(err, choices[i].key);
		*(bool *)((char *)ret + choices[i].at) = yes;
	}
	return 0;
}

static int parse_numbers(const struct lg_msg *m, struct lg_vm_spec *ret, struct lg_err *err)
{
	uint64_t ctid = lg_msg_get_u64(m, "ctid", 0), base = lg_msg_get_u64(m, "id_base", 0);

	ret->memory = lg_msg_get_u64(m, "memory", 0);
	ret->vcpus = lg_msg_get_u64(m, "processors", lg_msg_get_u64(m, "vcpus", 1));
	ret->vcpus_max = lg_msg_get_u64(m, "vcpus_max", ret->vcpus);
	ret->vcpus_added = lg_msg_get_u64(m, "vcpus_added", 0);
	ret->watchdog_s = lg_msg_get_u64(m, "watchdog_s", 0);
	ret->guest = lg_msg_get_u64(m, "guest", 0) != 0;
	ret->incoming = lg_msg_get_u64(m, "incoming", 0) != 0;
	if (ctid == 0 || ctid > UINT32_MAX)
		return bad(err, "ctid");
	if (base < ID_MIN || base >= UINT32_MAX)
		return bad(err, "id_base");
	if (ret->memory < MEMORY_MIN || ret->memory > INT64_MAX)
		return bad(err, "memory");
	if (ret->vcpus < 1 || ret->vcpus > VCPUS_MAX)
		return bad(err, "vcpus");
	if (ret->vcpus_max < ret->vcpus || ret->vcpus_max > VCPUS_MAX)
		return bad(err, "vcpus_max");
	if (ret->vcpus_added > LG_VM_CPUS_ADDED || ret->vcpus_added > ret->vcpus_max - ret->vcpus)
		return bad(err, "vcpus_added");
	if (ret->watchdog_s > 86400u)
		return bad(err, "watchdog_s");
	ret->ctid = (uint32_t)ctid;
	ret->id_base = (uint32_t)base;
	return 0;
}

/* It becomes part of QEMU's options, where a comma begins the next one. */
static bool is_plain(const char *text)
{
	return *text && !text[strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-")];
}

static int parse_disk(const char *field, struct lg_vm_disk *ret, struct lg_err *err)
{
	char mode[3];
	bool known = false;

	ret->fd = -1;
	if (sscanf(field, "%15s %7s %2s", ret->role, ret->format, mode) != 3 || !is_plain(ret->role))
		return bad(err, "disk");
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++)
		known |= strcmp(ret->format, formats[i]) == 0;
	ret->writable = strcmp(mode, "rw") == 0;
	return known && (ret->writable || strcmp(mode, "ro") == 0) ? 0 : bad(err, "disk");
}

static int parse_disks(const struct lg_msg *m, struct lg_vm_spec *ret, struct lg_err *err)
{
	for (const char *v = lg_msg_get(m, "disk"); v; v = lg_msg_next(m, "disk", v)) {
		if (ret->ndisks == LG_VM_DISKS)
			return lg_refuse(err, -E2BIG, 0, "START has too many 'disk'");
		if (parse_disk(v, &ret->disks[ret->ndisks], err) < 0)
			return err->code;
		ret->ndisks++;
	}
	return 0;
}

static bool is_mac(const char *text)
{
	unsigned int b[6];
	char end;

	return sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x%c", &b[0], &b[1], &b[2], &b[3], &b[4], &b[5], &end) == 6;
}

static int take_fds(struct lg_msg *m, struct lg_vm_spec *ret, struct lg_err *err)
{
	unsigned int want = 1 + (ret->guest ? 2 : 0) + ret->ndisks + (ret->mac ? 1 : 0) + (ret->incoming ? 1 : 0);
	unsigned int n = 0;

	if (m->nfds != want)
		return lg_refuse(err, -EINVAL, 0, "START came with %u descriptors, not %u", m->nfds, want);
	ret->cgroup_fd = lg_msg_take_fd(m, n++);
	if (ret->guest) {
		ret->kernel_fd = lg_msg_take_fd(m, n++);
		ret->initrd_fd = lg_msg_take_fd(m, n++);
	}
	for (unsigned int i = 0; i < ret->ndisks; i++)
		ret->disks[i].fd = lg_msg_take_fd(m, n++);
	if (ret->mac)
		ret->tap_fd = lg_msg_take_fd(m, n++);
	if (ret->incoming)
		ret->incoming_fd = lg_msg_take_fd(m, n++);
	return 0;
}

int lg_vm_spec_parse(struct lg_msg *m, struct lg_vm_spec *ret, struct lg_err *err)
{
	int r;

	*ret = (struct lg_vm_spec){ .msg = m, .cgroup_fd = -1, .kernel_fd = -1, .initrd_fd = -1, .tap_fd = -1,
				    .incoming_fd = -1 };
	r = parse_texts(m, ret, err);
	if (r == 0)
		r = parse_numbers(m, ret, err);
	if (r == 0)
		r = parse_disks(m, ret, err);
	if (r == 0 && ret->mac && !is_mac(ret->mac))
		r = bad(err, "mac");
	if (r == 0 && ret->microvm && !ret->guest)
		r = lg_refuse(err, -EINVAL, 0, "a microvm machine boots a template's kernel and nothing else");
	return r < 0 ? r : take_fds(m, ret, err);
}

void lg_vm_spec_close(struct lg_vm_spec *spec)
{
	int *const fds[] = { &spec->cgroup_fd, &spec->kernel_fd, &spec->initrd_fd, &spec->tap_fd, &spec->incoming_fd };

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		*fds[i] = lg_close(*fds[i]);
	for (unsigned int i = 0; i < spec->ndisks; i++)
		spec->disks[i].fd = lg_close(spec->disks[i].fd);
}
