/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * A dump is made by a process of lodged, which sees the container's root nowhere: it is mounted in our mount namespace
 * alone. It gets a copy of that mount. What was entered from outside ends before, as it is none of the container's own
 * processes: its parent and its streams are here.
 */

#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <unistd.h>

#include "cmd/lodge-shim/shim.h"
#include "ct/proto.h"
#include "lib/cleanup.h"

static int waiting = -1;	/* connection that the answer goes to; a copy */

static void answer(int to)
{
	lg_autoclose int tree = open_tree(AT_FDCWD, shim.target, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	struct lg_err err = { 0 };

	lg_msg_init(&msg_out, LG_P_LENT);
	if (tree < 0) {
		lg_fail(&err, -errno, "lend the root");
		lg_msg_put_err(&msg_out, &err);
	} else {
		lg_msg_put_fd(&msg_out, tree);
	}
	lg_msg_send(to, &msg_out);
}

void lend_if_wanted(void)
{
	if (waiting < 0 || shim.nsessions > 0)
		return;
	answer(waiting);
	waiting = lg_close(waiting);
}

void lend_take(struct lg_msg *m, int to)
{
	struct lg_err why = { 0 };

	if (shim.phase != PHASE_RUNNING)
		return;
	if (!lg_msg_get_u64(m, "end", 0)) {
		answer(to);
		return;
	}
	lg_msg_get_err(m, &why);
	lg_close(waiting);
	waiting = fcntl(to, F_DUPFD_CLOEXEC, 0);
	sessions_kill(&why);
	lend_if_wanted();
}
