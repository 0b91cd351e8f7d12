/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SURVIVE_CLIENT_H
#define SURVIVE_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#define SV_PORT 7001
#define SV_ECHO 'E'
#define SV_STREAM 'S'
#define SV_SPOIL "SURVIVE_SPOIL"

/* The longest time in which nothing came. */
struct sv_gap {
	double last, longest;
};

void sv_gap_begin(struct sv_gap *gap);
void sv_gap_moved(struct sv_gap *gap);

/*
 * Connect to a numerical address, IPv4 or IPv6; sockets are TCP_NODELAY. @type: SOCK_STREAM or
 * SOCK_DGRAM. Return: a descriptor, or -1 after a line on standard error.
 */
int sv_connect(const char *host, const char *port, int type);

/* Has SIGTERM come? */
bool sv_client_stopped(void);

/* What one line the report is; a bad verdict if sv_why() has a reason. */
void sv_report(const char *kind, uint64_t sent, uint64_t received, uint64_t lost,
	       const struct sv_gap *gap);

#endif
