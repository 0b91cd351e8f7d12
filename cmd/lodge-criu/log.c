/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * CRIU's log in one line. The first error is the cause, and what follows are the callers that gave up; but some
 * complaints are of no consequence, and they come first.
 */

#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "cmd/lodge-criu/criu.h"
#include "ct/checkpoint.h"
#include "lib/cleanup.h"

/* clang-format off */
static const char *const harmless[] = {
	"rlimit: Can't setup RLIMIT_NOFILE for self",	/* it lacks CAP_SYS_RESOURCE and has enough */
	"execvp(\"iptables",				/* hosts with nftables alone have none of them */
	"execvp(\"ip6tables",
	"iptables-save -V failed",
	"iptables-restore -V failed",
	"tables-legacy-save -V failed",
	"tables-legacy-restore -V failed",
	"ip6tables-save -V failed",
	"ip6tables-restore -V failed",
	"tun: Unable to create tun",
	"xtlocks check",
	"net module preload",
};
/* clang-format on */

static bool is_harmless(const char *line)
{
	for (size_t i = 0; i < ARRAY_SIZE(harmless); i++)
		if (strstr(line, harmless[i]))
			return true;
	return false;
}

/* "(00.1) Error (criu/x.c:1): TEXT" to TEXT, made printable: names in it are the guest's. */
static void keep_text(const char *line, char *ret, size_t size)
{
	const char *text = strstr(line, "): ");
	size_t n = 0;

	text = text ? text + 3 : line;
	while (text[n] && text[n] != '\n' && n + 1 < size) {
		ret[n] = isprint((unsigned char)text[n]) ? text[n] : '?';
		n++;
	}
	ret[n] = '\0';
}

void log_cause(int images, char *ret, size_t size)
{
	lg_autoclose int fd = openat(images, LG_CHECKPOINT_LOG, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	lg_autofile FILE *f = fd < 0 ? NULL : fdopen(fd, "r");
	char line[1024];

	ret[0] = '\0';
	if (!f)
		return;
	lg_take_fd(&fd);
	while (fgets(line, sizeof(line), f)) {
		const char *error = strstr(line, "Error (");

		if (!error || is_harmless(line))
			continue;
		keep_text(error, ret, size);
		return;
	}
}
