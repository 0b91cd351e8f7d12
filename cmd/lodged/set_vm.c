/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * What changes of a running VM the guest has to be told. The host's part (its cgroup, its pins, the file of its disk) is applied like
 * a container's, and is what counts; the conf file is written then. Only after that is the guest asked, all at once, and the call is
 * answered when it has answered. What it does not do becomes a warning: it has it from its next start on.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/lodged/change.h"
#include "cmd/lodged/foreign.h"
#include "lib/cleanup.h"
#include "lib/exit.h"
#include "storage/disk.h"

#define ANSWER_S 10u
#define MEDIUM_S 45u	/* a guest has some seconds to let go of what is in its drive */

enum { WISH_MEMORY, WISH_CPUS, WISH_DISK, WISH_ADDRS, WISH_HOSTNAME, WISH_CDROM, WISH_COUNT_ };

/* One that is told: what it says, and of which setting it is. */
static const struct {
	const char *setting, *what;
} wishes[WISH_COUNT_] = {
	[WISH_MEMORY] = { "memory", "balloon" },
	[WISH_CPUS] = { "cpus", "vcpus" },
	[WISH_DISK] = { "disk", "disk" },
	[WISH_ADDRS] = { "ip", "addrs" },
	[WISH_HOSTNAME] = { "hostname", "hostname" },
	[WISH_CDROM] = { "cdrom", "medium" },
};

static bool runs(const struct change *c)
{
	return c->ct->vm && change_runs(c);
}

/* ---- the changed conf ---- */

static int check(struct change *c, struct lg_err *err)
{
	int r = c->cdrom ? vm_medium_check(c->ct, err) : 0;

	if (r == 0 && c->ct->vm)
		r = vm_check_conf(c->conf, err);

	return r == 0 ? foreign_check(c->ct->d, c->conf, err) : r;
}

static void remove_word(json_t *list, const char *word)
{
	json_t *item;
	size_t i;

	json_array_foreach(list, i, item)
		if (strcmp(json_string_value(item), word) == 0) {
			json_array_remove(list, i);
			return;
		}
}

/* More than it was started with it can have when it starts. */
static void at_next_start(struct change *c, const char *setting, json_t *line)
{
	remove_word(c->applied, setting);
	json_array_append_new(c->needs_restart, json_string(setting));
	json_array_append_new(c->warnings, line);
}

static void plan_memory(struct change *c)
{
	uint64_t wanted = 0;
	char now[16], then[16];

	if (change_keeps(c, "PHYSPAGES") || lg_vm_memory(c->conf, &wanted, NULL) < 0)
		return;
	c->wishes |= 1u << WISH_MEMORY;
	if (wanted <= c->ct->vm_run.memory)
		return;
	lg_format_size(wanted, then);
	lg_format_size(c->ct->vm_run.memory, now);
	at_next_start(c, "memory", json_sprintf("memory: %s from the next start on; until then the %s that it was started with", then,
						now));
}

/* Those that it has, and those that it has a place for. */
static unsigned int most_cpus(const struct vm_run *run)
{
	return run->cpus_max > run->vcpus ? run->cpus_max : run->vcpus;
}

static void plan_cpus(struct change *c)
{
	const struct vm_run *run = &c->ct->vm_run;
	unsigned int wanted = 0, most = most_cpus(run), has = run->vcpus + run->cpus_added;
	bool foreign = lg_kind_is_foreign(c->conf);

	/* Whoever says it once more wants what did not come then: we may have been killed between the file and the machine. */
	if ((change_keeps(c, "CPULIMIT") && !(foreign && c->cpus)) || lg_vm_cpus(c->conf, &wanted, NULL) < 0)
		return;
	/* A system of its own gets what is missing; nobody in it can be told to do with less. */
	if (!foreign || (wanted > has && has < most))
		c->wishes |= 1u << WISH_CPUS;
	if (wanted > most || (foreign && wanted < has))
		at_next_start(c, "cpus", json_sprintf("cpus: %u from the next start on; until then the %u that its machine has",
						      wanted, wanted > most ? most : has));
}

static void plan_cdrom(struct change *c)
{
	if (!c->cdrom)
		return;
	if (!c->ct->vm_run.cdrom[0])
		at_next_start(c, "cdrom", json_string("cdrom: from the next start on; its machine was started without a drive"));
	else if (strcmp(c->ct->vm_run.cdrom, foreign_medium(c->conf)) != 0)
		c->wishes |= 1u << WISH_CDROM;
}

static int apply(struct change *c, struct lg_err *err)
{
	(void)err;
	if (!runs(c))
		return 0;
	plan_memory(c);
	plan_cpus(c);
	plan_cdrom(c);
	if (!change_keeps(c, "IP_ADDRESS") && !lg_kind_is_foreign(c->conf))
		c->wishes |= 1u << WISH_ADDRS;
	if (!change_keeps(c, "HOSTNAME") && lg_conf_get(c->conf, "HOSTNAME"))
		c->wishes |= 1u << WISH_HOSTNAME;
	return 0;
}

const struct applier apply_vm = { check, apply, NULL };

void change_vm_disk(struct change *c)
{
	c->wishes |= 1u << WISH_DISK;
}

/* ---- telling the guest ---- */

struct telling {
	struct change c;		/* its lists are held */
	struct daemon *d;
	uint32_t ctid;
	struct lg_vcall *call;
	void (*then)(struct lg_vcall *call, struct change *c);
	unsigned int open;
};

struct told {
	struct telling *t;
	unsigned int wish;
};

static void fill(const struct instance *ct, unsigned int wish, struct lg_msg *m)
{
	struct lg_disk_limit limit = { 0 };
	uint64_t memory = 0;
	unsigned int cpus = 0;

	vm_ask_begin(m, wishes[wish].what);
	if (wish == WISH_MEMORY && lg_vm_memory(ct->conf, &memory, NULL) == 0)
		lg_msg_put_u64(m, "memory", memory < ct->vm_run.memory ? memory : ct->vm_run.memory);
	if (wish == WISH_CPUS && lg_vm_cpus(ct->conf, &cpus, NULL) == 0)
		lg_msg_put_u64(m, "vcpus", cpus < most_cpus(&ct->vm_run) ? cpus : most_cpus(&ct->vm_run));
	if (wish == WISH_DISK && disk_limit(ct->conf, &limit, NULL) == 0) {
		lg_msg_put(m, "role", limit.image == LG_DISK_OWN_RAW ? "disk" : "layer");
		lg_msg_put_u64(m, "bytes", lg_disk_round(limit.bytes));
	}
	if (wish == WISH_ADDRS)
		spec_vm_put_addrs(ct, ct->conf, m);
	if (wish == WISH_HOSTNAME)
		lg_msg_put(m, "hostname", lg_conf_get(ct->conf, "HOSTNAME"));
}

static int fill_medium(const struct instance *ct, struct lg_msg *m, int *fd, struct lg_err *err)
{
	const char *path = foreign_medium(ct->conf);
	int r = foreign_open_medium(ct->d, path, fd, err);

	if (r == 0)
		lg_msg_put(m, "path", path);
	return r == 0 && *fd >= 0 ? lg_msg_put_fd(m, *fd) : r;
}

static void all_told(struct telling *t)
{
	struct change *c = &t->c;
	struct lg_err err = { 0 };

	c->ct = instance_by_ctid(t->d, t->ctid);
	if (c->ct) {
		t->then(t->call, c);
	} else {
		lg_refuse(&err, -ENOENT, LG_EXIT_NO_CONF, "%u was destroyed meanwhile", t->ctid);
		lg_vcall_fail(t->call, &err);
	}
	json_decref(c->applied);
	json_decref(c->needs_restart);
	json_decref(c->warnings);
	lg_vcall_unref(t->call);
	free(t);
}

static void not_inside(struct telling *t, unsigned int wish, const char *why)
{
	remove_word(t->c.applied, wishes[wish].setting);
	remove_word(t->c.needs_restart, wishes[wish].setting);
	json_array_append_new(t->c.needs_restart, json_string(wishes[wish].setting));
	json_array_append_new(t->c.warnings, json_sprintf("%s: not inside yet: %s", wishes[wish].setting, why));
}

static void failed(struct telling *t, unsigned int wish, const struct lg_err *err)
{
	not_inside(t, wish, err->msg);
}

/* To a system of its own processors have come, or not all of them: the note says what is missing. */
static void told_cpus(struct telling *t, const struct lg_msg *m)
{
	struct instance *ct = instance_by_ctid(t->d, t->ctid);
	const char *note = lg_msg_get(m, "note");
	unsigned int wanted = 0;

	if (!ct || !ct->vm_run.cpus_max)
		return;
	vm_run_told(ct, m);
	if (!note || lg_vm_cpus(ct->conf, &wanted, NULL) < 0)
		return;
	if (wanted > most_cpus(&ct->vm_run))
		wanted = most_cpus(&ct->vm_run);	/* of more than that was spoken already */
	if (wanted > ct->vm_run.vcpus + ct->vm_run.cpus_added)
		not_inside(t, WISH_CPUS, note);
	else
		json_array_append_new(t->c.warnings, json_sprintf("cpus: the machine has %u: %s", wanted, note));
}

/* What is in the drive now, and whether it was taken out of the guest's hands. */
static void medium_told(struct telling *t, const struct lg_msg *m)
{
	struct instance *ct = instance_by_ctid(t->d, t->ctid);
	const char *why = lg_msg_get(m, "why");
	struct lg_err err = { 0 };

	if (ct)
		vm_run_told(ct, m);
	if (lg_msg_get_u64(m, "forced", 0))
		json_array_append_new(t->c.warnings, json_string("cdrom: the guest had locked its drive and did not open it in time: it was "
								 "opened by force, and what is mounted there of it fails"));
	if (!why)
		return;
	lg_refuse(&err, -EIO, 0, "%.300s", why);
	failed(t, WISH_CDROM, &err);
}

static void answered(const struct lg_msg *m, const struct lg_err *err, void *arg)
{
	struct told *told = arg;
	struct telling *t = told->t;
	struct instance *ct = instance_by_ctid(t->d, t->ctid);

	if (ct && told->wish == WISH_CDROM)
		ct->vm_medium = false;
	if (!m)
		failed(t, told->wish, err);
	else if (told->wish == WISH_CPUS)
		told_cpus(t, m);
	else if (told->wish == WISH_CDROM)
		medium_told(t, m);
	free(told);
	if (--t->open == 0)
		all_told(t);
}

static void tell(struct telling *t, struct instance *ct, unsigned int wish)
{
	struct told *told = calloc(1, sizeof(*told));
	lg_autoclose int fd = -1;
	struct lg_err err = { 0 };
	struct lg_msg m;

	if (!told) {
		lg_fail(&err, -ENOMEM, "ask the machine");
		failed(t, wish, &err);
		return;
	}
	*told = (struct told){ t, wish };
	fill(ct, wish, &m);
	if ((wish != WISH_CDROM || fill_medium(ct, &m, &fd, &err) == 0) &&
	    vm_ask(ct, &m, wish == WISH_CDROM ? MEDIUM_S : ANSWER_S, answered, told, &err) == 0) {
		ct->vm_medium |= wish == WISH_CDROM;
		t->open++;
		return;
	}
	free(told);
	failed(t, wish, &err);
}

bool change_vm_tell(struct change *c, struct lg_vcall *call, void (*then)(struct lg_vcall *call, struct change *c))
{
	struct telling *t;

	if (!c->wishes || !runs(c))
		return false;
	t = calloc(1, sizeof(*t));
	if (!t)
		return false;
	*t = (struct telling){ .c = *c, .d = c->ct->d, .ctid = c->ct->ctid, .call = lg_vcall_ref(call), .then = then, .open = 1 };
	t->c.conf = NULL;
	json_incref(c->applied);
	json_incref(c->needs_restart);
	json_incref(c->warnings);
	for (unsigned int i = 0; i < WISH_COUNT_; i++)
		if (c->wishes & (1u << i))
			tell(t, c->ct, i);
	if (--t->open == 0)
		all_told(t);
	return true;
}
