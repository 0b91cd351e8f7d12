/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * `mount` shows an administrator the files of a stopped instance at VAR/root/ID, with the owners that
 * are on disk. A running instance's root is in its own mount namespace only: a host with a thousand
 * of them keeps a short mount table.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd/lodged/lodged.h"
#include "lib/cleanup.h"
#include "lib/exit.h"
#include "lib/file.h"
#include "lib/kind.h"
#include "storage/layer.h"
#include "storage/overlay.h"
#include "storage/store.h"

#define IMAGE_PATIENCE_MS 100u	/* nobody else is served meanwhile */

void mount_path(const struct instance *ct, char buf[300])
{
	snprintf(buf, 300, "%s/root/%u", ct->d->root.var, ct->ctid);
}

bool mount_is_there(const struct instance *ct)
{
	struct statx sx;
	char path[300];

	mount_path(ct, path);
	return statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, 0, &sx) == 0 &&
	       (sx.stx_attributes & STATX_ATTR_MOUNT_ROOT);
}

int mount_root(struct instance *ct, struct lg_err *err)
{
	const struct lg_root *root = &ct->d->root;
	const char *name = lg_conf_get(ct->conf, "OSTEMPLATE");
	char target[300], upper[320], work[320], scratch[320];
	char image[LG_LAYER_PATH];
	lg_autoclose int disk = -1;
	struct lg_template template;
	char lower[LG_STORE_PATH];
	struct lg_overlay ov = { .lower = lower, .upper = upper, .work = work,
				 .target = target, .scratch = scratch, .layer_fd = -1, .userns_fd = -1,
				 .id_base = ct->id_base, .shifted = !ct->vm && ct->d->shifts };
	int r;

	if (lg_kind_is_foreign(ct->conf))
		return lg_refuse(err, -EOPNOTSUPP, LG_EXIT_MOUNT, "what is on the VM's disk is the guest's, and is not mounted on the host");
	if (!lg_layer_exists(root->var, ct->ctid))
		return lg_refuse(err, -ENOENT, LG_EXIT_NO_PRIVATE, "its files are not there");
	r = lg_template_load(root->var, name ? name : "", &template, err);
	if (r == 0)
		r = ct->vm ? lg_store_path(lower, err, "%s", template.rootfs) : nesting_lower(ct, &template, lower, err);
	if (r < 0)
		return r;
	mount_path(ct, target);
	snprintf(upper, sizeof(upper), "%s/ct/%u/upper", root->var, ct->ctid);
	snprintf(work, sizeof(work), "%s/ct/%u/work", root->var, ct->ctid);
	snprintf(scratch, sizeof(scratch), "%s/scratch", root->run);
	if (lg_layer_image(root->var, ct->ctid, image)) {
		disk = lg_image_mount(image, IMAGE_PATIENCE_MS, err);
		if (disk < 0)
			return disk;
		ov.layer_fd = disk;
	}
	r = lg_mkdir_all(target, 0700, err);
	if (r == 0)
		r = lg_overlay_mount(&ov, err);
	if (r < 0)
		rmdir(target);
	return r;
}

int umount_root(struct instance *ct, struct lg_err *err)
{
	char target[300];

	mount_path(ct, target);
	if (umount2(target, UMOUNT_NOFOLLOW) < 0) {
		int r = -errno;

		lg_fail(err, r, "umount '%s'", target);
		if (err)
			err->exit_code = LG_EXIT_UMOUNT;
		return r;
	}
	rmdir(target);
	ct->state = instance_rest(ct);
	return 0;
}

void api_mount(struct lg_vcall *call, const json_t *params, void *ctx)
{
	struct instance *ct = api_instance(call, params, ctx);
	struct lg_err err = { 0 };
	bool was = ct && mount_is_there(ct);
	char path[300];

	if (!ct)
		return;
	if (state_allows(ct, VERB_MOUNT, &err) < 0 || (!was && mount_root(ct, &err) < 0)) {
		if (!err.exit_code)
			err.exit_code = LG_EXIT_MOUNT;
		lg_vcall_fail(call, &err);
		return;
	}
	ct->state = STATE_MOUNTED;
	mount_path(ct, path);
	if (!was)
		emit_event(ct->d, "mounted", ct, NULL);
	lg_vcall_reply(call, json_pack("{s:s, s:b}", "path", path, "was_mounted", was));
}

void api_umount(struct lg_vcall *call, const json_t *params, void *ctx)
{
	struct instance *ct = api_instance(call, params, ctx);
	struct lg_err err = { 0 };

	if (!ct)
		return;
	if (ct->state != STATE_RUNNING)
		ct->state = instance_rest(ct);
	if (state_allows(ct, VERB_UMOUNT, &err) < 0 || umount_root(ct, &err) < 0) {
		lg_vcall_fail(call, &err);
		return;
	}
	emit_event(ct->d, "umounted", ct, NULL);
	lg_vcall_reply(call, NULL);
}
