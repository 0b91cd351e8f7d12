/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_CMD_LODGE_SESSION_H
#define LG_CMD_LODGE_SESSION_H

/*
 * How it works: the command asks lodged for a session (Exec) and lends it one end of a control
 * socket and of three pipes; lodged hands them to the container's shim and is out of the way. The
 * command then pumps between its own streams and the pipes, passes signals on, and waits for the
 * shim's word that the session is over (ct/proto.h: BEGUN, ENDED, FAILED, SIGNAL). With a terminal
 * the shim sends the master of a pty instead.
 *
 * The container never gets a descriptor of the caller's: always a pipe or a pty between.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "cmd/lodge/cli.h"

struct session {
	const char *id;
	json_t *argv;		/* borrowed: array of strings */
	json_t *env;		/* borrowed, or NULL: array of "NAME=VALUE" */
	const char *user;	/* NULL: root */
	const char *cwd;	/* NULL: the user's home */
	bool tty;		/* stdin is a terminal: give the session one */
	bool no_stdin;		/* the session's stdin is at its end from the start */
	const char *input;	/* instead of stdin; at most 64 KiB */
};

/**
 * session_run() - from asking for it to its end
 *
 * Return: exit status of the command, 128 + N when signal N ended it; negative errno when
 * there was no session, with cli->err.
 */
int session_run(struct cli *cli, const struct session *s);

/** session_status() - what to exit with for wait status @status. */
int session_status(int status);

#endif
