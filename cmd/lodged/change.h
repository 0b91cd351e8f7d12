/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LODGED_CHANGE_H
#define LODGED_CHANGE_H

/*
 * A change of an instance's settings (set.c). What a group of settings does to a running instance is an
 * applier: a row of the table in set.c, its functions in a file of its own.
 */

#include "cmd/lodged/lodged.h"

struct change {
	struct instance *ct;		/* its conf is the one before */
	struct lg_conf *conf;		/* the changed copy */
	bool save;
	bool rename;			/* the call was Rename: its answer is shorter */
	bool disk;			/* its disk limit was named */
	bool inodes;			/* its inodes were named */
	bool cdrom;			/* what is in its drive was named */
	bool cpus;			/* its processors were named */
	unsigned int wishes;		/* what a running VM's guest is to be told (set_vm.c) */
	json_t *applied, *needs_restart, *warnings;
};

struct applier {
	/* Is the changed conf a sound one? Runs before anything is applied; may be NULL. */
	int (*check)(struct change *c, struct lg_err *err);
	/* Make it true, also on what runs; may be NULL: it waits for the next start. Has changed
	 * nothing when it fails, or undo() mends it. */
	int (*apply)(struct change *c, struct lg_err *err);
	/* Back to what c->ct->conf says, because this or a later applier failed; may be NULL. */
	void (*undo)(struct change *c);
};

/** change_runs() - is there something running that has to be changed? */
static inline bool change_runs(const struct change *c)
{
	return c->ct->state == STATE_RUNNING;
}

/** change_suspended() - does all that it is wait on the disk, where nothing can be changed? */
static inline bool change_suspended(const struct change *c)
{
	return c->ct->state == STATE_SUSPENDED;
}

/** change_keeps() - has @key the same value before and after? */
bool change_keeps(const struct change *c, const char *key);

/* ---- set_net.c ---- */

extern const struct applier apply_network;

/** change_add_ip() / change_remove_ip() - add_ip and del_ip of the call to the changed conf. */
int change_add_ip(struct change *c, const char *text, struct lg_err *err);
int change_remove_ip(struct change *c, const char *text, struct lg_err *err);

/** change_release_ips() - the change is made: addresses that it gave up are free for others. */
void change_release_ips(struct change *c, const struct lg_addr *old, unsigned int nold);

/* ---- set_limits.c ---- */

extern const struct applier apply_limits;

/* ---- features.c ---- */

extern const struct applier apply_features;

/* ---- set_devices.c ---- */

extern const struct applier apply_devices;

/* ---- set_kernel.c ---- */

extern const struct applier apply_kernel;

/* ---- set_vm.c ---- */

extern const struct applier apply_vm;

/** change_vm_disk() - the file behind a running VM's disk has grown: the guest is to be told. */
void change_vm_disk(struct change *c);

/**
 * change_vm_tell() - the change is made: tell the guest of a running VM
 * @then:	answers @call when the guest has answered; its @c has what of the change is not true inside
 *
 * Return: false where there is nothing to tell, and @then is not called.
 */
bool change_vm_tell(struct change *c, struct lg_vcall *call, void (*then)(struct lg_vcall *call, struct change *c));

/* ---- set_disk.c ---- */

extern const struct applier apply_disk;

/**
 * change_disk_first() - what of the change takes long: done by a worker before anything else
 * @params:	of the call
 *
 * Return: 0 when there is nothing to wait for; 1 when the call is answered later; negative errno.
 */
int change_disk_first(struct change *c, struct lg_vcall *call, const json_t *params,
		      void (*again)(struct lg_vcall *call, const json_t *params, void *ctx),
		      struct lg_err *err);

#endif
