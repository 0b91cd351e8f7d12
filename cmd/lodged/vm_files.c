/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What VMs boot from, found or made by a worker; what runs them; and what a VM's conf must say. */

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cmd/lodged/criu.h"
#include "cmd/lodged/foreign.h"
#include "cmd/lodged/vm.h"
#include "lib/cleanup.h"
#include "lib/exit.h"
#include "lib/json.h"
#include "lib/kind.h"
#include "lib/log.h"
#include "vm/qemu.h"
#include "vm/transfer.h"

/* ---- the files ---- */

static void want_base(const struct daemon *d, const struct lg_template *t, struct vm_job *job)
{
	snprintf(job->name, sizeof(job->name), "%s", t->name);
	memcpy(job->argv, ((const char *[8]){ "vm-base", "--var", d->root.var, job->name }), sizeof(job->argv));
}

static void want_kernel(const struct daemon *d, const struct lg_template *kernel, struct vm_job *job)
{
	snprintf(job->name, sizeof(job->name), "%s", kernel->name);
	memcpy(job->argv, ((const char *[8]){ "vm-kernel", "--var", d->root.var, "--file", job->agent, job->name }),
	       sizeof(job->argv));
}

int vm_files_find(const struct daemon *d, const struct lg_conf *conf, const struct lg_template *t, struct vm_files *ret,
		  struct vm_job *job, struct lg_err *err)
{
	const char *var = d->root.var, *wanted = lg_conf_get(conf, "VM_KERNEL");
	struct lg_err missing = { 0 };
	struct lg_template kernel;
	int r = lg_vm_kernel_template(var, t, wanted && *wanted ? wanted : NULL, &kernel, err);

	if (r < 0)
		return r;
	snprintf(job->agent, sizeof(job->agent), "%s/lodge-agent", d->libexec);
	lg_vm_base_path(var, t, ret->base);
	if (!lg_vm_base_ready(var, t)) {
		want_base(d, t, job);
		return 1;
	}
	r = lg_vm_kernel_find(var, &kernel, job->agent, &ret->kernel, &missing);
	if (r == -ENOENT) {
		want_kernel(d, &kernel, job);
		return 1;
	}
	if (r < 0 && err)
		*err = missing;
	return r;
}

int vm_files_prepare(struct daemon *d, const struct lg_conf *conf, struct lg_vcall *call, const json_t *params,
		     void (*again)(struct lg_vcall *call, const json_t *params, void *ctx), struct lg_err *err)
{
	const char *name = lg_conf_get(conf, "OSTEMPLATE");
	struct vm_files files;
	struct lg_template t;
	struct vm_job job;
	int r = lg_template_load(d->root.var, name ? name : "", &t, err);

	if (r == 0)
		r = vm_files_find(d, conf, &t, &files, &job, err);
	if (r <= 0)
		return r;
	if (disk_job_done(params, job.argv[0]))
		return lg_refuse(err, -EIO, 0, "what the worker made of template %s is gone", job.name);
	r = disk_job(d, NULL, job.argv, -1, call, params, again, err);
	return r < 0 ? r : 1;
}

/* ---- cleaning ---- */

static void cleaned(int r, const struct lg_err *err, void *arg)
{
	(void)arg;
	if (r < 0)
		lg_log(LG_LOG_WARN, "what VMs boot from: %s", err->msg);
}

static void say_ids(int to, const char *base, const char *modules)
{
	if (lg_vm_identity_is_sound(base))
		dprintf(to, "%s\n", base);
	if (lg_vm_identity_is_sound(modules))
		dprintf(to, "%s\n", modules);
}

/* What it runs on, is about to run on, and will go on with. */
static int say_used(const struct instance *ct, int to)
{
	lg_autojson json_t *state = NULL;
	const json_t *vm;

	if (!ct->vm)
		return 0;
	if (ct->state == STATE_RUNNING || ct->op || ct->unsettled)
		say_ids(to, ct->vm_run.base_id, ct->vm_run.modules_id);
	if (!checkpoint_is_there(ct))
		return 0;
	state = checkpoint_state(ct);
	vm = json_object_get(state, "vm");
	say_ids(to, lg_json_str(vm, "base_id"), lg_json_str(vm, "modules_id"));
	return state ? 0 : -EIO;
}

void vm_files_clean(struct daemon *d)
{
	const char *const argv[] = { "vm-clean", "--var", d->root.var, NULL };
	lg_autoclose int used = -1;
	struct lg_err err = { 0 };

	if (faccessat(d->var_fd, "vm", F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		return;
	used = memfd_create("lodge-used", MFD_CLOEXEC);
	for (size_t i = 0; used >= 0 && i < d->ncts; i++)
		if (say_used(d->cts[i], used) < 0) {
			lg_log(LG_LOG_WARN, "%s: what it goes on with is not known: nothing that VMs boot from is removed",
			       instance_label(d->cts[i]));
			return;
		}
	if (used < 0 || lseek(used, 0, SEEK_SET) < 0)
		lg_log(LG_LOG_WARN, "what VMs boot from: %s", strerror(errno));
	else if (worker_run_on(d, argv, used, NULL, cleaned, NULL, &err) < 0)
		lg_log(LG_LOG_WARN, "what VMs boot from: %s", err.msg);
}

/* ---- which they are ---- */

int vm_files_note(const struct vm_files *files, struct vm_run *run, struct lg_err *err)
{
	int r = lg_erofs_identity(files->base, run->base_id, err);

	return r < 0 ? r : lg_erofs_identity(files->kernel.modules, run->modules_id, err);
}

int vm_files_locate(struct instance *ct, struct lg_err *err)
{
	const struct vm_run *run = &ct->vm_run;
	const char *var = ct->d->root.var;
	struct vm_files found = { 0 };
	int r;

	/* It boots what is on its own disk. */
	if (lg_kind_is_foreign(ct->conf))
		return 0;
	r = lg_vm_base_find(var, run->base_id, found.base, err);
	if (r == 0)
		r = lg_vm_kernel_by_id(var, run->modules_id, &found.kernel, err);
	if (r < 0)
		return r;
	if (!ct->vm_files)
		ct->vm_files = calloc(1, sizeof(*ct->vm_files));
	if (!ct->vm_files)
		return lg_fail(err, -ENOMEM, "find what it boots from");
	*ct->vm_files = found;
	return 0;
}

/* ---- the host ---- */

int vm_qemu(const struct daemon *d, const char **ret, struct lg_err *err)
{
	static const char *const usual[] = {
		"/usr/bin/qemu-system-x86_64", "/usr/libexec/qemu-kvm", "/usr/local/bin/qemu-system-x86_64",
	};
	const char *path = daemon_conf(d, "QEMU", NULL);

	if (path && *path) {
		*ret = path;
		return access(path, X_OK) == 0 ? 0 : lg_fail(err, -errno, "QEMU in lodge.conf: '%s'", path);
	}
	for (size_t i = 0; i < ARRAY_SIZE(usual); i++)
		if (access(usual[i], X_OK) == 0) {
			*ret = usual[i];
			return 0;
		}
	return lg_refuse(err, -ENOENT, LG_EXIT_RESOURCES,
			 "VMs need QEMU: install the package qemu-system-x86, or name the program by QEMU in lodge.conf");
}

int vm_check_host(const struct daemon *d, struct lg_err *err)
{
	const char *qemu;
	char path[300];
	int r = vm_qemu(d, &qemu, err);

	if (r < 0)
		return r;
	snprintf(path, sizeof(path), "%s/lodge-vm", d->libexec);
	if (access(path, X_OK) < 0)
		return lg_fail(err, -errno, "'%s'", path);
	return access("/dev/net/tun", R_OK | W_OK) < 0 ? lg_fail(err, -errno, "a VM's link: '/dev/net/tun'") : 0;
}

json_t *vm_accel_warning(void)
{
	const char *why;

	return lg_kvm_usable(&why) ? NULL :
	       json_sprintf("without KVM (%s) every instruction of a VM is emulated: it works, and slowly", why);
}

/* ---- the conf ---- */

int vm_check_template(const struct lg_template *t, struct lg_err *err)
{
	return t->kernel_for[0] ? lg_refuse(err, -EINVAL, LG_EXIT_BAD_TEMPLATE,
					    "template %s has a kernel for VMs and no system: use another one, and this one by "
					    "--kernel-template", t->name) : 0;
}

int vm_check_conf(const struct lg_conf *conf, struct lg_err *err)
{
	uint64_t memory;
	unsigned int vcpus;
	int r = lg_vm_memory(conf, &memory, err);

	return r < 0 ? r : lg_vm_cpus(conf, &vcpus, err);
}

/* What was asked for and means nothing to its kind; what comes from a sample or lodge.conf is just left alone. */
int vm_check_settings(const struct lg_conf *conf, const json_t *settings, struct lg_err *err)
{
	bool vm = lg_kind_is_vm(conf);
	const char *name;
	json_t *value;
	int r = 0;

	json_object_foreach((json_t *)(uintptr_t)settings, name, value) {
		const struct lg_setting *s = lg_setting_by_name(name);

		if (!s)
			s = lg_setting_by_key(name);
		if (r == 0 && s && *json_string_value(value))
			r = lg_kind_check(s, vm, err);
		if (r == 0 && s && *json_string_value(value))
			r = lg_foreign_check(s, conf, err);
	}
	return r;
}

/* ---- RUN/ct/ID.json ---- */

static const struct {
	const char *key;
	size_t offset;
} file_rows[] = {
	{ "vmlinux", offsetof(struct vm_files, kernel.vmlinux) },
	{ "initrd", offsetof(struct vm_files, kernel.initrd) },
	{ "modules", offsetof(struct vm_files, kernel.modules) },
	{ "base", offsetof(struct vm_files, base) },
};

static json_t *files_json(const struct vm_files *files)
{
	json_t *obj = files ? json_object() : NULL;

	for (size_t i = 0; obj && i < ARRAY_SIZE(file_rows); i++)
		json_object_set_new(obj, file_rows[i].key, json_string((const char *)files + file_rows[i].offset));
	return obj;
}

static void read_files(struct instance *ct, const json_t *obj)
{
	if (!ct->vm_files)
		ct->vm_files = calloc(1, sizeof(*ct->vm_files));
	for (size_t i = 0; ct->vm_files && i < ARRAY_SIZE(file_rows); i++) {
		const char *path = lg_json_str(obj, file_rows[i].key);

		snprintf((char *)ct->vm_files + file_rows[i].offset, LG_VM_PATH, "%s", path ? path : "");
	}
}

static const struct {
	const char *key;
	size_t at, size;
} run_texts[] = {
#define TEXT(field) { #field, offsetof(struct vm_run, field), sizeof(((struct vm_run *)0)->field) }
	TEXT(machine), TEXT(kernel), TEXT(base_id), TEXT(modules_id), TEXT(genid), TEXT(cdrom),
#undef TEXT
};

json_t *vm_run_json(const struct instance *ct)
{
	const struct vm_run *run = &ct->vm_run;
	json_t *obj;

	if (!ct->vm || !run->memory)
		return NULL;
	obj = json_pack("{s:I, s:i, s:b, s:o*}", "memory", (json_int_t)run->memory, "vcpus", (int)run->vcpus, "kvm", run->kvm,
			"files", files_json(ct->vm_files));
	if (run->cpus_max) {
		json_object_set_new(obj, "cpus_max", json_integer(run->cpus_max));
		json_object_set_new(obj, "cpus_added", json_integer(run->cpus_added));
	}
	for (size_t i = 0; obj && i < ARRAY_SIZE(run_texts); i++)
		json_object_set_new(obj, run_texts[i].key, json_string((const char *)run + run_texts[i].at));
	return obj;
}

void vm_run_read(struct instance *ct, const json_t *run)
{
	ct->vm_run = (struct vm_run){ .memory = (uint64_t)lg_json_int(run, "memory", 0),
				      .vcpus = (unsigned int)lg_json_int(run, "vcpus", 0),
				      .cpus_max = (unsigned int)lg_json_int(run, "cpus_max", 0),
				      .cpus_added = (unsigned int)lg_json_int(run, "cpus_added", 0),
				      .kvm = lg_json_bool(run, "kvm", false) };
	for (size_t i = 0; i < ARRAY_SIZE(run_texts); i++) {
		const char *text = lg_json_str(run, run_texts[i].key);

		snprintf((char *)&ct->vm_run + run_texts[i].at, run_texts[i].size, "%s", text ? text : "");
	}
	/* Of before it was written down: it had a drive if it had something in it. */
	if (!json_object_get(run, "cdrom") && ct->conf && lg_kind_is_foreign(ct->conf) && strcmp(foreign_medium(ct->conf), "none") != 0)
		snprintf(ct->vm_run.cdrom, sizeof(ct->vm_run.cdrom), "%s", foreign_medium(ct->conf));
	if (json_object_get(run, "files"))
		read_files(ct, json_object_get(run, "files"));
}

void vm_run_take(struct instance *ct, const json_t *run)
{
	const char *qemu = lg_json_str(run, "qemu");

	vm_run_read(ct, run);
	free(ct->vm_files);
	ct->vm_files = NULL;
	snprintf(ct->vm_run.qemu, sizeof(ct->vm_run.qemu), "%s", qemu ? qemu : "");
}

void vm_run_told(struct instance *ct, const struct lg_msg *m)
{
	const char *version = lg_msg_get(m, "qemu"), *genid = lg_msg_get(m, "genid");
	const char *drive = lg_msg_get(m, "drive");

	if (version)
		snprintf(ct->vm_run.qemu, sizeof(ct->vm_run.qemu), "%s", version);
	if (genid)
		snprintf(ct->vm_run.genid, sizeof(ct->vm_run.genid), "%s", genid);
	ct->vm_run.cpus_added = (unsigned int)lg_msg_get_u64(m, "added", ct->vm_run.cpus_added);
	if (drive)
		snprintf(ct->vm_run.cdrom, sizeof(ct->vm_run.cdrom), "%s", drive);
}
