/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Before a machine is written to disk or moves its sessions end: their clients and their streams are here. */

#include <fcntl.h>

#include "cmd/lodge-vm/vm.h"
#include "ct/proto.h"
#include "lib/cleanup.h"

static int waiting = -1;	/* connection that the answer goes to; a copy */

void lend_if_wanted(void)
{
	if (waiting < 0 || vm.nsessions > 0)
		return;
	lg_msg_init(&msg_out, LG_P_LENT);
	lg_msg_send(waiting, &msg_out);
	waiting = lg_close(waiting);
}

void lend_take(struct lg_msg *m, int to)
{
	struct lg_err why = { 0 };

	if (vm.phase != PHASE_RUNNING)
		return;
	lg_close(waiting);
	waiting = fcntl(to, F_DUPFD_CLOEXEC, 0);
	if (lg_msg_get_u64(m, "end", 0)) {
		lg_msg_get_err(m, &why);
		sessions_kill(&why);
	}
	lend_if_wanted();
}
