/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LODGED_WHY_H
#define LODGED_WHY_H

/*
 * What holds a container back: why.c gathers facts over a moment, why_find.c makes sentences of them. A
 * sentence says what is short, by how much, and who has it; one behind it what may be done.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cmd/lodged/account.h"
#include "cmd/lodged/look.h"

#define WHY_MAX 16u
#define WHY_OTHERS 3u

enum why_what { WHY_CPU, WHY_MEMORY, WHY_IO, WHY_WHAT_COUNT_ };

/* One that uses much of something; ctid 0: all that is in no container. */
struct why_user {
	uint32_t ctid;
	char label[80];
	uint64_t amount;	/* percent of one CPU, bytes, bytes a second */
};

struct why_users {
	struct why_user list[WHY_OTHERS];	/* the most first */
	size_t n;
};

struct why_facts {
	char id[16];			/* as it is named in remedies */
	uint64_t us;			/* how long it was watched */
	struct lg_cg_stats before, now;
	bool has_net;
	struct lg_net_stats net_before, net;
	struct host_look host_before, host;
	struct lg_limit_set limits;
	/* from its account */
	uint64_t oom_kills;		/* over all runs; UINT64_MAX: not known */
	int64_t oom_at;			/* of the last; 0: never */
	int oom_pid;			/* 0: not known */
	char oom_name[64];
	const char *no_names;		/* why the kernel's log cannot be read; NULL: it can */
	int64_t at;			/* seconds since the epoch, now */
	/* UINT64_MAX: not known */
	uint64_t connections, connections_max;		/* of its own network namespace */
	uint64_t host_connections;
	uint64_t disk_bytes, disk_free_bytes;		/* the file system that has its files */
	uint64_t disk_inodes, disk_free_inodes;
	struct lg_fs_usage own_disk;	/* LG_UNLIMITED: without limit */
	bool emulated;					/* a VM without KVM */
	uint64_t guest_memory, guest_available;		/* of a VM, as its guest says; 0: not a VM, or not known */
	struct why_users others[WHY_WHAT_COUNT_];
};

struct why_finding {
	const char *area;		/* "cpu", "memory", ... */
	unsigned int weight;		/* 1 to 1000: the part of its time that it costs, or how bad it is */
	char text[400];
	char remedy[200];		/* "" = none */
};

struct why_report {
	struct why_finding list[WHY_MAX];	/* the worst first; none: nothing holds it back */
	size_t n;
	char now[300];			/* what it uses, in one line */
};

/** why_find() - what @facts come to */
void why_find(const struct why_facts *facts, struct why_report *ret);

/** why_users_add() - offer one more user of something; the list keeps those with the most. */
void why_users_add(struct why_users *users, const struct why_user *user);

/** why_users_text() - "102 (db) 140%, processes outside of containers 35%" */
void why_users_text(const struct why_users *users, enum why_what what, char *buf, size_t size);

#endif
