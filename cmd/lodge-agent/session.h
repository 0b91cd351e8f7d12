/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LODGE_AGENT_SESSION_H
#define LODGE_AGENT_SESSION_H

/*
 * Exec sessions. What a session is allowed to have of the agent is bounded: input that its process has not read yet (a
 * window), and nothing of its output, which stays in the pipe until there is credit and room to send it.
 */

#include <poll.h>

#include "cmd/lodge-agent/agent.h"

enum { STREAM_IN, STREAM_OUT, STREAM_ERR, STREAMS };

#define SESSION_POLLS 4u	/* streams and the handshake */

struct session {
	struct session *next;
	uint32_t channel;
	pid_t pid;		/* 0: reaped */
	int status;
	int handshake;		/* -1: ended */
	int fds[STREAMS];	/* our ends; a terminal's are the same master, copied */
	bool tty, execing, begun, over;	/* over: FAILED or ENDED was said */
	bool in_ended;		/* no more input will come */
	uint32_t credit[STREAMS];	/* of OUT and ERR: what may be sent; of IN: what is to be given back */
	size_t left[STREAMS];	/* of OUT and ERR: what is still read when the process has ended */
	uint8_t *input;		/* LG_AGENT_WINDOW bytes, or NULL */
	size_t input_at, input_len;
};

struct sessions {
	struct frames *frames;
	const struct machine *machine;
	struct session *first;
	unsigned int n;
	struct lg_msg msg;	/* what is being said */
};

/** sessions_frame() - a frame of a session's channel. Return: 0; -EPROTO when it breaks the rules. */
int sessions_frame(struct sessions *all, const struct frame *frame);

/** sessions_want() - fill @fds; how many, SESSION_POLLS for each session, in their order. */
unsigned int sessions_want(const struct sessions *all, struct pollfd *fds);

/** sessions_run() - after poll() filled @fds; sessions_want() was called with the same ones. */
void sessions_run(struct sessions *all, const struct pollfd *fds);

/** sessions_reaped() - the process @pid has ended. */
void sessions_reaped(struct sessions *all, pid_t pid, int status);

/** sessions_end() - kill them all with @sig; nothing more is said of them. */
void sessions_end(struct sessions *all, int sig);

/** session_start() - make the process of @s as @exec says. Its own ends are closed here. */
int session_start(struct session *s, const struct machine *m, const struct lg_msg *exec, struct lg_err *err);

#endif
