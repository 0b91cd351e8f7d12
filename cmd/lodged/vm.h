/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LODGED_VM_H
#define LODGED_VM_H

/* What is different about microVMs; lib/kind.h has what their settings mean. */

#include "cmd/lodged/lodged.h"
#include "lib/kind.h"
#include "vm/boot.h"
#include "vm/start.h"

#define VM_MACHINE "microvm"
#define VM_MACHINE_FOREIGN "q35"	/* what every system knows, and every QEMU can */

/* ---- vm_files.c: what a VM boots from ---- */

struct vm_files {
	struct lg_vm_kernel kernel;
	char base[LG_VM_PATH];
};

/* What the worker is to make; strings of its own. */
struct vm_job {
	const char *argv[8];
	char agent[300];
	char name[65];
};

/**
 * vm_files_find() - what a VM of @conf and the template @t boots from
 * @job:	what makes the first part that is not there
 *
 * Return: 0; 1 with @job; -ENOENT where there is no kernel template.
 */
int vm_files_find(const struct daemon *d, const struct lg_conf *conf, const struct lg_template *t, struct vm_files *ret,
		  struct vm_job *job, struct lg_err *err);

/** vm_files_prepare() - as disk_prepare(): 1 and @call is answered later, by @again. */
int vm_files_prepare(struct daemon *d, const struct lg_conf *conf, struct lg_vcall *call, const json_t *params,
		     void (*again)(struct lg_vcall *call, const json_t *params, void *ctx), struct lg_err *err);

/** vm_files_clean() - what belongs to no template any more goes (worker), but for what a VM here runs on or will go on with */
void vm_files_clean(struct daemon *d);

/** vm_qemu() - the program; -ENOENT with a line that names its package. */
int vm_qemu(const struct daemon *d, const char **ret, struct lg_err *err);

/** vm_check_host() - can a VM be started on this host at all? */
int vm_check_host(const struct daemon *d, struct lg_err *err);

/** vm_accel_warning() - what there is to say about its speed here; NULL: nothing. */
json_t *vm_accel_warning(void);

/** vm_check_template() - -EINVAL for one that is a kernel's, and has no init. */
int vm_check_template(const struct lg_template *t, struct lg_err *err);

/** vm_check_settings() - do all of @settings mean something to the kind of @conf? */
int vm_check_settings(const struct lg_conf *conf, const json_t *settings, struct lg_err *err);

/** vm_check_conf() - memory, processors and disk of a new VM or a changed one. */
int vm_check_conf(const struct lg_conf *conf, struct lg_err *err);

/** vm_files_note() - remember in @run which disks these are. */
int vm_files_note(const struct vm_files *files, struct vm_run *run, struct lg_err *err);

/**
 * vm_files_locate() - find what @ct was booted from by what its vm_run says, wherever it is on this host, and set its vm_files
 * Return: 0; -ENOENT: not here; -EINVAL: it is not known what it is.
 */
int vm_files_locate(struct instance *ct, struct lg_err *err);

/** vm_run_json(), vm_run_read() - what it was started as, for RUN/ct/ID.json */
json_t *vm_run_json(const struct instance *ct);
void vm_run_read(struct instance *ct, const json_t *run);

/** vm_run_take() - what it runs as on the host that it comes from, as of vm_move_json() there; its files are not known here. */
void vm_run_take(struct instance *ct, const json_t *run);

/** vm_run_told() - its shim said which QEMU it is, which machine, how many processors came to it, and what is in its drive */
void vm_run_told(struct instance *ct, const struct lg_msg *m);

/* ---- suspend_vm.c, resume_vm.c: to disk and back; suspend.c and resume.c have what is the same for containers ---- */

#define VM_STATE_FILE "machine.img"	/* in VAR/checkpoint/ID */

/** vm_suspend_begin() - @op answers with the suspended VM. */
void vm_suspend_begin(struct op *op);

/** vm_saved_json() - what state.json has of a VM: what it was started as, and who wrote its memory; NULL of a container. */
json_t *vm_saved_json(const struct instance *ct);

/** vm_move_json() - the same of one that runs or is suspended, for the host that it moves to; JSON null: nothing is known. */
json_t *vm_move_json(const struct instance *ct);

/** vm_accel_check() - what @vm (as of vm_saved_json()) ran under, can it go on here? -EINVAL. */
int vm_accel_check(const json_t *vm, struct lg_err *err);

/** vm_resume_check() - can what @state says go on here? */
int vm_resume_check(const struct instance *ct, const json_t *state, struct lg_err *err);

/** vm_resume_prepare() - a part of its start: the same machine as then. */
int vm_resume_prepare(struct op *op, struct lg_err *err);

/** vm_resume_put() - what START needs beside the usual; @ret is the caller's. */
int vm_resume_put(struct op *op, struct lg_msg *m, int *ret, struct lg_err *err);

/* ---- vm_qemu.c ---- */

/**
 * vm_qemu_ask() - have QEMU asked for its version (d->qemu)
 *
 * Return: true: @then will get @arg when it has been; false: it is known, or nobody can be asked, and @then is not called.
 */
bool vm_qemu_ask(struct daemon *d, void (*then)(void *arg), void *arg);

/** vm_qemu_microvm() - can guests boot in a microvm of that QEMU? */
bool vm_qemu_microvm(const struct daemon *d, bool kvm);

/* ---- start_vm.c ---- */

/* Of a start. */
struct vm_start {
	struct vm_files files;
	int tap;
	bool kvm;
	bool making;		/* a worker makes its files */
	const char *made[2];	/* what it was asked for so far: its verbs */
	unsigned int watchdog_s;
	char qemu[24];		/* of a resume: the version that wrote its memory */
};

void vm_start_free(struct vm_start *vm);

/* ---- spec_vm.c ---- */

#define VM_SPEC_FDS 7u		/* cgroup, kernel, initrd, three disks; the state that is resumed */

/** spec_vm_make() - START for its shim; @fds are the caller's to close, -1 where there is none. */
int spec_vm_make(struct op *op, struct lg_msg *m, int fds[VM_SPEC_FDS], struct lg_err *err);

/** spec_vm_put_addrs() - addr* and gateway* */
void spec_vm_put_addrs(const struct instance *ct, const struct lg_conf *conf, struct lg_msg *m);

/* ---- vm_ask.c: wishes to a running machine ---- */

/** vm_answered_fn - @m: what it answered, NULL: it did not, and @err says why */
typedef void (*vm_answered_fn)(const struct lg_msg *m, const struct lg_err *err, void *arg);

/** vm_ask_begin() - a message that asks for @what; more fields may be put. */
void vm_ask_begin(struct lg_msg *m, const char *what);

/**
 * vm_ask() - send it; @fn is called exactly once, later, also when the machine ends or does not answer within @seconds
 * Return: 0; negative errno, and @fn is not called.
 */
int vm_ask(struct instance *ct, struct lg_msg *m, unsigned int seconds, vm_answered_fn fn, void *arg, struct lg_err *err);

/** vm_told() - a TOLD of its shim has come. */
void vm_told(struct instance *ct, const struct lg_msg *m);

/** vm_medium_check() - -EBUSY while what is in its drive is being changed. */
int vm_medium_check(const struct instance *ct, struct lg_err *err);

/** vm_asks_drop() - it has ended: who waits hears that. */
void vm_asks_drop(struct instance *ct);

/* ---- vm_usage.c: what guests say of themselves ---- */

/* As the agent says it; UINT64_MAX: not known. */
struct vm_usage {
	uint64_t at_us;		/* 0: never */
	uint64_t memory_total, memory_available, balloon;
	uint64_t ram;		/* of the guest's memory, so much is there on the host */
	uint64_t disk_total, disk_used, inodes, inodes_used;
	uint64_t load1, load5, load15, processes, uptime_ms;
};

/**
 * vm_usage_first() - have all running VMs (of @ids, where any are named) say what they use, before @call is answered
 * Return: 1 and @call is answered later, by @again; 0: what is known is new enough.
 */
int vm_usage_first(struct daemon *d, const json_t *ids, struct lg_vcall *call, const json_t *params,
		   void (*again)(struct lg_vcall *call, const json_t *params, void *ctx));

/** vm_usage_of() - the last answer; NULL: there is none, or it is not running. */
const struct vm_usage *vm_usage_of(const struct instance *ct);

/**
 * vm_usage_add() - overhead_bytes, balloon_bytes and what the guest says, to @obj of the API's Usage
 * @memory_bytes:	what its cgroup holds
 */
void vm_usage_add(const struct instance *ct, uint64_t memory_bytes, json_t *obj);

/** vm_usage_add_stats() - the same, and what only InstanceStats has. */
void vm_usage_add_stats(const struct instance *ct, uint64_t memory_bytes, json_t *obj);

#endif
