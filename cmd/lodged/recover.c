/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * What a new daemon does about what an earlier one left. It may have been killed at any instruction, or the
 * host may have been rebooted; nothing that runs is disturbed.
 *
 *   RUN/boot_id differs	RUN is of another boot: nothing of it runs, its files go
 *   RUN/ct/ID.json, shim answers and its init runs	adopted: it is running
 *   RUN/ct/ID.json, no shim			what is left in its cgroup is killed and swept
 *   RUN/ct/ID.json says "suspend", and its init runs	what the dump left in it is put right: it runs on
 *   RUN/ct/ID.json says "start"		a shim whose start was not over kills its init by itself
 *   a cgroup or a spare set without an owner	killed and swept
 *   RUN/ct/ID.json, VAR/checkpoint/ID, no conf	was moving in from another host: they go
 *   VAR/moving/ID.json				it was moving to another host: moving.h
 *   VAR/moved/TOKEN				it has moved in, or has not: import.c
 *   VAR/ct/ID/creating			the create did not happen: the layer goes to the trash
 *   VAR/ct/ID/destroying, conf there		the destroy did not happen: the mark goes
 *   VAR/ct/ID/disk.img.new, plain.new	a change of its disk did not happen: they go
 *   VAR/checkpoint/ID, conf gone			the destroy happened: it goes
 *   VAR/checkpoint/ID.new			a resume from a dump file did not happen: it goes
 *   another boot than the last			what is to start with the host starts, or is resumed where it was suspended
 *   VAR/ct/ID/destroying, conf gone		the destroy happened: the layer goes to the trash
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "cmd/lodged/account.h"
#include "cmd/lodged/criu.h"
#include "cmd/lodged/import.h"
#include "cmd/lodged/lodged.h"
#include "cmd/lodged/migrate.h"
#include "cmd/lodged/moving.h"
#include "cmd/lodged/suspend.h"
#include "cmd/lodged/vm.h"
#include "ct/proto.h"
#include "lib/cleanup.h"
#include "lib/file.h"
#include "lib/json.h"
#include "lib/log.h"
#include "lib/ns.h"
#include "lib/proc.h"
#include "lib/settings.h"
#include "storage/layer.h"

#define SHIM_ANSWER_S 2
#define SWEEP_AGAIN_US 2000000u

/* ---- the layers' marks ---- */

static bool has_mark(struct daemon *d, const char *name, const char *mark)
{
	char path[64];

	snprintf(path, sizeof(path), "ct/%.20s/%s", name, mark);
	return faccessat(d->var_fd, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static void heal_layer(struct daemon *d, const char *name)
{
	struct lg_err err = { 0 };
	uint32_t ctid;
	char path[64];
	bool known;

	if (lg_parse_ctid(name, &ctid, NULL) < 0)
		return;
	known = instance_by_ctid(d, ctid) != NULL;
	if ((has_mark(d, name, "creating") || has_mark(d, name, "destroying")) && !known) {
		lg_log(LG_LOG_INFO, "%u: files of an unfinished create or destroy are removed",
		       ctid);
		if (lg_layer_trash(d->root.var, ctid, &err) < 0)
			lg_log(LG_LOG_ERR, "%u: %s", ctid, err.msg);
		return;
	}
	if (!known) {
		lg_log(LG_LOG_WARN, "%s/ct/%u has no conf file: it is left alone", d->root.var, ctid);
		return;
	}
	lg_disk_heal(d->root.var, ctid);
	snprintf(path, sizeof(path), "ct/%u/creating", ctid);
	unlinkat(d->var_fd, path, 0);
	snprintf(path, sizeof(path), "ct/%u/destroying", ctid);
	unlinkat(d->var_fd, path, 0);
}

static void heal_layers(struct daemon *d)
{
	lg_autodir DIR *dir = NULL;
	struct dirent *e;
	int fd = openat(d->var_fd, "ct", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || !(dir = fdopendir(fd))) {
		lg_close(fd);
		return;
	}
	while ((e = readdir(dir)))
		heal_layer(d, e->d_name);
	lg_template_cleanup(d->root.var, NULL);
	checkpoint_sweep(d);
	empty_trash(d);
}

/* ---- the running ones ---- */

static int connect_shim(const struct instance *ct)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	struct timeval patience = { .tv_sec = SHIM_ANSWER_S };
	lg_autoclose int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	snprintf(sa.sun_path, sizeof(sa.sun_path), "%.80s/shim/%u.sock", ct->d->root.run, ct->ctid);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (fd < 0 || connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0)
		return -errno;
	return lg_take_fd(&fd);
}

static int ask_state(int sock, struct lg_msg *m)
{
	struct lg_msg hello;
	int r;

	lg_msg_init(&hello, LG_P_HELLO);
	r = lg_msg_send(sock, &hello);
	if (r < 0)
		return r;
	r = lg_msg_recv(sock, m);
	if (r != 1)
		return r < 0 ? r : -ECONNRESET;
	lg_msg_drop_fds(m);
	return m->kind == LG_P_STATE ? 0 : -EPROTO;
}

static int await_end(pid_t pid)
{
	lg_autoclose int fd = lg_pidfd_open(pid);
	struct pollfd p = { .fd = fd, .events = POLLIN };

	if (fd >= 0)
		lg_pidfd_signal(fd, SIGKILL);
	return fd >= 0 && poll(&p, 1, SHIM_ANSWER_S * 1000) == 0 ? -EBUSY : -ESRCH;
}

static int adopt(struct instance *ct, const json_t *state)
{
	lg_autoclose int sock = connect_shim(ct);
	pid_t shim_pid = (pid_t)lg_json_int(state, "shim_pid", 0);
	struct lg_err err = { 0 };
	struct lg_msg m;

	if (sock < 0)
		return sock;
	if (ask_state(sock, &m) < 0 || !lg_msg_get_u64(&m, "started", 0))
		return -ESRCH;
	/* The other host may have it: it is ending. */
	if (lg_msg_get_u64(&m, "committed", 0))
		return await_end((pid_t)lg_msg_get_u64(&m, "pid", 0));
	if (!lg_proc_is(shim_pid, (uint64_t)lg_json_int(state, "shim_start", 0))) {
		struct ucred peer;
		socklen_t len = sizeof(peer);

		/* The record was written before the shim was known: ask the kernel. */
		if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
			return -ESRCH;
		shim_pid = peer.pid;
	}
	if (shim_adopt(ct, shim_pid, lg_take_fd(&sock), &err) < 0)
		return err.code;
	ct->init_pid = (pid_t)lg_msg_get_u64(&m, "pid", 0);
	ct->init_start = lg_msg_get_u64(&m, "starttime", 0);
	if (ct->vm) {
		vm_run_read(ct, json_object_get(state, "vm"));
		vm_run_told(ct, &m);
	} else {
		lg_ns_mapped_ids(ct->init_pid, &ct->id_base);
	}
	ct->started_at = lg_json_int(state, "started_at", 0);
	if (!ct->started_at)
		ct->started_at = time(NULL);
	ct->state = STATE_RUNNING;
	runtime_save(ct, NULL, NULL);
	return 0;
}

/*
 * A suspend may have been over a moment ago, and its shim have yet to see the end of init. Where no init is known the shim
 * is asked.
 */
static bool init_lives(const json_t *state)
{
	pid_t pid = (pid_t)lg_json_int(state, "init_pid", 0);
	lg_autoclose int fd = -1;
	struct pollfd p;

	if (pid <= 0)
		return true;
	fd = lg_pidfd_open(pid);
	p = (struct pollfd){ .fd = fd, .events = POLLIN };
	return fd >= 0 && lg_proc_is(pid, (uint64_t)lg_json_int(state, "init_start", 0)) &&
	       poll(&p, 1, 0) == 0;
}

/* The status that a shim left which ended while no daemon was there. */
static void read_exit_file(struct instance *ct)
{
	lg_autofree char *text = NULL;
	char name[32];

	snprintf(name, sizeof(name), "%u.exit", ct->ctid);
	if (lg_file_read(ct->d->run_ct_fd, name, 64, &text, NULL, NULL) == 0)
		snprintf(ct->last_exit, sizeof(ct->last_exit),
			 "ended while lodged was away (wait status %.10s)", text);
	else
		snprintf(ct->last_exit, sizeof(ct->last_exit), "lost its supervisor");
	ct->last_exit[strcspn(ct->last_exit, "\n")] = '\0';
}

/* It was moving in from another host, and is not here. Its shim ends by itself, its cgroup is nobody's. */
static void forget_unknown(struct daemon *d, uint32_t ctid)
{
	struct instance unknown = { .d = d, .ctid = ctid };
	char name[40];

	lg_root_link(&d->root, ctid, 0, name);
	lg_net_detach(d->net, name);
	snprintf(name, sizeof(name), "shim/%u.sock", ctid);
	unlinkat(d->run_fd, name, 0);
	snprintf(name, sizeof(name), "%u.exit", ctid);
	unlinkat(d->run_ct_fd, name, 0);
	runtime_forget(&unknown);
	account_remove(&unknown);
	destroy_console_logs(d, ctid);
}

/* Whether it runs on is not known then: moving_recover() sees to it. */
static bool is_moving(const struct instance *ct)
{
	char path[32];

	snprintf(path, sizeof(path), "moving/%u.json", ct->ctid);
	return faccessat(ct->d->var_fd, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static void heal_dump(struct instance *ct, const char *op)
{
	struct lg_err err = { 0 };
	char name[16];

	snprintf(name, sizeof(name), "%u", ct->ctid);
	/* It may have been killed just before the word that ends the container. */
	lg_cg_freeze(ct->d->cg, name, false, NULL);
	if (criu_heal(ct, &err) == -ENOENT)
		return;		/* there is no dump */
	/* It may have been on its way to another host, its network silent already. */
	migrate_be_heard(ct);
	if (err.code)
		lg_log(LG_LOG_ERR, "%s: its %s was interrupted, and it is not healed: %s", instance_label(ct), op,
		       err.msg);
	else
		lg_log(LG_LOG_INFO, "%s: its %s was interrupted: it runs on", instance_label(ct), op);
}

/* Its shim lets it run on by itself, as soon as it can. */
static void heal_vm(struct instance *ct, const char *op)
{
	char name[16];

	snprintf(name, sizeof(name), "%u", ct->ctid);
	checkpoint_remove(ct);
	lg_cg_freeze(ct->d->cg, name, false, NULL);
	lg_log(LG_LOG_INFO, "%s: its %s was interrupted: it runs on", instance_label(ct), op);
}

static void recover_one(struct daemon *d, const char *file, uint32_t ctid)
{
	struct instance *ct = instance_by_ctid(d, ctid);
	lg_autojson json_t *state = NULL;
	struct lg_err err = { 0 };
	const char *op;

	if (lg_json_load(d->run_ct_fd, file, &state, &err) < 0)
		lg_log(LG_LOG_WARN, "%s", err.msg);
	if (!ct) {
		lg_log(LG_LOG_ERR, "%u was running and has no conf file", ctid);
		forget_unknown(d, ctid);
		return;
	}
	op = lg_json_str(state, "op");
	criu_settle(ct);
	if (init_lives(state) && adopt(ct, state) == 0) {
		/* A suspend that did not happen, or a resume that did. */
		if (ct->vm && op && strcmp(op, "suspend") == 0)
			heal_vm(ct, op);
		else if (!ct->vm && !is_moving(ct) && !(op && strcmp(op, "start") == 0))
			heal_dump(ct, op ? op : "dump");
		/* It may have been on its way to another host, its network silent already. */
		if (ct->vm)
			migrate_quiet(ct, false);
		checkpoint_remove(ct);
		lg_log(LG_LOG_INFO, "%s is running", instance_label(ct));
		return;
	}
	if (op) {
		snprintf(ct->last_exit, sizeof(ct->last_exit), "its %s was interrupted", op);
		lg_log(LG_LOG_WARN, "%s: %s: undone", instance_label(ct), ct->last_exit);
	} else {
		read_exit_file(ct);
		lg_log(LG_LOG_WARN, "%s: %s", instance_label(ct), ct->last_exit);
	}
	account_close(ct);
	sweep_cgroup(ct);
}

static void recover_running(struct daemon *d)
{
	lg_autodir DIR *dir = NULL;
	struct dirent *e;
	int fd = openat(d->run_ct_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || !(dir = fdopendir(fd))) {
		lg_close(fd);
		return;
	}
	while ((e = readdir(dir))) {
		const char *dot = strchr(e->d_name, '.');
		char number[16];
		uint32_t ctid;

		if (!dot || strcmp(dot, ".json") != 0)
			continue;
		snprintf(number, sizeof(number), "%.*s", (int)(dot - e->d_name), e->d_name);
		if (lg_parse_ctid(number, &ctid, NULL) == 0)
			recover_one(d, e->d_name, ctid);
	}
}

/* Images of what was moving in, and is not here. */
static void heal_checkpoints(struct daemon *d)
{
	lg_autodir DIR *dir = NULL;
	struct dirent *e;
	uint32_t ctid;
	int fd = openat(d->var_fd, "checkpoint", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || !(dir = fdopendir(fd))) {
		lg_close(fd);
		return;
	}
	while ((e = readdir(dir))) {
		struct instance unknown = { .d = d };

		if (lg_parse_ctid(e->d_name, &ctid, NULL) < 0 || instance_by_ctid(d, ctid))
			continue;
		unknown.ctid = ctid;
		criu_settle(&unknown);
		checkpoint_remove(&unknown);
	}
}

/* ---- cgroups without an owner ---- */

struct names {
	char name[64][32];
	unsigned int n;
};

static int gather(const char *name, void *arg)
{
	struct names *names = arg;

	if (names->n == ARRAY_SIZE(names->name))
		return 1;
	snprintf(names->name[names->n++], 32, "%s", name);
	return 0;
}

/* A shim that was just taken has its set, but is not in it yet: to the kernel it is empty. */
static bool spare_is_owned(const struct daemon *d, const char *name)
{
	if (d->spare && strcmp(d->spare->cg_spare, name) == 0)
		return true;
	for (size_t i = 0; i < d->ncts; i++) {
		const struct instance *ct = d->cts[i];

		if ((ct->shim && strcmp(ct->shim->cg_spare, name) == 0) ||
		    (ct->old_shim && strcmp(ct->old_shim->cg_spare, name) == 0))
			return true;
	}
	return false;
}

void sweep_orphans(struct daemon *d)
{
	struct names names = { .n = 0 };

	lg_cg_spare_each(d->cg, gather, &names);
	for (unsigned int i = 0; i < names.n; i++)
		if (!spare_is_owned(d, names.name[i]))
			lg_cg_spare_remove(d->cg, names.name[i], NULL);
	names.n = 0;
	lg_cg_each(d->cg, gather, &names);
	for (unsigned int i = 0; i < names.n; i++) {
		uint32_t ctid = 0;
		struct instance *ct = lg_parse_ctid(names.name[i], &ctid, NULL) == 0 ?
					      instance_by_ctid(d, ctid) : NULL;

		if (ct && (ct->state == STATE_RUNNING || ct->op || ct->sweep))
			continue;
		if (ct) {
			account_close(ct);
			sweep_cgroup(ct);
			continue;
		}
		lg_cg_kill(d->cg, names.name[i], NULL);
		if (lg_cg_remove(d->cg, names.name[i], NULL) == 0) {
			lg_log(LG_LOG_WARN, "cgroup %s belongs to no instance: removed",
			       names.name[i]);
			continue;
		}
		/* What is in it takes its time to die, or hangs. */
		ids_hold_destroyed(d, ctid);
		sweep_later(d, SWEEP_AGAIN_US);
	}
}

static int sweep_now(sd_event_source *s, uint64_t usec, void *arg)
{
	struct daemon *d = arg;

	(void)s;
	(void)usec;
	d->sweep_timer = sd_event_source_disable_unref(d->sweep_timer);
	sweep_orphans(d);
	return 0;
}

void sweep_later(struct daemon *d, uint64_t usec)
{
	if (!d->sweep_timer)
		sd_event_add_time_relative(d->event, &d->sweep_timer, CLOCK_MONOTONIC, usec, 0,
					   sweep_now, d);
}

/* ---- pins and boot ---- */

static int pin_all(struct daemon *d, struct lg_err *err)
{
	struct lg_net_if *ifs = calloc(d->ncts + 1, sizeof(*ifs));
	struct lg_addr(*addrs)[IPS_MAX] = calloc(d->ncts + 1, sizeof(*addrs));
	unsigned int n = 0;
	int r = -ENOMEM;

	for (size_t i = 0; ifs && addrs && i < d->ncts; i++) {
		instance_net_if(d->cts[i], &ifs[n], addrs[n]);
		if (ifs[n].naddrs)
			n++;
	}
	if (ifs && addrs)
		r = lg_net_pin_many(d->net, ifs, n, err);
	else
		lg_fail(err, r, "pin addresses");
	free(ifs);
	free(addrs);
	return r;
}

/* Is this another boot than the one RUN is of? Remembers this one. */
static bool is_new_boot(struct daemon *d)
{
	lg_autofree char *now = NULL, *then = NULL;
	size_t len = 0;
	bool same;

	if (lg_file_read(AT_FDCWD, "/proc/sys/kernel/random/boot_id", 64, &now, &len, NULL) < 0)
		return false;
	same = lg_file_read(d->run_fd, "boot_id", 64, &then, NULL, NULL) == 0 &&
	       strcmp(now, then) == 0;
	if (!same)
		lg_file_replace_fast(d->run_fd, "boot_id", now, len, 0600, NULL);
	return !same;
}

static void clear_runtime(struct daemon *d)
{
	struct lg_err err = { 0 };
	static const char *const folders[] = { "ct", "shim" };

	for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
		char path[300];

		if (lg_remove_tree(d->run_fd, folders[i], &err) < 0)
			lg_log(LG_LOG_WARN, "%s", err.msg);
		snprintf(path, sizeof(path), "%s/%s", d->root.run, folders[i]);
		lg_mkdir_all(path, 0700, NULL);
	}
	lg_close(d->run_ct_fd);
	d->run_ct_fd = lg_open_dir(d->run_fd, "ct", NULL);
}

int recover(struct daemon *d, struct lg_err *err)
{
	bool new_boot = is_new_boot(d);

	if (new_boot)
		clear_runtime(d);
	ids_init(d);
	import_recover(d);
	heal_layers(d);
	recover_running(d);
	heal_checkpoints(d);
	moving_recover(d);
	import_go_on(d);
	sweep_orphans(d);
	vm_files_clean(d);
	/* Spare shims of a daemon that was killed end by themselves: a moment later their cgroups can go. */
	sweep_later(d, 500000);
	if (new_boot)
		start_at_boot(d);
	return pin_all(d, err);
}

static int by_boot_order(const void *a, const void *b)
{
	const struct instance *x = *(struct instance *const *)a, *y = *(struct instance *const *)b;
	uint64_t ox = 0, oy = 0;

	lg_setting_value(x->conf, "boot-order", 0, &ox, NULL);
	lg_setting_value(y->conf, "boot-order", 0, &oy, NULL);
	if (ox != oy)
		return ox > oy ? -1 : 1;
	return x->ctid < y->ctid ? -1 : 1;
}

static void resume_at_boot(struct instance *ct)
{
	struct op *op = op_new(ct, "resume", NULL);

	if (op)
		resume_begin(op);
}

static int boot_start(sd_event_source *s, void *arg)
{
	struct daemon *d = arg;
	struct instance **order = calloc(d->ncts + 1, sizeof(struct instance *));

	sd_event_source_disable_unref(s);
	if (!order)
		return 0;
	for (size_t i = 0; i < d->ncts; i++)
		order[i] = d->cts[i];
	qsort(order, d->ncts, sizeof(struct instance *), by_boot_order);
	for (size_t i = 0; i < d->ncts; i++) {
		uint64_t onboot = 0;
		struct op *op;

		lg_setting_value(order[i]->conf, "onboot", 0, &onboot, NULL);
		if (order[i]->op || order[i]->unsettled || order[i]->state == STATE_RUNNING)
			continue;
		if (checkpoint_is_there(order[i])) {
			if (onboot || checkpoint_of_host_down(order[i]))
				resume_at_boot(order[i]);
			continue;
		}
		op = onboot ? op_new(order[i], "start", NULL) : NULL;
		if (op)
			start_begin(op);
	}
	free(order);
	return 0;
}

void start_at_boot(struct daemon *d)
{
	sd_event_source *s = NULL;

	sd_event_add_defer(d->event, &s, boot_start, d);
}
