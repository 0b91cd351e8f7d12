/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LODGE_WORKER_JOB_H
#define LODGE_WORKER_JOB_H

#include <stdbool.h>
#include <stdint.h>

#include "ct/facts.h"
#include "storage/disk.h"

struct job {
	const char *var;	/* --var: lg_root.var */
	const char *data;	/* --data: where the recipes are */
	const char *socket;	/* --socket: lodged's */
	bool force;
	bool mounted;		/* --mounted: stdin is a folder in what is mounted */
	struct lg_disk_limit disk;	/* --bytes, --inodes */
	uint32_t ctid, base;	/* --ctid, --base: first id of its own */
	const char *file, *key;	/* --file, --key: a dump file, and what it is encrypted with */
	struct lg_facts_where where;	/* --criu, --no-criu, --lxcfs */
	const char *name;	/* the argument */
};

#endif
