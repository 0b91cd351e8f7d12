/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Devices, changed: what may be opened follows at once, in the kernel. The nodes in /dev follow a moment
 * later: there the guest has a say, which lodged does not wait for.
 */

#include <string.h>

#include "cmd/lodged/change.h"
#include "cmd/lodged/devices.h"
#include "ct/proto.h"
#include "lib/log.h"

static bool keeps_all(const struct change *c)
{
	return change_keeps(c, "DEVNODES") && change_keeps(c, "DEVICES") &&
	       change_keeps(c, "FEATURES");
}

static int check_devices(struct change *c, struct lg_err *err)
{
	struct device_set set;
	int r;

	if (keeps_all(c))
		return 0;
	r = devices_of(c->conf, &set, c->warnings, err);
	if (r == 0)
		devices_warn(&set, c->warnings);
	return r;
}

/* Without a word about what is not there: the check said it. */
static int read_set(const struct lg_conf *conf, struct device_set *ret, struct lg_err *err)
{
	json_t *said = json_array();
	int r = devices_of(conf, ret, said, err);

	json_decref(said);
	return r;
}

static bool has_node(const struct device_set *set, const struct device_node *node)
{
	for (size_t i = 0; i < set->n; i++)
		if (strcmp(set->node[i].name, node->name) == 0)
			return set->node[i].dev == node->dev &&
			       (set->node[i].mode & S_IFMT) == (node->mode & S_IFMT);
	return false;
}

static int send_nodes(const struct instance *ct, const struct device_set *before,
		      const struct device_set *after, struct lg_err *err)
{
	unsigned int n = 0;
	struct lg_msg m;
	int r;

	lg_msg_init(&m, LG_P_DEVICES);
	for (size_t i = 0; i < before->n; i++)
		if (!has_node(after, &before->node[i])) {
			lg_msg_put(&m, "gone", before->node[i].name);
			n++;
		}
	for (size_t i = 0; i < after->n; i++)
		if (!has_node(before, &after->node[i])) {
			device_put(&after->node[i], &m);
			n++;
		}
	r = n && ct->shim ? lg_msg_send(ct->shim->sock, &m) : 0;
	return r < 0 ? lg_fail(err, r, "speak to the shim") : 0;
}

static int change_nodes(const struct change *c, const struct lg_conf *from,
			const struct lg_conf *to, struct lg_err *err)
{
	struct device_set before, after;
	struct lg_err ignored = { 0 };
	int r = read_set(to, &after, err);

	/* What the file said before may have been wrong: then there is nothing to take away. */
	if (r == 0 && read_set(from, &before, &ignored) < 0)
		before.n = 0;
	if (r == 0)
		r = devices_attach(c->ct, &after, err);
	return r < 0 ? r : send_nodes(c->ct, &before, &after, err);
}

static int change_devices(struct change *c, struct lg_err *err)
{
	return keeps_all(c) || !change_runs(c) ? 0 : change_nodes(c, c->ct->conf, c->conf, err);
}

static void undo_devices(struct change *c)
{
	struct lg_err ignored = { 0 };

	if (!keeps_all(c) && change_runs(c))
		change_nodes(c, c->conf, c->ct->conf, &ignored);
}

const struct applier apply_devices = { check_devices, change_devices, undo_devices };

void devices_changed(const struct instance *ct, const struct lg_msg *m)
{
	struct lg_err err = { 0 };

	if (!lg_msg_get(m, "error")) {
		emit_event(ct->d, "devices", ct, NULL);
		return;
	}
	lg_msg_get_err(m, &err);
	lg_log(LG_LOG_WARN, "devices of %s: %s", instance_label(ct), err.msg);
	emit_event(ct->d, "devices-failed", ct, "%s", err.msg);
}
