/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_CT_COMMAND_H
#define LG_CT_COMMAND_H

/*
 * The second half of an exec session: how a process that is inside already becomes the user's command. The same for
 * a container (ct/enter.c) and for the agent of a microVM.
 *
 * Everything here runs in the new process, in the order of the functions.
 */

#include <stdbool.h>

#include "ct/user.h"
#include "lib/err.h"
#include "lib/msg.h"

#define LG_COMMAND_ARGS 1024u

struct lg_rlimits;

struct lg_command {
	const struct lg_msg *msg;	/* EXEC: arg*, env*, user, cwd; borrowed */
	bool tty;			/* descriptor 0 is a terminal of its own */
	bool contained;			/* it is told that it is in a container */
	struct lg_user user;
	char *argv[LG_COMMAND_ARGS + 1], *envp[LG_COMMAND_ARGS + 8];
	char env[7][300];		/* what a login would set; entries of envp */
};

/** lg_command_streams() - make @streams the descriptors 0, 1 and 2. Return: 0, negative errno. */
int lg_command_streams(const int streams[3]);

/** lg_command_session() - a session of its own, with the terminal, and resource limits. */
int lg_command_session(const struct lg_command *c, const struct lg_rlimits *rlimits, struct lg_err *err);

/** lg_command_user() - look up who it is to be. */
int lg_command_user(struct lg_command *c, struct lg_err *err);

/** lg_command_become() - become that user, who owns the streams from now on. */
int lg_command_become(const struct lg_command *c, struct lg_err *err);

/** lg_command_folder() - an asked-for folder must be there; a missing home is no reason to fail. */
int lg_command_folder(const struct lg_command *c, struct lg_err *err);

/** lg_command_arguments() - arguments and environment out of the message. */
int lg_command_arguments(struct lg_command *c, struct lg_err *err);

/**
 * lg_command_exec() - say LG_H_EXEC to @sock and execute it; without arguments the user's shell, as a login would
 * Return: only on failure, with exit status 127 (there is no such command) or 126.
 */
int lg_command_exec(struct lg_command *c, int sock, struct lg_err *err);

#endif
