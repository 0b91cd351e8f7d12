/* SPDX-License-Identifier: GPL-2.0-or-later */

/* A machine out of its state: QEMU is asked who it is before it reads anything, and reads it before its processors run. */

#include <errno.h>
#include <fcntl.h>

#include "cmd/lodge-vm/vm.h"
#include "ct/trace.h"
#include "lib/cleanup.h"
#include "lib/json.h"
#include "vm/qemu.h"

#define COMMAND_MS 30000

static void (*ready)(void);

static void __attribute__((noreturn)) fail(const char *what, const struct lg_err *err)
{
	struct lg_err why = { 0 };

	lg_refuse(&why, err->code ? err->code : -EIO, 0, "%s: %s", what, err->msg);
	start_fail(&why);
}

/* Its end says more than its silence. */
static bool is_over(const json_t *ret, const struct lg_err *err, const char *what)
{
	if (vm.phase != PHASE_MADE || (!ret && err->code == -EPIPE))
		return true;
	if (!ret)
		fail(what, err);
	return false;
}

static void command(const char *name, json_t *args, int fd, lg_qmp_done done)
{
	struct lg_err err = { 0 };
	int r = qemu_command(name, args, fd, COMMAND_MS, done, NULL);

	if (r < 0) {
		lg_fail(&err, r, "speak to QEMU");
		start_fail(&err);
	}
}

static void on_begun(void *arg, const json_t *ret, const struct lg_err *err)
{
	(void)arg;
	if (is_over(ret, err, "read the machine's state"))
		return;
	lg_trace("state is read");
	ready();
}

static void on_fd(void *arg, const json_t *ret, const struct lg_err *err)
{
	(void)arg;
	vm.incoming_fd = lg_close(vm.incoming_fd);
	if (!is_over(ret, err, "give QEMU the machine's state"))
		command("migrate-incoming", json_pack("{s:s}", "uri", "fd:state"), -1, on_begun);
}

static void on_capabilities(void *arg, const json_t *ret, const struct lg_err *err)
{
	(void)arg;
	if (!is_over(ret, err, "tell QEMU how to read"))
		command("getfd", json_pack("{s:s}", "fdname", "state"), vm.incoming_fd, on_fd);
}

void incoming_begin(void (*when_ready)(void))
{
	struct lg_err why = { 0 };

	ready = when_ready;
	if (vm.spec.qemu_version && lg_qemu_fits(vm.spec.qemu_version, qemu_version(), &why) < 0)
		start_fail(&why);
	/* That it has read it is heard of at once. */
	command("migrate-set-capabilities", json_pack("{s:[{s:s, s:b}]}", "capabilities", "capability", "events", "state", 1), -1,
		on_capabilities);
}
