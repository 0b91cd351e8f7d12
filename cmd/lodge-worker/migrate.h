/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LODGE_WORKER_MIGRATE_H
#define LODGE_WORKER_MIGRATE_H

/*
 * A move of a container to another host.
 *
 * How it works: `lodge-worker migrate`, a child of lodged here, starts one ssh, which starts `lodge receive` there, which is
 * `lodge-worker receive`. They talk over its streams: JSON objects with their length in front, and between them raw data whose end
 * is known. What only a daemon may do each asks of its own.
 *
 *	here (container)		there
 *	offer ------------------------> ImportOffer	what is in the way, is the template there?
 *	template ---------------------> into the store	(only if it is not)
 *	boot -------------------------> of a VM that comes with its memory: into VAR/vm (only what is not)
 *	begin ------------------------> ImportBegin	an empty layer, held by an open call
 *	layer, of a VM: disk ---------> its files, while it runs; again until little changes
 *	LG_M_AHEAD: its memory
 *	round, image -----------------> that, while it runs; again until little changes
 *	of a VM:
 *	incoming ---------------------> ImportIncoming	a QEMU that reads what comes
 *	LG_M_AHEAD: QEMU writes
 *	state ------------------------> written to a file, and to that QEMU; until LG_M_FROZEN: it stands still
 *	LG_M_FREEZE: the rest
 *	state, stated ----------------> that is all
 *	of a container:
 *	LG_M_FREEZE: it is stopped (LG_M_FROZEN)
 *	soon -------------------------> it will be restored in a moment
 *	layer, image -----------------> what has changed, and its memory as it is written
 *	anew -------------------------> that memory is of no use: it ran on for a moment, and is dumped once more
 *	nothing runs, all is written
 *	layer, images ----------------> what else has changed, the rest of its memory
 *	restore ----------------------> ImportRestore	everything is there, nothing runs
 *	LG_M_COMMIT: it is theirs to decide
 *	go ---------------------------> ImportGo	written down, runs
 *	LG_M_MOVED: destroyed
 *
 *	forget ----------------------> ImportForget	nobody will ask
 *
 * Everything before COMMIT can fail anywhere: this process ends, and the container runs on where it is, as it was only held. What was made
 * there is undone when the connection ends. Behind COMMIT lodged has another process of this program ask the other side, over a new
 * connection, whether it has taken the container (`query`); if not, by the same question, it never will, and it runs on here. If
 * nobody answers, it stays here, suspended: two of it would be worse than none for a while.
 *
 * Without `live` the container is shut down in place of FREEZE, and started there.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/err.h"

/* ---- wire.c ---- */

struct wire {
	int in, out;		/* blocking */
};

/** wire_send() - one object; @obj is taken over. -EPIPE: the other side is gone. */
int wire_send(const struct wire *w, json_t *obj, struct lg_err *err);

/** wire_recv() - the next one, the caller's. -EPIPE at the end; -EBADMSG for what is none. */
int wire_recv(const struct wire *w, json_t **ret, struct lg_err *err);

/** wire_ask() - send, and hear the answer: an error object is made into @err. @ret may be NULL. */
int wire_ask(const struct wire *w, json_t *obj, json_t **ret, struct lg_err *err);

/** wire_send_data() - @len bytes as they are */
int wire_send_data(const struct wire *w, const void *data, size_t len, struct lg_err *err);

/** wire_recv_data() - @len bytes */
int wire_recv_data(const struct wire *w, void *data, size_t len, struct lg_err *err);

/** wire_send_file() - @size bytes of @fd from its beginning; *@total grows by them */
int wire_send_file(const struct wire *w, int fd, uint64_t size, uint64_t *total, struct lg_err *err);

/** wire_recv_file() - @size bytes into @fd */
int wire_recv_file(const struct wire *w, int fd, uint64_t size, struct lg_err *err);

/* ---- ssh.c ---- */

struct ssh {
	struct wire wire;
	pid_t pid;
	int errors;		/* what it says on stderr */
};

/** ssh_open() - run @words (NULL: "ssh"), @host, @remote, and wait until the other side's program answers */
int ssh_open(struct ssh *s, const json_t *words, const char *host, const char *remote, struct lg_err *err);

/** ssh_close() - end it. @err, if it has a code, gets what ssh said last. */
void ssh_close(struct ssh *s, struct lg_err *err);

/* ---- migrate.c, receive.c, ask_move.c, wait_at.c ---- */

struct job;

/** warm_begin(), warm_end() - meanwhile a process that is to be moved to another cgroup does not wait for that (warm.c) */
void warm_begin(void);
void warm_end(void);

/**
 * wait_at() - a test hook: where a move has come to @point. With LG_MOVE_STOP=FOLDER in the environment and a file of that name
 * in the folder (blanks as dashes) it is renamed to NAME.here, and waited until that is gone.
 */
void wait_at(const char *point);

/** migrate_ask() - has the other host what was moved to it? Or: it may forget that. "P R {"here": BOOL}" */
int migrate_ask(const struct job *job, struct lg_err *err);

int migrate_send(const struct job *job, struct lg_err *err);
int migrate_receive(const struct job *job, struct lg_err *err);

#endif
