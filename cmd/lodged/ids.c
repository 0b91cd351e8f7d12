/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Id ranges. Who has which is in the conf files (LOCAL_UID), written before anything runs under it.
 *
 * A range is given to another container when nothing of the last one is left: its processes (its cgroup is
 * empty and its shim has ended) and its files (they are out of the trash). The files alone would do no
 * harm: they are 0-based on disk and belong to no range until they are mounted. Processes would: they
 * could signal and trace those of the new one, and count against its per-user limits.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/lodged/doctor.h"
#include "lib/cleanup.h"
#include "lib/exit.h"
#include "lib/file.h"
#include "lib/log.h"
#include "lib/ns.h"
#include "lib/proc.h"
#include "lib/settings.h"
#include "storage/layer.h"

/*
 * Behind systemd's ranges, which end at 0x6fffffff, and useradd's; below 2^31, as there are programs to which
 * an id is an int. setup writes the same into /etc/subuid.
 */
#define DEFAULT_BASE 0x70000000u
#define DEFAULT_COUNT 0x10000000u
/* For daemons under another root: tests, a second instance. They do not know each other. */
#define OTHER_BASE 0x80000000u
#define OTHER_COUNT 0x7fff0000u

/* ---- which are ours to give ---- */

struct granted {
	struct lg_ids ids;
	struct lg_id_range range;
	const char *from;	/* who says so, for people */
	uint32_t first;		/* slot to begin with */
};

static int read_ids(const struct daemon *d, struct lg_ids *ids, struct lg_err *err)
{
	lg_autoclose int etc = open("/etc", O_PATH | O_DIRECTORY | O_CLOEXEC);

	return lg_ids_read(etc, d->root.tag[0] ? NULL : "lodge", ids, err);
}

/* @g is to be given to lg_ids_finish(), also when it fails. */
static int find_range(const struct daemon *d, struct granted *g, struct lg_err *err)
{
	const char *base = daemon_conf(d, "ID_BASE", NULL);
	bool other = d->root.tag[0];
	int r = read_ids(d, &g->ids, err);

	if (r < 0)
		return r;
	g->from = base ? "lodge.conf" : "/etc/subuid";
	if (base)
		r = lg_ids_configured(base, daemon_conf(d, "ID_COUNT", NULL), &g->range, err);
	else
		r = lg_ids_granted(&g->ids, &g->range, err);
	if (r < 0) {
		err->exit_code = LG_EXIT_BAD_CONF;
		return r;
	}
	g->first = 0;
	if (g->range.count == 0) {
		/* So that two of them seldom come to the same. */
		g->first = (uint32_t)strtoul(d->root.tag, NULL, 36);
		g->range.base = other ? OTHER_BASE : DEFAULT_BASE;
		g->range.count = other ? OTHER_COUNT : DEFAULT_COUNT;
		g->from = "the default";
	}
	return 0;
}

/* ---- ranges of containers that are no more ---- */

struct held_ids {
	uint32_t base, ctid;
	pid_t shim;		/* 0: had ended */
	uint64_t shim_start;
};

static bool still_held(struct daemon *d, const struct held_ids *h)
{
	char name[16];

	snprintf(name, sizeof(name), "%u", h->ctid);
	return (h->shim > 0 && lg_proc_is(h->shim, h->shim_start)) ||
	       lg_cg_populated(d->cg, name) || lg_layer_in_trash(d->root.var, h->ctid);
}

static void let_go_of_held(struct daemon *d)
{
	size_t n = 0;

	for (size_t i = 0; i < d->nheld; i++)
		if (still_held(d, &d->held[i]))
			d->held[n++] = d->held[i];
	d->nheld = n;
}

static void hold(struct daemon *d, const struct held_ids *h)
{
	struct held_ids *bigger;

	let_go_of_held(d);
	bigger = reallocarray(d->held, d->nheld + 1, sizeof(*bigger));
	if (!bigger) {
		lg_log(LG_LOG_WARN, "%u: no memory to hold its ids back", h->ctid);
		return;
	}
	d->held = bigger;
	d->held[d->nheld++] = *h;
}

void ids_hold(const struct instance *ct)
{
	struct held_ids h = { .base = ct->id_base, .ctid = ct->ctid };

	if (!h.base)
		return;
	if (ct->old_shim && lg_proc_starttime(ct->old_shim->pid, &h.shim_start) == 0)
		h.shim = ct->old_shim->pid;
	hold(ct->d, &h);
}

void ids_hold_destroyed(struct daemon *d, uint32_t ctid)
{
	struct held_ids h = { .ctid = ctid };
	struct lg_conf *conf = NULL;
	uint64_t base = 0;
	char name[48];

	snprintf(name, sizeof(name), "%u.conf.destroyed", ctid);
	if (lg_conf_load(d->ct_fd, name, &conf, NULL) == 0 &&
	    lg_setting_value(conf, "id-base", 0, &base, NULL) == 0 && base) {
		h.base = (uint32_t)base;
		hold(d, &h);
	}
	lg_conf_free(conf);
}

/* The trash's entries are NUMBER.N, and .NUMBER.N.rmM while one is being removed. */
static void hold_trash(struct daemon *d)
{
	lg_autodir DIR *dir = NULL;
	struct dirent *e;
	int fd = openat(d->var_fd, "trash", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || !(dir = fdopendir(fd))) {
		lg_close(fd);
		return;
	}
	while ((e = readdir(dir))) {
		const char *name = e->d_name + (*e->d_name == '.');
		char *end;
		unsigned long ctid = strtoul(name, &end, 10);

		if (end != name && *end == '.' && ctid <= LG_CTID_MAX)
			ids_hold_destroyed(d, (uint32_t)ctid);
	}
}

/* ---- whose is it? ---- */

static const struct instance *other_with(const struct daemon *d, uint32_t base,
					 const struct instance *self)
{
	for (size_t i = 0; i < d->ncts; i++) {
		const struct instance *ct = d->cts[i];

		if (ct != self && ct->id_base && lg_ids_overlap(ct->id_base, base))
			return ct;
	}
	return NULL;
}

static const struct held_ids *held_with(const struct daemon *d, uint32_t base)
{
	for (size_t i = 0; i < d->nheld; i++)
		if (lg_ids_overlap(d->held[i].base, base))
			return &d->held[i];
	return NULL;
}

static int refuse_overlap(const struct daemon *d, uint32_t base, const struct instance *self,
			  struct lg_err *err)
{
	const struct instance *other = other_with(d, base, self);
	const struct held_ids *held = other ? NULL : held_with(d, base);

	if (other)
		return lg_refuse(err, -EEXIST, LG_EXIT_BAD_CONF,
				 "its ids from %u (LOCAL_UID) overlap those of %s, from %u: give it "
				 "others, or remove LOCAL_UID and LOCAL_GID from its conf file", base,
				 instance_label(other), other->id_base);
	if (held)
		return lg_refuse(err, -EBUSY, LG_EXIT_RESOURCES,
				 "its ids from %u were those of %u, which was destroyed and is not yet "
				 "gone: try again later", base, held->ctid);
	return 0;
}

/* ---- the rest of the daemon asks ---- */

static int take_slot(const struct daemon *d, const struct granted *g, uint32_t *ret)
{
	uint32_t slots = g->range.count / LG_ID_COUNT;

	/* As many instances cannot hold more slots than there are instances, so this ends early. */
	for (uint32_t i = 0; i < slots; i++) {
		uint32_t base = g->range.base + (g->first + i) % slots * LG_ID_COUNT;

		if (other_with(d, base, NULL) || held_with(d, base) ||
		    lg_ids_conflict(&g->ids, base))
			continue;
		*ret = base;
		return 0;
	}
	return -ENOSPC;
}

int alloc_ids(struct daemon *d, uint32_t *ret, struct lg_err *err)
{
	struct granted g;
	int r = find_range(d, &g, err);

	let_go_of_held(d);
	if (r == 0)
		r = take_slot(d, &g, ret);
	if (r == -ENOSPC)
		lg_refuse(err, r, LG_EXIT_RESOURCES,
			  "all %u id ranges from %u (%s) are in use, here or by others of this host: "
			  "grant more in /etc/subuid and /etc/subgid, or by ID_BASE and ID_COUNT in "
			  "lodge.conf", g.range.count / LG_ID_COUNT, g.range.base, g.from);
	lg_ids_finish(&g.ids);
	return r;
}

int ids_check_wanted(struct daemon *d, uint32_t base, struct lg_err *err)
{
	const struct lg_id_claim *claim;
	struct lg_ids ids;
	int r;

	let_go_of_held(d);
	r = refuse_overlap(d, base, NULL, err);
	if (r < 0)
		return r;
	r = read_ids(d, &ids, err);
	claim = r == 0 ? lg_ids_conflict(&ids, base) : NULL;
	if (claim)
		r = lg_refuse(err, -EEXIST, LG_EXIT_BAD_VALUE,
			      "ids from %u overlap %s (%" PRIu64 ":%" PRIu64 ")", base, claim->whose,
			      claim->base, claim->count);
	lg_ids_finish(&ids);
	return r;
}

int ids_check_conf(const struct instance *ct, struct lg_err *err)
{
	const char *uid = lg_conf_get(ct->conf, "LOCAL_UID");
	const char *gid = lg_conf_get(ct->conf, "LOCAL_GID");
	uint64_t base = 0;
	int r = lg_setting_value(ct->conf, "id-base", 0, &base, err);

	if (r == 0 && base && (base < LG_ID_COUNT || base > UINT32_MAX - LG_ID_COUNT))
		r = lg_refuse(err, -ERANGE, 0, "%" PRIu64 " is not between %u and %u", base,
			      LG_ID_COUNT, UINT32_MAX - LG_ID_COUNT);
	if (r < 0) {
		lg_within(err, r, "LOCAL_UID in its conf file");
		err->exit_code = LG_EXIT_BAD_CONF;
		return r;
	}
	if (base && gid && *gid && strcmp(uid, gid) != 0)
		return lg_refuse(err, -EINVAL, LG_EXIT_BAD_CONF,
				 "LOCAL_UID is %s and LOCAL_GID is %s in its conf file: they must be "
				 "the same", uid, gid);
	let_go_of_held(ct->d);
	return ct->id_base ? refuse_overlap(ct->d, ct->id_base, ct, err) : 0;
}

void ids_init(struct daemon *d)
{
	struct lg_err err = { 0 };
	struct granted g;

	/* No reason not to start: what runs has its ids. The next create says the same. */
	if (find_range(d, &g, &err) < 0)
		lg_log(LG_LOG_ERR, "%s", err.msg);
	lg_ids_finish(&g.ids);
	for (size_t i = 0; i < d->ncts; i++) {
		const struct instance *ct = d->cts[i];

		memset(&err, 0, sizeof(err));
		if (ct->id_base && refuse_overlap(d, ct->id_base, ct, &err) < 0)
			lg_log(LG_LOG_ERR, "%s: %s", instance_label(ct), err.msg);
	}
	hold_trash(d);
}

/* ---- doctor ---- */

static bool tell_conflict(struct daemon *d, const struct lg_ids *ids, struct report *r)
{
	for (size_t i = 0; i < d->ncts; i++) {
		const struct instance *ct = d->cts[i];
		const struct lg_id_claim *c = ct->id_base ? lg_ids_conflict(ids, ct->id_base) : NULL;

		if (!c)
			continue;
		say(r, "ids", "bad", "those of %s, from %u, overlap %s", instance_label(ct),
		    ct->id_base, c->whose);
		return true;
	}
	return false;
}

void doctor_ids(struct report *r)
{
	struct lg_err err = { 0 };
	struct granted g;

	if (find_range(r->d, &g, &err) < 0)
		say(r, "ids", "bad", "%s", err.msg);
	else if (!tell_conflict(r->d, &g.ids, r))
		say(r, "ids", "ok", "%u ranges from %u (%s), %zu containers",
		    g.range.count / LG_ID_COUNT, g.range.base, g.from, r->d->ncts);
	lg_ids_finish(&g.ids);
}
