/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * How a VM's start goes: the same table as a container's, with other steps in the middle. What it boots from is made first where it
 * is not there. The spare shim becomes lodge-vm, which starts QEMU with everything as a descriptor and its processors stopped, and
 * lets them run at GO. From there on the guest has a say, and the shim's watchdog an eye on it: a boot that hangs ends with FAILED
 * and the stage that it hung at.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/lodged/foreign.h"
#include "cmd/lodged/migrate.h"
#include "cmd/lodged/start.h"
#include "cmd/lodged/suspend.h"
#include "ct/proto.h"
#include "lib/cleanup.h"
#include "lib/log.h"
#include "lib/settings.h"
#include "vm/spec.h"

#define CPUS_LIVE 4u		/* that a machine has at least, or has places for, if the host does */
#define MAKE_TIMEOUT_S 1800u	/* a base disk of a large template */
#define MACHINE_TIMEOUT_S 60u	/* until QEMU is there */
#define BOOT_KVM_S 60u
#define BOOT_TCG_S 180u
#define STREAM_S (24u * 3600)	/* its state comes from another host */
#define BOOT_GRACE_S 30u	/* in which the shim says why it gave up */
#define FOR_EVER_S (UINT64_C(100) * 365 * 86400)

void vm_start_free(struct vm_start *vm)
{
	if (vm)
		lg_close(vm->tap);
	free(vm);
}

/* ---- what it is, and what it boots from ---- */

/* @most, as far as the host has them. */
static unsigned int at_least(unsigned int wanted, unsigned int most)
{
	long host = sysconf(_SC_NPROCESSORS_ONLN);

	if (host > 0 && host < (long)most)
		most = (unsigned int)host;
	return wanted > most ? wanted : most;
}

/*
 * With a template they are there, and its agent switches them on when they are asked for. A system of its own has places for them: an
 * empty one costs it no more than some memory, so that there are also as many again as it starts with.
 */
static void choose_cpus(const struct lg_conf *conf, struct vm_run *run)
{
	unsigned int twice = run->vcpus + (run->vcpus < LG_VM_CPUS_ADDED ? run->vcpus : LG_VM_CPUS_ADDED);

	if (lg_kind_is_foreign(conf))
		run->cpus_max = at_least(run->vcpus, twice > CPUS_LIVE ? twice : CPUS_LIVE);
	else
		run->vcpus = at_least(run->vcpus, CPUS_LIVE);
}

static int check_vm(void *ctx, struct lg_err *err)
{
	struct op *op = ctx;
	struct instance *ct = op->ct;
	struct vm_run *run = &ct->vm_run;
	uint64_t boot = 0;
	int r = start_check_conf(op, err);

	if (r == 0)
		r = vm_check_host(ct->d, err);
	if (r < 0)
		return r;
	if (op->restore)
		return vm_resume_prepare(op, err);
	*run = (struct vm_run){ .kvm = lg_kvm_usable(NULL) };
	snprintf(run->machine, sizeof(run->machine), VM_MACHINE_FOREIGN);
	if (lg_kind_is_foreign(ct->conf))
		snprintf(run->cdrom, sizeof(run->cdrom), "%s", foreign_medium(ct->conf));
	r = lg_vm_memory(ct->conf, &run->memory, err);
	if (r == 0)
		r = lg_vm_cpus(ct->conf, &run->vcpus, err);
	if (r == 0)
		choose_cpus(ct->conf, run);
	if (r == 0)
		r = lg_setting_value(ct->conf, "boot-timeout", run->kvm ? BOOT_KVM_S : BOOT_TCG_S, &boot, err);
	op->vm->watchdog_s = boot > UINT32_MAX / 2 ? UINT32_MAX / 2 : (unsigned int)boot;
	return r;
}

struct making {
	struct daemon *d;
	uint32_t ctid;
};

/* The start may have run out of time meanwhile. */
static struct op *op_of(const struct making *m)
{
	struct instance *ct = instance_by_ctid(m->d, m->ctid);

	return ct && ct->op && ct->op->vm && ct->op->vm->making ? ct->op : NULL;
}

static void on_line(const char *line, void *arg)
{
	struct op *op = op_of(arg);

	if (op)
		op_progress(op, "%s", line);
}

static void made(int r, const struct lg_err *err, void *arg)
{
	struct op *op = op_of(arg);

	free(arg);
	if (!op)
		return;
	op->vm->making = false;
	if (r < 0 && !op->err.code)
		op->err = *err;
	start_event(op);
}

/* Twice for the same is once too often: a worker of another release makes what we do not look for. */
static int ask_once(struct vm_start *vm, const struct vm_job *job, struct lg_err *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(vm->made); i++) {
		if (vm->made[i] && strcmp(vm->made[i], job->argv[0]) == 0)
			break;
		if (!vm->made[i]) {
			vm->made[i] = job->argv[0];
			return 0;
		}
	}
	return lg_refuse(err, -EIO, 0, "the worker made of template %s what lodged does not find: was lodge replaced while it ran? Restart lodged",
			 job->name);
}

static int run_job(struct op *op, const struct vm_job *job, struct lg_err *err)
{
	struct making *m;
	int r = ask_once(op->vm, job, err);

	if (r < 0)
		return r;
	m = calloc(1, sizeof(*m));
	if (!m)
		return lg_fail(err, -ENOMEM, "make what it boots from");
	*m = (struct making){ op->ct->d, op->ct->ctid };
	r = worker_run(op->ct->d, job->argv, on_line, made, m, err);
	if (r < 0)
		free(m);
	else
		start_allow_time(op, MAKE_TIMEOUT_S);
	op->vm->making = r == 0;
	return r < 0 ? r : LG_STEP_WAIT;
}

static void known(void *arg)
{
	made(0, NULL, arg);
}

/* What its machine is depends on what QEMU can do with it. */
static int choose_machine(void *ctx, struct lg_err *err)
{
	struct op *op = ctx;
	struct vm_run *run = &op->ct->vm_run;
	struct making *m;

	if (op->err.code) {
		*err = op->err;
		return err->code;
	}
	if (op->vm->making)
		return LG_STEP_WAIT;
	if (op->restore || lg_kind_is_foreign(op->ct->conf))
		return 0;
	m = calloc(1, sizeof(*m));
	if (!m)
		return lg_fail(err, -ENOMEM, "ask QEMU for its version");
	*m = (struct making){ op->ct->d, op->ct->ctid };
	op->vm->making = !run->kvm && vm_qemu_ask(op->ct->d, known, m);
	if (op->vm->making)
		return LG_STEP_WAIT;
	free(m);
	snprintf(run->machine, sizeof(run->machine), "%s", vm_qemu_microvm(op->ct->d, run->kvm) ? VM_MACHINE : VM_MACHINE_FOREIGN);
	return 0;
}

static void keep_files(struct op *op)
{
	struct instance *ct = op->ct;

	snprintf(ct->vm_run.kernel, sizeof(ct->vm_run.kernel), "%s", op->vm->files.kernel.version);
	if (!ct->vm_files)
		ct->vm_files = calloc(1, sizeof(*ct->vm_files));
	if (ct->vm_files)
		*ct->vm_files = op->vm->files;
}

static int make_files(void *ctx, struct lg_err *err)
{
	struct op *op = ctx;
	struct vm_job job;
	int r;

	if (op->err.code) {
		*err = op->err;
		return err->code;
	}
	if (op->vm->making)
		return LG_STEP_WAIT;
	if (lg_kind_is_foreign(op->ct->conf)) {
		start_allow_time(op, MACHINE_TIMEOUT_S);
		return foreign_check_machine(op->ct, err);
	}
	/* The same as then, or QEMU would not know the machine again. */
	if (op->restore) {
		op->vm->files = *op->ct->vm_files;
		return 0;
	}
	r = vm_files_find(op->ct->d, op->ct->conf, &op->template, &op->vm->files, &job, err);
	if (r == 1)
		return run_job(op, &job, err);
	if (r == 0)
		r = vm_files_note(&op->vm->files, &op->ct->vm_run, err);
	if (r == 0) {
		keep_files(op);
		start_allow_time(op, MACHINE_TIMEOUT_S);
	}
	return r;
}

/* ---- its link ---- */

static int make_tap(void *ctx, struct lg_err *err)
{
	struct op *op = ctx;
	struct lg_addr addrs[IPS_MAX];
	struct lg_net_if ifc;

	int r;

	instance_net_if(op->ct, &ifc, addrs);
	r = lg_net_tap(op->ct->d->net, &ifc, op->ct->id_base, &op->vm->tap, err);
	/* It is announced as soon as its state is read, and may yet stay where it is. */
	if (r == 0 && op->hold)
		lg_net_quiet(op->ct->d->net, &ifc, true);
	return r;
}

static void remove_tap(void *ctx)
{
	struct op *op = ctx;

	op->vm->tap = lg_close(op->vm->tap);
	start_detach_network(op);
}

/* ---- QEMU ---- */

static int become(struct op *op, struct lg_err *err)
{
	struct lg_msg m;
	char path[300];
	int r;

	snprintf(path, sizeof(path), "%s/lodge-vm", op->ct->d->libexec);
	lg_msg_init(&m, LG_P_BECOME);
	lg_msg_put(&m, "program", path);
	r = lg_msg_send(op->shim->sock, &m);
	return r < 0 ? lg_fail(err, r, "speak to the shim") : 0;
}

static int send_start(struct op *op, struct lg_err *err)
{
	int fds[VM_SPEC_FDS], r;
	struct lg_msg m;

	for (size_t i = 0; i < VM_SPEC_FDS; i++)
		fds[i] = -1;
	r = lg_kind_is_foreign(op->ct->conf) ? foreign_spec(op, &m, fds, err) : spec_vm_make(op, &m, fds, err);
	if (r == 0)
		r = become(op, err);
	if (r == 0 && (r = lg_msg_send(op->shim->sock, &m)) < 0)
		lg_fail(err, r, "speak to the shim");
	for (size_t i = 0; i < VM_SPEC_FDS; i++)
		lg_close(fds[i]);
	/* QEMU's alone from here on: it goes with it. */
	op->vm->tap = lg_close(op->vm->tap);
	return r;
}

static int make_machine(void *ctx, struct lg_err *err)
{
	struct op *op = ctx;
	struct limits limits;
	int r;

	if (op->err.code) {
		*err = op->err;
		return err->code;
	}
	if (op->made) {
		op->netns_fd = lg_close(op->netns_fd);
		if (op->hold)
			start_allow_time(op, STREAM_S);
		return 0;
	}
	r = start_read_limits(op, &limits, err);
	/* From here on a daemon that comes after this one may find it running. */
	if (r == 0)
		r = runtime_save(op->ct, "start", err);
	if (r == 0)
		r = send_start(op, err);
	if (r == 0)
		r = start_set_limits(op, &limits, err);
	return r < 0 ? r : LG_STEP_WAIT;
}

static void kill_machine(void *ctx)
{
	struct op *op = ctx;
	char name[16];

	snprintf(name, sizeof(name), "%u", op->ct->ctid);
	lg_cg_kill(op->ct->d->cg, name, NULL);
}

static int release(void *ctx, struct lg_err *err)
{
	struct op *op = ctx;

	if (!op->running && !op->err.code && !op->restore)
		start_allow_time(op, op->vm->watchdog_s ? op->vm->watchdog_s + BOOT_GRACE_S : FOR_EVER_S);
	if (!op->running && !op->err.code && op->incoming && !op->hold)
		migrate_quiet(op->ct, false);
	return start_release(op, err);
}

/* It waits in the tap until the guest looks. */
static int tell_gateway(void *ctx, struct lg_err *err)
{
	struct op *op = ctx;
	struct lg_addr addrs[IPS_MAX];
	struct lg_net_if ifc;

	(void)err;
	instance_net_if(op->ct, &ifc, addrs);
	if (op->restore && ifc.naddrs)
		lg_net_tell_gateway(op->ct->d->net, &ifc, NULL);
	return 0;
}

static const struct lg_step steps[] = {
	{ "check its configuration", check_vm, NULL },
	{ "choose its machine", choose_machine, NULL },
	{ "make what it boots from", make_files, NULL },
	{ "umount its root", start_umount_first, NULL },
	{ "write the intent", start_write_intent, start_forget_intent },
	{ "take a range of ids", start_take_ids, NULL },
	{ "wait for its layer", start_wait_for_layer, NULL },
	{ "take a shim", start_take_shim, start_give_up_shim },
	{ "make its cgroup", start_make_cgroup, NULL /* swept when the shim has ended */ },
	{ "make its link", make_tap, remove_tap },
	{ "start QEMU and set its limits", make_machine, kill_machine },
	{ "boot it", release, NULL },
	{ "tell it its gateway", tell_gateway, NULL },
	{ "write the result", start_write_result, NULL },
};

static void warn_accel(struct op *op)
{
	json_t *line = vm_accel_warning(), *list;

	if (!line)
		return;
	if (!op->answer)
		op->answer = json_object();
	list = json_object_get(op->answer, "warnings");
	if (!list)
		json_object_set_new(op->answer, "warnings", list = json_array());
	json_array_append_new(list, line);
}

int start_vm_init(struct op *op, struct lg_err *err)
{
	op->vm = calloc(1, sizeof(*op->vm));
	if (!op->vm)
		return lg_fail(err, -ENOMEM, "start %s", instance_label(op->ct));
	op->vm->tap = -1;
	if (op->call)
		warn_accel(op);
	lg_run_init(&op->run, steps, ARRAY_SIZE(steps), op);
	return 0;
}
