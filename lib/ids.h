/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_LIB_IDS_H
#define LG_LIB_IDS_H

/*
 * Which of the host's ids containers may have. An id is good for one party only: who runs as another's id
 * shares his per-user limits, may signal his processes and read his files. So a range comes out of what is
 * granted (ID_BASE and ID_COUNT of lodge.conf, else the entry of `lodge` in /etc/subuid and /etc/subgid,
 * else a default), and not where anybody else has an id: a user, a group, or another entry of those files.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/err.h"

struct lg_id_range {
	uint32_t base, count;
};

/* Somebody else's ids. */
struct lg_id_claim {
	uint64_t base, count;
	char whose[80];		/* "user 'web' of /etc/passwd" */
};

/* What one file gives to the owner. */
struct lg_id_grant {
	uint64_t base, count;	/* of its last entry */
	unsigned int n;		/* entries that it has */
};

struct lg_ids {
	char owner[32];			/* "" = no entry of the files is ours */
	struct lg_id_grant uid, gid;	/* his in /etc/subuid, /etc/subgid */
	struct lg_id_claim *claims;
	size_t nclaims;
};

/**
 * lg_ids_read() - read passwd, group, subuid and subgid in @etc
 * @etc:	descriptor of /etc
 * @owner:	whose entries are no claim, but may be granted: "lodge". NULL: nobody's
 * @ret:	to be given to lg_ids_finish(), also when it fails
 *
 * A missing file says nothing. Return: 0, negative errno.
 */
int lg_ids_read(int etc, const char *owner, struct lg_ids *ret, struct lg_err *err);

/**
 * lg_ids_granted() - the range that the files grant to the owner
 * @ret:	count 0: none
 *
 * Return: 0; -EINVAL with a line that says what to change when his entries are not one and the same
 * range in both files, or are of no use for containers.
 */
int lg_ids_granted(const struct lg_ids *ids, struct lg_id_range *ret, struct lg_err *err);

/** lg_ids_finish() - free what lg_ids_read() filled. */
void lg_ids_finish(struct lg_ids *ids);

/**
 * lg_ids_configured() - the range that lodge.conf gives
 * @base:	text of ID_BASE
 * @count:	text of ID_COUNT; NULL: as many as there are
 *
 * Return: 0; -EINVAL or -ERANGE with a line that names the key.
 */
int lg_ids_configured(const char *base, const char *count, struct lg_id_range *ret,
		      struct lg_err *err);

/** lg_ids_conflict() - the claim that @range overlaps; NULL: its ids are free. */
const struct lg_id_claim *lg_ids_conflict(const struct lg_ids *ids, struct lg_id_range range);

/**
 * lg_ids_mapped() - the number of ids that exist here, counted from 0
 * UINT32_MAX in the first user namespace. 0: this process's namespace maps no ids from 0 on.
 */
uint32_t lg_ids_mapped(void);

/** lg_ids_overlap() - do two ranges have an id in common? */
bool lg_ids_overlap(struct lg_id_range a, struct lg_id_range b);

#endif
