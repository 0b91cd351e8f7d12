/* SPDX-License-Identifier: GPL-2.0-or-later */

/* How much of the guest's memory is there: of all that QEMU has mapped it is the one piece of that size without a file. */

#include <inttypes.h>
#include <stdio.h>

#include "cmd/lodge-vm/vm.h"
#include "lib/cleanup.h"

uint64_t ram_resident(pid_t pid, uint64_t memory)
{
	uint64_t start, end, inode, kib, rss = 0;
	lg_autofile FILE *f = NULL;
	char line[512], path[40];
	bool ours = false;

	snprintf(path, sizeof(path), "/proc/%d/smaps", (int)pid);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %*s %*s %*s %" SCNu64, &start, &end, &inode) == 3)
			ours = end - start == memory && inode == 0;
		else if (ours && sscanf(line, "Rss: %" SCNu64, &kib) == 1)
			rss += kib * 1024;
	}
	return rss;
}
