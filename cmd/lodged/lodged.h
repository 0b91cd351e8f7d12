/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LODGED_H
#define LODGED_H

/*
 * The daemon: one thread, one event loop, the only writer of state and of what lodge puts on the host.
 *
 * How it works: every instance is in memory, read from its conf file when the daemon starts. A verb that
 * changes an instance is an operation (struct op) that holds it (`busy`) until its answer is sent; what
 * takes longer than a few milliseconds waits for events: messages of the instance's shim, the end
 * of a worker, a timer. RUN/ct/ID.json says what was begun, so that a daemon that was killed anywhere
 * knows what to look for (recover.c).
 */

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <systemd/sd-event.h>
#include <time.h>

#include "cgroup/cgroup.h"
#include "cgroup/limits.h"
#include "lib/conf.h"
#include "lib/err.h"
#include "lib/features.h"
#include "lib/ids.h"
#include "lib/msg.h"
#include "lib/root.h"
#include "lib/steps.h"
#include "lib/varlink.h"
#include "net/net.h"
#include "net/pool.h"
#include "storage/disk.h"
#include "storage/store.h"
#include "storage/template.h"
#include "vm/spec.h"

#define IPS_MAX 32u
#define LG_APPARMOR_PROFILE "lodge-container"	/* packaging/lodge-container.apparmor */
#define STOP_TIMEOUT_DEFAULT 120u

struct daemon;
struct lxcfs;
struct instance;
struct op;
struct account;
struct vm_files;
struct vm_start;
struct vm_usage;
struct vm_question;

enum state { STATE_STOPPED, STATE_RUNNING, STATE_MOUNTED, STATE_SUSPENDED, STATE_COUNT_ };

/* A running shim, or the spare one that waits for an instance. */
struct shim {
	struct daemon *d;
	struct instance *ct;		/* NULL: the spare */
	struct instance *last_ct;	/* whose end it is tidying up; see shim_retire() */
	pid_t pid;
	int sock;
	sd_event_source *io;		/* its messages */
	sd_event_source *end;		/* its pidfd */
	char cg_spare[32];		/* its set of v1 cgroups until an instance takes it; "" = none */
	unsigned int lxcfs_nr;		/* whose files it was lent (lxcfs.h); 0 = none's */
	bool ready;
	bool exited;			/* EXITED was seen */
	int status;			/* of init, as of waitpid */
};

/* What a running VM was started as. */
struct vm_run {
	uint64_t memory;	/* bytes; its balloon can only take away */
	unsigned int vcpus;
	unsigned int cpus_max;	/* places that it has for processors; 0: for those alone */
	unsigned int cpus_added;	/* in them, of those that came while it ran */
	bool kvm;
	char machine[16];
	char kernel[65];	/* its version */
	char base_id[33], modules_id[33];	/* which making of its disks (lg_erofs_identity()) */
	char qemu[24];		/* version */
	char genid[40];		/* by which the guest knows whether it is a copy */
	char cdrom[LG_VM_MEDIUM];	/* what is in its drive: a path, "none"; "": it has no drive */
};

struct instance {
	struct daemon *d;
	uint32_t ctid;
	struct lg_conf *conf;
	char name[72];			/* "" = none */
	enum state state;
	struct op *op;			/* what holds it; NULL = nothing */
	struct shim *shim;
	struct shim *old_shim;		/* of the last run: the layer is free when it has ended */
	pid_t init_pid;
	uint64_t init_start;		/* clock ticks; with the pid names the process */
	int64_t started_at;		/* seconds since the epoch; 0 = not running */
	int64_t created_at;
	uint32_t id_base, id_count;	/* its ids; base 0: none yet */
	char last_exit[80];
	char hangs[300];		/* it was killed and cannot end: which process, and where; "" = no */
	int console_wait[4];		/* consoles attached before start; -1 = free */
	struct account *account;	/* NULL: nobody asked; see account.h */
	sd_event_source *sweep;		/* retries the removal of a cgroup that is still busy */
	unsigned int sweeps;
	struct timespec conf_mtime;	/* of the file that conf is */
	bool unsaved;			/* conf and file may differ until it stops */
	bool suspending;		/* its end will be the end of a suspend */
	bool moving;			/* its end will be the end of a move */
	json_t *unsettled;		/* it may have moved to another host; NULL: it has not (moving.h) */
	sd_event_source *ask_timer;	/* when that is asked */
	uint64_t ask_us;		/* how long until it is asked again */
	bool restart_wanted;		/* the guest asked for a reboot, or `restart` stopped it */
	bool vm;			/* its kind (lib/kind.h); the fields below are a VM's */
	struct vm_run vm_run;
	struct vm_files *vm_files;	/* what it was booted from (vm.h); owned; NULL: not known */
	struct vm_usage *vm_usage;	/* the last that was heard of it; NULL: nothing yet */
	struct vm_question *vm_asked;	/* what it has not answered yet (vm_ask.c) */
	bool vm_medium;			/* what is in its drive is being changed */
};

/* What a CRIU said of itself when it was asked last (doctor_criu.c). */
struct criu_known {
	char program[256];	/* "" = nobody asked */
	int64_t mtime;
	uint64_t inode;
	char version[24];
	char complaint[200];	/* "" = it works here */
	uint32_t features;
};

/* The QEMU that was asked last for its version (doctor_vm.c). */
struct qemu_known {
	char program[256];	/* "" = nobody asked */
	int64_t mtime;
	char version[24];
};

struct daemon {
	struct lg_root root;
	sd_event *event;
	struct lg_vserver *server;
	struct lg_conf *conf;		/* lodge.conf */
	int etc_fd, ct_fd, run_fd, run_ct_fd, var_fd;
	struct lg_cg_host *cg;
	struct lg_net *net;
	struct lg_net_conf net_conf;
	struct lg_pool *pool4, *pool6;	/* NULL: no such addresses */
	int filters[LG_CALLS_SETS];	/* of system calls, by what is let through; -1: not yet */
	struct lxcfs *lxcfs;
	struct criu_known criu;
	struct qemu_known qemu;
	bool apparmor;			/* this kernel has it */
	char libexec[256], datadir[256];
	struct instance **cts;		/* by number */
	size_t ncts, room;
	struct shim *spare;
	unsigned int spare_nr;
	sd_event_source *spare_timer;
	sd_event_source *sweep_timer;
	sd_event_source *kmsg;		/* the kernel's log; NULL: kmsg_errno says why */
	int kmsg_errno;
	bool kmsg_old;			/* what it says now is of the time before */
	struct lg_vcall **subscribers;
	size_t nsubscribers;
	struct held_ids *held;		/* ranges of destroyed instances; see ids.c */
	size_t nheld;
	uint64_t started_us;
	unsigned int vm_asks;		/* tags of questions to VMs (vm_ask.c) */
	bool trash_running, trash_again;
	bool shifts;			/* ids cannot be mapped here (storage/shift.h) */
	int fail_step, crash_step;	/* test hooks of a start, -1 = none */
	int suspend_s;			/* test hook: seconds that a suspend and a resume may take, -1 = as usual */
};

/* One operation on one instance; freed when it answers. */
struct op {
	const char *verb;		/* "start": what `busy` says */
	struct instance *ct;
	struct lg_vcall *call;		/* NULL: nobody asked (boot, reboot) */
	struct lg_run run;
	struct lg_err err;		/* why what it waits for failed */
	sd_event_source *timer;
	/* stop */
	bool fast, killed;
	unsigned int asked;
	/* suspend */
	bool as_stop;			/* a stop was asked for, and is answered */
	bool host_down;			/* the host goes down: if it cannot be suspended it is stopped */
	char *file;			/* its dump file (dumpfile.c), owned; NULL: none */
	/* what goes on when this part is over; may start the next part. NULL: answer and end */
	void (*then)(struct op *op);
	/* start */
	bool wait, force;
	bool restore;			/* out of images */
	bool rebooted;			/* what has ended asked to be started again */
	uint64_t wait_s;
	struct shim *shim;
	struct lg_template template;
	bool made, running, waits_for_layer, shifting;
	unsigned int allowed_s;		/* how long the part that runs now may take */
	struct vm_start *vm;		/* of a VM's start; owned (vm.h) */
	int netns_fd;
	int wait_sock;
	sd_event_source *wait_io;
	/* called in place of an answer, before it is freed; @err: why it failed, or NULL */
	void (*done)(struct op *op, const struct lg_err *err);
	bool incoming;			/* from another host: it has no conf file yet */
	int state_fd;			/* of a VM's: what its state is read from while it comes; -1 */
	bool hold;			/* of a restore: nothing runs until this is false */
	json_t *answer;			/* added to the answer; owned */
	void *arg;
};

/* ---- main.c: parts of the daemon's life ---- */
const char *daemon_conf(const struct daemon *d, const char *key, const char *otherwise);
uint64_t now_us(void);

/* ---- instances.c ---- */
int instances_load(struct daemon *d, struct lg_err *err);
void instances_free(struct daemon *d);
struct instance *instance_by_ctid(struct daemon *d, uint32_t ctid);
struct instance *instance_by_id(struct daemon *d, const char *id);	/* number or name */
/* A new one over @conf (taken over, also on failure). Returns NULL with @err. */
struct instance *instance_add(struct daemon *d, uint32_t ctid, struct lg_conf *conf,
			      struct lg_err *err);
void instance_remove(struct instance *ct);
/* The conf was changed: the copies of its values are read again. */
void instance_refresh(struct instance *ct);
int instance_save(struct instance *ct, struct lg_err *err);
/* ETC/names/NAME -> ../ct/ID.conf, as scripts written for vzctl look for it. NULL: none. */
void instance_link_name(struct instance *ct, const char *old_name, const char *name);
/* The conf file's word counts again. On failure (-EINVAL with LG_EXIT_BAD_CONF, ...) all is as before. */
int instance_reload(struct instance *ct, struct lg_err *err);
/* Reload it if an administrator has changed the file meanwhile. */
int instance_reload_if_changed(struct instance *ct, struct lg_err *err);
const char *instance_label(const struct instance *ct);	/* "101" or "101 (web)", until the next call */
void instance_conf_name(uint32_t ctid, char buf[32]);	/* "101.conf" */
unsigned int instance_addrs(const struct instance *ct, struct lg_addr addrs[IPS_MAX]);
void instance_mac_text(const struct instance *ct, char buf[18]);
void instance_net_if(const struct instance *ct, struct lg_net_if *ifc,
		     struct lg_addr addrs[IPS_MAX]);

/* ---- state.c: which verb when ---- */
enum verb { VERB_START, VERB_STOP, VERB_DESTROY, VERB_MOUNT, VERB_UMOUNT, VERB_EXEC, VERB_SET,
	    VERB_RENAME, VERB_SUSPEND, VERB_RESUME, VERB_COUNT_ };
int state_allows(const struct instance *ct, enum verb verb, struct lg_err *err);
const char *state_name(enum state state);
/* Of an instance that does not run: stopped, mounted or suspended, as the host has it now. */
enum state instance_rest(const struct instance *ct);

/* ---- runtime.c: RUN/ct/ID.json ---- */
int runtime_save(const struct instance *ct, const char *op, struct lg_err *err);
void runtime_forget(const struct instance *ct);

/* ---- shims.c ---- */
void spare_wanted(struct daemon *d);		/* have one soon */
int shim_take(struct daemon *d, struct shim **ret, struct lg_err *err);
int shim_adopt(struct instance *ct, pid_t pid, int sock, struct lg_err *err);
void shim_kill(struct shim *shim);
/* Init has ended: the shim goes on by itself to unmount the root, the instance is free of it. */
void shim_retire(struct shim *shim);
void shim_free(struct shim *shim);

/* ---- ops.c ---- */
struct op *op_new(struct instance *ct, const char *verb, struct lg_vcall *call);
void op_end(struct op *op, json_t *answer);	/* answers (@answer is stolen) and frees */
void op_fail(struct op *op, const struct lg_err *err);
void op_progress(struct op *op, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int op_timer(struct op *op, uint64_t seconds, sd_event_time_handler_t fn);

/* ---- start.c, spec.c ---- */
void start_begin(struct op *op);
void start_allow_time(struct op *op, uint64_t seconds);	/* from now on */
void start_event(struct op *op);		/* something it waits for has happened */
bool start_has_failed(const struct op *op);	/* and it ends when what it left is swept */
int spec_make(struct op *op, struct lg_msg *m, struct lg_err *err);

/* ---- stop.c ---- */
void stop_begin(struct op *op, uint64_t timeout_s);
void instance_gone(struct instance *ct);	/* its shim has ended */
void sweep_cgroup(struct instance *ct);
/* @op cannot suspend it, and the host goes down: it is stopped instead, and answered as a stop. */
void stop_instead(struct op *op);
/* What it says of an instance that was killed and hangs. */
int stop_hangs(const struct instance *ct, struct lg_err *err);

/* ---- ids.c ---- */
/* Says in the log what is wrong with the ids; nothing of it keeps the daemon from starting. */
void ids_init(struct daemon *d);
struct lg_id_range ids_of(const struct instance *ct);
/* What a conf file says; base 0: nothing, or nothing that could be. */
void ids_read(const struct lg_conf *conf, struct lg_id_range *ret);
/*
 * A range that nobody has, as large as it needs, into its conf (not saved); it keeps what it has where that
 * will do. -ENOSPC, -EINVAL where what grants ranges is bad.
 */
int ids_take(struct instance *ct, struct lg_err *err);
/* May a new instance have the range that was asked for? */
int ids_check_wanted(struct daemon *d, struct lg_id_range wanted, struct lg_err *err);
/* Would a new instance get so many? -ENOSPC, ... */
int ids_foresee(struct daemon *d, uint32_t count);
/* Before a start: is what its conf file says a range, and no other's? */
int ids_check_conf(const struct instance *ct, struct lg_err *err);
/* It is destroyed: nobody gets its range until nothing of it is left. */
void ids_hold(const struct instance *ct);
/* The same, of one that an earlier daemon destroyed: by its ID.conf.destroyed. */
void ids_hold_destroyed(struct daemon *d, uint32_t ctid);

/* ---- nesting.c ---- */
bool nesting_is_on(const struct lg_conf *conf);
uint32_t nesting_ids(const struct lg_conf *conf);	/* so many ids it needs */
int nesting_make_folders(struct op *op, struct lg_err *err);	/* a part of its start */
int nesting_shift_layer(struct op *op, struct lg_err *err);	/* a part of its start */
int nesting_lower(const struct instance *ct, const struct lg_template *t, char path[LG_STORE_PATH],
		  struct lg_err *err);	/* the lower layer of its root */
int nesting_put_folders(const struct instance *ct, struct lg_msg *m);	/* into START */

/* ---- alloc.c ---- */
int alloc_init(struct daemon *d, struct lg_err *err);
struct lg_pool *alloc_pool(struct daemon *d, int family);
int alloc_take_addrs(struct instance *ct, struct lg_err *err);
void alloc_give_back_addrs(struct instance *ct);

/* ---- destroy.c ---- */
void destroy_console_logs(struct daemon *d, uint32_t ctid);

/* ---- recover.c ---- */
int recover(struct daemon *d, struct lg_err *err);
void start_at_boot(struct daemon *d);
void sweep_orphans(struct daemon *d);	/* cgroups and spare sets that nobody has any more */
void sweep_later(struct daemon *d, uint64_t usec);

/* ---- worker.c ---- */
typedef void (*worker_line_fn)(const char *line, void *arg);
typedef void (*worker_end_fn)(int r, const struct lg_err *err, void *arg);
int worker_run(struct daemon *d, const char *const *argv, worker_line_fn line, worker_end_fn end,
	       void *arg, struct lg_err *err);
/* The same with a stdin for it, borrowed; -1: none. */
int worker_run_on(struct daemon *d, const char *const *argv, int stdin_fd, worker_line_fn line,
		  worker_end_fn end, void *arg, struct lg_err *err);
/* And with a descriptor 3, borrowed; -1: none. */
int worker_run_with(struct daemon *d, const char *const *argv, int stdin_fd, int extra_fd,
		    worker_line_fn line, worker_end_fn end, void *arg, struct lg_err *err);
void empty_trash(struct daemon *d);

/* ---- disk.c ---- */
int disk_limit(const struct lg_conf *conf, struct lg_disk_limit *ret, struct lg_err *err);
/* What lodge.conf gives new instances that were not told. */
int disk_defaults(struct daemon *d, struct lg_conf *conf, struct lg_err *err);
/* May an instance have this limit? -EINVAL where it could not hold. */
int disk_check(struct daemon *d, const struct lg_disk_limit *limit, struct lg_err *err);
/* ---- disk_room.c ---- */
/* Before a start or create: has the host more free than lodge.conf keeps for it? -ENOSPC. */
int disk_reserve_check(struct daemon *d, struct lg_err *err);
/* May @self (NULL: a new one) be promised @limit, beside all others? -ENOSPC. */
int disk_room_check(struct daemon *d, const struct instance *self,
		    const struct lg_disk_limit *limit, struct lg_err *err);

/* Before a start: does what the conf file says hold? */
int disk_hold(struct instance *ct, struct lg_err *err);
/* The root of a running instance's image, open for reading; -1: its layer is in none. */
int disk_open_mounted(const struct instance *ct);
int disk_usage(const struct instance *ct, struct lg_fs_usage *ret);	/* -ENODATA: without limit */
void disk_usage_add(const struct instance *ct, json_t *usage);
/*
 * Have the worker do what @argv says and then answer @call by @again, which gets the call's
 * parameters with "done:VERB" of @argv[0] (disk_job_done()). @ct, held meanwhile, may be NULL.
 */
int disk_job(struct daemon *d, struct instance *ct, const char *const *argv, int stdin_fd,
	     struct lg_vcall *call, const json_t *params,
	     void (*again)(struct lg_vcall *call, const json_t *params, void *ctx),
	     struct lg_err *err);
/* Was the call answered again because the worker's job @verb is done? */
bool disk_job_done(const json_t *params, const char *verb);
/* The image that a new layer is copied from is not there: 1 and @call is answered later, by @again. */
int disk_prepare(struct daemon *d, const struct lg_disk_limit *limit, struct lg_vcall *call,
		 const json_t *params,
		 void (*again)(struct lg_vcall *call, const json_t *params, void *ctx), struct lg_err *err);

/* ---- the API, one file per group ---- */
void api_create(struct lg_vcall *call, const json_t *params, void *ctx);
void api_start(struct lg_vcall *call, const json_t *params, void *ctx);
void api_stop(struct lg_vcall *call, const json_t *params, void *ctx);
void api_import_offer(struct lg_vcall *call, const json_t *params, void *ctx);
void api_import_begin(struct lg_vcall *call, const json_t *params, void *ctx);
void api_import_restore(struct lg_vcall *call, const json_t *params, void *ctx);
void api_import_incoming(struct lg_vcall *call, const json_t *params, void *ctx);
void api_import_go(struct lg_vcall *call, const json_t *params, void *ctx);
void api_import_forget(struct lg_vcall *call, const json_t *params, void *ctx);
void api_import_query(struct lg_vcall *call, const json_t *params, void *ctx);
void api_migrate(struct lg_vcall *call, const json_t *params, void *ctx);
void api_suspend(struct lg_vcall *call, const json_t *params, void *ctx);
void api_resume(struct lg_vcall *call, const json_t *params, void *ctx);
void api_restart(struct lg_vcall *call, const json_t *params, void *ctx);
void api_destroy(struct lg_vcall *call, const json_t *params, void *ctx);
void api_list(struct lg_vcall *call, const json_t *params, void *ctx);
void api_show(struct lg_vcall *call, const json_t *params, void *ctx);
void api_stats(struct lg_vcall *call, const json_t *params, void *ctx);
void api_why(struct lg_vcall *call, const json_t *params, void *ctx);
void api_checkpoint_check(struct lg_vcall *call, const json_t *params, void *ctx);
void api_ubc(struct lg_vcall *call, const json_t *params, void *ctx);
void api_status(struct lg_vcall *call, const json_t *params, void *ctx);
void api_set(struct lg_vcall *call, const json_t *params, void *ctx);
void api_mount(struct lg_vcall *call, const json_t *params, void *ctx);
void api_umount(struct lg_vcall *call, const json_t *params, void *ctx);
void api_rename(struct lg_vcall *call, const json_t *params, void *ctx);
void api_exec(struct lg_vcall *call, const json_t *params, void *ctx);
void api_console(struct lg_vcall *call, const json_t *params, void *ctx);
void api_template_list(struct lg_vcall *call, const json_t *params, void *ctx);
void api_template_show(struct lg_vcall *call, const json_t *params, void *ctx);
void api_template_build(struct lg_vcall *call, const json_t *params, void *ctx);
void api_template_remove(struct lg_vcall *call, const json_t *params, void *ctx);
void api_events(struct lg_vcall *call, const json_t *params, void *ctx);
void api_version(struct lg_vcall *call, const json_t *params, void *ctx);
void api_facts(struct lg_vcall *call, const json_t *params, void *ctx);
void api_doctor(struct lg_vcall *call, const json_t *params, void *ctx);
void api_teardown(struct lg_vcall *call, const json_t *params, void *ctx);

/* The instance that params.id names; answers NoSuchInstance and returns NULL when there is none. */
struct instance *api_instance(struct lg_vcall *call, const json_t *params, struct daemon *d);
json_t *instance_json(struct instance *ct, bool brief, bool usage);

void emit_event(struct daemon *d, const char *event, const struct instance *ct, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* mount.c */
bool mount_is_there(const struct instance *ct);
int mount_root(struct instance *ct, struct lg_err *err);
int umount_root(struct instance *ct, struct lg_err *err);
void mount_path(const struct instance *ct, char buf[300]);

/* console attached before the start: handed to the shim once it runs */
void console_hand_over(struct instance *ct);

#endif
