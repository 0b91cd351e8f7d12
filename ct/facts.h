/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_CT_FACTS_H
#define LG_CT_FACTS_H

/*
 * Can a container of this host run on that one? Before a migration both hosts say what they are, the source what the
 * container needs, and one table (facts_compare.c) turns the differences into sentences.
 *
 * Facts of a host:
 *	protocol, lodge, kernel, machine, page_bytes, time_us (of the day, when it was asked)
 *	cpu		{ vendor, family, model, name, features: [...], xcr0, xsave_bytes }
 *	criu		{ usable, why (if not), version, features: [...] }
 *	tracking	{ usable, why (if not) }: does its kernel tell which memory was written?
 *	time_namespaces, lxcfs, apparmor	true or false
 *	cgroups		{ kind: "unified" | "hybrid" | "legacy", controllers: [...] }
 *	storage		{ fs, project_quotas, images, free_bytes, free_inodes (both left out: not known) }
 *	features	[...]	those of lib/features.h that it can give
 *	here		only the target's: what it says about this container
 *		{ ctid_taken, name_taken_by, ids, template: "same" | "other" | "missing",
 *		  addresses: [ { address, taken_by, known } ], refused: [ lines ] }
 *
 * Needs of a container:
 *	ctid, name, live, own_clocks, apparmor, disk_limited, features: [...], ids (how many)
 *	bytes, inodes			of its layer
 *	memory_bytes			live only: the images pass the target's disk
 *	resident_bytes			what of it is its processes' own, and not of files
 *	template	{ name, digest, bytes }
 *	addresses	[...]
 *	conf		{ KEY: value }	its conf file
 *
 * What comes from the other host is not trusted: of a wrong kind is as good as missing, and a text is made
 * printable before it gets into a sentence.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/err.h"
#include "lib/json.h"

#define LG_FACTS_PROTOCOL 2	/* of what two lodges say to each other to move a container */

struct lg_facts_where {
	const char *var;	/* lg_root.var */
	const char *criu;	/* the program; NULL: there is none */
	const char *criu_why;	/* with NULL: why; may be NULL */
	bool lxcfs;		/* it tells containers their limits here */
};

/**
 * lg_facts_gather() - what this host is
 * @ret:	the caller's
 *
 * Runs CRIU, the first time and when its file or the kernel has changed (VAR/cache/criu.json keeps what it
 * said): up to a second, so it belongs into a worker. Return: 0; -ENOMEM.
 */
int lg_facts_gather(const struct lg_facts_where *where, json_t **ret, struct lg_err *err);

/**
 * lg_facts_compare() - what is against it, and what is worth knowing
 * @ret:	[ { level: "blocker" | "note", what, why, remedy } ], blockers first; the caller's. Empty: nothing
 *
 * Return: 0; -ENOMEM.
 */
int lg_facts_compare(const json_t *source, const json_t *target, const json_t *needs, json_t **ret,
		     struct lg_err *err);

/** lg_facts_block() - is there a blocker among @found? */
bool lg_facts_block(const json_t *found);

/** lg_facts_check_name() - the name ("what") of row @i of the table; NULL behind the last. */
const char *lg_facts_check_name(size_t i);

/**
 * lg_facts_layer() - what the layer of @ctid takes: { bytes, inodes }
 *
 * Walks all of it. Return: 0; negative errno.
 */
int lg_facts_layer(const char *var, uint32_t ctid, json_t **ret, struct lg_err *err);

/* ---- for lg_facts_gather() and its tests ---- */

/** lg_facts_cpu() - "cpu" of the facts, by the text of /proc/cpuinfo and, on x86, what the processor says. */
json_t *lg_facts_cpu(const char *cpuinfo);

/** lg_facts_cgroups() - "cgroups", by the text of a mountinfo file. */
json_t *lg_facts_cgroups(const char *mountinfo);

/** lg_facts_criu() - "criu" of the facts; as lg_facts_gather(). */
json_t *lg_facts_criu(const struct lg_facts_where *where);

#endif
