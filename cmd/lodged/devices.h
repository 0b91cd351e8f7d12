/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LODGED_DEVICES_H
#define LODGED_DEVICES_H

/* The devices an instance is given: by its features, by name and by number. */

#include <sys/stat.h>

#include "cgroup/devices.h"
#include "cmd/lodged/lodged.h"

#define DEVICE_NODES_MAX 64u

struct device_node {
	char name[LG_DEVICE_NAME];	/* below /dev */
	mode_t mode;			/* with its kind, as it will be inside */
	dev_t dev;
};

struct device_set {
	struct lg_device_rules rules;	/* with the usual ones */
	struct device_node node[DEVICE_NODES_MAX];
	size_t n;
};

/**
 * devices_of() - what @conf gives
 * @warnings:	a device that the host has not is left out and said here; NULL: it is an error (-ENODEV)
 */
int devices_of(const struct lg_conf *conf, struct device_set *ret, json_t *warnings,
	       struct lg_err *err);

/** devices_warn() - append to @warnings which of the block devices the host uses itself. */
void devices_warn(const struct device_set *set, json_t *warnings);

/** devices_attach() - the rules on the instance's cgroup; where this host cannot, it is logged once. */
int devices_attach(const struct instance *ct, const struct device_set *set, struct lg_err *err);

/** device_put() - one field "device" of START and DEVICES. -EMSGSIZE. */
int device_put(const struct device_node *node, struct lg_msg *m);

/** spec_devices() - the fields device* of START. */
int spec_devices(const struct device_set *set, struct lg_msg *m);

/* ---- set_devices.c ---- */

/** devices_changed() - the shim's answer about nodes of a running instance: a failure is an event. */
void devices_changed(const struct instance *ct, const struct lg_msg *m);

/* ---- block_use.c ---- */

/**
 * block_in_use() - does the host use block device @dev, a partition of it, or the disk it is on?
 * @what:	how, for people: "mounted on /boot"
 */
bool block_in_use(dev_t dev, char *what, size_t size);

#endif
