/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Device nodes of a running container, changed by a child that enters its namespaces and answers by
 * itself: the guest can make it wait, but not the shim.
 */

#include <unistd.h>

#include "cmd/lodge-shim/shim.h"
#include "ct/devices.h"
#include "ct/proto.h"

static void __attribute__((noreturn)) change(const struct lg_msg *m, int answer)
{
	struct lg_err err = { 0 };
	int r = lg_devices_change(shim.launch.pidfd, shim.id_base, m, &err);

	lg_msg_init(&msg_out, LG_P_DEVICES);
	if (r < 0)
		lg_msg_put_err(&msg_out, &err);
	lg_msg_send(answer, &msg_out);
	_exit(r < 0);
}

void devices_take(struct lg_msg *m, int answer)
{
	if (shim.phase == PHASE_RUNNING && fork() == 0)
		change(m, answer);
}
