/* SPDX-License-Identifier: GPL-2.0-or-later */

/* A start out of images: the steps are those of any start (start.c), and CRIU makes init. */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "cmd/lodged/criu.h"
#include "cmd/lodged/dumpfile.h"
#include "cmd/lodged/lodged.h"
#include "cmd/lodged/lxcfs.h"
#include "cmd/lodged/moving.h"
#include "cmd/lodged/suspend.h"
#include "cmd/lodged/vm.h"
#include "lib/cleanup.h"
#include "lib/exit.h"
#include "lib/json.h"
#include "net/pool.h"

/* CRIU makes the link, with a message of ours in the place of its own (cmd/lodge-criu/calls_link.c). */
static int put_link(const struct instance *ct, struct lg_msg *m, struct lg_err *err)
{
	struct lg_addr addrs[IPS_MAX];
	struct lg_net_if ifc;
	char batch[LG_NET_PREPARED];
	int r;

	instance_net_if(ct, &ifc, addrs);
	if (!ifc.naddrs)
		return 0;
	r = lg_net_prepare(ct->d->net, &ifc, batch, err);
	if (r == 0) {
		lg_msg_put(m, "netdev", ifc.name);
		lg_msg_put(m, "pair", batch);
	}
	return r;
}

int resume_put(struct op *op, struct lg_msg *m, int *ret_images, int *ret_ns, struct lg_err *err)
{
	struct instance *ct = op->ct;
	lg_autoclose int images = -1;
	char path[300];
	int r = checkpoint_open(ct, &images, NULL, err);

	if (r == 0)
		r = criu_put_common(ct, NULL, m, err);
	if (r == 0)
		r = put_link(ct, m, err);
	if (r < 0)
		return r;
	*ret_ns = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
	if (*ret_ns < 0)
		return lg_fail(err, -errno, "open our mount namespace");
	lg_msg_put(m, "restore", "1");
	snprintf(path, sizeof(path), "%s/lodge-criu", ct->d->libexec);
	lg_msg_put(m, "helper", path);
	if (lxcfs_where(ct->d, path))
		lg_msg_put(m, "lxcfs", path);
	*ret_images = lg_take_fd(&images);
	return 0;
}

/* Its memory has the addresses that it had then. */
static int check_addresses(const struct instance *ct, const json_t *state, struct lg_err *err)
{
	lg_autojson json_t *now = checkpoint_addresses(ct);
	const json_t *then = json_object_get(state, "addresses");
	char text[200] = "none";
	size_t at = 0, i;
	json_t *addr;

	if (!then || json_equal(then, now))
		return 0;
	json_array_foreach(then, i, addr)
		if (at < sizeof(text) && json_is_string(addr))
			at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%s", at ? " " : "",
					       json_string_value(addr));
	return lg_refuse(err, -EINVAL, 0,
			 "it was suspended with other addresses (%s) than its conf file has now: they are in its "
			 "memory", text);
}

int resume_check(struct instance *ct, struct lg_err *err)
{
	lg_autojson json_t *state = NULL;
	lg_autoclose int images = -1;
	const char *template, *had, *arch;
	struct utsname uts;
	int r = checkpoint_open(ct, &images, &state, err);

	if (r == 0)
		r = instance_reload_if_changed(ct, err);
	if (r < 0)
		return r;
	template = lg_conf_get(ct->conf, "OSTEMPLATE");
	had = lg_json_str(state, "template");
	arch = lg_json_str(state, "arch");
	uname(&uts);
	if (had && template && strcmp(had, template) != 0)
		return lg_refuse(err, -EINVAL, 0,
				 "it was suspended with the template %s, and its conf file names %s now", had,
				 template);
	if (arch && strcmp(arch, uts.machine) != 0)
		return lg_refuse(err, -EINVAL, 0, "it was suspended on a host of another kind: %s", arch);
	r = check_addresses(ct, state, err);
	return r < 0 ? r : vm_resume_check(ct, state, err);
}

void resume_begin(struct op *op)
{
	lg_autojson json_t *state = checkpoint_state(op->ct);
	const char *moved = lg_json_str(state, "dumpfile");
	struct lg_err err = { 0 };

	op->restore = true;
	if (!op->file && moved && !(op->file = strdup(moved)))
		lg_fail(&err, -ENOMEM, "resume %s", instance_label(op->ct));
	else if (!op->file && resume_check(op->ct, &err) < 0)
		lg_within(&err, err.code, "resume %s", instance_label(op->ct));
	if (err.code) {
		err.exit_code = LG_EXIT_RESTORE;
		op_fail(op, &err);
	} else if (op->file) {
		dumpfile_read(op);
	} else {
		start_begin(op);
	}
}

/* With a dump file it may have come from elsewhere, as its layer has. */
static int may_resume(const struct instance *ct, const char *file, struct lg_err *err)
{
	int r = state_allows(ct, file && ct->state == STATE_STOPPED ? VERB_START : VERB_RESUME, err);

	if (r == 0 && file && dumpfile_check(ct->d, file, err) < 0) {
		r = lg_within(err, err->code, "resume %s", instance_label(ct));
		err->exit_code = LG_EXIT_RESTORE;
	}
	return r;
}

void api_resume(struct lg_vcall *call, const json_t *params, void *ctx)
{
	struct instance *ct = api_instance(call, params, ctx);
	const char *file = lg_json_str(params, "file");
	struct lg_err err = { 0 };
	struct op *op = NULL;

	if (!ct)
		return;
	if (ct->state != STATE_RUNNING)
		ct->state = instance_rest(ct);
	if (lg_json_bool(params, "force", false))
		moving_override(ct);
	if (may_resume(ct, file, &err) == 0 && !(op = op_new(ct, "resume", call)))
		lg_fail(&err, -ENOMEM, "resume %s", instance_label(ct));
	if (!op) {
		lg_vcall_fail(call, &err);
		return;
	}
	if (file && !(op->file = strdup(file))) {
		lg_fail(&err, -ENOMEM, "resume %s", instance_label(ct));
		op_fail(op, &err);
		return;
	}
	resume_begin(op);
}
