/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What lodged says, and its going away. */

#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include "cmd/lodge-vm/vm.h"
#include "ct/console.h"
#include "ct/proto.h"
#include "lib/proc.h"
#include "vm/start.h"

#define POWERDOWN_MS 5000

static void gone(void)
{
	struct lg_err err = { 0 };

	if (vm.phase == PHASE_SPARE)
		_exit(0);
	if (vm.phase != PHASE_MADE)
		return;
	lg_refuse(&err, -EPIPE, 0, "lodged went away");
	start_fail(&err);
}

static void say_state(int to)
{
	uint64_t since = 0;

	if (vm.phase == PHASE_SPARE)
		return;
	lg_proc_starttime(vm.pid, &since);
	lg_msg_init(&msg_out, LG_P_STATE);
	lg_msg_put_u64(&msg_out, "pid", (uint64_t)vm.pid);
	lg_msg_put_u64(&msg_out, "starttime", since);
	lg_msg_put_u64(&msg_out, "started", vm.phase == PHASE_RUNNING);
	lg_msg_put(&msg_out, "qemu", qemu_version());
	lg_msg_put(&msg_out, "genid", vm.genid);
	lg_msg_put_u64(&msg_out, "committed", suspend_is_committed());
	lg_msg_put_u64(&msg_out, "added", cpus_added());
	if (media_in_drive())
		lg_msg_put(&msg_out, "drive", media_in_drive());
	lg_msg_put_fd(&msg_out, vm.netns_fd);
	lg_msg_put_fd(&msg_out, vm.pidfd);
	lg_msg_send(to, &msg_out);
}

/* To the guest's init. Where nobody can tell it so, all but SIGKILL are the power button. */
static void take_signal(const struct lg_msg *m)
{
	uint64_t sig = lg_msg_get_u64(m, "sig", 0);

	if (vm.phase == PHASE_SPARE || sig == 0 || sig > 64)
		return;
	if (sig == SIGKILL) {
		lg_pidfd_signal(vm.pidfd, SIGKILL);
		return;
	}
	lg_msg_init(&msg_out, 0);
	lg_msg_put_u64(&msg_out, "sig", sig);
	if (!agent_here() || agent_send_msg(0, LG_A_INIT_SIGNAL, &msg_out) < 0)
		qemu_command("system_powerdown", NULL, -1, POWERDOWN_MS, NULL, NULL);
}

static void dispatch(int from, struct lg_msg *m)
{
	switch (m->kind) {
	case LG_P_SPARE:
		lg_msg_init(&msg_out, LG_P_READY);
		lg_msg_send(from, &msg_out);
		break;
	case LG_P_START:
		start_take(m);
		break;
	case LG_P_GO:
		start_go();
		break;
	case LG_P_HELLO:
		say_state(from);
		break;
	case LG_P_LEND:
		lend_take(m, from);
		break;
	case LG_P_EXEC:
		if (vm.spec.guest)
			session_begin(m);
		else
			qga_exec(m);
		break;
	case LG_P_CONSOLE:
		lg_console_join(lg_msg_take_fd(m, 0));
		break;
	case LG_P_SIGNAL:
		take_signal(m);
		break;
	case LG_P_ASK:
		ask_take(m, from);
		break;
	default:
		break;	/* of containers alone, or a newer lodged's */
	}
}

int dispatch_first(int fd)
{
	static const struct lg_link_user user = { .message = dispatch, .gone = gone };

	return lg_link_first(fd, &user);
}
