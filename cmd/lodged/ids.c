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
	bool is_default;
};

static int read_ids(const struct daemon *d, struct lg_ids *ids, struct lg_err *err)
{
	lg_autoclose int etc = open("/etc", O_PATH | O_DIRECTORY | O_CLOEXEC);

	return lg_ids_read(etc, d->root.tag[0] ? NULL : "lodge", ids, err);
}

/* @g is to be given to lg_ids_finish(), also when it fails. */
/*
 * Inside a container there are fewer ids than on a host. Without a grant ours are the upper half: the
 * lower one has the container's own and those that useradd gives its users.
 */
static int fit_mapped(struct granted *g, struct lg_err *err)
{
	uint32_t mapped = lg_ids_mapped(), half = mapped / 2 / LG_ID_COUNT * LG_ID_COUNT;

	if (mapped == UINT32_MAX ||
	    (uint64_t)g->range.base + g->range.count <= mapped)
		return 0;
	if (g->is_default && half) {
		g->range = (struct lg_id_range){ half, mapped - half };
		return 0;
	}
	return lg_refuse(err, -ERANGE, LG_EXIT_BAD_CONF,
			 "there are only %u ids here, and containers are to have %u from %u (%s): this "
			 "is a container that needs the feature nesting", mapped, g->range.count,
			 g->range.base, g->from);
}

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
	g->is_default = false;
	if (g->range.count == 0) {
		/* So that two of them seldom come to the same. */
		g->first = (uint32_t)strtoul(d->root.tag, NULL, 36);
		g->range.base = other ? OTHER_BASE : DEFAULT_BASE;
		g->range.count = other ? OTHER_COUNT : DEFAULT_COUNT;
		g->from = "the default";
		g->is_default = true;
	}
	return fit_mapped(g, err);
}

struct lg_id_range ids_of(const struct instance *ct)
{
	return (struct lg_id_range){ ct->id_base, ct->id_count };
}

void ids_read(const struct lg_conf *conf, struct lg_id_range *ret)
{
	uint64_t base = 0, count = LG_ID_COUNT;

	ret->count = LG_ID_COUNT;
	if (lg_setting_value(conf, "id-count", LG_ID_COUNT, &count, NULL) == 0)
		ret->count = (uint32_t)count;
	ret->base = 0;
	if (lg_setting_value(conf, "id-base", 0, &base, NULL) == 0 && base <= UINT32_MAX - count)
		ret->base = (uint32_t)base;
}

/* ---- ranges of containers that are no more ---- */

struct held_ids {
	struct lg_id_range ids;
	uint32_t ctid;
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
	struct held_ids h = { .ids = ids_of(ct), .ctid = ct->ctid };

	if (!h.ids.base)
		return;
	if (ct->old_shim && lg_proc_starttime(ct->old_shim->pid, &h.shim_start) == 0)
		h.shim = ct->old_shim->pid;
	hold(ct->d, &h);
}

void ids_hold_destroyed(struct daemon *d, uint32_t ctid)
{
	struct held_ids h = { .ctid = ctid };
	struct lg_conf *conf = NULL;
	char name[48];

	snprintf(name, sizeof(name), "%u.conf.destroyed", ctid);
	if (lg_conf_load(d->ct_fd, name, &conf, NULL) == 0) {
		ids_read(conf, &h.ids);
		if (h.ids.base)
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

static const struct instance *other_with(const struct daemon *d, struct lg_id_range ids,
					 const struct instance *self)
{
	for (size_t i = 0; i < d->ncts; i++) {
		const struct instance *ct = d->cts[i];

		if (ct != self && ct->id_base && lg_ids_overlap(ids_of(ct), ids))
			return ct;
	}
	return NULL;
}

static const struct held_ids *held_with(const struct daemon *d, struct lg_id_range ids)
{
	for (size_t i = 0; i < d->nheld; i++)
		if (lg_ids_overlap(d->held[i].ids, ids))
			return &d->held[i];
	return NULL;
}

static int refuse_overlap(const struct daemon *d, struct lg_id_range ids,
			  const struct instance *self, struct lg_err *err)
{
	const struct instance *other = other_with(d, ids, self);
	const struct held_ids *held = other ? NULL : held_with(d, ids);

	if (other)
		return lg_refuse(err, -EEXIST, LG_EXIT_BAD_CONF,
				 "its ids from %u (LOCAL_UID) overlap those of %s, from %u: give it "
				 "others, or remove LOCAL_UID and LOCAL_GID from its conf file", ids.base,
				 instance_label(other), other->id_base);
	if (held)
		return lg_refuse(err, -EBUSY, LG_EXIT_RESOURCES,
				 "its ids from %u were those of %u, which was destroyed and is not yet "
				 "gone: try again later", ids.base, held->ctid);
	return 0;
}

/* ---- the rest of the daemon asks ---- */

/* A larger range begins where one of the usual size could, too. */
static int take_slot(const struct daemon *d, const struct granted *g, uint32_t count,
		     uint32_t *ret)
{
	uint32_t slots = g->range.count / LG_ID_COUNT;
	uint64_t end = (uint64_t)g->range.base + g->range.count;

	/* As many instances cannot hold more slots than there are instances, so this ends early. */
	for (uint32_t i = 0; i < slots; i++) {
		struct lg_id_range ids = { g->range.base + (g->first + i) % slots * LG_ID_COUNT,
					   count };

		if ((uint64_t)ids.base + count > end || other_with(d, ids, NULL) ||
		    held_with(d, ids) || lg_ids_conflict(&g->ids, ids))
			continue;
		*ret = ids.base;
		return 0;
	}
	return -ENOSPC;
}

static int alloc_ids(struct daemon *d, uint32_t count, uint32_t *ret, struct lg_err *err)
{
	struct granted g;
	int r = find_range(d, &g, err);

	let_go_of_held(d);
	if (r == 0)
		r = take_slot(d, &g, count, ret);
	if (r == -ENOSPC && count > LG_ID_COUNT)
		lg_refuse(err, r, LG_EXIT_RESOURCES,
			  "no %u ids in a row are free of the %u from %u (%s): grant more in "
			  "/etc/subuid and /etc/subgid, or by ID_BASE and ID_COUNT in lodge.conf",
			  count, g.range.count, g.range.base, g.from);
	else if (r == -ENOSPC)
		lg_refuse(err, r, LG_EXIT_RESOURCES,
			  "all %u id ranges from %u (%s) are in use, here or by others of this host: "
			  "grant more in /etc/subuid and /etc/subgid, or by ID_BASE and ID_COUNT in "
			  "lodge.conf", g.range.count / LG_ID_COUNT, g.range.base, g.from);
	lg_ids_finish(&g.ids);
	return r;
}

static int write_ids(struct instance *ct, struct lg_err *err)
{
	char text[16];
	int r;

	snprintf(text, sizeof(text), "%u", ct->id_base);
	r = lg_conf_set(ct->conf, "LOCAL_UID", text, err);
	if (r == 0)
		r = lg_conf_set(ct->conf, "LOCAL_GID", text, err);
	snprintf(text, sizeof(text), "%u", ct->id_count);
	if (r == 0 && ct->id_count != LG_ID_COUNT)
		r = lg_conf_set(ct->conf, "LOCAL_UID_COUNT", text, err);
	return r;
}

/* Can it have more ids where its own begin? */
static bool can_grow(struct instance *ct, uint32_t count)
{
	struct lg_id_range larger = { ct->id_base, count };
	struct lg_ids ids;
	bool can;

	if (ct->id_base > UINT32_MAX - count || other_with(ct->d, larger, ct) ||
	    held_with(ct->d, larger))
		return false;
	can = read_ids(ct->d, &ids, NULL) == 0 && !lg_ids_conflict(&ids, larger);
	lg_ids_finish(&ids);
	return can;
}

int ids_take(struct instance *ct, struct lg_err *err)
{
	/* QEMU runs as the first of them; a range of the usual size is what everything else here counts in. */
	uint32_t count = ct->vm ? LG_ID_COUNT : nesting_ids(ct->conf), base = ct->id_base;
	int r = 0;

	count = count > ct->id_count ? count : ct->id_count;
	if (base && count == ct->id_count && lg_conf_get(ct->conf, "LOCAL_GID"))
		return 0;
	/* Its files do not mind another range: they are 0-based on disk. */
	if (!base || (count > ct->id_count && !can_grow(ct, count)))
		r = alloc_ids(ct->d, count, &base, err);
	if (r < 0)
		return r;
	ct->id_base = base;
	ct->id_count = count;
	return write_ids(ct, err);
}

int ids_foresee(struct daemon *d, uint32_t count)
{
	uint32_t base;

	return alloc_ids(d, count, &base, NULL);
}

int ids_check_wanted(struct daemon *d, struct lg_id_range wanted, struct lg_err *err)
{
	const struct lg_id_claim *claim;
	struct lg_ids ids;
	int r;

	let_go_of_held(d);
	r = refuse_overlap(d, wanted, NULL, err);
	if (r < 0)
		return r;
	r = read_ids(d, &ids, err);
	claim = r == 0 ? lg_ids_conflict(&ids, wanted) : NULL;
	if (claim)
		r = lg_refuse(err, -EEXIST, LG_EXIT_BAD_VALUE,
			      "ids from %u overlap %s (%" PRIu64 ":%" PRIu64 ")", wanted.base,
			      claim->whose, claim->base, claim->count);
	lg_ids_finish(&ids);
	return r;
}

int ids_check_conf(const struct instance *ct, struct lg_err *err)
{
	const char *uid = lg_conf_get(ct->conf, "LOCAL_UID");
	const char *gid = lg_conf_get(ct->conf, "LOCAL_GID");
	uint64_t base = 0, count = LG_ID_COUNT;
	int r = lg_setting_value(ct->conf, "id-base", 0, &base, err);

	const char *key = "LOCAL_UID";

	if (r == 0 && base && (base < LG_ID_COUNT || base > UINT32_MAX - LG_ID_COUNT))
		r = lg_refuse(err, -ERANGE, 0, "%" PRIu64 " is not between %u and %u", base,
			      LG_ID_COUNT, UINT32_MAX - LG_ID_COUNT);
	if (r == 0) {
		key = "LOCAL_UID_COUNT";
		r = lg_setting_value(ct->conf, "id-count", LG_ID_COUNT, &count, err);
		if (r == 0 && base && base > UINT32_MAX - count)
			r = lg_refuse(err, -ERANGE, 0, "%" PRIu64 " ids from %" PRIu64
				      " are more than there are", count, base);
	}
	if (r < 0) {
		lg_within(err, r, "%s in its conf file", key);
		err->exit_code = LG_EXIT_BAD_CONF;
		return r;
	}
	if (base && gid && *gid && strcmp(uid, gid) != 0)
		return lg_refuse(err, -EINVAL, LG_EXIT_BAD_CONF,
				 "LOCAL_UID is %s and LOCAL_GID is %s in its conf file: they must be "
				 "the same", uid, gid);
	let_go_of_held(ct->d);
	return ct->id_base ? refuse_overlap(ct->d, ids_of(ct), ct, err) : 0;
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
		if (ct->id_base && refuse_overlap(d, ids_of(ct), ct, &err) < 0)
			lg_log(LG_LOG_ERR, "%s: %s", instance_label(ct), err.msg);
	}
	hold_trash(d);
}

/* ---- doctor ---- */

static bool tell_conflict(struct daemon *d, const struct lg_ids *ids, struct report *r)
{
	for (size_t i = 0; i < d->ncts; i++) {
		const struct instance *ct = d->cts[i];
		const struct lg_id_claim *c = ct->id_base ? lg_ids_conflict(ids, ids_of(ct)) : NULL;

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
