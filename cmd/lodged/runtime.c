/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * RUN/ct/ID.json: what runs and what was begun. It means nothing after a reboot (RUN/boot_id tells), so it
 * is replaced without fsync.
 */

#include <stdio.h>
#include <unistd.h>

#include "cmd/lodged/vm.h"
#include "lib/json.h"
#include "lib/proc.h"

static void file_name(const struct instance *ct, char buf[32])
{
	snprintf(buf, 32, "%u.json", ct->ctid);
}

int runtime_save(const struct instance *ct, const char *op, struct lg_err *err)
{
	lg_autojson json_t *state = NULL;
	uint64_t shim_start = 0;
	char name[32];

	if (ct->shim)
		lg_proc_starttime(ct->shim->pid, &shim_start);
	state = json_pack("{s:i, s:s*, s:i, s:I, s:i, s:I, s:I, s:o*}", "version", 1, "op", op,
			  "shim_pid", ct->shim ? (int)ct->shim->pid : 0, "shim_start",
			  (json_int_t)shim_start, "init_pid", (int)ct->init_pid, "init_start",
			  (json_int_t)ct->init_start, "started_at", (json_int_t)ct->started_at, "vm", vm_run_json(ct));
	file_name(ct, name);
	return lg_json_save(ct->d->run_ct_fd, name, state, false, err);
}

void runtime_forget(const struct instance *ct)
{
	char name[32];

	file_name(ct, name);
	unlinkat(ct->d->run_ct_fd, name, 0);
}
