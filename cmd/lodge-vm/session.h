/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_CMD_VM_SESSION_H
#define LG_CMD_VM_SESSION_H

#include "cmd/lodge-vm/vm.h"

/* One direction of a session's streams: 0 what is read from the client, 1 and 2 what is written to it. */
struct stream {
	struct lg_source source;
	struct session *session;
	bool ready;		/* a file or the like, which never needs waiting for */
	bool sock;		/* a socket: its flags are its owner's, each call says not to wait */
	bool eof;		/* nothing more comes: from the client, from the agent */
	uint64_t credit;	/* 0: what we may send; 1, 2: what was delivered and is not yet given back */
	char *buf;		/* 1, 2: LG_AGENT_WINDOW bytes, while something waits for the client to read */
	size_t at, end;
};

struct session {
	struct lg_source control;
	struct session *next;
	uint32_t channel;
	uint64_t pid;		/* in the guest */
	bool tty, begun, ended, over;	/* over: FAILED or ENDED was said */
	int status;		/* once ended */
	int theirs;		/* the client's end of a terminal, until it is given to it */
	struct stream streams[3];
};

/** session_check() - is it over? Then it is freed. */
void session_check(struct session *s);

/* ---- carry.c: a session's streams ---- */

void carry_init(struct session *s);

/** carry_open() - the client's stream @nr; the descriptor is the stream's, also on failure. */
int carry_open(struct session *s, unsigned int nr, int fd, struct lg_err *err);

/** carry_own_flags() - a pipe for the stream @nr that does not make anybody wait. Return: @fd, or another one in its place. */
int carry_own_flags(int fd, unsigned int nr);

/** carry_open_tty() - both directions over one socket. */
int carry_open_tty(struct session *s, int fd, struct lg_err *err);

/** carry_begin() - from now on what the client says is read. */
void carry_begin(struct session *s);

/** carry_credit() - the agent takes @bytes more; 0: the port does. */
void carry_credit(struct session *s, uint64_t bytes);

/** carry_output() - bytes for stream @nr; none: its end. */
void carry_output(struct session *s, unsigned int nr, const char *data, size_t len);

/** carry_end_input() - nobody in the guest reads any more. */
void carry_end_input(struct session *s);

/** carry_busy() - is there something that the client has not read yet, and still may? */
bool carry_busy(const struct session *s);

/** carry_close() - all streams. What still comes for them is dropped, and the agent given its credit. */
void carry_close(struct session *s);

#endif
