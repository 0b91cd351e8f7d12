/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/lodged/look.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static int by_ctid(const void *a, const void *b)
{
	const struct look *x = a, *y = b;

	return x->ctid < y->ctid ? -1 : x->ctid > y->ctid;
}

const struct look *look_find(const struct looks *looks, uint32_t ctid)
{
	struct look key = { .ctid = ctid };

	return looks->n ? bsearch(&key, looks->list, looks->n, sizeof(key), by_ctid) : NULL;
}

void look_disk(const struct instance *ct, struct lg_fs_usage *ret)
{
	static const struct lg_fs_usage none = { LG_UNLIMITED, LG_UNLIMITED, LG_UNLIMITED,
						 LG_UNLIMITED };
	struct lg_disk_limit limit;

	*ret = none;
	if (disk_limit(ct->conf, &limit, NULL) < 0 ||
	    (limit.bytes == LG_UNLIMITED && limit.inodes == LG_UNLIMITED))
		return;
	if (disk_usage(ct, ret) < 0)
		*ret = none;
}

static void look_at(const struct instance *ct, unsigned int parts, struct looks *looks)
{
	struct look *look = &looks->list[looks->n];
	char name[16];

	if (ct->state != STATE_RUNNING)
		return;
	snprintf(name, sizeof(name), "%u", ct->ctid);
	look->ctid = ct->ctid;
	look->at_us = now_us();
	/* One that is just ending has no cgroup any more. */
	if (lg_cg_stats(ct->d->cg, name, parts, &look->use, NULL) < 0)
		return;
	look_disk(ct, &look->disk);
	looks->n++;
}

/* In the order of the numbers, and each only once, however they were named. */
static void look_at_these(struct daemon *d, const json_t *ids, unsigned int parts,
			  struct looks *looks)
{
	size_t i, n = 0;
	json_t *id;

	json_array_foreach(ids, i, id) {
		const struct instance *ct = instance_by_id(d, json_string_value(id));

		if (ct)
			look_at(ct, parts, looks);
	}
	qsort(looks->list, looks->n, sizeof(struct look), by_ctid);
	for (i = 0; i < looks->n; i++)
		if (n == 0 || looks->list[n - 1].ctid != looks->list[i].ctid)
			looks->list[n++] = looks->list[i];
	looks->n = n;
}

struct links {
	const struct lg_root *root;
	const struct looks *looks;
};

static void take_link(const char *name, const struct lg_net_stats *stats, void *arg)
{
	const struct links *links = arg;
	struct look *look = (struct look *)(uintptr_t)look_find(
		links->looks, lg_root_link_ctid(links->root, name));

	if (!look)
		return;
	look->has_net = true;
	look->net = *stats;
}

int look_all(struct daemon *d, const json_t *ids, unsigned int parts, struct looks *ret,
	     struct lg_err *err)
{
	size_t nids = json_array_size(ids), room = nids ? nids : d->ncts;
	struct looks looks = { .list = calloc(room + 1, sizeof(struct look)) };
	struct links links = { &d->root, &looks };

	if (!looks.list)
		return lg_fail(err, -ENOMEM, "read what the containers use");
	if (nids)
		look_at_these(d, ids, parts, &looks);
	for (size_t i = 0; !nids && i < d->ncts; i++)
		look_at(d->cts[i], parts, &looks);
	/* Without counters of links everything else is still worth knowing. */
	if (looks.n)
		lg_net_stats_each(d->net, take_link, &links, NULL);
	*ret = looks;
	return 0;
}

void look_free(struct looks *looks)
{
	free(looks->list);
	looks->list = NULL;
	looks->n = 0;
}
