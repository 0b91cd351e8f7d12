/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * What state.json has of a VM, and its start out of it. The machine is the one of then, whatever the conf file says now: memory,
 * processors, the files that it booted from, which are found by what they are (vm/transfer.h): the state may have come from elsewhere,
 * and so may they. What lodged applies from outside (limits, disk, link) is as the conf file has it.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/lodged/criu.h"
#include "cmd/lodged/suspend.h"
#include "cmd/lodged/vm.h"
#include "lib/cleanup.h"
#include "lib/file.h"
#include "lib/json.h"
#include "storage/layer.h"

#define CPUINFO_MAX (4u << 20)

/* Under KVM the guest sees the host's own processor. */
static void host_cpu(char ret[80])
{
	static const char key[] = "\nmodel name\t: ";
	lg_autofree char *text = NULL;
	const char *at;

	ret[0] = '\0';
	if (lg_file_read(AT_FDCWD, "/proc/cpuinfo", CPUINFO_MAX, &text, NULL, NULL) == 0 && (at = strstr(text, key)))
		snprintf(ret, 80, "%.*s", (int)strcspn(at + sizeof(key) - 1, "\n"), at + sizeof(key) - 1);
}

json_t *vm_saved_json(const struct instance *ct)
{
	json_t *vm = vm_run_json(ct);
	char cpu[80];

	if (!vm)
		return NULL;
	json_object_set_new(vm, "qemu", json_string(ct->vm_run.qemu));
	if (ct->vm_run.kvm) {
		host_cpu(cpu);
		json_object_set_new(vm, "cpu", json_string(cpu));
	}
	return vm;
}

json_t *vm_move_json(const struct instance *ct)
{
	lg_autojson json_t *state = ct->state == STATE_SUSPENDED ? checkpoint_state(ct) : NULL;
	json_t *vm = state ? json_incref(json_object_get(state, "vm")) : vm_saved_json(ct);

	return vm ? vm : json_null();
}

int vm_accel_check(const json_t *vm, struct lg_err *err)
{
	const char *then = lg_json_str(vm, "cpu"), *why;
	char now[80];

	if (!lg_json_bool(vm, "kvm", false))
		return 0;	/* emulated it can be everywhere */
	if (!lg_kvm_usable(&why))
		return lg_refuse(err, -EINVAL, 0, "it ran under KVM, which cannot be used here: %s", why);
	host_cpu(now);
	return then && strcmp(then, now) != 0 ?
		       lg_refuse(err, -EINVAL, 0, "it ran on a processor of another kind: %.79s", then) : 0;
}

int vm_resume_check(const struct instance *ct, const json_t *state, struct lg_err *err)
{
	const json_t *vm = json_object_get(state, "vm");
	struct instance then = { .d = ct->d, .conf = ct->conf, .vm = true };
	int r;

	if (!ct->vm && !vm)
		return 0;
	if (!ct->vm || !vm)
		return lg_refuse(err, -EINVAL, 0, "it was suspended as a %s, and its conf file makes it a %s",
				 vm ? "VM" : "container", ct->vm ? "VM" : "container");
	vm_run_read(&then, vm);
	if (then.vm_run.memory == 0 || then.vm_run.vcpus == 0 || !then.vm_run.machine[0])
		r = lg_refuse(err, -EPROTO, 0, "its checkpoint does not say what machine it was");
	else
		r = vm_accel_check(vm, err);
	if (r == 0)
		r = vm_files_locate(&then, err);
	free(then.vm_files);
	return r;
}

int vm_resume_prepare(struct op *op, struct lg_err *err)
{
	lg_autojson json_t *state = op->state_fd < 0 ? checkpoint_state(op->ct) : NULL;
	const char *qemu = op->state_fd >= 0 ? op->ct->vm_run.qemu : lg_json_str(json_object_get(state, "vm"), "qemu");

	if (!state && op->state_fd < 0)
		return lg_refuse(err, -ENOENT, 0, "its checkpoint is not there");
	if (state)
		vm_run_read(op->ct, json_object_get(state, "vm"));
	snprintf(op->vm->qemu, sizeof(op->vm->qemu), "%s", qemu ? qemu : "");
	return vm_files_locate(op->ct, err);
}

/* It goes on at once, and is no copy. */
static int put_stream(struct op *op, struct lg_msg *m, int *ret)
{
	*ret = lg_take_fd(&op->state_fd);
	lg_msg_put(m, "incoming", "1");
	lg_msg_put(m, "genid", op->ct->vm_run.genid);
	return lg_msg_put(m, "qemu_version", op->vm->qemu);
}

int vm_resume_put(struct op *op, struct lg_msg *m, int *ret, struct lg_err *err)
{
	lg_autoclose int images = -1;
	int r;

	if (op->state_fd >= 0)
		return put_stream(op, m, ret);
	r = checkpoint_open(op->ct, &images, NULL, err);

	if (r < 0)
		return r;
	*ret = openat(images, VM_STATE_FILE, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (*ret < 0)
		return lg_fail(err, -errno, "open '" VM_STATE_FILE "' of its checkpoint");
	lg_msg_put(m, "incoming", "1");
	return lg_msg_put(m, "qemu_version", op->vm->qemu);
}
