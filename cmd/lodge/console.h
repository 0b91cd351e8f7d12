/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_CMD_LODGE_CONSOLE_H
#define LG_CMD_LODGE_CONSOLE_H

#include "cmd/lodge/cli.h"

/** console_run() - join the terminal to the console of @id until the user leaves or it ends. */
int console_run(struct cli *cli, const char *id);

#endif
