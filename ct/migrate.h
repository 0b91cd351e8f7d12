/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_CT_MIGRATE_H
#define LG_CT_MIGRATE_H

/*
 * A move, in the two directions that it is talked about. cmd/lodge-worker/migrate.h has the whole story.
 *
 * Between lodged and its worker on the host that the container leaves, on the worker's descriptor 3 (lib/msg.h): the worker
 * asks, lodged does, and answers with the same kind, or with FAILED.
 */
enum lg_migrate {
	LG_M_LAYER = 1,	/* fd: the folder of its layer; of a VM its disk. Of one that is to move while it runs another fd: a file that
			 * has something where the disk was written to since then */
	LG_M_FREEZE,	/* nothing of it runs any more. fd: the folder of the images; us: since when, monotonic clock */
	LG_M_FROZEN,	/* before that answer, perhaps several times: it was stopped just now, and its memory is yet to be written.
			 * fd, us: likewise. Of a VM without fd, and written: 1 when that file tells all */
	LG_M_STOP,	/* it is shut down */
	LG_M_COMMIT,	/* token: from here on it is the other host that decides. It stays frozen, and what becomes of
			 * it here is written down */
	LG_M_MOVED,	/* it runs there: here it ends. noted: 1 when that is written down */
	LG_M_AHEAD,	/* its memory, or what was written since the last time, is copied while it runs. fd: the folder of these
			 * images. FAILED: it goes without, and what was copied before is of no use */
	LG_M_FAILED = 64,	/* error object */
};

#define LG_MIGRATE_FD 3
#define LG_MIGRATE_REMOTE "lodge receive"	/* the other side's command */
#define LG_MIGRATE_MAGIC "lodge-move 1\n"	/* what the other side's program says first */

#endif
