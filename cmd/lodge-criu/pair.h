/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_CMD_CRIU_PAIR_H
#define LG_CMD_CRIU_PAIR_H

/* What CRIU is told to move in as the container's link. There is none of that name: calls_link.c makes one in there. */
#define PAIR_LINK "lodge:pair"

#endif
