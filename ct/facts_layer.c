/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fts.h>
#include <stdio.h>
#include <sys/stat.h>

#include "ct/facts.h"

/* Files with several names are counted once for each: what a copy needs at most. */
static int measure(char *path, json_int_t *bytes, json_int_t *inodes)
{
	char *const paths[] = { path, NULL };
	FTS *tree = fts_open(paths, FTS_PHYSICAL | FTS_XDEV | FTS_NOCHDIR, NULL);
	FTSENT *e;

	if (!tree)
		return -errno;
	while ((e = fts_read(tree))) {
		if (e->fts_info == FTS_DP || e->fts_info == FTS_NS || e->fts_info == FTS_ERR)
			continue;
		*bytes += (json_int_t)e->fts_statp->st_blocks * 512;
		(*inodes)++;
	}
	fts_close(tree);
	return 0;
}

int lg_facts_layer(const char *var, uint32_t ctid, json_t **ret, struct lg_err *err)
{
	json_int_t bytes = 0, inodes = 0;
	char path[300];
	int r;

	snprintf(path, sizeof(path), "%.280s/ct/%u", var, ctid);
	r = measure(path, &bytes, &inodes);
	if (r < 0)
		return lg_fail(err, r, "measure '%s'", path);
	*ret = json_pack("{s:I, s:I}", "bytes", bytes, "inodes", inodes);
	return *ret ? 0 : lg_fail(err, -ENOMEM, "measure '%s'", path);
}
