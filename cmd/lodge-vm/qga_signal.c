/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * A signal to a command that the guest agent of QEMU has started. It knows none, so another command sends it. What it starts is no process group of its
 * own: the processes below it get the signal as well, as they would from a terminal. By its name, as systems differ in the numbers.
 */

#include <inttypes.h>
#include <signal.h>

#include "cmd/lodge-vm/qga.h"
#include "lib/cleanup.h"

/* clang-format off */
static const struct {
	int sig;
	const char *name;
	bool ends;
} signals[] = {
	{ SIGINT,  "INT",  true },
	{ SIGTERM, "TERM", true },
	{ SIGHUP,  "HUP",  true },
	{ SIGQUIT, "QUIT", true },
	{ SIGUSR1, "USR1", false },
	{ SIGUSR2, "USR2", false },
};
/* clang-format on */

/*
 * $0: the signal, $1: the process. Who is below is asked before it is told, as they are somebody else's afterwards; and it is told
 * first, so that a shell does not go on with its next line.
 */
static const char script[] =
	"t() { set -- \"$1\" $(cat /proc/\"$1\"/task/*/children 2>/dev/null || pgrep -P \"$1\" 2>/dev/null); "
	"kill -s \"$0\" \"$1\"; shift; for c; do t \"$c\"; done; }; t \"$1\"";

json_t *qga_signal_args(int sig, int64_t pid)
{
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		if (signals[i].sig == sig)
			return json_pack("{s:s, s:[s, s, s, o]}", "path", "/bin/sh", "arg", "-c", script, signals[i].name,
					 json_sprintf("%" PRId64, pid));
	return NULL;
}

bool qga_signal_ends(int sig)
{
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		if (signals[i].sig == sig)
			return signals[i].ends;
	return false;
}
