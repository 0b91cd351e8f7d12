/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_LIB_FEATURES_H
#define LG_LIB_FEATURES_H

/*
 * What a container may be given beyond the usual, by name: FEATURES="fuse:on nesting:on". One row says
 * what a feature grants; the parsers, the help, completion, the manual and the start read the same rows.
 *
 * Some of vzctl's names ask for what every container has here, or for what no kernel gives a
 * container: they are taken and kept, so that scripts go on working, and answered with a warning.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/err.h"

enum lg_feature_id {
	LG_FEATURE_FUSE,
	LG_FEATURE_TUN,
	LG_FEATURE_NESTING,
	LG_FEATURE_KVM,
	LG_FEATURE_KEYCTL,
	LG_FEATURE_IO_URING,
	LG_FEATURE_USERFAULTFD,
	LG_FEATURE_PPP,
	LG_FEATURE_CHECKPOINTABLE,
	LG_FEATURE_SYSFS,
	LG_FEATURE_BRIDGE,
	LG_FEATURE_SIT,
	LG_FEATURE_IPIP,
	LG_FEATURE_IPGRE,
	LG_FEATURE_NFS,
	LG_FEATURE_NFSD,
	LG_FEATURE_TIME,
	LG_FEATURE_COUNT_,
};

/* A set of features: bit = id. */
#define LG_FEATURE_BIT(id) (UINT32_C(1) << (id))

/*
 * Groups of system calls that the filter refuses unless a feature (or lodge.conf) lets them through; the
 * last one is let through unless a feature has it refused.
 */
enum lg_calls {
	LG_CALLS_KEYS = 1,
	LG_CALLS_IO_URING = 2,
	LG_CALLS_USERFAULTFD = 4,
	LG_CALLS_DUMPABLE = 8,		/* refuse what would keep CRIU from dumping the container */
};
#define LG_CALLS_SETS 16u	/* there are so many combinations, and filters */

enum lg_feature_kind {
	LG_FEATURE_GRANTS,	/* on gives what the row says */
	LG_FEATURE_ALWAYS,	/* every container has it; off changes nothing */
	LG_FEATURE_NEVER,	/* no container can have it; on changes nothing */
};

struct lg_feature {
	const char *name;
	enum lg_feature_kind kind;
	unsigned int calls;		/* of enum lg_calls */
	uint64_t caps;			/* added to the bounding set */
	const char *devices[4];		/* below /dev, rw; "?NAME": left out where the host has none */
	const char *sysctls[4];		/* "KEY=VALUE" */
	uint32_t not_with;		/* set of those that cannot be on with it */
	const char *help;		/* one line: what it is for; ALWAYS and NEVER: why */
};

extern const struct lg_feature lg_features[LG_FEATURE_COUNT_];

/**
 * lg_features_parse() - "fuse,nesting:on nfs:off"; a bare name means on, the last word on a name counts
 * @on:		set of those that are on
 * @off:	set of those that are off by name; may be NULL
 *
 * Return: 0; -EINVAL with a line that lists what there is, or names two that exclude each other.
 */
int lg_features_parse(const char *text, uint32_t *on, uint32_t *off, struct lg_err *err);

/** lg_features_format() - the conf file's form, "fuse:on nfs:off"; malloc()ed, NULL: no memory. */
char *lg_features_format(uint32_t on, uint32_t off);

/**
 * lg_features_add() - @on with those of @defaults that nobody said a word about
 * @off:	set of those that are off by name
 *
 * Left out is what excludes one of @on, or is excluded by one: what was asked for counts more.
 */
uint32_t lg_features_add(uint32_t on, uint32_t off, uint32_t defaults);

/**
 * lg_features_each() - call @fn with every row of a set that grants something
 * An answer other than 0 ends it and is returned.
 */
int lg_features_each(uint32_t set, int (*fn)(const struct lg_feature *f, void *arg), void *arg);

/** lg_features_calls() / lg_features_caps() - what all of a set let through, or add. */
unsigned int lg_features_calls(uint32_t set);
uint64_t lg_features_caps(uint32_t set);

#endif
