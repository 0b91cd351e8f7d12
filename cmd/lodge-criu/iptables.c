/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * iptables-save, ip6tables-save and their counterparts as CRIU calls them, which looks for those that speak the legacy interface:
 * eight programs at a dump and four at a restore, each with its libraries, for a guest that has no such tables. (Rules of iptables-nft
 * are nftables rules; CRIU takes those itself.) Here the kernel is asked first, and the host's own program runs only where there is
 * something to save. What was empty is never restored (routes.c).
 *
 *	-V		a version with the word that CRIU looks for
 *	anything else	what the host's own does; to save, nothing where the network namespace has no tables
 */

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cmd/lodge-criu/tables.h"

/* clang-format off */
static const struct {
	const char *name;
	const char *tables;	/* of the network namespace that we are in; NULL: it does not matter */
	const char *real[2];
} programs[] = {
	{ "iptables-save",	IPTABLES_NAMES,
		{ "/usr/sbin/iptables-legacy-save", "/usr/sbin/iptables-save" } },
	{ "ip6tables-save",	IP6TABLES_NAMES,
		{ "/usr/sbin/ip6tables-legacy-save", "/usr/sbin/ip6tables-save" } },
	{ "iptables-restore",	NULL,
		{ "/usr/sbin/iptables-legacy-restore", "/usr/sbin/iptables-restore" } },
	{ "ip6tables-restore",	NULL,
		{ "/usr/sbin/ip6tables-legacy-restore", "/usr/sbin/ip6tables-restore" } },
};
/* clang-format on */

#define PROGRAMS (sizeof(programs) / sizeof(programs[0]))

int main(int argc, char **argv)
{
	const char *slash = strrchr(argv[0], '/'), *name = slash ? slash + 1 : argv[0];
	size_t i = 0;

	while (i < PROGRAMS && strcmp(programs[i].name, name) != 0)
		i++;
	if (i == PROGRAMS) {
		fprintf(stderr, "%s: lodge has no such program\n", name);
		return 2;
	}
	if (argc == 2 && strcmp(argv[1], "-V") == 0) {
		printf(IPTABLES_VERSION, name);
		return 0;
	}
	if (programs[i].tables && !tables_are_there(programs[i].tables))
		return 0;
	for (size_t k = 0; k < 2; k++)
		execv(programs[i].real[k], argv);
	fprintf(stderr, "%s: the guest has legacy iptables rules, and this host has no program for them\n", name);
	return 1;
}
