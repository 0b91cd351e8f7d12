/* SPDX-License-Identifier: GPL-2.0-or-later */

/* A start out of images: the steps are those of any start (start.c), and CRIU makes init. */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "cmd/lodged/criu.h"
#include "cmd/lodged/lodged.h"
#include "cmd/lodged/lxcfs.h"
#include "cmd/lodged/suspend.h"
#include "lib/cleanup.h"
#include "lib/exit.h"
#include "lib/json.h"
#include "net/pool.h"

/* None of an instance's own links has this number. */
#define WAITING_LINK 9

void resume_link(const struct instance *ct, char name[16])
{
	lg_root_link(&ct->d->root, ct->ctid, WAITING_LINK, name);
}

static void put_link(const struct instance *ct, struct lg_msg *m)
{
	struct lg_addr addrs[IPS_MAX];
	struct lg_net_if ifc;
	char field[40], peer[16];

	instance_net_if(ct, &ifc, addrs);
	resume_link(ct, peer);
	snprintf(field, sizeof(field), "%s\n%s", ifc.name, peer);
	if (ifc.naddrs)
		lg_msg_put(m, "netdev", field);
}

int resume_put(struct op *op, struct lg_msg *m, int *ret_images, int *ret_ns, struct lg_err *err)
{
	struct instance *ct = op->ct;
	lg_autoclose int images = -1;
	char path[300];
	int r = checkpoint_open(ct, &images, NULL, err);

	if (r == 0)
		r = criu_put_common(ct, NULL, m, err);
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
	put_link(ct, m);
	*ret_images = lg_take_fd(&images);
	return 0;
}

static int check_state(struct instance *ct, struct lg_err *err)
{
	lg_autojson json_t *state = NULL;
	lg_autoclose int images = -1;
	const char *template = lg_conf_get(ct->conf, "OSTEMPLATE"), *had;
	int r = checkpoint_open(ct, &images, &state, err);

	if (r < 0)
		return r;
	had = lg_json_str(state, "template");
	if (had && template && strcmp(had, template) != 0)
		return lg_refuse(err, -EINVAL, 0,
				 "it was suspended with the template %s, and its conf file names %s now", had,
				 template);
	return 0;
}

void api_resume(struct lg_vcall *call, const json_t *params, void *ctx)
{
	struct instance *ct = api_instance(call, params, ctx);
	struct lg_err err = { 0 };
	struct op *op;

	if (!ct)
		return;
	if (ct->state != STATE_RUNNING)
		ct->state = instance_rest(ct);
	if (state_allows(ct, VERB_RESUME, &err) < 0) {
		lg_vcall_fail(call, &err);
		return;
	}
	if (check_state(ct, &err) < 0) {
		lg_within(&err, err.code, "resume %s", instance_label(ct));
		err.exit_code = LG_EXIT_RESTORE;
		lg_vcall_fail(call, &err);
		return;
	}
	op = op_new(ct, "resume", call);
	if (!op)
		return;
	op->restore = true;
	start_begin(op);
}
