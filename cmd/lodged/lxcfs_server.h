/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LODGED_LXCFS_SERVER_H
#define LODGED_LXCFS_SERVER_H

/* One lxcfs process: started or taken up, its files opened by a worker, its end seen. For lxcfs.c. */

#include "cmd/lodged/lodged.h"
#include "ct/procfs.h"

#define LXCFS_PATH 300

struct server {
	struct daemon *d;
	unsigned int nr;
	pid_t pid;
	uint64_t since_us;
	sd_event_source *end;		/* its pidfd */
	sd_event_source *io;		/* the worker that opens its files */
	sd_event_source *timer;		/* for that; later for its end */
	bool opened, retired, taken_up;
	struct lg_err err;		/* why it was killed; code 0: it ended by itself */
	struct lg_procfs files;
};

/** server_new() - nothing runs yet. NULL without memory. */
struct server *server_new(struct daemon *d, unsigned int nr);

/** server_free() - stop looking at it; it goes on. */
void server_free(struct server *s);

/** server_start() - run @program. On failure s->end tells whether there is a process. */
int server_start(struct server *s, const char *program, struct lg_err *err);

/** server_take_up() - it is process @pid already; likewise. */
int server_take_up(struct server *s, pid_t pid, struct lg_err *err);

/** server_probe() - let a worker open its files once more; one that does not answer is killed. */
void server_probe(struct server *s);

/** server_kill() - it has nothing to save: SIGKILL. lxcfs_ended() follows. */
void server_kill(struct server *s);

/** server_is() - is @pid an lxcfs with mount point @nr? Numbers of processes are used again. */
bool server_is(const struct daemon *d, pid_t pid, unsigned int nr);

/** server_has_calls() - was it started with the library that this daemon gives it? */
bool server_has_calls(const struct server *s);

/** server_clear_up() - its mount, folder and pid file go; waits for no lxcfs, dead or alive. */
void server_clear_up(const struct daemon *d, unsigned int nr);

/** server_pidfd() - borrowed. */
int server_pidfd(const struct server *s);

/* What comes of it, in lxcfs.c. lxcfs_ended() frees it. */
void lxcfs_opened(struct server *s);
void lxcfs_ended(struct server *s);

#endif
