/* SPDX-License-Identifier: GPL-2.0-or-later */

/* lodge-agent: process 1 of a microVM's initrd (agent.h). */

#include <stdio.h>
#include <unistd.h>

#include "cmd/lodge-agent/agent.h"

int main(int argc, char **argv)
{
	if (getpid() == 1 && argc > 0)
		boot(argv[0]);
	fputs("lodge-agent is what a microVM of lodge starts from, and does nothing elsewhere\n", stderr);
	return 2;
}
