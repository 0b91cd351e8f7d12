/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Devices, changed: what may be opened follows at once, nodes in /dev at the next start. */

#include "cmd/lodged/change.h"
#include "cmd/lodged/devices.h"

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

static int attach(const struct change *c, const struct lg_conf *conf, struct lg_err *err)
{
	struct device_set set;
	json_t *said = json_array();	/* by the check */
	int r = devices_of(conf, &set, said, err);

	json_decref(said);
	return r < 0 ? r : devices_attach(c->ct, &set, err);
}

static int change_devices(struct change *c, struct lg_err *err)
{
	return keeps_all(c) || !change_runs(c) ? 0 : attach(c, c->conf, err);
}

static void undo_devices(struct change *c)
{
	struct lg_err ignored = { 0 };

	if (!keeps_all(c) && change_runs(c))
		attach(c, c->ct->conf, &ignored);
}

const struct applier apply_devices = { check_devices, change_devices, undo_devices };
